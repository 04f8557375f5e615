package e2e_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

const bridgePath = "/api/auth/tiktok/"

// startForApp returns a bridge and the origin of an app whose every page is empty: those that tests share,
// or those of composed.
func startForApp(t *testing.T) (stack, string) {
	t.Helper()
	if composed != nil {
		return composed.bridge, serveComposed(t, http.HandlerFunc(emptyApp))
	}
	s := devStack(t)
	return s.stack, s.empty
}

// serveComposed serves an app where the bridge of composed expects it, until the test ends.
func serveComposed(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", composed.app)
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewUnstartedServer(h)
	t.Cleanup(app.Close)
	_ = app.Listener.Close()
	app.Listener = l
	app.Start()
	return app.URL
}

func emptyApp(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprint(
		w, `<!doctype html><title>The app</title><link rel="icon" href="data:,"><h1 id="app">The app</h1>`,
	)
}

// flow is one sign-in of an app: the address that starts it, and the secret the app keeps.
type flow struct{ start, verifier string }

// newFlow makes a flow of query parameters: name, value, name, value.
func (s stack) newFlow(values ...string) flow {
	f := flow{verifier: rand.Text() + rand.Text()}
	sum := sha256.Sum256([]byte(f.verifier))
	q := url.Values{"challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "select_account": {"1"}}
	for i := 0; i < len(values); i += 2 {
		q.Set(values[i], values[i+1])
	}
	f.start = s.bridge + bridgePath + "start?" + q.Encode()
	return f
}

// decide opens the start of a flow and answers TikTok's question.
func (b *browser) decide(t *testing.T, f flow, who, button, until string) {
	t.Helper()
	b.run(t, "go to TikTok", chromedp.Navigate(f.start), visible(button))
	b.run(t, "decide", click(account(who)), click(button), visible(until))
}

// redeem turns a handoff into a session with a fetch from the page that the browser shows.
func (b *browser) redeem(t *testing.T, s stack, body map[string]string, credentials string) (int, session) {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`fetch(%q, {
			method: 'POST', credentials: %q, headers: {'Content-Type': 'application/json'}, body: %q,
		}).then(async r => ({status: r.status, body: await r.json()}))`, s.bridge+bridgePath+"redeem", credentials, payload)
	answer := read(t, b, "the answer of redeem", chromedp.Evaluate[struct {
		Status int     `json:"status"`
		Body   session `json:"body"`
	}](script, chromedp.EvalAwaitPromise))
	return answer.Status, answer.Body
}

