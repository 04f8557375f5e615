package e2e_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const (
	getUser = "client.auth.getUser().then(({ data, error }) => data.user?.id ?? error.message)"
	signUp  = `client.auth.signUp({ email: 'by-mail@mail.example', password: 'correct horse 1' })
		.then(({ data, error }) => data.session?.user.id ?? String(error))`
)

// providerKinds are the orders in which a page loads the SDK and makes its client. The first reads the address.
var providerKinds = []string{"provider", "provider-later", "provider-last"}

// codeOf returns the code in the address of a page or deeplink.
func codeOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("%q has no code (%v)", withoutQuery(address), err)
	}
	return u.Query().Get("code")
}

// alternate returns one of the values, so that a matrix has every pair of what it crosses, but not every triple.
func alternate(n int, values ...string) string { return values[n%len(values)] }

// TestSDKProvider_web signs in by a provider of Supabase, with every order of scripts and supabase-js of the
// last years. It is signed in once, whoever exchanges the code, and stays so when the next time is cancelled.
func TestSDKProvider_web(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	for i, version := range []string{"supabase-js-2.45", "supabase-js-2.86", "supabase-js-2.89", "newest"} {
		for j, kind := range providerKinds {
			detect := alternate(i+j, "on", "off")
			t.Run(version+"/"+kind+"/"+detect, func(t *testing.T) {
				t.Parallel()
				page := s.app + "/" + kind + "/" + version + "/pkce/" + detect
				b := newDevice(t, false)
				b.open(t, page+"?tab=a%20b#part")
				eval[chromedp.Void](t, b, "void tiktok.signIn()")
				b.consent(t)
				id := b.wantStatuses(t, "signed_in")[0].Session.User.ID
				if got := eval[string](t, b, getUser); got != id || id == "" {
					t.Errorf("getUser says %q; want %q", got, id)
				}
				s.gotrue.wantExchanges(t, codeOf(t, eval[string](t, b, "arrival")), 1)
				if got := eval[string](t, b, "location.search"); got != "?tab=a%20b" && got != "?tab=a+b" {
					t.Errorf("the address bar holds %q; want the app's own parameter", got)
				}
				b.run(t, "reload", chromedp.Reload())
				b.until(t, "window.ready")
				b.wantStatuses(t)

				eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
				b.run(t, "see TikTok", visible(`form[data-prompt=select_account]`), click(cancelButton))
				b.wantStatuses(t, "cancelled")
				if kind == "provider" || version == "newest" { // else supabase-js has dropped it before
					if got := eval[string](t, b, getUser); got != id {
						t.Errorf("after a cancelled sign-in getUser says %q; want %q", got, id)
					}
				}
				b.wantNoComplaints(t)
			})
		}
	}
}

// TestSDKProvider_native signs in in a Despia app: Supabase redirects the secure browser to the bridge's page,
// whose deeplink changes the address of the web view.
func TestSDKProvider_native(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	arrivals := []struct {
		name, script string
		arrive       func(t *testing.T, b device, page, query string)
	}{
		{"mounted page", "", func(t *testing.T, b device, _, query string) {
			t.Helper()
			eval[chromedp.Void](t, b, push("/auth"+query))
		}},
		{"mounted page, no Navigation API", withoutNavigation, func(t *testing.T, b device, _, query string) {
			t.Helper()
			eval[chromedp.Void](t, b, push("/auth"+query))
		}},
		{"loaded again", "", func(t *testing.T, b device, page, query string) {
			t.Helper()
			b.open(t, page+query)
		}},
		{"loaded again, and put back by the router", "", func(t *testing.T, b device, page, query string) {
			t.Helper()
			b.run(t, "open the app", chromedp.Navigate(page+query))
			b.until(t, "window.tiktok")
			eval[chromedp.Void](t, b, push("/auth"+query)+"; dispatchEvent(new PopStateEvent('popstate'))")
			b.until(t, "window.ready")
		}},
	}
	for i, tt := range arrivals {
		for j, kind := range providerKinds {
			version := alternate(i+j, "supabase-js-2.45", "newest")
			t.Run(tt.name+"/"+kind+"/"+version, func(t *testing.T) {
				t.Parallel()
				page := s.app + "/" + kind + "/" + version + "/pkce/on"
				b := newDevice(t, true, tt.script)
				b.open(t, page)
				eval[chromedp.Void](t, b, "tiktok.signIn()")
				secure := s.openProvider(t, b)
				eval[chromedp.Void](t, b, "setVisible(false)")
				secure.consent(t)
				link := secure.deeplink(t)
				secure.wantLocation(t, s.front.url+"/return?scheme=myapp")
				eval[chromedp.Void](t, b, "setVisible(true)")
				tt.arrive(t, b, page, strings.TrimPrefix(link, "/auth"))
				b.wantStatuses(t, "signed_in")
				if eval[bool](t, b, "endGrace() && results.length > 1") {
					t.Error("a sign-in that worked was reported as cancelled")
				}
				// A router may put back what supabase-js took out before the SDK was there.
				putBack := kind == "provider-last" && strings.Contains(tt.name, "put back")
				if got := eval[string](t, b, "location.search + location.hash"); got != "" && !putBack {
					t.Errorf("the address bar still holds %q", got)
				}
				s.gotrue.wantExchanges(t, codeOf(t, link), 1)
				b.wantNoComplaints(t)
			})
		}
	}
}

