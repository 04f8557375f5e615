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
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
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
}

// front passes everything on to the bridge, unless it is told to answer by itself.
type front struct {
	url     string
	proxy   *httputil.ReverseProxy
	mu      sync.Mutex
	redeems int
	answers []http.HandlerFunc // to the next calls of redeem
}

func newFront(bridge string) *front {
	target, err := url.Parse(bridge)
	if err != nil {
		panic(err) // runDev made it
	}
	return &front{proxy: httputil.NewSingleHostReverseProxy(target)}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/api/auth/tiktok/redeem" {
		f.proxy.ServeHTTP(w, r)
		return
	}
	f.mu.Lock()
	f.redeems++
	answer := f.proxy.ServeHTTP
	if len(f.answers) > 0 {
		answer, f.answers = f.answers[0], f.answers[1:]
	}
	f.mu.Unlock()
	answer(w, r)
}

// next sets the answers to the next calls of redeem.
func (f *front) next(answers ...http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = answers
}

// reset forgets what an earlier test left.
func (f *front) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.redeems, f.answers = 0, nil
}

// wantRedeems checks how often a handoff was sent, and counts anew.
func (f *front) wantRedeems(t *testing.T, want int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.redeems != want {
		t.Errorf("%d calls of redeem; want %d", f.redeems, want)
	}
	f.redeems = 0
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
	scripts := map[string][]string{
		"classic":  {s.front.url + "/sdk/tikbridge.global.js", "/sdk-classic.js"},
		"supabase": {"/node_modules/" + supabaseJS + "/dist/umd/supabase.js"},
		"function": {"/node_modules/despia-native/index.js", "/sdk-despia.js"},
	}[kind]
	if "http://"+r.Host == s.equipped {
		scripts = append([]string{"/equipment.js"}, scripts...)
	}
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; img-src data:; script-src 'self' %s; connect-src %s %s; require-trusted-types-for 'script'; trusted-types 'none'",
		s.front.url, s.front.url, s.supabase))
	_, _ = fmt.Fprintf(w, `<!doctype html><html data-bridge="%s" data-supabase-url="%s" data-supabase-key="%s"><link rel="icon" href="data:,">`,
		s.front.url, s.supabase, gotruesim.PublishableKey)
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
	script := string(readFile(t, "js/sdk-device.js")) + strings.Join(more, "\n")
	if _, err := chromedp.Call(
		b.ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: "{" + script + "}"},
	); err != nil {
		t.Fatal(err)
	}
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
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+condition+")"))
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

// TestSDK_web signs in by redirects.
func TestSDK_web(t *testing.T) {
	s := startSDK(t)
	for _, kind := range []string{"web", "classic"} {
		t.Run(kind, func(t *testing.T) {
			b := newDevice(t, false)
			b.open(t, s.app+"/"+kind+"/in?tab=a%20b&c=1;d=2#part")
			if kind == "classic" {
				if got := eval[string](t, b, "definedAtOnce"); got != "createTikTokSignIn getTikTokOAuthUrl" {
					t.Errorf("tikbridge.global.js defines %q", got)
				}
			}
			if got := eval[bool](t, b, "first === null"); !got {
				t.Error("handleRedirect found something in an address without anything")
			}
			eval[chromedp.Void](t, b, "void tiktok.signIn()")
			b.consent(t)
			results := b.wantStatuses(t, "signed_in")
			sessions := eval[[]session](t, b, "sessions")
			if len(sessions) != 1 || sessions[0] != results[0].Session || sessions[0].User.ID == "" {
				t.Errorf("setSession was given %d sessions; want the one of the result", len(sessions))
			}
			if got := eval[string](t, b, "first.status"); got != "signed_in" {
				t.Errorf("handleRedirect says %q", got)
			}
			// The page's own parameters stay as they are spelled.
			b.wantLocation(t, s.app+"/"+kind+"/in?tab=a%20b&c=1;d=2")
			s.front.wantRedeems(t, 1)

			b.run(t, "reload", chromedp.Reload())
			b.until(t, "window.ready")
			b.wantStatuses(t)
			s.front.wantRedeems(t, 0)
			if got := eval[string](
				t, b,
				"[...Object.entries(localStorage), ...Object.entries(sessionStorage)].filter(([key]) => key.endsWith('flows')).map(([, value]) => value).join()",
			); got != "[],[]" {
				t.Errorf("what is kept of sign-ins under way is %s; want nothing", got)
			}

			// To another page, with another account.
			eval[chromedp.Void](
				t, b, "void tiktok.signIn({ redirectTo: '/"+kind+"/other?x=1#y', selectAccount: true })",
			)
			b.consent(t)
			b.wantStatuses(t, "signed_in")
			b.wantLocation(t, s.app+"/"+kind+"/other?x=1")
			s.front.wantRedeems(t, 1)
			b.wantNoComplaints(t)
		})
	}
}

