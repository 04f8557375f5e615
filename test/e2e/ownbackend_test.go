package e2e_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

const backendExamples = "../../static/examples/backend"

// ownBackend is an example backend that runs, and a bridge that asks it.
type ownBackend struct {
	stack
	t       *testing.T
	url     string // of the backend
	app     string // base URL of an app on another origin
	command func() *exec.Cmd
	running *process.Process
	log     *output.Buffer // of the backend
}

// examplesOf are the example backends; each returns how it is run.
var examplesOf = map[string]func(*testing.T) []string{
	"express": func(t *testing.T) []string {
		npm := npmInstall(t)
		// Node.js looks for packages in the folders above the script.
		script := filepath.Join(npm, "backend-express.mjs")
		if err := os.WriteFile(script, readFile(t, backendExamples+"/express/server.js"), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"node", script}
	},
	"go": func(t *testing.T) []string {
		program := filepath.Join(t.TempDir(), "backend")
		build := exec.Command("go", "build", "-o", program, "./"+backendExamples+"/go")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		return []string{program}
	},
}

// startOwnBackend runs an example beside a bridge without any Supabase.
func startOwnBackend(t *testing.T, command []string) *ownBackend {
	t.Helper()
	addresses := process.FreeAddresses(t, 4)
	host, port, _ := strings.Cut(addresses[0], ":")
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text()))
	b := &ownBackend{t: t, url: "http://" + addresses[0], log: &output.Buffer{}}
	b.command = func() *exec.Cmd {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = append(os.Environ(),
			"BACKEND_SECRET="+secret, "BLOCKED="+tiktoksim.OpenIDTwinA, "HOST="+host, "PORT="+port)
		cmd.Stdout, cmd.Stderr = b.log, b.log
		return cmd
	}
	app := httptest.NewServer(http.HandlerFunc(b.serveApp))
	t.Cleanup(app.Close)
	b.app = app.URL
	b.start()
	t.Cleanup(func() { _ = b.running.Stop() })

	b.stack = stack{bridge: "http://" + addresses[1], tiktok: "http://" + addresses[2]}
	startProcess(t, []string{
		"TIKBRIDGE_ACCOUNTS=backend", "TIKBRIDGE_BACKEND_URL=" + b.url + "/tiktok", "TIKBRIDGE_BACKEND_SECRET=" + secret,
		"TIKBRIDGE_WEBHOOK_URL=" + b.url + "/tiktok", "TIKBRIDGE_APP_ORIGINS=" + b.app,
		"TIKBRIDGE_TIKTOK_RETURN_TOKENS=true",
	}, b.bridge+"/readyz", "dev",
		"--listen", addresses[1], "--tiktok-listen", addresses[2], "--supabase-listen", addresses[3])
	return b
}

func (b *ownBackend) start() {
	b.t.Helper()
	var err error
	if b.running, err = process.Start(b.command()); err != nil {
		b.t.Fatal(err)
	}
	await(b.t, b.url+"/me", b.log)
}

