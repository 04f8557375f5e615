// Package redistest has Redis servers and clients for tests.
package redistest

import (
	"bufio"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/redis"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Connect returns a client of the server at address (host:port); a query such as ?read_timeout=20ms may
// follow it. The client is closed when the test ends.
func Connect(t *testing.T, address string) *redis.Client {
	t.Helper()
	return ConnectURL(t, "redis://"+address)
}

// ConnectURL is Connect with a whole URL.
func ConnectURL(t *testing.T, url string) *redis.Client {
	t.Helper()
	client, err := redis.New(signin.Secret(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// IgnoreDialing keeps goleak from reporting a goroutine that ends by itself: after many failed dials go-redis
// tries again once a second, and sees only then that its client was closed.
func IgnoreDialing() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
}

// Start starts a redis-server for the test, and skips the test where none is installed. It returns the
// address, and a function that makes time pass: everything with a time to live grows older.
func Start(t *testing.T) (address string, advance func(time.Duration)) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH")
	}
	const attempts = 5 // another process may take the port in between
	for range attempts {
		free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = free.Close()
		address = free.Addr().String()
		if serve(t, address) {
			client := Connect(t, address)
			return address, func(d time.Duration) { age(t, client, d) }
		}
	}
	t.Fatal("redis-server does not start")
	return "", nil
}

// serve starts a server and waits until it accepts connections.
func serve(t *testing.T, address string) (ready bool) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, //nolint:gosec,noctx // the port was free
		"--dir", t.TempDir(), "--save", "", "--appendonly", "no", "--daemonize", "no")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			return true
		}
	}
	return false
}

// aging takes ARGV[1] milliseconds from what every key has left, which is what waiting does.
var aging = redis.NewScript(`
for _, key in ipairs(redis.call("KEYS", "*")) do
	local left = redis.call("PTTL", key) - ARGV[1]
	if left > 0 then redis.call("PEXPIRE", key, left) else redis.call("DEL", key) end
end
return 0`)

func age(t *testing.T, client *redis.Client, d time.Duration) {
	t.Helper()
	if _, err := client.Run(t.Context(), aging, "", d.Milliseconds()); err != nil {
		t.Fatal(err)
	}
}
