package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/once"
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
func (everything) Scheme(string) bool      { return true }
func (everything) ReturnTo(string) bool    { return true }

// hostedOptions are what a test of the hosted flow may adjust.
type hostedOptions struct {
	people  people
	policy  signin.Policy
	tokens  bool
	quiet   bool // keep no log
	options server.Options
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
		GuideFlow: true, Allow: lists, AuthPath: "/auth", DefaultRedirect: "/", PublicURL: publicURL, StartPage: appOrigin + "/",
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
	service := signin.New(signin.Options{
		Authenticator: leading{o.people}, Accounts: o.people, Policy: o.policy, Sealer: ring,
		Once:        once.NewMemory(1000),
		CallbackURL: server.CallbackURL(o.options.PublicURL), DefaultScheme: "myapp",
		DefaultRedirect: o.options.StartPage,
		ReturnTokens:    o.tokens,
	})
	tb.Cleanup(func() {
		if err := service.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	o.options.Service = service
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

func redeemBody(t *testing.T, handoff, verifier string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"handoff": handoff, "verifier": verifier})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestStart(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	target := query(startPath, "platform", "web", "challenge", challenge(), "select_account", "1")
	wantAsked := func(t *testing.T, u *url.URL) {
		t.Helper()
		q := u.Query()
		if withoutState := u.Scheme + "://" + u.Host + u.Path; withoutState != tiktok.DefaultAuthorizeURL {
			t.Errorf("people are sent to %s; want TikTok", withoutState)
		}
		state := q.Get("state")
		q.Del("state")
		want := url.Values{
			"client_key": {"awkey"}, "response_type": {"code"}, "scope": {"user.info.basic"},
			"redirect_uri": {publicURL + callbackPath}, "disable_auto_auth": {"1"},
		}
		if diff := cmp.Diff(want, q); diff != "" {
			t.Errorf("TikTok is asked (-want +got):\n%s", diff)
		}
		if len(state) < 100 || strings.Contains(state, challenge()) {
			t.Errorf("state is %q; want it sealed", state)
		}
	}
	t.Run("redirect", func(t *testing.T) {
		t.Parallel()
		for _, accept := range []string{"", "*/*", forPeople} {
			resp := b.do(t, http.MethodGet, target, "", "Accept", accept)
			wantAsked(t, wantRedirect(t, resp))
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q; want no-store", got)
			}
		}
	})
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		resp := b.do(t, http.MethodGet, target, "", "Accept", forScripts, "Origin", appOrigin)
		if got := resp.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type is %q; want application/json", got)
		}
		if got := resp.Header.Get("Vary"); got != "Accept, Origin" {
			t.Errorf("Vary is %q; want what the answer depends on", got)
		}
		if len(resp.Cookies()) != 1 {
			t.Error("there is no flow cookie")
		}
		m := readJSON(t, resp)
		address, _ := m["url"].(string)
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		wantAsked(t, u)
		if diff := cmp.Diff(map[string]any{"url": address, "expires_in": 600.0}, m); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	})
	t.Run("the account is not asked for", func(t *testing.T) {
		t.Parallel()
		for _, value := range []string{"", "0", "true", "11"} {
			u := wantRedirect(
				t, b.do(t, http.MethodGet, query(startPath, "platform", "web", "select_account", value), ""),
			)
			if u.Query().Has("disable_auto_auth") {
				t.Errorf("select_account=%s asks for an account", value)
			}
		}
	})
	t.Run("never twice the same", func(t *testing.T) {
		t.Parallel()
		one, two := b.begin(t, "platform", "web"), b.begin(t, "platform", "web")
		if one.state == two.state || one.cookie == two.cookie {
			t.Error("two flows have one state or one cookie")
		}
	})
	t.Run("other methods", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{startPath, callbackPath} {
			for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut} {
				if got := b.do(t, method, path, "").StatusCode; got != http.StatusMethodNotAllowed {
					t.Errorf("%s %s: status %d; want 405", method, path, got)
				}
			}
		}
	})
}

func TestStart_cookie(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, url, prefix string
		secure            bool
	}{
		{"https", publicURL, "__Host-tikbridge-", true},
		{"http", "http://127.0.0.1:8080", "tikbridge-", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newHosted(t, at(tt.url))
			resp := b.do(t, http.MethodGet, query(startPath, "platform", "web"), "")
			c := resp.Cookies()[0]
			if id, ok := strings.CutPrefix(c.Name, tt.prefix); !ok || len(id) != 8 || len(c.Value) != 43 {
				t.Errorf("cookie is %s=%s; want %s, 8 characters, and 43 for a value", c.Name, c.Value, tt.prefix)
			}
			c.Name, c.Value = "n", "v"
			want := "n=v; Path=/; Max-Age=600; HttpOnly; "
			if tt.secure {
				want += "Secure; "
			}
			if got := c.String(); got != want+"SameSite=Lax" {
				t.Errorf("cookie is %s; want %sSameSite=Lax", got, want)
			}
			if got := resp.Header.Get("Strict-Transport-Security") != ""; got != tt.secure {
				t.Errorf("Strict-Transport-Security is sent: %v; want %v", got, tt.secure)
			}
		})
	}
	t.Run("no cookie for a refusal", func(t *testing.T) {
		t.Parallel()
		if got := newHosted(t).do(t, http.MethodGet, startPath, "").Cookies(); len(got) != 0 {
			t.Errorf("a refused start sets %v", got)
		}
	})
}

