package signin

import (
	"regexp"
	"strings"
)

// Scopes splits a list of scopes. TikTok separates them by commas; OAuth by spaces (RFC 6749, section 3.3).
// It returns nil for a list that names none: such a list says nothing.
func Scopes(list string) []string {
	scopes := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	if len(scopes) == 0 {
		return nil
	}
	return scopes
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// isEncoded reports whether a code is still as it was in an address: codes have no percent sign of their own.
func isEncoded(code string) bool { return escape.MatchString(code) }

var encodedURL = regexp.MustCompile(`(?i)^https?%(25)*3A`)

// isEncodedURL is isEncoded for addresses, which may have percent signs of their own.
func isEncodedURL(address string) bool { return encodedURL.MatchString(address) }

// What a developer reads who did not decode what was in the address.
const (
	encodedCode = "The field code is still URL-encoded. Decode it once, as " +
		"new URLSearchParams(location.search).get('code') does. This code was not used."
	encodedRedirectURI = "The field redirect_uri is still URL-encoded. Send the plain address, " +
		"as it is registered with TikTok."
)
