package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// needTools skips a test on a machine that lacks what it runs.
func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; make setup says how to get it", tool)
		}
	}
}

// TestSupabaseJS hands a session of the bridge to the client that apps use, and lets a server of the
// app use the same client with the secret key.
func TestSupabaseJS(t *testing.T) {
	dir := npmInstall(t)
	script := filepath.Join(dir, "supabase.mjs") // Node.js looks for packages beside it
	if err := os.WriteFile(script, readFile(t, "js/supabase.mjs"), 0o600); err != nil {
		t.Fatal(err)
	}

	s := startDev(t)
	input, err := json.Marshal(map[string]any{
		"url": s.supabase, "publishableKey": gotruesim.PublishableKey, "secretKey": gotruesim.SecretKey,
		"session": s.rawSignIn(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", script)
	node.Stdin = bytes.NewReader(input)
	var complaints bytes.Buffer // supabase-js warns of old versions of Node.js there
	node.Stderr = &complaints
	out, err := node.Output()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("node supabase.mjs: %v, %q; want ok\n%s\nlog:\n%s", err, out, &complaints, s.log)
	}
}

// rawSignIn returns a session exactly as the bridge sends it.
func (s stack) rawSignIn(t *testing.T) json.RawMessage {
	t.Helper()
	var code struct {
		Code string `json:"code"`
	}
	redirect := s.bridge + "/auth"
	post(t, s.tiktok+"/sim/codes", map[string]string{
		"open_id": "-000ZyXwVuTsRqPoNmLkJiHgFeDcBa543210", "display_name": "Ada", "redirect_uri": redirect,
	}, &code)
	var session json.RawMessage
	post(
		t, s.bridge+"/api/auth/tiktok-callback", map[string]string{"code": code.Code, "redirect_uri": redirect},
		&session,
	)
	return session
}

// TestPackageLock checks that the lock files name versions and their hashes, and no registry: npm
// takes the one that a machine is set up for.
func TestPackageLock(t *testing.T) {
	for _, dir := range []string{"js", "oidc-clients"} {
		t.Run(dir, func(t *testing.T) { wantLocked(t, dir) })
	}
}

func wantLocked(t *testing.T, dir string) {
	t.Helper()
	var manifest struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	var lock struct {
		Packages map[string]struct {
			Version   string `json:"version"`
			Resolved  string `json:"resolved"`
			Integrity string `json:"integrity"`
		} `json:"packages"`
	}
	for name, into := range map[string]any{"package.json": &manifest, "package-lock.json": &lock} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "package-lock.json" && bytes.Contains(content, []byte("://")) {
			t.Errorf("%s holds an address", name)
		}
	}
	for name, p := range lock.Packages {
		if name != "" && (p.Resolved != "" || !strings.HasPrefix(p.Integrity, "sha512-")) {
			t.Errorf("%s is resolved to %q with the hash %q; want no address and a hash", name, p.Resolved, p.Integrity)
		}
	}
	for name, version := range manifest.Dependencies {
		version = version[strings.LastIndex(version, "@")+1:] // of an alias, "npm:name@version"
		if got := lock.Packages["node_modules/"+name].Version; got != version {
			t.Errorf("%s is asked for in version %q and locked to %q; want one exact version", name, version, got)
		}
	}
}
