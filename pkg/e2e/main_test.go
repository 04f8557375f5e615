package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tikbridge-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "tikbridge")
	build := exec.Command("go", "build", "-race", "-o", binary, "../../cmd/tikbridge")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build tikbridge:", err)
		return 1
	}
	return m.Run()
}

// stack is a running tikbridge dev.
type stack struct {
	bridge, tiktok, supabase string // base URLs
	log                      *safeBuffer
}

// safeBuffer is a strings.Builder that a process and a test share.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startDev runs a bridge with its demo app, and stops it when the test ends.
func startDev(t *testing.T) stack {
	t.Helper()
	if composed != nil {
		return composed.demo
	}
	return runDev(t)
}

// startBridgeFor runs a bridge for an app of newApp's, and stops it when the test ends.
func startBridgeFor(t *testing.T, app string) stack {
	t.Helper()
	if composed != nil {
		return composed.bridge
	}
	return runDev(t, "TIKBRIDGE_APP_ORIGINS="+app)
}

// runDev runs tikbridge dev on free ports until the test ends.
func runDev(t *testing.T, environ ...string) stack {
	t.Helper()
	ports := freePorts(t, 3)
	s := stack{"http://" + ports[0], "http://" + ports[1], "http://" + ports[2], nil}
	s.log = startProcess(t, environ, s.bridge+"/readyz", "dev",
		"--listen", ports[0], "--tiktok-listen", ports[1], "--supabase-listen", ports[2])
	for _, url := range []string{s.tiktok + "/sim/", s.supabase + "/auth/v1/health"} {
		await(t, url, s.log)
	}
	return s
}

// withoutSettings keeps a developer's own Supabase out of the tests.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "TIKBRIDGE_") && !strings.HasPrefix(entry, "SUPABASE_") &&
			!strings.HasPrefix(entry, "TIKTOK_") && !strings.HasPrefix(entry, "PORT=") {
			kept = append(kept, entry)
		}
	}
	return kept
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all stay open until all are found, so that they differ
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

func await(t *testing.T, url string, log fmt.Stringer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not answer; log:\n%s", url, log)
		}
	}
}
