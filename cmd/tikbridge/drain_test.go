package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/process"
)

// TestDrain stops the built binary with SIGTERM while people sign in through a load balancer that looks
// at /readyz. The bridge is not ready first, on both its addresses, and nobody who was let in notices.
func TestDrain(t *testing.T) {
	t.Parallel()
	const redirect = "https://app.example/auth"
	slowly := func(h http.Handler) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			timer := time.NewTimer(30 * time.Millisecond) // so that some are always under way
			defer timer.Stop()
			select {
			case <-timer.C:
				h.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	tt := tiktoksim.New(tiktoksim.Options{ClientKey: "awkey", ClientSecret: canaryClientSecret})
	admin := process.FreeAddresses(t, 1)[0]
	bridge, out, stop := startServe(t, slowly(tt),
		"SUPABASE_URL="+slowly(gotruesim.New(gotruesim.Options{})),
		"SUPABASE_PUBLISHABLE_KEY="+gotruesim.PublishableKey, "SUPABASE_SECRET_KEY="+gotruesim.SecretKey,
		"TIKBRIDGE_SERVER_ADMIN_LISTEN="+admin, "TIKBRIDGE_SERVER_SHUTDOWN_DELAY=4s", "TIKBRIDGE_LOG_LEVEL=info",
	)

	// The load balancer asks over a new connection each time, as probes do.
	probes := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	probe := func(base string) int {
		resp, err := probes.Get(base + "/readyz")
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := probe("http://" + admin); got != http.StatusOK {
		t.Fatalf("/readyz of the admin address is %d before the signal", got)
	}

	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	people := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var ready atomic.Bool
	ready.Store(true)
	var signedIn, afterwards atomic.Int64
	var refusing atomic.Bool // /readyz says 503
	enough := make(chan struct{})
	var reached sync.Once
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := 0; ready.Load(); i++ {
				openID := fmt.Sprintf("-000%032d", worker)
				late := refusing.Load()
				if err := signIn(people, bridge, codeFor(t, tt, openID, redirect), redirect); err != nil {
					t.Errorf("sign-in %d of person %d: %v", i, worker, err)
					return
				}
				if late {
					afterwards.Add(1)
				}
				if signedIn.Add(1) == 40 {
					reached.Do(func() { close(enough) })
				}
			}
		})
	}
	<-enough
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop() // SIGTERM; fails the test if the exit code is not 0
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for probe(bridge) == http.StatusOK {
		<-tick.C
	}
	if public, admin := probe(bridge), probe("http://"+admin); public != http.StatusServiceUnavailable ||
		admin != http.StatusServiceUnavailable {
		t.Errorf("/readyz is %d and, on the admin address, %d; want 503 on both before the bridge is gone",
			public, admin)
	}
	refusing.Store(true)
	for deadline := time.Now().Add(2 * time.Second); afterwards.Load() < 16 && time.Now().Before(deadline); {
		<-tick.C // a load balancer takes a few probes to believe it
	}
	ready.Store(false)
	wg.Wait()
	<-stopped
	const byDoctor = 1 // it tries the credentials when the bridge starts
	if got, want := int64(tt.Exchanges())-byDoctor, signedIn.Load(); got != want {
		t.Errorf("%d codes exchanged for %d sign-ins; want one each", got, want)
	}
	if afterwards.Load() == 0 {
		t.Error("nobody was signed in after /readyz turned 503: the test shows nothing")
	}
	if text := out.String(); !bytes.Contains([]byte(text), []byte(`"msg":"stopped"`)) {
		t.Errorf("the log does not end with stopped:\n%s", text)
	}
}

// codeFor makes a code for a person, without TikTok's consent page.
func codeFor(t *testing.T, tt http.Handler, openID, redirect string) string {
	rec := httptest.NewRecorder()
	tt.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/sim/codes",
		bytes.NewReader(fmt.Appendf(nil, `{"open_id":%q,"redirect_uri":%q}`, openID, redirect))))
	var made struct{ Code string }
	if err := json.Unmarshal(rec.Body.Bytes(), &made); err != nil || made.Code == "" {
		t.Errorf("no code: %s", rec.Body)
	}
	return made.Code
}

func signIn(c *http.Client, bridge, code, redirect string) error {
	resp, err := c.Post(bridge+"/api/auth/tiktok-callback", "application/json",
		bytes.NewReader(fmt.Appendf(nil, `{"code":%q,"redirect_uri":%q}`, code, redirect)))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return nil
}
