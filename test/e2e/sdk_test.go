package e2e_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

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
				"[...Object.entries(localStorage), ...Object.entries(sessionStorage)]"+
					".filter(([key]) => key.endsWith('flows')).map(([, value]) => value).join()",
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

// TestSDK_alreadySignedIn: a session that is not TikTok's is replaced only if the app asks for it.
func TestSDK_alreadySignedIn(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, true)
	b.open(t, s.app+"/fake")
	metadata := func(json string) string { return "{ user: { app_metadata: " + json + " } }" }
	keptElsewhere := func(json string) string {
		return "{ user: new Proxy({}, { get() { throw 1 } }), " +
			"access_token: 'x.' + btoa(JSON.stringify(" + json + ")) + '.x' }"
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
				r := b.wantStatuses(t, "failed "+tt.want)[0]
				if guest := tt.name == "anonymous"; r.Description == "" || strings.Contains(r.Description, "guest") != guest {
					t.Errorf("people are told %q; want that an account would be lost: %v", r.Description, guest)
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
	const page = "https://app.example/native-callback.html"
	if got := build("isNative: true, redirectUri: '" + page + "'").Query().Get("redirect_uri"); got != page {
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