// TestStart_cookieCap: the oldest flows of a browser go first, and other cookies are left alone.
func TestStart_cookieCap(t *testing.T) {
	t.Parallel()
	held := func(n int) string {
		cookies := []string{"session=x", "tikbridge-plain=x"}
		for i := range n {
			cookies = append(cookies, fmt.Sprintf("__Host-tikbridge-flow%04d=v", i))
		}
		return strings.Join(append(cookies, "__Host-other=x"), "; ")
	}
	for n, want := range map[int][]string{
		0: nil, 4: nil,
		5: {"__Host-tikbridge-flow0000"},
		7: {"__Host-tikbridge-flow0000", "__Host-tikbridge-flow0001", "__Host-tikbridge-flow0002"},
	} {
		resp := newHosted(t).do(t, http.MethodGet, query(startPath, "platform", "web"), "", "Cookie", held(n))
		var dropped []string
		cookies := resp.Cookies()
		for _, c := range cookies[:len(cookies)-1] {
			dropped = append(dropped, c.Name)
			if c.MaxAge >= 0 || c.Value != "" || !c.Secure || c.Path != "/" {
				t.Errorf("a browser would not drop %s", c)
			}
		}
		if diff := cmp.Diff(want, dropped); diff != "" {
			t.Errorf("of %d flows these are dropped (-want +got):\n%s", n, diff)
		}
		if last := cookies[len(cookies)-1]; last.MaxAge != 600 {
			t.Errorf("the new flow has the cookie %s", last)
		}
	}
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

// wantPage checks a page of the bridge: what it says, and that it is as closed as all of them.
func wantPage(t *testing.T, resp *http.Response, view, text string) []element {
	t.Helper()
	page := readBody(t, resp)
	wantHeaders := map[string]string{
		"Content-Type": "text/html; charset=UTF-8", "Cache-Control": "no-store",
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	}
	for name, want := range wantHeaders {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
	policies := resp.Header["Content-Security-Policy"]
	if len(policies) != 1 {
		t.Fatalf("there are %d policies; want 1", len(policies))
	}
	policy := directives(policies[0])
	for name, want := range map[string][]string{
		"default-src": {"'none'"}, "script-src": {"'self'", publicURL}, "style-src": {"'self'", publicURL},
		"base-uri": {"'none'"}, "form-action": {"'none'"}, "frame-ancestors": {"'none'"},
	} {
		if diff := cmp.Diff(want, policy[name]); diff != "" {
			t.Errorf("%s of the policy (-want +got):\n%s", name, diff)
		}
	}
	wantNothingInline(t, "the page", page)
	elements := parse(t, page)
	// All elements of the page and not one more: nothing broke out.
	var scripts, links []string
	for _, e := range elements {
		switch e.name {
		case "script":
			scripts = append(scripts, e.attrs["src"])
		case "link":
			links = append(links, e.attrs["href"])
		case "html", "head", "meta", "title", "body", "main", "div", "svg", "path", "h1", "p", "a", "details",
			"summary", "dl", "dt", "dd":
		default:
			t.Errorf("the page has a <%s>", e.name)
		}
	}
	if diff := cmp.Diff([]string{"/sdk/return.js"}, scripts); diff != "" {
		t.Errorf("scripts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"data:,", "/sdk/pages.css"}, links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if got := find(t, page, "main").attrs["data-view"]; got != view {
		t.Errorf("the view is %q; want %q", got, view)
	}
	if got := textOf(t, page); got != text {
		t.Errorf("the page says %q; want %q", got, text)
	}
	return elements
}

// textOf returns what the page says under its title.
func textOf(t *testing.T, page string) string {
	t.Helper()
	for _, e := range parse(t, page) {
		if e.attrs["id"] == "text" {
			return html.UnescapeString(e.text)
		}
	}
	return ""
}

// button returns the link of a page.
func button(elements []element) (href string, follows bool) {
	for _, e := range elements {
		if e.attrs["id"] == "action" {
			_, follows = e.attrs["data-follow"]
			return e.attrs["href"], follows
		}
	}
	return "", false
}

// TestHosted_errorsByAccept: a person sees a page and a script gets JSON, of the same status.
func TestHosted_errorsByAccept(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, target string
		headers      []string
		status       int
		code         signin.Code
		want         string
	}{
		{"no platform", startPath, nil, 400, signin.InvalidRequest, "The parameter platform must be web or native."},
		{"foreign page", query(startPath, "platform", "web", "redirect_to", "https://evil.example/"), nil, 400, signin.RedirectURIMismatch, signin.CauseReturnNotAllowed.Message()},
		{"foreign scheme", query(startPath, "platform", "native", "scheme", "evil", "challenge", challenge()), nil, 400, signin.SchemeNotAllowed, signin.CauseSchemeNotAllowed.Message()},
		{"foreign origin", query(startPath, "platform", "web"), []string{"Origin", "https://evil.example"}, 403, signin.OriginNotAllowed, signin.CauseOriginNotAllowed.Message()},
		{"broken state", query(callbackPath, "state", "uuid|myapp", "code", "c"), nil, 400, signin.InvalidState, "This sign-in was not started here, or its address is damaged. Please go back to the app and sign in again."},
		{"broken state with an error", query(callbackPath, "state", "x", "error", "access_denied"), nil, 400, signin.InvalidState, "This sign-in was not started here, or its address is damaged. Please go back to the app and sign in again."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newHosted(t)
			for _, accept := range []string{"", "*/*", forScripts, "application/json, text/plain, */*"} {
				resp := b.do(t, http.MethodGet, tt.target, "", append(tt.headers, "Accept", accept)...)
				if got := wantError(t, resp, tt.status, tt.code); got != tt.want {
					t.Errorf("error_description is %q; want %q", got, tt.want)
				}
			}
			resp := b.do(t, http.MethodGet, tt.target, "", append(tt.headers, "Accept", forPeople)...)
			if resp.StatusCode != tt.status {
				t.Errorf("the page has status %d; want %d", resp.StatusCode, tt.status)
			}
			id := resp.Header.Get("X-Request-Id")
			elements := wantPage(t, resp, "problem", tt.want)
			if href, follows := button(elements); href != appOrigin+"/" || follows {
				t.Errorf("the button leads to %q (by itself: %v); want the start page, by a tap", href, follows)
			}
			var facts []string
			for _, e := range elements {
				if e.name == "dd" {
					facts = append(facts, e.text)
				}
			}
			if diff := cmp.Diff([]string{string(tt.code), id}, facts); diff != "" {
				t.Errorf("facts for support (-want +got):\n%s", diff)
			}
			if line := b.log.last(t); line["request_id"] != id || line["status"] != float64(tt.status) {
				t.Errorf("the log line is %v; want request %s and status %d", line, id, tt.status)
			}
		})
	}
	t.Run("nowhere to go", func(t *testing.T) {
		t.Parallel()
		b := newHosted(t, func(o *hostedOptions) { o.options.StartPage = "" })
		page := readBody(t, b.do(t, http.MethodGet, startPath, "", "Accept", forPeople))
		if href, _ := button(parse(t, page)); href != "" || strings.Contains(page, "<a ") {
			t.Errorf("there is a button to %q; want none", href)
		}
	})
	t.Run("loaded again", func(t *testing.T) {
		t.Parallel()
		b := newHosted(t)
		resp := b.do(t, http.MethodGet, callbackPath, "", "Accept", forPeople)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("status is %d; want 400", resp.StatusCode)
		}
		wantPage(t, resp, "idle", "If the app did not open, go back to it and sign in again.")
		wantError(t, b.do(t, http.MethodGet, callbackPath, ""), http.StatusBadRequest, signin.InvalidState)
	})
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		b := newHosted(
			t, with(people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) { panic("secret") }}),
		)
		s := b.begin(t, "platform", "web")
		resp := b.do(
			t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Cookie", s.cookie, "Accept",
			forPeople,
		)
		if resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("status is %d; want 500", resp.StatusCode)
		}
		if page := readBody(t, resp); strings.Contains(page, "secret") || !strings.Contains(page, "<main") {
			t.Errorf("the page is %s; want one that says nothing of the panic", page)
		}
	})
}

