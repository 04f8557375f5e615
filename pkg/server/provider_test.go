package server_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	metadataPath  = "/.well-known/oauth-authorization-server"
	jwksPath      = "/oidc/jwks"
	authorizePath = "/oidc/authorize"
	tokenEndpoint = "/oidc/token"
	userInfoPath  = "/oidc/userinfo"
	clientSecret  = "secret-of-the-client-0123456789abcdef"
	clientURI     = "https://client.example/cb?tenant=1"
	spaURI        = appOrigin + "/cb"
	formType      = "application/x-www-form-urlencoded"
	clientState   = "state-of-the-client"
)

// signingKeys take a while to make.
var signingKeys = sync.OnceValue(func() *provider.Keys {
	keys, err := provider.DeriveKeys("0123456789abcdef0123456789abcdef")
	if err != nil {
		panic(err)
	}
	return keys
})

var (
	backend = provider.Client{ID: "backend", Secret: clientSecret, RedirectURIs: []string{clientURI}}
	spa     = provider.Client{ID: "spa", RedirectURIs: []string{spaURI}}
)

// newProvider returns a server that is the OpenID Provider of a backend and, unless told otherwise, of a page.
func newProvider(tb testing.TB, adjust ...func(*hostedOptions)) bridge {
	tb.Helper()
	clients := func(o *hostedOptions) { o.clients = []provider.Client{backend, spa} }
	return newHosted(tb, append([]func(*hostedOptions){clients}, adjust...)...)
}

// form encodes name, value, name, value after the values of base, which they replace.
func form(base url.Values, changes ...string) string {
	q := url.Values{}
	for name, list := range base {
		q[name] = list
	}
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	return q.Encode()
}

// asking is a good request of the backend.
func asking(changes ...string) string {
	return form(url.Values{
		"client_id": {"backend"}, "redirect_uri": {clientURI}, "response_type": {"code"}, "scope": {"openid"},
		"state": {clientState}, "nonce": {"nonce-of-the-client"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}, changes...)
}

// ofClient is a good token request of the backend.
func ofClient(code string, changes ...string) string {
	return form(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {clientURI}, "code_verifier": {appVerifier},
	}, changes...)
}

func basicAuth(secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("backend:"+secret))
}

// atTikTok begins a sign-in for a client and returns what the browser keeps.
func (b bridge) atTikTok(t *testing.T, changes ...string) started {
	t.Helper()
	resp := b.do(t, http.MethodGet, authorizePath+"?"+asking(changes...), "")
	location, cookies := wantSeeOther(t, resp), resp.Cookies()
	if location.Host != "www.tiktok.com" || len(cookies) != 1 {
		t.Fatalf("the person is sent to %s with %d cookies", location, len(cookies))
	}
	return started{location.Query().Get("state"), cookies[0].Name + "=" + cookies[0].Value}
}

func wantSeeOther(t *testing.T, resp *http.Response) *url.URL {
	t.Helper()
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("status is %d; want 303; body: %s", resp.StatusCode, readBody(t, resp))
	}
	location, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	return location
}

// clientCode leads a person through TikTok to the client.
func (b bridge) clientCode(t *testing.T, changes ...string) string {
	t.Helper()
	s := b.atTikTok(t, changes...)
	resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Cookie", s.cookie)
	code := wantRedirect(t, resp).Query().Get("code")
	if code == "" {
		t.Fatalf("the client gets %s", resp.Header.Get("Location"))
	}
	return code
}

// asClient sends a form.
func (b bridge) asClient(t *testing.T, path, body string, headers ...string) *http.Response {
	t.Helper()
	return b.do(t, http.MethodPost, path, body, append([]string{"Content-Type", formType}, headers...)...)
}

// wantClientError checks an error for a client, which has the shape of RFC 6749, section 5.2.
func wantClientError(t *testing.T, resp *http.Response, status int, code string) {
	t.Helper()
	if resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/json" ||
		resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("status is %d, headers %v; want %d, JSON, not stored", resp.StatusCode, resp.Header, status)
	}
	m := readJSON(t, resp)
	if got, _ := m["error"].(string); got != code || m["error_description"] == "" {
		t.Errorf("the error is %v; want %q", m, code)
	}
}

