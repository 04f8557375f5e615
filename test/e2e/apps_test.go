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
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"

	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
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

// bundle does what Vite does for production, with the SDK where the example says to put it.
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
			build.OnResolve(api.OnResolveOptions{Filter: `/tikbridge\.js$`}, func(api.OnResolveArgs) (
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
		http.SetCookie(w, &http.Cookie{Name: kindCookie, Value: kind, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // no https here
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
	w.Header().Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src 'self' %s; style-src 'self'; img-src data:; "+
		"connect-src %s %s; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", s.host, s.host, s.supabase))
	_, _ = w.Write(f.content)
}

// newPage opens a window that has the tools of js/shell.js, and chooses an app.
func newPage(t *testing.T) device {
	t.Helper()
	b := device{newBrowser(t, 390, 844)}
	b.equip(t)
	return b
}

func (b device) equip(t *testing.T) {
	t.Helper()
	script := page.AddScriptToEvaluateOnNewDocumentParams{Source: "{" + string(readFile(t, "js/shell.js")) + "}"}
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, script); err != nil {
		t.Fatal(err)
	}
}

// start opens an app, whose home page leads on to the page that signs in.
func (b device) start(t *testing.T, origin, kind string) {
	t.Helper()
	b.run(t, "open the app", chromedp.Navigate(origin+"/choose/"+kind), visible(signInButton))
}

const (
	signInButton  = "#sign-in"
	signOutButton = "#sign-out"
	otherButton   = "#other-account"
	nameHeading   = "#name"
)

// agree chooses a person at TikTok.
func (b device) agree(t *testing.T, who string) {
	t.Helper()
	b.run(t, "agree at TikTok", visible(continueButton), click(account(who)), click(continueButton))
}

func (b device) decline(t *testing.T) {
	t.Helper()
	b.run(t, "decline at TikTok", visible(cancelButton), click(cancelButton))
}

// wantMessage waits for what the app says to the person, who can then try again.
func (b device) wantMessage(t *testing.T, want string) {
	t.Helper()
	b.until(
		t,
		fmt.Sprintf(
			"document.querySelector('#message')?.textContent.includes(%q) && !document.querySelector('#sign-in').disabled",
			want,
		),
	)
	b.wantClean(t)
}

// wantSignedIn checks that the app has the right person, and still has after a refresh of the tokens and
// a reload; and that nothing is left of how that came about.
func (s *appStack) wantSignedIn(t *testing.T, b device, openID string) {
	t.Helper()
	b.until(t, "document.querySelector('#name')?.textContent.trim()")
	s.wantUser(t, b, openID, "")
	s.wantUser(t, b, openID, "await probe.auth.refreshSession();")
	b.wantClean(t)
	s.wantNothingLeft(t, b)
	b.run(t, "reload", chromedp.Reload(), visible(nameHeading))
	b.until(t, "document.querySelector('#name')?.textContent.trim()")
	s.wantUser(t, b, openID, "")
	b.wantClean(t)
	s.wantNothingLeft(t, b)
}

// wantUser asks supabase-js, which finds the session where the app's own client keeps it.
func (s *appStack) wantUser(t *testing.T, b device, openID, before string) {
	t.Helper()
	supabaseJS := readFile(t, scratch+"/npm/node_modules/@supabase/supabase-js/dist/umd/supabase.js")
	b.run(t, "load supabase-js", chromedp.Evaluate[chromedp.Void](string(supabaseJS)))
	got := eval[struct{ OpenID, Name, Shown, Error string }](t, b, fmt.Sprintf(`(async () => {
		const probe = supabase.createClient(%q, %q, { auth: { autoRefreshToken: false, detectSessionInUrl: false } });
		%s
		const { data: { user }, error } = await probe.auth.getUser();
		const { tiktok_open_id, display_name } = user?.user_metadata ?? {};
		return { OpenID: tiktok_open_id, Name: display_name, Shown: document.querySelector('#name').textContent.trim(), Error: String(error) };
	})()`, s.supabase, gotruesim.PublishableKey, before))
	if got.OpenID != openID || got.Name == "" || got.Shown != got.Name {
		t.Errorf("after %q the user is %+v; want %s, and the name on the page", before, got, openID)
	}
}

// wantClean checks the address bar, how far things moved, and what the browser complained of.
func (b device) wantClean(t *testing.T) {
	t.Helper()
	b.until(t, "!location.search && !location.hash")
	b.wantStill(t)
	b.wantNoComplaints(t)
}

