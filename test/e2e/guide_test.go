package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// serveGuide serves an app with the pages of Despia's guide, unchanged: see testdata/guide. Around them
// is what the guide leaves to the app: a button, setSession of supabase-js, and a start page.
func (s *appStack) serveGuide(w http.ResponseWriter, r *http.Request) {
	read := func(name string) string {
		content, err := readGuide(name)
		if err != nil {
			panic(err)
		}
		return strings.NewReplacer("your_tiktok_client_key", tiktoksim.DefaultClientKey, "https://yourapp.com", s.host,
			"https://www.tiktok.com", s.tiktok).Replace(content)
	}
	head := fmt.Sprintf(`<!doctype html><html lang="en"><link rel="icon" href="data:,"><script src="/supabase.js"></script>
		<script>const client = supabase.createClient(%q, %q)
			const setSession = (tokens) => client.auth.setSession(tokens)</script>`,
		s.supabase, gotruesim.PublishableKey)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch r.URL.Path {
	case "/native-callback":
		_, _ = fmt.Fprint(w, read("native-callback.html"))
	case "/auth":
		_, _ = fmt.Fprint(w, head, `<script src="/despia.js"></script><button id="sign-in">Continue with TikTok</button>`,
			read("auth.html"), "<script>", read("button.js"), `
				document.querySelector('#sign-in').onclick = () => {
					const isNative = navigator.userAgent.toLowerCase().includes('despia')
					const url = getTikTokOAuthUrl(isNative, 'myapp')
					if (isNative) despia('oauth://?url=' + encodeURIComponent(url))
					else window.location.href = url
				}</script>`)
	case "/":
		_, _ = fmt.Fprint(w, head, `<h1 id="name"></h1><script>client.auth.onAuthStateChange((event, session) => {
			if (!session) location.replace('/auth')
			else document.querySelector('#name').textContent = session.user.user_metadata.display_name
		})</script>`)
	case "/supabase.js", "/despia.js":
		file := map[string]string{
			"/supabase.js": "@supabase/supabase-js/dist/umd/supabase.js", "/despia.js": "despia-native/index.js",
		}[r.URL.Path]
		http.ServeFile(w, r, scratch+"/npm/node_modules/"+file)
	default:
		http.NotFound(w, r)
	}
}

// wantGuideSignedIn checks who is signed in, now and after a refresh and a reload. Tokens in addresses are
// the guide's own; the bridge's log has none.
func (s *appStack) wantGuideSignedIn(t *testing.T, b device, openID string) {
	t.Helper()
	for _, before := range []string{"", "await probe.auth.refreshSession();"} {
		b.until(t, "document.querySelector('#name')?.textContent")
		s.wantUser(t, b, openID, before)
		b.run(t, "reload", chromedp.Reload(), visible(nameHeading))
	}
	b.until(t, "document.querySelector('#name')?.textContent")
	s.wantUser(t, b, openID, "")
	s.wantNone(t, "the log", s.log.String())
	b.wantNoComplaints(t)
}

// TestGuide_native signs in in a Despia app that was built from the guide, whose page stays or is loaded
// again when the deeplink comes.
func TestGuide_native(t *testing.T) {
	s := startApps(t)
	for platform, again := range map[string]bool{"ios": false, "android": true} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			p := newPhone(t, s, platform)
			p.start(t, s.host, "guide")
			p.run(t, "sign in", click(signInButton))
			sb := p.secure(t)
			sb.agree(t, "mira")
			p.follow(t, sb, sb.link(t, false), again)
			s.wantGuideSignedIn(t, p.device, tiktoksim.OpenIDMira)
		})
	}
}

// TestGuide_web signs in on the web with an app that was built from the guide.
func TestGuide_web(t *testing.T) {
	t.Parallel()
	s := startApps(t)
	b := newPage(t)
	b.start(t, s.host, "guide")
	b.run(t, "sign in", click(signInButton))
	b.agree(t, "layla")
	s.wantGuideSignedIn(t, b, tiktoksim.OpenIDLayla)
}

// TestGuide_denied says no, is told so, and then agrees.
func TestGuide_denied(t *testing.T) {
	t.Parallel()
	s := startApps(t)
	p := newPhone(t, s, "ios")
	p.start(t, s.host, "guide")
	p.run(t, "sign in", click(signInButton))
	sb := p.secure(t)
	sb.decline(t)
	p.follow(t, sb, sb.link(t, false), false)
	p.until(t, "document.querySelector('#status').textContent === 'Sign in failed: access_denied'")

	p.run(t, "sign in", click(signInButton))
	sb = p.secure(t)
	sb.agree(t, "mira")
	p.follow(t, sb, sb.link(t, false), false)
	s.wantGuideSignedIn(t, p.device, tiktoksim.OpenIDMira)
}

// TestDespiaComponent asks as Despia's own <despia-oauth-callback> does, from a page on another site than
// the bridge: with {code, redirect_uri, state}, where the state is its first part alone, and with
// credentials, without which a browser would show it nothing.
func TestDespiaComponent(t *testing.T) {
	t.Parallel()
	s := startApps(t)
	b := newPage(t)
	b.run(t, "open a page", chromedp.Navigate(s.apart+"/choose/vanilla"), visible(signInButton))
	redirect := s.apart + "/native-callback.html"
	ask := func(code string) map[string]any {
		return eval[map[string]any](t, b, fmt.Sprintf(`fetch(%q, {
			method: 'POST',
			headers: { 'Content-Type': 'application/json' },
			body: JSON.stringify({ code: %q, redirect_uri: %q, state: '8c4a2f' }),
			credentials: 'include',
		}).then(async (answer) => ({ ok: answer.ok, ...(await answer.json()) }))`,
			s.host+"/api/auth/tiktok-callback", code, redirect))
	}
	var code struct {
		Code string `json:"code"`
	}
	post(t, s.tiktok+"/sim/codes", map[string]string{"open_id": tiktoksim.OpenIDMira, "redirect_uri": redirect}, &code)
	answer := ask(code.Code)
	if answer["ok"] != true || answer["access_token"] == nil || answer["refresh_token"] == nil {
		t.Errorf("the component gets ok %v with error %v; want both tokens", answer["ok"], answer["error"])
	}
	// It takes any status but 200 for a failure.
	if answer = ask(code.Code); answer["ok"] != false || answer["error"] != "invalid_grant" {
		t.Errorf("for a code that was used the component gets ok %v with error %v; want invalid_grant",
			answer["ok"], answer["error"])
	}
}

func readGuide(name string) (string, error) {
	content, err := os.ReadFile("testdata/guide/" + name)
	return string(content), err
}
