package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// shownPage is a page that people see, in one of its states.
type shownPage struct {
	name  string
	reach func(t *testing.T, b device) // from an empty tab
	// expect is what Chromium itself says of an answer that is wanted.
	expect string
	// stays says that a reload shows the same again.
	stays bool
}

// TestPages looks at every page as phones and desktops show it, by day and by night: nothing moves by
// itself, nothing is wider than the screen, axe finds nothing that keeps people out, and the browser has
// nothing to complain of, such as a violation of the content security policy.
func TestPages(t *testing.T) {
	s := startApps(t)
	axe := string(readFile(t, scratch+"/npm/node_modules/axe-core/axe.min.js"))
	open := func(address, until string) func(*testing.T, device) {
		return func(t *testing.T, b device) {
			t.Helper()
			b.run(t, "open "+withoutQuery(address), chromedp.Navigate(address), visible(until))
		}
	}
	consent := func(address, button, until string) func(*testing.T, device) {
		return func(t *testing.T, b device) {
			t.Helper()
			b.run(
				t, "go to TikTok", chromedp.Navigate(address), visible(button), click(account("mira")), click(button),
				visible(until),
			)
		}
	}
	native := s.newFlow("platform", "native", "scheme", "myapp").start
	guide := s.tiktok + "/v2/auth/authorize/?" + url.Values{
		"client_key": {"sim_client_key"}, "response_type": {"code"}, "scope": {"user.info.basic"},
		"redirect_uri": {s.bridge + "/native-callback"}, "state": {"0b5c|myapp"}, "disable_auto_auth": {"1"},
	}.Encode()
	pages := []shownPage{
		{name: "tiktok", reach: open(native, continueButton), stays: true},
		{name: "return done", reach: consent(native, continueButton, "#card[data-view=done] #action")},
		{name: "return cancelled", reach: consent(native, cancelButton, "#card[data-view=idle] #action")},
		{
			name: "return bare", reach: open(s.bridge+bridgePath+"callback", "#action"), expect: "status of 400",
			stays: true,
		},
		{
			name:   "error",
			reach:  open(s.bridge+bridgePath+"start?platform=web&redirect_to=https://evil.example/", "#action"),
			expect: "status of 400", stays: true,
		},
		{name: "native-callback done", reach: consent(guide, continueButton, "#card[data-view=done] #action")},
		{name: "native-callback cancelled", reach: consent(guide, cancelButton, "#card[data-view=idle] #action")},
		{
			name:  "native-callback bare",
			reach: open(s.bridge+"/native-callback", "#card:not([data-view=working]) #action"), stays: true,
		},
		{
			name: "native-callback refused",
			reach: open(
				s.bridge+"/native-callback?code=made-up&state=0b5c%7Cmyapp", "#card[data-view=problem] #action",
			),
			expect: "status of 400",
		},
		{
			name:  "provider return done",
			reach: open(s.bridge+"/return?scheme=myapp&code=c", "#card[data-view=done] #action"),
		},
		{
			name:  "provider return cancelled",
			reach: open(s.bridge+"/return?error=access_denied", "#card[data-view=idle] #action"),
		},
		{
			name:  "provider return tokens",
			reach: open(s.bridge+"/return#access_token=a.b.c", "#card[data-view=problem] #action"),
		},
		{name: "provider return bare", reach: open(s.bridge+"/return", "#card[data-view=idle] #action"), stays: true},
		{name: "auth bare", reach: open(s.bridge+"/auth", "#card[data-view=idle] #action"), stays: true},
		{
			name: "auth refused", reach: open(s.bridge+"/auth?code=made-up", "#card[data-view=problem] #action"),
			expect: "status of 400",
		},
	}
	pages = append(pages, demoPages(t)...)
	for _, kind := range kinds {
		if kind == "vanilla" { // the others look the same
			pages = append(pages, shownPage{
				name: kind + " auth", reach: func(t *testing.T, b device) { t.Helper(); b.start(t, s.host, kind) },
				stays: true,
			})
		}
		pages = append(pages,
			shownPage{name: kind + " cancelled", reach: func(t *testing.T, b device) {
				t.Helper()
				b.start(t, s.host, kind)
				b.run(t, "sign in", click(signInButton))
				b.decline(t)
				b.wantMessage(t, "cancelled")
			}},
			shownPage{name: kind + " home", reach: func(t *testing.T, b device) {
				t.Helper()
				b.start(t, s.host, kind)
				b.run(t, "sign in", click(signInButton))
				b.agree(t, "layla")
				b.until(t, "document.querySelector('#name')?.textContent.trim()")
			}, stays: true})
	}
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b := newPage(t)
			if p.expect != "" {
				b.expect(p.expect)
			}
			p.reach(t, b)
			b.wantStill(t)
			p.look(t, b, "phone-light")
			b.wantAccessible(t, axe, everyRule)
			p.look(t, b, "phone-dark")
			b.wantAccessible(t, axe, "runOnly: 'color-contrast'") // nothing else has changed
			p.look(t, b, "desktop-light")
			if os.Getenv("E2E_PICTURES") != "" { // else it says nothing new
				p.look(t, b, "desktop-dark")
			}
			b.wantNoComplaints(t)
		})
	}
}

