package oncetest

import (
	"bufio"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer starts a redis-server of its own for the test, and skips the test where none is
// installed. It returns the address, and how to make time pass: everything that is kept for a while
// grows older.
func RedisServer(t *testing.T) (address string, advance func(time.Duration)) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH")
	}
	const attempts = 5 // somebody else may take the port in between
	for range attempts {
		free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = free.Close()
		address = free.Addr().String()
		if serve(t, address) {
			client := redis.NewClient(&redis.Options{Addr: address})
			t.Cleanup(func() { _ = client.Close() })
			return address, func(d time.Duration) { age(t, client, d) }
		}
	}
	t.Fatal("redis-server does not start")
	return "", nil
}

// serve starts a server and waits until it answers.
func serve(t *testing.T, address string) (ready bool) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), //nolint:gosec,noctx // the port was free
		"--save", "", "--appendonly", "no", "--daemonize", "no")
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

// age takes d from what every key has left, which is what waiting does.
func age(t *testing.T, client *redis.Client, d time.Duration) {
	t.Helper()
	const script = `for _, key in ipairs(redis.call("KEYS", "*")) do
		local left = redis.call("PTTL", key) - ARGV[1]
		if left > 0 then redis.call("PEXPIRE", key, left) else redis.call("DEL", key) end
	end`
	err := client.Eval(t.Context(), script, nil, d.Milliseconds()).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
}
