package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

// TestSDK_npm: somebody adds the npm package to a fresh Vite app, as people do, and signs in.
func TestSDK_npm(t *testing.T) {
	t.Parallel()
	needChromium(t)
	needTools(t, "node", "npm")
	dir := t.TempDir()
	app := filepath.Join(dir, "my-app")
	npm := func(in string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "npm", args...)
		cmd.Dir = in
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	addresses := process.FreeAddresses(t, 1)
	host := "http://" + addresses[0]
	s, err := runDev("TIKBRIDGE_APP_ORIGINS=" + host)
	if err != nil {
		t.Fatal(err)
	}

	sdk, err := filepath.Abs(filepath.Dir(sdkModule))
	if err != nil {
		t.Fatal(err)
	}
	npm(sdk, "pack", "--pack-destination", dir)
	packed, err := filepath.Glob(filepath.Join(dir, "tikbridge-sdk-*.tgz"))
	if err != nil || len(packed) != 1 {
		t.Fatalf("npm pack made %v: %v", packed, err)
	}

	npm(dir, "create", "vite@9.3.0", "--yes", "my-app", "--", "--template", "react", "--no-interactive")
	npm(app, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
		"@supabase/supabase-js@2.119.0", packed[0])
	_, component, _ := strings.Cut(string(readFile(t, "../../README.md")), "\n```jsx\n")
	component, _, _ = strings.Cut(component, "\n```\n")
	component = strings.NewReplacer(
		"./tikbridge.js", "@tikbridge/sdk", "http://127.0.0.1:8080", s.bridge, "http://127.0.0.1:8082", s.supabase,
	).Replace(component)
	if err := os.WriteFile(filepath.Join(app, "src", "App.jsx"), []byte(component), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &output.Buffer{}
	_, port, _ := strings.Cut(addresses[0], ":")
	// npm run dev, without npm: it would not hand on the signal.
	vite := exec.Command("node", "node_modules/vite/bin/vite.js", "--host", "127.0.0.1", "--port", port, "--strictPort")
	vite.Dir, vite.Stdout, vite.Stderr = app, log, log
	p, err := process.Start(vite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() }) // Vite ends by the signal
	await(t, host, log)

	b := newPage(t)
	b.run(t, "open the app", chromedp.Navigate(host), click(signInButton))
	b.agree(t, "mira")
	b.until(t, "document.querySelector('#message')?.textContent === 'Hello, Mira Sommer'")
	b.wantNoComplaints(t)
}