// look shows the page on a phone or a desktop, in a light or a dark scheme.
func (p shownPage) look(t *testing.T, b device, how string) {
	t.Helper()
	on, scheme, _ := strings.Cut(how, "-")
	width, height := int64(390), int64(844)
	if on == "desktop" {
		width, height = 1280, 800
	}
	b.run(t, "look", chromedp.EmulateViewport(width, height), prefer(scheme))
	if p.stays && scheme == "light" { // the scheme moves nothing
		b.reload(t)
		b.wantStill(t)
	}
	b.picture(t, strings.ReplaceAll(p.name+"-"+how, " ", "-"))
	if wide := eval[int64](t, b, "document.documentElement.scrollWidth"); wide > width {
		t.Errorf("on a %s the page is %d pixels wide; want no more than %d", on, wide, width)
	}
}

// demoPages are the demo's tabs, its view of a signed-in person, and its end of a sign-in that was cancelled; and
// the bridge's own pages in other languages, with the name of the app.
func demoPages(t *testing.T) []shownPage {
	t.Helper()
	s := demoStack(t)
	var pages []shownPage
	for _, flow := range []string{"hosted", "provider", "guide"} {
		open := func(t *testing.T, b device) {
			t.Helper()
			b.run(t, "open the demo", chromedp.Navigate(s.bridge), click("#tab-"+flow), visible("#sign-in"))
		}
		pages = append(pages, shownPage{name: "demo " + flow, reach: open, stays: true})
		pages = append(pages, shownPage{name: "demo " + flow + " signed in", reach: func(t *testing.T, b device) {
			t.Helper()
			open(t, b)
			b.run(t, "sign in", click("#sign-in"), click(continueButton), visible("#signed-in"))
		}})
	}
	pages = append(pages, shownPage{name: "demo cancelled", reach: func(t *testing.T, b device) {
		t.Helper()
		b.run(t, "cancel", chromedp.Navigate(s.bridge), click("#sign-in"), click(cancelButton), visible("#notice"))
	}})
	for _, in := range []struct{ language, name, address string }{
		{"de", "return error", bridgePath + "start?platform=web&redirect_to=https://evil.example/"},
		{"de", "auth refused", "/auth?code=made-up"},
		{"de", "native bare", "/native-callback"},
		{"ja", "auth refused", "/auth?code=made-up"},
	} {
		pages = append(pages, shownPage{name: in.name + " " + in.language, reach: func(t *testing.T, b device) {
			t.Helper()
			b.run(t, "open the page", speaks(in.language), chromedp.Navigate(s.bridge+in.address),
				visible(fmt.Sprintf(`html[lang=%s] #card:not([data-view=working]) #action`, in.language)))
		}, expect: "status of 400"})
	}
	return pages
}

// speaks makes the browser ask for a language.
func speaks(language string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
			Headers: network.Headers{"Accept-Language": language},
		})
		return err
	})
}

// reload loads the page again, and waits until it shows what it showed.
func (b device) reload(t *testing.T) {
	t.Helper()
	shown := eval[string](t, b, "document.body.innerText")
	eval[chromedp.Void](t, b, "window.before = true, void setTimeout(() => location.reload())")
	b.until(
		t,
		fmt.Sprintf(
			"!window.before && document.readyState === 'complete' && document.body.innerText.length >= %d",
			len([]rune(shown))/2,
		),
	)
}

// everyRule lets axe apply all rules of WCAG 2.2 A and AA, and its best practices.
const everyRule = ""

// wantAccessible runs axe, the accessibility engine of Deque, with such rules.
func (b device) wantAccessible(t *testing.T, axe, rules string) {
	t.Helper()
	b.run(t, "load axe", chromedp.Evaluate[chromedp.Void](axe))
	for _, violation := range eval[[]string](t, b, `axe.run({ resultTypes: ['violations'], preload: false, `+rules+` })
		.then(({ violations }) => violations.map(({ id, help, nodes }) =>
			id + ': ' + help + ': ' + nodes.map(({ html }) => html).join(' ')))`) {
		t.Errorf("not accessible: %s", violation)
	}
}

// TestPages_withoutScript: where scripts are off, every page still says what to do.
func TestPages_withoutScript(t *testing.T) {
	s := startDev(t)
	for name, tt := range map[string]struct{ address, want string }{
		"native-callback": {"/native-callback?code=c&state=0b5c%7Cmyapp", "needs JavaScript"},
		"auth":            {"/auth?code=c", "needs JavaScript"},
		"provider-return": {"/return?code=c", "needs JavaScript"},
		"demo":            {"/", "needs JavaScript"},
		"error":           {bridgePath + "start?platform=web&redirect_to=https://evil.example/", "Sign-in did not work"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, 390, 844)
			b.run(t, "switch scripts off", withoutScript)
			b.run(t, "open the page", chromedp.Navigate(s.bridge+tt.address))
			if got := b.text(t, "body"); !strings.Contains(got, tt.want) {
				t.Errorf("the page says %q; want %q", got, tt.want)
			}
			b.picture(t, "without-script-"+name)
		})
	}
}

var withoutScript = chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
	_, err := cdp.Call(
		ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true},
	)
	return err
})