// TestProvider is the whole flow over HTTP, and what each of its log lines says.
func TestProvider(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	s := b.atTikTok(t)
	wantLine := func(step, outcome, route string) {
		t.Helper()
		line := b.log.last(t)
		if line["flow"] != "provider" || line["step"] != step || line["outcome"] != outcome || line["route"] != route ||
			line["level"] != "INFO" {
			t.Errorf("the log says %v; want provider, %s, %s", line, step, outcome)
		}
	}
	wantLine("authorize", "started", authorizePath)

	resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Cookie", s.cookie)
	location := wantRedirect(t, resp)
	wantLine("callback", "handed_off", callbackPath)
	q := location.Query()
	if !strings.HasPrefix(location.String(), clientURI+"&") || q.Get("state") != clientState || q.Get("iss") != publicURL {
		t.Errorf("the person is sent to %s", location)
	}
	if cookies := resp.Cookies(); len(cookies) != 1 || cookies[0].MaxAge >= 0 {
		t.Errorf("the flow cookie is still there: %v", cookies)
	}

	resp = b.asClient(t, tokenEndpoint, ofClient(q.Get("code")), "Authorization", basicAuth(clientSecret))
	wantLine("token", "signed_in", tokenEndpoint)
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Pragma") != "no-cache" {
		t.Errorf("tokens may be stored: %v", resp.Header)
	}
	tokens := readJSON(t, resp)
	if resp.StatusCode != http.StatusOK || tokens["token_type"] != "Bearer" || tokens["expires_in"] != 300.0 {
		t.Fatalf("status %d, %v", resp.StatusCode, tokens)
	}
	access, idToken := tokens["access_token"].(string), tokens["id_token"].(string)

	for name, resp := range map[string]*http.Response{
		"header":         b.do(t, http.MethodGet, userInfoPath, "", "Authorization", "Bearer "+access),
		"header of POST": b.do(t, http.MethodPost, userInfoPath, "", "Authorization", "Bearer "+access),
		"form":           b.asClient(t, userInfoPath, "access_token="+access),
	} {
		if got := readJSON(t, resp); resp.StatusCode != http.StatusOK || got["sub"] != "-000open" {
			t.Errorf("userinfo by %s is %d %v", name, resp.StatusCode, got)
		}
		if resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("userinfo by %s may be stored", name)
		}
	}
	wantLine("userinfo", "answered", userInfoPath)

	wantClientError(t, b.asClient(t, tokenEndpoint, ofClient(q.Get("code")), "Authorization", basicAuth(clientSecret)),
		http.StatusBadRequest, "invalid_grant")
	if line := b.log.last(t); line["flow"] != "provider" || line["step"] != "token" || line["level"] != "INFO" ||
		line["cause"] != "invalid_grant: The code was already used." {
		t.Errorf("the log says %v", line)
	}
	b.wantUnlogged(t, s.state, q.Get("code"), access, idToken, clientSecret, clientState, "nonce-of-the-client",
		appVerifier, challenge())
	b.wantMetrics(t,
		`tikbridge_signin_steps_total{call="",flow="provider",outcome="started",step="authorize"} 1`,
		`tikbridge_signin_steps_total{call="",flow="provider",outcome="handed_off",step="callback"} 1`,
		`tikbridge_signin_steps_total{call="",flow="hosted",outcome="handed_off",step="callback"} 0`,
		`tikbridge_signin_steps_total{call="",flow="provider",outcome="signed_in",step="token"} 1`,
		`tikbridge_signin_steps_total{call="",flow="provider",outcome="invalid_request",step="token"} 1`,
		`tikbridge_signin_steps_total{call="",flow="provider",outcome="answered",step="userinfo"} 3`,
		`tikbridge_http_requests_total{method="POST",route="/oidc/token",status="400"} 1`,
		`tikbridge_rate_limited_total{route="/oidc/authorize"} 0`,
		`tikbridge_rate_limited_total{route="/oidc/token"} 0`,
	)
}

// wantUnlogged looks for values in the whole log.
func (b bridge) wantUnlogged(t *testing.T, values ...string) {
	t.Helper()
	for _, value := range values {
		for _, part := range []string{value, url.QueryEscape(value), value[len(value)/2:]} {
			if strings.Contains(b.log.String(), part) {
				t.Errorf("the log holds %q", part)
			}
		}
	}
}

