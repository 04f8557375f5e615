package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// kinds are the apps of static/examples.
var kinds = []string{"vanilla", "react", "vue"}

const examples = "../../static/examples/"

// appStack is a tikbridge dev behind the host of an app, and the apps of static/examples with their
// addresses put in. A cookie says which of them a browser gets.
type appStack struct {
	stack
	host  string // app and bridge on one origin
	apart string // the app alone, on another site
	keys  *seal.Ring
	proxy http.Handler
	apps  map[string]map[string]file

	mu      sync.Mutex
	secrets map[string]bool // every code, handoff and token that went by, and every verifier that was used
}

type file struct {
	contentType string
	content     []byte
}

// startApps returns the shared appStack.
func startApps(t *testing.T) *appStack {
	t.Helper()
	needChromium(t)
	npmInstall(t)
	return apps(t)
}

var apps = shared(func() (*appStack, error) {
	const key = "of-the-end-to-end-tests-for-handoffs-that-are-too-old"
	s := &appStack{secrets: map[string]bool{}}
	var err error
	if s.keys, err = seal.New(key); err != nil {
		return nil, err
	}
	if s.host, err = serveShared(http.HandlerFunc(s.serveHost)); err != nil {
		return nil, err
	}
	if s.apart, err = serveShared(http.HandlerFunc(s.serveApp)); err != nil {
		return nil, err
	}
	s.apart = strings.Replace(s.apart, "127.0.0.1", "localhost", 1) // another site, not only another port
	s.stack, err = runDev(
		"TIKBRIDGE_SERVER_PUBLIC_URL="+s.host, "TIKBRIDGE_APP_ORIGINS="+s.host+","+s.apart, "TIKBRIDGE_SEAL_KEYS="+key,
	)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(s.bridge)
	if err != nil {
		return nil, err
	}
	s.proxy = httputil.NewSingleHostReverseProxy(target)
	return s, s.build()
})

// build makes the apps of what a developer writes.
func (s *appStack) build() error {
	settings := strings.NewReplacer(
		"https://signin.app.example", s.host,
		"https://abcdefghijkl.supabase.co", s.supabase,
		"sb_publishable_…", gotruesim.PublishableKey,
		"https://cdn.jsdelivr.net/npm/@supabase/supabase-js@2", "/supabase.js",
		`<script type="module" src="/src/main.jsx">`,
		`<link rel="stylesheet" href="/app.css"><script type="module" src="/app.js">`,
		`<script type="module" src="/src/main.tsx">`, `<script type="module" src="/app.js">`,
		`<script type="module" src="/src/main.js">`,
		`<link rel="stylesheet" href="/app.css"><script type="module" src="/app.js">`,
	)
	s.apps = map[string]map[string]file{}
	add := func(kind, name string, content []byte) {
		if s.apps[kind] == nil {
			s.apps[kind] = map[string]file{}
		}
		s.apps[kind][name] = file{mime.TypeByExtension(path.Ext(name)), []byte(settings.Replace(string(content)))}
	}
	for name, from := range map[string]string{
		"/index.html": examples + "vanilla/index.html", "/auth.html": examples + "vanilla/auth.html",
		"/signin.js": examples + "vanilla/signin.js", "/home.js": examples + "vanilla/home.js",
		"/auth.js":     examples + "vanilla/auth.js",
		"/style.css":   examples + "vanilla/style.css",
		"/supabase.js": scratch + "/npm/node_modules/@supabase/supabase-js/dist/umd/supabase.js",
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		add("vanilla", name, content)
	}
	for kind, entry := range map[string]string{
		"react": examples + "react/src/main.jsx", "vue": examples + "vue/src/main.js",
		"builder": "testdata/builder/src/main.tsx",
	} {
		index, err := os.ReadFile(filepath.Dir(filepath.Dir(entry)) + "/index.html")
		if err != nil {
			return err
		}
		add(kind, "/index.html", index)
		script, style, err := bundle(entry)
		if err != nil {
			return fmt.Errorf("bundle %s: %w", kind, err)
		}
		add(kind, "/app.js", script)
		add(kind, "/app.css", style)
	}
	return nil
}

