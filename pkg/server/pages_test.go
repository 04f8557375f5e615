package server_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/static"
)

var pagePaths = []string{"/native-callback", "/native-callback.html", "/auth", "/auth.html", "/return"}

func withPublicURL(url string) func(*server.Options) {
	return func(o *server.Options) { o.PublicURL = url }
}

// element is a start tag of a page.
type element struct {
	name  string
	attrs map[string]string
	text  string // what follows it, up to the next tag
}

func parse(t *testing.T, page string) []element {
	t.Helper()
	var all []element
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return all
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			e := element{name: token.Data, attrs: map[string]string{}}
			for _, a := range token.Attr {
				if _, twice := e.attrs[a.Key]; twice {
					t.Errorf("<%s> has %s twice", e.name, a.Key)
				}
				e.attrs[a.Key] = a.Val
			}
			all = append(all, e)
		case html.TextToken:
			if len(all) > 0 && all[len(all)-1].text == "" {
				all[len(all)-1].text = strings.TrimSpace(string(z.Text()))
			}
		}
	}
}

func find(t *testing.T, page, name string) element {
	t.Helper()
	for _, e := range parse(t, page) {
		if e.name == name {
			return e
		}
	}
	t.Fatalf("the page has no <%s>", name)
	return element{}
}

// settings returns what the scripts of a page read.
func settings(t *testing.T, page string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for key, value := range find(t, page, "html").attrs {
		if strings.HasPrefix(key, "data-") {
			found[key] = value
		}
	}
	return found
}

func TestPages_settings(t *testing.T) {
	t.Parallel()
	lists, err := allow.New(nil, nil, []string{"myapp", "com.example.app", "a+b"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		adjust func(*server.Options)
		want   map[string]string
	}{
		{
			"defaults", func(*server.Options) {},
			map[string]string{"data-bridge": "", "data-schemes": "myapp", "data-auth-path": "/auth", "data-next": "/"},
		},
		{
			"all of them",
			func(o *server.Options) {
				o.PublicURL, o.Allow, o.AuthPath, o.DefaultRedirect = "https://signin.example", lists, "/welcome/auth", "/home"
			},
			map[string]string{
				"data-bridge": "https://signin.example", "data-schemes": "myapp com.example.app a+b",
				"data-auth-path": "/welcome/auth", "data-next": "/home",
			},
		},
		{
			"no scheme", func(o *server.Options) { o.Allow = &allow.List{} },
			map[string]string{"data-bridge": "", "data-schemes": "", "data-auth-path": "/auth", "data-next": "/"},
		},
		{
			"odd ones",
			func(o *server.Options) {
				o.AuthPath, o.DefaultRedirect = `/a"><script>alert(1)</script>`, `/b'&amp;<>$1\`
			},
			map[string]string{
				"data-bridge": "", "data-schemes": "myapp",
				"data-auth-path": `/a"><script>alert(1)</script>`, "data-next": `/b'&amp;<>$1\`,
			},
		},
		{
			"paths that look like those of the assets",
			func(o *server.Options) {
				o.PublicURL, o.AuthPath, o.DefaultRedirect = "https://signin.example", "/sdk/auth", "/sdk/"
			},
			map[string]string{
				"data-bridge": "https://signin.example", "data-schemes": "myapp", "data-auth-path": "/sdk/auth",
				"data-next": "/sdk/",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{}, tt.adjust)
			for _, address := range pagePaths {
				resp := b.do(t, http.MethodGet, address, "")
				if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK ||
					!strings.EqualFold(got, "text/html; charset=utf-8") {
					t.Errorf("%s: answer is %d %s; want 200 text/html", address, resp.StatusCode, got)
				}
				page := readBody(t, resp)
				if diff := cmp.Diff(tt.want, settings(t, page)); diff != "" {
					t.Errorf("%s: settings (-want +got):\n%s", address, diff)
				}
				wantNothingInline(t, address, page)
			}
		})
	}
}

// TestPages_assets checks that a page loads what the bridge serves, and by absolute addresses once
// the bridge knows its own, so that the page works as a copy on another host.
func TestPages_assets(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "https://signin.example", "http://localhost:8080"} {
		b := newBridge(t, people{}, withPublicURL(base))
		for _, address := range pagePaths {
			var assets []string
			for _, e := range parse(t, readBody(t, b.do(t, http.MethodGet, address, ""))) {
				switch {
				case e.name == "script":
					assets = append(assets, e.attrs["src"])
				case e.name == "link" && e.attrs["rel"] == "stylesheet":
					assets = append(assets, e.attrs["href"])
				}
			}
			if len(assets) != 2 {
				t.Errorf("%s loads %q; want a script and a stylesheet", address, assets)
			}
			for _, asset := range assets {
				local, found := strings.CutPrefix(asset, base+"/sdk/")
				if !found {
					t.Errorf("%s loads %q; want an address below %s/sdk/", address, asset, base)
				}
				wantStatus(t, b.do(t, http.MethodGet, "/sdk/"+local, ""), http.StatusOK)
			}
		}
	}
}

