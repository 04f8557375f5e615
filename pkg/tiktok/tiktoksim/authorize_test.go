package tiktoksim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// authorizeQuery returns the query of a good authorize request with changes.
func authorizeQuery(changes ...func(url.Values)) string {
	v := url.Values{
		"client_key": {tiktoksim.DefaultClientKey}, "response_type": {"code"},
		"scope": {"user.info.basic"}, "redirect_uri": {callback}, "state": {`s+t/a=t&e "ü`},
	}
	for _, change := range changes {
		change(v)
	}
	return v.Encode()
}

func wantErrorPage(t *testing.T, got reply, name string) {
	t.Helper()
	if got.status != 400 || !strings.Contains(got.body, "<li><code>"+name+"</code></li>") {
		t.Errorf("got %d; want an error page that names %s:\n%s", got.status, name, got.body)
	}
	if loc := got.header.Get("Location"); loc != "" {
		t.Errorf("Location = %q; want no redirect", loc)
	}
}

func TestAuthorizeErrors(t *testing.T) {
	twice := func(k string) func(url.Values) {
		return func(v url.Values) { v.Add(k, v.Get(k)) }
	}
	tests := []struct {
		name   string
		change func(url.Values)
		field  string
		text   string
	}{
		{"no client_key", del("client_key"), "client_key", "missing"},
		{"client_id", rename("client_key", "client_id"), "client_key", "client_id"},
		{"unknown client", set("client_key", "<b>"), "client_key", "unauthorized_client"},
		{"secret leaked", set("client_secret", "x"), "client_secret", "leaked"},
		{"token flow", set("response_type", "token"), "response_type", "unsupported_response_type"},
		{"no scope", del("scope"), "scope", "invalid_scope"},
		{"unknown scope", set("scope", "email"), "scope", "invalid_scope"},
		{"spaces", set("scope", "user.info.basic user.info.stats"), "scope", "commas"},
		{"no state", del("state"), "state", "state"},
		{"auto auth", set("disable_auto_auth", "yes"), "disable_auto_auth", "0 or 1"},
		{"twice", twice("redirect_uri"), "redirect_uri", "more than once"},
		{"no redirect", del("redirect_uri"), "redirect_uri", "missing"},
		{"scheme", set("redirect_uri", "myapp://oauth"), "redirect_uri", "custom schemes"},
		{"javascript", set("redirect_uri", "javascript:alert(1)"), "redirect_uri", "custom"},
		{"relative", set("redirect_uri", "/callback"), "redirect_uri", "absolute"},
		{"user info", set("redirect_uri", "https://a@b.example/"), "redirect_uri", "absolute"},
		{"query", set("redirect_uri", callback+"?a=1"), "redirect_uri", "static"},
		{"bare question mark", set("redirect_uri", callback+"?"), "redirect_uri", "static"},
		{"fragment", set("redirect_uri", callback+"#"), "redirect_uri", "static"},
		{"long", set("redirect_uri", "https://a.example/"+strings.Repeat("a", 512-18)), "redirect_uri", "512"},
		{
			"method", func(v url.Values) {
				v.Set("code_challenge", strings.Repeat("a", 43))
			}, "code_challenge_method", "S256",
		},
	}
	s := start(t, tiktoksim.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/v2/auth/authorize/?", "/sim/consent?decision=cancel&"} {
				got := s.get(path + authorizeQuery(tt.change))
				wantErrorPage(t, got, tt.field)
				if !strings.Contains(got.body, tt.text) {
					t.Errorf("page lacks %q:\n%s", tt.text, got.body)
				}
			}
		})
	}
	wantErrorPage(t, s.get("/v2/auth/authorize/?a=%zz"), "query")
}

