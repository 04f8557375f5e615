package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

// composed is the stack of docker-compose.yml while TestCompose runs: the tests of flows then use it
// instead of starting simulators.
var composed *compose

// compose is a running docker-compose.yml, beside whatever else runs on this machine: under a name and
// on ports of its own.
type compose struct {
	project, image string
	env            []string
	app            string // host:port, where the tests' own app may listen
	bridge, demo   stack
	database       string
}

// TestCompose brings up docker-compose.yml from nothing, proves it, and takes it down again. It is slow
// and needs Docker, so it runs where TIKBRIDGE_INTEGRATION is set: make integration.
func TestCompose(t *testing.T) {
	if os.Getenv("TIKBRIDGE_INTEGRATION") == "" {
		t.Skip("TIKBRIDGE_INTEGRATION is not set; make integration sets it")
	}
	c := startCompose(t)
	composed = c
	t.Cleanup(func() { composed = nil })

	t.Run("Image", c.testImage)
	t.Run("Keys", c.testKeys)
	t.Run("ClientIPs", c.testClientIPs)
	t.Run("Contract", c.testContract)
	t.Run("Provider", c.testProvider)
	for _, flow := range []struct {
		name string
		test func(*testing.T)
	}{
		{"Demo", TestDemo},
		{"DemoCancel", TestDemoCancel},
		{"NativeCallback", TestNativeCallback},
		{"DeeplinkArrives", TestDeeplinkArrives},
		{"HostedWeb", TestHostedWeb},
		{"HostedCookie", TestHostedCookie},
		{"HostedNative", TestHostedNative},
		{"HostedTabs", TestHostedTabs},
		{"SDK", TestSDK_web},
		{"SDKNative", TestSDK_native},
		{"SupabaseJS", TestSupabaseJS},
	} {
		t.Run(flow.name, flow.test)
	}
	t.Run("Scale", c.testScale)
}

// startCompose builds the image and waits until everything is healthy. At the end of the test nothing
// of it is left.
func startCompose(t *testing.T) *compose {
	t.Helper()
	addresses := process.FreeAddresses(t, 7)
	ports := make([]string, len(addresses))
	for i, address := range addresses {
		_, ports[i], _ = strings.Cut(address, ":")
	}
	at := func(port string) string { return "http://127.0.0.1:" + port }
	const project = "tikbridge-integration"
	c := &compose{
		project: project, image: project + ":test",
		app:      addresses[6],
		bridge:   stack{at(ports[0]), at(ports[1]), at(ports[2]), &output.Buffer{}},
		demo:     stack{at(ports[3]), at(ports[4]), at(ports[2]), &output.Buffer{}},
		database: "postgres://supabase_admin:postgres@127.0.0.1:" + ports[5] + "/postgres",
	}
	c.env = append(withoutSettings(os.Environ()),
		"TIKBRIDGE_IMAGE="+c.image, "VERSION=v0.0.0-integration", "REVISION=none",
		"BRIDGE_PORT="+ports[0], "TIKTOK_PORT="+ports[1], "SUPABASE_PORT="+ports[2],
		"DEMO_PORT="+ports[3], "DEMO_TIKTOK_PORT="+ports[4], "DB_PORT="+ports[5],
		"TIKBRIDGE_APP_ORIGINS=http://"+c.app,
	)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := c.docker(context.Background(), "logs", "--no-color", "--tail", "60")
			t.Logf("logs of the stack:\n%s", logs)
		}
		c.stop(t)
	})

	// Ctrl-C ends a test without its cleanup.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	t.Cleanup(func() {
		signal.Stop(interrupted)
		close(interrupted)
	})
	go func() {
		if _, ok := <-interrupted; ok {
			out, err := c.down(context.Background())
			fmt.Fprintln(os.Stderr, out, err)
			os.Exit(1)
		}
	}()

	// A run that was killed may have left something.
	if out, err := c.down(t.Context()); err != nil {
		t.Fatalf("docker compose down: %v\n%s", err, out)
	}
	c.up(t, "--build")
	return c
}

