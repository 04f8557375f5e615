package signin

import "encoding/json"

// Session is a session of the Supabase project, or of the app's own backend. It decodes GoTrue's own JSON and,
// like all that holds tokens, encodes as "[redacted]"; Reveal returns what an app gets.
type Session struct {
	Redacted
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	ExpiresAt    int64  `json:"expires_at"` // Unix seconds
	RefreshToken string `json:"refresh_token"`

	// User is the user object as GoTrue wrote it.
	User json.RawMessage `json:"user"`

	// Raw is the session of an own backend, a JSON object as it wrote it; nil for one of Supabase. The fields
	// above say nothing then.
	Raw json.RawMessage `json:"-"`

	// What is the provider's is TikTok's, not GoTrue's. It is set only if the operator asked for it
	// (tiktok.return_tokens).
	ProviderToken string `json:"-"`
	// ProviderRefreshToken is sealed; see [Tokens].
	ProviderRefreshToken string   `json:"-"`
	ProviderExpiresIn    int64    `json:"-"` // seconds, of ProviderToken
	ProviderScopes       []string `json:"-"` // that the person granted
}

// provided are TikTok's tokens, by the names Supabase uses for its own providers.
type provided struct {
	ProviderToken        string   `json:"provider_token,omitempty"`
	ProviderRefreshToken string   `json:"provider_refresh_token,omitempty"`
	ProviderExpiresIn    int64    `json:"provider_expires_in,omitempty"`
	ProviderScopes       []string `json:"provider_scopes,omitempty"`
}

// Reveal returns the session for encoding/json: in GoTrue's own shape, so that supabase.auth.setSession takes
// it as it is, or as an own backend wrote it. TikTok's tokens are added where the backend set none itself.
func (s Session) Reveal() any {
	extra := provided{s.ProviderToken, s.ProviderRefreshToken, s.ProviderExpiresIn, s.ProviderScopes}
	if s.Raw != nil {
		return withExtra(s.Raw, extra)
	}
	return struct {
		AccessToken  string          `json:"access_token"`
		TokenType    string          `json:"token_type"`
		ExpiresIn    int64           `json:"expires_in"`
		ExpiresAt    int64           `json:"expires_at"`
		RefreshToken string          `json:"refresh_token"`
		User         json.RawMessage `json:"user"`
		provided
	}{
		s.AccessToken, s.TokenType, s.ExpiresIn, s.ExpiresAt, s.RefreshToken, s.User, extra,
	}
}

// withExtra adds the members of extra that object, which is a JSON object, lacks.
func withExtra(object json.RawMessage, extra provided) any {
	if extra.ProviderToken == "" {
		return object
	}
	all, own := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	added, err := json.Marshal(extra)
	if err != nil || json.Unmarshal(added, &all) != nil || json.Unmarshal(object, &own) != nil {
		return object
	}
	for name, value := range own {
		all[name] = value
	}
	return all
}
