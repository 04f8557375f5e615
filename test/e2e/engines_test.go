package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// tab is a tab of a browser other than Chromium. It shares nothing with any other tab.
type tab interface {
	// open loads an address, and returns when the page is loaded.
	open(ctx context.Context, address string) error
	// eval returns the string that a promise in the page comes to.
	eval(ctx context.Context, promise string) (string, error)
	// click presses the first element that fits, as a mouse does.
	click(ctx context.Context, selector string) error
	// address returns what the address bar holds.
	address(ctx context.Context) (string, error)
	screenshot(ctx context.Context) ([]byte, error)
}

// engines are the browsers that run the tests of this file: half of all people come by WebKit. make opens
// a tab that names itself agent, or as the browser does. leaves says that the browser shows an error page
// in place of one that follows a deeplink, as no app is there to take it.
var engines = map[string]struct {
	need   func(t *testing.T)
	make   func(t *testing.T, agent string) tab
	leaves bool
}{
	"webkit":  {needWebKit, newWebKitTab, true},
	"firefox": {needFirefox, newFirefoxTab, false},
}

// needPackage skips the test where a program is missing, and names Debian's package of it.
func needPackage(t *testing.T, program, name string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed: it is in Debian's package %s; make setup installs it", program, name)
	}
}

// engineLimit is for one step, on a machine that has much else to do.
const engineLimit = time.Minute

// window is a tab in the hands of a test.
type window struct {
	tab
	engine string
}

func openWindow(t *testing.T, engine, agent string) window {
	t.Helper()
	return window{engines[engine].make(t, agent), engine}
}

const despiaAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Despia"

// visit opens a page, and waits for a condition.
func (w window) visit(t *testing.T, address, condition string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), engineLimit)
	defer cancel()
	if err := w.open(ctx, address); err != nil {
		t.Fatalf("open %s: %v", withoutQuery(address), err)
	}
	w.until(t, condition)
}

// try returns, as JSON, what an expression in the page comes to.
func (w window) try(ctx context.Context, expression string) (string, error) {
	return w.eval(ctx, "(async () => JSON.stringify(await ("+expression+") ?? null))()")
}

// inPage returns what an expression in the page comes to.
func inPage[T any](t *testing.T, w window, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), engineLimit)
	defer cancel()
	var v T
	answer, err := w.try(ctx, expression)
	if err == nil {
		err = json.Unmarshal([]byte(answer), &v)
	}
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// do evaluates an expression for its effect.
func (w window) do(t *testing.T, expression string) {
	t.Helper()
	inPage[any](t, w, "void ("+expression+")")
}

// until waits for a condition, also while pages come and go.
func (w window) until(t *testing.T, condition string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), engineLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// WebKit never answers a question to a page that is just put into its cache.
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		answer, err := w.try(once, "Boolean("+condition+")")
		cancel()
		if answer == "true" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			page, _ := w.try(ctx, "[location.origin + location.pathname, document.body?.innerText, window.results]")
			t.Fatalf("wait until %s: %v, %v; the page: %s", condition, answer, err, page)
		}
	}
}

func shown(selector string) string {
	return fmt.Sprintf("document.readyState === 'complete' && document.querySelector(%q)?.offsetParent", selector)
}

// press clicks what is shown, or will be.
func (w window) press(t *testing.T, selector string) {
	t.Helper()
	w.until(t, shown(selector)+" && !document.querySelector("+fmt.Sprintf("%q", selector)+").disabled")
	ctx, cancel := context.WithTimeout(t.Context(), engineLimit)
	defer cancel()
	if err := w.click(ctx, selector); err != nil {
		t.Fatalf("click %s: %v", selector, err)
	}
}

// reload loads the page again.
func (w window) reload(t *testing.T, condition string) {
	t.Helper()
	w.do(t, "window.before = true, setTimeout(() => location.reload())")
	w.until(t, "!window.before && "+condition)
}

func (w window) text(t *testing.T, selector string) string {
	t.Helper()
	return inPage[string](t, w, fmt.Sprintf("document.querySelector(%q).innerText.trim()", selector))
}

func (w window) agree(t *testing.T, who string) {
	t.Helper()
	w.press(t, account(who))
	w.press(t, continueButton)
}

