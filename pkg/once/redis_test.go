package once_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/once/oncetest"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// mustRedis returns a store on the server at address (host:port).
func mustRedis(t *testing.T, address string, opts ...once.RedisOption) *once.Redis {
	t.Helper()
	return mustRedisURL(t, "redis://"+address, opts...)
}

func mustRedisURL(t *testing.T, url string, opts ...once.RedisOption) *once.Redis {
	t.Helper()
	r, err := once.NewRedis(signin.Secret(url), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// movable is a store with the time of its server.
type movable struct {
	once.Store
	advance func(time.Duration)
}

func (m movable) Advance(d time.Duration) { m.advance(d) }

func TestRedis(t *testing.T) {
	t.Parallel()
	oncetest.Run(t, func(t *testing.T) once.Store {
		server := miniredis.RunT(t)
		return movable{mustRedis(t, server.Addr()), server.FastForward}
	})
}

// The same with the server itself, where it is installed.
func TestRedis_server(t *testing.T) {
	t.Parallel()
	oncetest.Run(t, func(t *testing.T) once.Store {
		address, advance := oncetest.RedisServer(t)
		return movable{mustRedis(t, address), advance}
	})
}

// Replicas share nothing but the server.
func TestRedis_replicas(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	stores := []once.Store{mustRedis(t, server.Addr()), mustRedis(t, server.Addr())}
	oncetest.Run(t, func(t *testing.T) once.Store {
		own := miniredis.RunT(t)
		return movable{&inTurn{stores: []once.Store{mustRedis(t, own.Addr()), mustRedis(t, own.Addr())}}, own.FastForward}
	})
	wantFirst(t, stores[0], "a", time.Minute, true)
	wantFirst(t, stores[1], "a", time.Minute, false)
	wantFirst(t, stores[1], "b", time.Minute, true)
	wantFirst(t, stores[0], "b", time.Minute, false)
}

func TestRedis_key(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		ttl  time.Duration
		want time.Duration
	}{
		{"seconds", 10 * time.Minute, 10 * time.Minute},
		{"milliseconds", 1234 * time.Millisecond, 1234 * time.Millisecond},
		{"rounded up", time.Second + 1, 1001 * time.Millisecond},
		{"least", 1, time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			wantFirst(t, mustRedis(t, server.Addr()), "state:a", tt.ttl, true)
			if got := server.Keys(); len(got) != 1 || got[0] != "tikbridge:once:state:a" {
				t.Errorf("got keys %q", got)
			}
			if got := server.TTL("tikbridge:once:state:a"); got != tt.want {
				t.Errorf("got ttl %v; want %v", got, tt.want)
			}
		})
	}
}

func TestRedis_database(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	wantFirst(t, mustRedisURL(t, "redis://"+server.Addr()+"/3?pool_size=2"), "a", time.Minute, true)
	if got := server.DB(3).Keys(); len(got) != 1 {
		t.Errorf("database 3 holds %q; want one mark", got)
	}
}

func TestRedis_password(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireUserAuth("bridge", canary+"/#?@:")
	right := mustRedisURL(t, "redis://bridge:"+canary+"%2F%23%3F%40%3A@"+server.Addr())
	if err := right.Ping(t.Context()); err != nil {
		t.Errorf("right password: %v", err)
	}
	for name, url := range map[string]string{
		"wrong": "redis://bridge:" + canary + "@" + server.Addr(), "none": "redis://" + server.Addr(),
	} {
		r := mustRedisURL(t, url)
		_, err := r.First(t.Context(), "a", time.Minute)
		for _, err := range []error{err, r.Ping(t.Context())} {
			if err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("%s password: got %v; want an error without it", name, err)
			}
		}
	}
}

func TestNewRedis_badURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", canary, "redis://", "redis:", "://" + canary, canary + "://host", "http://" + canary + "@host",
		"unix://" + canary + "@/redis.sock", "REDIS", "redis://:" + canary + "@", "redis:" + canary,
		"redis://:" + canary + "@host:port", "redis://:" + canary + "@host/db", "redis://:" + canary + "@host/1/2",
		"redis://:" + canary + "%zz@host", "redis://:" + canary + "\x7f@host", "redis://: " + canary + "@host",
		"redis://:12/" + canary + "@host", "redis://user:12#" + canary + "@host", "redis://user:12?" + canary + "@host",
		"redis://:" + canary + "@host?db=" + canary, "redis://:" + canary + "@host?" + canary + "=1",
		"redis://[" + canary + "@host", "redis://host#" + canary,
	} {
		r, err := once.NewRedis(signin.Secret(url))
		if err == nil {
			t.Errorf("%q: got a store; want an error", url)
			_ = r.Close()
			continue
		}
		if strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "redis://") {
			t.Errorf("%q: got %v; want the form of a URL and nothing of this one", url, err)
		}
	}
}

