package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestProbes(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{})
	probe := func(h http.Handler, path string) (int, string) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return rec.Code, rec.Body.String()
	}
	for name, h := range map[string]http.Handler{"public": b.Server, "admin": b.Admin()} {
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, body := probe(h, path); status != http.StatusOK || body != "ok\n" {
				t.Errorf("%s %s: %d %q; want 200 ok", name, path, status, body)
			}
		}
	}
	b.Drain()
	for name, h := range map[string]http.Handler{"public": b.Server, "admin": b.Admin()} {
		if status, body := probe(h, "/healthz"); status != http.StatusOK {
			t.Errorf("%s /healthz while draining: %d %q; want 200", name, status, body)
		}
		if status, body := probe(h, "/readyz"); status != http.StatusServiceUnavailable || body != "stopping\n" {
			t.Errorf("%s /readyz while draining: %d %q; want 503 stopping", name, status, body)
		}
	}
	// Whoever comes all the same is signed in, and does not come again over this connection.
	resp := b.post(t, goodBody)
	wantStatus(t, resp, http.StatusOK)
	if got := resp.Header.Get("Connection"); got != "close" {
		t.Errorf("Connection is %q while draining; want close", got)
	}
}

// slowTikTok answers when it is told to. It reports who came and what became of their context.
type slowTikTok struct {
	entered, release chan struct{}
	ended            chan error // what the context said, if it ended first
}

func newSlowTikTok() slowTikTok {
	return slowTikTok{make(chan struct{}), make(chan struct{}), make(chan error, 1)}
}

func (s slowTikTok) people() people {
	return people{exchange: func(ctx context.Context, _ signin.Grant) (signin.Identity, error) {
		s.entered <- struct{}{}
		select {
		case <-s.release:
			return signin.Identity{OpenID: "-000open"}, nil
		case <-ctx.Done():
			s.ended <- ctx.Err()
			return signin.Identity{}, ctx.Err()
		}
	}}
}

// answer is what a request over pipes came to.
type answer struct {
	status int
	err    error
}

// send posts the exchange and gives its answer later.
func send(c *http.Client) <-chan answer {
	out := make(chan answer, 1)
	go func() {
		resp, err := c.Post("http://bridge"+exchangePath, "application/json", strings.NewReader(goodBody))
		if err != nil {
			out <- answer{err: err}
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		out <- answer{resp.StatusCode, errors.Join(err, resp.Body.Close())}
	}()
	return out
}

// TestServe_grace has a TikTok that never answers: after the grace the connection is cut.
func TestServe_grace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		l, tiktok := newPipes(), newSlowTikTok()
		r := startServing(t, l, newBridge(t, tiktok.people()), 3*time.Second, &log)
		got := send(l.client())
		<-tiktok.entered

		stopped := time.Now()
		r.stop()
		if err := <-r.ended; err != nil {
			t.Errorf("the server ended with %v; want nil", err)
		}
		if took := time.Since(stopped); took != 3*time.Second {
			t.Errorf("the server ended after %s; want 3s", took)
		}
		if a := <-got; a.err == nil {
			t.Errorf("the request got %d; want that its connection was cut", a.status)
		}
		if err := <-tiktok.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the call to TikTok ended with %v; want context canceled", err)
		}
		if !strings.Contains(log.String(), `"level":"WARN","msg":"connections cut off`) {
			t.Errorf("log is %q; want a warning", log.String())
		}
	})
}

func TestServe_idle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startServing(t, newPipes(), newBridge(t, people{}), time.Hour, io.Discard)
		synctest.Wait()
		start := time.Now()
		r.stop()
		if err := <-r.ended; err != nil || time.Since(start) != 0 {
			t.Errorf("a server with nothing to do ended with %v after %s; want nil at once", err, time.Since(start))
		}
	})
}

func TestServe_listenerFails(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	r := startServing(t, l, newBridge(t, people{}), time.Second, io.Discard)
	if err := <-r.ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the server ended with %v; want that its listener is closed", err)
	}
}

// TestServe_hangUp is a person who closes the page: the work for them ends.
func TestServe_hangUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, tiktok := newPipes(), newSlowTikTok()
		startServing(t, l, newBridge(t, tiktok.people()), time.Second, io.Discard)
		conn, err := l.dial()
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(
			conn, "POST %s HTTP/1.1\r\nHost: bridge\r\nContent-Length: %d\r\n\r\n%s", exchangePath, len(goodBody),
			goodBody,
		)
		if err != nil {
			t.Fatal(err)
		}
		<-tiktok.entered
		start := time.Now()
		_ = conn.Close()
		if err := <-tiktok.ended; !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Errorf("the call to TikTok ended with %v after %s; want context canceled at once", err, time.Since(start))
		}
	})
}

