package signin

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Identity is a person as TikTok vouches for them: the result of a code exchange.
type Identity struct {
	Redacted
	// OpenID identifies the person for this TikTok app. It is case-sensitive and the only thing an
	// account is tied to.
	OpenID string
	// Scopes are the scopes the person granted, which may be fewer than were asked for.
	Scopes []string
	// AccessToken and RefreshToken are TikTok's. The bridge reads the profile with them and then forgets
	// them, unless the operator wants them in the session.
	AccessToken  string
	RefreshToken string
	// ExpiresIn and RefreshExpiresIn are how long the tokens live, counted from TikTok's answer; 0 if it
	// does not say.
	ExpiresIn        time.Duration
	RefreshExpiresIn time.Duration
}

// IsOpenID reports whether s can be the open_id of one person alone. JSON decoders write U+FFFD for invalid
// UTF-8 and for half a surrogate pair, and databases drop or refuse control characters: with any of these,
// two people could end up with one id.
func IsOpenID(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r)
	})
}

// Profile is how a person wants to be shown. Nothing in it identifies anybody: names are free text, which
// may be empty, long, right-to-left or look like HTML, and avatar URLs expire.
type Profile struct {
	// UnionID is the same for one person over all apps of one TikTok developer; TikTok does not
	// always send it.
	UnionID     string
	DisplayName string
	AvatarURL   string
}

// IsZero reports whether there is nothing to show.
func (p Profile) IsZero() bool { return p == Profile{} }