// directives reads a content security policy.
func directives(policy string) map[string][]string {
	found := map[string][]string{}
	for _, directive := range strings.Split(policy, ";") {
		words := strings.Fields(directive)
		found[words[0]] = words[1:]
	}
	return found
}

func TestPages_policy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		adjust func(*server.Options)
		paths  []string
		want   map[string][]string
	}{
		{
			"pages", func(*server.Options) {}, pagePaths,
			map[string][]string{
				"script-src": {"'self'"}, "style-src": {"'self'"}, "connect-src": {"'self'"},
				"img-src": {"'self'", "data:"},
			},
		},
		{
			"pages with a public URL", withPublicURL("https://signin.example"), pagePaths,
			map[string][]string{
				"script-src": {"'self'", "https://signin.example"}, "style-src": {"'self'", "https://signin.example"},
				"connect-src": {"'self'", "https://signin.example"}, "img-src": {
					"'self'", "https://signin.example", "data:",
				},
			},
		},
		{
			"demo", withDemo,
			[]string{"/"},
			map[string][]string{
				"script-src": {"'self'"}, "style-src": {"'self'"}, "connect-src": {"'self'", "https://project.example"},
				"img-src": {"'self'", "data:", "https:", "http:"}, // avatars come from anywhere
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, directive := range []string{"default-src", "base-uri", "form-action", "frame-ancestors"} {
				tt.want[directive] = []string{"'none'"}
			}
			b := newBridge(t, people{}, tt.adjust)
			for _, address := range tt.paths {
				h := b.do(t, http.MethodGet, address, "").Header
				if got := h["Content-Security-Policy"]; len(got) != 1 {
					t.Fatalf("%s: Content-Security-Policy is %q; want one", address, got)
				}
				if diff := cmp.Diff(tt.want, directives(h.Get("Content-Security-Policy"))); diff != "" {
					t.Errorf("%s: policy (-want +got):\n%s", address, diff)
				}
				for name, want := range map[string]string{
					"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
				} {
					if got := h.Get(name); got != want {
						t.Errorf("%s: %s is %q; want %q", address, name, got, want)
					}
				}
				for _, name := range []string{"Access-Control-Allow-Origin", "Set-Cookie"} {
					if got, ok := h[name]; ok {
						t.Errorf("%s: %s is %q; want none", address, name, got)
					}
				}
			}
		})
	}
}

func TestPages_head(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, withDemo)
	for _, address := range append(
		slices.Clone(pagePaths), "/", "/sdk/pages.js", "/sdk/pages.css", "/demo/demo.js", "/demo/config.json",
		"/healthz", "/readyz",
	) {
		get := b.do(t, http.MethodGet, address, "")
		head := b.do(t, http.MethodHead, address, "")
		get.Header.Del("X-Request-Id")
		head.Header.Del("X-Request-Id")
		if diff := cmp.Diff(get.Header, head.Header); diff != "" || head.StatusCode != http.StatusOK {
			t.Errorf("%s: HEAD is %d, headers (-GET +HEAD):\n%s", address, head.StatusCode, diff)
		}
	}
}

func TestSDK(t *testing.T) {
	t.Parallel()
	types := map[string]string{".js": "text/javascript", ".ts": "text/plain", ".css": "text/css"}
	files := map[string]string{} // by the name that is served
	for _, pattern := range []string{"sdk/*", "pages/*.js", "pages/*.css"} {
		names, err := fs.Glob(static.Files, pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no files %s (%v)", pattern, err)
		}
		for _, name := range names {
			files[path.Base(name)] = name
		}
	}
	b := newBridge(t, people{})
	for served, name := range files {
		want, err := static.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		resp := b.do(t, http.MethodGet, "/sdk/"+served, "", "Origin", "https://anybody.example")
		if got := readBody(t, resp); resp.StatusCode != http.StatusOK || got != string(want) {
			t.Errorf("%s: status %d, %d bytes; want 200 and the file, %d bytes", served, resp.StatusCode, len(got), len(want))
		}
		for name, want := range map[string]string{
			"Content-Type":                     types[path.Ext(served)] + "; charset=utf-8",
			"Access-Control-Allow-Origin":      "*",
			"Access-Control-Allow-Credentials": "",
			"Cross-Origin-Resource-Policy":     "cross-origin",
			"Cache-Control":                    "public, max-age=300",
			"X-Content-Type-Options":           "nosniff",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q; want %q", served, name, got, want)
			}
		}
	}
	// The modules that the SDK is built from, and its build, are not for browsers.
	for _, address := range []string{"/sdk/src/index.js", "/sdk/build/main.go", "/sdk/auth.html", "/pages/pages.js"} {
		wantStatus(t, b.do(t, http.MethodGet, address, ""), http.StatusNotFound)
	}
}

