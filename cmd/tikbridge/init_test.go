//go:build !windows

package main_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

const (
	initSecret = "canary-of-tiktok"
	initKey    = "awcanarykey"
	// otherSecret is what a person enters by mistake. It must not appear either.
	otherSecret = "canary-of-another-app"
)

// initBridge is a folder in which tikbridge init runs, with a simulated TikTok and Supabase.
type initBridge struct {
	*testing.T
	dir      string
	supabase string
	env      []string
}

func newInit(t *testing.T) *initBridge {
	t.Helper()
	tiktok := httptest.NewServer(tiktoksim.New(tiktoksim.Options{ClientKey: initKey, ClientSecret: initSecret}))
	t.Cleanup(tiktok.Close)
	supabase := httptest.NewServer(gotruesim.New(gotruesim.Options{DisableSignup: true}))
	t.Cleanup(supabase.Close)
	dir := t.TempDir()
	return &initBridge{t, dir, supabase.URL, []string{
		"HOME=" + dir, "PATH=" + os.Getenv("PATH"),
		"TIKBRIDGE_TIKTOK_API_URL=" + tiktok.URL, "TIKBRIDGE_TIKTOK_AUTHORIZE_URL=" + tiktok.URL + "/v2/auth/authorize/",
	}}
}

// without is a scripted run, with nothing on standard input.
func (b *initBridge) without(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.Context(), filepath.Join(binDir, "tikbridge"), append([]string{"init"}, args...)...)
	cmd.Dir, cmd.Env = b.dir, b.env
	return cmd
}

// file is what the folder has, by name, with permissions before the content.
func (b *initBridge) files() map[string]string {
	b.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		b.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			b.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(b.dir, entry.Name()))
		if err != nil {
			b.Fatal(err)
		}
		files[entry.Name()] = info.Mode().Perm().String() + "\n" + string(content)
	}
	return files
}

func (b *initBridge) wantFiles(want map[string]string) {
	b.Helper()
	if diff := cmp.Diff(want, b.files()); diff != "" {
		b.Errorf("files (-want +got):\n%s", diff)
	}
}

// wantEnv is the .env that the right answers make.
func (b *initBridge) wantEnv() map[string]string {
	return map[string]string{".env": "-rw-------\n" +
		"# Settings of tikbridge. They hold secrets: keep this file to yourself.\n" +
		"TIKTOK_CLIENT_KEY=" + initKey + "\nTIKTOK_CLIENT_SECRET=" + initSecret + "\n" +
		"SUPABASE_URL=" + b.supabase + "\nSUPABASE_PUBLISHABLE_KEY=" + gotruesim.PublishableKey +
		"\nSUPABASE_SECRET_KEY=" + gotruesim.SecretKey + "\n" +
		"TIKBRIDGE_SERVER_PUBLIC_URL=https://signin.ours.test\n" +
		"TIKBRIDGE_APP_ORIGINS=https://app.ours.test,https://www.ours.test\n" +
		"TIKBRIDGE_APP_DEEPLINK_SCHEMES=oursapp\n" +
		"TIKBRIDGE_SECURITY_GUIDE_FLOW=false\nTIKBRIDGE_SUPABASE_ADOPT=evict\n"}
}

// person sits at a terminal in which tikbridge init runs.
type person struct {
	*initBridge
	cmd    *exec.Cmd
	keys   *os.File
	before *term.State
	mu     sync.Mutex
	screen bytes.Buffer
	seen   int // how much of the screen was read
	more   chan struct{}
	ended  chan error
}

// at starts init in a pseudo-terminal.
func (b *initBridge) at(args ...string) *person {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	b.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(binDir, "tikbridge"), append([]string{"init"}, args...)...)
	cmd.Dir, cmd.Env = b.dir, b.env
	keys, tty, err := pty.Open()
	if err != nil {
		b.Fatal(err)
	}
	before, err := term.GetState(int(keys.Fd()))
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	_ = tty.Close()
	if err != nil {
		b.Fatal(err)
	}
	p := &person{
		initBridge: b, cmd: cmd, keys: keys, before: before, more: make(chan struct{}, 1), ended: make(chan error, 1),
	}
	b.Cleanup(func() { _ = keys.Close() })
	go func() {
		part := make([]byte, 4096)
		for {
			n, err := keys.Read(part) // an error once the last process has left the terminal
			p.mu.Lock()
			p.screen.Write(part[:n])
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
			if err != nil {
				p.ended <- cmd.Wait()
				close(p.more)
				return
			}
		}
	}()
	return p
}

// all is everything that was on the screen.
func (p *person) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.ReplaceAll(p.screen.String(), "\r\n", "\n")
}