// TestProvider_off: a bridge that is no provider has none of its addresses.
func TestProvider_off(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	for _, path := range []string{discoveryPath, metadataPath, jwksPath, authorizePath, tokenEndpoint, userInfoPath} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions, http.MethodHead} {
			if got := b.do(t, method, path, "").StatusCode; got != http.StatusNotFound {
				t.Errorf("%s %s: status %d; want 404", method, path, got)
			}
		}
	}
	t.Run("meanwhile", func(t *testing.T) { // while somebody is at TikTok
		t.Parallel()
		s := newProvider(t).atTikTok(t)
		back := query(callbackPath, "state", s.state, "code", "c")
		withoutIt := newProvider(t, func(o *hostedOptions) { o.clients = o.clients[1:] })
		for _, later := range []bridge{newHosted(t), withoutIt} {
			resp := later.do(t, http.MethodGet, back, "", "Accept", forPeople)
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("status is %d; want 400", resp.StatusCode)
			}
			wantPage(t, resp, "problem", "Sign-in is not set up for this app. Please tell whoever runs it.")
		}
	})
}

func TestProvider_methods(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	for path, allowed := range map[string]string{
		discoveryPath: "OPTIONS, GET, HEAD", metadataPath: "OPTIONS, GET, HEAD", jwksPath: "OPTIONS, GET, HEAD",
		authorizePath: "OPTIONS, GET, POST", tokenEndpoint: "OPTIONS, POST", userInfoPath: "OPTIONS, GET, POST",
	} {
		for _, method := range []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
		} {
			if slices.Contains(strings.Split(allowed, ", "), method) {
				continue
			}
			resp := b.do(t, method, path, "")
			if got := resp.Header.Get("Allow"); resp.StatusCode != http.StatusMethodNotAllowed || got != allowed {
				t.Errorf("%s %s: status %d, Allow %q; want 405, %q", method, path, resp.StatusCode, got, allowed)
			}
		}
	}
}

// TestProvider_documents: both may be kept for a while, and by pages of any origin.
func TestProvider_documents(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	for _, path := range []string{discoveryPath, metadataPath, jwksPath} {
		resp := b.do(t, http.MethodGet, path, "", "Origin", "https://anybody.example")
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Cache-Control": "public, max-age=300",
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q; want %q", path, name, got, want)
			}
		}
		body := readJSON(t, resp)
		if path == jwksPath {
			if keys, _ := body["keys"].([]any); len(keys) != 2 {
				t.Errorf("the JWKS is %v", body)
			}
		} else if body["issuer"] != publicURL {
			t.Errorf("%s has the issuer %v", path, body["issuer"])
		}
		head := b.do(t, http.MethodHead, path, "")
		if head.StatusCode != http.StatusOK || head.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("HEAD %s is %d %v", path, head.StatusCode, head.Header)
		}
	}
}