func (w window) wantLocation(t *testing.T, want string) {
	t.Helper()
	if got := inPage[string](t, w, "location.href"); got != want {
		t.Errorf("the address bar holds %q; want %q", withoutQuery(got), want)
	}
}

// wantStatuses waits for as many results of the SDK, and compares them.
func (w window) wantStatuses(t *testing.T, want ...string) []sdkResult {
	t.Helper()
	w.until(t, fmt.Sprintf("window.ready && results.length >= %d", len(want)))
	results := inPage[[]sdkResult](t, w, "results")
	var got []string
	for _, r := range results {
		got = append(got, strings.TrimSuffix(r.Status+" "+r.Error, " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	return results
}

// wantNoComplaints looks for script errors and for what a content security policy refused. WebKit's driver
// tells of neither.
func (w window) wantNoComplaints(t *testing.T) {
	t.Helper()
	firefox, ok := w.tab.(*firefoxTab)
	if !ok {
		return
	}
	for _, complaint := range firefox.complaints() {
		// js/sdk-app.js has the first; Firefox itself asks for the second, on any page that it has left.
		if strings.Contains(complaint, "a callback that throws") || strings.Contains(complaint, "/favicon.ico") {
			continue
		}
		t.Errorf("the browser complains: %s", complaint)
	}
}

// picture keeps a screenshot when E2E_PICTURES names a folder, to be looked at.
func (w window) picture(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("E2E_PICTURES")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), engineLimit)
	defer cancel()
	w.do(t, "(await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))))")
	png, err := w.screenshot(ctx)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, w.engine+"-"+name+".png"), png, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEngines goes through sign-ins in other engines than Chromium.
func TestEngines(t *testing.T) {
	flows := []struct {
		name string
		run  func(t *testing.T, engine string)
	}{
		{"demo", engineDemo},
		{"hosted flow on the web", engineWeb},
		{"hosted flow cancelled", engineCancel},
		{"page already mounted", engineMounted},
		{"return page", engineReturn},
		{"guide's page of the bridge", engineNativeCallback},
		{"supabase-js", engineSupabase},
		{"provider flow on the web", engineProvider},
		{"provider flow in an app", engineProviderNative},
	}
	for engine, e := range engines {
		t.Run(engine, func(t *testing.T) {
			e.need(t)
			for _, flow := range flows {
				t.Run(flow.name, func(t *testing.T) { flow.run(t, engine) })
			}
		})
	}
}

// engineDemo signs in in the demo by the hosted flow, reloads, signs out; cancels by the guide flow, at /auth.
func engineDemo(t *testing.T, engine string) {
	s := startDev(t)
	w := openWindow(t, engine, "")
	w.visit(t, s.bridge, shown("#sign-in"))
	w.press(t, "#sign-in")
	w.until(t, shown(continueButton))
	w.picture(t, "tiktok")
	w.agree(t, "mira")
	w.until(t, shown("#signed-in"))
	w.wantLocation(t, s.bridge+"/")
	userID := w.text(t, "#user-id")
	w.reload(t, shown("#signed-in"))
	w.picture(t, "demo-signed-in")
	if got := w.text(t, "#user-id"); got != userID || len(got) != 36 {
		t.Errorf("after a reload the user id is %q; want %q", got, userID)
	}
	w.press(t, "#sign-out")
	w.until(t, shown("#sign-in"))
	w.wantNoComplaints(t)

	w = openWindow(t, engine, "")
	w.visit(t, s.bridge, shown("#sign-in"))
	w.press(t, "#tab-guide")
	w.press(t, "#sign-in")
	w.press(t, cancelButton)
	w.until(t, shown("#card[data-view=idle] #action"))
	w.picture(t, "cancelled")
	if got := w.text(t, "#title"); got != "Sign-in cancelled" {
		t.Errorf("the page says %q; want that it was cancelled", got)
	}
	w.wantLocation(t, s.bridge+"/auth")
	w.press(t, "#action")
	w.until(t, shown("#sign-in"))
	w.wantNoComplaints(t)
}

// engineWeb signs in with the SDK, reloads, and signs in as somebody else.
func engineWeb(t *testing.T, engine string) {
	s := startSDK(t)
	w := openWindow(t, engine, "")
	w.visit(t, s.equipped+"/web/in?tab=a%20b&c=1;d=2#part", "window.ready")
	w.do(t, "tiktok.signIn()")
	w.agree(t, "mira")
	first := w.wantStatuses(t, "signed_in")[0].Session
	if got := inPage[[]session](t, w, "sessions"); len(got) != 1 || got[0] != first || first.User.ID == "" {
		t.Errorf("setSession was given %d sessions; want the one of the result", len(got))
	}
	w.wantLocation(t, s.equipped+"/web/in?tab=a%20b&c=1;d=2")
	s.front.wantRedeems(t, 1)

	w.reload(t, "window.ready")
	w.wantStatuses(t)
	s.front.wantRedeems(t, 0)

	w.do(t, "tiktok.signIn({ redirectTo: '/strict/other?x=1#y', selectAccount: true })")
	w.agree(t, "layla")
	if second := w.wantStatuses(t, "signed_in")[0].Session; second.User.ID == first.User.ID {
		t.Error("the other account is the same user")
	}
	w.wantLocation(t, s.equipped+"/strict/other?x=1")
	s.front.wantRedeems(t, 1) // although the page mounts three times
	w.wantNoComplaints(t)
}

// engineCancel says no at TikTok; then goes back from there, to a page that the browser may have kept.
func engineCancel(t *testing.T, engine string) {
	s := startSDK(t)
	w := openWindow(t, engine, "")
	w.visit(t, s.equipped+"/web/in?tab=1", "window.ready")
	w.do(t, "tiktok.signIn()")
	w.press(t, cancelButton)
	w.wantStatuses(t, "cancelled")
	w.wantLocation(t, s.equipped+"/web/in?tab=1")
	s.front.wantRedeems(t, 0)

	w.do(t, "(results.length = 0, addEventListener('pagehide', () => { window.wasAway = true }), tiktok.signIn())")
	w.until(t, shown(continueButton))
	w.do(t, "setTimeout(() => history.back())")
	w.until(t, "window.ready")
	if inPage[bool](t, w, "Boolean(window.wasAway)") {
		w.until(t, "endGrace()")
		w.wantStatuses(t, "cancelled")
	} else {
		t.Log("this browser did not keep the page")
	}
	w.wantNoComplaints(t)
}

// unavailable is what the bridge answers while TikTok is down.
const unavailable = "tikbridge_error=tiktok_unavailable&tikbridge_error_description=Later&tikbridge_request_id=r1"

// inDespia begins a sign-in in the web view of a Despia app, and opens its secure browser.
func (s *sdkStack) inDespia(t *testing.T, w window) (secure window) {
	t.Helper()
	w.do(t, "tiktok.signIn()")
	w.until(t, "commands.length > 0")
	command := inPage[string](t, w, "commands.shift()")
	encoded, ok := strings.CutPrefix(command, "oauth://?url=")
	address, err := url.QueryUnescape(encoded)
	if !ok || err != nil {
		t.Fatalf("the command is %q (%v)", withoutQuery(command), err)
	}
	secure = openWindow(t, w.engine, "")
	w.do(t, "setVisible(false)")
	secure.visit(t, address, shown(continueButton))
	return secure
}

// deeplink returns what a page opens an app with. page is its address, with nothing in it that came from
// TikTok.
func (w window) deeplink(t *testing.T, page string) *url.URL {
	t.Helper()
	href := ""
	if engines[w.engine].leaves {
		ctx, cancel := context.WithTimeout(t.Context(), engineLimit)
		defer cancel()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for !strings.HasPrefix(href, "myapp:") {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("no deeplink is followed; the address bar holds %q", withoutQuery(href))
			}
			href, _ = w.address(ctx)
		}
	} else {
		w.until(t, shown("#card:not([data-view=working]) #action"))
		href = inPage[string](t, w, "document.querySelector('#action').href")
		w.wantLocation(t, page)
	}
	link, err := url.Parse(href)
	if err != nil {
		t.Fatal(err)
	}
	if got := withoutQuery(link.String()); got != "myapp://oauth/auth" {
		t.Fatalf("the deeplink opens %q", got)
	}
	return link
}