// serveApp is an app without supabase-js.
func (b *ownBackend) serveApp(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><link rel="icon" href="data:,"><script type="module">
		import { createTikTokSignIn } from '%[1]s/sdk/tikbridge.js'
		window.results = []
		window.tiktok = createTikTokSignIn({ bridgeUrl: '%[1]s', setSession: async (session) => { window.taken = session } })
		tiktok.onResult((result) => results.push(result))
		await tiktok.handleRedirect()
		window.ready = true
	</script>`, b.bridge)
}

// ownSession is what the examples answer.
type ownSession struct {
	AccessToken     string `json:"access_token"`
	ProviderToken   string `json:"provider_token"`
	ProviderRefresh string `json:"provider_refresh_token"`
	User            struct{ ID, Name string }
	Error           string
}

// ask sends JSON and reads a session or an error.
func (b *ownBackend) ask(path string, body any) (int, ownSession) {
	b.t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.Post(b.bridge+path, "application/json", strings.NewReader(string(payload)))
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, readOwn(b.t, resp)
}

func readOwn(t *testing.T, resp *http.Response) ownSession {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var in ownSession
	if err := json.Unmarshal(content, &in); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	return in
}

// code is TikTok's for a page of the guide flow.
func (b *ownBackend) code(openID, page string) string {
	b.t.Helper()
	var code struct{ Code string }
	post(b.t, b.tiktok+"/sim/codes", map[string]string{"open_id": openID, "redirect_uri": b.bridge + page}, &code)
	return code.Code
}

func (b *ownBackend) guide(openID string) (int, ownSession) {
	b.t.Helper()
	return b.ask("/api/auth/tiktok-callback", map[string]string{
		"code": b.code(openID, "/auth"), "redirect_uri": b.bridge + "/auth",
	})
}

// hosted goes through the hosted flow without a browser.
func (b *ownBackend) hosted(openID string) (int, ownSession) {
	b.t.Helper()
	var ignored any
	post(b.t, b.tiktok+"/sim/next", map[string]string{"result": "grant", "open_id": openID}, &ignored)
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	at := b.bridge + "/api/auth/tiktok/start?" + url.Values{
		"platform": {"web"}, "redirect_to": {b.app + "/"}, "challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}.Encode()
	for range 3 { // to TikTok, to the callback, to the app
		at = b.redirect(at)
	}
	u, err := url.Parse(at)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.ask("/api/auth/tiktok/redeem", map[string]string{
		"handoff": u.Query().Get("tikbridge_handoff"), "verifier": verifier,
	})
}

// redirect returns where an address leads.
func (b *ownBackend) redirect(address string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	to, err := resp.Location()
	if err != nil {
		b.t.Fatalf("%s: status %d, %v", withoutQuery(address), resp.StatusCode, err)
	}
	return to.String()
}

// wantFreshTokens lets the bridge refresh TikTok's tokens, for which it asks the backend whose session it is.
func (b *ownBackend) wantFreshTokens(in ownSession) {
	b.t.Helper()
	ask := func(accessToken string) (int, ownSession) {
		req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.bridge+"/api/auth/tiktok/token",
			strings.NewReader(fmt.Sprintf(`{"provider_refresh_token":%q}`, in.ProviderRefresh)))
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+accessToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.t.Fatal(err)
		}
		return resp.StatusCode, readOwn(b.t, resp)
	}
	if status, refused := ask("somebody-elses"); status != http.StatusForbidden || refused.Error != "access_denied" {
		b.t.Errorf("without their session: %d %q; want 403 access_denied", status, refused.Error)
	}
	if status, fresh := ask(in.AccessToken); status != http.StatusOK || fresh.ProviderToken == "" ||
		fresh.ProviderToken == in.ProviderToken {
		b.t.Errorf("refreshing answers %d %q, a new token: %t", status, fresh.Error, fresh.ProviderToken != in.ProviderToken)
	}
}

// wantRemovalTold lets TikTok tell that the person took the app's access away, and the backend end the session.
func (b *ownBackend) wantRemovalTold(in ownSession) {
	b.t.Helper()
	var ignored any
	post(b.t, b.tiktok+"/sim/webhooks", map[string]string{"url": b.bridge + "/api/auth/tiktok/webhook"}, &ignored)
	post(b.t, b.tiktok+"/sim/webhooks/send", map[string]string{"open_id": tiktoksim.OpenIDMira}, &ignored)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for b.me(in) == http.StatusOK {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("the backend does not hear that access was taken away; its log:\n%s", b.log)
		}
	}
}

// wantUser asks the backend whose session it is.
func (b *ownBackend) wantUser(status int, in ownSession, name string) {
	b.t.Helper()
	if me := b.me(in); status != http.StatusOK || me != http.StatusOK || in.User.Name != name || in.ProviderToken == "" {
		b.t.Errorf("status %d, error %q, user %+v, with TikTok's token: %t; /me has status %d",
			status, in.Error, in.User, in.ProviderToken != "", me)
	}
}

// me is the status that the backend answers to a session.
func (b *ownBackend) me(in ownSession) int {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/me", http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+in.AccessToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = readOwn(b.t, resp)
	return resp.StatusCode
}

// TestOwnBackend signs people in with the example backends, unchanged, and no Supabase anywhere.
func TestOwnBackend(t *testing.T) {
	t.Parallel()
	for name, example := range examplesOf {
		t.Run(name, func(t *testing.T) {
			b := startOwnBackend(t, example(t))
			status, first := b.guide(tiktoksim.OpenIDMira)
			b.wantUser(status, first, "Mira Sommer")
			status, again := b.hosted(tiktoksim.OpenIDMira)
			b.wantUser(status, again, "Mira Sommer")
			if first.User.ID != again.User.ID || first.AccessToken == again.AccessToken {
				t.Errorf("the guide flow reaches %+v, the hosted flow %+v; want one user, two sessions", first.User, again.User)
			}
			for flow, signIn := range map[string]func(string) (int, ownSession){"guide": b.guide, "hosted": b.hosted} {
				if status, refused := signIn(tiktoksim.OpenIDTwinA); status != 403 || refused.Error != "sign_in_refused" {
					t.Errorf("%s: somebody blocked gets %d %q; want 403 sign_in_refused", flow, status, refused.Error)
				}
			}
			b.wantFreshTokens(again)
			b.wantRemovalTold(again)
			if err := b.running.Stop(); err != nil {
				t.Errorf("the backend ended with %v; log:\n%s", err, b.log)
			}
			if status, down := b.guide(tiktoksim.OpenIDMira); status != 503 || down.Error != "backend_unavailable" {
				t.Errorf("without a backend: %d %q; want 503 backend_unavailable", status, down.Error)
			}
			b.start()
			status, back := b.guide(tiktoksim.OpenIDMira)
			b.wantUser(status, back, "Mira Sommer")
		})
	}
}

// TestOwnBackend_browser wants the SDK and the pages of the guide to take sessions of any form.
func TestOwnBackend_browser(t *testing.T) {
	b := startOwnBackend(t, examplesOf["go"](t))
	t.Run("SDK", func(t *testing.T) {
		d := newDevice(t, false)
		d.open(t, b.app)
		eval[chromedp.Void](t, d, "void tiktok.signIn()")
		d.consent(t)
		d.wantStatuses(t, "signed_in")
		if got := eval[string](t, d, "taken.user.name"); got != "Mira Sommer" {
			t.Errorf("setSession gets a session of %q", got)
		}
		d.wantNoComplaints(t)
	})
	t.Run("page auth", func(t *testing.T) {
		d := newDevice(t, false)
		page := b.bridge + "/auth?code="
		d.run(t, "come back from TikTok", chromedp.Navigate(page+url.QueryEscape(b.code(tiktoksim.OpenIDMira, "/auth"))))
		d.until(t, "sessionStorage.getItem('tikbridge.session')")
		got := eval[string](t, d, "JSON.parse(sessionStorage.getItem('tikbridge.session')).user.name")
		if got != "Mira Sommer" {
			t.Errorf("the page has a session of %q", got)
		}
	})
	t.Run("page native-callback", func(t *testing.T) {
		d := newDevice(t, false)
		page := b.bridge + "/native-callback?state=id%7Cmyapp&code="
		code := url.QueryEscape(b.code(tiktoksim.OpenIDMira, "/native-callback"))
		d.run(t, "come back from TikTok", chromedp.Navigate(page+code))
		d.until(t, "document.querySelector('a[href^=\"myapp://oauth/auth?access_token=\"]')")
	})
}
