package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// TestRefusedOrigin: an operator who forgot an origin finds it in the log, whatever the browser shows. What is no
// origin stays out.
func TestRefusedOrigin(t *testing.T) {
	t.Parallel()
	long := "https://" + strings.Repeat("a", 200) + ".example"
	for name, tt := range map[string]struct{ asked, logged string }{
		"https":            {"https://preview.app.example", "https://preview.app.example"},
		"with a port":      {"http://192.168.1.5:5173", "http://192.168.1.5:5173"},
		"IPv6":             {"http://[2001:db8::1]:3000", "http://[2001:db8::1]:3000"},
		"shell":            {"capacitor://localhost", "capacitor://localhost"},
		"sandbox":          {"null", "null"},
		"too long":         {long, ""},
		"with a path":      {"https://app.example/secret", ""},
		"with a user":      {"https://user:secret@app.example", ""},
		"script":           {"javascript:alert(1)", ""},
		"words":            {"secret words", ""},
		"line break":       {"https://a.example\u2028x", ""},
		"not even a host":  {"https://", ""},
		"port of nonsense": {"https://a.example:secret", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newHosted(t)
			for _, r := range []struct{ method, path string }{
				{http.MethodPost, exchangePath},
				{http.MethodOptions, exchangePath},
				{http.MethodPost, redeemPath},
				{http.MethodGet, startPath},
			} {
				resp := b.do(t, r.method, r.path, "", "Origin", tt.asked, "Access-Control-Request-Method", "POST")
				wantError(t, resp, http.StatusForbidden, signin.OriginNotAllowed)
				wantOrigin(t, b, tt.logged)
			}
		})
	}
}

// TestRefusedReturn is the same for pages to return to, which a browser asks for by an address.
func TestRefusedReturn(t *testing.T) {
	t.Parallel()
	origins, pages := []string{appOrigin, "https://narrow.example"}, []string{"https://narrow.example/app/*"}
	lists, err := allow.New(origins, pages, []string{"myapp"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ asked, logged, cause string }{
		"another origin":  {"https://www.app.example/auth?a=secret", "https://www.app.example", "app.origins does not list"},
		"another port":    {"http://localhost:5174/", "http://localhost:5174", "app.origins does not list"},
		"with a user":     {"https://user:secret@www.app.example/", "https://www.app.example", "app.origins does not list"},
		"odd host":        {"https://se%20cret/", "", ""},
		"path":            {"/auth", "", "not an absolute address"},
		"app's own":       {"myapp://auth", "", "app.origins does not list"},
		"narrowed origin": {"https://narrow.example/secret", "", "app.redirect_uris allows other pages"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, demo := range []*server.Demo{nil, {}} {
				b := newHosted(t, func(o *hostedOptions) { o.options.Allow, o.policy, o.options.Demo = lists, lists, demo })
				target := query(startPath, "platform", "web", "redirect_to", tt.asked)
				resp := b.do(t, http.MethodGet, target, "", "Accept", forPeople)
				page := readBody(t, resp)
				if demo == nil && strings.Contains(page, "/*") || !strings.Contains(page, "not set up for the page") {
					t.Errorf("the page does not speak plainly: %s", page)
				}
				if got := strings.Contains(page, "<dt>Origin</dt>"); got != (demo != nil && tt.logged != "") {
					t.Errorf("the page names the origin: %v (in dev: %v)", got, demo != nil)
				}
				wantOrigin(t, b, tt.logged)
				if cause, _ := b.log.last(t)["cause"].(string); !strings.Contains(cause, tt.cause) {
					t.Errorf("the cause is %q; want %q", cause, tt.cause)
				}
			}
		})
	}
}

// wantOrigin checks the last line of the log.
func wantOrigin(t *testing.T, b bridge, want string) {
	t.Helper()
	if got, _ := b.log.last(t)["origin"].(string); got != want {
		t.Errorf("the log has the origin %q; want %q", got, want)
	}
	if strings.Contains(b.log.String(), "secret") {
		t.Errorf("what is no origin is in the log: %s", b.log)
	}
}

// TestRefusedRedirectURI is the same for the guide flow.
func TestRefusedRedirectURI(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{})
	for address, want := range map[string]string{
		"https://www.app.example/auth?x=secret": "https://www.app.example",
		appOrigin + "/secret":                   "",
		"secret":                                "",
	} {
		resp := b.post(t, `{"code":"c","redirect_uri":"`+address+`"}`)
		wantError(t, resp, http.StatusBadRequest, signin.RedirectURIMismatch)
		wantOrigin(t, b, want)
		if b.log.last(t)["cause"] == nil {
			t.Error("the log does not say why")
		}
	}
}
