package upstream_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/upstream"
	"github.com/tikbridge/tikbridge/test/faulty"
)

func warmRequest(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com/health", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestWarmer_requests counts what Warm sends in a minute in which somebody sets out to sign in every second.
func TestWarmer_requests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		err   error         // of every request
		calls time.Duration // how often a call is made, 0: never
		want  int64         // requests of Warm
	}{
		{name: "nobody comes back from TikTok", want: 3},
		{name: "the upstream is down", err: errors.New("connection refused"), want: 6},
		{name: "people sign in", calls: 15 * time.Second, want: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sent, calls atomic.Int64
				w := upstream.NewWarmer(roundTrip(func(req *http.Request) (*http.Response, error) {
					if req.URL.Path == "/health" {
						sent.Add(1)
					}
					return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody}, tt.err
				}), warmRequest(t))
				for second := range 60 {
					if tt.calls > 0 && second%int(tt.calls.Seconds()) == 0 {
						calls.Add(1)
						if err := get(t.Context(), upstream.NewClient(w), "https://example.com/call"); err != nil {
							t.Fatal(err)
						}
					}
					w.Warm(t.Context())
					time.Sleep(time.Second)
				}
				if got := sent.Load(); got != tt.want {
					t.Errorf("%d requests in a minute; want %d", got, tt.want)
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// farUpstream is an upstream behind TLS, in a network whose connections can die.
type farUpstream struct {
	*upstream.Warmer
	connections []*forgetful
}

func newFarUpstream(t *testing.T, http2 bool) *farUpstream {
	t.Helper()
	network := &faulty.Network{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	_ = srv.Listener.Close()
	srv.Listener, srv.EnableHTTP2 = network.Listen("example.com:443"), http2
	srv.StartTLS()
	t.Cleanup(srv.Close)

	f := &farUpstream{}
	transport := upstream.NewTransport()
	transport.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.DialContext = func(ctx context.Context, protocol, address string) (net.Conn, error) {
		conn, err := network.Dial(ctx, protocol, address)
		if err != nil {
			return nil, err
		}
		f.connections = append(f.connections, &forgetful{Conn: conn})
		return f.connections[len(f.connections)-1], nil
	}
	t.Cleanup(transport.CloseIdleConnections)
	f.Warmer = upstream.NewWarmer(transport, warmRequest(t))
	return f
}

// call makes a call that gives up soon, and returns how many connections it opened.
func (f *farUpstream) call(t *testing.T) (dialled int) {
	t.Helper()
	before := len(f.connections)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := get(ctx, upstream.NewClient(f), "https://example.com/call"); err != nil {
		t.Error(err)
	}
	return len(f.connections) - before
}

var protocols = []struct {
	name  string
	http2 bool
}{{"HTTP/1.1", false}, {"HTTP/2", true}}

// After Warm a call finds its connection open: the first one ever, and one after idling.
func TestWarmer_opensConnection(t *testing.T) {
	t.Parallel()
	for _, tt := range protocols {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFarUpstream(t, tt.http2)
				for _, when := range []string{"after the start", "after a day"} {
					f.Warm(t.Context())
					if n := f.call(t); n != 0 {
						t.Errorf("%s: a call opened %d connections after Warm; want none", when, n)
					}
					time.Sleep(24 * time.Hour)
				}
				if got := len(f.connections); got != 2 {
					t.Errorf("%d connections; want one a day", got)
				}
			})
		})
	}
}

// A connection that died without a word is replaced by Warm, so that no call waits for an answer over it.
func TestWarmer_replacesDeadConnection(t *testing.T) {
	t.Parallel()
	for _, tt := range protocols {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFarUpstream(t, tt.http2)
				f.call(t)
				time.Sleep(time.Minute)
				f.connections[0].forgotten.Store(true)
				f.Warm(t.Context())
				if n := f.call(t); n != 0 || len(f.connections) != 2 {
					t.Errorf("a call opened %d of %d connections; want Warm to have opened the second", n, len(f.connections))
				}
			})
		})
	}
}

// An idle connection is kept for minutes, and not for ever: a bridge that nobody uses sends nothing, not even pings.
func TestNewTransport_idle(t *testing.T) {
	t.Parallel()
	for _, tt := range protocols {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFarUpstream(t, tt.http2)
				f.call(t)
				time.Sleep(9 * time.Minute)
				if n := f.call(t); n != 0 {
					t.Errorf("a call after nine minutes opened %d connections; want none", n)
				}
				time.Sleep(11 * time.Minute)
				if n := f.call(t); n != 1 {
					t.Errorf("a call after eleven minutes opened %d connections; want one", n)
				}
				written := f.connections[1].written.Load()
				time.Sleep(11 * time.Minute)
				settled := f.connections[1].written.Load()
				time.Sleep(time.Hour)
				if got := f.connections[1].written.Load(); got != settled || tt.http2 && settled == written {
					t.Errorf("%d, %d and %d bytes sent; want no more after some minutes", written, settled, got)
				}
			})
		})
	}
}

// Warm ends with its context, such as when the bridge stops.
func TestWarmer_ends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		w := upstream.NewWarmer(roundTrip(func(req *http.Request) (*http.Response, error) {
			sent.Add(1)
			<-req.Context().Done()
			return nil, req.Context().Err()
		}), warmRequest(t))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		w.Warm(ctx)
		if took := time.Since(start); took != time.Second || sent.Load() != 1 {
			t.Errorf("ended after %v and %d requests; want 1s and one", took, sent.Load())
		}
		time.Sleep(time.Minute)
		start = time.Now()
		w.Warm(t.Context())
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("an upstream that hangs keeps Warm for %v; want some ten seconds at most", took)
		}
	})
}