// withDemo switches the demo app on.
func withDemo(o *server.Options) {
	o.Demo = &server.Demo{
		Config: server.DemoConfig{
			AuthorizeURL: "https://tiktok.example/authorize", ClientKey: "key", Scopes: "user.info.basic",
			SupabaseAuthURL: "https://project.example/auth/v1", SupabaseKey: "sb_publishable_x",
			Schemes: []string{"myapp"}, Simulated: true,
		},
		Connect: []string{"https://project.example"},
	}
}

var demoPaths = []string{"/demo/config.json", "/demo/demo.js", "/demo/demo.css"}

func TestDemo(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, withDemo)
	resp := b.do(t, http.MethodGet, "/", "")
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/html") {
		t.Errorf("Content-Type is %q; want text/html", got)
	}
	wantNothingInline(t, "/", readBody(t, resp))
	for _, address := range demoPaths {
		wantStatus(t, b.do(t, http.MethodGet, address, ""), http.StatusOK)
	}
	want := map[string]any{
		"authorize_url": "https://tiktok.example/authorize", "client_key": "key", "scopes": "user.info.basic",
		"supabase_auth_url": "https://project.example/auth/v1", "supabase_key": "sb_publishable_x",
		"schemes": []any{"myapp"}, "simulated": true,
	}
	if diff := cmp.Diff(want, readJSON(t, b.do(t, http.MethodGet, "/demo/config.json", ""))); diff != "" {
		t.Errorf("config.json (-want +got):\n%s", diff)
	}
}

func TestDemo_off(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{})
	resp := b.do(t, http.MethodGet, "/", "")
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
		t.Errorf("Content-Type is %q; want text/plain", got)
	}
	if got, want := readBody(t, resp), "tikbridge v1.2.3: sign in with TikTok for apps on Supabase.\n"; got != want {
		t.Errorf("/ says %q; want %q", got, want)
	}
	for _, address := range append(slices.Clone(demoPaths), "/demo/", "/demo", "/demo/index.html", "/index.html") {
		wantStatus(t, b.do(t, http.MethodGet, address, ""), http.StatusNotFound)
	}
}

// TestStatic_inline reads every page of static/, also those that are only copied.
func TestStatic_inline(t *testing.T) {
	t.Parallel()
	seen := 0
	err := fs.WalkDir(static.Files, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".html" {
			return err
		}
		seen++
		page, err := static.Files.ReadFile(name)
		wantNothingInline(t, name, string(page))
		if bytes.Contains(page, []byte("http://")) || bytes.Contains(page, []byte(`="//`)) {
			t.Errorf("%s refers to another host", name)
		}
		return err
	})
	if err != nil || seen < 3 {
		t.Errorf("looked at %d pages (%v); want all", seen, err)
	}
}

// wantNothingInline checks for all that the content security policy would block, or that would make
// a hole in it necessary.
func wantNothingInline(t *testing.T, name, page string) {
	t.Helper()
	for _, e := range parse(t, page) {
		switch {
		case e.name == "script" && (e.attrs["src"] == "" || e.text != ""):
			t.Errorf("%s has a script inline: %q", name, e.text)
		case e.name == "style", e.name == "base", e.name == "iframe", e.name == "object", e.name == "embed":
			t.Errorf("%s has a <%s>", name, e.name)
		}
		for key, value := range e.attrs {
			address := strings.ToLower(strings.TrimSpace(value))
			switch {
			case strings.HasPrefix(key, "on"), key == "style", key == "srcdoc", key == "http-equiv":
				t.Errorf("%s: <%s> has %s=%q", name, e.name, key, value)
			case strings.HasPrefix(address, "javascript:"), strings.HasPrefix(address, "data:") &&
				e.attrs["rel"] != "icon":
				t.Errorf("%s: <%s> has %s=%q", name, e.name, key, value)
			}
		}
	}
}
