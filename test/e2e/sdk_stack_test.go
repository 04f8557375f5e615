package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

const sdkModule = "../../static/sdk/tikbridge.js"

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// sdkStack is a running tikbridge dev, an app on another origin that uses the SDK, and a front between
// the two that counts and breaks.
type sdkStack struct {
	stack
	app, empty string // base URLs of apps
	equipped   string // app, with js/sdk-device.js in its page, for browsers that cannot be given a script
	front      *front
	gotrue     *fakeGoTrue
}

// front passes everything on to the bridge, unless it is told to answer by itself.
type front struct {
	url     string
	proxy   *httputil.ReverseProxy
	mu      sync.Mutex
	calls   map[string]int                // of the bridge's routes for apps, by their last part
	answers map[string][]http.HandlerFunc // to the next calls
}

func newFront(bridge string) *front {
	target, err := url.Parse(bridge)
	if err != nil {
		panic(err) // runDev made it
	}
	return &front{
		proxy: httputil.NewSingleHostReverseProxy(target),
		calls: map[string]int{}, answers: map[string][]http.HandlerFunc{},
	}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, ok := strings.CutPrefix(r.URL.Path, "/api/auth/tiktok/")
	if r.Method != http.MethodPost || !ok {
		f.proxy.ServeHTTP(w, r)
		return
	}
	f.mu.Lock()
	f.calls[route]++
	answer := f.proxy.ServeHTTP
	if next := f.answers[route]; len(next) > 0 {
		answer, f.answers[route] = next[0], next[1:]
	}
	f.mu.Unlock()
	answer(w, r)
}

// next sets the answers to the next calls of redeem.
func (f *front) next(answers ...http.HandlerFunc) { f.nextOf("redeem", answers...) }

// nextOf sets the answers to the next calls of a route.
func (f *front) nextOf(route string, answers ...http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[route] = answers
}

// reset forgets what an earlier test left.
func (f *front) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.calls)
	clear(f.answers)
}

// wantRedeems checks how often a handoff was sent, and counts anew.
func (f *front) wantRedeems(t *testing.T, want int) {
	t.Helper()
	f.wantCalls(t, "redeem", want)
}

// wantCalls checks how often a route was called, and counts anew.
func (f *front) wantCalls(t *testing.T, route string, want int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls[route] != want {
		t.Errorf("%d calls of %s; want %d", f.calls[route], route, want)
	}
	f.calls[route] = 0
}