// TestServe_dripping sends a byte every second, for ever: what counts is when the whole has arrived.
// Meanwhile others are served.
func TestServe_dripping(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sent string
		within     time.Duration
	}{
		{"header", "POST " + exchangePath + " HTTP/1.1\r\nHost: bridge\r\nX-Slow: ", 5 * time.Second},
		{
			"body", "POST " + exchangePath + " HTTP/1.1\r\nHost: bridge\r\nContent-Length: 60000\r\n\r\n",
			15 * time.Second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				startServing(
					t, l, newBridge(t, people{}, func(o *server.Options) { o.MaxSignIns = 1 }), time.Second, io.Discard,
				)
				ended := make(chan time.Duration)
				const attackers = 20
				for range attackers {
					conn, err := l.dial()
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.WriteString(conn, tt.sent); err != nil {
						t.Fatal(err)
					}
					start := time.Now()
					go func() { _, _ = io.Copy(io.Discard, conn) }()
					go func() {
						defer func() { _ = conn.Close() }()
						for {
							time.Sleep(time.Second)
							if _, err := io.WriteString(conn, "x"); err != nil {
								ended <- time.Since(start)
								return
							}
						}
					}()
				}
				time.Sleep(3 * time.Second)
				if a := <-send(l.client()); a.status != http.StatusOK || a.err != nil {
					t.Errorf("an honest client got %d, %v; want 200", a.status, a.err)
				}
				for range attackers {
					if took := <-ended; took > tt.within+time.Second {
						t.Errorf("the server hung up after %s; want %s", took, tt.within)
					}
				}
			})
		})
	}
}

// TestFull: where all places are taken, a sign-in is refused at once and loses nothing.
func TestFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tiktok := newSlowTikTok()
		l := newPipes()
		b := newBridge(t, tiktok.people(), func(o *server.Options) { o.MaxSignIns = 2 })
		startServing(t, l, b, time.Second, io.Discard)
		first, second := send(l.client()), send(l.client())
		<-tiktok.entered
		<-tiktok.entered

		start := time.Now()
		resp := b.post(t, goodBody) // TikTok would block if it were asked
		if got := resp.Header.Get("Retry-After"); got != "2" || time.Since(start) != 0 {
			t.Errorf("refused after %s with Retry-After %q; want at once, 2", time.Since(start), got)
		}
		wantError(t, resp, http.StatusServiceUnavailable, signin.RateLimited)
		wantStatus(t, b.do(t, http.MethodGet, "/readyz", ""), http.StatusOK)

		close(tiktok.release)
		for _, a := range []answer{<-first, <-second} {
			if a.status != http.StatusOK || a.err != nil {
				t.Errorf("who had a place got %d, %v; want 200", a.status, a.err)
			}
		}
		again := send(l.client())
		<-tiktok.entered
		if a := <-again; a.status != http.StatusOK {
			t.Errorf("the next one got %d, %v; want 200", a.status, a.err)
		}
	})
}

// TestServe_largeHeader is refused before it takes memory.
func TestServe_largeHeader(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	startServing(t, l, newBridge(t, people{}), time.Second, io.Discard)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// Exactly what the server reads before it gives up, 4 KiB above its limit: an unread rest would
	// make it reset the connection.
	head := "GET / HTTP/1.1\r\nHost: bridge\r\nX: "
	if _, err := io.WriteString(conn, head+strings.Repeat("x", 36<<10-len(head))); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, resp, http.StatusRequestHeaderFieldsTooLarge)
}

// TestAdmin_documented: what the admin address has is in the table of settings, in the reference and in the
// page on monitoring, and nothing else.
func TestAdmin_documented(t *testing.T) {
	t.Parallel()
	admin, ok := newBridge(t, people{}).Admin().(*echo.Echo)
	if !ok {
		t.Fatal("the admin side is not echo's")
	}
	routes := map[string]bool{}
	for _, r := range admin.Routes() {
		path, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/pprof")
		routes["/"+path] = true
	}
	want := map[string]bool{"/metrics": true, "/healthz": true, "/readyz": true, "/debug": true}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	for page, marker := range map[string]string{
		"docs/configuration.md": "| `server.admin_listen` |", "docs/http.md": "On the admin address",
		"docs/observing.md": "The admin address",
	} {
		content, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(content), marker)
		text, _, _ = strings.Cut(text, "\n")
		for route := range routes {
			if !strings.Contains(text, route) {
				t.Errorf("%s does not list %s", page, route)
			}
		}
	}
}
