package limit_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tikbridge/tikbridge/pkg/limit"
	"github.com/tikbridge/tikbridge/pkg/limit/limittest"
	"github.com/tikbridge/tikbridge/pkg/redis/redistest"
)

// movable is a limiter with the time of its server.
type movable struct {
	limit.Limiter
	advance func(time.Duration)
}

func (m movable) Advance(d time.Duration) { m.advance(d) }

func TestRedis(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t *testing.T) limit.Limiter {
		server := miniredis.RunT(t)
		return movable{limit.NewRedis(redistest.Connect(t, server.Addr())), server.FastForward}
	})
}

// The same with the server itself, where it is installed.
func TestRedis_server(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(t *testing.T) limit.Limiter {
		address, advance := redistest.Start(t)
		return movable{limit.NewRedis(redistest.Connect(t, address)), advance}
	})
}

// What one replica allowed, another knows. Each key lives no longer than it counts.
func TestRedis_replicas(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	one := limit.NewRedis(redistest.Connect(t, server.Addr()))
	other := limit.NewRedis(redistest.Connect(t, server.Addr()))
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
