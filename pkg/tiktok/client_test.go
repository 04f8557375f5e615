package tiktok_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jarcoal/httpmock"
	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tokenURL = "https://open.tiktokapis.com/v2/oauth/token/"
	infoURL  = "https://open.tiktokapis.com/v2/user/info/"
	endURL   = "https://open.tiktokapis.com/v2/oauth/revoke/"

	openID   = "-000QDO1aBcDeFgHiJkLmNoPqRsTuVw0hXui"
	callback = "https://app.example/native-callback"
	scope    = "user.info.basic,user.info.stats"

	// Canaries: whatever prints one of them outside a request to TikTok has a leak.
	secret       = "canary-secret-4f0c"
	code         = "canary-code-BELY*0!6410.va"
	verifier     = "canary-pkce-0123456789-0123456789-0123456789"
	accessToken  = "act.canary-access!5194.va"
	refreshToken = "rft.canary-refresh!5195.va"
)

var (
	grant    = signin.Grant{Code: code, RedirectURI: callback, CodeVerifier: verifier}
	identity = signin.Identity{
		OpenID: openID, Scopes: []string{"user.info.basic", "user.info.stats"},
		AccessToken: accessToken, RefreshToken: refreshToken,
		ExpiresIn: 2 * time.Hour, RefreshExpiresIn: 180 * 24 * time.Hour,
	}
)

const tokenOK = `{"access_token":"` + accessToken + `","expires_in":7200,"open_id":"` + openID +
	`","refresh_expires_in":15552000,"refresh_token":"` + refreshToken + `","scope":"` + scope +
	`","token_type":"Bearer"}`

func newClient(transport http.RoundTripper, edit ...func(*tiktok.Options)) *tiktok.Client {
	opts := tiktok.Options{ClientKey: "aw123", ClientSecret: secret, Transport: transport}
	for _, e := range edit {
		e(&opts)
	}
	return tiktok.New(opts)
}

// answering returns a transport with one answer at one address.
func answering(method, url string, r httpmock.Responder) *httpmock.MockTransport {
	m := httpmock.NewMockTransport()
	m.RegisterResponder(method, url, r)
	return m
}

