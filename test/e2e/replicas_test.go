package e2e_test

import (
	"errors"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/tikbridge/tikbridge/test/process"
)

// startReplicas runs n bridges as in production, with one TikTok and one Supabase behind them, each
// in a process of its own. It returns the base URLs of the bridges.
func startReplicas(t *testing.T, n int, environ ...string) (bridges []string, tiktok, supabase string) {
	t.Helper()
	ports := process.FreeAddresses(t, n+2)
	tiktok, supabase = "http://"+ports[n], "http://"+ports[n+1]
	startProcess(t, nil, tiktok+"/sim/", "simulate", "tiktok", "--listen", ports[n])
	startProcess(t, nil, supabase+"/auth/v1/health", "simulate", "supabase", "--listen", ports[n+1])
	for _, port := range ports[:n] {
		env := append([]string{
			"TIKTOK_CLIENT_KEY=sim_client_key", "TIKTOK_CLIENT_SECRET=sim_client_secret",
			"TIKBRIDGE_TIKTOK_API_URL=" + tiktok, "SUPABASE_URL=" + supabase,
			"SUPABASE_PUBLISHABLE_KEY=sb_publishable_development_only",
			"SUPABASE_SECRET_KEY=sb_secret_development_only",
			"TIKBRIDGE_APP_ORIGINS=https://app.example", "TIKBRIDGE_SERVER_LISTEN=" + port,
			"TIKBRIDGE_RATE_LIMIT_ENABLED=false",
		}, environ...)
		bridge := "http://" + port
		startProcess(t, env, bridge+"/readyz", "serve", "--config", noAdmin(t))
		bridges = append(bridges, bridge)
	}
	return bridges, tiktok, supabase
}

// noAdmin writes a configuration without an admin listener: several replicas share this machine.
func noAdmin(t *testing.T) string {
	t.Helper()
	name := t.TempDir() + "/tikbridge.yaml"
	if err := os.WriteFile(name, []byte("server: {admin_listen: ''}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestReplicas: a hundred sign-ins of one new person at once, spread over three bridges, are a hundred
// sessions of one user; and so are a hundred more.
func TestReplicas(t *testing.T) {
	t.Parallel()
	bridges, tiktok, supabase := startReplicas(t, 3)
	const openID, redirect, crowd = "-000AbCdEfGhIjKlMnOpQrStUvWxYz012345", "https://app.example/auth", 100
	users, sessions := map[string]bool{}, map[string]bool{}
	for round := range 2 {
		ins := make([]session, crowd)
		errs := make([]error, crowd)
		var wg sync.WaitGroup
		for i := range crowd {
			var code struct {
				Code string `json:"code"`
			}
			post(t, tiktok+"/sim/codes", map[string]string{"open_id": openID, "redirect_uri": redirect}, &code)
			wg.Go(func() {
				errs[i] = tryPost(t.Context(), bridges[i%len(bridges)]+"/api/auth/tiktok-callback",
					map[string]string{"code": code.Code, "redirect_uri": redirect}, &ins[i])
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, in := range ins {
			users[in.User.ID], sessions[in.RefreshToken] = true, true
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, supabase+"/auth/v1/user", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Apikey", "sb_publishable_development_only")
			req.Header.Set("Authorization", "Bearer "+in.AccessToken)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("round %d: a session is not valid: status %d", round, resp.StatusCode)
			}
		}
	}
	if len(users) != 1 || len(sessions) != 2*crowd {
		t.Errorf("%d users and %d sessions; want 1 and %d", len(users), len(sessions), 2*crowd)
	}
}
