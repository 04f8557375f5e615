package limit_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tikbridge/tikbridge/pkg/limit"
	"github.com/tikbridge/tikbridge/pkg/limit/limittest"
	"github.com/tikbridge/tikbridge/pkg/redis"
	"github.com/tikbridge/tikbridge/pkg/redis/redistest"
)

// replica is one bridge's limiter.
type replica struct {
	*limit.Fallback
	health  *redis.Health
	log     *bytes.Buffer
	advance func(time.Duration)
}

func (r replica) Advance(d time.Duration) { r.advance(d) }

// newReplica returns a limiter over the server at address whose own count follows the time of it.
func newReplica(t *testing.T, address string, advance func(time.Duration)) replica {
	t.Helper()
	r := replica{log: &bytes.Buffer{}}
	local := limit.NewMemory(1000)
	var moved time.Duration
	local.SetClock(func() time.Time { return time.Now().Add(moved) })
	r.advance = func(d time.Duration) {
		moved += d
		advance(d)
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	r.health = redis.NewHealth(log)
	shared := limit.NewRedis(redistest.Connect(t, address))
	r.Fallback = limit.NewFallback(shared, local, r.health, log)
	return r
}

func (r replica) wantDown(t *testing.T, want bool) {
	t.Helper()
	if _, down := r.health.Down(); down != want {
		t.Errorf("Redis is taken to be down: %t; want %t", down, want)
	}
}

func TestFallback(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t *testing.T) limit.Limiter {
		server := miniredis.RunT(t)
		return newReplica(t, server.Addr(), server.FastForward)
	})
}

// The same while Redis is down: the replica's own count is as good a limiter.
func TestFallback_down(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t *testing.T) limit.Limiter {
		server := miniredis.RunT(t)
		r := newReplica(t, server.Addr(), func(time.Duration) {})
		server.Close()
		return r
	})
}

// Requests are allowed and counted while Redis is down, and counted together again when it is back.
func TestFallback_restart(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	r := newReplica(t, server.Addr(), server.FastForward)
	other := newReplica(t, server.Addr(), func(time.Duration) {})
	want(t, r, 4, true)
	server.Close()
	want(t, r, 4, true)
	want(t, r, 4, true)
	r.wantDown(t, true)
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	want(t, other, 4, true)
	want(t, other, 4, true)
	want(t, r, 4, true)
	want(t, other, 4, false) // 1 before, 1 after the outage, 2 of its own
	r.wantDown(t, false)
}

// A Redis that allows no scripts may still keep claims, so it is not taken to be down. The log says once what
// to do.
func TestFallback_noScripts(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	r := newReplica(t, server.Addr(), server.FastForward)
	server.SetError("NOPERM this user has no permissions to run the 'evalsha' command")
	want(t, r, 2, true)
	want(t, r, 2, true)
	want(t, r, 2, false)
	r.wantDown(t, false)
	if text := r.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "Redis must allow EVALSHA") {
		t.Errorf("the log is\n%s\nwant one line that says what to do", text)
	}
}