func TestCallback_web(t *testing.T) {
	t.Parallel()
	const handoff = `^tikbridge_handoff=[A-Za-z0-9_-]{100,}`
	tests := []struct{ name, page, want string }{
		{"plain", appOrigin + "/in", `$`},
		{"nothing behind", appOrigin, `$`},
		{"query", appOrigin + "/in?tab=1&x=%2F%26", `&tab=1&x=%2F%26$`},
		{"odd query", appOrigin + "/in?a=1;b=2&flag&=&c+d=e%20f", `&a=1;b=2&flag&=&c\+d=e%20f$`},
		{"question mark", appOrigin + "/in?", `$`},
		{"two question marks", appOrigin + "/in?next=/a?b=c", `&next=/a\?b=c$`},
		{"twice", appOrigin + "/in?a=1&a=2", `&a=1&a=2$`},
		{"default", "", `$`},
		{"as long as may be", appOrigin + "/?" + strings.Repeat("&", 2048-len(appOrigin)-2), `&+$`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newHosted(t)
			s := b.begin(t, "platform", "web", "redirect_to", tt.page, "challenge", challenge())
			resp := b.do(
				t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Cookie", s.cookie, "Accept",
				forPeople,
			)
			u := wantRedirect(t, resp)
			own, _, _ := strings.Cut(tt.page, "?")
			if own == "" {
				own = appOrigin + "/"
			}
			if got := u.Scheme + "://" + u.Host + u.EscapedPath(); got != own {
				t.Errorf("people come back to %q; want %q", got, own)
			}
			if !regexp.MustCompile(handoff + tt.want).MatchString(u.RawQuery) {
				t.Errorf("the query is %q; want the handoff, then %s", u.RawQuery, tt.want)
			}
		})
	}
}