// response is an answer with a status, a body and pairs of header fields.
func response(status int, body string, header ...string) httpmock.Responder {
	return func(*http.Request) (*http.Response, error) {
		resp := httpmock.NewStringResponse(status, body)
		for i := 0; i < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

// wantCalls compares the calls a mock took, those to unknown addresses included.
func wantCalls(t *testing.T, m *httpmock.MockTransport, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, m.GetCallCountInfo()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	total := 0
	for _, n := range want {
		total += n
	}
	if got := m.GetTotalCallCount(); got != total {
		t.Errorf("got %d calls in all; want %d", got, total)
	}
}

func TestClient_AuthorizeURL(t *testing.T) {
	t.Parallel()
	base := url.Values{
		"client_key": {"aw123"}, "response_type": {"code"}, "scope": {"user.info.basic"},
		"redirect_uri": {callback}, "state": {"uuid|myapp"},
	}
	with := func(pairs ...string) url.Values {
		v := url.Values{}
		for k := range base {
			v.Set(k, base.Get(k))
		}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	request := signin.AuthorizeRequest{RedirectURI: callback, State: "uuid|myapp", Verifier: rfcVerifier}
	choosing := request
	choosing.SelectAccount = true
	odd := request
	odd.State = "a b&c=d#e+f%g\"<ü"
	tests := []struct {
		name string
		edit func(*tiktok.Options)
		in   signin.AuthorizeRequest
		base string
		want url.Values
	}{
		{"plain", nil, request, tiktok.DefaultAuthorizeURL, with()},
		{"choice of account", nil, choosing, tiktok.DefaultAuthorizeURL, with("disable_auto_auth", "1")},
		{"odd state", nil, odd, tiktok.DefaultAuthorizeURL, with("state", odd.State)},
		{
			"more scopes", func(o *tiktok.Options) {
				o.Scopes = []string{"user.info.basic", "user.info.stats"}
			}, request,
			tiktok.DefaultAuthorizeURL, with("scope", scope),
		},
		{"PKCE off", func(o *tiktok.Options) { o.PKCE = tiktok.PKCEOff }, request, tiktok.DefaultAuthorizeURL, with()},
		{
			"PKCE hex", func(o *tiktok.Options) { o.PKCE = tiktok.PKCEHex }, request, tiktok.DefaultAuthorizeURL,
			with("code_challenge", hexChallenge, "code_challenge_method", "S256"),
		},
		{
			"PKCE base64url", func(o *tiktok.Options) {
				o.PKCE = tiktok.PKCEBase64URL
			}, request, tiktok.DefaultAuthorizeURL,
			with("code_challenge", rfcChallenge, "code_challenge_method", "S256"),
		},
		{
			"simulator", func(o *tiktok.Options) {
				o.AuthorizeURL = "http://127.0.0.1:8081/v2/auth/authorize/"
			}, request,
			"http://127.0.0.1:8081/v2/auth/authorize/", with(),
		},
		{
			"address with a query", func(o *tiktok.Options) {
				o.AuthorizeURL = "https://www.tiktok.com/a?lang=de"
			}, request,
			"https://www.tiktok.com/a", with("lang", "de"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			edit := tt.edit
			if edit == nil {
				edit = func(*tiktok.Options) {}
			}
			raw := newClient(httpmock.NewMockTransport(), edit).AuthorizeURL(tt.in)
			before, query, _ := strings.Cut(raw, "?")
			got, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.base, before); diff != "" {
				t.Errorf("address (-want +got):\n%s", diff)
			}
			// The whole query: no client_id, no client_secret, no disable_auto_auth unasked.
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
			if strings.Contains(raw, secret) || strings.Contains(raw, rfcVerifier) {
				t.Errorf("got a secret in %s", raw)
			}
		})
	}
}

func TestClient_Exchange_request(t *testing.T) {
	t.Parallel()
	base := url.Values{
		"client_key": {"aw123"}, "client_secret": {secret}, "code": {code},
		"grant_type": {"authorization_code"}, "redirect_uri": {callback},
	}
	withVerifier := url.Values{"code_verifier": {verifier}}
	for k, v := range base {
		withVerifier[k] = v
	}
	tests := []struct {
		name string
		in   signin.Grant
		want url.Values
	}{
		{"without PKCE", signin.Grant{Code: code, RedirectURI: callback}, base},
		{"with PKCE", grant, withVerifier},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var req *http.Request
			var raw string
			m := answering(http.MethodPost, tokenURL, func(r *http.Request) (*http.Response, error) {
				b, err := io.ReadAll(r.Body)
				req, raw = r, string(b)
				return httpmock.NewStringResponse(http.StatusOK, tokenOK), err
			})
			got, err := newClient(m).Exchange(t.Context(), tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(identity, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			form, err := url.ParseQuery(raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
			if !strings.Contains(raw, "code=canary-code-BELY%2A0%216410.va&") {
				t.Errorf("got %s; want the code encoded exactly once", raw)
			}
			if got := req.URL.String(); got != tokenURL {
				t.Errorf("got %s; want nothing in the query", got)
			}
			header := map[string]string{
				"Content-Type":  req.Header.Get("Content-Type"),
				"Cache-Control": req.Header.Get("Cache-Control"),
				"Accept":        req.Header.Get("Accept"),
				"Authorization": req.Header.Get("Authorization"),
			}
			wantHeader := map[string]string{
				"Content-Type": "application/x-www-form-urlencoded", "Cache-Control": "no-cache",
				"Accept": "application/json", "Authorization": "",
			}
			if diff := cmp.Diff(wantHeader, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			wantCalls(t, m, map[string]int{"POST " + tokenURL: 1})
		})
	}
}

// Answers that are good in spite of their looks: the body decides.
func TestClient_Exchange_accepted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		r    httpmock.Responder
		want signin.Identity
	}{
		{"labelled HTML", response(200, tokenOK, "Content-Type", "text/html"), identity},
		{
			"empty error", response(200, `{"open_id":"o","access_token":"a","error":"","error_description":""}`),
			signin.Identity{OpenID: "o", AccessToken: "a"},
		},
		{
			"error null", response(200, `{"open_id":"o","access_token":"a","error":null}`),
			signin.Identity{OpenID: "o", AccessToken: "a"},
		},
		{
			"nested ok", response(
				200, `{"open_id":"o","access_token":"a","error":{"code":"ok","message":"","log_id":"1"}}`,
			),
			signin.Identity{OpenID: "o", AccessToken: "a"},
		},
		{
			"nested 0", response(200, `{"open_id":"o","access_token":"a","error":{"code":0,"message":"","log_id":1}}`),
			signin.Identity{OpenID: "o", AccessToken: "a"},
		},
		{
			"members of tomorrow", response(
				200, `{"open_id":"o","access_token":"a","scope":"user.info.basic","x":{"y":[1]}}`,
			),
			signin.Identity{OpenID: "o", AccessToken: "a", Scopes: []string{"user.info.basic"}},
		},
		{
			"scopes with spaces", response(
				200, `{"open_id":"o","access_token":"a","scope":"user.info.basic, user.info.stats,"}`,
			),
			signin.Identity{OpenID: "o", AccessToken: "a", Scopes: []string{"user.info.basic", "user.info.stats"}},
		},
		{
			"open_id once more in capitals", response(200, `{"open_id":"o","OPEN_ID":"mallory","access_token":"a"}`),
			signin.Identity{OpenID: "o", AccessToken: "a"},
		},
		{
			"lifetimes as text", response(
				200, `{"open_id":"o","access_token":"a","expires_in":"60","refresh_expires_in":"3600"}`,
			),
			signin.Identity{OpenID: "o", AccessToken: "a", ExpiresIn: time.Minute, RefreshExpiresIn: time.Hour},
		},
		{
			"lifetimes that are none", response(
				200, `{"open_id":"o","access_token":"a","expires_in":-1,"refresh_expires_in":1.5}`,
			),
			signin.Identity{OpenID: "o", AccessToken: "a"},
		},
		{
			"a lifetime beyond all bounds", response(
				200, `{"open_id":"o","access_token":"a","expires_in":9223372036854775807}`,
			),
			signin.Identity{OpenID: "o", AccessToken: "a", ExpiresIn: 100 * 365 * 24 * time.Hour},
		},
		{
			"case of the open_id", response(200, `{"open_id":"-000AbC","access_token":"a"}`),
			signin.Identity{OpenID: "-000AbC", AccessToken: "a"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := newClient(answering(http.MethodPost, tokenURL, tt.r)).Exchange(t.Context(), grant)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

// Half a character decodes to U+FFFD like any other half, so its owner cannot be told from others. Names may
// have one: TikTok cuts them in the middle of an emoji.
func TestClient_Exchange_brokenOpenID(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"no UTF-8":                    "-000canary\xff",
		"cut in the middle":           "-000canary\xf0\x9f\x98",
		"overlong slash":              "-000canary\xc0\xaf",
		"surrogate in UTF-8":          "-000canary\xed\xa0\x80",
		"lone high surrogate":         `-000canary\ud83d`,
		"lone low surrogate":          `-000canary\uDE00`,
		"surrogates swapped":          `-000canary\ude00\ud83d`,
		"the replacement character":   "-000canary\uFFFD",
		"that character, written out": `-000canary\ufffd`,
		"zero":                        `-000canary\u0000`,
		"line break":                  `-000canary\n`,
		"delete":                      "-000canary\x7f",
		"control of Latin-1":          `-000canary\u0085`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := answering(http.MethodPost, tokenURL, response(200, `{"access_token":"a","open_id":"`+raw+`"}`))
			id, err := newClient(m).Exchange(t.Context(), grant)
			wantVerdict(t, err, verdict{signin.TikTokUnavailable, "token", 0, tiktokAnswer(200, "", "")})
			wantQuiet(t, err)
			if id.OpenID != "" || !strings.Contains(err.Error(), "open_id") {
				t.Errorf("got %q, %v; want nobody, and a cause that names the open_id", id.OpenID, err)
			}
		})
	}
}

func TestClient_Profile_request(t *testing.T) {
	t.Parallel()
	var req *http.Request
	m := answering(http.MethodGet, infoURL, func(r *http.Request) (*http.Response, error) {
		req = r
		return httpmock.NewStringResponse(http.StatusOK, userInfo(`"open_id":"`+openID+`"`)), nil
	})
	if _, err := newClient(m).Profile(t.Context(), identity); err != nil {
		t.Fatal(err)
	}
	if got, want := req.URL.RawQuery, "fields=open_id,union_id,display_name,avatar_url"; got != want {
		t.Errorf("got query %q; want %q", got, want)
	}
	if got, want := req.Header.Get("Authorization"), "Bearer "+accessToken; got != want {
		t.Errorf("got Authorization %q; want %q", got, want)
	}
	if req.Body != nil && req.Body != http.NoBody {
		t.Error("got a body in a GET; want none")
	}
	if got := m.GetTotalCallCount(); got != 1 {
		t.Errorf("got %d calls; want 1", got)
	}
}

func userInfo(members string) string {
	return `{"data":{"user":{` + members + `}},"error":{"code":"ok","message":"","log_id":"2026"}}`
}

func TestClient_Profile(t *testing.T) {
	t.Parallel()
	const signed = "https://p16-sign-va.tiktokcdn.com/musically-maliva-obj/1~c5_168x168.jpeg" +
		"?x-expires=1700000000&x-signature=aB%2Bc%2f%3D&a=b+c%20d;e"
	tests := []struct {
		name    string
		members string
		want    signin.Profile
	}{
		{
			"all", `"union_id":"u-1","display_name":"Mira","avatar_url":"` + signed + `"`,
			signin.Profile{UnionID: "u-1", DisplayName: "Mira", AvatarURL: signed},
		},
		{
			"slash escaped as PHP does", `"avatar_url":"https:\/\/p16.tiktokcdn.com\/a.jpeg?x=1\u0026y=2"`,
			signin.Profile{AvatarURL: "https://p16.tiktokcdn.com/a.jpeg?x=1&y=2"},
		},
		{
			"avatar with odd characters", `"avatar_url":"https://p16.tiktokcdn.com/tos|a~ü b.jpeg?x=1#"`,
			signin.Profile{AvatarURL: "https://p16.tiktokcdn.com/tos|a~ü b.jpeg?x=1#"},
		},
		{"nothing", `"x":1`, signin.Profile{}},
		{"null", `"union_id":null,"display_name":null,"avatar_url":null`, signin.Profile{}},
		{
			"any name goes through unchanged", `"display_name":"<b>\u0000ليلى 🦊\u202e"`,
			signin.Profile{DisplayName: "<b>\x00ليلى 🦊\u202e"},
		},
		{"avatar that runs", `"avatar_url":"javascript:alert(1)"`, signin.Profile{}},
		{"avatar that runs, spelt", `"avatar_url":"JaVaScRiPt:alert(1)"`, signin.Profile{}},
		{"avatar that runs, with host", `"avatar_url":"javascript://x.example/%0aalert(1)"`, signin.Profile{}},
		{"avatar that runs, with space", `"avatar_url":" javascript:alert(1)"`, signin.Profile{}},
		{"avatar that runs, with tab", `"avatar_url":"java\tscript:alert(1)"`, signin.Profile{}},
		{"avatar of data", `"avatar_url":"data:image/svg+xml,<svg/>"`, signin.Profile{}},
		{"avatar of a file", `"avatar_url":"file:///etc/passwd"`, signin.Profile{}},
		{"avatar without scheme", `"avatar_url":"//p16.tiktokcdn.com/a.jpeg"`, signin.Profile{}},
		{"avatar as path", `"avatar_url":"/a.jpeg"`, signin.Profile{}},
		{"avatar without host", `"avatar_url":"https:a.jpeg"`, signin.Profile{}},
		{"avatar with line break", `"avatar_url":"https://p16.tiktokcdn.com/a\n.jpeg"`, signin.Profile{}},
		{"half an emoji", `"display_name":"Mira \ud83d"`, signin.Profile{DisplayName: "Mira \uFFFD"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := userInfo(`"open_id":"` + openID + `",` + tt.members)
			m := answering(http.MethodGet, infoURL, response(200, body))
			got, err := newClient(m).Profile(t.Context(), identity)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("profile (-want +got):\n%s", diff)
			}
		})
	}
}

// What an answer lacks is in the log, by its name.
func TestClient_lacking(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{}`: "answer lacks data",
		`{"data":[{"user":{}}],"error":{"code":"ok"}}`: "answer's data is not an object",
		`{"data":{"user":null},"error":{"code":"ok"}}`: "answer lacks data.user",
		`{"data":{"user":"x"},"error":{"code":"ok"}}`:  "answer's data.user is not an object",
		userInfo(`"open_id":null`):                     "answer lacks data.user.open_id",
		userInfo(`"open_id":7`):                        "answer's data.user.open_id is not a string",
		userInfo(`"open_id":"-000SomebodyElse"`):       "user info belongs to another person than the token",
	} {
		_, err := newClient(answering(http.MethodGet, infoURL, response(200, body))).Profile(t.Context(), identity)
		wantCause(t, body, err, want)
	}
	for body, want := range map[string]string{
		`{"access_token":"a"}`:                 "answer lacks open_id",
		`{"open_id":"o"}`:                      "answer lacks access_token",
		`{"access_token":"a","open_id":["o"]}`: "answer's open_id is not a string",
	} {
		_, err := newClient(answering(http.MethodPost, tokenURL, response(200, body))).Exchange(t.Context(), grant)
		wantCause(t, body, err, want)
	}
}

func wantCause(t *testing.T, body string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = fmt.Sprint(errors.Unwrap(err))
	}
	if got != want {
		t.Errorf("%s: the cause is %q; want %q", body, got, want)
	}
}

func TestClient_Profile_scopes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		scopes []string
		calls  int
	}{
		{"basic", []string{"user.info.basic"}, 1},
		{"basic among others", []string{"user.info.stats", "user.info.basic"}, 1},
		{"unknown", nil, 1},
		{"without basic", []string{"user.info.stats"}, 0},
		{"look-alike", []string{"user.info.basic2"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := answering(
				http.MethodGet, infoURL, response(200, userInfo(`"open_id":"`+openID+`","display_name":"Mira"`)),
			)
			id := identity
			id.Scopes = tt.scopes
			got, err := newClient(m).Profile(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			want := signin.Profile{}
			if tt.calls > 0 {
				want.DisplayName = "Mira"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("profile (-want +got):\n%s", diff)
			}
			if got := m.GetTotalCallCount(); got != tt.calls {
				t.Errorf("got %d calls; want %d", got, tt.calls)
			}
		})
	}
}

// Redirect answers carry the way to another host: nothing is sent there, and a Location that cannot
// be parsed is not quoted either.
func TestClient_redirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{"https://elsewhere.example/", "https://%zz/" + code, ""} {
			t.Run(fmt.Sprintf("%d %s", status, location), func(t *testing.T) {
				t.Parallel()
				m := httpmock.NewMockTransport()
				redirect := response(status, "", "Location", location)
				m.RegisterResponder(http.MethodPost, tokenURL, redirect)
				m.RegisterResponder(http.MethodGet, infoURL, redirect)
				var elsewhere atomic.Int32
				m.RegisterNoResponder(func(*http.Request) (*http.Response, error) {
					elsewhere.Add(1)
					return httpmock.NewStringResponse(http.StatusOK, tokenOK), nil
				})
				c := newClient(m)
				_, err := c.Exchange(t.Context(), grant)
				wantVerdict(t, err, verdict{signin.TikTokUnavailable, "token", 0, tiktokAnswer(status, "", "")})
				wantQuiet(t, err)
				_, err = c.Profile(t.Context(), identity)
				wantVerdict(t, err, verdict{signin.TikTokUnavailable, "user_info", 0, tiktokAnswer(status, "", "")})
				wantQuiet(t, err)
				if n := elsewhere.Load(); n != 0 {
					t.Errorf("got %d calls elsewhere; want none", n)
				}
				if n := m.GetTotalCallCount(); n != 2 {
					t.Errorf("got %d calls; want 2", n)
				}
			})
		}
	}
}

// stuck answers only when the request ends, as a TikTok that hangs.
func stuck(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// stuckBody sends the header and half of the body and then nothing.
func stuckBody(r *http.Request) (*http.Response, error) {
	rest, w := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = w.CloseWithError(r.Context().Err()) })
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{},
		Body:       io.NopCloser(io.MultiReader(strings.NewReader(tokenOK[:20]), rest)),
		Request:    r,
	}, nil
}

func TestClient_timeout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		timeout time.Duration // of the client
		context time.Duration // of the caller, 0 for none
		answer  httpmock.Responder
		want    time.Duration
	}{
		{"default", 0, 0, stuck, 10 * time.Second},
		{"configured", 3 * time.Second, 0, stuck, 3 * time.Second},
		{"body stops", 3 * time.Second, 0, stuckBody, 3 * time.Second},
		{"caller has less time", 3 * time.Second, time.Second, stuck, time.Second},
		{"caller has more time", 3 * time.Second, time.Minute, stuck, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := httpmock.NewMockTransport()
				m.RegisterResponder(http.MethodPost, tokenURL, tt.answer)
				m.RegisterResponder(http.MethodGet, infoURL, tt.answer)
				c := newClient(m, func(o *tiktok.Options) { o.Timeout = tt.timeout })
				calls := map[string]func(context.Context) error{
					"token":     func(ctx context.Context) error { _, err := c.Exchange(ctx, grant); return err },
					"user_info": func(ctx context.Context) error { _, err := c.Profile(ctx, identity); return err },
				}
				for name, call := range calls {
					ctx := t.Context()
					if tt.context > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, tt.context)
						defer cancel()
					}
					start := time.Now()
					err := call(ctx)
					if got := time.Since(start); got != tt.want {
						t.Errorf("%s: gave up after %v; want %v", name, got, tt.want)
					}
					if !errors.Is(err, context.DeadlineExceeded) || signin.CodeOf(err) != signin.TikTokUnavailable {
						t.Errorf("%s: got %v; want a deadline and %s", name, err, signin.TikTokUnavailable)
					}
					wantQuiet(t, err)
				}
				if n := m.GetTotalCallCount(); n != 2 {
					t.Errorf("got %d calls; want one for each", n)
				}
			})
		})
	}
}

func TestClient_cancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := answering(http.MethodPost, tokenURL, stuck)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := newClient(m).Exchange(ctx, grant)
		if !errors.Is(err, context.Canceled) || signin.CodeOf(err) != signin.TikTokUnavailable {
			t.Errorf("got %v; want %v as %s", err, context.Canceled, signin.TikTokUnavailable)
		}
		wantQuiet(t, err)
		wantCalls(t, m, map[string]int{"POST " + tokenURL: 1})
	})
}

// counting is a server that counts its connections.
func counting(t *testing.T, h http.Handler) (srv *httptest.Server, connections *atomic.Int32) {
	t.Helper()
	connections = new(atomic.Int32)
	srv = httptest.NewUnstartedServer(h)
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, connections
}

// over returns a client with a transport of its own that talks to a server on this machine.
func over(t *testing.T, api string, edit ...func(*tiktok.Options)) *tiktok.Client {
	t.Helper()
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	return newClient(transport, append([]func(*tiktok.Options){func(o *tiktok.Options) { o.APIURL = api }}, edit...)...)
}

// Good answers and bad ones leave the connection to the next call: a handshake costs more than the
// rest of a sign-in.
func TestClient_reusesConnection(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	srv, connections := counting(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := calls.Add(1); {
		case r.URL.Path == "/v2/user/info/":
			_, _ = io.WriteString(w, userInfo(`"open_id":"`+openID+`"`))
		case n%3 == 0:
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, strings.Repeat("<p>bad gateway</p>", 5000))
		case n%4 == 0:
			_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
		default:
			_, _ = io.WriteString(w, tokenOK+strings.Repeat(" ", 20000))
		}
	}))
	c := over(t, srv.URL+"/") // a trailing slash in the setting does no harm
	for range 12 {
		_, _ = c.Exchange(t.Context(), grant)
		if _, err := c.Profile(t.Context(), identity); err != nil {
			t.Fatal(err)
		}
	}
	if got := connections.Load(); got != 1 {
		t.Errorf("got %d connections for 24 calls; want 1", got)
	}
}

// A client that gets into a log shows nothing.
func TestClient_prints(t *testing.T) {
	t.Parallel()
	c := newClient(httpmock.NewMockTransport())
	for _, out := range printed(c) {
		if strings.Contains(out, "canary") {
			t.Errorf("got %s; want no secret", out)
		}
	}
}

// TestClient_breaker: a TikTok that is down is asked ten times and then not at all, each code once; who
// comes next is told at once and keeps the code. That profiles cannot be read keeps nobody out.
func TestClient_breaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := httpmock.NewMockTransport()
		m.RegisterResponder(http.MethodPost, tokenURL, httpmock.NewStringResponder(http.StatusServiceUnavailable, "{}"))
		m.RegisterResponder(http.MethodGet, infoURL, httpmock.NewErrorResponder(io.ErrUnexpectedEOF))
		guarded := func() http.RoundTripper {
			return upstream.NewBreaker(m, upstream.BreakerOptions{Service: "tiktok", Timeout: 10 * time.Second})
		}
		c := newClient(guarded(), func(o *tiktok.Options) { o.ProfileTransport = guarded() })
		for range 20 {
			_, _ = c.Profile(t.Context(), identity)
		}
		for range 10 {
			_, _ = c.Exchange(t.Context(), grant)
		}
		wantCalls(t, m, map[string]int{"POST " + tokenURL: 10, "GET " + infoURL: 10})

		start := time.Now()
		_, err := c.Exchange(t.Context(), grant)
		e := signin.AsError(err)
		if e.Code != signin.TikTokUnavailable || e.RetryAfter != 5*time.Second || time.Since(start) != 0 {
			t.Errorf("got %+v after %v; want tiktok_unavailable with 5s to wait, at once", e, time.Since(start))
		}
		wantQuiet(t, err)
		wantCalls(t, m, map[string]int{"POST " + tokenURL: 10, "GET " + infoURL: 10})

		m.RegisterResponder(http.MethodPost, tokenURL, httpmock.NewStringResponder(http.StatusOK, tokenOK))
		time.Sleep(6 * time.Second)
		if _, err := c.Exchange(t.Context(), grant); err != nil {
			t.Errorf("TikTok is back: %v", err)
		}
	})
}