// bundle does what Vite does for production, with the SDK of this repository, as a file or as a package.
func bundle(entry string) (script, style []byte, err error) {
	packages, err := filepath.Abs(filepath.Join(scratch, "npm"))
	if err != nil {
		return nil, nil, err
	}
	sdk, err := filepath.Abs(sdkModule)
	if err != nil {
		return nil, nil, err
	}
	compiler := filepath.Join(packages, "compile-vue.mjs") // Node.js looks for packages beside it
	source, err := os.ReadFile("js/compile-vue.mjs")
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(compiler, source, 0o600); err != nil {
		return nil, nil, err
	}
	src, err := filepath.Abs(filepath.Dir(entry))
	if err != nil {
		return nil, nil, err
	}
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{entry}, Bundle: true, Format: api.FormatESModule, Charset: api.CharsetUTF8,
		JSX: api.JSXAutomatic, Outdir: "out", NodePaths: []string{
			filepath.Join(packages, "node_modules"),
		}, Alias: map[string]string{"@": src},
		Define: map[string]string{
			"process.env.NODE_ENV": `"production"`, "__VUE_OPTIONS_API__": "false",
			"__VUE_PROD_DEVTOOLS__": "false", "__VUE_PROD_HYDRATION_MISMATCH_DETAILS__": "false",
		},
		Plugins: []api.Plugin{{Name: "as Vite does", Setup: func(build api.PluginBuild) {
			build.OnResolve(api.OnResolveOptions{Filter: `^(\./tikbridge\.js|@tikbridge/sdk)$`}, func(api.OnResolveArgs) (
				api.OnResolveResult, error,
			) {
				return api.OnResolveResult{Path: sdk}, nil
			})
			build.OnLoad(api.OnLoadOptions{Filter: `\.vue$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
				component, err := os.ReadFile(args.Path)
				if err != nil {
					return api.OnLoadResult{}, err
				}
				node := exec.Command("node", compiler)
				node.Stdin = bytes.NewReader(component)
				var complaints bytes.Buffer
				node.Stderr = &complaints
				out, err := node.Output()
				if err != nil {
					return api.OnLoadResult{}, fmt.Errorf("compile %s: %w\n%s", args.Path, err, &complaints)
				}
				contents := string(out)
				return api.OnLoadResult{
					Contents: &contents, ResolveDir: filepath.Dir(args.Path), Loader: api.LoaderJS,
				}, nil
			})
		}}},
	})
	if len(result.Errors) > 0 {
		return nil, nil, fmt.Errorf("%s",
			strings.Join(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}), "\n"))
	}
	for _, f := range result.OutputFiles {
		if path.Ext(f.Path) == ".css" {
			style = f.Contents
		} else {
			script = f.Contents
		}
	}
	return script, style, nil
}

// serveHost is a host that has app and bridge on one origin.
func (s *appStack) serveHost(w http.ResponseWriter, r *http.Request) {
	for _, prefix := range []string{"/api/", "/functions/", "/sdk/"} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			s.pass(w, r)
			return
		}
	}
	s.serveApp(w, r)
}

// pass hands a request to the bridge, and notes what nobody else may ever see.
func (s *appStack) pass(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	s.proxy.ServeHTTP(answer, r)

	s.note(r.URL.Query().Get("code"))
	if back, err := url.Parse(answer.Header().Get("Location")); err == nil {
		s.note(back.Query().Get("tikbridge_handoff"))
	}
	for _, content := range [][]byte{body, answer.Body.Bytes()} {
		var secret struct {
			Code         string `json:"code"`
			Handoff      string `json:"handoff"`
			Verifier     string `json:"verifier"`
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
		}
		if json.Unmarshal(content, &secret) == nil {
			s.note(secret.Code, secret.Handoff, secret.AccessToken, secret.RefreshToken)
			if answer.Code == http.StatusOK { // that of another sign-in may stay until it comes back
				s.note(secret.Verifier)
			}
		}
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (s *appStack) note(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		if secret != "" {
			s.secrets[secret] = true
		}
	}
}

// wantNone checks that none of what went by so far, on any phone, is in text.
func (s *appStack) wantNone(t *testing.T, where, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret := range s.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds a code, a handoff, a verifier or a token", where)
		}
	}
}

const kindCookie = "kind"

// serveApp serves the app that the browser has chosen, with a policy as strict as it can be.
func (s *appStack) serveApp(w http.ResponseWriter, r *http.Request) {
	if kind, ok := strings.CutPrefix(r.URL.Path, "/choose/"); ok {
		http.SetCookie(w, &http.Cookie{
			Name: kindCookie, Value: kind, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
		http.Redirect(w, r, "/", http.StatusFound)
		return
	}
	kind := ""
	if cookie, err := r.Cookie(kindCookie); err == nil {
		kind = cookie.Value
	}
	if kind == "guide" || r.URL.Path == "/native-callback" {
		s.serveGuide(w, r)
		return
	}
	f, ok := s.apps[kind][r.URL.Path]
	if !ok && path.Ext(r.URL.Path) == "" {
		if f, ok = s.apps[kind][r.URL.Path+".html"]; !ok { // as hosts do
			f, ok = s.apps[kind]["/index.html"]
		}
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; script-src 'self' %s; style-src 'self'; img-src data:; "+
			"connect-src %s %s; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", s.host, s.host, s.supabase))
	_, _ = w.Write(f.content)
}