// hangUp is a network that fails. It does so in mid-answer: Chromium sends a request again by itself when
// a connection that it used before ends without one.
func hangUp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	_, _ = io.WriteString(w, `{"access_token":`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// startSDK returns the shared stack, or one around composed. Tests that use it count calls, so they do not
// run in parallel.
func startSDK(t *testing.T) *sdkStack {
	t.Helper()
	if composed != nil {
		s := &sdkStack{stack: composed.bridge, front: newFront(composed.bridge.bridge)}
		gate := httptest.NewServer(s.front)
		t.Cleanup(gate.Close)
		s.front.url = gate.URL
		s.gotrue = newFakeGoTrue()
		gotrue := httptest.NewServer(s.gotrue)
		t.Cleanup(gotrue.Close)
		s.gotrue.url = gotrue.URL
		s.app = serveComposed(t, http.HandlerFunc(s.serveApp))
		return s
	}
	s := devStack(t)
	s.front.reset()
	return s
}

// serveApp answers every path with the one page of a single-page app, whose first part says of which
// kind it is; see js/sdk-app.js. Its content security policy is as strict as one can be.
func (s *sdkStack) serveApp(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/equipment.js" {
		script, err := os.ReadFile("js/sdk-device.js")
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprintf(w, "{%s}", script) // its names are its own
		return
	}
	if path.Ext(r.URL.Path) == ".js" {
		root := "js"
		if strings.HasPrefix(r.URL.Path, "/node_modules/") {
			root = filepath.Join(scratch, "npm")
		}
		http.FileServer(http.Dir(root)).ServeHTTP(w, r)
		return
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	supabaseJS := "@supabase/supabase-js"
	if version, _, _ := strings.Cut(rest, "/"); strings.HasPrefix(version, "supabase-js-") {
		supabaseJS = version
	}
	supabaseJS = "/node_modules/" + supabaseJS + "/dist/umd/supabase.js"
	scripts := map[string][]string{
		"classic":        {s.front.url + "/sdk/tikbridge.global.js", "/sdk-classic.js"},
		"supabase":       {supabaseJS},
		"function":       {"/node_modules/despia-native/index.js", "/sdk-despia.js"},
		"provider":       {s.front.url + "/sdk/tikbridge.global.js", supabaseJS},
		"provider-later": {supabaseJS}, // the SDK is loaded when the client is made
		"provider-held":  {supabaseJS}, // and when the client exchanges the code
		"provider-last":  {supabaseJS}, // and when the client has done so
	}[kind]
	supabase := s.supabase
	if strings.HasPrefix(kind, "provider") {
		supabase = s.gotrue.url + "/ok"
		if parts := strings.Split(rest, "/"); len(parts) > 3 {
			supabase = s.gotrue.url + "/" + parts[3]
		}
		if s.gotrue.url == s.supabase { // the emulator, with which nothing goes wrong
			supabase = s.supabase
		}
	}
	if "http://"+r.Host == s.equipped {
		scripts = append([]string{"/equipment.js"}, scripts...)
	}
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; img-src data:; script-src 'self' %s; connect-src %s %s %s; "+
			"require-trusted-types-for 'script'; trusted-types 'none'",
		s.front.url, s.front.url, s.supabase, s.gotrue.url))
	_, _ = fmt.Fprintf(w, `<!doctype html><html data-bridge="%s" data-supabase-url="%s" data-supabase-key="%s">`+
		`<link rel="icon" href="data:,">`,
		s.front.url, supabase, gotruesim.PublishableKey)
	for _, script := range scripts {
		_, _ = fmt.Fprintf(w, `<script src="%s"></script>`, script)
	}
	_, _ = io.WriteString(w, `<script type="module" src="/sdk-app.js"></script><p>An app</p>`)
}

// device is a browser with the app in it.
type device struct{ *browser }

// another opens another tab of a browser, or with an option one that shares nothing with it.
func (b device) another(t *testing.T, options ...chromedp.ContextOption) device {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, options...)
	t.Cleanup(cancel)
	other := &browser{ctx: ctx}
	if err := chromedp.Listen(ctx, other.listen); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	return device{other}
}

// newDevice starts a browser whose pages the test has in hand; see js/sdk-device.js. In a Despia app it
// is the web view.
func newDevice(t *testing.T, despia bool, more ...string) device {
	t.Helper()
	b := device{newBrowser(t, 390, 844)}
	b.inject(t, string(readFile(t, "js/sdk-device.js"))+strings.Join(more, "\n"))
	if despia {
		agent := "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 DESPIA/1.0"
		if _, err := chromedp.Call(
			b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent},
		); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// inject runs a script in every page before its own.
func (b device) inject(t *testing.T, script string) {
	t.Helper()
	if _, err := chromedp.Call(
		b.ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: "{" + script + "}"},
	); err != nil {
		t.Fatal(err)
	}
}

// withoutNavigation makes a browser of before the Navigation API.
const withoutNavigation = `Object.defineProperty(window, 'navigation', { value: undefined });`