// comeBack is what Despia does with a deeplink.
func (w window) comeBack(t *testing.T, link *url.URL) {
	t.Helper()
	arrive := push("/auth?" + link.RawQuery)
	w.do(t, "(setVisible(true), "+arrive+", dispatchEvent(new PopStateEvent('popstate')))")
}

// engineMounted is the app in a web view, whose page is there when the deeplink changes its address.
func engineMounted(t *testing.T, engine string) {
	s := startSDK(t)
	w := openWindow(t, engine, despiaAgent)
	w.visit(t, s.equipped+"/app", "window.ready")
	t.Logf("Navigation API: %v", inPage[bool](t, w, "'navigation' in window"))

	secure := s.inDespia(t, w)
	secure.agree(t, "mira")
	link := secure.deeplink(t, s.bridge+bridgePath+"callback")
	w.comeBack(t, link)
	w.wantStatuses(t, "signed_in")
	if inPage[bool](t, w, "endGrace() && results.length > 1") {
		t.Error("a sign-in that worked was reported as cancelled")
	}
	w.wantLocation(t, s.equipped+"/auth")
	s.front.wantRedeems(t, 1)

	w.do(t, "results.length = 0")
	secure = s.inDespia(t, w)
	secure.press(t, cancelButton)
	link = secure.deeplink(t, s.bridge+bridgePath+"callback")
	w.comeBack(t, link)
	w.wantStatuses(t, "cancelled")
	w.wantLocation(t, s.equipped+"/auth")
	w.wantNoComplaints(t)
}

