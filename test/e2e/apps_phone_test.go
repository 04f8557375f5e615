package e2e_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

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
	agent := "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 " +
		"Chrome/142.0 Mobile Safari/537.36 Despia"
	if p.ios {
		agent = despiaAgent
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
