package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/telemetry/tracetest"
	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

// startServe runs tikbridge serve at debug level against the upstreams at base, with more variables in
// its environment. It returns the address, the output, and what ends the process.
func startServe(t *testing.T, base string, environ ...string) (string, *output.Buffer, func()) {
	t.Helper()
	var out output.Buffer
	cmd := exec.Command(filepath.Join(binDir, "tikbridge"), "serve")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GORACE=halt_on_error=1",
		"TIKTOK_CLIENT_KEY=awkey", "TIKTOK_CLIENT_SECRET=" + canaryClientSecret,
		"SUPABASE_URL=" + base, "SUPABASE_PUBLISHABLE_KEY=sb_publishable_x", "SUPABASE_SECRET_KEY=" + canarySecretKey,
		"TIKBRIDGE_TIKTOK_API_URL=" + base, "TIKBRIDGE_TIKTOK_TIMEOUT=2s", "TIKBRIDGE_SUPABASE_TIMEOUT=2s",
		"TIKBRIDGE_APP_ORIGINS=https://app.example", "TIKBRIDGE_APP_DEEPLINK_SCHEMES=myapp",
		"TIKBRIDGE_SERVER_LISTEN=127.0.0.1:0", "TIKBRIDGE_SERVER_ADMIN_LISTEN=127.0.0.1:0",
		"TIKBRIDGE_RATE_LIMIT_ENABLED=false", "TIKBRIDGE_LOG_LEVEL=debug", "TIKBRIDGE_SERVER_SHUTDOWN_DELAY=0s",
	}
	cmd.Env = append(cmd.Env, environ...)
	address := make(chan string, 1)
	cmd.Stdout = &out
	cmd.Stderr = io.MultiWriter(&out, process.Lines(func(line []byte) {
		var started struct{ Msg, Listen string }
		if json.Unmarshal(line, &started) == nil && started.Msg == "started" {
			address <- started.Listen
		}
	}))
	serve, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		if err := serve.Stop(); err != nil {
			t.Errorf("tikbridge serve ended with %v; output:\n%s", err, out.String())
		}
	})
	t.Cleanup(stop)
	select {
	case listen := <-address:
		return "http://" + listen, &out, stop
	case <-serve.Exited():
		t.Fatalf("tikbridge serve did not start; output:\n%s", out.String())
		return "", nil, nil
	}
}

// collectorKey is what the bridge shows to the collector of its traces.
const collectorKey = "a-key-of-the-collector-0123456789"

// watched is what a bridge says beside its log and its answers.
type watched struct {
	collector *tracetest.Collector
	admin     string
	// shown is what the admin address answered, by path.
	shown map[string]string
	// call is one that every sign-in makes.
	call string
}

func watch(t *testing.T) *watched {
	t.Helper()
	return &watched{tracetest.New(t), process.FreeAddresses(t, 1)[0], map[string]string{}, "supabase verify"}
}

// environ makes a bridge send its traces to the collector, and tell the rest at the admin address.
func (w *watched) environ() []string {
	return []string{
		"TIKBRIDGE_SERVER_ADMIN_LISTEN=" + w.admin, "OTEL_EXPORTER_OTLP_ENDPOINT=" + w.collector.URL,
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" + collectorKey,
	}
}

// during reads all that the admin address has, while f runs and once more.
func (w *watched) during(t *testing.T, f func()) {
	t.Helper()
	var wg sync.WaitGroup
	over := make(chan struct{})
	wg.Go(func() {
		w.read(t, "/debug/pprof/goroutine?debug=2", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1")
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				w.read(t, "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine")
			}
		}
	})
	f()
	close(over)
	wg.Wait()
	w.read(t, "/metrics", "/readyz", "/debug/pprof/", "/debug/pprof/cmdline")
	for _, profile := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		w.read(t, "/debug/pprof/"+profile, "/debug/pprof/"+profile+"?debug=1")
	}
}

func (w *watched) read(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		resp, err := client.Get("http://" + w.admin + path)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d: %v", path, resp.StatusCode, err)
		}
		if unzipped, err := gzip.NewReader(bytes.NewReader(body)); err == nil { // as profiles are
			if body, err = io.ReadAll(unzipped); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		w.shown[path] += string(body)
	}
}

// wantClean looks for words in what was seen, and for the key of the collector in the log too.
func (w *watched) wantClean(t *testing.T, log string) {
	t.Helper()
	for path, text := range w.shown {
		wantNone(t, path, text, hiddenWord, personsWord, collectorKey)
	}
	wantNone(t, "the output", log, collectorKey)
	traces := w.collector.Text()
	wantNone(t, "the traces", traces, hiddenWord, personsWord)
	for where, has := range map[string][3]string{
		"the traces":  {traces, w.call, "Bearer " + collectorKey},
		"the metrics": {w.shown["/metrics"], "tikbridge_signin_steps_total{", `outcome="ok"`},
		"the goroutines": {
			w.shown["/debug/pprof/goroutine?debug=2"], "net/http.(*conn).serve(", "tikbridge/pkg/server.",
		},
		"the heap":            {w.shown["/debug/pprof/heap?debug=1"], "heap profile:", "# HeapAlloc"},
		"the execution trace": {w.shown["/debug/pprof/trace?seconds=1"], "go 1.", "net/http"},
	} {
		for _, want := range has[1:] {
			if !strings.Contains(has[0], want) {
				t.Errorf("%s have no %q, so that they prove little", where, want)
			}
		}
	}
}
