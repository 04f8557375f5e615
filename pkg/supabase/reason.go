package supabase

import "strings"

// reason is what an answer of GoTrue says where its error code says too little or is missing:
// validation_failed stands for dozens of things, and the OAuth errors of /token have no code at all. It is
// read from the text of the answer, and nothing else of that text is kept.
type reason string

// The reasons.
const (
	// Of the id_token grant (GoTrue internal/api/token_oidc.go).
	reasonBadIDToken        reason = "bad ID token"
	reasonAudience          reason = "unacceptable audience"
	reasonServerError       reason = "server error"
	reasonNoProvider        reason = "no such provider"
	reasonNotOIDC           reason = "not an OIDC provider"
	reasonNoCustomProviders reason = "no custom providers"
	// Of a 500, which says nothing but this (internal/api/external.go, signup.go, errors.go).
	reasonNewUser    reason = "new user not saved"
	reasonUnforeseen reason = "unforeseen"
	// Of a provider that is set up (internal/api/custom_oauth_admin.go, internal/utilities/url_validator.go).
	reasonNotHTTPS       reason = "not https"
	reasonPrivateAddress reason = "private address"
	reasonUnknownHost    reason = "unknown host"
	reasonOtherIssuer    reason = "other issuer"
	reasonNoDiscovery    reason = "no discovery document"
	reasonBadDiscovery   reason = "incomplete discovery document"
)

// reasons are the texts of GoTrue by which they are recognised. The first that fits counts.
var reasons = []struct {
	text   string
	reason reason
}{
	{"Bad ID token", reasonBadIDToken},
	{"Passed nonce and nonce in id_token", reasonBadIDToken},
	{"Missing sub claim in id_token", reasonBadIDToken},
	{"Unacceptable audience in id_token", reasonAudience},
	{"Custom OAuth providers are disabled", reasonNoCustomProviders},
	{"Custom OIDC provider ", reasonNoCustomProviders}, // "…" not allowed, before 2.187.0
	{"is not an OIDC provider", reasonNotOIDC},
	{"Database error saving new user", reasonNewUser},
	{"Database error updating user", reasonNewUser},
	{"Error creating identity", reasonNewUser},
	{"Unexpected failure, please check server logs", reasonUnforeseen},
	{"URL must use HTTPS", reasonNotHTTPS},
	{"URL cannot point to", reasonPrivateAddress},
	{"URL cannot resolve to", reasonPrivateAddress},
	{"Unable to resolve hostname", reasonUnknownHost},
	{"issuer mismatch", reasonOtherIssuer},
	{"missing required fields", reasonBadDiscovery},
	{"OIDC discovery from", reasonNoDiscovery},
}

// reasonOf recognises the text of an answer; "" is a text that is not known.
func reasonOf(text string) reason {
	for _, known := range reasons {
		if strings.Contains(text, known.text) {
			return known.reason
		}
	}
	if strings.HasPrefix(text, "Custom provider ") && strings.HasSuffix(text, " not found") {
		return reasonNoProvider
	}
	return ""
}