// TestCallback_cookie: the cookie goes when it has done its work. Without a challenge that is the
// redeeming, and an error.
func TestCallback_cookie(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, challenge, code string
		dropped               bool
	}{
		{"with challenge", challenge(), "c", true},
		{"without", "", "c", false},
		{"error, with challenge", challenge(), "", true},
		{"error, without", "", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newHosted(t)
			s := b.begin(t, "platform", "web", "challenge", tt.challenge)
			resp := b.do(
				t, http.MethodGet, query(callbackPath, "state", s.state, "code", tt.code), "", "Cookie",
				"a=b; "+s.cookie,
			)
			name, _, _ := strings.Cut(s.cookie, "=")
			cookies := resp.Cookies()
			if !tt.dropped && len(cookies) != 0 {
				t.Errorf("cookies are %v; want none", cookies)
			}
			if tt.dropped && (len(cookies) != 1 || cookies[0].Name != name || cookies[0].MaxAge >= 0) {
				t.Errorf("cookies are %v; want %s dropped", cookies, name)
			}
		})
	}
}

func TestCallback_native(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"", "myapp", "com.example.other"} {
		b := newHosted(t)
		s := b.begin(t, "platform", "native", "scheme", scheme, "challenge", challenge())
		// Without the cookie: TikTok's app may finish in another browser.
		resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Accept", forPeople)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status is %d; want 200", resp.StatusCode)
		}
		href, follows := button(wantPage(t, resp, "done", "If the app does not open by itself, use the button."))
		if scheme == "" {
			scheme = "myapp"
		}
		if !regexp.MustCompile(`^` + scheme + `://oauth/auth\?tikbridge_handoff=[A-Za-z0-9_-]{100,}$`).MatchString(href) {
			t.Errorf("the deeplink is %q", href)
		}
		if !follows {
			t.Error("the page does not follow the deeplink")
		}
		wantStatus(
			t, b.do(t, http.MethodPost, redeemPath, redeemBody(t, strings.SplitN(href, "=", 2)[1], appVerifier)),
			http.StatusOK,
		)
	}
}

// nasty is a text with every character that a header, an address, a page or a script minds.
const nasty = "</p></main><script>alert(1)</script>\" onload='x' `${1}` {{.}} <!-- & &amp; + %0d%0aX: y 100% ; # ? = 😀 שלום\u2028\r\nSet-Cookie: a=b\x00\\"