func TestRegisteredRedirects(t *testing.T) {
	tests := []struct {
		name, registered, uri string
		ok                    bool
	}{
		{"equal", callback, callback, true},
		{"slash", callback, callback + "/", false},
		{"case", callback, "https://APP.example/api/auth/tiktok/callback", false},
		{"port", "http://127.0.0.1:*/cb", "http://127.0.0.1:4711/cb", true},
		{"no port", "http://127.0.0.1:*/cb", "http://127.0.0.1/cb", false},
		{"empty port", "http://127.0.0.1:*/cb", "http://127.0.0.1:/cb", false},
		{"port smuggles host", "http://127.0.0.1:*/cb", "http://127.0.0.1:1@evil.example/cb", false},
		{"other path", "http://127.0.0.1:*/cb", "http://127.0.0.1:1/other", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tiktoksim.Options{RedirectURIs: []string{"https://x.example", tt.registered}})
			got := s.get("/v2/auth/authorize/?" + authorizeQuery(set("redirect_uri", tt.uri)))
			if ok := got.status == 200; ok != tt.ok {
				t.Errorf("status = %d; want ok = %v", got.status, tt.ok)
			}
		})
	}
}

func TestConsentPage(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	got := s.get("/v2/auth/authorize/?" + authorizeQuery(
		set("scope", "user.info.basic,user.info.profile")))
	if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got %d %v", got.status, got.header)
	}
	for _, want := range []string{
		"TikTok simulator</strong> — no real account", `value="continue"`, `value="cancel"`,
		`name="grant" value="user.info.profile"`, "Use another account", "ليلى", `lang="en"`,
		`name="state" value="s&#43;t/a=t&amp;e &#34;ü"`,
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	for _, bad := range []string{"<script", "<style", "style=", " onclick", "<b>O'Hara", "ZgotmplZ"} {
		if strings.Contains(got.body, bad) {
			t.Errorf("page has %s", bad)
		}
	}
	for _, p := range tiktoksim.People() {
		if !strings.Contains(got.body, `value="`+p.Slug+`"`) {
			t.Errorf("page lacks %s", p.Slug)
		}
	}
	csp := got.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "form-action") {
		t.Errorf("Content-Security-Policy = %q", csp)
	}
	for path, kind := range map[string]string{
		"/sim/style.css": "text/css; charset=utf-8", "/sim/logo.svg": "image/svg+xml",
	} {
		if got := s.get(path); got.status != 200 || got.header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %s", path, got.status, got.header.Get("Content-Type"))
		}
	}
}