// TestSDK_webCancel says no at TikTok, or goes back from there.
func TestSDK_webCancel(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	b.open(t, s.app+"/web/in?tab=1")
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.run(t, "cancel", visible(cancelButton), click(cancelButton))
	b.wantStatuses(t, "cancelled")
	b.wantLocation(t, s.app+"/web/in?tab=1")
	s.front.wantRedeems(t, 0)
	b.wantNoComplaints(t)

	// A page that the browser kept as it was is told, so that its button works again.
	eval[chromedp.Void](t, b, `{
		results.length = 0;
		addEventListener('pagehide', () => { window.wasAway = true; });
		void tiktok.signIn();
	}`)
	b.run(t, "come to TikTok", visible(continueButton))
	eval[chromedp.Void](t, b, "void setTimeout(() => history.back())")
	b.until(t, "window.ready")
	if !eval[bool](t, b, "Boolean(window.wasAway)") {
		t.Skip("this browser does not keep pages")
	}
	b.until(t, "endGrace()")
	b.wantStatuses(t, "cancelled")
}

// TestSDK_once: however often a page is mounted, its handoff is redeemed once.
func TestSDK_once(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	var arrival string
	if err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*page.EventFrameNavigated); ok && strings.Contains(e.Frame.URL, "tikbridge_handoff=") {
			arrival = e.Frame.URL
		}
	}); err != nil {
		t.Fatal(err)
	}
	b.open(t, s.app+"/strict/in")
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.consent(t)
	b.wantStatuses(t, "signed_in")
	if !eval[bool](t, b, "mounts.every((result) => result === mounts[0] && result.status === 'signed_in')") {
		t.Error("the mounts of one page got different results")
	}
	b.wantLocation(t, s.app+"/strict/in")
	s.front.wantRedeems(t, 1)

	// The router does it again later, and the whole page is loaded again.
	eval[chromedp.Void](t, b, fmt.Sprintf("history.pushState(null, '', %q)", arrival))
	b.until(t, "!location.search")
	b.open(t, arrival)
	b.wantLocation(t, s.app+"/strict/in")
	b.wantStatuses(t)
	if !eval[bool](t, b, "mounts.every((result) => result === null)") {
		t.Error("a handoff that was redeemed gave a result again")
	}
	s.front.wantRedeems(t, 0)
}

// TestSDK_waiting: what the bridge answered is out of the address as soon as the script has loaded. It
// waits for handleRedirect, also if the page is loaded again before.
func TestSDK_waiting(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	b.open(t, s.app+"/late/in?tab=1")
	eval[chromedp.Void](t, b, "makeLater()")
	b.until(t, "window.tiktok")
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.consent(t)
	b.until(t, "window.ready && searchOnceLoaded === '?tab=1' && arrival.includes('tikbridge_handoff')")
	b.wantLocation(t, s.app+"/late/in?tab=1")
	eval[chromedp.Void](t, b, "window.before = true, void setTimeout(() => location.reload())")
	b.until(t, "window.ready && !window.before")
	s.front.wantRedeems(t, 0)
	eval[chromedp.Void](t, b, "makeLater()")
	b.until(t, "window.results")
	b.wantStatuses(t, "signed_in")
	s.front.wantRedeems(t, 1)
	b.run(t, "reload", chromedp.Reload())
	b.until(t, "window.ready")
	eval[chromedp.Void](t, b, "makeLater()")
	b.until(t, "window.first === null")

	// The answer to another kind of sign-in stays for whom it is for, and does not come along to the next.
	b.open(t, s.app+"/web/in?error=access_denied&error_code=1&error_description=No&tab=2")
	eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
	b.consent(t)
	b.wantStatuses(t, "signed_in")
	b.wantLocation(t, s.app+"/web/in?tab=2")
}

// TestSDK_tabs signs in in two tabs at once, and finishes a third sign-in in another tab than the one
// that began it, as TikTok's own app does.
func TestSDK_tabs(t *testing.T) {
	s := startSDK(t)
	one := newDevice(t, false)
	two := one.another(t)
	for _, b := range []device{one, two} {
		b.open(t, s.app+"/web/in")
		eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
		b.run(t, "wait for TikTok", visible(continueButton))
	}
	for _, b := range []device{one, two} {
		b.consent(t)
		b.wantStatuses(t, "signed_in")
		s.front.wantRedeems(t, 1) // each has tried its own verifier
	}

	eval[chromedp.Void](t, one, "void tiktok.signIn({ selectAccount: true })")
	one.run(t, "wait for TikTok", visible(continueButton))
	three := one.another(t)
	three.run(t, "go on in another tab", chromedp.Navigate(one.location(t)))
	three.consent(t)
	three.wantStatuses(t, "signed_in")
	s.front.wantRedeems(t, 1)
}

