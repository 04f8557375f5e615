package signin

import "encoding/json"

// Session is a session of the Supabase project. It decodes GoTrue's own JSON and, like all that holds
// tokens, encodes as "[redacted]"; Reveal returns what an app gets.
type Session struct {
	Redacted
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	ExpiresAt    int64  `json:"expires_at"` // Unix seconds
	RefreshToken string `json:"refresh_token"`

	// User is the user object as GoTrue wrote it.
	User json.RawMessage `json:"user"`

	// ProviderToken and ProviderRefreshToken are TikTok's, not GoTrue's. They are set only if the operator
	// asked for them (tiktok.return_tokens).
	ProviderToken        string `json:"-"`
	ProviderRefreshToken string `json:"-"`
}

// Reveal returns the session for encoding/json, in GoTrue's own shape, so that supabase.auth.setSession
// takes it as it is. TikTok's tokens have the names Supabase uses for its own providers.
func (s Session) Reveal() any {
	return struct {
		AccessToken          string          `json:"access_token"`
		TokenType            string          `json:"token_type"`
		ExpiresIn            int64           `json:"expires_in"`
		ExpiresAt            int64           `json:"expires_at"`
		RefreshToken         string          `json:"refresh_token"`
		User                 json.RawMessage `json:"user"`
		ProviderToken        string          `json:"provider_token,omitempty"`
		ProviderRefreshToken string          `json:"provider_refresh_token,omitempty"`
	}{
		s.AccessToken, s.TokenType, s.ExpiresIn, s.ExpiresAt, s.RefreshToken, s.User,
		s.ProviderToken, s.ProviderRefreshToken,
	}
}