// TestAuthorize_page: what cannot be told to a client, people read on a page and scripts in JSON.
func TestAuthorize_page(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	const notSetUp = "Sign-in is not set up for this app. Please tell whoever runs it."
	const unreadable = "The app asked for this sign-in in a way that cannot be read."
	for name, tt := range map[string]struct {
		ask    func(accept string) *http.Response
		code   signin.Code
		status int
		text   string
	}{
		"client": {func(accept string) *http.Response {
			return b.do(t, http.MethodGet, authorizePath+"?"+asking("client_id", "nobody"), "", "Accept", accept)
		}, signin.InvalidRequest, 400, notSetUp},
		"redirect URI": {func(accept string) *http.Response {
			evil := asking("redirect_uri", "https://evil.example/")
			return b.asClient(t, authorizePath, evil, "Accept", accept)
		}, signin.RedirectURIMismatch, 400, notSetUp},
		// A parameter that cannot be read must not count as left out: it may be the code_challenge.
		"broken query": {func(accept string) *http.Response {
			return b.do(t, http.MethodGet, authorizePath+"?"+asking()+"&login_hint=%zz", "", "Accept", accept)
		}, signin.InvalidRequest, 400, unreadable},
		"semicolon": {func(accept string) *http.Response {
			return b.do(t, http.MethodGet, authorizePath+"?"+asking()+"&login_hint=a;b", "", "Accept", accept)
		}, signin.InvalidRequest, 400, unreadable},
		"broken form": {func(accept string) *http.Response {
			return b.asClient(t, authorizePath, asking()+"&login_hint=%zz", "Accept", accept)
		}, signin.InvalidRequest, 400, unreadable},
		"no form": {func(accept string) *http.Response {
			return b.do(t, http.MethodPost, authorizePath, "{}", "Content-Type", "application/json", "Accept", accept)
		}, signin.InvalidRequest, 400, unreadable},
		"large form": {func(accept string) *http.Response {
			return b.asClient(t, authorizePath, asking("x", strings.Repeat("x", 65<<10)), "Accept", accept)
		}, signin.InvalidRequest, 413, "The request body is larger than the 64 KiB this address takes."},
	} {
		t.Run(name, func(t *testing.T) {
			resp := tt.ask(forPeople)
			if resp.StatusCode != tt.status || resp.Header.Get("Location") != "" || len(resp.Cookies()) > 0 {
				t.Errorf("status is %d, headers %v; want %d and a page", resp.StatusCode, resp.Header, tt.status)
			}
			wantPage(t, resp, "problem", tt.text)
			if got := wantError(t, tt.ask(forScripts), tt.status, tt.code); got != tt.text {
				t.Errorf("a script reads %q", got)
			}
			line := b.log.last(t)
			if line["flow"] != "provider" || line["step"] != "authorize" || line["error"] != string(tt.code) {
				t.Errorf("the log says %v", line)
			}
		})
	}
}

// TestAuthorize_client: what a client is told, it is told by a redirect, also where a person would read a page.
func TestAuthorize_client(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	for _, resp := range []*http.Response{
		b.do(t, http.MethodGet, authorizePath+"?"+asking("prompt", "none"), "", "Accept", forPeople),
		b.asClient(t, authorizePath, asking("prompt", "none"), "Accept", forPeople),
	} {
		q := wantSeeOther(t, resp).Query()
		if q.Get("error") != "login_required" || q.Get("state") != clientState || q.Get("iss") != publicURL ||
			q.Get("tenant") != "1" || len(resp.Cookies()) > 0 {
			t.Errorf("the client gets %v", q)
		}
		line := b.log.last(t)
		if cause, _ := line["cause"].(string); line["level"] != "INFO" || !strings.HasPrefix(cause, "login_required: ") {
			t.Errorf("the log says %v", line)
		}
	}
	b.wantUnlogged(t, clientState, "nonce-of-the-client")
}

// TestAuthorize_post: a form asks as an address does; what is in its own address does not count.
func TestAuthorize_post(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	resp := b.asClient(t, authorizePath+"?client_id=nobody", asking())
	if location := wantSeeOther(t, resp); location.Host != "www.tiktok.com" || len(resp.Cookies()) != 1 {
		t.Errorf("the person is sent to %s", location)
	}
	wantError(t, b.asClient(t, authorizePath+"?"+asking(), ""), http.StatusBadRequest, signin.InvalidRequest)
}

// TestAuthorize_prefetch: a browser that asks in advance begins nothing.
func TestAuthorize_prefetch(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	resp := b.do(t, http.MethodGet, authorizePath+"?"+asking(), "", "Sec-Purpose", "prefetch;prerender")
	if resp.StatusCode != http.StatusServiceUnavailable || len(resp.Cookies()) > 0 {
		t.Errorf("status is %d, cookies %v; want 503 and none", resp.StatusCode, resp.Cookies())
	}
}

