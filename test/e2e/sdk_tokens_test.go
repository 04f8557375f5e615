package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const (
	// accessToken asks for TikTok's access token, and tells it or why there is none.
	accessToken = "tiktok.accessToken().then(({ token, error }) => token ?? error)"
	// expire makes the access token old.
	expire = `void (localStorage['tikbridge.tokens'] = JSON.stringify(
		{ ...JSON.parse(localStorage['tikbridge.tokens']), expiresAt: 1 }))`
	// withoutLocks makes a browser of before the Web Locks API, which tells how often it reads a lease.
	withoutLocks = `Object.defineProperty(navigator, 'locks', { value: undefined });
		const { getItem } = Storage.prototype;
		window.leaseReads = 0;
		Storage.prototype.getItem = function (key) {
			if (key.endsWith('.lock')) window.leaseReads++;
			return getItem.call(this, key);
		};`
)

// startTokens opens an app with supabase-js, and signs in.
func startTokens(t *testing.T, script ...string) (*sdkStack, device) {
	t.Helper()
	if composed != nil {
		t.Skip("the composed bridge keeps TikTok's tokens")
	}
	npmInstall(t)
	s := startSDK(t)
	b := newDevice(t, false, script...)
	b.open(t, s.app+"/supabase")
	wantToken(t, b, "signed_out")
	b.signInAs(t, "mira")
	return s, b
}

func (b device) signInAs(t *testing.T, who string) {
	t.Helper()
	eval[chromedp.Void](t, b, "void (results.length = 0, tiktok.signIn({ selectAccount: true }))")
	b.run(t, "agree at TikTok", visible(continueButton), click(account(who)), click(continueButton))
	b.wantStatuses(t, "signed_in")
}

// wantToken wants an error, or any token of TikTok with "act.", and returns it.
func wantToken(t *testing.T, b device, want string) string {
	t.Helper()
	got := eval[string](t, b, accessToken)
	if strings.HasPrefix(got, "act.") != (want == "act.") || want != "act." && got != want {
		t.Errorf("accessToken says %.12q; want %q", got, want)
	}
	return got
}

// TestSDKTokens: who just signed in has a token, which is refreshed once it is old, for all who ask at once.
func TestSDKTokens(t *testing.T) {
	s, b := startTokens(t)
	first := wantToken(t, b, "act.")
	s.front.wantCalls(t, "token", 0)
	if got := eval[string](t, b, "tiktok.accessToken().then(({ scopes }) => scopes.join())"); got != "user.info.basic" {
		t.Errorf("the scopes are %q; want what the person granted", got)
	}
	const videos = "tiktok.accessToken({ scopes: ['user.info.basic', 'video.list'] }).then(({ token, error }) => error)"
	if got := eval[string](t, b, videos); got != "not_granted" {
		t.Errorf("with a scope that was not granted it says %q", got)
	}

	eval[chromedp.Void](t, b, expire)
	if got := eval[string](t, b, `Promise.all([1, 2, 3, 4].map(() => make().accessToken())).then((all) =>
		all.every(({ token }) => token === all[0].token) ? all[0].token : 'several')`); got == first || got == "several" {
		t.Errorf("four at once get %.12q; want one fresh token", got)
	}
	s.front.wantCalls(t, "token", 1)
	b.run(t, "reload", chromedp.Reload())
	b.until(t, "window.ready")
	wantToken(t, b, "act.")
	s.front.wantCalls(t, "token", 0)
	b.wantNoComplaints(t)
}

// TestSDKTokens_tabs refreshes in two tabs at once: TikTok gets one request, and both tabs its answer.
func TestSDKTokens_tabs(t *testing.T) {
	for name, tt := range map[string]struct{ script, waits string }{
		"locks":    {"", "(await navigator.locks.query()).pending.some(({ name }) => name.startsWith('tikbridge'))"},
		"no locks": {withoutLocks, "window.leaseReads > 5"},
	} {
		t.Run(name, func(t *testing.T) {
			s, one := startTokens(t, tt.script)
			two := one.another(t)
			if tt.script != "" {
				two.inject(t, tt.script)
			}
			two.open(t, s.app+"/supabase")
			eval[chromedp.Void](t, one, expire)
			came, release := make(chan struct{}), make(chan struct{})
			s.front.nextOf("token", func(w http.ResponseWriter, r *http.Request) {
				close(came)
				<-release
				s.front.proxy.ServeHTTP(w, r)
			})
			const ask = "void " + accessToken + ".then((got) => (window.got = got))"
			eval[chromedp.Void](t, one, ask)
			select {
			case <-came:
			case <-one.ctx.Done():
				t.Fatal("nobody refreshes")
			}
			eval[chromedp.Void](t, two, ask)
			two.until(t, tt.waits)
			close(release)
			for _, b := range []device{one, two} {
				b.until(t, "window.got")
			}
			got, other := eval[string](t, one, "got"), eval[string](t, two, "got")
			if !strings.HasPrefix(got, "act.") || got != other {
				t.Errorf("the tabs got %.8q and %.8q; want the same token", got, other)
			}
			s.front.wantCalls(t, "token", 1)
		})
	}
}