// TestCallback_errors: errors go back the way the sign-in came from, whole and harmless.
func TestCallback_errors(t *testing.T) {
	t.Parallel()
	refusing := with(failing(&signin.Error{Code: signin.InvalidGrant, Message: nasty}))
	tests := []struct {
		name     string
		callback []string
		adjust   func(*hostedOptions)
		code     signin.Code
		text     string
		view     string
	}{
		{
			"cancelled", []string{"error", "access_denied", "error_description", nasty}, at(publicURL),
			signin.AccessDenied, "You did not give this app access to your TikTok account.", "idle",
		},
		{
			"an error nobody knows", []string{"error", nasty, "error_description", nasty}, at(publicURL),
			signin.AccessDenied, "TikTok did not grant access.", "idle",
		},
		{
			"fault of TikTok", []string{"error", "server_error"}, at(publicURL), signin.TikTokUnavailable,
			"TikTok does not answer as it should. Please try again in a moment.", "problem",
		},
		{"no code", nil, at(publicURL), signin.InvalidRequest, "TikTok sent no code. Please sign in again.", "problem"},
		{
			"scopes", []string{"code", "c", "scopes", nasty}, at(publicURL), signin.AccessDenied,
			"This app needs access to your basic TikTok profile.", "idle",
		},
		{"exchange", []string{"code", "c"}, refusing, signin.InvalidGrant, nasty, "problem"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantValues := func(t *testing.T, q url.Values, id string, more url.Values) {
				t.Helper()
				want := url.Values{
					"tikbridge_error": {string(tt.code)}, "tikbridge_error_description": {tt.text}, "tikbridge_request_id": {id},
				}
				for name := range more {
					want[name] = more[name]
				}
				if diff := cmp.Diff(want, q); diff != "" {
					t.Errorf("values (-want +got):\n%s", diff)
				}
			}
			b := newHosted(t, tt.adjust)
			web := b.begin(
				t, "platform", "web", "redirect_to", appOrigin+"/in?tab=1&request_id=own", "challenge", challenge(),
			)
			resp := b.do(
				t, http.MethodGet, query(callbackPath, append(tt.callback, "state", web.state)...), "", "Cookie",
				web.cookie, "Accept", forPeople,
			)
			id := resp.Header.Get("X-Request-Id")
			q := wantRedirect(t, resp).Query()
			wantValues(t, q, id, url.Values{"tab": {"1"}, "request_id": {"own"}})

			native := b.begin(t, "platform", "native", "challenge", challenge())
			resp = b.do(
				t, http.MethodGet, query(callbackPath, append(tt.callback, "state", native.state)...), "", "Accept",
				forPeople,
			)
			if resp.StatusCode != http.StatusOK {
				t.Errorf("status is %d; want 200", resp.StatusCode)
			}
			id = resp.Header.Get("X-Request-Id")
			var elements []element
			if tt.text == nasty {
				elements = parse(t, readBody(t, resp)) // TestCallback_breakout looks at the text
			} else {
				elements = wantPage(t, resp, tt.view, tt.text)
			}
			href, follows := button(elements)
			link, err := url.Parse(href)
			if err != nil {
				t.Fatal(err)
			}
			if withoutQuery := link.Scheme + "://" + link.Host + link.Path; withoutQuery != "myapp://oauth/auth" ||
				!follows {
				t.Errorf("the deeplink is %q (by itself: %v)", withoutQuery, follows)
			}
			if strings.Contains(link.RawQuery, "+") {
				t.Errorf("the deeplink has a plus sign for a space: %s", link.RawQuery)
			}
			wantValues(t, link.Query(), id, nil)
			if line := b.log.last(t); line["error"] != string(tt.code) && line["code"] != string(tt.code) {
				t.Errorf("the log line is %v; want the error in it", line)
			}
			level := "INFO"
			if tt.code == signin.TikTokUnavailable {
				level = "ERROR"
			}
			if got := strings.Count(
				b.log.String(), `"level":"`+level+`","msg":"request","method":"GET","route":"`+callbackPath+`"`,
			); got != 2 {
				t.Errorf("%d log lines of the callback have the level %s; want both:\n%s", got, level, b.log)
			}
			if strings.Contains(b.log.String(), "Set-Cookie") || strings.Contains(b.log.String(), "alert(1)") {
				t.Error("the log has TikTok's words")
			}
		})
	}
}