// openSecureBrowser does what Despia does with a command: it opens the address in a browser that shares
// nothing with the web view.
func openSecureBrowser(t *testing.T, b device, s *sdkStack) device {
	t.Helper()
	b.until(t, "commands.length > 0")
	command := eval[string](t, b, "commands.shift()")
	encoded, ok := strings.CutPrefix(command, "oauth://?url=")
	address, err := url.QueryUnescape(encoded)
	if !ok || err != nil {
		t.Fatalf("the command is %q (%v); want oauth://?url= and an encoded address", command, err)
	}
	if want := s.front.url + "/api/auth/tiktok/start?platform=native&challenge="; !strings.HasPrefix(address, want) ||
		!strings.Contains(address, "&scheme=myapp") {
		t.Errorf("the address is %q; want one that begins with %q and has the scheme", address, want)
	}
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

// TestSDK_native signs in in a Despia app: the secure browser is another browser, and its deeplink
// changes the address of the web view, whose page stays or is loaded again.
func TestSDK_native(t *testing.T) {
	s := startSDK(t)
	tests := map[string]struct {
		script string
		arrive func(t *testing.T, b device, address string)
	}{
		"mounted page": {"", func(t *testing.T, b device, address string) {
			eval[chromedp.Void](t, b, push(address))
		}},
		"mounted page, no Navigation API": {withoutNavigation, func(t *testing.T, b device, address string) {
			eval[chromedp.Void](t, b, push(address))
		}},
		"loaded again": {"", func(t *testing.T, b device, address string) { b.open(t, s.app+address) }},
		"popstate": {withoutNavigation, func(t *testing.T, b device, address string) {
			eval[chromedp.Void](t, b, push(address)+"; dispatchEvent(new PopStateEvent('popstate'))")
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newDevice(t, true, tt.script)
			b.open(t, s.app+"/app")
			eval[chromedp.Void](t, b, "tiktok.signIn()")
			secure := openSecureBrowser(t, b, s)
			eval[chromedp.Void](t, b, "setVisible(false)")
			secure.consent(t)
			link := secure.deeplink(t)
			eval[chromedp.Void](t, b, "setVisible(true)")
			tt.arrive(t, b, link)
			b.wantStatuses(t, "signed_in")
			if eval[bool](t, b, "endGrace() && results.length > 1") {
				t.Error("a sign-in that worked was reported as cancelled")
			}
			b.wantLocation(t, s.app+"/auth")
			s.front.wantRedeems(t, 1)
			b.wantNoComplaints(t)
		})
	}
}

// TestSDK_nativeCancel: the person says no, or closes the secure browser, of which nobody tells.
func TestSDK_nativeCancel(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, true)
	b.open(t, s.app+"/app")

	eval[chromedp.Void](t, b, "tiktok.signIn()")
	secure := openSecureBrowser(t, b, s)
	eval[chromedp.Void](t, b, "setVisible(false)")
	secure.run(t, "say no", click(cancelButton))
	link := secure.deeplink(t)
	eval[chromedp.Void](t, b, "setVisible(true);"+push(link))
	b.wantStatuses(t, "cancelled")
	b.wantLocation(t, s.app+"/auth")
	if eval[bool](t, b, "endGrace() && results.length > 1") {
		t.Error("it was reported twice")
	}

	// Back in the app, away again at once, and back: only then is it over.
	eval[chromedp.Void](t, b, "results.length = 0; tiktok.signIn()")
	secure = openSecureBrowser(t, b, s)
	if eval[bool](t, b, "setVisible(false), setVisible(true), setVisible(false), endGrace()") {
		t.Error("the app is hidden and still about to report that the person is back")
	}
	if !eval[bool](t, b, "setVisible(true), endGrace()") {
		t.Error("nobody waits for the deeplink")
	}
	b.wantStatuses(t, "cancelled")
	if eval[bool](t, b, "setVisible(false), setVisible(true), endGrace()") {
		t.Error("it is reported twice")
	}
	// It was a mistake: the deeplink comes after all.
	secure.consent(t)
	eval[chromedp.Void](t, b, push(secure.deeplink(t)))
	b.wantStatuses(t, "cancelled", "signed_in")
	s.front.wantRedeems(t, 1)
}

// TestSDK_wrongVerifier finishes the first of two sign-ins: the verifier of the second is tried before,
// and does not use the handoff up.
func TestSDK_wrongVerifier(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, true)
	b.open(t, s.app+"/app")
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	first := openSecureBrowser(t, b, s)
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	second := openSecureBrowser(t, b, s)
	first.consent(t)
	eval[chromedp.Void](t, b, push(first.deeplink(t)))
	b.wantStatuses(t, "signed_in")
	s.front.wantRedeems(t, 2)
	second.consent(t)
	eval[chromedp.Void](t, b, push(second.deeplink(t)))
	b.wantStatuses(t, "signed_in", "signed_in")
	s.front.wantRedeems(t, 1)
}

