package tiktoksim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"regexp"
)

const (
	pkceTolerate  = ""
	pkceOff       = "off"
	pkceHex       = "hex"
	pkceBase64URL = "base64url"
)

var (
	hexChallenge       = regexp.MustCompile(`^[0-9a-f]{64}$`)
	base64urlChallenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	// RFC 7636 section 4.1, and TikTok docs: Login Kit for Desktop.
	verifierShape = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
)

func knownPKCE(mode string) bool {
	switch mode {
	case pkceTolerate, pkceOff, pkceHex, pkceBase64URL:
		return true
	}
	return false
}

// badChallenge names the authorize parameter that breaks the PKCE rule in force, or "".
func badChallenge(mode, challenge, method string) string {
	if mode == pkceOff || mode == pkceTolerate && challenge == "" {
		return ""
	}
	isHex := hexChallenge.MatchString(challenge)
	isBase64URL := base64urlChallenge.MatchString(challenge)
	ok := isHex || isBase64URL
	switch mode {
	case pkceHex:
		ok = isHex
	case pkceBase64URL:
		ok = isBase64URL
	}
	switch {
	case !ok:
		return "code_challenge"
	case method != "S256":
		return "code_challenge_method"
	}
	return ""
}

// verifies reports whether verifier answers the challenge stored with a code. Without a stored
// challenge, which only the lax modes allow, any verifier will do.
func verifies(mode, challenge, verifier string) bool {
	if mode == pkceOff || challenge == "" {
		return true
	}
	if !verifierShape.MatchString(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	if len(challenge) == hex.EncodedLen(len(sum)) {
		want = hex.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(challenge), []byte(want)) == 1
}