// quoting is a server that knows no command and says so with all that it was sent, as servers do
// whose AUTH was renamed or that are none.
func quoting(t *testing.T) (address string) {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				buf := make([]byte, 4096)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					sent := strings.NewReplacer("\r\n", " ").Replace(string(buf[:n]))
					_, _ = fmt.Fprintf(conn, "-ERR unknown command, with args beginning with: %s\r\n", sent)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestRedis_errors(t *testing.T) {
	t.Parallel()
	broken := miniredis.RunT(t)
	broken.SetError("READONLY You can't write against a read only replica. " + canary)
	hangingUp := miniredis.RunT(t)
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)

	tests := []struct{ name, url, want string }{
		{"server quotes the password", "redis://:" + canary + "@" + quoting(t), `server refuses with "ERR"`},
		{"server quotes user and password", "redis://u" + canary + ":" + canary + "@" + quoting(t), `server refuses with "ERR"`},
		// The port of a closed listener would soon be somebody else's; port 1 is nobody's.
		{"nobody listens", "redis://:" + canary + "@127.0.0.1:1", "connection refused"},
		{"server refuses", "redis://:" + canary + "@" + broken.Addr(), `server refuses with "READONLY"`},
		{"no TLS", "rediss://:" + canary + "@" + plainHTTP(t), "speaks no TLS"},
		{"server hangs up", "rediss://:" + canary + "@" + hangingUp.Addr(), "closes the connection"},
		{"foreign certificate", "rediss://:" + canary + "@" + secure.Listener.Addr().String(), "certificate"},
		{"no Redis", "redis://:" + canary + "@" + plainHTTP(t), "cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustRedisURL(t, tt.url)
			_, err := r.First(t.Context(), canary, time.Minute)
			for _, err := range []error{err, r.Ping(t.Context())} {
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary) {
					t.Errorf("got %v; want %q and no secret", err, tt.want)
				}
			}
		})
	}
}

func plainHTTP(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(nil)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestRedis_tls(t *testing.T) {
	t.Parallel()
	authority := httptest.NewTLSServer(nil)
	defer authority.Close()
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	server, err := miniredis.RunTLS(&tls.Config{Certificates: authority.TLS.Certificates, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r := mustRedisURL(t, "rediss://"+server.Addr(), once.WithTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	wantFirst(t, r, "a", time.Minute, true)
	wantFirst(t, r, "a", time.Minute, false)
}

// WithTLS turns no redis:// into rediss://.
func TestWithTLS_plain(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	wantFirst(t, mustRedis(t, server.Addr(), once.WithTLS(&tls.Config{MinVersion: tls.VersionTLS12})), "a", time.Minute, true)
}

// A server that takes connections and says nothing must not hold up a sign-in.
func TestRedis_hanging(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		opts    []once.RedisOption
		longest time.Duration
	}{
		{"defaults", nil, 2500 * time.Millisecond},
		{"shorter", []once.RedisOption{once.WithTimeouts(50*time.Millisecond, 20*time.Millisecond)}, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustRedis(t, listen(t).Addr().String(), tt.opts...)
			start := time.Now()
			first, err := r.First(t.Context(), "a", time.Minute)
			if took := time.Since(start); first || err == nil || took > tt.longest {
				t.Errorf("got %t, %v after %v; want an error within %v", first, err, took, tt.longest)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v; want no error of a context that had no deadline", err)
			}
		})
	}
}

// The deadline of a caller holds, and its error is the caller's.
func TestRedis_deadline(t *testing.T) {
	t.Parallel()
	r := mustRedis(t, listen(t).Addr().String(), once.WithTimeouts(time.Minute, time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if first, err := r.First(ctx, "a", time.Minute); first || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %t, %v; want the deadline exceeded", first, err)
	}
}

func TestRedis_closed(t *testing.T) {
	t.Parallel()
	r := mustRedis(t, miniredis.RunT(t).Addr())
	wantFirst(t, r, "a", time.Minute, true)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if first, err := r.First(t.Context(), "b", time.Minute); first || err == nil {
		t.Errorf("got %t, %v; want an error", first, err)
	}
	if err := r.Close(); err == nil || strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v; want to be told that it is closed", err)
	}
}