// TestSDK_stranger opens somebody else's handoff: it signs nobody in, and is not spoilt.
func TestSDK_stranger(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, true)
	b.open(t, s.app+"/app")
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	secure := openSecureBrowser(t, b, s)
	secure.consent(t)
	link := secure.deeplink(t)

	// Nothing is under way there.
	stranger := b.another(t, chromedp.WithNewBrowserContext())
	stranger.open(t, s.app+link)
	stranger.wantStatuses(t, "failed handoff_invalid")
	s.front.wantRedeems(t, 0)
	// Something is.
	stranger = b.another(t, chromedp.WithNewBrowserContext())
	stranger.open(t, s.app+"/web")
	eval[chromedp.Void](t, stranger, "void tiktok.signIn()")
	stranger.run(t, "wait for TikTok", visible(continueButton))
	stranger.open(t, s.app+link)
	results := stranger.wantStatuses(t, "failed handoff_invalid")
	if results[0].RequestID == "" || results[0].Description == "" {
		t.Errorf("the result is %+v; want the bridge's words and its request", results[0])
	}
	s.front.wantRedeems(t, 1)

	eval[chromedp.Void](t, b, push(link))
	b.wantStatuses(t, "signed_in")
	s.front.wantRedeems(t, 1)
}

// TestSDK_failures are answers of redeem, and what the app does about them.
func TestSDK_failures(t *testing.T) {
	s := startSDK(t)
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := map[string]struct {
		answer http.HandlerFunc
		want   sdkResult
		again  string // the result of another handleRedirect
	}{
		"no network": {hangUp, sdkResult{Error: "network_error"}, "signed_in"},
		"a proxy's error": {
			answer(http.StatusBadGateway, "<h1>Bad gateway</h1>"), sdkResult{Error: "network_error"}, "signed_in",
		},
		"too many": {
			answer(
				http.StatusTooManyRequests, `{"error":"rate_limited","error_description":"Wait.","request_id":"r1"}`,
			),
			sdkResult{Error: "rate_limited", Description: "Wait.", RequestID: "r1"},
			"signed_in",
		},
		"banned": {
			answer(http.StatusForbidden, `{"error":"user_banned","error_description":"No.","request_id":"r2"}`),
			sdkResult{Error: "user_banned", Description: "No.", RequestID: "r2"},
			"null",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newDevice(t, false)
			b.open(t, s.app+"/web")
			s.front.next(tt.answer)
			eval[chromedp.Void](t, b, "void tiktok.signIn()")
			b.consent(t)
			got := b.wantStatuses(t, "failed "+tt.want.Error)[0]
			tt.want.Status = "failed"
			if tt.want.Description == "" {
				got.Description = ""
			}
			if got != tt.want {
				t.Errorf("the result is %+v; want %+v", got, tt.want)
			}
			b.wantLocation(t, s.app+"/web")
			status := eval[string](
				t, b,
				"Promise.all([tiktok.handleRedirect(), tiktok.handleRedirect()]).then(([a, b]) => a !== b ? 'two results' : String(a && a.status))",
			)
			if status != tt.again {
				t.Errorf("the second time it is %q; want %q", status, tt.again)
			}
			s.front.wantRedeems(t, map[string]int{"signed_in": 2, "null": 1}[tt.again])
			if status := eval[string](t, b, "tiktok.handleRedirect().then(String)"); status != "null" {
				t.Errorf("the third time it is %q; want nothing", status)
			}
		})
	}

	// The session was made but not taken.
	b := newDevice(t, false)
	b.open(t, s.app+"/late")
	eval[chromedp.Void](t, b, "makeLater()")
	b.until(t, "window.tiktok")
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.consent(t)
	b.until(t, "window.ready && arrival.includes('tikbridge_handoff')")
	s.front.wantRedeems(t, 0) // nobody asked yet
	eval[chromedp.Void](t, b, "window.refuse = true; makeLater()")
	b.until(t, "window.results")
	b.wantStatuses(t, "failed invalid_session")
	if got := eval[string](t, b, "results[0].cause.message"); got != "refused" {
		t.Errorf("the cause is %q", got)
	}
	eval[chromedp.Void](t, b, "window.refuse = false; void tiktok.handleRedirect()")
	b.wantStatuses(t, "failed invalid_session", "signed_in")
	s.front.wantRedeems(t, 1)
}

// TestSDK_setSessionStalls: an app that does not take the session in time gets a result all the same, and
// the sign-in is not lost.
func TestSDK_setSessionStalls(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	stall := func() {
		b.open(t, s.app+"/late")
		eval[chromedp.Void](t, b, "makeLater()")
		b.until(t, "window.tiktok")
		eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
		b.consent(t)
		b.until(t, "window.ready && arrival.includes('tikbridge_handoff')")
		eval[chromedp.Void](t, b, "window.stall = true; makeLater()")
		b.until(t, "window.goOn")
		eval[chromedp.Void](t, b, "endTimeLimit()")
		b.wantStatuses(t, "failed invalid_session")
		if got := eval[string](t, b, "results[0].cause.message"); !strings.Contains(got, "setSession") {
			t.Errorf("the cause is %q; want it to name setSession", got)
		}
	}

	stall()
	eval[chromedp.Void](t, b, "goOn()")
	b.wantStatuses(t, "failed invalid_session", "signed_in")
	if got := eval[string](t, b, "tiktok.handleRedirect().then(String)"); got != "null" {
		t.Errorf("then handleRedirect says %s; want null", got)
	}

	stall()
	eval[chromedp.Void](t, b, "window.stall = false; void tiktok.handleRedirect()")
	b.wantStatuses(t, "failed invalid_session", "signed_in")
	eval[chromedp.Void](t, b, "goOn()") // the first try, which nobody waits for any more
	b.wantStatuses(t, "failed invalid_session", "signed_in")
	s.front.wantRedeems(t, 2)
}

