package main_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// providers is the part of GoTrue's admin API that keeps one custom provider.
type providers struct {
	mu     sync.Mutex
	row    map[string]any // nil: there is none
	writes int
}

// ServeHTTP implements http.Handler.
func (p *providers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := http.StatusOK
	switch {
	case r.Method == http.MethodPost:
		p.row, status = map[string]any{}, http.StatusCreated
	case p.row == nil:
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"code":"custom_provider_not_found","message":"Custom OAuth provider not found"}`))
		return
	}
	if r.Method != http.MethodGet {
		p.writes++
		var sent map[string]any
		_ = json.NewDecoder(r.Body).Decode(&sent)
		delete(sent, "client_secret") // never shown
		maps.Copy(p.row, sent)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p.row)
}

// written returns how many calls changed something.
func (p *providers) written() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writes
}

// disable does what an operator may do in the dashboard.
func (p *providers) disable() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.row["enabled"] = false
}

// TestSupabaseSetup runs the command: it says what it would do, makes the provider, updates it, and finds nothing
// to do.
func TestSupabaseSetup(t *testing.T) {
	t.Parallel()
	admin := new(providers)
	mux := http.NewServeMux()
	mux.Handle("/auth/v1/admin/custom-providers", admin)
	mux.Handle("/auth/v1/admin/custom-providers/custom:tiktok", admin)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	run := func(t *testing.T, wantWrites int, wants []string, args ...string) {
		t.Helper()
		before := admin.written()
		out, err := supabaseCommand(t, srv.URL, append([]string{"setup"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("setup %v: %v\n%s", args, err, out)
		}
		for _, want := range wants {
			if !strings.Contains(string(out), want) {
				t.Errorf("setup %v says %q; want %q", args, out, want)
			}
		}
		if strings.Contains(string(out), "canary") {
			t.Errorf("setup %v says a secret: %s", args, out)
		}
		if n := admin.written() - before; n != wantWrites {
			t.Errorf("setup %v writes %d times; want %d", args, n, wantWrites)
		}
	}
	run(t, 0, []string{"Would create the provider custom:tiktok: issuer https://signin.app.example"}, "--dry-run")
	run(t, 1, []string{
		"Created the provider custom:tiktok: issuer https://signin.app.example, client id supabase.",
		"Redirect URLs", "Set supabase.provider to custom:tiktok", "TIKBRIDGE_SUPABASE_PROVIDER",
	})
	run(t, 1, []string{"The provider custom:tiktok is as it should be. Set its client secret again"})
	admin.disable()
	run(t, 0, []string{"Would update the provider custom:tiktok:\n  enabled: true\n"}, "--dry-run")
	run(t, 1, []string{"Updated the provider custom:tiktok:\n  enabled: true\n"})
}

// TestSupabaseSetupFails: what is missing is named with its variable, before Supabase is asked.
func TestSupabaseSetupFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ set, want string }{
		"no client":    {"TIKBRIDGE_OIDC_SUPABASE_SECRET=", "TIKBRIDGE_OIDC_SUPABASE_SECRET"},
		"nobody there": {"X=", "Check supabase.url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := supabaseCommand(t, "http://127.0.0.1:1", "setup")
			cmd.Env = append(cmd.Env, tt.set)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.want) || strings.Contains(string(out), "canary") {
				t.Errorf("it ends with %v and %q; want %q", err, out, tt.want)
			}
		})
	}
}

// TestSupabaseMigrate prints the SQL with the issuer and the provider of this bridge, and contacts nobody.
func TestSupabaseMigrate(t *testing.T) {
	t.Parallel()
	cmd := supabaseCommand(t, "http://127.0.0.1:1", "migrate")
	cmd.Env = append(cmd.Env, "TIKBRIDGE_SUPABASE_PROVIDER=custom:tiktok2")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"'iss', 'https://signin.app.example'", "select 'custom:tiktok2', open_id, id", "'%@tiktok.oauth'",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the SQL lacks %s:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "canary") {
		t.Error("the SQL holds a secret")
	}
}

// supabaseCommand is tikbridge supabase with a whole configuration.
func supabaseCommand(t *testing.T, url string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(
		t.Context(), filepath.Join(binDir, "tikbridge"), append([]string{"supabase"}, args...)...,
	)
	cmd.Env = []string{
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "TIKTOK_CLIENT_KEY=k", "TIKTOK_CLIENT_SECRET=s",
		"SUPABASE_URL=" + url, "SUPABASE_PUBLISHABLE_KEY=sb_publishable_x", "SUPABASE_SECRET_KEY=sb_secret_canary",
		"TIKBRIDGE_APP_ORIGINS=https://app.example", "TIKBRIDGE_SERVER_PUBLIC_URL=https://signin.app.example",
		"TIKBRIDGE_SEAL_KEYS=canary-0123456789-0123456789-0123",
		"TIKBRIDGE_OIDC_SUPABASE_SECRET=canary-9876543210-9876543210-9876",
	}
	return cmd
}