// up starts what is not running, and waits until all of it is healthy.
func (c *compose) up(t *testing.T, flags ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := append([]string{"up", "--wait", "--wait-timeout", "300"}, flags...)
	if out, err := c.docker(ctx, args...); err != nil {
		t.Fatalf("docker compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// down removes containers, volumes and networks.
func (c *compose) down(ctx context.Context) (string, error) {
	return c.docker(ctx, "--profile", "scale", "down", "--volumes", "--remove-orphans")
}

// stop takes the stack down and looks for anything it left.
func (c *compose) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if out, err := c.down(ctx); err != nil {
		t.Errorf("docker compose down: %v\n%s", err, out)
	}
	mine := "label=com.docker.compose.project=" + c.project
	for what, args := range map[string][]string{
		"containers": {"ps", "--all", "--quiet", "--filter", mine},
		"volumes":    {"volume", "ls", "--quiet", "--filter", mine},
		"networks":   {"network", "ls", "--quiet", "--filter", mine},
	} {
		out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s are left (%v): %s", what, err, out)
		}
	}
	if out, err := exec.CommandContext(ctx, "docker", "image", "rm", c.image).CombinedOutput(); err != nil {
		t.Errorf("remove the image: %v\n%s", err, out)
	}
}

// docker runs docker compose on the stack. A developer's .env stays out of it.
func (c *compose) docker(ctx context.Context, args ...string) (string, error) {
	args = append(
		[]string{"compose", "--project-directory", "../..", "--project-name", c.project, "--env-file", os.DevNull},
		args...,
	)
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// inspect reads what Docker knows of the container of a service.
func (c *compose) inspect(t *testing.T, service string, into any) {
	t.Helper()
	out, err := exec.CommandContext(
		t.Context(), "docker", "inspect", "--format", "{{json .}}", c.project+"-"+service+"-1",
	).Output()
	if err != nil {
		t.Fatalf("docker inspect %s: %v", service, err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatal(err)
	}
}

// testImage looks at the bridge as it runs: not root, nothing to write to, healthy by its own word.
func (c *compose) testImage(t *testing.T) {
	var bridge struct {
		Config struct {
			User   string
			Labels map[string]string
		}
		HostConfig struct{ ReadonlyRootfs bool }
		State      struct{ Health struct{ Status string } }
	}
	c.inspect(t, "bridge", &bridge)
	if bridge.Config.User != "65532:65532" || !bridge.HostConfig.ReadonlyRootfs ||
		bridge.State.Health.Status != "healthy" {
		t.Errorf("the bridge runs as %q, read-only %v, %s",
			bridge.Config.User, bridge.HostConfig.ReadonlyRootfs, bridge.State.Health.Status)
	}
	if got := bridge.Config.Labels["org.opencontainers.image.version"]; got != "v0.0.0-integration" {
		t.Errorf("the image's version is %q", got)
	}
	run := func(args ...string) (string, error) {
		args = append(
			[]string{"run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", c.image}, args...,
		)
		out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("version"); err != nil || out != "tikbridge v0.0.0-integration\n" {
		t.Errorf("version: %q, %v", out, err)
	}
	if out, err := run("healthcheck", "--url", "http://127.0.0.1:8080/readyz"); err == nil {
		t.Errorf("where nothing runs the health check says it is healthy: %q", out)
	}
}

// ask sends a request and returns the status and the answer.
func ask(t *testing.T, method, address, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

// testKeys: the gateway asks for a key as Supabase's does, exchanges the new ones, and passes sessions
// and JWTs on.
func (c *compose) testKeys(t *testing.T) {
	var gateway struct {
		Config struct{ Env []string }
	}
	c.inspect(t, "gateway", &gateway)
	env := map[string]string{}
	for _, entry := range gateway.Config.Env {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	anon, service := env["SUPABASE_ANON_KEY"], env["SUPABASE_SERVICE_ROLE_KEY"]
	const public, secret = gotruesim.PublishableKey, gotruesim.SecretKey
	in := c.bridge.signIn(t)
	tests := []struct {
		name, path string
		header     []string
		want       int
		body       string
	}{
		{"none", "/settings", nil, 401, "No API key found"},
		{"unknown", "/settings", []string{"apikey", "sb_publishable_other"}, 401, "Invalid API key"},
		{"other case", "/settings", []string{"apikey", strings.ToUpper(public)}, 401, "Invalid API key"},
		{"publishable", "/settings", []string{"apikey", public}, 200, "external"},
		{"publishable in the address", "/settings?apikey=" + public, nil, 200, "external"},
		{"publishable is no admin", "/admin/users", []string{"apikey", public}, 403, "not_admin"},
		{"secret", "/admin/users", []string{"apikey", secret}, 200, "users"},
		{"secret twice", "/admin/users", []string{"apikey", secret, "Authorization", "Bearer " + secret}, 200, "users"},
		{
			"secret from a browser", "/admin/users",
			[]string{"apikey", secret, "User-Agent", "Mozilla/5.0"},
			401,
			"Forbidden use",
		},
		{"JWT alone", "/admin/users", []string{"apikey", service}, 401, "no_authorization"},
		{"JWT", "/admin/users", []string{"apikey", service, "Authorization", "Bearer " + service}, 200, "users"},
		{
			"anon JWT is no admin", "/admin/users",
			[]string{"apikey", anon, "Authorization", "Bearer " + anon},
			403,
			"not_admin",
		},
		{"session", "/user", []string{"apikey", public, "Authorization", "Bearer " + in.AccessToken}, 200, in.User.ID},
		{
			"session under the secret key", "/user",
			[]string{"apikey", secret, "Authorization", "Bearer " + in.AccessToken},
			200, in.User.ID,
		},
		{"open route", "/verify?type=magiclink", nil, 400, "validation_failed"},
		{"other service", "/../../rest/v1/", []string{"apikey", public}, 404, "no Route"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := ask(t, http.MethodGet, c.bridge.supabase+"/auth/v1"+tt.path, "", tt.header...)
			if status != tt.want || !strings.Contains(body, tt.body) {
				t.Errorf("status %d: %s; want %d and %q", status, body, tt.want, tt.body)
			}
		})
	}
}

// testClientIPs: GoTrue's limit counts by client IP, and only a holder of the secret key
// says which one that is.
func (c *compose) testClientIPs(t *testing.T) {
	const clientIP, other, burst = "203.0.113.7", "203.0.113.8", 30
	verify := func(key, clientIP string) int {
		status, _ := ask(t, http.MethodPost, c.bridge.supabase+"/auth/v1/verify", `{"type":"magiclink","token_hash":"none"}`,
			"apikey", key, "Sb-Forwarded-For", clientIP)
		return status
	}
	for range burst {
		verify(gotruesim.SecretKey, clientIP)
	}
	if got := verify(gotruesim.SecretKey, clientIP); got != http.StatusTooManyRequests {
		t.Errorf("sign-in %d of one client IP has status %d; want 429", burst+1, got)
	}
	if got := verify(gotruesim.SecretKey, other); got == http.StatusTooManyRequests {
		t.Error("another client IP is limited as well")
	}
	if got := verify(gotruesim.PublishableKey, clientIP); got == http.StatusTooManyRequests {
		t.Error("whoever has the publishable key can use up the limit of somebody else")
	}
	// The bridge forwards the client IP.
	for from, want := range map[string]int{clientIP: http.StatusTooManyRequests, other: http.StatusOK} {
		redirect := c.bridge.bridge + "/auth"
		var code struct {
			Code string `json:"code"`
		}
		post(
			t, c.bridge.tiktok+"/sim/codes",
			map[string]string{"open_id": tiktoksim.OpenIDMira, "redirect_uri": redirect}, &code,
		)
		payload, err := json.Marshal(map[string]string{"code": code.Code, "redirect_uri": redirect})
		if err != nil {
			t.Fatal(err)
		}
		status, body := ask(t, http.MethodPost, c.bridge.bridge+"/api/auth/tiktok-callback", string(payload),
			"Content-Type", "application/json", "X-Forwarded-For", from)
		if status != want {
			t.Errorf("a sign-in from %s has status %d: %.200s; want %d", from, status, body, want)
		}
	}
}

// testContract runs the contract suite of pkg/supabase against the real GoTrue.
func (c *compose) testContract(t *testing.T) {
	cmd := exec.CommandContext(
		t.Context(), "go", "test", "-race", "-count=1", "-v", "-timeout", "20m", "../../pkg/supabase",
	)
	cmd.Env = append(os.Environ(),
		"TIKBRIDGE_CONTRACT_URL="+c.bridge.supabase+"/auth/v1",
		"TIKBRIDGE_CONTRACT_SERVICE_KEY="+gotruesim.SecretKey,
		"TIKBRIDGE_CONTRACT_ANON_KEY="+gotruesim.PublishableKey)
	if _, err := exec.LookPath("psql"); err == nil {
		cmd.Env = append(cmd.Env, "TIKBRIDGE_CONTRACT_DATABASE_URL="+c.database)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	passed := 0
	for line := range strings.Lines(string(out)) {
		switch real := strings.Contains(line, "/real_GoTrue"); {
		case real && strings.Contains(line, "--- PASS"):
			passed++
		case strings.Contains(line, "--- SKIP"):
			t.Log(strings.TrimSpace(line))
		}
	}
	if passed == 0 {
		t.Fatalf("no test of the suite ran against the real GoTrue:\n%s", out)
	}
	t.Logf("%d tests passed against the real GoTrue", passed)
}
