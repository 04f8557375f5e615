package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

// What all tests of this package share. It is started by the first test that needs it, and stopped when
// all are done: a process or a browser for each test would take most of the time.
var (
	scratch string // a folder
	binary  string // tikbridge

	atEndMu sync.Mutex
	atEnd   []func() error
)

// stopAtEnd says how something shared is stopped. What was started last is stopped first.
func stopAtEnd(stop func() error) {
	atEndMu.Lock()
	defer atEndMu.Unlock()
	atEnd = append(atEnd, stop)
}

// shared returns what start has made, for the first caller and for all later ones.
func shared[T any](start func() (T, error)) func(*testing.T) T {
	once := sync.OnceValues(start)
	return func(t *testing.T) T {
		t.Helper()
		v, err := once()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	complain := func(what string, err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, what, err)
			code = 1
		}
	}
	var err error
	if scratch, err = os.MkdirTemp("", "tikbridge-e2e"); err != nil {
		complain("make a folder:", err)
		return code
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	binary = filepath.Join(scratch, "tikbridge")
	if err := process.Build(binary); err != nil {
		complain("before the tests:", err)
		return code
	}
	code = m.Run()
	for i := len(atEnd) - 1; i >= 0; i-- {
		complain("at the end:", atEnd[i]())
	}
	return code
}

// stack is a running tikbridge dev.
type stack struct {
	bridge, tiktok, supabase string // base URLs
	log                      *output.Buffer
}

// startDev returns the tikbridge dev that tests share. It accepts the apps of startForApp and startSDK.
func startDev(t *testing.T) stack {
	t.Helper()
	if composed != nil {
		return composed.demo
	}
	return devStack(t).stack
}

// devStack runs tikbridge dev, an empty app, and the app of the SDK's tests with its front.
var devStack = shared(func() (*sdkStack, error) {
	s := &sdkStack{}
	empty, err := serveShared(http.HandlerFunc(emptyApp))
	if err != nil {
		return nil, err
	}
	app, err := serveShared(http.HandlerFunc(s.serveApp))
	if err != nil {
		return nil, err
	}
	if s.equipped, err = serveShared(http.HandlerFunc(s.serveApp)); err != nil {
		return nil, err
	}
	s.empty, s.app = empty, app
	s.stack, err = runDev(
		"TIKBRIDGE_APP_ORIGINS="+empty+","+app+","+s.equipped, "TIKBRIDGE_TIKTOK_RETURN_TOKENS=true",
	)
	if err != nil {
		return nil, err
	}
	s.front = newFront(s.bridge)
	if s.front.url, err = serveShared(s.front); err != nil {
		return nil, err
	}
	s.gotrue = newFakeGoTrue()
	s.gotrue.url, err = serveShared(s.gotrue)
	return s, err
})

// serveShared serves h until all tests are done, and returns its base URL.
func serveShared(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	stopAtEnd(func() error {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return "http://" + l.Addr().String(), nil
}

// runDev runs tikbridge dev on free ports until all tests are done.
func runDev(environ ...string) (stack, error) {
	return runDevWith([]string{"--provider=false"}, environ...)
}

// runDevWith is runDev with other flags.
func runDevWith(flags []string, environ ...string) (stack, error) {
	ports, err := process.FindAddresses(3)
	if err != nil {
		return stack{}, err
	}
	s := stack{"http://" + ports[0], "http://" + ports[1], "http://" + ports[2], &output.Buffer{}}
	stop, err := launch(s.log, environ, append(
		[]string{"dev", "--listen", ports[0], "--tiktok-listen", ports[1], "--supabase-listen", ports[2]}, flags...,
	)...)
	if err != nil {
		return stack{}, err
	}
	stopAtEnd(stop)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, url := range []string{s.bridge + "/readyz", s.tiktok + "/sim/", s.supabase + "/auth/v1/health"} {
		if err := awaitAnswer(ctx, url); err != nil {
			return stack{}, fmt.Errorf("%w; log:\n%s", err, s.log)
		}
	}
	return s, nil
}

// launch runs the built binary. stop ends it, and returns an error if it does not end well.
func launch(log io.Writer, environ []string, args ...string) (stop func() error, err error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(
		append(withoutSettings(os.Environ()), "GORACE=halt_on_error=1", "TIKBRIDGE_SERVER_SHUTDOWN_DELAY=0s"),
		environ...,
	)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := process.Start(cmd)
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := p.Stop(); err != nil {
			return fmt.Errorf("tikbridge %s ended with %w; log:\n%s", args[0], err, log)
		}
		return nil
	}, nil
}

// startProcess runs the built binary until the test ends, and waits until it answers.
func startProcess(t *testing.T, environ []string, probe string, args ...string) {
	t.Helper()
	log := &output.Buffer{}
	stop, err := launch(log, environ, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	await(t, probe, log)
}

// await waits until something answers at url; log is of what should.
func await(t *testing.T, url string, log *output.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := awaitAnswer(ctx, url); err != nil {
		t.Fatalf("%v; log:\n%s", err, log)
	}
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

// awaitAnswer waits until something answers at url.
func awaitAnswer(ctx context.Context, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer", url)
		}
	}
}