// TestAuthorize_limit: too many sign-ins from one address end on a page.
func TestAuthorize_limit(t *testing.T) {
	t.Parallel()
	b := newProvider(t, func(o *hostedOptions) { o.options.StartPerMinute = 2 })
	_, _ = b.atTikTok(t), b.atTikTok(t)
	resp := b.do(t, http.MethodGet, authorizePath+"?"+asking(), "", "Accept", forPeople)
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "30" {
		t.Errorf("status is %d, Retry-After %q; want 429, 30", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	wantPage(t, resp, "problem", "Too many sign-ins from this address. Please wait a moment.")
	b.wantMetrics(t, `tikbridge_rate_limited_total{route="/oidc/authorize"} 1`)
	// It is not the limit of the hosted flow.
	wantStatus(t, b.do(t, http.MethodGet, query(startPath, "platform", "web"), ""), http.StatusFound)
}

// TestCallback_client: what goes wrong at TikTok is told to the client.
func TestCallback_client(t *testing.T) {
	t.Parallel()
	b := newProvider(t, with(failing(&signin.Error{
		Code: signin.TikTokUnavailable, Message: "TikTok does not answer.", Call: "token", Err: errors.New("detail"),
	})))
	s := b.atTikTok(t)
	resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Cookie", s.cookie)
	q := wantRedirect(t, resp).Query()
	if q.Get("error") != "temporarily_unavailable" || q.Get("error_description") != "TikTok does not answer." ||
		q.Get("state") != clientState || q.Get("iss") != publicURL || q.Has("tikbridge_error") {
		t.Errorf("the client gets %v", q)
	}
	if cookies := resp.Cookies(); len(cookies) != 1 || cookies[0].MaxAge >= 0 {
		t.Errorf("the flow cookie is still there: %v", cookies)
	}
	line := b.log.last(t)
	if line["level"] != "ERROR" || line["flow"] != "provider" || line["step"] != "callback" || line["call"] != "token" {
		t.Errorf("the log says %v", line)
	}
	b.wantMetrics(t,
		`tikbridge_signin_steps_total{call="token",flow="provider",outcome="tiktok_unavailable",step="callback"} 1`)

	// Without PKCE another browser ends on a page.
	b = newProvider(t)
	s = b.atTikTok(t, "code_challenge", "", "code_challenge_method", "")
	back := query(callbackPath, "state", s.state, "code", "c")
	wantError(t, b.do(t, http.MethodGet, back, ""), http.StatusBadRequest, signin.InvalidState)
	wantStatus(t, b.do(t, http.MethodGet, back, "", "Cookie", s.cookie), http.StatusFound)
}

// TestCallback_confirm: where the person must be asked, whoever sent them may have taken that out of TikTok's address.
// So in another browser than the one that began, they are asked here.
func TestCallback_confirm(t *testing.T) {
	t.Parallel()
	asks := backend
	asks.AlwaysConsent = true
	for _, tt := range []struct {
		name    string
		client  provider.Client
		prompt  string
		cookie  bool
		confirm bool
	}{
		{"the client's people are always asked", asks, "", false, true},
		{"the client asks for it", backend, "consent", false, true},
		{"the browser that began", asks, "", true, false},
		{"nobody need be asked", backend, "", false, false},
	} {
		b := newProvider(t, func(o *hostedOptions) { o.clients = []provider.Client{tt.client} })
		s := b.atTikTok(t, "prompt", tt.prompt)
		var cookie []string
		if tt.cookie {
			cookie = []string{"Cookie", s.cookie}
		}
		resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", cookie...)
		if !tt.confirm {
			wantRedirect(t, resp)
			continue
		}
		page := readBody(t, resp)
		if resp.StatusCode != http.StatusOK || strings.Contains(page, "data-follow") ||
			!strings.Contains(page, `href="https://client.example/cb?tenant=1&amp;code=`) {
			t.Errorf("%s: got %d and %s; want a page with a button that goes on", tt.name, resp.StatusCode, page)
		}
	}
}

// TestToken_refused: what the token endpoint answers to what is no token request.
func TestToken_refused(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	code := b.clientCode(t)
	for name, tt := range map[string]struct {
		body, kind, secret string
		status             int
		code               string
	}{
		"JSON":          {`{"grant_type":"authorization_code"}`, "application/json", clientSecret, 400, "invalid_request"},
		"no type":       {ofClient(code), "", clientSecret, 400, "invalid_request"},
		"multipart":     {ofClient(code), "multipart/form-data", clientSecret, 400, "invalid_request"},
		"no form":       {"%zz", formType, clientSecret, 400, "invalid_request"},
		"empty":         {"", formType, clientSecret, 400, "invalid_request"},
		"wrong secret":  {ofClient(code), formType, clientSecret + "x", 401, "invalid_client"},
		"other address": {ofClient(code, "redirect_uri", spaURI), formType, clientSecret, 400, "invalid_grant"},
		"other grant":   {ofClient(code, "grant_type", "password"), formType, clientSecret, 400, "unsupported_grant_type"},
	} {
		t.Run(name, func(t *testing.T) {
			resp := b.do(t, http.MethodPost, tokenEndpoint, tt.body, "Content-Type", tt.kind, "Accept", forPeople,
				"Authorization", basicAuth(tt.secret))
			challenge := ""
			if tt.status == http.StatusUnauthorized {
				challenge = `Basic realm="tikbridge"`
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != challenge {
				t.Errorf("WWW-Authenticate is %q; want %q", got, challenge)
			}
			wantClientError(t, resp, tt.status, tt.code)
		})
	}
	// Parameters in the address do not count (RFC 6749, section 2.3.1).
	resp := b.asClient(t, tokenEndpoint+"?"+ofClient(code), "", "Authorization", basicAuth(clientSecret))
	wantClientError(t, resp, http.StatusBadRequest, "invalid_request")
	large := strings.Repeat("x", 65<<10)
	wantError(t, b.asClient(t, tokenEndpoint, large), http.StatusRequestEntityTooLarge, signin.InvalidRequest)
	// None of it spent the code.
	resp = b.asClient(t, tokenEndpoint, ofClient(code), "Content-Type", formType+"; charset=UTF-8",
		"Authorization", basicAuth(clientSecret))
	wantStatus(t, resp, http.StatusOK)
	b.wantUnlogged(t, code, clientSecret, appVerifier)
}

// TestToken_wrongSecrets: whoever guesses secrets is slowed down, and the client itself at the same address is not:
// Supabase is one address for everybody.
func TestToken_wrongSecrets(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	var resp *http.Response
	for n := 1; ; n++ { // a slow machine has more than a minute's worth
		resp = b.asClient(t, tokenEndpoint, ofClient("x"), "Authorization", basicAuth("wrong"))
		if n > 60 && (resp.StatusCode == http.StatusTooManyRequests || n == 1000) {
			break
		}
		wantClientError(t, resp, http.StatusUnauthorized, "invalid_client")
	}
	if resp.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	wantError(t, resp, http.StatusTooManyRequests, signin.RateLimited)
	for range 3 {
		resp := b.asClient(t, tokenEndpoint, ofClient(b.clientCode(t)), "Authorization", basicAuth(clientSecret))
		wantStatus(t, resp, http.StatusOK)
	}
	// Other mistakes do not count.
	for range 70 {
		resp := b.asClient(t, tokenEndpoint, ofClient("x"), "Authorization", basicAuth(clientSecret))
		wantClientError(t, resp, http.StatusBadRequest, "invalid_grant")
	}
	// Another address is somebody else.
	req := httptest.NewRequest(http.MethodPost, tokenEndpoint, strings.NewReader(ofClient("x")))
	req.Header.Set("Content-Type", formType)
	req.RemoteAddr = "203.0.113.9:1"
	wantClientError(t, b.serve(req), http.StatusUnauthorized, "invalid_client")
	b.wantMetrics(t, `tikbridge_rate_limited_total{route="/oidc/token"} 1`)
}

// TestToken_full: a bridge that is busy says so before the code is used.
func TestToken_full(t *testing.T) {
	t.Parallel()
	tiktok := newSlowTikTok()
	b := newProvider(t, with(tiktok.people()), func(o *hostedOptions) { o.options.MaxSignIns = 1 })
	var wg sync.WaitGroup
	wg.Go(func() {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, exchangePath, strings.NewReader(goodBody))
		b.ServeHTTP(httptest.NewRecorder(), req)
	})
	<-tiktok.entered
	resp := b.asClient(t, tokenEndpoint, ofClient("x"), "Authorization", basicAuth(clientSecret))
	if resp.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	wantError(t, resp, http.StatusServiceUnavailable, signin.RateLimited)
	close(tiktok.release)
	wg.Wait()
}

// TestToken_CORS: pages of the app may call for a public client, and where there is none no page may.
func TestToken_CORS(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		clients []provider.Client
		origin  string
		granted bool
	}{
		"app":              {[]provider.Client{backend, spa}, appOrigin, true},
		"stranger":         {[]provider.Client{backend, spa}, "https://evil.example", false},
		"no public client": {[]provider.Client{backend}, appOrigin, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newProvider(t, func(o *hostedOptions) { o.clients = tt.clients })
			want := ""
			if tt.granted {
				want = tt.origin
			}
			preflight := b.do(t, http.MethodOptions, tokenEndpoint, "", "Origin", tt.origin,
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
			answer := b.asClient(t, tokenEndpoint, ofClient("x", "client_id", "spa"), "Origin", tt.origin)
			for _, resp := range []*http.Response{preflight, answer} {
				if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want ||
					resp.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("granted to %q; want %q, without credentials", got, want)
				}
			}
			wantStatus(t, preflight, http.StatusNoContent)
			if len(tt.clients) == 2 {
				wantClientError(t, answer, http.StatusBadRequest, "invalid_grant")
			}
		})
	}
}