// TestSDKProvider_inFlight loads the SDK while supabase-js exchanges the code: it waits for what comes of that.
func TestSDKProvider_inFlight(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	for _, version := range []string{"supabase-js-2.45", "supabase-js-2.86", "supabase-js-2.89", "newest"} {
		t.Run(version, func(t *testing.T) {
			b := newDevice(t, false)
			b.open(t, s.app+"/provider-held/"+version+"/pkce/on/held")
			eval[chromedp.Void](t, b, "void tiktok.signIn()")
			b.consent(t)
			b.until(t, "window.tiktok && arrival.includes('code=') && !location.search")
			select {
			case <-s.gotrue.release:
			case <-b.ctx.Done():
				t.Fatal("supabase-js does not exchange the code")
			}
			b.wantStatuses(t, "signed_in")
			s.gotrue.wantExchanges(t, codeOf(t, eval[string](t, b, "arrival")), 1)
			b.wantNoComplaints(t)
		})
	}
}

// openProvider opens GoTrue's address as Despia does.
func (s *sdkStack) openProvider(t *testing.T, b device) device {
	t.Helper()
	address := b.commanded(t)
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, s.gotrue.url+"/") {
		t.Fatalf("the address is %q; want GoTrue's", withoutQuery(address))
	}
	if q := u.Query(); strings.HasSuffix(u.Path, "/auth/v1/authorize") {
		want := s.front.url + "/return?scheme=myapp"
		if q.Get("redirect_to") != want || q.Get("provider") != "custom:tiktok" ||
			q.Get("code_challenge_method") != "s256" {
			t.Errorf("GoTrue is asked for %v; want custom:tiktok, S256 and a return to %q", q, want)
		}
	}
	return b.openSecure(t, address)
}

// TestSDKProvider_nativeCancel: the person says no, or closes the secure browser and comes back after all.
func TestSDKProvider_nativeCancel(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	b := newDevice(t, true)
	b.open(t, s.app+"/provider/newest/pkce/on")
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	secure := s.openProvider(t, b)
	eval[chromedp.Void](t, b, "setVisible(false)")
	secure.run(t, "say no", click(cancelButton))
	link := secure.deeplink(t)
	if link != "/auth?error=access_denied" {
		t.Errorf("the deeplink is %q; want the error alone, without a description", link)
	}
	eval[chromedp.Void](t, b, "setVisible(true);"+push(link))
	b.wantStatuses(t, "cancelled")
	b.wantLocation(t, s.app+"/auth")

	eval[chromedp.Void](t, b, "results.length = 0; tiktok.signIn()")
	secure = s.openProvider(t, b)
	eval[chromedp.Void](t, b, "setVisible(false), setVisible(true)")
	b.until(t, "endGrace()")
	b.wantStatuses(t, "cancelled")
	secure.consent(t)
	eval[chromedp.Void](t, b, push(secure.deeplink(t)))
	b.wantStatuses(t, "cancelled", "signed_in")
	b.wantNoComplaints(t)
}