// sees waits until the screen shows text after what was seen before.
func (p *person) sees(text string) {
	p.Helper()
	for {
		all := p.all()
		if at := strings.Index(all[p.seen:], text); at >= 0 {
			p.seen += at + len(text)
			return
		}
		if _, open := <-p.more; !open {
			p.Fatalf("the screen never shows %q:\n%s", text, p.all())
		}
	}
}

// answers waits for a prompt and types a line.
func (p *person) answers(prompt, line string) {
	p.Helper()
	p.sees(prompt)
	p.types(line + "\r")
}

func (p *person) types(text string) {
	p.Helper()
	if _, err := p.keys.WriteString(text); err != nil {
		p.Fatal(err)
	}
}

// ends waits for the end. It wants no secret to have been on the screen, and the terminal to be as it was.
func (p *person) ends(wantCode int) {
	p.Helper()
	err := <-p.ended
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if code != wantCode {
		p.Errorf("the exit code is %d (%v); want %d", code, err, wantCode)
	}
	if after, err := term.GetState(int(p.keys.Fd())); err != nil || !reflect.DeepEqual(p.before, after) {
		p.Errorf("the terminal is left in another state: %v, %v; want %v", after, err, p.before)
	}
	all := p.all()
	for _, secret := range []string{initSecret, otherSecret, gotruesim.SecretKey, gotruesim.PublishableKey} {
		if strings.Contains(all, secret) {
			p.Errorf("%s was on the screen", secret)
		}
	}
	if p.Failed() || testing.Verbose() {
		p.Log(all)
	}
}

const (
	promptKey         = "Client key: "
	promptSecret      = "Client secret (hidden): "
	promptURL         = "Project URL: "
	promptPublishable = "legacy anon key (hidden): "
	promptService     = "legacy service_role key (hidden): "
	promptBridge      = "  Bridge: "
	promptApp         = "  App: "
	promptScheme      = "  Scheme: "
	promptGuide       = "Despia's TikTok guide? [y/N]: "
)

// TestInit: right answers make a file that only its owner can read, and the next steps.
func TestInit(t *testing.T) {
	t.Parallel()
	b := newInit(t)
	p := b.at()
	p.answers(promptKey, initKey)
	p.answers(promptSecret, initSecret)
	p.sees("TikTok accepts the client key and secret.")
	p.answers(promptURL, b.supabase+"/")
	p.answers(promptPublishable, gotruesim.PublishableKey)
	p.answers(promptService, gotruesim.SecretKey)
	p.sees("The secret key may manage users.")
	p.answers(promptBridge, "https://signin.ours.test")
	p.answers(promptApp, " https://app.ours.test, https://www.ours.test ")
	p.answers(promptScheme, "oursapp")
	b.wantFiles(map[string]string{}) // before the last answer
	p.answers(promptGuide, "")
	p.sees("Register this redirect URI")
	p.sees("\n  https://signin.ours.test/api/auth/tiktok/callback\n")
	p.sees("tikbridge serve --env-file .env")
	p.ends(0)
	want := b.wantEnv()
	want[".env"] = strings.Replace(want[".env"], b.supabase, b.supabase+"/", 1)
	b.wantFiles(want)

	// serve and the others read the file, and so does a shell.
	check := exec.CommandContext(t.Context(), filepath.Join(binDir, "tikbridge"), "config", "check", "--env-file", ".env")
	check.Dir, check.Env = b.dir, b.env
	if out, err := check.CombinedOutput(); err != nil || !strings.Contains(string(out), "The configuration is complete.") {
		t.Errorf("config check --env-file: %v\n%s", err, out)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", "set -a; . ./.env; set +a; exec tikbridge config check")
	shell.Dir, shell.Env = b.dir, append(b.env, "PATH="+binDir+":"+os.Getenv("PATH"))
	if out, err := shell.CombinedOutput(); err != nil || !strings.Contains(string(out), "The configuration is complete.") {
		t.Errorf("in a shell: %v\n%s", err, out)
	}
}

// TestInit_wrong: a wrong answer is said at once and asked for again, in its form first, then by TikTok and Supabase.
func TestInit_wrong(t *testing.T) {
	t.Parallel()
	b := newInit(t)
	p := b.at()
	p.answers(promptKey, "")
	p.sees("This one is needed.")
	p.answers(promptKey, "your-client-key")
	p.sees("It is a placeholder.")
	p.answers(promptKey, initKey)
	p.answers(promptSecret, `"`+otherSecret+`"`)
	p.sees("It has quotes")
	p.answers(promptSecret, otherSecret+"$")
	p.sees("does not keep")
	p.answers(promptSecret, otherSecret)
	p.sees("(21 characters)")
	p.sees("TikTok refuses the client key and secret")
	p.answers("all the same? [y/N]: ", "")
	p.answers("Enter keeps it. "+promptKey, "")
	p.answers("Enter keeps it. "+promptSecret, initSecret)
	p.sees("TikTok accepts the client key and secret.")

	p.answers(promptURL, "https://supabase.com/dashboard/project/abc")
	p.sees("It is not the address of a project.")
	p.answers(promptURL, b.supabase)
	p.answers(promptPublishable, gotruesim.SecretKey)
	p.sees("It holds a secret key.")
	p.answers(promptPublishable, gotruesim.PublishableKey)
	p.answers(promptService, gotruesim.PublishableKey)
	p.sees("It holds a publishable key")
	p.answers(promptService, "sb_secret_"+otherSecret)
	p.sees("Supabase refuses supabase.secret_key")
	p.answers("all the same? [y/N]: ", "n")
	p.answers("Enter keeps it. Data API > "+promptURL, "")
	p.answers(promptPublishable, "")
	p.answers(promptService, gotruesim.SecretKey)
	p.sees("The secret key may manage users.")

	p.answers(promptBridge, "http://signin.ours.test")
	p.sees("It cannot be used.")
	p.answers(promptBridge, "https://signin.ours.test")
	p.answers(promptApp, "app.ours.test")
	p.sees("It has an entry that cannot be used.")
	p.answers(promptApp, "https://app.ours.test,https://www.ours.test")
	p.answers(promptScheme, "https")
	p.sees("It has an entry that cannot be used.")
	p.answers(promptScheme, "oursapp")
	p.answers(promptGuide, "no")
	p.ends(0)
	b.wantFiles(b.wantEnv())
}

// TestInit_ahead: what is pasted before its prompt is there does not appear, and Ctrl-C is heard while nobody reads.
func TestInit_ahead(t *testing.T) {
	t.Parallel()
	b := newInit(t)
	asked, stop := make(chan struct{}), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-stop
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(stop) })
	b.env = append(b.env, "TIKBRIDGE_TIKTOK_API_URL="+silent.URL)
	p := b.at()
	p.answers(promptKey, initKey+"\r"+initSecret)
	<-asked
	p.types(gotruesim.SecretKey + "\r\x03")
	p.sees("stopped; nothing was written")
	p.ends(130)
	b.wantFiles(map[string]string{})
}

