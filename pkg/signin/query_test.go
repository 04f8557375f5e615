package signin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestScopes(t *testing.T) {
	t.Parallel()
	both := []string{"user.info.basic", "video.list"}
	for list, want := range map[string][]string{
		"": nil, ",": nil, " ": nil, " , ": nil,
		"user.info.basic":              {"user.info.basic"},
		"user.info.basic,video.list":   both,
		"user.info.basic video.list":   both,
		"user.info.basic, video.list,": both,
	} {
		if got := signin.Scopes(list); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("Scopes(%q) is %#v; want %#v", list, got, want)
		}
	}
}

// TestService_Exchange_encoded: a developer who forgot to decode hears of it, and TikTok does not.
func TestService_Exchange_encoded(t *testing.T) {
	t.Parallel()
	const plain = "a decoded code is not refused"
	for name, tt := range map[string]struct{ code, redirectURI, want string }{
		"code":              {"BELY%2A0%216410.va", callback, "code is still URL-encoded"},
		"code, small hex":   {"BELY%2a0%2e6410", callback, "code is still URL-encoded"},
		"code, twice":       {"BELY%252A0%25216410.va", callback, "code is still URL-encoded"},
		"code, in part":     {"BELY*0%216410.va", callback, "code is still URL-encoded"},
		"address":           {"code", "https%3A%2F%2Fapp.example%2Fnative-callback", "redirect_uri is still URL-encoded"},
		"address, twice":    {"code", "https%253a%252f%252fapp.example", "redirect_uri is still URL-encoded"},
		"decoded":           {"BELY*0!6410.va", callback, plain},
		"a percent sign":    {"BELY%0!6410.va", callback, plain},
		"address with %2F":  {"code", "https://long.example/a%2Fb", plain},
		"address not ours":  {"code", "https://evil.example/%3A", "not set up"},
		"address of http":   {"code", "http%3A//127.0.0.1%3A3000/auth", "redirect_uri is still URL-encoded"},
		"code of letters":   {"BELYdeadbeef", callback, plain},
		"nothing to decode": {"-_.", callback, plain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			s := w.start(t)
			_, err := s.Exchange(t.Context(), signin.ExchangeRequest{Code: tt.code, RedirectURI: tt.redirectURI})
			closeService(t, s)
			if tt.want == plain {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(signin.AsError(err).Message, tt.want) {
				t.Errorf("got %v; want a message with %q", err, tt.want)
			}
			if w.calls.count("exchange") != 0 {
				t.Error("the code reached TikTok")
			}
		})
	}
}