// TestCallback_breakout: even where a policy and TikTok would let everything pass, nothing of it is
// more than text.
func TestCallback_breakout(t *testing.T) {
	t.Parallel()
	open := func(o *hostedOptions) {
		o.policy = everything{}
		o.people = failing(&signin.Error{Code: signin.InvalidGrant, Message: nasty})
		o.options.AuthPath = `/auth"><script>alert(2)</script>`
		o.options.StartPage = appOrigin + `/"><script>alert(3)</script>`
	}
	check := func(t *testing.T, resp *http.Response) {
		t.Helper()
		page := readBody(t, resp)
		wantNothingInline(t, "the page", page)
		scripts := 0
		for _, e := range parse(t, page) {
			if e.name == "script" {
				scripts++
			}
		}
		if scripts != 1 || strings.Contains(page, "<script>") || strings.Contains(page, "<!-- &") {
			t.Errorf("something broke out:\n%s", page)
		}
	}
	b := newHosted(t, open)
	for _, scheme := range []string{`x"><script>alert(1)</script>`, `x' onclick='y`, "x\r\n\r\n<script>", nasty[:40]} {
		s := b.begin(t, "platform", "native", "scheme", scheme, "challenge", challenge())
		for _, extra := range []string{nasty, ""} {
			check(
				t,
				b.do(
					t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c", "error", extra), "", "Accept",
					forPeople,
				),
			)
		}
	}
	for _, target := range []string{
		query(startPath, "platform", nasty, "scheme", nasty, "redirect_to", nasty, "challenge", nasty),
		query(callbackPath, "state", nasty, "code", nasty, "error", nasty, "error_description", nasty),
		callbackPath + "?" + nasty[:30] + "%zz;&&=;state=%",
	} {
		req := httptest.NewRequest(http.MethodGet, startPath, http.NoBody)
		req.URL.Path, req.URL.RawQuery, _ = strings.Cut(target, "?")
		req.Header.Set("Accept", forPeople)
		req.Header.Set("X-Request-Id", nasty)
		check(t, b.serve(req))
	}
	// A policy that lets everything pass also lets a page out of the header; the real one does not.
	for _, page := range []string{
		nasty, appOrigin + "/\r\nSet-Cookie: a=b", appOrigin + `/"><script>`, appOrigin + "/<b>", "javascript:alert(1)",
		"//evil.example", appOrigin + "@evil.example/",
	} {
		resp := newHosted(t).do(t, http.MethodGet, query(startPath, "platform", "web", "redirect_to", page), "")
		wantError(t, resp, http.StatusBadRequest, signin.RedirectURIMismatch)
	}
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	s := b.begin(t, "platform", "web", "challenge", challenge())
	body := redeemBody(t, b.handoffOf(t, s), appVerifier)
	want := map[string]any{
		"access_token": "a.b.c", "token_type": "bearer", "expires_in": 3600.0, "expires_at": 2e9,
		"refresh_token": "refresh", "user": map[string]any{"id": userID},
	}
	resp := b.do(t, http.MethodPost, redeemPath, body, "Origin", appOrigin)
	if diff := cmp.Diff(want, readJSON(t, resp)); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	wantError(t, b.do(t, http.MethodPost, redeemPath, body), http.StatusBadRequest, signin.HandoffInvalid)

	// On the same site, by the cookie alone.
	s = b.begin(t, "platform", "web")
	body = redeemBody(t, b.handoffOf(t, s), "")
	wantError(t, b.do(t, http.MethodPost, redeemPath, body), http.StatusBadRequest, signin.HandoffInvalid)
	wantError(
		t, b.do(t, http.MethodPost, redeemPath, body, "Cookie", s.cookie+"x"), http.StatusBadRequest,
		signin.HandoffInvalid,
	)
	// A page of another origin that somehow got the handoff has no use of the browser's cookie.
	wantError(
		t, b.do(t, http.MethodPost, redeemPath, body, "Cookie", s.cookie, "Origin", "https://evil.example"),
		http.StatusForbidden, signin.OriginNotAllowed,
	)
	wantStatus(
		t, b.do(t, http.MethodPost, redeemPath, body, "Cookie", "a=b; "+s.cookie, "Origin", publicURL), http.StatusOK,
	)
}

func TestRedeem_tokens(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{true, false} {
		b := newHosted(t, func(o *hostedOptions) { o.tokens = wanted })
		m := readJSON(
			t,
			b.do(
				t, http.MethodPost, redeemPath,
				redeemBody(t, b.handoffOf(t, b.begin(t, "platform", "web", "challenge", challenge())), appVerifier),
			),
		)
		if has := m["provider_token"] == "act.tiktok" && m["provider_refresh_token"] == "rft.tiktok"; has != wanted {
			t.Errorf("the session has TikTok's tokens: %v; want %v", has, wanted)
		}
	}
}