// wantStill checks that nothing on the page has moved by itself: a cumulative layout shift of zero.
func (b *browser) wantStill(t *testing.T) {
	t.Helper()
	for _, what := range read(t, b, "what moved", chromedp.Evaluate[[]string]("shifted")) {
		t.Errorf("at %s something moved by itself: %s", withoutQuery(b.location(t)), what)
	}
}

// wantNothingLeft looks for secrets wherever a page, an operator or the next person could find them.
// Supabase's own session is where it belongs.
func (s *appStack) wantNothingLeft(t *testing.T, b device) {
	t.Helper()
	s.wantNone(t, "the address bar", b.location(t))
	s.wantNone(t, "document.referrer", eval[string](t, b, "document.referrer"))
	s.wantNone(t, "the history", eval[string](t, b, "navigation.entries().map((entry) => entry.url).join()"))
	s.wantNone(t, "the storage", eval[string](t, b, `[localStorage, sessionStorage].flatMap((storage) => Object.entries(storage))
		.filter(([key]) => !/^sb-.*-auth-token$/.test(key)).join()`))
	s.wantNone(t, "document.cookie", eval[string](t, b, "document.cookie"))
	s.wantNone(t, "the log", s.log.String())
}

// phone is a phone with a Despia app: a web view, and a secure browser that shares nothing with it and
// keeps its own cookies from one session to the next.
type phone struct {
	*appStack
	device               // the web view
	jar      device      // of the secure browser
	commands chan string // the app gives to Despia
	ios      bool
}