// TestSDKTokens_failures: after a failure that passes it works again; a lost answer costs a sign-in, as does the end
// of the grant.
func TestSDKTokens_failures(t *testing.T) {
	s, b := startTokens(t)
	b.mu.Lock()
	b.expected = append(b.expected, "Failed to load resource")
	b.mu.Unlock()
	eval[chromedp.Void](t, b, expire)
	s.front.nextOf("token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		refuse(w, http.StatusServiceUnavailable, "", "")
	})
	wantToken(t, b, "network_error")
	wantToken(t, b, "act.")

	eval[chromedp.Void](t, b, expire)
	s.front.nextOf("token", func(w http.ResponseWriter, r *http.Request) {
		s.front.proxy.ServeHTTP(httptest.NewRecorder(), r)
		hangUp(w, r)
	})
	wantToken(t, b, "network_error")
	s.front.wantCalls(t, "token", 3)
	wantToken(t, b, "revoked")
	wantToken(t, b, "revoked")
	s.front.wantCalls(t, "token", 1) // and is not asked again
	b.signInAs(t, "mira")
	wantToken(t, b, "act.")

	if got := eval[string](t, b, "tiktok.revoke().then(String)"); got != "null" {
		t.Errorf("revoke says %s; want null", got)
	}
	wantToken(t, b, "revoked")
	if got := eval[string](t, b, "tiktok.revoke().then(({ error }) => error)"); got != "revoked" {
		t.Errorf("the second time revoke says %s", got)
	}
	if got := eval[string](t, b, getUser); !strings.Contains(got, "-") {
		t.Errorf("after revoke getUser says %q; want the person still signed in", got)
	}
	eval[chromedp.Void](t, b, "void tiktok.signIn()") // without revoke TikTok would ask nothing
	b.consent(t)
	b.wantStatuses(t, "signed_in")
	wantToken(t, b, "act.")
}

// TestSDKTokens_people: tokens are for whoever they were given to, and go when that person does.
func TestSDKTokens_people(t *testing.T) {
	s, b := startTokens(t)
	kept := "localStorage['tikbridge.tokens']"
	before := eval[string](t, b, kept)
	mira := wantToken(t, b, "act.")
	b.signInAs(t, "layla")
	if got := wantToken(t, b, "act."); got == mira {
		t.Error("layla gets the token of mira")
	}
	// Somebody signed in while this script was not there.
	eval[chromedp.Void](t, b, kept+" = "+strconv.Quote(before))
	wantToken(t, b, "not_granted")
	s.front.wantCalls(t, "token", 0)

	b.signInAs(t, "layla")
	eval[chromedp.Void](t, b, "client.auth.signOut().then(() => {})")
	if got := eval[string](t, b, kept); got != "null" {
		t.Errorf("after the sign-out %q is kept", got)
	}
	wantToken(t, b, "signed_out")
}

// TestSDKTokens_native has a token in the web view of a Despia app.
func TestSDKTokens_native(t *testing.T) {
	s := startSDK(t)
	if composed != nil {
		t.Skip("the composed bridge keeps TikTok's tokens")
	}
	b := newDevice(t, true)
	b.open(t, s.app+"/app") // which keeps its session itself
	wantToken(t, b, "signed_out")
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	secure := openSecureBrowser(t, b, s)
	secure.consent(t)
	eval[chromedp.Void](t, b, push(secure.deeplink(t)))
	b.wantStatuses(t, "signed_in")
	first := wantToken(t, b, "act.")
	eval[chromedp.Void](t, b, expire)
	if got := wantToken(t, b, "act."); got == first {
		t.Error("the token was not refreshed")
	}
}

// TestSDKTokens_provider takes TikTok's tokens from supabase-js, which drops them when it refreshes its session.
func TestSDKTokens_provider(t *testing.T) {
	s := startProviderSDK(t)
	for _, version := range []string{"supabase-js-2.45", "newest"} {
		for _, kind := range providerKinds {
			t.Run(version+"/"+kind, func(t *testing.T) {
				b := newDevice(t, false)
				b.open(t, s.app+"/"+kind+"/"+version+"/pkce/on")
				b.signInAs(t, "mira")
				const refresh = "client.auth.refreshSession().then(({ data }) => String(data.session?.provider_token))"
				if got := eval[string](t, b, refresh); got != "undefined" {
					t.Errorf("supabase-js keeps the token, so that this proves little: %.8q", got)
				}
				token := wantToken(t, b, "act.")
				if got := wantToken(t, b, "act."); got != token {
					t.Error("a token is refreshed each time")
				}
				if got := eval[string](t, b, "tiktok.accessToken().then(({ scopes }) => scopes.join())"); got != "user.info.basic" {
					t.Errorf("the scopes are %q", got)
				}
				if got := eval[string](t, b, "tiktok.revoke().then(String)"); got != "null" {
					t.Errorf("revoke says %s; want null", got)
				}
				wantToken(t, b, "revoked")
				b.wantNoComplaints(t)
			})
		}
	}
}