// TestSDKProvider_twice starts two sign-ins. supabase-js keeps the verifier of the second alone.
func TestSDKProvider_twice(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	// Newer versions of supabase-js drop the verifier when the first code fails.
	for version, last := range map[string]string{"supabase-js-2.45": "signed_in", "newest": "failed invalid_state"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := newDevice(t, true)
			b.expect("status of 40") // GoTrue's refusals
			b.open(t, s.app+"/provider/"+version+"/pkce/on")
			begin := func() device {
				eval[chromedp.Void](t, b, "tiktok.signIn()")
				return s.openProvider(t, b)
			}
			first, second := begin(), begin()
			second.consent(t)
			eval[chromedp.Void](t, b, push(second.deeplink(t)))
			b.wantStatuses(t, "signed_in")
			first.run(t, "give up", chromedp.Navigate("about:blank"))

			eval[chromedp.Void](t, b, "results.length = 0")
			first, second = begin(), begin()
			first.consent(t)
			eval[chromedp.Void](t, b, push(first.deeplink(t)))
			r := b.wantStatuses(t, "failed invalid_state")[0]
			if !strings.Contains(r.Description, "started again") {
				t.Errorf("people are told %q; want that it was started again", r.Description)
			}
			second.consent(t)
			eval[chromedp.Void](t, b, "results.length = 0;"+push(second.deeplink(t)))
			b.wantStatuses(t, last)
			b.wantNoComplaints(t)
		})
	}
}

// TestSDKProvider_failures: people learn in the SDK's own words what GoTrue or the network has against them.
func TestSDKProvider_failures(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	for i, tt := range []struct{ fault, want, words string }{
		{"banned", "user_banned", "blocked"},
		{"hook", "sign_in_refused", "does not let you"},
		{"late", "invalid_state", "too long"},
		{"expired", "invalid_state", "too long"},
		{"broken", "internal", "try again"},
		{"offline", "network_error", "No connection"},
	} {
		for j, kind := range providerKinds {
			version := alternate(i+j, "supabase-js-2.45", "newest")
			t.Run(tt.fault+"/"+kind+"/"+version, func(t *testing.T) {
				t.Parallel()
				b := newDevice(t, false)
				b.open(t, s.app+"/"+kind+"/"+version+"/pkce/on/"+tt.fault)
				eval[chromedp.Void](t, b, "void tiktok.signIn()")
				b.consent(t)
				r := b.wantStatuses(t, "failed "+tt.want)[0]
				if !strings.Contains(r.Description, tt.words) || strings.Contains(r.Description, "1u2o") {
					t.Errorf("people are told %q; want %q and nothing of GoTrue's", r.Description, tt.words)
				}
				if got := eval[string](t, b, "location.search + location.hash"); got != "" {
					t.Errorf("the address bar still holds %q", got)
				}
			})
		}
	}
}

// TestSDKProvider_answersOfOthers stay in the address: no sign-in is under way, or the code is not GoTrue's.
func TestSDKProvider_answersOfOthers(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	page := s.app + "/provider/newest/pkce/off"
	b := newDevice(t, false)
	for _, query := range []string{"?error=access_denied", "?code=0b5c0b5c-0b5c-4b5c-8b5c-0b5c0b5c0b5c"} {
		b.open(t, page+query)
		b.wantStatuses(t)
		b.wantLocation(t, page+query)
	}
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.run(t, "come to TikTok", visible(continueButton))
	b.open(t, page+"?code=ac_of_another_service")
	b.wantStatuses(t)
	b.wantLocation(t, page+"?code=ac_of_another_service")
	b.wantNoComplaints(t)
}