// TestUserInfo_refused: errors come with the challenge of RFC 6750, and pages of any origin may read them.
func TestUserInfo_refused(t *testing.T) {
	t.Parallel()
	b := newProvider(t)
	for name, tt := range map[string]struct {
		resp            *http.Response
		status          int
		code, challenge string
	}{
		"no token": {b.do(t, http.MethodGet, userInfoPath, ""), 401, "", "Bearer"},
		"wrong token": {
			b.do(t, http.MethodGet, userInfoPath, "", "Authorization", "Bearer x"), 401, "invalid_token",
			`Bearer error="invalid_token"`,
		},
		"two ways": {
			b.asClient(t, userInfoPath, "access_token=x", "Authorization", "Bearer x"), 400, "invalid_request",
			`Bearer error="invalid_request"`,
		},
		"in the address": {b.do(t, http.MethodGet, userInfoPath+"?access_token=x", ""), 401, "", "Bearer"},
		"JSON": {
			b.do(t, http.MethodPost, userInfoPath, "{}", "Content-Type", "application/json"), 400, "invalid_request", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.resp.Header.Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("WWW-Authenticate is %q; want %q", got, tt.challenge)
			}
			if got := tt.resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("Access-Control-Allow-Origin is %q; want *", got)
			}
			wantClientError(t, tt.resp, tt.status, tt.code)
		})
	}
	wantError(t, b.asClient(t, userInfoPath, strings.Repeat("x", 65<<10)), http.StatusRequestEntityTooLarge,
		signin.InvalidRequest)
	resp := b.do(t, http.MethodOptions, userInfoPath, "", "Origin", "https://anybody.example")
	want := map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET, POST",
		"Access-Control-Allow-Headers": "Authorization, Content-Type", "Access-Control-Allow-Credentials": "",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = resp.Header.Get(name)
	}
	if diff := cmp.Diff(want, got); diff != "" || resp.StatusCode != http.StatusNoContent {
		t.Errorf("the preflight is %d (-want +got):\n%s", resp.StatusCode, diff)
	}
}

