package e2e_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// firefox is a running Firefox, driven over WebDriver BiDi. Each tab is in a user context of its own, as
// in an empty profile.
type firefox struct {
	conn *websocket.Conn

	mu      sync.Mutex
	lastID  int
	waiting map[int]chan firefoxAnswer
	tabs    map[string]*firefoxTab // by context
	ended   error                  // why nothing more is read
}

type firefoxAnswer struct {
	ID      int             `json:"id"`
	Method  string          `json:"method"` // of an event
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
}

type firefoxTab struct {
	*firefox
	context string

	mu   sync.Mutex
	said []string
}

// findFirefox returns the name of the program, or nothing. Debian's is the long-lived version.
func findFirefox() string {
	for _, name := range []string{"firefox-esr", "firefox"} {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	return ""
}

func needFirefox(t *testing.T) {
	t.Helper()
	if findFirefox() == "" {
		needPackage(t, "firefox-esr", "firefox-esr")
	}
}

var sharedFirefox = shared(func() (*firefox, error) {
	home := filepath.Join(scratch, "firefox")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, err
	}
	const origin = "http://127.0.0.1"
	program := exec.Command(findFirefox(), "--headless", "--no-remote", "--profile", home,
		"--remote-debugging-port", "0", "--remote-allow-origins", origin)
	program.Env = append(os.Environ(), "HOME="+home)
	stderr, err := program.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := program.Start(); err != nil {
		return nil, err
	}
	lines, drained := bufio.NewScanner(stderr), make(chan struct{})
	address, log := "", &strings.Builder{}
	for address == "" && lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		_, address, _ = strings.Cut(lines.Text(), "WebDriver BiDi listening on ")
	}
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, stderr)
	}()
	stop := func() error {
		<-drained
		return program.Wait()
	}
	if address == "" {
		return nil, errors.Join(fmt.Errorf("firefox does not listen: %s", log), stop())
	}
	f := &firefox{waiting: map[int]chan firefoxAnswer{}, tabs: map[string]*firefoxTab{}}
	if f.conn, err = websocket.Dial(address+"/session", "", origin); err != nil {
		_ = program.Process.Kill()
		return nil, errors.Join(err, stop())
	}
	f.conn.MaxPayloadBytes = 64 << 20 // of pictures
	read := make(chan struct{})
	go func() {
		defer close(read)
		f.read()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stopAtEnd(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.command(ctx, "browser.close", nil, nil); err != nil {
			_ = program.Process.Kill()
		}
		_ = f.conn.Close()
		<-read
		return stop()
	})
	if err := f.command(ctx, "session.new", map[string]any{"capabilities": map[string]any{}}, nil); err != nil {
		return nil, err
	}
	if err := f.command(ctx, "session.subscribe", map[string]any{"events": []string{"log.entryAdded"}}, nil); err != nil {
		return nil, err
	}
	// Of what a policy refuses, the log says nothing by itself.
	return f, f.command(ctx, "script.addPreloadScript", map[string]any{"functionDeclaration": `() =>
		addEventListener('securitypolicyviolation', (e) =>
			console.error('refused by', e.violatedDirective, e.blockedURI))`}, nil)
})

// read hands out answers and events until the connection ends.
func (f *firefox) read() {
	for {
		var answer firefoxAnswer
		err := websocket.JSON.Receive(f.conn, &answer)
		f.mu.Lock()
		if err != nil {
			f.ended = err
			for _, to := range f.waiting {
				close(to)
			}
			f.mu.Unlock()
			return
		}
		if to, ok := f.waiting[answer.ID]; ok {
			delete(f.waiting, answer.ID)
			to <- answer
		}
		if answer.Method == "log.entryAdded" {
			f.note(answer.Params)
		}
		f.mu.Unlock()
	}
}

func (f *firefox) note(params json.RawMessage) {
	var entry struct {
		Level, Text string
		Source      struct{ Context string }
	}
	if json.Unmarshal(params, &entry) != nil || entry.Level != "error" {
		return
	}
	if to, ok := f.tabs[entry.Source.Context]; ok {
		to.mu.Lock()
		defer to.mu.Unlock()
		to.said = append(to.said, entry.Text)
	}
}