// TestSDKProvider_implicit: a client that would put tokens into addresses signs nobody in.
func TestSDKProvider_implicit(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	b := newDevice(t, false)
	page := s.app + "/provider/newest/implicit/on"
	b.open(t, page)
	eval[string](t, b, signUp)
	for _, call := range []string{"signIn({ replaceSession: true })", "link()"} {
		got := eval[string](t, b, "tiktok."+call+".then(({ error, cause }) => error + ': ' + cause.message)")
		if !strings.HasPrefix(got, "implicit_flow: ") || !strings.Contains(got, "flowType: 'pkce'") {
			t.Errorf("%s says %q; want what to change", call, got)
		}
	}
	b.wantLocation(t, page)
}

// TestSDKProvider_otherSession: somebody who is signed in by other means is not replaced unless the app says so.
func TestSDKProvider_otherSession(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	b := newDevice(t, false)
	b.open(t, s.app+"/provider/newest/pkce/on")
	id := eval[string](t, b, signUp)
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.wantStatuses(t, "failed already_signed_in")
	eval[chromedp.Void](t, b, "void tiktok.signIn({ replaceSession: true })")
	b.consent(t)
	if got := b.wantStatuses(t, "signed_in")[0].Session.User.ID; got == id || got == "" {
		t.Errorf("signed in is %q; want another than %q", got, id)
	}
}

// TestSDKProvider_link adds TikTok to an account, on the web and in an app.
func TestSDKProvider_link(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	linked := func(t *testing.T, b device, id string) {
		t.Helper()
		if got := b.wantStatuses(t, "signed_in")[0].Session.User.ID; got != id {
			t.Errorf("signed in is %q; want still %q", got, id)
		}
		providers := eval[[]string](t, b, "results[0].session.user.app_metadata.providers")
		if !slices.Contains(providers, "custom:tiktok") {
			t.Errorf("the user has %q; want TikTok among them", providers)
		}
		b.wantNoComplaints(t)
	}
	for i, kind := range providerKinds {
		web, native := alternate(i, "supabase-js-2.45", "newest"), alternate(i+1, "supabase-js-2.45", "newest")
		t.Run("web/"+web+"/"+kind, func(t *testing.T) {
			t.Parallel()
			b := newDevice(t, false)
			b.open(t, s.app+"/"+kind+"/"+web+"/pkce/on")
			id := eval[string](t, b, signUp)
			eval[chromedp.Void](t, b, "void tiktok.link()")
			b.consent(t)
			linked(t, b, id)
		})
		t.Run("native/"+native+"/"+kind, func(t *testing.T) {
			t.Parallel()
			b := newDevice(t, true)
			b.open(t, s.app+"/"+kind+"/"+native+"/pkce/on")
			id := eval[string](t, b, signUp)
			eval[chromedp.Void](t, b, "tiktok.link()")
			secure := s.openProvider(t, b)
			secure.consent(t)
			eval[chromedp.Void](t, b, push(secure.deeplink(t)))
			linked(t, b, id)
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		b := newDevice(t, false)
		b.open(t, s.app+"/provider/supabase-js-2.45/pkce/on")
		id := eval[string](t, b, signUp)
		eval[chromedp.Void](t, b, "void tiktok.link()")
		b.run(t, "say no", visible(cancelButton), click(cancelButton))
		b.wantStatuses(t, "cancelled")
		if got := eval[string](t, b, getUser); got != id {
			t.Errorf("getUser says %q; want still %q", got, id)
		}
	})
}

// TestSDKProvider_linkFailures: what stands in the way of a link, before TikTok is asked or after.
func TestSDKProvider_linkFailures(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	const guest = "client.auth.signInAnonymously().then(({ data }) => data.session.user.id)"
	for _, tt := range []struct{ name, fault, session, want string }{
		{"nobody is signed in", "ok", "''", "not_signed_in"},
		{"no e-mail address", "ok", guest, "email_required"},
		{"linking is off", "disabled", signUp, "manual_linking_disabled"},
		{"linked already", "linked", signUp, "identity_already_exists"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newDevice(t, false)
			b.expect("status of 404")
			b.open(t, s.app+"/provider/newest/pkce/on/"+tt.fault)
			id := eval[string](t, b, tt.session)
			eval[chromedp.Void](t, b, "void tiktok.link()")
			if tt.fault == "linked" {
				b.consent(t)
			}
			if r := b.wantStatuses(t, "failed "+tt.want)[0]; r.Description == "" {
				t.Error("people are told nothing")
			}
			if got := eval[string](t, b, getUser); id != "" && got != id {
				t.Errorf("getUser says %q; want still %q", got, id)
			}
			b.wantNoComplaints(t)
		})
	}
}

