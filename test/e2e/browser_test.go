package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

type step = chromedp.Action[chromedp.Void]

// browser is a tab of the shared headless Chromium, in an empty profile of its own. It notes what pages
// complain about.
type browser struct {
	ctx context.Context
	mu  sync.Mutex
	// complaints are script errors, refused requests and violations of the content security policy, other
	// than those that are expected.
	complaints []string
	expected   []string // parts of them
}

// chromium is the browser that tests share; each has a profile of its own in it.
var chromium = shared(func() (context.Context, error) {
	profile := filepath.Join(scratch, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findChromium()),
		chromedp.NoSandbox, // CI runs as root, where Chromium has no sandbox
		chromedp.DisableGPU,
		chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(ctx)
	stopAtEnd(func() error {
		stop()
		stopAllocator()
		return nil
	})
	return ctx, chromedp.Do(ctx)
})

// findChromium returns the program's path, or nothing. The headless shell is the same engine without the
// rest of a browser, whose windows cost several times as much.
func findChromium() string {
	for _, name := range []string{"chromium-headless-shell", "chromium"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func needChromium(t *testing.T) {
	t.Helper()
	if findChromium() == "" {
		t.Skip("chromium-headless-shell is not installed; make setup says how to get it")
	}
}

// newBrowser opens a window of that size, or skips the test where there is no Chromium.
func newBrowser(t *testing.T, width, height int64) *browser {
	t.Helper()
	needChromium(t)
	ctx, cancel := context.WithTimeout(chromium(t), 3*time.Minute)
	t.Cleanup(cancel)
	b := &browser{}
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Listen(b.ctx, b.listen); err != nil {
		t.Fatalf("open a window: %v", err)
	}
	b.run(t, "size the window", chromedp.EmulateViewport(width, height))
	return b
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			b.complaints = append(b.complaints, "console.error")
		}
	case *log.EventEntryAdded:
		// Headless Chromium itself reports that nothing handles the app's deeplink.
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "myapp:") &&
			!slices.ContainsFunc(b.expected, func(part string) bool { return strings.Contains(e.Entry.Text, part) }) {
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	}
}

// run does the steps; on a failure it says where the browser was.
func (b *browser) run(t *testing.T, what string, steps ...step) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		at, _ := chromedp.Run(b.ctx, chromedp.Location())
		text, _ := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
		t.Fatalf("%s: %v\nat %s\n%s", what, err, withoutQuery(at), text)
	}
}

// read returns what an action finds.
func read[T any](t *testing.T, b *browser, what string, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("read %s: %v", what, err)
	}
	return v
}

func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	return strings.TrimSpace(read(t, b, selector, chromedp.Text(chromedp.CSS(selector))))
}

func (b *browser) location(t *testing.T) string {
	t.Helper()
	return read(t, b, "the address bar", chromedp.Location())
}

// picture keeps a screenshot when E2E_PICTURES names a folder, to be looked at.
func (b *browser) picture(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("E2E_PICTURES")
	if dir == "" {
		return
	}
	png := read(t, b, "the screen", chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *browser) wantNoComplaints(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		t.Errorf("the browser complains: %s", c)
	}
}

// expect allows complaints that have part in them: those of Chromium itself about a status that is wanted.
func (b *browser) expect(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, part)
}

func withoutQuery(s string) string {
	path, _, _ := strings.Cut(s, "?")
	return path
}

// visible waits for an element to be seen.
func visible(selector string) step { return chromedp.WaitVisible(chromedp.CSS(selector)) }

// click waits until an element that is seen can be pressed, and does it.
func click(selector string) step {
	return chromedp.Click(chromedp.CSS(selector), chromedp.NodeEnabled)
}

const (
	continueButton = `button[name=decision][value=continue]`
	cancelButton   = `button[name=decision][value=cancel]`
)

func account(slug string) string { return fmt.Sprintf(`input[name=account][value=%q]`, slug) }