func newPhone(t *testing.T, s *appStack, platform string) *phone {
	t.Helper()
	p := &phone{
		appStack: s, device: newPage(t), jar: newPage(t), commands: make(chan string, 10), ios: platform == "ios",
	}
	if err := chromedp.Listen(p.ctx, func(event any) {
		if e, ok := event.(*runtime.EventBindingCalled); ok && e.Name == "despiaCommand" {
			p.commands <- e.Payload
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(p.ctx, runtime.AddBinding, runtime.AddBindingParams{Name: "despiaCommand"}); err != nil {
		t.Fatal(err)
	}
	agent := "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/142.0 Mobile Safari/537.36 Despia"
	if p.ios {
		agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Despia"
	}
	if _, err := chromedp.Call(
		p.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent},
	); err != nil {
		t.Fatal(err)
	}
	return p
}

// secureBrowser is a session of the secure browser, open above the app.
type secureBrowser struct {
	device
	close func()
	links chan *page.EventFrameRequestedNavigation // to apps
}

// secure waits for the app's command and does what Despia does: it opens the address in the secure
// browser.
func (p *phone) secure(t *testing.T) *secureBrowser {
	t.Helper()
	var command string
	select {
	case command = <-p.commands:
	case <-time.After(40 * time.Second):
		t.Fatalf("the app gives Despia no command\nat %s\n%s", withoutQuery(p.location(t)), p.text(t, "body"))
	}
	encoded, ok := strings.CutPrefix(command, "oauth://?url=")
	target, err := url.QueryUnescape(encoded)
	if !ok || err != nil || url.QueryEscape(target) == target {
		t.Fatalf("the command is %q (%v); want oauth://?url= and an encoded address", command, err)
	}
	if p.ios {
		eval[chromedp.Void](t, p.device, "dispatchEvent(new Event('blur'))")
	} else {
		eval[chromedp.Void](t, p.device, "setVisible(false)")
	}
	sb := &secureBrowser{links: make(chan *page.EventFrameRequestedNavigation, 10)}
	ctx, cancel := chromedp.NewContext(p.jar.ctx)
	t.Cleanup(cancel)
	sb.device, sb.close = device{&browser{ctx: ctx}}, cancel
	if err := chromedp.Listen(ctx, func(event any) {
		sb.listen(event)
		if e, ok := event.(*page.EventFrameRequestedNavigation); ok && !strings.HasPrefix(e.URL, "http") {
			sb.links <- e
		}
	}); err != nil {
		t.Fatal(err)
	}
	sb.equip(t)
	sb.run(t, "open the secure browser", chromedp.EmulateViewport(390, 844), chromedp.Navigate(target))
	return sb
}

// link waits for the deeplink. byButton waits for one that the person asked for.
func (sb *secureBrowser) link(t *testing.T, byButton bool) string {
	t.Helper()
	for {
		select {
		case e := <-sb.links:
			if byButton && e.Reason != page.ClientNavigationReasonAnchorClick {
				continue // the browser blocked it
			}
			return e.URL
		case <-time.After(40 * time.Second):
			t.Fatalf("no deeplink comes from %s", withoutQuery(sb.location(t)))
		}
	}
}

// dismiss closes the secure browser: Despia does, or the person.
func (p *phone) dismiss(t *testing.T, sb *secureBrowser) {
	t.Helper()
	sb.wantNoComplaints(t)
	sb.close()
	if p.ios {
		eval[chromedp.Void](t, p.device, "dispatchEvent(new Event('focus'))")
	} else {
		eval[chromedp.Void](t, p.device, "setVisible(true)")
	}
}

// follow does what Despia does with a deeplink: with oauth/ in it, it closes the secure browser and
// navigates the web view. A page that is there already stays and gets a new address, unless again says
// that the system has thrown it away in the meantime.
func (p *phone) follow(t *testing.T, sb *secureBrowser, link string, again bool) {
	t.Helper()
	rest, ok := strings.CutPrefix(link, "myapp://oauth/")
	if !ok {
		t.Fatalf("the deeplink %q does nothing", withoutQuery(link))
	}
	if u, err := url.Parse(link); err == nil {
		for _, key := range []string{"tikbridge_handoff", "access_token", "refresh_token"} {
			p.note(u.Query().Get(key))
		}
	}
	sb.wantStill(t)
	p.dismiss(t, sb)
	target := p.host + "/" + rest
	if !again && withoutQuery(p.location(t)) == withoutQuery(target) {
		eval[chromedp.Void](
			t, p.device,
			fmt.Sprintf(
				"history.pushState(null, '', %q); dispatchEvent(new PopStateEvent('popstate', { state: null }))",
				target,
			),
		)
		return
	}
	p.run(t, "navigate the web view", chromedp.Navigate(target))
}

// TestApps_native signs in in a Despia app, whose page is there already when the deeplink comes.
func TestApps_native(t *testing.T) {
	s := startApps(t)
	for _, kind := range kinds {
		for _, platform := range []string{"ios", "android"} {
			t.Run(kind+" "+platform, func(t *testing.T) {
				t.Parallel()
				p := newPhone(t, s, platform)
				p.start(t, s.host, kind)
				p.run(t, "sign in", click(signInButton))
				sb := p.secure(t)
				sb.agree(t, "mira")
				p.follow(t, sb, sb.link(t, false), false)
				s.wantSignedIn(t, p.device, tiktoksim.OpenIDMira)
			})
		}
	}
}

// TestApps_web signs in by redirects, with app and bridge on one origin and on two sites.
func TestApps_web(t *testing.T) {
	s := startApps(t)
	for _, kind := range kinds {
		for where, origin := range map[string]string{"one origin": s.host, "two sites": s.apart} {
			t.Run(kind+" "+where, func(t *testing.T) {
				t.Parallel()
				b := newPage(t)
				b.start(t, origin, kind)
				b.run(t, "sign in", click(signInButton))
				b.agree(t, "mira")
				s.wantSignedIn(t, b, tiktoksim.OpenIDMira)
				if got := b.location(t); got != origin+"/" {
					t.Errorf("the person ends at %s; want the start page", got)
				}
			})
		}
	}
}

// TestApps_again: somebody who cancelled, was refused or waited too long tries again and gets in.
func TestApps_again(t *testing.T) {
	s := startApps(t)
	scenarios := map[string]func(t *testing.T, p *phone){
		"closed": func(t *testing.T, p *phone) {
			p.dismiss(t, p.secure(t))
			p.wantMessage(t, "cancelled")
		},
		"denied": func(t *testing.T, p *phone) {
			sb := p.secure(t)
			sb.decline(t)
			p.follow(t, sb, sb.link(t, false), false)
			p.wantMessage(t, "cancelled")
		},
		"expired": func(t *testing.T, p *phone) {
			sb := p.secure(t)
			sb.agree(t, "layla")
			p.expect("status of 400") // what Chromium says of a handoff that is refused
			p.follow(t, sb, p.aged(t, sb.link(t, false)), false)
			p.wantMessage(t, "expired")
		},
		"reloaded": func(t *testing.T, p *phone) { // and left
			sb := p.secure(t)
			sb.agree(t, "layla")
			sb.link(t, false)          // is blocked
			sb.expect("status of 400") // what Chromium says of the page
			// Not chromedp.Reload: the deeplink that is blocked may end its wait.
			eval[chromedp.Void](t, sb.device, "void setTimeout(() => location.reload())")
			sb.until(
				t,
				"document.readyState === 'complete' && document.querySelector('#title')?.textContent === 'Nothing left to do here'",
			)
			if len(sb.links) != 0 {
				t.Error("after a reload the deeplink is followed again")
			}
			p.dismiss(t, sb)
			p.wantMessage(t, "cancelled")
		},
	}
	for _, kind := range kinds {
		for scenario, run := range scenarios {
			t.Run(kind+" "+scenario, func(t *testing.T) {
				t.Parallel()
				p := newPhone(t, s, map[bool]string{true: "ios", false: "android"}[scenario == "denied"])
				p.start(t, s.host, kind)
				p.run(t, "sign in", click(signInButton))
				run(t, p)
				p.run(t, "try again", click(otherButton))
				sb := p.secure(t)
				sb.agree(t, "mira")
				p.follow(t, sb, sb.link(t, false), false)
				s.wantSignedIn(t, p.device, tiktoksim.OpenIDMira)
			})
		}
		t.Run(kind+" denied on the web", func(t *testing.T) {
			t.Parallel()
			b := newPage(t)
			b.start(t, s.apart, kind)
			b.run(t, "sign in", click(signInButton))
			b.decline(t)
			b.wantMessage(t, "cancelled")
			b.run(t, "try again", click(signInButton))
			b.agree(t, "mira")
			s.wantSignedIn(t, b, tiktoksim.OpenIDMira)
		})
	}
}

// aged is a deeplink whose handoff was made two minutes ago.
func (p *phone) aged(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	payload, err := p.keys.Open("handoff", q.Get("tikbridge_handoff"))
	if err != nil {
		t.Fatal(err)
	}
	var h map[string]any
	if err := json.Unmarshal(payload, &h); err != nil {
		t.Fatal(err)
	}
	h["t"] = h["t"].(float64) - 120
	if payload, err = json.Marshal(h); err != nil {
		t.Fatal(err)
	}
	q.Set("tikbridge_handoff", p.keys.Seal("handoff", payload))
	u.RawQuery = q.Encode()
	return u.String()
}

// TestApps_blocked: the browser does not follow the deeplink by itself, and the button does.
func TestApps_blocked(t *testing.T) {
	s := startApps(t)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := newPhone(t, s, "android")
			p.start(t, s.host, kind)
			p.run(t, "sign in", click(signInButton))
			sb := p.secure(t)
			sb.agree(t, "mira")
			sb.link(t, false) // is blocked
			sb.press(t, "#action")
			p.follow(t, sb, sb.link(t, true), false)
			s.wantSignedIn(t, p.device, tiktoksim.OpenIDMira)
		})
	}
}

