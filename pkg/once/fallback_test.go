package once_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/once/oncetest"
	"github.com/tikbridge/tikbridge/pkg/redis"
	"github.com/tikbridge/tikbridge/pkg/redis/redistest"
)

var errDown = errors.New("down for the test")

// flaky is a store in memory that can be turned off.
type flaky struct {
	once.Store
	off   atomic.Bool
	calls atomic.Int64
}

func newFlaky() *flaky { return &flaky{Store: once.NewMemory(1000)} }

func (f *flaky) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	f.calls.Add(1)
	if f.off.Load() {
		return false, errDown
	}
	return f.Store.Claim(ctx, key, ttl)
}

func newHealth() *redis.Health { return redis.NewHealth(slog.New(slog.DiscardHandler)) }

func TestFallback(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		newStore func(t *testing.T) once.Store
	}{
		{"redis", func(t *testing.T) once.Store {
			return newMovable(t, miniredis.RunT(t))
		}},
		{"redis is down", func(t *testing.T) once.Store {
			server := miniredis.RunT(t)
			f := newMovable(t, server)
			server.Close()
			return f
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			oncetest.Run(t, tt.newStore)
		})
	}
}

// newMovable returns a store over server whose memory follows the time of it.
func newMovable(t *testing.T, server *miniredis.Miniredis) once.Store {
	t.Helper()
	var moved atomic.Int64
	memory := once.NewMemory(1000)
	memory.SetClock(func() time.Time { return time.Now().Add(time.Duration(moved.Load())) })
	return movable{once.NewFallback(newRedis(t, server.Addr()), memory, newHealth()), func(by time.Duration) {
		moved.Add(int64(by))
		server.FastForward(by)
	}}
}

// What another replica claimed counts, unless the shared store is down. What this replica claimed counts
// always: also when the shared store, back again, has never heard of it.
func TestFallback_replicas(t *testing.T) {
	t.Parallel()
	shared := newFlaky()
	one := once.NewFallback(shared, once.NewMemory(10), newHealth())
	two := once.NewFallback(shared, once.NewMemory(10), newHealth())
	wantClaim(t, one, "before", time.Hour, true)
	wantClaim(t, two, "before", time.Hour, false)

	shared.off.Store(true)
	wantClaim(t, one, "during", time.Hour, true)
	wantClaim(t, two, "during", time.Hour, true)
	wantClaim(t, one, "during", time.Hour, false)
	wantClaim(t, one, "before", time.Hour, false)

	shared.off.Store(false)
	wantClaim(t, one, "during", time.Hour, false)
	wantClaim(t, one, "after", time.Hour, true)
	wantClaim(t, two, "after", time.Hour, false)
}

// A local store that fails leaves nothing to go on with.
func TestFallback_localFails(t *testing.T) {
	t.Parallel()
	shared, local := newFlaky(), newFlaky()
	local.off.Store(true)
	f := once.NewFallback(shared, local, newHealth())
	if claimed, err := f.Claim(t.Context(), "a", time.Minute); claimed || !errors.Is(err, errDown) {
		t.Errorf("got %t, %v; want the error of the local store", claimed, err)
	}
	if shared.calls.Load() != 0 {
		t.Error("the shared store was asked; want the key left for a later try")
	}
}

func TestFallback_redisRestarts(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	health := newHealth()
	f := once.NewFallback(newRedis(t, server.Addr()), once.NewMemory(1000), health)
	other := newRedis(t, server.Addr())
	wantClaim(t, f, "before", time.Hour, true)

	server.Close()
	wantClaim(t, f, "during", time.Hour, true)
	wantClaim(t, f, "during", time.Hour, false)
	wantClaim(t, f, "before", time.Hour, false)
	if _, down := health.Down(); !down {
		t.Error("Redis is taken to be up")
	}

	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// A connection of the pool may still have to find out.
	for i, down := 0, true; down; i++ {
		if ctx.Err() != nil {
			t.Fatal("Redis is taken to be down")
		}
		wantClaim(t, f, fmt.Sprint("after", i), time.Hour, true)
		_, down = health.Down()
	}
	wantClaim(t, f, "during", time.Hour, false)
	wantClaim(t, f, "shared", time.Hour, true)
	wantClaim(t, other, "shared", time.Hour, false)
	wantClaim(t, other, "before", time.Hour, false)
}

// A Redis that accepts connections and says nothing costs one time-out, not a claim.
func TestFallback_redisHangs(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	client := redistest.Connect(t, silent.Addr().String()+"?dial_timeout=1s&read_timeout=20ms")
	f := once.NewFallback(once.NewRedis(client), once.NewMemory(1000), newHealth())
	start := time.Now()
	wantClaim(t, f, "a", time.Hour, true)
	wantClaim(t, f, "a", time.Hour, false)
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v; want it bounded by the time-outs", took)
	}
}
