package limit_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/limit"
	"github.com/tikbridge/tikbridge/pkg/limit/limittest"
	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/once/oncetest"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(*testing.T) limit.Limiter { return limit.NewMemory(1000) })
}

// However many addresses an attacker has, memory is bounded, and those that come after are counted.
func TestMemory_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := limit.NewMemory(5000)
		for i := range 100_000 {
			if wait, err := m.Take(t.Context(), fmt.Sprint(i), 1); wait != 0 || err != nil {
				t.Fatalf("address %d: got %v, %v", i, wait, err)
			}
			if m.Len() > 5000 {
				t.Fatalf("%d keys after %d addresses; want 5000 at most", m.Len(), i+1)
			}
		}
		if wait, err := m.Take(t.Context(), "99999", 1); wait != time.Minute || err != nil {
			t.Errorf("the last address: got %v, %v; want a minute", wait, err)
		}
		time.Sleep(time.Minute)
		for i := range 5000 { // what is over makes room first
			if _, err := m.Take(t.Context(), fmt.Sprint("new ", i), 1); err != nil {
				t.Fatal(err)
			}
		}
		if wait, _ := m.Take(t.Context(), "new 0", 1); wait != time.Minute {
			t.Errorf("got %v; want the first of 5000 to be remembered", wait)
		}
	})
}

// A flood of addresses that each come once frees none that is spent, however many they are.
func TestMemory_flood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perMinute = 10
		m := limit.NewMemory(1 << 16)
		spend := func(key string) {
			for range perMinute {
				if wait, _ := m.Take(t.Context(), key, perMinute); wait != 0 {
					t.Fatalf("%s has to wait %v", key, wait)
				}
			}
		}
		spend("before")
		for i := range 70_000 {
			if i == 35_000 {
				spend("between")
			}
			if wait, _ := m.Take(t.Context(), fmt.Sprint(i), perMinute); wait != 0 {
				t.Fatalf("address %d has to wait %v", i, wait)
			}
			time.Sleep(50 * time.Microsecond)
		}
		if m.Len() > 1<<16 {
			t.Errorf("%d keys; want %d at most", m.Len(), 1<<16)
		}
		for _, key := range []string{"before", "between"} {
			if wait, _ := m.Take(t.Context(), key, perMinute); wait == 0 {
				t.Errorf("%s may come again after the flood", key)
			}
		}
	})
}

// Of addresses that are all spent, the oldest are forgotten first, and one that keeps coming is not old.
func TestMemory_oldest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := limit.NewMemory(1000)
		for i := range 1500 {
			if wait, _ := m.Take(t.Context(), fmt.Sprint(i), 1); wait != 0 {
				t.Fatalf("address %d has to wait %v", i, wait)
			}
			if i%100 == 99 {
				want(t, m, 1, i == 99)
			}
		}
		for i := 1499; i > 500; i-- {
			if wait, _ := m.Take(t.Context(), fmt.Sprint(i), 1); wait == 0 {
				t.Fatalf("address %d is forgotten; want the newest 1000 to be remembered", i)
			}
		}
		if wait, _ := m.Take(t.Context(), "0", 1); wait != 0 {
			t.Errorf("the oldest waits %v; want it forgotten", wait)
		}
	})
}

// What is over goes when somebody new comes, so that a flood does not fill memory for good.
func TestMemory_over(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := limit.NewMemory(1000)
		for i := range 1000 {
			_, _ = m.Take(t.Context(), fmt.Sprint(i), 60)
		}
		time.Sleep(time.Second)
		_, _ = m.Take(t.Context(), "new", 60)
		if m.Len() != 1 {
			t.Errorf("%d keys; want the new one alone", m.Len())
		}
	})
}

// replica is one bridge's limiter.
type replica struct {
	*limit.Shared
	health  *once.Degrading
	log     *bytes.Buffer
	advance func(time.Duration)
}

func (r replica) Advance(d time.Duration) { r.advance(d) }

