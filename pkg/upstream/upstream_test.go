package upstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// body counts what is read of it.
type body struct {
	io.Reader
	read int
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (*body) Close() error { return nil }

func TestReadBody(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	broken := errors.New("connection broke")
	tests := []struct {
		name    string
		reader  io.Reader
		want    int
		wantErr error
	}{
		{"empty", strings.NewReader(""), 0, nil},
		{"small", strings.NewReader("{}"), 2, nil},
		{"at the limit", strings.NewReader(strings.Repeat("x", limit)), limit, nil},
		{"a byte more", strings.NewReader(strings.Repeat("x", limit+1)), 0, upstream.ErrTooLarge},
		{"2 MB", strings.NewReader(strings.Repeat("x", 2<<20)), 0, upstream.ErrTooLarge},
		{"breaks off", io.MultiReader(strings.NewReader("{"), errorReader{broken}), 0, broken},
		{"endless", zeros{}, 0, upstream.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &body{Reader: tt.reader}
			got, err := upstream.ReadBody(&http.Response{Body: b}, limit)
			if !errors.Is(err, tt.wantErr) {
				t.Fatalf("got error %v; want %v", err, tt.wantErr)
			}
			if len(got) != tt.want {
				t.Errorf("got %d bytes; want %d", len(got), tt.want)
			}
			if b.read > limit+1 {
				t.Errorf("got %d bytes read; want no more than the limit", b.read)
			}
		})
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const fallback = 7 * time.Second
	tests := []struct {
		name  string
		value string
		want  time.Duration
	}{
		{"absent", "", fallback},
		{"seconds", "3", 3 * time.Second},
		{"zero", "0", 0},
		{"an hour", "3600", time.Hour},
		{"a day is cut", "86400", time.Hour},
		{"more than a duration holds", "9223372036854775807", time.Hour},
		{"wraps to something small", "18446744075", time.Hour},
		{"more than an int holds", "99999999999999999999", fallback},
		{"negative", "-1", fallback},
		{"fraction", "1.5", fallback},
		{"a date", "Wed, 21 Oct 2026 07:28:00 GMT", fallback},
		{"junk", "soon", fallback},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if tt.value != "" {
				h.Set("Retry-After", tt.value)
			}
			if got := upstream.RetryAfter(h, fallback); got != tt.want {
				t.Errorf("got %v; want %v", got, tt.want)
			}
		})
	}
	if got := upstream.RetryAfter(nil, fallback); got != fallback {
		t.Errorf("no answer at all: got %v; want %v", got, fallback)
	}
}

func TestCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   string
		want string
	}{
		{"TikTok", "invalid_grant", "invalid_grant"},
		{"GoTrue", "otp_expired", "otp_expired"},
		{"GoTrue with a digit", "web3_unsupported_chain", "web3_unsupported_chain"},
		{"gateway", "UNAUTHORIZED_INVALID_JWT_FORMAT", "UNAUTHORIZED_INVALID_JWT_FORMAT"},
		{"PostgREST", "PGRST301", "PGRST301"},
		{"number", "2190008", "2190008"},
		{"64 characters", strings.Repeat("abc_", 15) + "abcd", strings.Repeat("abc_", 15) + "abcd"},
		{"65 characters", strings.Repeat("abc_", 15) + "abcde", ""},
		{"word of 21", strings.Repeat("a", 21), ""},
		{"number of 11", "49170123456", ""},
		{"empty", "", ""},
		{"sentence", "the code abc is bad", ""},
		{"line break", "invalid_grant\nlevel=error", ""},
		{"trailing line break", "invalid_grant\n", ""},
		{"authorization code", "abc*0!6410.va", ""},
		{"access token", "act.a1b2c3d4e5f6", ""},
		{"JWT", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", ""},
		{"secret key", "sb_secret_N7UND0UgjKTVK", ""},
		{"client secret", "9f8e7d6c5b4a39281706f5e4d3c2b1a0", ""},
		{"token hash", "pkce_0a1b2c3d4e5f", ""},
		{"open_id", "-000AbCdEfGhIjKlMnOpQrStUvWxYz012345", ""},
		{"UUID", "8e5f0a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b", ""},
		{"e-mail address", "mira@example.com", ""},
		{"name", "Mira", ""},
		{"HTML", "<b>x</b>", ""},
		{"URL", "https://evil.example", ""},
		{"terminal escape", "\x1b[31m", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, upstream.Code(tt.in)); diff != "" {
				t.Errorf("code (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"v2.196.0": "v2.196.0", "2.155.0": "2.155.0", "v2.180.0-rc.3": "v2.180.0-rc.3", "v2.99.0-3-g1a2b3c4": "v2.99.0",
		"v2.196.0-sb_secret_N7UND0UgjKTVK": "v2.196.0", "v2.196.0\nlevel=error": "v2.196.0",
		"": "", "unspecified": "", "sb_secret_2.196.0": "", "v2": "", strings.Repeat("7", 30) + ".1.2": "",
	} {
		if got := upstream.Version(in); got != want {
			t.Errorf("Version(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	called := func(err error) error { return &url.Error{Op: "Post", URL: "https://canary.example/", Err: err} }
	plain := errors.New("something else")
	tests := []struct {
		name string
		err  error
		is   error // what errors.Is must still find
		want string
	}{
		{"caller left", called(context.Canceled), context.Canceled, "caller has gone"},
		{"deadline", called(context.DeadlineExceeded), context.DeadlineExceeded, "no answer in time"},
		{
			"timeout of the network", called(&net.DNSError{IsTimeout: true}), context.DeadlineExceeded,
			"no answer in time",
		},
		{"refused", called(refused), refused, "connection refused"},
		{"closed", called(io.EOF), io.EOF, "EOF"},
		{"not TLS", called(http.ErrSchemeMismatch), http.ErrSchemeMismatch, "HTTP response to HTTPS client"},
		{
			"certificate", called(&tls.CertificateVerificationError{Err: errors.New("unknown authority")}),
			nil, "unknown authority",
		},
		{
			"quotes the answer", called(fmt.Errorf("malformed HTTP response %q", "canary")), nil,
			"no HTTP that can be read",
		},
		{"no call", plain, plain, "something else"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := upstream.NoAnswer(tt.err)
			if tt.is != nil && !errors.Is(got, tt.is) {
				t.Errorf("got %v; want it to be %v", got, tt.is)
			}
			if !strings.Contains(got.Error(), tt.want) {
				t.Errorf("got %q; want something about %q", got, tt.want)
			}
			if strings.Contains(got.Error(), "canary") {
				t.Errorf("got %q; want neither the URL nor a piece of the answer", got)
			}
		})
	}
}

// TestSend_scheme: an address that begins with https by mistake is told apart from a broken answer.
func TestSend_scheme(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	req, err := http.NewRequestWithContext(
		t.Context(), http.MethodPost, strings.Replace(srv.URL, "http:", "https:", 1), http.NoBody,
	)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = upstream.Send(transport, req, 1)
	if !errors.Is(upstream.NoAnswer(err), http.ErrSchemeMismatch) {
		t.Errorf("NoAnswer(%v) = %v; want %v", err, upstream.NoAnswer(err), http.ErrSchemeMismatch)
	}
}

// A burst larger than the two idle connections net/http keeps by default, twice: the second one
// dials nothing.
func TestNewTransport_keepsConnections(t *testing.T) {
	t.Parallel()
	const burst = 20
	var dialled atomic.Int32
	arrived, release := make(chan struct{}), make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialled.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	client := upstream.NewClient(transport)

	for range 2 {
		errs := make(chan error, burst)
		for range burst {
			go func() { errs <- get(t.Context(), client, srv.URL) }()
		}
		for range burst {
			<-arrived
		}
		for range burst {
			release <- struct{}{}
		}
		for range burst {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := dialled.Load(); got != burst {
		t.Errorf("got %d connections for two bursts of %d; want %d", got, burst, burst)
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = upstream.ReadBody(resp, 1<<20)
	return err
}

// Over HTTP/2 a burst of calls shares one connection, as TikTok's and Supabase's edges offer it.
func TestNewTransport_http2(t *testing.T) {
	t.Parallel()
	const burst = 50
	var dialled, other atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			other.Add(1)
		}
	}))
	srv.EnableHTTP2 = true
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialled.Add(1)
		}
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	transport := upstream.NewTransport()
	transport.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	t.Cleanup(transport.CloseIdleConnections)
	client := upstream.NewClient(transport)

	if err := get(t.Context(), client, srv.URL); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, burst)
	for range burst {
		go func() { errs <- get(t.Context(), client, srv.URL) }()
	}
	for range burst {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if dialled.Load() != 1 || other.Load() != 0 {
		t.Errorf("%d connections, %d calls not over HTTP/2; want 1 and none", dialled.Load(), other.Load())
	}
}

// A connection over which nothing comes back any more is given up after some seconds, not when the
// system does: the next calls dial anew.
func TestNewTransport_deadConnection(t *testing.T) {
	t.Parallel()
	transport := upstream.NewTransport()
	if c := transport.HTTP2; c == nil || c.SendPingTimeout <= 0 || c.SendPingTimeout+c.PingTimeout > 15*time.Second {
		t.Fatalf("HTTP/2 is set up as %+v; want pings that find out within 15 s", c)
	}
	transport.HTTP2.SendPingTimeout, transport.HTTP2.PingTimeout = 50*time.Millisecond, 50*time.Millisecond

	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	transport.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	t.Cleanup(transport.CloseIdleConnections)
	var first *forgetful
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil || first != nil {
			return conn, err
		}
		first = &forgetful{Conn: conn}
		return first, nil
	}
	client := upstream.NewClient(transport)
	if err := get(t.Context(), client, srv.URL); err != nil {
		t.Fatal(err)
	}
	first.forgotten.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := get(ctx, client, srv.URL); err == nil {
		t.Error("a call over a dead connection got an answer")
	}
	if ctx.Err() != nil {
		t.Fatal("a call over a dead connection takes all its time")
	}
	if err := get(t.Context(), client, srv.URL); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// forgetful is a connection that a firewall forgets: what is sent goes nowhere.
type forgetful struct {
	net.Conn
	forgotten atomic.Bool
	written   atomic.Int64 // bytes
}

func (f *forgetful) Write(p []byte) (int, error) {
	if f.forgotten.Load() {
		return len(p), nil
	}
	f.written.Add(int64(len(p)))
	return f.Conn.Write(p)
}