// TestSDK_alreadySignedIn: a session that is not TikTok's is replaced only if the app asks for it.
func TestSDK_alreadySignedIn(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, true)
	b.open(t, s.app+"/fake")
	metadata := func(json string) string { return "{ user: { app_metadata: " + json + " } }" }
	keptElsewhere := func(json string) string {
		return "{ user: new Proxy({}, { get() { throw 1 } }), access_token: 'x.' + btoa(JSON.stringify(" + json + ")) + '.x' }"
	}
	const other = "already_signed_in"
	tests := []struct {
		name, session string // the session, or all that getSession does
		want          string // the error; "" if the sign-in begins
	}{
		{"nobody", "null", ""},
		{"anonymous", "{ user: { is_anonymous: true, app_metadata: {}, identities: [] } }", other},
		{"by e-mail", metadata("{ provider: 'email', providers: ['email'] }"), other},
		{"by another provider", metadata("{ provider: 'google', providers: ['google'] }"), other},
		{"with nothing to tell by", "{}", other},
		{"by TikTok", metadata("{ provider: 'email', tiktok: { open_id: 'x' } }"), ""},
		{"by the provider", metadata("{ provider: 'custom:tiktok' }"), ""},
		{"by e-mail, TikTok linked", metadata("{ provider: 'email', providers: ['email', 'custom:tiktok'] }"), ""},
		{"an identity", "{ user: { identities: [{ provider: 'email' }, { provider: 'custom:tiktok' }] } }", ""},
		{"a user kept elsewhere", keptElsewhere("{ app_metadata: { tiktok: {} } }"), ""},
		{"a stranger kept elsewhere", keptElsewhere("{ app_metadata: { provider: 'email' } }"), other},
		{
			"cannot be refreshed", "() => ({ data: { session: null }, error: { name: 'AuthRetryableFetchError' } })",
			"network_error",
		},
		{"is over", "() => ({ data: { session: null }, error: { name: 'AuthApiError', status: 400 } })", ""},
		{"getSession throws", "() => { throw new Error('no') }", "invalid_session"},
		{"getSession stalls", "() => (setTimeout(endTimeLimit), new Promise(() => {}))", "invalid_session"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			session := tt.session
			if !strings.HasPrefix(session, "()") {
				session = "() => ({ data: { session: " + session + " }, error: null })"
			}
			eval[chromedp.Void](t, b, "results.length = commands.length = 0; window.getSession = async () => ("+session+")()")
			got := eval[string](t, b, "tiktok.signIn().then((result) => result?.error ?? '')")
			if began := eval[bool](t, b, "commands.length === 1"); got != tt.want || began != (tt.want == "") {
				t.Errorf("the sign-in ends with %q, and began: %v; want %q", got, began, tt.want)
			}
			if tt.want != "" {
				if r := b.wantStatuses(t, "failed "+tt.want)[0]; r.Description == "" {
					t.Error("there are no words for people")
				}
			}
		})
	}
	eval[chromedp.Void](t, b, `commands.length = 0;
		window.getSession = async () => ({ data: { session: {} }, error: null })`)
	if got := eval[string](t, b, "tiktok.signIn({ replaceSession: true }).then(String)"); got != "null" {
		t.Errorf("with replaceSession signIn says %s; want null", got)
	}
	b.until(t, "commands.length === 1")
}

// TestSDK_insecureContext taps the button on a page without https, where browsers have no crypto.subtle.
func TestSDK_insecureContext(t *testing.T) {
	s := startSDK(t)
	for name, kind := range map[string]string{"own setSession": "web", "supabase-js": "fake"} {
		t.Run(name, func(t *testing.T) {
			b := newDevice(t, false, "delete Crypto.prototype.subtle;")
			b.open(t, s.app+"/"+kind+"/in")
			if got := eval[string](t, b, "tiktok.signIn().then((result) => result.error)"); got != "insecure_context" {
				t.Errorf("signIn says %q; want insecure_context", got)
			}
			if r := b.wantStatuses(t, "failed insecure_context")[0]; !strings.Contains(r.Description, "https") {
				t.Errorf("people are told %q; want the way out", r.Description)
			}
			b.wantLocation(t, s.app+"/"+kind+"/in")
			b.wantNoComplaints(t)
		})
	}
}