// consent submits the consent form and returns the query of the redirect.
func (s *sim) consent(query string, pairs ...string) url.Values {
	s.t.Helper()
	v := url.Values{"decision": {"continue"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	if v.Has("decline") {
		v.Set("decision", "cancel")
	}
	return redirectQuery(s.t, s.get("/sim/consent?"+query+"&"+v.Encode()))
}

func redirectQuery(t *testing.T, got reply) url.Values {
	t.Helper()
	loc := got.header.Get("Location")
	target, query, _ := strings.Cut(loc, "?")
	if got.status != http.StatusFound || target != callback {
		t.Fatalf("got %d to %q; want a redirect to %s\n%s", got.status, loc, callback, got.body)
	}
	v, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestConsent(t *testing.T) {
	all := authorizeQuery(set("scope", "user.info.basic,user.info.profile,user.info.stats"))
	tests := []struct {
		name   string
		pairs  []string
		openID string
		scopes string
	}{
		{"mira", []string{"account", "mira"}, tiktoksim.OpenIDMira, "user.info.basic"},
		{
			"one scope of two",
			[]string{"account", "twin-a", "grant", "user.info.stats"},
			tiktoksim.OpenIDTwinA, "user.info.basic,user.info.stats",
		},
		{
			"unrequested scope",
			[]string{"account", "twin-b", "grant", "video.list"},
			tiktoksim.OpenIDTwinB, "user.info.basic",
		},
		{"typed open_id", []string{"account", "other", "open_id", " -0o "}, "-0o", "user.info.basic"},
		{
			"typed open_id of another", []string{
				"account", "other", "open_id", tiktoksim.OpenIDGhost, "display_name", "Boo",
			}, tiktoksim.OpenIDGhost, "user.info.basic",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tiktoksim.Options{})
			got := s.consent(all, tt.pairs...)
			want := url.Values{
				"code": got["code"], "scopes": {tt.scopes}, "state": {`s+t/a=t&e "ü`},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			tokens := s.token(exchangeOf(got.Get("code")))
			if field(t, tokens, "open_id") != tt.openID || field(t, tokens, "scope") != tt.scopes {
				t.Errorf("got %s; want %s, %s", tokens.body, tt.openID, tt.scopes)
			}
		})
	}
}

func TestCodeIsEncodedInTheRedirect(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	got := s.get("/sim/consent?" + authorizeQuery() + "&account=mira&decision=continue")
	if loc := got.header.Get("Location"); !strings.Contains(loc, "%2A0%216410.va&") {
		t.Errorf("Location = %q; want the code's tail percent-encoded", loc)
	}
}

func TestCancel(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	got := s.consent(authorizeQuery(), "decline", "1")
	want := url.Values{
		"error": {"access_denied"}, "error_description": {"User cancelled the authorization"},
		"state": {`s+t/a=t&e "ü`}, // and no code
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConsentProblems(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	for name, tt := range map[string]struct{ query, text string }{
		"nobody":       {"", "Choose an account."},
		"unknown":      {"&account=nobody", "Choose an account."},
		"nothing":      {"&account=other", "Type a display name"},
		"long":         {"&account=other&open_id=" + strings.Repeat("a", 257), "too long"},
		"control":      {"&account=other&open_id=a%00b", "printable"},
		"refused kept": {"&account=other&grant=user.info.basic", "Type a display name"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.get("/sim/consent?" + authorizeQuery() + "&decision=continue" + tt.query)
			if got.status != 400 || !strings.Contains(got.body, tt.text) {
				t.Errorf("got %d; want a page with %q:\n%s", got.status, tt.text, got.body)
			}
		})
	}
}

func TestTypedNameIsAStableAccount(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	sign := func(name string) (openID, displayName string) {
		got := s.consent(authorizeQuery(), "account", "other", "display_name", name)
		tokens := s.token(exchangeOf(got.Get("code")))
		info := s.userInfo(field(t, tokens, "access_token"), "display_name")
		return field(t, tokens, "open_id"), field(t, info, "data.user.display_name")
	}
	first, name := sign("Ada & <i>Co</i>")
	again, _ := sign("Ada & <i>Co</i>")
	other, _ := sign("Ada")
	if first != again || first == other || len(first) != 36 || name != "Ada & <i>Co</i>" {
		t.Errorf("open_ids %q, %q, %q, name %q", first, again, other, name)
	}
}

func TestAutoAuth(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	authorize := func(changes ...func(url.Values)) reply {
		return s.get("/v2/auth/authorize/?" + authorizeQuery(changes...))
	}
	auto, always := set("disable_auto_auth", "0"), set("disable_auto_auth", "1")
	if got := authorize(auto); got.status != 200 {
		t.Fatalf("without a session: %d; want the page", got.status)
	}
	s.consent(authorizeQuery(), "account", "twin-b")

	for name, change := range map[string]func(url.Values){"0": auto, "omitted": del("x")} {
		got := redirectQuery(t, authorize(change))
		tokens := s.token(exchangeOf(got.Get("code")))
		if field(t, tokens, "open_id") != tiktoksim.OpenIDTwinB {
			t.Errorf("%s: got %s; want the same account", name, tokens.body)
		}
	}
	if got := authorize(always); got.status != 200 || !strings.Contains(got.body, "checked") {
		t.Errorf("with disable_auto_auth=1: %d; want the page", got.status)
	}
	if got := authorize(auto, set("scope", "user.info.stats")); got.status != 200 {
		t.Errorf("with a scope not granted before: %d; want the page", got.status)
	}

	access, _ := s.tokens(tiktoksim.OpenIDTwinB)
	s.must(s.request("POST", "/v2/oauth/revoke/", form, credentials("token", access).Encode()))
	if got := authorize(auto); got.status != 200 {
		t.Errorf("after revocation: %d; want the page", got.status)
	}

	s.consent(authorizeQuery(), "account", "other", "open_id", "typed", "display_name", "Typed")
	if got := authorize(always); !strings.Contains(got.body, `value="typed"`) {
		t.Error("the page forgets the typed account of the session")
	}
	if got := s.get("/sim/logout"); got.status != 200 {
		t.Errorf("logout: %d", got.status)
	}
	if got := authorize(auto); got.status != 200 {
		t.Errorf("after logout: %d; want the page", got.status)
	}
}
