package signin

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Session is a session of the Supabase project, in GoTrue's own JSON shape, so that
// supabase.auth.setSession takes it as it is.
type Session struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	ExpiresAt    int64  `json:"expires_at"` // Unix seconds
	RefreshToken string `json:"refresh_token"`

	// User is the user object as GoTrue wrote it.
	User json.RawMessage `json:"user"`

	// ProviderToken and ProviderRefreshToken are TikTok's tokens, under the names Supabase uses for
	// its own providers. Set only when the operator asked for it (tiktok.return_tokens).
	ProviderToken        string `json:"provider_token,omitempty"`
	ProviderRefreshToken string `json:"provider_refresh_token,omitempty"`
}

// Format keeps the tokens out of anything that prints a session.
func (Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps them out of logs.
func (Session) LogValue() slog.Value { return slog.StringValue(redacted) }