// TestHosted_CORS: credentials are granted where a cookie is looked at and where Despia's component asks with
// them, and nowhere else.
func TestHosted_CORS(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	tests := []struct {
		method, path string
		credentials  bool
	}{
		{http.MethodPost, redeemPath, true},
		{http.MethodGet, startPath, false},
		{http.MethodPost, exchangePath, true},
		{http.MethodPost, functionPath, true},
	}
	for _, tt := range tests {
		for _, origin := range []string{appOrigin, publicURL, "https://evil.example", "null", ""} {
			allowed := origin == appOrigin || origin == publicURL
			preflight := b.do(
				t, http.MethodOptions, tt.path, "", "Origin", origin, "Access-Control-Request-Method", tt.method,
				"Access-Control-Request-Headers", "content-type",
			)
			for what, resp := range map[string]*http.Response{
				"preflight": preflight, "answer": b.do(t, tt.method, tt.path, "{}", "Origin", origin),
			} {
				grant, credentials := "", ""
				if allowed {
					grant = origin
				}
				if allowed && tt.credentials {
					credentials = "true"
				}
				if got := strings.Join(resp.Header["Access-Control-Allow-Origin"], ","); got != grant {
					t.Errorf("%s of %s for %q: Access-Control-Allow-Origin is %q; want %q",
						what, tt.path, origin, got, grant)
				}
				if got := strings.Join(resp.Header["Access-Control-Allow-Credentials"], ","); got != credentials {
					t.Errorf("%s of %s for %q: Access-Control-Allow-Credentials is %q; want %q",
						what, tt.path, origin, got, credentials)
				}
			}
			if allowed {
				wantStatus(t, preflight, http.StatusNoContent)
				if got := preflight.Header.Get("Access-Control-Allow-Methods"); got != tt.method {
					t.Errorf("preflight of %s allows %q; want %s", tt.path, got, tt.method)
				}
			} else if origin != "" {
				wantError(t, preflight, http.StatusForbidden, signin.OriginNotAllowed)
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

func TestRedeem_bodies(t *testing.T) {
	t.Parallel()
	const (
		noJSON  = "not valid JSON"
		missing = "handoff is missing"
		foreign = "cannot be finished here"
	)
	tests := []struct {
		name, body string
		status     int
		code       signin.Code
		want       string // part of the description
	}{
		{"nothing", "", 400, signin.InvalidRequest, "is empty; it must be a JSON object with handoff and verifier"},
		{"white space", " \n", 400, signin.InvalidRequest, noJSON},
		{"form", "handoff=x&verifier=y", 400, signin.InvalidRequest, noJSON},
		{"byte order mark", "\ufeff{}", 400, signin.InvalidRequest, noJSON},
		{"two", "{}{}", 400, signin.InvalidRequest, noJSON},
		{"comma behind", `{"handoff":"x",}`, 400, signin.InvalidRequest, noJSON},
		{"deep", strings.Repeat(`{"a":`, 10_001), 400, signin.InvalidRequest, noJSON},
		{"list", `[]`, 400, signin.InvalidRequest, "must be a JSON object"},
		{"text", `"x"`, 400, signin.InvalidRequest, "must be a JSON object"},
		{"null", `null`, 400, signin.InvalidRequest, missing},
		{"empty object", `{}`, 400, signin.InvalidRequest, missing},
		{"handoff of null", `{"handoff":null,"verifier":"v"}`, 400, signin.InvalidRequest, missing},
		{"empty handoff", `{"handoff":"","verifier":"v"}`, 400, signin.InvalidRequest, missing},
		{"the last of two counts", `{"handoff":"x","handoff":"","verifier":"v"}`, 400, signin.InvalidRequest, missing},
		{"handoff is a number", `{"handoff":7}`, 400, signin.InvalidRequest, "handoff must be a string"},
		{"handoff is a list", `{"handoff":["x"]}`, 400, signin.InvalidRequest, "handoff must be a string"},
		{
			"verifier is an object", `{"handoff":"x","verifier":{}}`, 400, signin.InvalidRequest,
			"verifier must be a string",
		},
		{"verifier of null", `{"handoff":"x","verifier":null}`, 400, signin.HandoffInvalid, foreign},
		{"more fields", `{"handoff":"x","more":{"a":[1]},"":0}`, 400, signin.HandoffInvalid, foreign},
		{"other case", `{"HANDOFF":"x"}`, 400, signin.HandoffInvalid, foreign},
		{"foreign", `{"handoff":"x","verifier":"` + appVerifier + `"}`, 400, signin.HandoffInvalid, foreign},
		{"short verifier", `{"handoff":"x","verifier":"v"}`, 400, signin.InvalidRequest, "43 to 128"},
		{"half a character", `{"handoff":"\ud800"}`, 400, signin.HandoffInvalid, foreign},
		{
			"zero bytes", `{"handoff":"x","verifier":"` + strings.Repeat(`\u0000`, 43) + `"}`, 400,
			signin.InvalidRequest, "43 to 128",
		},
		{"no UTF-8", "{\"handoff\":\"\xff\xfe\"}", 400, signin.HandoffInvalid, foreign},
		{"endless handoff", `{"handoff":"` + strings.Repeat("x", 60_000) + `"}`, 400, signin.HandoffInvalid, foreign},
		{
			"endless verifier", `{"handoff":"x","verifier":"` + strings.Repeat("v", 129) + `"}`, 400,
			signin.InvalidRequest, "43 to 128",
		},
		{"too large", `{"handoff":"` + strings.Repeat("x", 64<<10) + `"}`, 413, signin.InvalidRequest, "64 KiB"},
		{"much too large", strings.Repeat(" ", 2_000_000), 413, signin.InvalidRequest, "64 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newHosted(t)
			sized := b.do(t, http.MethodPost, redeemPath, tt.body, "Origin", appOrigin)
			unknown := httptest.NewRequest(http.MethodPost, redeemPath, unsized{strings.NewReader(tt.body)})
			unknown.Header.Set("Accept", forPeople) // never a page: nobody navigates by POST
			for _, resp := range []*http.Response{sized, b.serve(unknown)} {
				if got := wantError(t, resp, tt.status, tt.code); !strings.Contains(got, tt.want) {
					t.Errorf("error_description is %q; want %q in it", got, tt.want)
				}
			}
		})
	}
}

// TestHosted_guideFlowOff: without the guide flow this one still works.
func TestHosted_guideFlowOff(t *testing.T) {
	t.Parallel()
	b := newHosted(t, func(o *hostedOptions) { o.options.GuideFlow = false })
	s := b.begin(t, "platform", "web", "challenge", challenge())
	wantStatus(t, b.do(t, http.MethodPost, redeemPath, redeemBody(t, b.handoffOf(t, s), appVerifier)), http.StatusOK)
	wantError(t, b.post(t, goodBody), http.StatusBadRequest, signin.InvalidRequest)
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
	notes = []string{"something"}
	b.Drain()
	resp := b.do(t, http.MethodGet, "/readyz", "")
	if got := readBody(t, resp); resp.StatusCode != http.StatusServiceUnavailable || got != "stopping\n" {
		t.Errorf("while draining: %d %q; want 503 stopping", resp.StatusCode, got)
	}
	wantStatus(t, b.do(t, http.MethodGet, "/healthz", ""), http.StatusOK)
}

// TestHosted_full: a callback or a redeem that finds no place has used nothing up: loading the page again,
// or redeeming again, works.
func TestHosted_full(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		asked := 0
		p := people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) {
			if asked++; asked == 1 {
				close(entered)
				<-release
			}
			return signin.Identity{OpenID: "-000open"}, nil
		}}
		b := newHosted(t, with(p), func(o *hostedOptions) { o.options.MaxSignIns = 1 })
		slow, other := b.begin(t, "platform", "web"), b.begin(t, "platform", "web")
		done := make(chan string)
		go func() { done <- b.handoffOf(t, slow) }()
		<-entered

		callback := query(callbackPath, "state", other.state, "code", "good-code")
		resp := b.do(t, http.MethodGet, callback, "", "Cookie", other.cookie, "Accept", forPeople)
		if got := resp.Header.Get("Retry-After"); got != "2" || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %d with Retry-After %q; want 503 and 2", resp.StatusCode, got)
		}
		wantPage(
			t, resp, "problem", "Too many people are signing in at this moment. Please try again in a few seconds.",
		)
		wantError(
			t, b.do(t, http.MethodPost, redeemPath, `{"handoff":"x","verifier":"x"}`), http.StatusServiceUnavailable,
			signin.RateLimited,
		)

		close(release)
		for _, handoff := range []string{<-done, b.handoffOf(t, other)} {
			if handoff == "" {
				t.Error("no handoff")
			}
		}
		if asked != 2 {
			t.Errorf("TikTok was asked %d times; want 2", asked)
		}
	})
}