func (f *firefox) command(ctx context.Context, method string, params map[string]any, into any) error {
	if params == nil {
		params = map[string]any{}
	}
	to := make(chan firefoxAnswer, 1)
	f.mu.Lock()
	if f.ended != nil {
		f.mu.Unlock()
		return f.ended
	}
	f.lastID++
	id := f.lastID
	f.waiting[id] = to
	f.mu.Unlock()
	if err := websocket.JSON.Send(f.conn, map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return err
	}
	select {
	case answer, ok := <-to:
		switch {
		case !ok:
			return errors.New("firefox has hung up")
		case answer.Error != "":
			return fmt.Errorf("%s: %s: %s", method, answer.Error, answer.Message)
		case into == nil:
			return nil
		}
		return json.Unmarshal(answer.Result, into)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

func newFirefoxTab(t *testing.T, agent string) tab {
	t.Helper()
	b := &firefoxTab{firefox: sharedFirefox(t)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	try := func(method string, params map[string]any, into any) {
		t.Helper()
		if err := b.command(ctx, method, params, into); err != nil {
			t.Fatal(err)
		}
	}
	var user struct{ UserContext string }
	try("browser.createUserContext", nil, &user)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := b.command(ctx, "browser.removeUserContext", map[string]any{"userContext": user.UserContext}, nil)
		if err != nil {
			t.Errorf("close a tab: %v", err)
		}
	})
	var made struct{ Context string }
	try("browsingContext.create", map[string]any{"type": "tab", "userContext": user.UserContext}, &made)
	b.context = made.Context
	b.firefox.mu.Lock()
	b.tabs[b.context] = b
	b.firefox.mu.Unlock()
	try("browsingContext.setViewport", map[string]any{
		"context": b.context, "viewport": map[string]any{"width": 390, "height": 844},
	}, nil)
	if agent != "" {
		try("emulation.setUserAgentOverride", map[string]any{"contexts": []string{b.context}, "userAgent": agent}, nil)
	}
	return b
}

func (b *firefoxTab) open(ctx context.Context, address string) error {
	return b.command(ctx, "browsingContext.navigate", map[string]any{
		"context": b.context, "url": address, "wait": "complete",
	}, nil)
}

func (b *firefoxTab) eval(ctx context.Context, script string) (string, error) {
	var answer struct {
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	err := b.command(ctx, "script.evaluate", map[string]any{
		"expression": script, "awaitPromise": true, "target": map[string]any{"context": b.context},
	}, &answer)
	if err == nil && answer.ExceptionDetails.Text != "" {
		err = errors.New(answer.ExceptionDetails.Text)
	}
	return answer.Result.Value, err
}

func (b *firefoxTab) click(ctx context.Context, selector string) error {
	var found struct{ Nodes []struct{ SharedID string } }
	if err := b.command(ctx, "browsingContext.locateNodes", map[string]any{
		"context": b.context, "locator": map[string]any{"type": "css", "value": selector}, "maxNodeCount": 1,
	}, &found); err != nil {
		return err
	}
	if len(found.Nodes) == 0 {
		return errors.New("firefox found nothing")
	}
	origin := map[string]any{"type": "element", "element": map[string]any{"sharedId": found.Nodes[0].SharedID}}
	return b.command(ctx, "input.performActions", map[string]any{"context": b.context, "actions": []any{map[string]any{
		"type": "pointer", "id": "mouse", "actions": []any{
			map[string]any{"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
			map[string]any{"type": "pointerDown", "button": 0},
			map[string]any{"type": "pointerUp", "button": 0},
		},
	}}}, nil)
}

func (b *firefoxTab) address(ctx context.Context) (string, error) {
	var tree struct{ Contexts []struct{ URL string } }
	err := b.command(ctx, "browsingContext.getTree", map[string]any{"root": b.context}, &tree)
	if err != nil || len(tree.Contexts) == 0 {
		return "", err
	}
	return tree.Contexts[0].URL, nil
}

func (b *firefoxTab) screenshot(ctx context.Context) ([]byte, error) {
	var answer struct{ Data string }
	err := b.command(ctx, "browsingContext.captureScreenshot", map[string]any{"context": b.context}, &answer)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(answer.Data)
}

func (b *firefoxTab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.said...)
}
