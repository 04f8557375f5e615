package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
)

const (
	startPath    = "/api/auth/tiktok/start"
	callbackPath = "/api/auth/tiktok/callback"
	redeemPath   = "/api/auth/tiktok/redeem"
	publicURL    = "https://signin.app.example"
	appVerifier  = "verifier-of-the-app-0123456789-0123456789-01"

	forPeople  = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" // as browsers send it
	forScripts = "application/json"
)

// challenge is what an app makes of appVerifier.
func challenge() string {
	sum := sha256.Sum256([]byte(appVerifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// leading stands for TikTok where the bridge leads; its addresses are the real ones.
type leading struct{ people }

var realTikTok = tiktok.New(tiktok.Options{ClientKey: "awkey"})

// AuthorizeURL implements signin.Authenticator.
func (leading) AuthorizeURL(r signin.AuthorizeRequest) string { return realTikTok.AuthorizeURL(r) }

// CodeVerifier implements signin.Authenticator.
func (leading) CodeVerifier(verifier string) string { return realTikTok.CodeVerifier(verifier) }

// everything is a policy that allows all there is.
type everything struct{}

func (everything) RedirectURI(string) bool { return true }

func (everything) Scheme(string) bool { return true }

func (everything) ReturnTo(string) bool { return true }

// hostedOptions are what a test of the hosted flow may adjust.
type hostedOptions struct {
	people people
	policy signin.Policy
	tokens bool
	// sessions are signed out when TikTok says so.
	sessions signin.Sessions
	quiet    bool // keep no log
	clients  []provider.Client
	options  server.Options
}

// newHosted returns a server that has the hosted flow on, with real seals and claims.
func newHosted(tb testing.TB, adjust ...func(*hostedOptions)) bridge {
	tb.Helper()
	lists, err := allow.New(
		[]string{appOrigin, publicURL}, []string{appOrigin + "/auth"}, []string{"myapp", "com.example.other"},
	)
	if err != nil {
		tb.Fatal(err)
	}
	o := hostedOptions{policy: lists, options: server.Options{
		GuideFlow: true, Allow: lists, AuthPath: "/auth", DefaultRedirect: "/", PublicURL: publicURL,
		StartPage: appOrigin + "/",
	}}
	for _, f := range adjust {
		f(&o)
	}
	ring, err := seal.New("0123456789abcdef0123456789abcdef")
	if err != nil {
		tb.Fatal(err)
	}
	b := bridge{log: &logBuffer{}}
	if !o.quiet {
		if o.options.Logger, err = telemetry.NewLogger(b.log, "json", "debug"); err != nil {
			tb.Fatal(err)
		}
	}
	claims := once.NewMemory(1000)
	service := signin.New(signin.Options{
		Authenticator: leading{o.people}, Accounts: o.people, Policy: o.policy, Sealer: ring,
		Once:        claims,
		CallbackURL: server.CallbackURL(o.options.PublicURL), DefaultScheme: "myapp",
		DefaultRedirect: o.options.StartPage,
		ReturnTokens:    o.tokens,
		Sessions:        o.sessions, OnRemoved: signin.RemovalSignOut,
	})
	tb.Cleanup(func() {
		if err := service.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	o.options.Service = service
	if len(o.clients) > 0 {
		o.options.Provider, err = provider.New(provider.Options{
			Issuer: publicURL, Clients: o.clients, Keys: signingKeys(), SignIns: service, Profiles: o.people,
			Sealer: ring, Once: claims, Logger: o.options.Logger,
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if b.Server, err = server.New(o.options); err != nil {
		tb.Fatal(err)
	}
	return b
}

func at(publicURL string) func(*hostedOptions) {
	return func(o *hostedOptions) { o.options.PublicURL = publicURL }
}

func with(p people) func(*hostedOptions) { return func(o *hostedOptions) { o.people = p } }

// query makes a target of a path and of name, value, name, value.
func query(path string, values ...string) string {
	q := url.Values{}
	for i := 0; i < len(values); i += 2 {
		q.Add(values[i], values[i+1])
	}
	return path + "?" + q.Encode()
}

// started is a flow that waits for TikTok.
type started struct{ state, cookie string }

// begin starts a flow and goes to TikTok's door.
func (b bridge) begin(t *testing.T, values ...string) started {
	t.Helper()
	resp := b.do(t, http.MethodGet, query(startPath, values...), "")
	location := wantRedirect(t, resp)
	cookies := resp.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("start sets %d cookies; want 1", len(cookies))
	}
	return started{location.Query().Get("state"), cookies[0].Name + "=" + cookies[0].Value}
}

func wantRedirect(t *testing.T, resp *http.Response) *url.URL {
	t.Helper()
	if resp.StatusCode != http.StatusFound {
		t.Fatalf("status is %d; want 302; body: %s", resp.StatusCode, readBody(t, resp))
	}
	location := resp.Header.Get("Location")
	if strings.ContainsAny(location, "\r\n\x00 <>\"") {
		t.Errorf("Location is %q; want no character that a header or a page minds", location)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// handoffOf takes a flow on the web to its handoff.
func (b bridge) handoffOf(t *testing.T, s started) string {
	t.Helper()
	resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Cookie", s.cookie)
	return wantRedirect(t, resp).Query().Get("tikbridge_handoff")
}

// TestHosted_rateLimits: each route has its own limit, and a person is told on a page.
func TestHosted_rateLimits(t *testing.T) {
	t.Parallel()
	start := query(startPath, "platform", "web")
	b := newHosted(t, func(o *hostedOptions) { o.options.StartPerMinute, o.options.RedeemPerMinute = 7, 3 })
	for range 7 {
		wantStatus(t, b.do(t, http.MethodGet, start, ""), http.StatusFound)
	}
	resp := b.do(t, http.MethodGet, start, "", "Origin", appOrigin)
	if got := resp.Header.Get("Retry-After"); got != "9" { // 60 s / 7, rounded up
		t.Errorf("Retry-After of start is %q; want 9", got)
	}
	if len(resp.Cookies()) != 0 {
		t.Error("a refused start sets a cookie")
	}
	wantGrant(t, resp, appOrigin, true)
	wantError(t, resp, http.StatusTooManyRequests, signin.RateLimited)

	resp = b.do(t, http.MethodGet, start, "", "Accept", forPeople)
	if got := resp.Header.Get("Retry-After"); got != "9" || resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the page has status %d and Retry-After %q; want 429 and 9", resp.StatusCode, got)
	}
	wantPage(t, resp, "problem", "Too many sign-ins from this address. Please wait a moment.")
	if line := b.log.last(t); line["error"] != "rate_limited" && line["code"] != "rate_limited" {
		t.Errorf("the log line is %v; want the error in it", line)
	}

	for range 3 {
		wantError(t, b.do(t, http.MethodPost, redeemPath, "{}"), http.StatusBadRequest, signin.InvalidRequest)
	}
	resp = b.do(t, http.MethodPost, redeemPath, "{}", "Accept", forPeople)
	if got := resp.Header.Get("Retry-After"); got != "20" {
		t.Errorf("Retry-After of redeem is %q; want 20", got)
	}
	wantError(t, resp, http.StatusTooManyRequests, signin.RateLimited)
	// Neither limit is the callback's, and a preflight is free.
	wantError(t, b.do(t, http.MethodGet, callbackPath, ""), http.StatusBadRequest, signin.InvalidState)
	wantStatus(
		t, b.do(t, http.MethodOptions, redeemPath, "", "Origin", appOrigin, "Access-Control-Request-Method", "POST"),
		http.StatusNoContent,
	)
	// Another address is somebody else.
	req := httptest.NewRequest(http.MethodGet, start, http.NoBody)
	req.RemoteAddr = "203.0.113.9:1"
	wantStatus(t, b.serve(req), http.StatusFound)
}

// TestCORS: pages of the app may call and read the answer, and nobody else's. Credentials are granted where a
// cookie is looked at and where Despia's component asks with them, and nowhere else.
func TestCORS(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	tests := []struct {
		method, path string
		credentials  string
	}{
		{http.MethodPost, redeemPath, "true"},
		{http.MethodGet, startPath, ""},
		{http.MethodPost, exchangePath, "true"},
		{http.MethodPost, functionPath, "true"},
	}
	origins := map[string]bool{appOrigin: true, publicURL: true}
	for _, origin := range []string{
		"", "https://evil.example", "null", "http://app.example", appOrigin + ":8443", appOrigin + ":443", appOrigin + "/",
		"https://APP.example", "https://x.app.example", appOrigin + ".evil.example", "*",
	} {
		origins[origin] = false
	}
	for _, tt := range tests {
		for origin, allowed := range origins {
			preflight := b.preflight(t, tt.path, origin, tt.method, "content-type,cookie")
			answer := b.do(t, tt.method, tt.path, "{}", "Origin", origin)
			credentials, exposed := tt.credentials, "X-Request-Id,Retry-After"
			if !allowed {
				credentials, exposed = "", ""
			}
			for what, resp := range map[string]*http.Response{"preflight": preflight, "answer": answer} {
				if allowed || what == "answer" {
					wantGrant(t, resp, origin, allowed)
				} else if got, ok := resp.Header["Access-Control-Allow-Origin"]; ok {
					t.Errorf("the preflight of %s grants %q to %q", tt.path, got, origin)
				}
				if got := strings.Join(resp.Header["Access-Control-Allow-Credentials"], ","); got != credentials {
					t.Errorf("%s of %s for %q: Access-Control-Allow-Credentials is %q; want %q",
						what, tt.path, origin, got, credentials)
				}
			}
			if got := answer.Header.Get("Access-Control-Expose-Headers"); got != exposed {
				t.Errorf("%s for %q: Access-Control-Expose-Headers is %q; want %q", tt.path, origin, got, exposed)
			}
			switch {
			case allowed:
				wantStatus(t, preflight, http.StatusNoContent)
				for name, want := range map[string]string{
					"Access-Control-Allow-Methods": tt.method, "Access-Control-Max-Age": "600",
				} {
					if got := preflight.Header.Get(name); got != want {
						t.Errorf("%s of %s is %q; want %q", name, tt.path, got, want)
					}
				}
			case origin != "":
				wantError(t, preflight, http.StatusForbidden, signin.OriginNotAllowed)
				wantError(t, answer, http.StatusForbidden, signin.OriginNotAllowed)
			}
		}
	}
	// The callback is nobody's to call; echo answers its preflight without a grant.
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		resp := b.do(t, method, callbackPath, "", "Origin", appOrigin, "Access-Control-Request-Method", "GET")
		if got, ok := resp.Header["Access-Control-Allow-Origin"]; ok {
			t.Errorf("%s of the callback grants %q", method, got)
		}
	}
}

// TestHosted_off: without a public URL nothing is begun, and the log says what to set.
func TestHosted_off(t *testing.T) {
	t.Parallel()
	want := signin.CauseNoPublicURL.Message()
	b := newHosted(t, at(""))
	target := query(startPath, "platform", "web", "challenge", challenge())
	resp := b.do(t, http.MethodGet, target, "")
	if len(resp.Cookies()) != 0 {
		t.Error("a refused start sets a cookie")
	}
	if got := wantError(t, resp, http.StatusBadRequest, signin.InvalidRequest); got != want {
		t.Errorf("error_description is %q; want %q", got, want)
	}
	if got := textOf(t, readBody(t, b.do(t, http.MethodGet, target, "", "Accept", forPeople))); got != want {
		t.Errorf("the page says %q; want %q", got, want)
	}
	if got, fix := b.log.last(t)["fix"], signin.CauseNoPublicURL.Fix(); got != fix {
		t.Errorf("the log's fix is %q; want %q", got, fix)
	}
	// A state of a bridge that leads opens here too, since replicas share the key. It was made for
	// another redirect URI, which is TikTok's to refuse.
	wantError(
		t, b.do(t, http.MethodGet, query(callbackPath, "state", "x", "code", "c"), ""), http.StatusBadRequest,
		signin.InvalidState,
	)
	wantStatus(t, b.post(t, `{"code":"c","redirect_uri":"`+appOrigin+`/x"}`), http.StatusBadRequest)
	if got := server.CallbackURL(""); got != "" {
		t.Errorf("the callback of no URL is %q", got)
	}
}

// TestReadyz_notes: a bridge that works, but not as it should, is ready and says so.
func TestReadyz_notes(t *testing.T) {
	t.Parallel()
	var notes []string
	b := newHosted(t, func(o *hostedOptions) { o.options.Notes = func() []string { return notes } })
	for _, now := range [][]string{nil, {"Redis does not answer"}, {"one", "two"}, {}} {
		notes = now
		want := strings.Join(slices.Concat([]string{"ok"}, now), "\n") + "\n"
		for name, h := range map[string]http.Handler{"public": b, "admin": b.Admin()} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
			if rec.Code != http.StatusOK || rec.Body.String() != want {
				t.Errorf("%s /readyz: %d %q; want 200 %q", name, rec.Code, rec.Body, want)
			}
		}
	}
}