// TestInit_offline: whom nobody can ask is named, and the answers are kept all the same if the person says so.
func TestInit_offline(t *testing.T) {
	t.Parallel()
	b := newInit(t)
	b.env = append(b.env, "TIKBRIDGE_TIKTOK_API_URL=http://127.0.0.1:1", "TIKTOK_CLIENT_KEY="+initKey,
		"TIKTOK_CLIENT_SECRET="+initSecret, "SUPABASE_URL=https://qwertyuiopasdfghjklz.supabase.co",
		"SUPABASE_ANON_KEY="+gotruesim.PublishableKey, "SUPABASE_SECRET_KEY="+gotruesim.SecretKey,
		"TIKBRIDGE_SERVER_PUBLIC_URL=https://signin.ours.test", "TIKBRIDGE_APP_ORIGINS=https://app.ours.test")
	p := b.at()
	p.sees("tiktok.client_secret: given")
	p.sees("TikTok cannot be reached")
	p.types("\x03")
	p.sees("stopped; nothing was written")
	p.ends(130)
	b.wantFiles(map[string]string{})

	p = b.at("--offline")
	p.sees("Not checked with TikTok (--offline).")
	p.sees("Not checked with Supabase (--offline).")
	p.answers(promptScheme, "")
	p.answers(promptGuide, "yes")
	p.sees("Not checked: TikTok, Supabase.")
	p.sees("\n  https://app.ours.test/native-callback\n")
	p.ends(0)
	if env := b.files()[".env"]; strings.Contains(env, "GUIDE_FLOW") || strings.Contains(env, "ADOPT") ||
		!strings.Contains(env, "SUPABASE_PUBLISHABLE_KEY="+gotruesim.PublishableKey+"\n") {
		t.Errorf(".env is\n%s", env)
	}
}

// TestInit_stopped: Ctrl-C and the end of the input leave nothing behind, and the terminal as it was.
func TestInit_stopped(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"Ctrl-C": "\x03", "Ctrl-D": "\x04"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newInit(t)
			for _, atSecret := range []bool{false, true} {
				p := b.at()
				p.sees(promptKey)
				if atSecret {
					p.types(initKey + "\r")
					p.sees(promptSecret)
				}
				p.types(key)
				p.sees("tikbridge: stopped; nothing was written")
				p.ends(130)
				b.wantFiles(map[string]string{})
			}
		})
	}
}