// TestSDK_errors reads addresses that anybody may have written.
func TestSDK_errors(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	tests := []struct {
		name, query string
		want        sdkResult // none without a status
		left        string    // of the query
	}{
		{
			"of the bridge",
			"tikbridge_error=tiktok_unavailable&tikbridge_error_description=Later&tikbridge_request_id=r1&x=1",
			sdkResult{Status: "failed", Error: "tiktok_unavailable", RequestID: "r1"}, "?x=1",
		},
		{
			"cancelled", "tikbridge_error=access_denied&tikbridge_error_description=No&tikbridge_request_id=r2",
			sdkResult{Status: "cancelled"}, "",
		},
		{
			"no code", "tikbridge_error=%3Cb%3E+call+me&tikbridge_request_id=r3",
			sdkResult{Status: "failed", Error: "internal", RequestID: "r3"}, "",
		},
		{
			"of somebody else", "error=access_denied&error_description=No&request_id=r4",
			sdkResult{}, "?error=access_denied&error_description=No&request_id=r4",
		},
		{"nothing", "tikbridge_handoff=&tikbridge_request_id=5", sdkResult{}, "?tikbridge_handoff=&tikbridge_request_id=5"},
		{"no handoff", "tikbridge_handoff=x", sdkResult{Status: "failed", Error: "handoff_invalid"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.open(t, s.app+"/web/in?"+tt.query)
			got := eval[*sdkResult](t, b, "first")
			if got == nil {
				got = &sdkResult{}
			}
			if tt.want.Error == "handoff_invalid" {
				got.Description = ""
			}
			if *got != tt.want {
				t.Errorf("the result is %+v; want %+v", *got, tt.want)
			}
			b.wantLocation(t, s.app+"/web/in"+tt.left)
		})
	}
	s.front.wantRedeems(t, 0)

	// The bridge's words count while somebody signs in.
	b.open(t, s.app+"/web")
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.run(t, "come to TikTok", visible(continueButton))
	b.open(t, s.app+"/web?tikbridge_error=invalid_grant&tikbridge_error_description=Again&tikbridge_request_id=r6")
	if got := b.results(t)[0].Description; got != "Again" {
		t.Errorf("the description is %q", got)
	}
}

// TestSDK_hashRouter: an app whose routes are in the fragment gets people back at its root, on the web and
// by a deeplink, and goes on to a route of its own.
func TestSDK_hashRouter(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	b.open(t, s.app+"/hash/?tab=1#/auth")
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.consent(t)
	b.wantStatuses(t, "signed_in")
	b.wantLocation(t, s.app+"/hash/?tab=1#/home")
	eval[chromedp.Void](t, b, "void tiktok.signIn({ redirectTo: '/hash/#/settings', selectAccount: true })")
	b.run(t, "cancel", visible(cancelButton), click(cancelButton))
	b.wantStatuses(t, "cancelled")
	b.wantLocation(t, s.app+"/hash/#/auth")

	for name, arrive := range map[string]func(b device, query string){
		"mounted page": func(b device, query string) {
			eval[chromedp.Void](t, b, push("/hash/"+query))
		},
		"loaded again": func(b device, query string) { b.open(t, s.app+"/hash/"+query) },
		"into the fragment's route": func(b device, query string) {
			eval[chromedp.Void](t, b, push("/hash/"+query+"#/auth"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newDevice(t, true)
			b.open(t, s.app+"/hash/#/auth")
			eval[chromedp.Void](t, b, "tiktok.signIn()")
			secure := openSecureBrowser(t, b, s)
			secure.consent(t)
			arrive(b, strings.TrimPrefix(secure.deeplink(t), "/auth"))
			b.wantStatuses(t, "signed_in")
			b.wantLocation(t, s.app+"/hash/#/home")
			b.wantNoComplaints(t)
		})
	}
}

// TestSDK_storage signs in natively where the browser stores nothing, and in a storage of the app.
func TestSDK_storage(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, true, `for (const name of ['localStorage', 'sessionStorage']) {
		Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });
	}`)
	b.open(t, s.app+"/app")
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	secure := openSecureBrowser(t, b, s)
	secure.consent(t)
	eval[chromedp.Void](t, b, push(secure.deeplink(t)))
	b.wantStatuses(t, "signed_in")
	b.wantNoComplaints(t)

	b = newDevice(t, true)
	b.open(t, s.app+"/storage")
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	if got := eval[string](
		t, b, "[...kept.keys()].join() + localStorage.length + sessionStorage.length",
	); got != "tikbridge.flows00" {
		t.Errorf("the app's storage, and then the browser's, hold %s; want the first alone to hold something", got)
	}
	secure = openSecureBrowser(t, b, s)
	secure.consent(t)
	eval[chromedp.Void](t, b, push(secure.deeplink(t)))
	b.wantStatuses(t, "signed_in")
}