// engineReturn looks at the pages of the hosted flow that a secure browser ends on.
func engineReturn(t *testing.T, engine string) {
	s := startDev(t)
	w := openWindow(t, engine, "")
	f := s.newFlow("platform", "native", "scheme", "myapp")
	w.visit(t, f.start, shown(continueButton))
	w.agree(t, "mira")
	page := s.bridge + bridgePath + "callback"
	link := w.deeplink(t, page)
	w.picture(t, "return-done")
	var in session
	body := map[string]string{"handoff": link.Query().Get("tikbridge_handoff"), "verifier": f.verifier}
	post(t, s.bridge+bridgePath+"redeem", body, &in)
	s.wantValid(t, in)

	w.visit(t, page, shown("#card[data-view=idle] #action"))
	if got := w.text(t, "#title"); got != "Nothing left to do here" {
		t.Errorf("loaded again, the page says %q", got)
	}
	w.picture(t, "return-again")

	w.visit(t, s.newFlow("platform", "native").start, shown(cancelButton))
	w.press(t, cancelButton)
	if link := w.deeplink(t, page); !isCancelled(link.Query()) {
		t.Error("the deeplink does not say that it was cancelled")
	}
	w.picture(t, "return-cancelled")

	w.visit(t, s.bridge+bridgePath+"start?platform=web&redirect_to=https://evil.example/", shown("#action"))
	if got := w.text(t, "#title"); got != "Sign-in did not work" {
		t.Errorf("the page says %q; want that it did not work", got)
	}
	w.picture(t, "error")
}

// engineNativeCallback looks at the bridge's page for the guide flow of a wrapped app.
func engineNativeCallback(t *testing.T, engine string) {
	s := startDev(t)
	w := openWindow(t, engine, "")
	authorize := s.tiktok + "/v2/auth/authorize/?" + url.Values{
		"client_key": {tiktoksim.DefaultClientKey}, "response_type": {"code"}, "scope": {"user.info.basic"},
		"redirect_uri": {s.bridge + "/native-callback"}, "state": {"0b5c|myapp"}, "disable_auto_auth": {"1"},
	}.Encode()
	w.visit(t, authorize, shown(continueButton))
	w.agree(t, "layla")
	page := s.bridge + "/native-callback"
	if q := w.deeplink(t, page).Query(); q.Get("access_token") == "" || q.Get("refresh_token") == "" {
		t.Error("the deeplink carries no session")
	}
	w.picture(t, "native-callback-done")
	w.visit(t, page, shown("#card[data-view=idle] #action"))
	if got := w.text(t, "#title"); got != "You’re done here" {
		t.Errorf("loaded again, the page says %q", got)
	}
	w.picture(t, "native-callback-again")

	w.visit(t, authorize, shown(cancelButton))
	w.press(t, cancelButton)
	if got := w.deeplink(t, page).Query().Get("error"); got != "access_denied" {
		t.Errorf("the deeplink reports %q; want access_denied", got)
	}
	w.visit(t, page+"?code=made-up&state=0b5c%7Cmyapp", "true")
	if got := w.deeplink(t, page).Query().Get("error"); got != "invalid_grant" {
		t.Errorf("for a code that TikTok does not know, the deeplink reports %q", got)
	}
}

