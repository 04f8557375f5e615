package tiktok_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok"
)

// The verifier and the base64url challenge of RFC 7636, appendix B; the hex form is the same hash.
const (
	rfcVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	hexChallenge = "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3"
)

func TestPKCE_Challenge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		pkce tiktok.PKCE
		want string
	}{
		{"off", tiktok.PKCEOff, ""},
		{"unset", "", ""},
		{"hex", tiktok.PKCEHex, hexChallenge},
		{"base64url", tiktok.PKCEBase64URL, rfcChallenge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.pkce.Challenge(rfcVerifier)); diff != "" {
				t.Errorf("challenge (-want +got):\n%s", diff)
			}
		})
	}
}