// TestDemo signs in by clicking through the demo app, refreshes, reloads, and signs out, on a phone
// and on a desktop, by the hosted and the guide flow: always the same person.
func TestDemo(t *testing.T) {
	s := startDev(t)
	for name, size := range map[string][2]int64{"phone": {390, 844}, "desktop": {1280, 800}} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, size[0], size[1])
			b.run(t, "open the demo", chromedp.Navigate(s.bridge), visible("#sign-in"))
			if isShown(t, b, "#tab-provider") {
				t.Error("there is a tab for the provider flow, but TikTok is no provider here")
			}
			b.picture(t, name+"-1-start")
			b.run(t, "go to TikTok", click("#sign-in"), visible(continueButton))
			b.picture(t, name+"-2-consent")
			b.run(t, "agree", click(account("mira")), click(continueButton), visible("#signed-in"))

			if got := b.text(t, "#name"); got == "" {
				t.Error("the demo shows no name")
			}
			userID := b.text(t, "#user-id")
			if len(userID) != 36 {
				t.Errorf("user id is %q; want a UUID", userID)
			}
			if got := b.text(t, "#email"); !strings.HasSuffix(got, "@tiktok.oauth") {
				t.Errorf("e-mail is %q; want one @tiktok.oauth", got)
			}
			b.wantSteps(t, s, "handoff", "accepted the access token")
			b.picture(t, name+"-3-signed-in")

			b.run(t, "refresh", click("#refresh"), visible("#notice"))
			b.run(t, "reload", chromedp.Reload(), visible("#signed-in"))
			if got := b.text(t, "#user-id"); got != userID {
				t.Errorf("after a refresh the user id is %q; want %q", got, userID)
			}
			b.run(t, "sign out", click("#sign-out"), visible("#sign-in"))
			b.run(t, "reload", chromedp.Reload(), visible("#sign-in"))

			// TikTok remembers the consent, so the same person comes back at once.
			b.run(t, "sign in by the guide flow", click("#tab-guide"), click("#sign-in"), visible("#signed-in"))
			if got := b.text(t, "#user-id"); got != userID {
				t.Errorf("by the guide flow the user id is %q; want %q", got, userID)
			}
			b.wantSteps(t, s, "/auth", "accepted the access token")
			b.wantNoComplaints(t)
		})
	}
}

// wantSteps checks that the demo has said these things in this order, and that the address is clean.
func (b *browser) wantSteps(t *testing.T, s stack, parts ...string) {
	t.Helper()
	told := b.text(t, "#steps")
	for _, part := range parts {
		var found bool
		if _, told, found = strings.Cut(told, part); !found {
			t.Errorf("the steps lack %q, or have it too early:\n%s", part, b.text(t, "#steps"))
		}
	}
	if got := b.location(t); got != s.bridge+"/" {
		t.Errorf("the address bar holds %q; want nothing but the start page", got)
	}
}

func isShown(t *testing.T, b *browser, selector string) bool {
	t.Helper()
	script := fmt.Sprintf("document.querySelector(%q).checkVisibility()", selector)
	return read(t, b, selector, chromedp.Evaluate[bool](script))
}

// demoStack is tikbridge dev as it starts by itself, with an app's name and TikTok's tokens.
var demoStack = shared(func() (stack, error) {
	return runDevWith(nil,
		"TIKBRIDGE_APP_NAME=Bloom", "TIKBRIDGE_TIKTOK_RETURN_TOKENS=true",
		"TIKBRIDGE_TIKTOK_SCOPES=user.info.basic,video.list")
})

// TestDemoProvider signs the same person in by all three flows, where TikTok is a provider of Supabase. The session
// of the hosted flow comes with TikTok's token, and the call that the demo shows for it lists the person's videos.
func TestDemoProvider(t *testing.T) {
	s := demoStack(t)
	b := newBrowser(t, 390, 844)
	b.run(t, "open the demo", chromedp.Navigate(s.bridge), visible("#tab-provider"))
	signIn := func(flow string, steps []string, consent ...step) (userID string) {
		t.Helper()
		b.run(t, flow+" flow", append(append([]step{click("#tab-" + flow), click("#sign-in")}, consent...),
			visible("#signed-in"))...)
		b.wantSteps(t, s, append(steps, "accepted the access token")...)
		return b.text(t, "#user-id")
	}
	signOut := func() {
		t.Helper()
		b.run(t, "sign out", click("#sign-out"), visible("#sign-in"))
	}
	first := signIn("provider", []string{"Supabase sent you to the bridge", "ID token", "exchangeCodeForSession"},
		click(continueButton))
	signOut()
	second := signIn("hosted", []string{"verifier", "handoff", "setSession"})
	wantVideos(t, b)
	signOut()
	third := signIn("guide", []string{"random state", "/auth", "setSession"})
	signOut()
	if len(first) != 36 || second != first || third != first {
		t.Errorf("user ids are %q, %q and %q; want the same", first, second, third)
	}
	b.wantNoComplaints(t)
}