// engineSupabase: with supabase-js, whoever is signed in stays so through a reload, a cancelled sign-in and
// an error.
func engineSupabase(t *testing.T, engine string) {
	npmInstall(t)
	s := startSDK(t)
	w := openWindow(t, engine, "")
	w.visit(t, s.equipped+"/supabase", "window.ready")
	w.do(t, "tiktok.signIn()")
	w.agree(t, "mira")
	id := w.wantStatuses(t, "signed_in")[0].Session.User.ID
	wantUser := func(when string) {
		t.Helper()
		got := inPage[string](t, w, "client.auth.getUser().then(({ data, error }) => data.user?.id ?? error.message)")
		if got != id || id == "" {
			t.Errorf("after %s getUser says %q; want %q", when, got, id)
		}
	}
	wantUser("the sign-in")
	w.reload(t, "window.ready")
	wantUser("a reload")
	w.do(t, "tiktok.signIn({ selectAccount: true })")
	w.press(t, cancelButton)
	w.wantStatuses(t, "cancelled")
	wantUser("a cancelled sign-in")
	w.visit(t, s.equipped+"/supabase?"+unavailable, "window.ready")
	w.wantStatuses(t, "failed tiktok_unavailable")
	wantUser("a sign-in that failed")
	w.wantNoComplaints(t)
}

// engineProvider signs in by a provider of Supabase, is cancelled, and links TikTok to an account.
func engineProvider(t *testing.T, engine string) {
	npmInstall(t)
	s := startSDK(t)
	for _, kind := range []string{"provider", "provider-last"} { // the two that differ most
		w := openWindow(t, engine, "")
		w.visit(t, s.equipped+"/"+kind+"/newest/pkce/on?tab=1", "window.ready")
		w.do(t, "tiktok.signIn()")
		w.agree(t, "mira")
		id := w.wantStatuses(t, "signed_in")[0].Session.User.ID
		w.wantLocation(t, s.equipped+"/"+kind+"/newest/pkce/on?tab=1")
		w.reload(t, "window.ready")
		w.wantStatuses(t)
		w.do(t, "tiktok.signIn({ selectAccount: true })")
		w.press(t, cancelButton)
		w.wantStatuses(t, "cancelled")
		w.wantLocation(t, s.equipped+"/"+kind+"/newest/pkce/on?tab=1")
		if got := inPage[string](t, w, getUser); got != id || id == "" {
			t.Errorf("after a cancelled sign-in getUser says %q; want %q", got, id)
		}

		id = inPage[string](t, w, signUp)
		w.do(t, "tiktok.link()")
		w.agree(t, "mira")
		if got := w.wantStatuses(t, "signed_in")[0].Session.User.ID; got != id {
			t.Errorf("after linking the user is %q; want %q", got, id)
		}
		w.wantNoComplaints(t)
	}
}

// engineProviderNative signs in in a wrapped app, by the bridge's page for Supabase's redirect.
func engineProviderNative(t *testing.T, engine string) {
	npmInstall(t)
	s := startSDK(t)
	w := openWindow(t, engine, despiaAgent)
	w.visit(t, s.equipped+"/provider/newest/pkce/on", "window.ready")
	const page = "/return?scheme=myapp"
	secure := s.inDespia(t, w)
	secure.agree(t, "mira")
	w.comeBack(t, secure.deeplink(t, s.front.url+page))
	w.wantStatuses(t, "signed_in")
	w.wantLocation(t, s.equipped+"/auth")

	w.do(t, "results.length = 0")
	secure = s.inDespia(t, w)
	secure.press(t, cancelButton)
	w.comeBack(t, secure.deeplink(t, s.front.url+page))
	w.wantStatuses(t, "cancelled")
	w.wantLocation(t, s.equipped+"/auth")
	w.wantNoComplaints(t)
}