// TestInit_exists: a file that is there stays, unless somebody says otherwise.
func TestInit_exists(t *testing.T) {
	t.Parallel()
	b := newInit(t)
	before := map[string]string{".env": "-rw-r--r--\nMINE=1\n"}
	if err := os.WriteFile(filepath.Join(b.dir, ".env"), []byte("MINE=1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := b.at()
	p.answers(".env exists. Replace it? [y/N]: ", "")
	p.sees(".env exists and was left as it is")
	p.ends(1)
	b.wantFiles(before)

	p = b.at()
	p.answers(".env exists. Replace it? [y/N]: ", "y")
	p.sees(promptKey)
	p.types("\x03")
	p.ends(130)
	b.wantFiles(before)

	if out, err := b.without("--yes").CombinedOutput(); err == nil || !strings.Contains(string(out), "--force") {
		t.Errorf("--yes ends with %v and %s; want it to name --force", err, out)
	}
	b.wantFiles(before)

	cmd := b.without(b.flags("--force")...)
	cmd.Stdin = strings.NewReader(initSecret + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("--force: %v\n%s", err, out)
	}
	b.wantFiles(b.wantEnv())
}

// flags are those of a scripted run, with TikTok's secret on standard input and Supabase's in the environment.
func (b *initBridge) flags(more ...string) []string {
	b.env = append(b.env, "SUPABASE_SERVICE_ROLE_KEY="+gotruesim.SecretKey)
	return append([]string{
		"--tiktok-client-key", initKey, "--tiktok-client-secret-file", "-", "--supabase-url", b.supabase,
		"--supabase-publishable-key", gotruesim.PublishableKey, "--public-url", "https://signin.ours.test",
		"--origins", "https://app.ours.test,https://www.ours.test", "--deeplink-scheme", "oursapp", "--guide=false", "--yes",
	}, more...)
}

// TestInit_scripted runs without a terminal.
func TestInit_scripted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		secret   string
		args     []string
		wantCode int
		want     string // in the output
	}{
		"all given":  {initSecret, nil, 0, "https://signin.ours.test/api/auth/tiktok/callback"},
		"refused":    {otherSecret, nil, 1, "--offline writes them unchecked"},
		"unchecked":  {initSecret, []string{"--offline"}, 0, "Not checked: TikTok, Supabase."},
		"bad form":   {initSecret, []string{"--origins", "app.ours.test"}, 1, "has an entry that cannot be used"},
		"no secret":  {"", nil, 1, "--tiktok-client-secret-file (or TIKTOK_CLIENT_SECRET)"},
		"no folder":  {initSecret, []string{"--output", "missing/.env"}, 1, "no such file or directory"},
		"a folder":   {initSecret, []string{"--output", "."}, 1, "is no regular file"},
		"no file":    {initSecret, []string{"--supabase-secret-key-file", "missing"}, 1, "-secret-key-file: open missing"},
		"two inputs": {initSecret, []string{"--supabase-secret-key-file", "-"}, 1, "standard input holds one secret only"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newInit(t)
			cmd := b.without(b.flags(tt.args...)...)
			cmd.Stdin = strings.NewReader(tt.secret + "\n")
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tt.wantCode || !strings.Contains(string(out), tt.want) {
				t.Errorf("the exit code is %d; want %d and %q in\n%s", code, tt.wantCode, tt.want, out)
			}
			for _, secret := range []string{initSecret, otherSecret, gotruesim.SecretKey} {
				if strings.Contains(string(out), secret) {
					t.Errorf("it says %s", secret)
				}
			}
			if tt.wantCode != 0 {
				b.wantFiles(map[string]string{})
			} else {
				b.wantFiles(b.wantEnv())
			}
		})
	}
}

// TestInit_noTerminal names every flag that stands for a question.
func TestInit_noTerminal(t *testing.T) {
	t.Parallel()
	b := newInit(t)
	out, err := b.without().CombinedOutput()
	want := `tikbridge: there is no terminal to ask in, and these are missing:
  --tiktok-client-key (or TIKTOK_CLIENT_KEY)
  --tiktok-client-secret-file (or TIKTOK_CLIENT_SECRET)
  --supabase-url (or SUPABASE_URL)
  --supabase-publishable-key (or SUPABASE_PUBLISHABLE_KEY)
  --supabase-secret-key-file (or SUPABASE_SECRET_KEY)
  --public-url (or TIKBRIDGE_SERVER_PUBLIC_URL)
  --origins (or TIKBRIDGE_APP_ORIGINS)
`
	if diff := cmp.Diff(want, string(out)); diff != "" || err == nil {
		t.Errorf("it ends with %v and (-want +got):\n%s", err, diff)
	}
	b.wantFiles(map[string]string{})
}