// wantValid asks Supabase whose session it is, and returns the name.
func (s stack) wantValid(t *testing.T, in session) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.supabase+"/auth/v1/user", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Apikey", gotruesim.PublishableKey)
	req.Header.Set("Authorization", "Bearer "+in.AccessToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var user struct {
		ID       string `json:"id"`
		Metadata struct {
			Name string `json:"display_name"`
		} `json:"user_metadata"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&user); err != nil || resp.StatusCode != http.StatusOK ||
		user.ID != in.User.ID {
		t.Errorf("the session is of %q by status %d (%v); want %q", user.ID, resp.StatusCode, err, in.User.ID)
	}
	return user.Metadata.Name
}

// arrived returns the address of the app's page, and its query.
func (b *browser) arrived(t *testing.T) (at string, q url.Values) {
	t.Helper()
	at = b.location(t)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return withoutQuery(at), u.Query()
}

// deeplinks tells when the browser was sent to an app.
func (b *browser) deeplinks(t *testing.T) <-chan string {
	t.Helper()
	followed := make(chan string, 10)
	err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*page.EventFrameRequestedNavigation); ok && strings.HasPrefix(e.URL, "myapp:") {
			followed <- e.URL
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return followed
}

func wantFollowed(t *testing.T, followed <-chan string) {
	t.Helper()
	select {
	case <-followed:
	case <-time.After(10 * time.Second):
		t.Error("the page does not follow the deeplink by itself")
	}
}

// deeplink reads the button of the return page.
func (b *browser) deeplink(t *testing.T) (target string, q url.Values) {
	t.Helper()
	href := read(t, b, "the deeplink", chromedp.AttributeValue(chromedp.CSS("#action"), "href"))
	u, err := url.Parse(href.Value)
	if err != nil {
		t.Fatal(err)
	}
	return withoutQuery(href.Value), u.Query()
}

// wantOnlyComplaint allows what Chromium itself says of a page with an error status.
func (b *browser) wantOnlyComplaint(t *testing.T, allowed string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		if !strings.Contains(c, allowed) {
			t.Errorf("the browser complains: %s", c)
		}
	}
}

// tab opens another tab of the same browser.
func (b *browser) tab(t *testing.T) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	other := &browser{ctx: ctx}
	if err := chromedp.Listen(ctx, other.listen); err != nil {
		t.Fatal(err)
	}
	return other
}

func prefer(scheme string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// TestHostedWeb signs in to an app of another origin, which redeems from its page with the
// verifier that only it has.
func TestHostedWeb(t *testing.T) {
	s, app := startForApp(t)
	b := newBrowser(t, 1280, 800)
	f := s.newFlow("platform", "web", "redirect_to", app+"/in?tab=1&x=%2F")
	b.decide(t, f, "mira", continueButton, "#app")

	at, q := b.arrived(t)
	if at != app+"/in" || q.Get("tab") != "1" || q.Get("x") != "/" {
		t.Errorf("the person lands on %s with %d values; want the page that was asked for, with its query", at, len(q))
	}
	handoff := q.Get("tikbridge_handoff")
	if handoff == "" || len(q) != 3 {
		t.Fatalf("the address has %d values; want the handoff and the page's two", len(q))
	}
	if status, _ := b.redeem(
		t, s, map[string]string{"handoff": handoff, "verifier": strings.Repeat("v", 43)}, "omit",
	); status != http.StatusBadRequest {
		t.Errorf("with another verifier the status is %d; want 400", status)
	}
	status, in := b.redeem(t, s, map[string]string{"handoff": handoff, "verifier": f.verifier}, "omit")
	if status != http.StatusOK {
		t.Fatalf("redeem answers %d", status)
	}
	if name := s.wantValid(t, in); name == "" {
		t.Error("the account has no name")
	}
	if status, _ := b.redeem(
		t, s, map[string]string{"handoff": handoff, "verifier": f.verifier}, "omit",
	); status != http.StatusBadRequest {
		t.Errorf("the second time the status is %d; want 400", status)
	}
	b.wantOnlyComplaint(t, "status of 400")
}

// TestHostedCookie signs in without a verifier: the flow cookie of the browser replaces it,
// where bridge and app are of one site.
func TestHostedCookie(t *testing.T) {
	s, app := startForApp(t)
	b := newBrowser(t, 390, 844)
	b.decide(
		t, s.newFlow("platform", "web", "redirect_to", app+"/in", "challenge", ""), "layla", continueButton, "#app",
	)
	_, q := b.arrived(t)
	body := map[string]string{"handoff": q.Get("tikbridge_handoff")}
	if status, _ := b.redeem(t, s, body, "omit"); status != http.StatusBadRequest {
		t.Errorf("without the cookie the status is %d; want 400", status)
	}
	status, in := b.redeem(t, s, body, "include")
	if status != http.StatusOK {
		t.Fatalf("redeem answers %d", status)
	}
	s.wantValid(t, in)
	b.wantOnlyComplaint(t, "status of 400")
}

// TestHostedNative walks the flow of a wrapped app: its secure browser session ends on a page that
// opens the app, and the app redeems without a browser.
func TestHostedNative(t *testing.T) {
	s := startDev(t)
	b := newBrowser(t, 390, 844)
	followed := b.deeplinks(t)
	f := s.newFlow("platform", "native", "scheme", "myapp")
	b.decide(t, f, "mira", continueButton, "#card[data-view=done] #action")
	target, q := b.deeplink(t)
	if target != "myapp://oauth/auth" || len(q) != 1 {
		t.Errorf("the deeplink opens %q with %d values; want the handoff alone", target, len(q))
	}
	wantFollowed(t, followed)
	if got, want := b.location(t), s.bridge+bridgePath+"callback"; got != want {
		t.Errorf("the address bar holds %q; want %q", got, want)
	}
	if got := read(t, b, "the focus", chromedp.Evaluate[bool](`document.activeElement.id === 'action'`)); !got {
		t.Error("the button has no focus")
	}
	b.wantNoComplaints(t)

	var in session
	body := map[string]string{"handoff": q.Get("tikbridge_handoff"), "verifier": f.verifier}
	post(t, s.bridge+bridgePath+"redeem", body, &in)
	s.wantValid(t, in)

	// What is left of the address says nothing; nobody is sent off once more.
	b.run(t, "reload", chromedp.Reload(), visible("#card[data-view=idle] #action"))
	if got := b.text(t, "#title"); got != "Nothing left to do here" {
		t.Errorf("after a reload the page says %q", got)
	}
	if target, _ := b.deeplink(t); target != s.bridge+"/" {
		t.Errorf("after a reload the button leads to %q; want the start page", target)
	}
	if n := len(followed); n != 0 {
		t.Errorf("after a reload the deeplink was followed %d times", n)
	}
	b.wantOnlyComplaint(t, "status of 400")
}

// isCancelled tells whether an address says that the person said no, and nothing else.
func isCancelled(q url.Values) bool {
	return q.Get("tikbridge_error") == "access_denied" && q.Get("tikbridge_error_description") != "" &&
		q.Get("tikbridge_request_id") != "" && !q.Has("tikbridge_handoff")
}

// TestHostedTabs begins in two tabs of one browser, as two people, and ends in the other order.
func TestHostedTabs(t *testing.T) {
	s, app := startForApp(t)
	one := newBrowser(t, 390, 844)
	two := one.tab(t)
	// Without a verifier, so that each tab needs its own cookie.
	flows := []flow{
		s.newFlow("platform", "web", "redirect_to", app+"/one", "challenge", ""),
		s.newFlow("platform", "web", "redirect_to", app+"/two", "challenge", ""),
	}
	one.run(t, "go to TikTok", chromedp.Navigate(flows[0].start), visible(continueButton))
	two.run(t, "go to TikTok", chromedp.Navigate(flows[1].start), visible(continueButton))
	two.run(t, "agree", click(account("layla")), click(continueButton), visible("#app"))
	one.run(t, "agree", click(account("mira")), click(continueButton), visible("#app"))
	users := map[string]bool{}
	for name, b := range map[string]*browser{"/one": one, "/two": two} {
		at, q := b.arrived(t)
		if at != app+name {
			t.Errorf("the tab shows %q; want %q", at, app+name)
		}
		status, in := b.redeem(t, s, map[string]string{"handoff": q.Get("tikbridge_handoff")}, "include")
		if status != http.StatusOK {
			t.Fatalf("redeem in tab %s answers %d", name, status)
		}
		s.wantValid(t, in)
		users[in.User.ID] = true
		b.wantNoComplaints(t)
	}
	if len(users) != 2 {
		t.Errorf("the two tabs are %d users; want 2", len(users))
	}
}

// TestHostedExplains: where there is no way back to an app, a page says so, without repeating
// anything of the address.
func TestHostedExplains(t *testing.T) {
	s := startDev(t)
	tests := []struct {
		name, address, title string
		cleaned              bool
	}{
		{"broken state", "callback?state=broken<script>alert(1)</script>&code=c", "Sign-in did not work", true},
		{"foreign page", "start?platform=web&redirect_to=https://evil.example/", "Sign-in did not work", false},
		{"bare", "callback", "Nothing left to do here", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, 390, 844)
			b.run(t, "open", chromedp.Navigate(s.bridge+bridgePath+tt.address), visible("#action"))
			if got := b.text(t, "#title"); got != tt.title {
				t.Errorf("the page says %q; want %q", got, tt.title)
			}
			// The script that cleans the address is a module: it runs when the page is parsed.
			b.run(t, "wait for the script", chromedp.Poll[chromedp.Void](`document.readyState === 'complete'`))
			if got := !strings.Contains(b.location(t), "?"); got != tt.cleaned {
				t.Errorf("the address bar holds %q", b.location(t))
			}
			b.run(t, "ask for details", click("#details summary"), visible("#facts"))
			if got := b.text(t, "#facts"); !strings.Contains(got, "invalid_state") &&
				!strings.Contains(got, "redirect_uri_mismatch") {
				t.Errorf("the details are %q; want the code", got)
			}
			b.run(t, "go on", click("#action"), visible("#sign-in"))
			b.wantOnlyComplaint(t, "status of 400")
		})
	}
}

// TestReturnPageWithoutScript: where scripts are off, the page still says what happened and leads on.
func TestReturnPageWithoutScript(t *testing.T) {
	s := startDev(t)
	b := newBrowser(t, 390, 844)
	b.run(t, "switch scripts off", withoutScript)
	b.decide(t, s.newFlow("platform", "native"), "mira", cancelButton, "#action")
	b.run(t, "look for the words", visible("#title"), visible("#text"))
	if got := b.text(t, "#title"); got != "Sign-in cancelled" {
		t.Errorf("the page says %q; want that it was cancelled", got)
	}
	b.picture(t, "return-without-script")
}