// wantVideos runs the command that the demo shows, as a developer would.
func wantVideos(t *testing.T, b *browser) {
	t.Helper()
	b.run(t, "copy the call", visible("#video-call"),
		chromedp.Evaluate[chromedp.Void]("navigator.clipboard.writeText = async (text) => { window.copied = text }"),
		click("#copy"))
	command := read(t, b, "what is copied", chromedp.Evaluate[string]("window.copied"))
	t.Run("videos", func(t *testing.T) {
		if _, err := exec.LookPath("curl"); err != nil {
			t.Skip("curl is not installed")
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command).Output()
		if err != nil || !strings.Contains(string(out), `"share_url"`) {
			t.Errorf("the call of TikTok's API answers %q (%v); want videos", out, err)
		}
	})
}

// TestDemoPreview goes the way of a wrapped app's secure browser by each flow, up to the page that opens the app.
func TestDemoPreview(t *testing.T) {
	s := demoStack(t)
	for flow, parameter := range map[string]string{
		"hosted": "tikbridge_handoff=", "provider": "code=", "guide": "access_token=",
	} {
		t.Run(flow, func(t *testing.T) {
			b := newBrowser(t, 390, 844)
			b.run(t, "preview", chromedp.Navigate(s.bridge), click("#tab-"+flow), click("#preview"),
				visible(continueButton), click(continueButton), visible("#card[data-view=done] #action"))
			href := read(t, b, "the deeplink", chromedp.AttributeValue(chromedp.CSS("#action"), "href"))
			if !strings.HasPrefix(href.Value, "myapp://oauth/auth?") || !strings.Contains(href.Value, parameter) {
				t.Errorf("the button opens %q; want the app, with %s", withoutQuery(href.Value), parameter)
			}
			if got := b.text(t, ".brand"); got != "Bloom" {
				t.Errorf("the page is of %q; want the app's name", got)
			}
			b.run(t, "come back", chromedp.Navigate(s.bridge), visible("#sign-in"))
			b.wantSteps(t, s, "secure browser", "came back from the preview")
			b.wantNoComplaints(t)
		})
	}
}

// TestDemoCancel declines at TikTok: the person is told, and has a way on.
func TestDemoCancel(t *testing.T) {
	s := startDev(t)
	b := newBrowser(t, 390, 844)
	b.run(t, "go to TikTok", chromedp.Navigate(s.bridge), visible("#sign-in"), click("#sign-in"), visible(cancelButton))
	b.run(t, "cancel", click(cancelButton), visible("#notice"))
	if got := b.text(t, "#notice"); !strings.HasPrefix(got, "Sign-in cancelled") {
		t.Errorf("the demo says %q; want that it was cancelled", got)
	}
	b.wantSteps(t, s, "verifier", "said no")

	b.run(t, "go to TikTok", click("#tab-guide"), click("#sign-in"), visible(cancelButton))
	b.run(t, "cancel", click(cancelButton), visible(`#card[data-view=idle] #action`))
	if got := b.text(t, "#title"); got != "Sign-in cancelled" {
		t.Errorf("the page says %q; want that it was cancelled", got)
	}
	b.picture(t, "cancelled")
	if got := b.location(t); got != s.bridge+"/auth" {
		t.Errorf("the address bar holds %q; want no query", got)
	}
	b.run(t, "go on", click("#action"), visible("#sign-in"))
	b.wantSteps(t, s, "nobody was signed in")
	b.wantNoComplaints(t)
}

