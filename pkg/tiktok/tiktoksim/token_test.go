package tiktoksim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func TestExchange(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	code := s.code(tiktoksim.OpenIDTwinA, "scope", "user.info.basic,user.info.stats")
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+\*\d![0-9]+\.va$`).MatchString(code) {
		t.Errorf("code = %q; want TikTok's shape", code)
	}
	res := s.token(exchangeOf(code))
	if res.status != 200 {
		t.Fatalf("got %d %s", res.status, res.body)
	}
	got := decode(t, res)
	for name, shape := range map[string]string{
		"access_token": `^act\..+![0-9]+\.va$`, "refresh_token": `^rft\..+![0-9]+\.va$`,
	} {
		if !regexp.MustCompile(shape).MatchString(got[name].(string)) {
			t.Errorf("%s = %q; want %s", name, got[name], shape)
		}
		delete(got, name)
	}
	want := map[string]string{
		"expires_in": "7200", "refresh_expires_in": "15552000", "open_id": tiktoksim.OpenIDTwinA,
		"scope": "user.info.basic,user.info.stats", "token_type": "Bearer",
	}
	for name, v := range want {
		if field(t, res, name) != v {
			t.Errorf("%s = %v; want %s", name, got[name], v)
		}
		delete(got, name)
	}
	if diff := cmp.Diff(map[string]any{}, got); diff != "" {
		t.Errorf("further fields: %s", diff)
	}
	wantError(t, s.token(exchangeOf(code)), 200, "invalid_grant")
}

func TestExchangeErrors(t *testing.T) {
	tests := []struct {
		name   string
		change func(url.Values)
		code   string
		text   string
		spent  bool
	}{
		{"no client_key", del("client_key"), "invalid_request", "malformed", false},
		{"client_id", rename("client_key", "client_id"), "invalid_request", "malformed", false},
		{"wrong key", set("client_key", "x"), "invalid_client", "Client key or secret", false},
		{"wrong secret", set("client_secret", "x"), "invalid_client", "Client key or secret", false},
		{"no grant type", del("grant_type"), "invalid_request", "malformed", false},
		{"odd grant type", set("grant_type", "password"), "unsupported_grant_type", "", false},
		{"no code", del("code"), "invalid_request", "malformed", false},
		{"no redirect", del("redirect_uri"), "invalid_request", "malformed", false},
		{"unknown code", set("code", "x*0!6410.va"), "invalid_grant", "code is expired", false},
		{"encoded code", escape("code"), "invalid_grant", "code is expired", false},
		{"slash", set("redirect_uri", callback+"/"), "invalid_request", "Redirect_uri is not", true},
		{"case", set("redirect_uri", strings.ToUpper(callback)), "invalid_request", "Redirect_uri is not", true},
		{"twice", func(v url.Values) { v.Add("code", "x") }, "invalid_request", "malformed", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tiktoksim.Options{})
			code := s.code(tiktoksim.OpenIDMira)
			v := exchangeOf(code)
			tt.change(v)
			got := s.token(v)
			wantError(t, got, 200, tt.code)
			if text := field(t, got, "error_description"); !strings.Contains(text, tt.text) {
				t.Errorf("error_description = %q; want %q in it", text, tt.text)
			}
			again := field(t, s.token(exchangeOf(code)), "error")
			if spent := again == "invalid_grant"; spent != tt.spent {
				t.Errorf("second exchange: error %q; want spent = %v", again, tt.spent)
			}
		})
	}
}

func set(k, val string) func(url.Values) { return func(v url.Values) { v.Set(k, val) } }
func del(k string) func(url.Values)      { return func(v url.Values) { v.Del(k) } }
func escape(k string) func(url.Values) {
	return func(v url.Values) { v.Set(k, url.QueryEscape(v.Get(k))) }
}

func rename(from, to string) func(url.Values) {
	return func(v url.Values) { v[to] = v[from]; v.Del(from) }
}

func TestTokenWireForm(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	v := exchangeOf("x").Encode()
	tests := []struct {
		name, contentType, path, body, code string
	}{
		{"JSON", "application/json", "", `{"grant_type":"authorization_code"}`, "invalid_request"},
		{"no content type", "", "", v, "invalid_request"},
		{"broken encoding", form, "", v + "&a=%zz", "invalid_request"},
		{"in the query", form, "?" + v, "", "invalid_request"},
		{"charset", form + "; charset=utf-8", "", v, "invalid_grant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := "/v2/oauth/token/" + tt.path
			wantError(t, s.must(s.request("POST", path, tt.contentType, tt.body)), 200, tt.code)
		})
	}
}

func TestLifetimes(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	code := s.code(tiktoksim.OpenIDMira)
	s.clock.advance(10 * time.Minute)
	wantError(t, s.token(exchangeOf(code)), 200, "invalid_grant")

	access, refresh := s.tokens(tiktoksim.OpenIDMira)
	s.clock.advance(2*time.Hour - time.Second)
	if got := s.userInfo(access, "open_id"); got.status != 200 {
		t.Errorf("a second before expiry: %d %s", got.status, got.body)
	}
	s.clock.advance(time.Second)
	wantAPIError(t, s.userInfo(access, "open_id"), 401, "access_token_invalid")

	s.clock.advance(180 * 24 * time.Hour)
	wantError(t, s.refresh(refresh), 200, "invalid_grant")
}

func (s *sim) refresh(token string) reply {
	s.t.Helper()
	return s.token(credentials("grant_type", "refresh_token", "refresh_token", token))
}

func TestOwnLifetimes(t *testing.T) {
	s := start(t, tiktoksim.Options{CodeTTL: time.Second, AccessTokenTTL: time.Minute, RefreshTokenTTL: time.Hour})
	got := s.token(exchangeOf(s.code(tiktoksim.OpenIDMira)))
	if field(t, got, "expires_in") != "60" || field(t, got, "refresh_expires_in") != "3600" {
		t.Errorf("got %s", got.body)
	}
	code := s.code(tiktoksim.OpenIDMira)
	s.clock.advance(time.Second)
	wantError(t, s.token(exchangeOf(code)), 200, "invalid_grant")
}

func TestRefreshRotates(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	_, first := s.tokens(tiktoksim.OpenIDMira, "scope", "user.info.basic,user.info.profile")
	got := s.refresh(first)
	second := field(t, got, "refresh_token")
	if second == "" || second == first {
		t.Fatalf("got %s; want a new refresh token", got.body)
	}
	if scope := field(t, got, "scope"); scope != "user.info.basic,user.info.profile" {
		t.Errorf("scope = %q", scope)
	}
	wantError(t, s.refresh(first), 200, "invalid_grant")
	if got := s.userInfo(field(t, got, "access_token"), "username"); got.status != 200 {
		t.Errorf("new access token: %d %s", got.status, got.body)
	}
	wantError(t, s.refresh(""), 200, "invalid_request")
}

func TestClientCredentials(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	got := s.token(credentials("grant_type", "client_credentials"))
	access := field(t, got, "access_token")
	if got.status != 200 || !strings.HasPrefix(access, "clt.") ||
		field(t, got, "expires_in") != "7200" || field(t, got, "token_type") != "Bearer" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	wantAPIError(t, s.userInfo(access, "open_id"), 401, "access_token_invalid")
	bad := credentials("grant_type", "client_credentials", "client_secret", "x")
	wantError(t, s.token(bad), 200, "invalid_client")
}

func TestCodeIsSpentOnceUnderConcurrency(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	code := s.code(tiktoksim.OpenIDMira)
	const n = 50
	var won atomic.Int32
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			got, err := s.do(s.tokenRequest(exchangeOf(code)))
			if err == nil && strings.Contains(got.body, `"access_token"`) {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || s.Exchanges() != n {
		t.Errorf("won %d of %d; want 1 of %d", won.Load(), s.Exchanges(), n)
	}
}

func TestRevoke(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	access, refresh := s.tokens(tiktoksim.OpenIDMira)
	other, _ := s.tokens(tiktoksim.OpenIDLayla)
	revoke := func(v url.Values) reply {
		return s.must(s.request("POST", "/v2/oauth/revoke/", form, v.Encode()))
	}
	wantError(t, revoke(credentials()), 200, "invalid_request")
	wantError(t, revoke(credentials("token", access, "client_key", "x")), 200, "invalid_client")
	if got := revoke(credentials("token", access)); got.status != 200 || got.body != "" {
		t.Errorf("got %d %q; want 200 and an empty body", got.status, got.body)
	}
	wantError(t, revoke(credentials("token", access)), 200, "invalid_grant")
	wantAPIError(t, s.userInfo(access, "open_id"), 401, "access_token_invalid")
	wantError(t, s.refresh(refresh), 200, "invalid_grant")
	if got := s.userInfo(other, "open_id"); got.status != 200 {
		t.Errorf("another person's token: %d %s", got.status, got.body)
	}
}

func TestPKCE(t *testing.T) {
	verifier := strings.Repeat("aB3-._~", 8)
	sum := sha256.Sum256([]byte(verifier))
	inHex, in64 := hex.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:])
	tests := []struct {
		name, mode, challenge, verifier string
		badCode, badExchange            bool
	}{
		{"tolerate: none", "", "", "", false, false},
		{"tolerate: verifier only", "", "", verifier, false, false},
		{"tolerate: hex", "", inHex, verifier, false, false},
		{"tolerate: base64url", "", in64, verifier, false, false},
		{"tolerate: no verifier", "", in64, "", false, true},
		{"tolerate: wrong verifier", "", inHex, verifier + "x", false, true},
		{"tolerate: short verifier", "", inHex, "x", false, true},
		{"tolerate: nonsense", "", "abc", verifier, true, false},
		{"tolerate: upper-case hex", "", strings.ToUpper(inHex), verifier, true, false},
		{"off: none", "off", "", "", false, false},
		{"off: wrong", "off", in64, "x", false, false},
		{"hex: right", "hex", inHex, verifier, false, false},
		{"hex: missing", "hex", "", "", true, false},
		{"hex: base64url", "hex", in64, verifier, true, false},
		{"hex: wrong verifier", "hex", inHex, verifier + "x", false, true},
		{"base64url: right", "base64url", in64, verifier, false, false},
		{"base64url: hex", "base64url", inHex, verifier, true, false},
		{"base64url: no verifier", "base64url", in64, "", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tiktoksim.Options{PKCE: tt.mode})
			page := s.get("/v2/auth/authorize/?" + authorizeQuery(
				set("code_challenge", tt.challenge), set("code_challenge_method", "S256")))
			got := s.postJSON("/sim/codes", map[string]string{
				"open_id": "o", "redirect_uri": callback, "code_challenge": tt.challenge,
			})
			if tt.badCode {
				wantError(t, got, 400, "invalid_request")
				wantErrorPage(t, page, "code_challenge")
				return
			}
			if page.status != 200 {
				t.Errorf("consent page: %d", page.status)
			}
			got = s.token(exchangeOf(field(t, got, "code"), "code_verifier", tt.verifier))
			if tt.badExchange {
				wantError(t, got, 200, "invalid_request")
				return
			}
			if field(t, got, "access_token") == "" {
				t.Errorf("got %s; want tokens", got.body)
			}
		})
	}
}
