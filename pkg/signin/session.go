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

	// What is the provider's is TikTok's, not GoTrue's. It is set only if the operator asked for it
	// (tiktok.return_tokens).
	ProviderToken string `json:"-"`
	// ProviderRefreshToken is sealed; see [Tokens].
	ProviderRefreshToken string   `json:"-"`
	ProviderExpiresIn    int64    `json:"-"` // seconds, of ProviderToken
	ProviderScopes       []string `json:"-"` // that the person granted
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
		ProviderExpiresIn    int64           `json:"provider_expires_in,omitempty"`
		ProviderScopes       []string        `json:"provider_scopes,omitempty"`
	}{
		s.AccessToken, s.TokenType, s.ExpiresIn, s.ExpiresAt, s.RefreshToken, s.User,
		s.ProviderToken, s.ProviderRefreshToken, s.ProviderExpiresIn, s.ProviderScopes,
	}
}