// TestSDK_server makes the object where pages are rendered on a server: nothing is there to handle.
func TestSDK_server(t *testing.T) {
	needTools(t, "node")
	script := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", `
		const { createTikTokSignIn } = await import('data:text/javascript,' + encodeURIComponent(process.env.SDK));
		const tiktok = createTikTokSignIn({ bridgeUrl: 'https://bridge.example', setSession() {} });
		tiktok.onResult(() => {})();
		process.stdout.write(String(await tiktok.handleRedirect()));`)
	script.Env = append(os.Environ(), "SDK="+string(readFile(t, sdkModule)))
	if out, err := script.CombinedOutput(); err != nil || string(out) != "null" {
		t.Errorf("node: %v, %q; want null", err, out)
	}
}

// TestSDK_expiry: a verifier older than a sign-in may be is not tried.
func TestSDK_expiry(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	b.open(t, s.app+"/web")
	eval[chromedp.Void](t, b, `
		sessionStorage['tikbridge.flows'] = JSON.stringify([['old', Date.now() - 600001]]);
		localStorage['tikbridge.flows'] = '{"not":"ours"}';`)
	b.open(t, s.app+"/web?tikbridge_handoff=x")
	b.wantStatuses(t, "failed handoff_invalid")
	s.front.wantRedeems(t, 0)
	// Six sign-ins that nobody finished: the last five are kept.
	eval[chromedp.Void](
		t, b, `sessionStorage['tikbridge.flows'] = JSON.stringify([1, 2, 3, 4, 5].map((n) => ['v' + n, Date.now()]))`,
	)
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.run(t, "come to TikTok", visible(continueButton))
	b.open(t, s.app+"/late")
	if got := eval[string](t, b, `JSON.parse(sessionStorage['tikbridge.flows']).map(([v]) => v).slice(1).join()`); got != "v1,v2,v3,v4" {
		t.Errorf("kept are %s", got)
	}
}

// TestSDK_guide builds the address of the guide flow.
func TestSDK_guide(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	b.open(t, s.app+"/web")
	build := func(more string) *url.URL {
		u, err := url.Parse(eval[string](
			t, b, "getTikTokOAuthUrl({ clientKey: 'sim_client_key', appUrl: '"+s.bridge+"/', "+more+" })",
		))
		if err != nil || !strings.HasPrefix(u.String(), "https://www.tiktok.com/v2/auth/authorize/?") {
			t.Fatalf("the address is %q (%v)", u, err)
		}
		return u
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\|myapp)?$`)
	native := build("isNative: true, scheme: 'myapp', scopes: ['user.info.basic', 'user.info.stats']").Query()
	if got := native.Get("state"); !uuid.MatchString(got) || !strings.HasSuffix(got, "|myapp") {
		t.Errorf("natively the state is %q", got)
	}
	native.Del("state")
	if diff := cmp.Diff(url.Values{
		"client_key": {"sim_client_key"}, "response_type": {"code"}, "scope": {"user.info.basic,user.info.stats"},
		"redirect_uri": {s.bridge + "/native-callback"},
	}, native); diff != "" {
		t.Errorf("natively the query is (-want +got):\n%s", diff)
	}
	if eval[bool](t, b, "'tikbridge.state' in sessionStorage") {
		t.Error("the state of the native flow was kept, where no page compares it")
	}
	if got := build("isNative: true, redirectUri: 'https://app.example/native-callback.html'").Query().Get("redirect_uri"); got != "https://app.example/native-callback.html" {
		t.Errorf("with a page of its own redirect_uri is %q", got)
	}
	web := build("isNative: false, scheme: 'myapp'")
	state := web.Query().Get("state")
	if !uuid.MatchString(state) || strings.Contains(state, "|") ||
		state != eval[string](t, b, "sessionStorage['tikbridge.state']") {
		t.Errorf("on the web the state is %q; want a UUID that is kept", state)
	}

	// The bridge's own page takes what comes back.
	simulated, err := url.Parse(s.tiktok)
	if err != nil {
		t.Fatal(err)
	}
	web.Scheme, web.Host = simulated.Scheme, simulated.Host
	b.run(t, "go to TikTok", chromedp.Navigate(web.String()))
	b.consent(t)
	b.run(t, "arrive", visible("#signed-in"))
}

// npmInstall returns a folder in which the packages of the lock file are installed, or skips the test.
func npmInstall(t *testing.T) string {
	t.Helper()
	needTools(t, "node", "npm")
	return npmPackages(t)
}

