package signin

import (
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Identity is a person as TikTok vouches for them: the result of a code exchange.
type Identity struct {
	// OpenID identifies the person for this TikTok app. It is case-sensitive and the only thing an
	// account is tied to.
	OpenID string
	// Scopes are the scopes the person granted, which may be fewer than were asked for.
	Scopes []string
	// AccessToken and RefreshToken are TikTok's tokens. They are used for the profile and, unless
	// the operator wants them in the session, forgotten.
	AccessToken  string
	RefreshToken string
}

// IsOpenID tells whether s can be the open_id of one person alone. Decoders of JSON write U+FFFD for every
// byte that is no UTF-8 and for half a surrogate pair, and databases drop or refuse control characters:
// with any of these, two people could end up with one id.
func IsOpenID(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r)
	})
}

// Format keeps the tokens out of anything that prints an identity.
func (Identity) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps them out of logs.
func (Identity) LogValue() slog.Value { return slog.StringValue(redacted) }

// Profile is how a person wants to be shown. Nothing in it identifies anybody: names are free text
// that may be empty, long, right-to-left or look like HTML, and avatar URLs expire.
type Profile struct {
	// UnionID is the same for one person over all apps of one TikTok developer; TikTok does not
	// always send it.
	UnionID     string
	DisplayName string
	AvatarURL   string
}

// IsZero tells whether there is nothing to show.
func (p Profile) IsZero() bool { return p == Profile{} }