// TestPrefetch: what a browser loads in advance, it loads again when the person goes there. So it uses
// nothing up, sets nothing and does not count.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	for _, header := range [][2]string{
		{"Sec-Purpose", "prefetch"}, {"Sec-Purpose", "prefetch;prerender"}, {"Sec-Purpose", "prefetch;anonymous-client-ip"},
		{"Purpose", "prefetch"}, {"Purpose", "Prefetch"}, {"X-Moz", "prefetch"}, {"X-Purpose", "preview"},
	} {
		t.Run(header[0]+" "+header[1], func(t *testing.T) {
			t.Parallel()
			b := newHosted(t, func(o *hostedOptions) { o.options.StartPerMinute = 2 })
			refused := func(target, cookie string) {
				t.Helper()
				resp := b.do(t, http.MethodGet, target, "", header[0], header[1], "Cookie", cookie, "Accept", forPeople)
				wantStatus(t, resp, http.StatusServiceUnavailable)
				if got := resp.Header.Get("Cache-Control"); got != "no-store" {
					t.Errorf("%s: Cache-Control is %q; want no-store", target, got)
				}
				if len(resp.Cookies()) > 0 {
					t.Errorf("%s sets a cookie", target)
				}
				if line := b.log.last(t); line["level"] != "INFO" || line["step"] != nil {
					t.Errorf("log is %v; want no step of a sign-in, and no alarm", line)
				}
			}
			start := query(startPath, "platform", "web", "challenge", challenge())
			for range 3 {
				refused(start, "")
			}
			s := b.begin(t, "platform", "web")
			refused(query(callbackPath, "state", s.state, "code", "c"), s.cookie)
			if b.handoffOf(t, s) == "" {
				t.Error("the callback works no more")
			}
			for _, page := range []string{"/auth?code=c&state=s", "/native-callback.html?code=c"} {
				refused(page, "")
			}
			wantStatus(t, b.do(t, http.MethodGet, "/sdk/tikbridge.js", "", header[0], header[1]), http.StatusOK)
		})
	}
	b := newHosted(t)
	s := b.begin(t, "platform", "web") // none of these is one
	resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Cookie", s.cookie,
		"Sec-Purpose", "", "Purpose", "navigate", "X-Moz", "microsummary")
	_ = wantRedirect(t, resp)
}
