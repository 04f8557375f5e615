package config

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// secretPrefix begins the new secret keys, publishablePrefix the new publishable ones.
const (
	secretPrefix      = "sb_secret_"
	publishablePrefix = "sb_publishable_"
)

// isSecretKey tells whether a key may never be shown: a new secret key, or a JWT with the role
// service_role.
func isSecretKey(key string) bool {
	return strings.HasPrefix(key, secretPrefix) || ReadLegacyKey(key).Role == "service_role"
}

// isPublicKey tells whether a key is one that browsers have.
func isPublicKey(key string) bool {
	return strings.HasPrefix(key, publishablePrefix) || ReadLegacyKey(key).Role == "anon"
}

// LegacyKey is what a legacy Supabase key, a JWT, says of itself.
type LegacyKey struct {
	// Role is anon or service_role; "" for what is no legacy key.
	Role string `json:"role"`
	// Ref is the project, the first label of its address; "" on self-hosted projects.
	Ref string `json:"ref"`
	// Expires is in seconds since 1970; 0 is never.
	Expires int64 `json:"exp"`
}

// ReadLegacyKey reads a key without checking its signature: this tells keys apart, it does not trust
// them.
func ReadLegacyKey(key string) LegacyKey {
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return LegacyKey{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return LegacyKey{}
	}
	var claims LegacyKey
	var odd *json.UnmarshalTypeError // of one claim; the others are read all the same
	if err := json.Unmarshal(payload, &claims); err != nil && !errors.As(err, &odd) {
		return LegacyKey{}
	}
	return claims
}

// hostedDomain ends the addresses of projects that Supabase hosts, unless they have a domain of their
// own.
const hostedDomain = ".supabase.co"

// refLength is how many lower-case letters the ref of a project has.
const refLength = 20

var refPattern = regexp.MustCompile(`^[a-z]{20}$`)

// Project returns the name by which Supabase hosts the project: its ref, or a vanity subdomain; "" if the
// address does not tell.
func (s Supabase) Project() string {
	u, err := url.Parse(cmp.Or(s.URL, s.AuthURL))
	if err != nil {
		return ""
	}
	name, hosted := strings.CutSuffix(u.Hostname(), hostedDomain)
	if !hosted {
		return ""
	}
	return name
}

// Ref returns the ref of the project; "" if the address has none, but a name of the project's own.
func (s Supabase) Ref() string {
	if name := s.Project(); refPattern.MatchString(name) {
		return name
	}
	return ""
}

// KeyRef returns the ref of the project that a legacy key is of; "" if no key says.
func (s Supabase) KeyRef() string {
	for _, key := range []string{s.SecretKey.Reveal(), s.PublishableKey} {
		if ref := ReadLegacyKey(key).Ref; refPattern.MatchString(ref) {
			return ref
		}
	}
	return ""
}

// ofProject tells whether a key may belong to the project. A new key does not say which one it is of, nor
// does an address without a ref.
func (s Supabase) ofProject(key string) bool {
	ref := ReadLegacyKey(key).Ref
	return ref == "" || s.Ref() == "" || ref == s.Ref()
}

// ofTwoProjects tells whether the keys belong to two projects.
func (s Supabase) ofTwoProjects() bool {
	public, secret := ReadLegacyKey(s.PublishableKey).Ref, ReadLegacyKey(s.SecretKey.Reveal()).Ref
	return public != "" && secret != "" && public != secret
}
