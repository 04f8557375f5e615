package redis_test

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

	"github.com/tikbridge/tikbridge/pkg/redis"
	"github.com/tikbridge/tikbridge/pkg/redis/redistest"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

const canary = "canary-7f3a"

// wantSet sets key for a minute unless it exists, and compares the answer.
func wantSet(t *testing.T, c *redis.Client, key string, want bool) {
	t.Helper()
	if got, err := c.SetIfAbsent(t.Context(), key, time.Minute); err != nil || got != want {
		t.Errorf("%q: got %t, %v; want %t", key, got, err, want)
	}
}

func TestSetIfAbsent_ttl(t *testing.T) {
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
			set, err := redistest.Connect(t, server.Addr()).SetIfAbsent(t.Context(), "a", tt.ttl)
			if got := server.TTL("a"); !set || err != nil || got != tt.want {
				t.Errorf("got %t, %v and a ttl of %v; want %v", set, err, got, tt.want)
			}
		})
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	add := redis.NewScript(`return redis.call("INCRBY", KEYS[1], ARGV[1])`)
	server := miniredis.RunT(t)
	c := redistest.Connect(t, server.Addr())
	for i := range 3 {
		if i == 2 {
			server.FlushAll() // and the server has forgotten the script
		}
		want := []int64{5, 10, 5}[i]
		if got, err := c.Run(t.Context(), add, "a", 5); got != want || err != nil {
			t.Errorf("run %d: got %d, %v; want %d", i, got, err, want)
		}
	}
}

// A server that refuses scripts may work for all else; one that is broken does not.
func TestRun_refused(t *testing.T) {
	t.Parallel()
	for reply, refused := range map[string]bool{
		"NOPERM this user has no permissions to run the 'evalsha' command " + canary: true,
		"ERR unknown command 'evalsha' " + canary:                                    true,
		"LOADING Redis is loading the dataset in memory " + canary:                   false,
	} {
		server := miniredis.RunT(t)
		server.SetError(reply)
		_, err := redistest.Connect(t, server.Addr()).Run(t.Context(), redis.NewScript("return 1"), "a")
		if err == nil || errors.Is(err, redis.ErrScript) != refused || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got %v; want ErrScript: %t", reply, err, refused)
		}
	}
}

func TestClient_database(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	wantSet(t, redistest.ConnectURL(t, "redis://"+server.Addr()+"/3?pool_size=2"), "a", true)
	if got := server.DB(3).Keys(); len(got) != 1 {
		t.Errorf("database 3 holds %q; want one key", got)
	}
}

func TestClient_password(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireUserAuth("bridge", canary+"/#?@:")
	right := redistest.ConnectURL(t, "redis://bridge:"+canary+"%2F%23%3F%40%3A@"+server.Addr())
	if err := right.Ping(t.Context()); err != nil {
		t.Errorf("right password: %v", err)
	}
	for name, url := range map[string]string{
		"wrong": "redis://bridge:" + canary + "@" + server.Addr(), "none": "redis://" + server.Addr(),
	} {
		c := redistest.ConnectURL(t, url)
		_, err := c.SetIfAbsent(t.Context(), "a", time.Minute)
		for _, err := range []error{err, c.Ping(t.Context())} {
			if err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("%s password: got %v; want an error without it", name, err)
			}
		}
	}
}

func TestNew_badURL(t *testing.T) {
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
		c, err := redis.New(signin.Secret(url))
		if err == nil {
			t.Errorf("%q: got a client; want an error", url)
			_ = c.Close()
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

func TestClient_errors(t *testing.T) {
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
		{
			"server quotes user and password", "redis://u" + canary + ":" + canary + "@" + quoting(t),
			`server refuses with "ERR"`,
		},
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
			c := redistest.ConnectURL(t, tt.url)
			_, err := c.SetIfAbsent(t.Context(), canary, time.Minute)
			for _, err := range []error{err, c.Ping(t.Context())} {
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

func TestClient_tls(t *testing.T) {
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
	c := redistest.ConnectURL(t, "rediss://"+server.Addr())
	c.Trust(roots)
	wantSet(t, c, "a", true)
	wantSet(t, c, "a", false)
}

// A server that takes connections and says nothing must not hold up a sign-in.
func TestClient_hanging(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		query   string
		longest time.Duration
	}{
		{"defaults", "", 2500 * time.Millisecond},
		{"shorter", "?dial_timeout=50ms&read_timeout=20ms", time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := redistest.Connect(t, listen(t).Addr().String()+tt.query)
			start := time.Now()
			set, err := c.SetIfAbsent(t.Context(), "a", time.Minute)
			if took := time.Since(start); set || err == nil || took > tt.longest {
				t.Errorf("got %t, %v after %v; want an error within %v", set, err, took, tt.longest)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v; want no error of a context that had no deadline", err)
			}
		})
	}
}

// The deadline of a caller holds, and its error is the caller's.
func TestClient_deadline(t *testing.T) {
	t.Parallel()
	c := redistest.Connect(t, listen(t).Addr().String()+"?dial_timeout=1m&read_timeout=1m")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if set, err := c.SetIfAbsent(ctx, "a", time.Minute); set || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %t, %v; want the deadline exceeded", set, err)
	}
}

func TestClient_closed(t *testing.T) {
	t.Parallel()
	c := redistest.Connect(t, miniredis.RunT(t).Addr())
	wantSet(t, c, "a", true)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if set, err := c.SetIfAbsent(t.Context(), "b", time.Minute); set || err == nil {
		t.Errorf("got %t, %v; want an error", set, err)
	}
	if err := c.Close(); err == nil || strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v; want to be told that it is closed", err)
	}
}
