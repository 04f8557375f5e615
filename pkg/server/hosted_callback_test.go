package server_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

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
	const damaged = "This sign-in was not started here, or its address is damaged. " +
		"Please go back to the app and sign in again."
	tests := []struct {
		name, target string
		headers      []string
		status       int
		code         signin.Code
		want         string
	}{
		{"no platform", startPath, nil, 400, signin.InvalidRequest, "The parameter platform must be web or native."},
		{
			"foreign page", query(startPath, "platform", "web", "redirect_to", "https://evil.example/"), nil, 400,
			signin.RedirectURIMismatch, signin.CauseReturnNotAllowed.Message(),
		},
		{
			"foreign scheme", query(startPath, "platform", "native", "scheme", "evil", "challenge", challenge()), nil, 400,
			signin.SchemeNotAllowed, signin.CauseSchemeNotAllowed.Message(),
		},
		{
			"foreign origin", query(startPath, "platform", "web"),
			[]string{"Origin", "https://evil.example"},
			403,
			signin.OriginNotAllowed, signin.CauseOriginNotAllowed.Message(),
		},
		{
			"broken state", query(callbackPath, "state", "uuid|myapp", "code", "c"), nil, 400,
			signin.InvalidState, damaged,
		},
		{
			"broken state with an error", query(callbackPath, "state", "x", "error", "access_denied"), nil, 400,
			signin.InvalidState, damaged,
		},
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
const nasty = "</p></main><script>alert(1)</script>\" onload='x' `${1}` {{.}} <!-- & &amp; + %0d%0aX: y 100% ; # ? = " +
	"😀 שלום\u2028\r\nSet-Cookie: a=b\x00\\"

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
			"cancelled",
			[]string{"error", "access_denied", "error_description", nasty},
			at(publicURL),
			signin.AccessDenied, "You did not give this app access to your TikTok account.", "idle",
		},
		{
			"an error nobody knows",
			[]string{"error", nasty, "error_description", nasty},
			at(publicURL),
			signin.AccessDenied, "TikTok did not grant access.", "idle",
		},
		{
			"fault of TikTok",
			[]string{"error", "server_error"},
			at(publicURL), signin.TikTokUnavailable,
			"TikTok does not answer as it should. Please try again in a moment.", "problem",
		},
		{"no code", nil, at(publicURL), signin.InvalidRequest, "TikTok sent no code. Please sign in again.", "problem"},
		{
			"scopes",
			[]string{"code", "c", "scopes", nasty},
			at(publicURL), signin.AccessDenied,
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