// TestProviderReturn opens the page that Supabase returns to in a wrapped app. What it passes on goes to no
// other address than the app's, and leaves the address bar.
func TestProviderReturn(t *testing.T) {
	s := startDev(t)
	b := device{newBrowser(t, 390, 844)}
	const code = "0b5c0b5c-0b5c-4b5c-8b5c-0b5c0b5c0b5c"
	for _, tt := range []struct{ name, address, view, link, left string }{
		{"code", "?scheme=myapp&code=" + code, "done", "myapp://oauth/auth?code=" + code, "?scheme=myapp"},
		{"default scheme", "?code=" + code, "done", "myapp://oauth/auth?code=" + code, ""},
		{"upper case", "?scheme=MyApp&code=" + code, "done", "myapp://oauth/auth?code=" + code, "?scheme=MyApp"},
		{"odd code", "?code=a%26b%3Dc%20d%23", "done", "myapp://oauth/auth?code=a%26b%3Dc%20d%23", ""},
		{
			"a path of the address", "?code=c&path=//evil.example&auth_path=/x", "done",
			"myapp://oauth/auth?code=c", "",
		},
		{
			"cancelled", "?error=access_denied&error_description=No#error=access_denied&error_description=No&sb=", "idle",
			"myapp://oauth/auth?error=access_denied", "",
		},
		{
			"error in the fragment", "#error=invalid_request&error_code=bad_oauth_state&error_description=Late", "problem",
			"myapp://oauth/auth?error=invalid_request&error_code=bad_oauth_state", "",
		},
		{
			"denied by Supabase", "?error=access_denied&error_code=user_banned", "problem",
			"myapp://oauth/auth?error=access_denied&error_code=user_banned", "",
		},
		{
			"refused by a hook", "?error=access_denied&error_code=&error_description=No", "problem",
			"myapp://oauth/auth?error=access_denied&error_code=unknown", "",
		},
		{"a code every object has", "?error=constructor", "problem", "myapp://oauth/auth?error=constructor", ""},
		{"no error code", "?error=%3Cb%3E", "problem", "myapp://oauth/auth?error=server_error", ""},
		{
			"another's scheme", "?scheme=evil&code=" + code, "problem", "myapp://oauth/auth?error=scheme_not_allowed",
			"?scheme=evil",
		},
		{
			"script for a scheme", "?scheme=javascript&code=" + code, "problem",
			"myapp://oauth/auth?error=scheme_not_allowed", "?scheme=javascript",
		},
		{
			"a whole address for a scheme", "?scheme=https://evil.example/%3F&code=" + code, "problem",
			"myapp://oauth/auth?error=scheme_not_allowed", "?scheme=https%3A%2F%2Fevil.example%2F%3F",
		},
		{
			"tokens", "#access_token=a.b.c&refresh_token=d&expires_in=3600&provider_token=act.x", "problem",
			"myapp://oauth/auth?error=implicit_flow", "",
		},
		{"nothing", "", "idle", "myapp://oauth/auth", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.run(t, "open the page", chromedp.Navigate("about:blank"), chromedp.Navigate(s.bridge+"/return"+tt.address),
				visible("#card:not([data-view=working]) #action"))
			if got := eval[string](t, b, "document.querySelector('#card').dataset.view"); got != tt.view {
				t.Errorf("the page shows %q; want %q", got, tt.view)
			}
			if got := eval[string](t, b, "document.querySelector('#action').href"); got != tt.link {
				t.Errorf("the button opens %q; want %q", got, tt.link)
			}
			b.wantLocation(t, s.bridge+"/return"+tt.left)
			if got := b.text(t, "body"); strings.Contains(got, "evil") || strings.Contains(got, "Late") {
				t.Errorf("the page says %q; want nothing of its address", got)
			}
			b.wantNoComplaints(t)
		})
	}
}