// TestApps_people: two people sign in with one phone, one after the other. In the meantime the system has
// thrown the page of the second away, so that the deeplink loads it again.
func TestApps_people(t *testing.T) {
	s := startApps(t)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := newPhone(t, s, "ios")
			p.start(t, s.host, kind)
			p.run(t, "sign in", click(signInButton))
			sb := p.secure(t)
			sb.agree(t, "mira")
			p.follow(t, sb, sb.link(t, false), false)
			s.wantSignedIn(t, p.device, tiktoksim.OpenIDMira)

			p.run(t, "sign out", click(signOutButton), visible(otherButton))
			p.until(t, "location.pathname === '/auth' && document.readyState === 'complete'")
			p.run(t, "sign in again", click(otherButton))
			sb = p.secure(t)
			sb.agree(t, "layla")
			p.follow(t, sb, sb.link(t, false), true)
			s.wantSignedIn(t, p.device, tiktoksim.OpenIDLayla)
		})
	}
}

// TestApps_back goes back from TikTok, and back after a sign-in, when TikTok sends the person on at once:
// neither signs anybody in, out, or in twice.
func TestApps_back(t *testing.T) {
	s := startApps(t)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newPage(t)
			b.start(t, s.apart, kind)
			b.run(t, "sign in", click(signInButton), visible(continueButton))
			eval[chromedp.Void](t, b, "void setTimeout(() => history.back())")
			b.until(t, "document.querySelector('#sign-in') && !document.querySelector('#sign-in').disabled")
			b.run(t, "sign in", click(signInButton))
			b.agree(t, "mira")
			s.wantSignedIn(t, b, tiktoksim.OpenIDMira)

			eval[chromedp.Void](t, b, "window.before = true, void setTimeout(() => history.back())")
			b.until(t, "!window.before && location.pathname === '/' && document.querySelector('#name')")
			s.wantSignedIn(t, b, tiktoksim.OpenIDMira)
		})
	}
}

// press clicks as a person does. The deeplink that was blocked may change the page's nodes meanwhile.
func (b device) press(t *testing.T, selector string) {
	t.Helper()
	b.run(t, "wait for the button", visible(selector))
	at := eval[struct{ X, Y float64 }](t, b, fmt.Sprintf(`(({ x, y, width, height }) => ({ X: x + width / 2, Y: y + height / 2 }))(
		document.querySelector(%q).getBoundingClientRect())`, selector))
	b.run(t, "press the button", chromedp.MouseClickXY(at.X, at.Y))
}