var npmPackages = shared(func() (string, error) {
	dir := filepath.Join(scratch, "npm")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := os.ReadFile(filepath.Join("js", name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// TestSDK_packages uses the SDK with the real supabase-js and the real despia-native.
func TestSDK_packages(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	t.Run("supabase-js", func(t *testing.T) {
		b := newDevice(t, false)
		b.open(t, s.app+"/supabase")
		eval[chromedp.Void](t, b, "void tiktok.signIn()")
		b.consent(t)
		id := b.wantStatuses(t, "signed_in")[0].Session.User.ID
		getUser := "client.auth.getUser().then(({ data, error }) => data.user?.id ?? error.message)"
		if got := eval[string](t, b, getUser); got != id || id == "" {
			t.Errorf("getUser says %q; want %q", got, id)
		}
		b.open(t, s.app+"/supabase")
		if got := eval[string](t, b, getUser); got != id {
			t.Errorf("after a reload getUser says %q; want %q", got, id)
		}
		b.wantNoComplaints(t)
	})
	t.Run("supabase-js has another session", func(t *testing.T) {
		b := newDevice(t, false)
		b.open(t, s.app+"/supabase")
		id := eval[string](t, b, `client.auth.signUp({ email: 'by-mail@mail.example', password: 'correct horse 1' })
			.then(({ data, error }) => data.session?.user.id ?? String(error))`)
		eval[chromedp.Void](t, b, "void tiktok.signIn()")
		b.wantStatuses(t, "failed already_signed_in")
		if got := eval[string](t, b, "client.auth.getUser().then(({ data }) => data.user?.id)"); got != id {
			t.Errorf("signed in is %q; want still %q", got, id)
		}
		eval[chromedp.Void](t, b, "void tiktok.signIn({ replaceSession: true })")
		b.consent(t)
		other := b.wantStatuses(t, "signed_in")[0].Session.User.ID
		if got := eval[string](t, b, "client.auth.getUser().then(({ data }) => data.user?.id)"); got != other || got == id {
			t.Errorf("signed in is %q; want %q", got, other)
		}
		b.wantNoComplaints(t)
	})
	t.Run("supabase-js is stuck", func(t *testing.T) {
		b := newDevice(t, false)
		b.open(t, s.app+"/supabase/stuck")
		eval[chromedp.Void](t, b, "void tiktok.signIn()")
		b.consent(t)
		b.until(t, "window.endTimeLimit?.()")
		b.until(t, "window.results?.[0]?.error === 'invalid_session'")
		// Its callback asks for another try, which is stuck, too; then the first comes to an end.
		b.until(t, "[endTimeLimit()] && results.some(({ status }) => status === 'signed_in')")
		b.wantNoComplaints(t)
	})
	t.Run("supabase-js refuses", func(t *testing.T) {
		b := newDevice(t, false)
		b.open(t, s.app+"/supabase")
		s.front.next(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			_, _ = io.WriteString(w, `{"access_token":"a.b.c","refresh_token":"d"}`)
		})
		eval[chromedp.Void](t, b, "void tiktok.signIn()")
		b.consent(t)
		b.wantStatuses(t, "failed invalid_session")
		if eval[string](t, b, "results[0].cause.message") == "" {
			t.Error("the result has no cause")
		}
	})
	t.Run("despia-native", func(t *testing.T) {
		b := newDevice(t, true)
		b.open(t, s.app+"/function")
		eval[chromedp.Void](t, b, "tiktok.signIn()")
		secure := openSecureBrowser(t, b, s)
		secure.consent(t)
		eval[chromedp.Void](t, b, push(secure.deeplink(t)))
		b.wantStatuses(t, "signed_in")
		b.wantNoComplaints(t)
	})
}

// TestSDK_supabaseVersions: whoever is signed in stays so if the next sign-in is cancelled or fails.
// supabase-js up to 2.89 drops the session if the address has an error_description.
func TestSDK_supabaseVersions(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	for _, version := range []string{"supabase-js-2.45", "supabase-js-2.86", "supabase-js-2.89", "newest"} {
		for _, options := range []string{"implicit/on", "pkce/on", "implicit/off", "pkce/off"} {
			t.Run(version+"/"+options, func(t *testing.T) {
				t.Parallel()
				page := s.app + "/supabase/" + version + "/" + options
				b := newDevice(t, false)
				b.open(t, page)
				eval[chromedp.Void](t, b, "void tiktok.signIn()")
				b.consent(t)
				id := b.wantStatuses(t, "signed_in")[0].Session.User.ID
				wantUser := func(when string) {
					t.Helper()
					got := eval[string](t, b, "client.auth.getUser().then(({ data, error }) => data.user?.id ?? error.message)")
					if got != id || id == "" {
						t.Errorf("after %s getUser says %q; want %q", when, got, id)
					}
				}
				wantUser("the sign-in")

				eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
				b.run(t, "cancel", visible(cancelButton), click(cancelButton))
				b.wantStatuses(t, "cancelled")
				wantUser("a cancelled sign-in")

				b.open(t, page+"?tikbridge_error=tiktok_unavailable&tikbridge_error_description=Later&tikbridge_request_id=r1")
				b.wantStatuses(t, "failed tiktok_unavailable")
				wantUser("a sign-in that failed")
				b.run(t, "reload", chromedp.Reload())
				b.until(t, "window.ready")
				wantUser("a reload")
				b.wantNoComplaints(t)
			})
		}
	}
}