// FuzzProvider: whatever comes over HTTP, a person is sent to TikTok or to the client, and nothing is a fault of the
// bridge.
func FuzzProvider(f *testing.F) {
	for _, path := range []string{authorizePath, tokenEndpoint, userInfoPath} {
		for _, body := range []string{asking(), ofClient("x"), "access_token=x", "", "%zz", "a;b", "client_id=backend"} {
			f.Add(path, body, basicAuth(clientSecret), formType)
			f.Add(path, body, "Bearer x", "application/json")
		}
	}
	b := newProvider(f, quiet)
	f.Fuzz(func(t *testing.T, path, body, authorization, kind string) {
		if !slices.Contains([]string{authorizePath, tokenEndpoint, userInfoPath}, path) {
			t.Skip()
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
			req.URL.RawQuery = body
			req.Header = http.Header{"Authorization": {authorization}, "Content-Type": {kind}}
			resp := b.serve(req)
			if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusOK {
				t.Fatalf("%s %s: status %d: %s", method, path, resp.StatusCode, readBody(t, resp))
			}
			if location := resp.Header.Get("Location"); location != "" && !slices.ContainsFunc(
				[]string{"https://www.tiktok.com/v2/auth/authorize/?", clientURI + "&", spaURI + "?"},
				func(prefix string) bool { return strings.HasPrefix(location, prefix) },
			) {
				t.Fatalf("a person is sent to %s", location)
			}
		}
	})
}
