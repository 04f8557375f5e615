package once_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/once/oncetest"
	"github.com/tikbridge/tikbridge/pkg/redis/redistest"
)

// newRedis returns a store on the server at address (host:port).
func newRedis(t *testing.T, address string) *once.Redis {
	t.Helper()
	return once.NewRedis(redistest.Connect(t, address))
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
		return movable{newRedis(t, server.Addr()), server.FastForward}
	})
}

// The same with the server itself, where it is installed.
func TestRedis_server(t *testing.T) {
	t.Parallel()
	oncetest.Run(t, func(t *testing.T) once.Store {
		address, advance := redistest.Start(t)
		return movable{newRedis(t, address), advance}
	})
}

// inTurn sends each call to the next of several replicas.
type inTurn struct {
	stores []once.Store
	calls  atomic.Int64
}

func (s *inTurn) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return s.next().Claim(ctx, key, ttl)
}

func (s *inTurn) Release(ctx context.Context, key string) error { return s.next().Release(ctx, key) }

func (s *inTurn) next() once.Store { return s.stores[int(s.calls.Add(1))%len(s.stores)] }

// Replicas share nothing but the server.
func TestRedis_replicas(t *testing.T) {
	t.Parallel()
	oncetest.Run(t, func(t *testing.T) once.Store {
		server := miniredis.RunT(t)
		replicas := []once.Store{newRedis(t, server.Addr()), newRedis(t, server.Addr())}
		return movable{&inTurn{stores: replicas}, server.FastForward}
	})
}

// Other programs may use the same database.
func TestRedis_key(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	wantClaim(t, newRedis(t, server.Addr()), "state:a", 10*time.Minute, true)
	if got := server.Keys(); len(got) != 1 || got[0] != "tikbridge:once:state:a" {
		t.Errorf("got keys %q", got)
	}
	if got := server.TTL("tikbridge:once:state:a"); got != 10*time.Minute {
		t.Errorf("got a ttl of %v; want 10m", got)
	}
}