// eval returns what a script in the page comes to.
func eval[T any](t *testing.T, b device, script string) T {
	t.Helper()
	return read(t, b.browser, script, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// until waits for a condition, also while pages come and go.
func (b device) until(t *testing.T, condition string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(40 * time.Second)
	for {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](
			"(async () => Boolean("+condition+"))()", chromedp.EvalAwaitPromise,
		))
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			at, _ := chromedp.Run(b.ctx, chromedp.Location())
			results, _ := chromedp.Run(b.ctx, chromedp.Evaluate[json.RawMessage]("window.results"))
			t.Fatalf("wait until %s: %v\nat %s, with the results %s", condition, err, withoutQuery(at), results)
		}
	}
}

// open loads a page of the app.
func (b device) open(t *testing.T, address string) {
	t.Helper()
	b.run(t, "open the app", chromedp.Navigate(address))
	b.until(t, "window.ready")
}

// consent agrees at TikTok.
func (b device) consent(t *testing.T) {
	t.Helper()
	b.run(t, "agree at TikTok", visible(continueButton), click(account("mira")), click(continueButton))
}

// sdkResult is what the SDK tells.
type sdkResult struct {
	Status      string  `json:"status"`
	Session     session `json:"session"`
	Error       string  `json:"error"`
	Description string  `json:"error_description"`
	RequestID   string  `json:"request_id"`
}

// results returns what onResult was told on this page.
func (b device) results(t *testing.T) []sdkResult {
	t.Helper()
	return eval[[]sdkResult](t, b, "results")
}

// wantStatuses waits for as many results, and compares them.
func (b device) wantStatuses(t *testing.T, want ...string) []sdkResult {
	t.Helper()
	b.until(t, fmt.Sprintf("window.ready && results.length >= %d", len(want)))
	var got []string
	results := b.results(t)
	for _, r := range results {
		got = append(got, strings.TrimSuffix(r.Status+" "+r.Error, " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	return results
}

func (b device) wantLocation(t *testing.T, want string) {
	t.Helper()
	if got := b.location(t); got != want {
		t.Errorf("the address bar holds %q; want %q", got, want)
	}
}

// openSecureBrowser opens the address at which the hosted flow begins as Despia does.
func openSecureBrowser(t *testing.T, b device, s *sdkStack) device {
	t.Helper()
	address := b.commanded(t)
	if want := s.front.url + "/api/auth/tiktok/start?platform=native&challenge="; !strings.HasPrefix(address, want) ||
		!strings.Contains(address, "&scheme=myapp") {
		t.Errorf("the address is %q; want one that begins with %q and has the scheme", address, want)
	}
	return b.openSecure(t, address)
}

// commanded returns the address of the next command to Despia.
func (b device) commanded(t *testing.T) string {
	t.Helper()
	b.until(t, "commands.length > 0")
	command := eval[string](t, b, "commands.shift()")
	encoded, ok := strings.CutPrefix(command, "oauth://?url=")
	address, err := url.QueryUnescape(encoded)
	if !ok || err != nil {
		t.Fatalf("the command is %q (%v); want oauth://?url= and an encoded address", command, err)
	}
	return address
}

// openSecure opens an address in a browser that shares nothing with the web view.
func (b device) openSecure(t *testing.T, address string) device {
	t.Helper()
	secure := b.another(t, chromedp.WithNewBrowserContext())
	secure.run(t, "open the secure browser", chromedp.Navigate(address), visible(cancelButton))
	return secure
}

// deeplink returns the path and query that Despia's deeplink navigates the web view to.
func (b device) deeplink(t *testing.T) string {
	t.Helper()
	b.run(t, "wait for the deeplink", visible("#action"))
	href := read(t, b.browser, "the deeplink", chromedp.AttributeValue(chromedp.CSS("#action"), "href"))
	rest, ok := strings.CutPrefix(href.Value, "myapp://oauth/auth?")
	if !ok {
		t.Fatalf("the deeplink is %q", withoutQuery(href.Value))
	}
	return "/auth?" + rest
}

// push is a router that changes the address of a page that stays.
func push(address string) string { return fmt.Sprintf("history.pushState(null, '', %q)", address) }
