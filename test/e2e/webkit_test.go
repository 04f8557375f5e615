package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

// webkitTab is WebKitGTK's MiniBrowser, driven over W3C WebDriver. WebKitWebDriver has one session, so
// each tab brings its own.
type webkitTab struct {
	session string // the base URL of its commands
	output  *output.Buffer
}

func needWebKit(t *testing.T) {
	t.Helper()
	needPackage(t, "WebKitWebDriver", "webkit2gtk-driver")
	needPackage(t, "Xvfb", "xvfb")
	if findMiniBrowser() == "" {
		t.Skip("MiniBrowser is not installed: it is in Debian's package libwebkit2gtk-4.1-0")
	}
}

func findMiniBrowser() string {
	for _, pattern := range []string{"/usr/lib/*/webkit2gtk-4.*/MiniBrowser", "/usr/libexec/webkit2gtk-4.*/MiniBrowser"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}

// newDisplay returns a screen that nobody sees, for a browser that has no headless mode: WebKit draws
// nothing in a window that another one covers.
func newDisplay(t *testing.T) string {
	t.Helper()
	name, number, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = name.Close() }()
	xvfb := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "800x1000x24", "-nolisten", "tcp")
	xvfb.ExtraFiles = []*os.File{number}
	err = xvfb.Start()
	_ = number.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopProcess(xvfb) })
	line, err := io.ReadAll(io.LimitReader(name, 8)) // up to the end: Xvfb closes it
	if err != nil || len(line) == 0 {
		t.Fatalf("Xvfb names no display: %v", err)
	}
	return ":" + strings.TrimSpace(string(line))
}

// stopProcess ends a program, and all that it has started in a group of its own.
func stopProcess(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if cmd.SysProcAttr != nil && cmd.SysProcAttr.Setpgid {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	_ = cmd.Wait()
}

func newWebKitTab(t *testing.T, agent string) tab {
	t.Helper()
	address := process.FreeAddresses(t, 1)[0]
	w := &webkitTab{output: &output.Buffer{}}
	driver := exec.Command("WebKitWebDriver", "--port="+address[strings.LastIndex(address, ":")+1:])
	driver.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	driver.Stdout, driver.Stderr = w.output, w.output
	driver.WaitDelay = 10 * time.Second // its children write there, too
	home := t.TempDir()
	driver.Env = append(os.Environ(), "DISPLAY="+newDisplay(t),
		"HOME="+home, "XDG_DATA_HOME="+home, "XDG_CACHE_HOME="+home,
		"GDK_BACKEND=x11", "NO_AT_BRIDGE=1")
	if os.Getenv("E2E_PICTURES") == "" {
		driver.Env = append(driver.Env, "WEBKIT_DISABLE_COMPOSITING_MODE=1") // is faster, and takes no screenshots
	}
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopProcess(driver) })
	await(t, "http://"+address+"/status", w.output)

	args := []string{"--automation"}
	if agent != "" {
		args = append(args, "--user-agent="+agent)
	}
	var made struct {
		SessionID string `json:"sessionId"`
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.session = "http://" + address + "/session"
	if err := w.command(ctx, "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"webkitgtk:browserOptions": map[string]any{"binary": findMiniBrowser(), "args": args},
	}}}, &made); err != nil {
		t.Fatalf("start MiniBrowser: %v\n%s", err, w.output)
	}
	w.session += "/" + made.SessionID
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = w.send(ctx, http.MethodDelete, "", nil, nil)
	})
	if err := w.command(ctx, "/window/rect", map[string]any{"width": 390, "height": 844}, nil); err != nil {
		t.Fatalf("size the window: %v", err)
	}
	return w
}

// command posts one.
func (w *webkitTab) command(ctx context.Context, path string, parameters map[string]any, into any) error {
	return w.send(ctx, http.MethodPost, path, parameters, into)
}

func (w *webkitTab) send(ctx context.Context, method, path string, parameters map[string]any, into any) error {
	payload, err := json.Marshal(parameters)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, w.session+path, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("WebDriver answers %d: %s", resp.StatusCode, answer.Value)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, into)
}

func (w *webkitTab) open(ctx context.Context, address string) error {
	return w.command(ctx, "/url", map[string]any{"url": address}, nil)
}

func (w *webkitTab) eval(ctx context.Context, script string) (string, error) {
	var answer struct{ Value, Error string }
	err := w.command(ctx, "/execute/async", map[string]any{
		"script": script + ".then((Value) => arguments[0]({ Value }), (error) => arguments[0]({ Error: String(error) }))",
		"args":   []any{},
	}, &answer)
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return answer.Value, err
}

func (w *webkitTab) click(ctx context.Context, selector string) error {
	var found map[string]string
	if err := w.command(ctx, "/element", map[string]any{"using": "css selector", "value": selector}, &found); err != nil {
		return err
	}
	for _, id := range found {
		return w.command(ctx, "/element/"+id+"/click", map[string]any{}, nil)
	}
	return errors.New("WebDriver found nothing")
}

func (w *webkitTab) address(ctx context.Context) (string, error) {
	var address string
	err := w.send(ctx, http.MethodGet, "/url", nil, &address)
	return address, err
}

func (w *webkitTab) screenshot(ctx context.Context) ([]byte, error) {
	var encoded string
	if err := w.send(ctx, http.MethodGet, "/screenshot", nil, &encoded); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(encoded)
}
