package tiktok

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// PKCE is how the code challenge of RFC 7636 is sent. TikTok documents none for web apps, wants
// lower-case hex where RFC 7636 says base64url for desktop apps, and is reported to take base64url
// for web apps, so the operator chooses.
type PKCE string

// The ways.
const (
	// PKCEOff sends no challenge, as TikTok documents for web apps.
	PKCEOff PKCE = "off"
	// PKCEHex sends hex(SHA-256(verifier)) (TikTok docs: Login Kit for Desktop).
	PKCEHex PKCE = "hex"
	// PKCEBase64URL sends base64url(SHA-256(verifier)) (RFC 7636, section 4.2).
	PKCEBase64URL PKCE = "base64url"
)

// Challenge returns the S256 challenge of verifier; "" when PKCE is off or there is no verifier.
func (p PKCE) Challenge(verifier string) string {
	if verifier == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(verifier))
	switch p {
	case PKCEHex:
		return hex.EncodeToString(sum[:])
	case PKCEBase64URL:
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return ""
}