// newReplica returns a limiter over the server at address whose own count follows the time of it.
func newReplica(t *testing.T, address string, advance func(time.Duration)) replica {
	t.Helper()
	client, err := once.NewRedis(signin.Secret("redis://"+address), once.WithTimeouts(time.Second, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	r := replica{log: &bytes.Buffer{}}
	logger := slog.New(slog.NewTextHandler(r.log, nil))
	own := limit.NewMemory(1000)
	var moved time.Duration
	own.SetClock(func() time.Time { return time.Now().Add(moved) })
	r.advance = func(d time.Duration) {
		moved += d
		advance(d)
	}
	r.health = once.NewDegrading(client, once.NewMemory(1000), logger)
	r.Shared = limit.NewShared(own, client, r.health, logger)
	return r
}

func TestShared(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t *testing.T) limit.Limiter {
		server := miniredis.RunT(t)
		return newReplica(t, server.Addr(), server.FastForward)
	})
}

// The same with the server itself, where it is installed.
func TestShared_server(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t *testing.T) limit.Limiter {
		address, advance := oncetest.RedisServer(t)
		return newReplica(t, address, advance)
	})
}

// The same while Redis is down: the replica's own count is as good a limiter.
func TestShared_down(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t *testing.T) limit.Limiter {
		server := miniredis.RunT(t)
		r := newReplica(t, server.Addr(), func(time.Duration) {})
		server.Close()
		return r
	})
}

// TestShared_replicas: what one replica allowed, another knows; each key lives no longer than it
// counts.
func TestShared_replicas(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	one, other := newReplica(t, server.Addr(), server.FastForward), newReplica(t, server.Addr(), func(time.Duration) {})
	want(t, one, 3, true)
	want(t, other, 3, true)
	want(t, one, 3, true)
	want(t, one, 3, false)
	want(t, other, 3, false)
	if got := server.Keys(); len(got) != 1 || got[0] != "tikbridge:rate:a" {
		t.Errorf("keys are %q", got)
	}
	if ttl := server.TTL("tikbridge:rate:a"); ttl <= 0 || ttl > time.Minute {
		t.Errorf("the key lives %v; want a minute at most", ttl)
	}
	server.FastForward(time.Minute)
	if got := server.Keys(); len(got) != 0 {
		t.Errorf("keys are %q after a minute; want none", got)
	}
}

// want counts one event of the key a.
func want(t *testing.T, l limit.Limiter, perMinute int, allowed bool) {
	t.Helper()
	wait, err := l.Take(t.Context(), "a", perMinute)
	if err != nil || (wait == 0) != allowed {
		t.Errorf("got %v, %v; want allowed: %t", wait, err, allowed)
	}
}

// TestShared_restart: requests are allowed and counted while Redis is away, and counted together again
// when it is back. Both changes are logged once.
func TestShared_restart(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	r, other := newReplica(t, server.Addr(), server.FastForward), newReplica(t, server.Addr(), func(time.Duration) {})
	want(t, r, 4, true)
	server.Close()
	want(t, r, 4, true)
	want(t, r, 4, true)
	if _, degraded := r.health.Degraded(); !degraded {
		t.Error("Redis is down and nobody is told")
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	want(t, other, 4, true)
	want(t, other, 4, true)
	want(t, r, 4, true)
	want(t, other, 4, false) // 1 before, 1 after the outage, 2 of its own
	if _, degraded := r.health.Degraded(); degraded {
		t.Error("Redis is back and nobody is told")
	}
	if text := r.log.String(); strings.Count(text, "store fails") != 1 || strings.Count(text, "store is back") != 1 {
		t.Errorf("the log is\n%s\nwant one line for each change", text)
	}
}

// TestShared_hangs: a Redis that says nothing costs one request its time-out, and no others.
func TestShared_hangs(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	r := newReplica(t, silent.Addr().String(), func(time.Duration) {})
	start := time.Now()
	want(t, r, 3, true)
	probing, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // finds out whether it is back
		defer close(done)
		_, _ = r.Take(probing, "b", 3)
	}()
	want(t, r, 3, true)
	want(t, r, 3, true)
	want(t, r, 3, false)
	stop()
	<-done
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestShared_noScripts: a Redis that allows no scripts does not make the marks of sign-ins suffer, and
// the log says so once.
func TestShared_noScripts(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	r := newReplica(t, server.Addr(), server.FastForward)
	server.SetError("NOPERM this user has no permissions to run the 'evalsha' command")
	want(t, r, 2, true)
	want(t, r, 2, true)
	want(t, r, 2, false)
	if _, degraded := r.health.Degraded(); degraded {
		t.Error("the store is taken for down")
	}
	if text := r.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "Redis must allow EVALSHA") {
		t.Errorf("the log is\n%s\nwant one line that says what to do", text)
	}
}
