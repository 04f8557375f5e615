package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

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
		const { tiktok_open_id, name } = user?.user_metadata ?? {};
		const shown = document.querySelector('#name').textContent.trim();
		return { OpenID: tiktok_open_id, Name: name, Shown: shown, Error: String(error) };
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
	s.wantNone(t, "the storage", eval[string](t, b, `[localStorage, sessionStorage]
		.flatMap((storage) => Object.entries(storage)).filter(([key]) => !/^sb-.*-auth-token$/.test(key)).join()`))
	s.wantNone(t, "document.cookie", eval[string](t, b, "document.cookie"))
	s.wantNone(t, "the log", s.log.String())
}

// TestApps_native signs in in a Despia app, whose page is there already when the deeplink comes.
func TestApps_native(t *testing.T) {
	s := startApps(t)
	for i, kind := range kinds {
		platform := alternate(i, "ios", "android")
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

// TestApps_web signs in by redirects, with app and bridge on one origin and on two sites.
func TestApps_web(t *testing.T) {
	s := startApps(t)
	for i, kind := range kinds {
		origin := alternate(i, s.apart, s.host)
		t.Run(kind, func(t *testing.T) {
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
	// Each app is told of an end and of a failure, and each scenario meets an app.
	for kind, told := range map[string][]string{
		"vanilla": {"closed", "expired", "reloaded"}, "react": {"denied", "expired"}, "vue": {"closed", "expired"},
	} {
		for _, scenario := range told {
			run := scenarios[scenario]
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
	p := newPhone(t, s, "android")
	p.start(t, s.host, "react")
	p.run(t, "sign in", click(signInButton))
	sb := p.secure(t)
	sb.agree(t, "mira")
	sb.link(t, false) // is blocked
	sb.press(t, "#action")
	p.follow(t, sb, sb.link(t, true), false)
	s.wantSignedIn(t, p.device, tiktoksim.OpenIDMira)
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
	at := eval[struct{ X, Y float64 }](t, b, fmt.Sprintf(`(({ x, y, width, height }) =>
		({ X: x + width / 2, Y: y + height / 2 }))(document.querySelector(%q).getBoundingClientRect())`, selector))
	b.run(t, "press the button", chromedp.MouseClickXY(at.X, at.Y))
}
