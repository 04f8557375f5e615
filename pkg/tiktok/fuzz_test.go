package tiktok_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
)

// fixed is a TikTok with one answer.
type fixed struct {
	status     int
	body       string
	retryAfter string
}

// client returns a client of it.
func (f fixed) client() *tiktok.Client {
	responder := response(f.status, f.body, "Retry-After", f.retryAfter)
	return newClient(roundTrip(responder))
}

// roundTrip is a function as transport.
type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// wantOwnError states what holds for every error: it has a code of ours, and what it tells people has
// nothing of an answer.
func wantOwnError(t *testing.T, err error) {
	t.Helper()
	var e *signin.Error
	if !errors.As(err, &e) || e.Message == "" {
		t.Fatalf("error is %v; want one of ours", err)
	}
	switch e.Code {
	case signin.InvalidGrant, signin.InvalidRequest, signin.RedirectURIMismatch, signin.AccessDenied, signin.RateLimited,
		signin.TikTokUnavailable, signin.TikTokMisconfigured:
	default:
		t.Errorf("code is %q", e.Code)
	}
	for _, word := range []string{secret, code, verifier, accessToken, refreshToken} {
		if strings.Contains(e.Message, word) {
			t.Errorf("message is %q", e.Message)
		}
	}
	if e.RetryAfter < 0 || len(e.Upstream.Code) > 64 || len(e.Upstream.LogID) > 64 {
		t.Errorf("error is %+v; want its parts bounded", e.LogAttrs())
	}
}

func addAnswers(f *testing.F, good string) {
	f.Helper()
	for _, body := range []string{
		good, "", "{}", "null", "[]", "7", `"x"`, "{", "<html>", good + good, `{"error":""}`, `{"error":"ok"}`,
		`{"error":null}`,
		`{"error":"invalid_grant","error_description":"Authorization code is expired.","log_id":"2022"}`,
		`{"error":"invalid_request","error_description":"` + redirectMismatch + `","log_id":"2022"}`,
		`{"error":"invalid_request","error_description":"Code verifier or code challenge is invalid.","log_id":"2022"}`,
		`{"error":"invalid_client","error_description":"Client key or secret is incorrect.","log_id":"2022"}`,
		`{"error":{"code":"access_token_invalid","message":"The access token is invalid.","log_id":"2022"}}`,
		`{"error":{"code":"rate_limit_exceeded","message":"","log_id":""}}`, `{"error":{"code":7}}`, `{"error":["x"]}`,
		`{"error":{}}`,
		`{"access_token":null,"open_id":"x"}`, `{"access_token":"x","open_id":""}`,
		`{"access_token":"x","open_id":"x","scope":",, ,"}`,
		`{"data":{"user":null}}`, `{"data":[]}`,
		`{"data":{"user":{"open_id":"` + openID + `","avatar_url":"javascript:alert(1)"}}}`,
		`{"error":"` + secret + `","error_description":"` + code + `"}`, "{\"error\":\"\xff\\ud800\"}",
		strings.Repeat("[", 20_000),
	} {
		for _, status := range []int{200, 400, 429, 503} {
			f.Add(status, body, "7")
		}
	}
	f.Add(429, "", "-1")
	f.Add(503, "{}", "99999999999999999999")
}

// FuzzToken reads any answer of the token endpoint.
func FuzzToken(f *testing.F) {
	addAnswers(f, tokenOK)
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		id, err := fixed{status, body, retryAfter}.client().Exchange(t.Context(), grant)
		if err != nil {
			wantOwnError(t, err)
			return
		}
		if id.OpenID == "" || id.AccessToken == "" || status >= http.StatusBadRequest {
			t.Errorf("status %d and %q name a person", status, body)
		}
		for _, s := range id.Scopes {
			if s == "" || strings.ContainsAny(s, ", ") {
				t.Errorf("%q has the scope %q", body, s)
			}
		}
	})
}

// FuzzOpenID: two open_ids that differ on the wire are never one person's.
func FuzzOpenID(f *testing.F) {
	for _, pair := range [][2]string{
		{"-000a", "-000b"},
		{"-000\xff", "-000\xfe"},
		{"-000\xff", "-000\uFFFD"},
		{"-000\xf0\x9f", "-000\xf0\x98"},
		{"a", "a\x00"},
		{"\xd8\x00", "\xdb\xff"},
		{"\x00a\xd8\x3d", "\x00a\xde\x00"},
		{"\xd8\x3d", "\xff\xfd"},
		{"é", "e\u0301"},
		{"A", "a"},
	} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	spellings := map[string]func([]byte) string{"bytes": jsonBytes, "UTF-16": jsonUTF16}
	f.Fuzz(func(t *testing.T, one, other []byte) {
		for name, spell := range spellings {
			a, b := spell(one), spell(other)
			if a == b {
				continue
			}
			var people []signin.Identity
			for _, id := range []string{a, b} {
				person, err := fixed{
					200, `{"access_token":"a","open_id":"` + id + `"}`, "",
				}.client().Exchange(t.Context(), grant)
				if err == nil {
					people = append(people, person)
				}
			}
			if len(people) == 2 && people[0].OpenID == people[1].OpenID {
				t.Errorf("%s: %q and %q are both %q", name, a, b, people[0].OpenID)
			}
		}
	})
}

// jsonBytes is the inside of a JSON string that has these bytes as they are, as far as JSON allows.
func jsonBytes(raw []byte) string {
	var b strings.Builder
	for _, c := range raw {
		if c < 0x20 || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\u%04x`, c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// jsonUTF16 is the inside of a JSON string that has these bytes as escaped units of UTF-16.
func jsonUTF16(raw []byte) string {
	var b strings.Builder
	for ; len(raw) >= 2; raw = raw[2:] {
		fmt.Fprintf(&b, `\u%02x%02x`, raw[0], raw[1])
	}
	return b.String()
}

// FuzzUserInfo reads any answer of the user info endpoint.
func FuzzUserInfo(f *testing.F) {
	addAnswers(
		f,
		`{"data":{"user":{"open_id":"`+openID+`","union_id":"u","display_name":"Ada",`+
			`"avatar_url":"https://p16.example/a.jpeg?x=a%2Bb"}},"error":{"code":"ok","message":"","log_id":"2022"}}`,
	)
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		p, err := fixed{status, body, retryAfter}.client().Profile(t.Context(), identity)
		if err != nil {
			wantOwnError(t, err)
			return
		}
		if status >= http.StatusBadRequest {
			t.Errorf("status %d and %q are a profile", status, body)
		}
		if p.AvatarURL != "" {
			if u, err := url.Parse(p.AvatarURL); err != nil || u.Host == "" || u.Scheme != "https" &&
				u.Scheme != "http" {
				t.Errorf("the avatar is at %q", p.AvatarURL)
			}
		}
	})
}