// TestDemoNames shows whatever people call themselves as text.
func TestDemoNames(t *testing.T) {
	s := startDev(t)
	const name = `<img src=x onerror=alert(1)> שלום 🎈`
	b := newBrowser(t, 390, 844)
	b.run(
		t, "go to TikTok", chromedp.Navigate(s.bridge), visible("#sign-in"), click("#sign-in"), visible(continueButton),
	)
	b.run(t, "type a name", click(account("other")), chromedp.SendKeys(chromedp.CSS(`input[name=display_name]`), name),
		click(continueButton), visible("#signed-in"))
	if got := b.text(t, "#name"); got != name {
		t.Errorf("the name is shown as %q; want %q", got, name)
	}
	b.picture(t, "names")
	b.wantNoComplaints(t)
}

// TestNativeCallback walks the native flow as the secure browser session of a wrapped app does, up
// to the deeplink that closes it.
func TestNativeCallback(t *testing.T) {
	s := startDev(t)
	authorize := func(state string) string {
		return s.tiktok + "/v2/auth/authorize/?" + url.Values{
			"client_key":        {"sim_client_key"},
			"response_type":     {"code"},
			"scope":             {"user.info.basic"},
			"redirect_uri":      {s.bridge + "/native-callback"},
			"state":             {state},
			"disable_auto_auth": {"1"},
		}.Encode()
	}
	deeplink := func(t *testing.T, b *browser) *url.URL {
		t.Helper()
		b.run(t, "wait for the deeplink", visible("#action"))
		href := read(t, b, "the deeplink", chromedp.AttributeValue(chromedp.CSS("#action"), "href"))
		u, err := url.Parse(href.Value)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	tests := []struct {
		name, state, button string
		wantTarget          string
		wantError           string // "" for a session
	}{
		{"signed in", "0b5c|myapp", continueButton, "myapp://oauth/auth", ""},
		{"no scheme in the state", "0b5c", continueButton, "myapp://oauth/auth", ""},
		{"the state of Despia's helper", "0b5c|myapp|eyJsIjoxfQ", continueButton, "myapp://oauth/auth", ""},
		{"cancelled", "0b5c|myapp", cancelButton, "myapp://oauth/auth", "access_denied"},
		{"a scheme of somebody else", "0b5c|evil", continueButton, "myapp://oauth/auth", "scheme_not_allowed"},
		{"script for a scheme", "0b5c|javascript", continueButton, "myapp://oauth/auth", "scheme_not_allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, 390, 844)
			b.run(
				t, "consent", chromedp.Navigate(authorize(tt.state)), visible(tt.button), click(account("layla")),
				click(tt.button),
			)
			link := deeplink(t, b)
			b.picture(t, "native-"+strings.ReplaceAll(tt.name, " ", "-"))
			if got := withoutQuery(link.String()); got != tt.wantTarget {
				t.Errorf("the deeplink opens %q; want %q", got, tt.wantTarget)
			}
			q := link.Query()
			if got := q.Get("error"); got != tt.wantError {
				t.Errorf("error is %q; want %q", got, tt.wantError)
			}
			if signedIn := q.Get("access_token") != "" &&
				q.Get("refresh_token") != ""; signedIn != (tt.wantError == "") {
				t.Errorf("the deeplink carries a session: %v; want %v", signedIn, !signedIn)
			}
			if got := b.location(t); got != s.bridge+"/native-callback" {
				t.Errorf("the address bar holds %q; want no code in it", got)
			}
			b.wantNoComplaints(t)
		})
	}
}

// TestDeeplinkArrives is the other end of the native flow: the web view lands on /auth with tokens.
func TestDeeplinkArrives(t *testing.T) {
	s := startDev(t)
	session := s.signIn(t)
	b := newBrowser(t, 390, 844)
	b.run(t, "follow the deeplink", chromedp.Navigate(s.bridge+"/auth?"+url.Values{
		"access_token":  {session.AccessToken},
		"refresh_token": {session.RefreshToken},
	}.Encode()), visible("#signed-in"))
	if got := b.text(t, "#user-id"); got != session.User.ID {
		t.Errorf("signed in as %q; want %q", got, session.User.ID)
	}
	if got := b.location(t); strings.Contains(got, "token") {
		t.Errorf("the address bar still holds %q", got)
	}
	b.wantNoComplaints(t)
}
