package limit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tikbridge/tikbridge/pkg/once"
)

// Prefix begins the name of every key in Redis.
const Prefix = "tikbridge:rate:"

// script is Take in Redis. What a key holds says nothing; its time to live is how much of its minute
// is spoken for, so the clock is the server's alone and nothing is left to clean up. ARGV has the
// share of one event, in milliseconds; the answer is how many to wait.
var script = once.NewScript(`
local spoken_for = math.max(redis.call("PTTL", KEYS[1]), 0) + ARGV[1]
if spoken_for > 60000 then
	return spoken_for - 60000
end
redis.call("SET", KEYS[1], "", "PX", spoken_for)
return 0`)

// Shared counts for all replicas in Redis. Each replica counts on its own as well: what it refuses by
// itself costs no call, and while Redis fails that count goes on. Safe for concurrent use.
type Shared struct {
	own     *Memory
	redis   *once.Redis
	health  *once.Degrading
	log     *slog.Logger
	refused sync.Once
}

// NewShared returns a limiter over redis that falls back to own. health, a store over the same Redis,
// tells whether Redis works, so that both learn it from either.
func NewShared(own *Memory, redis *once.Redis, health *once.Degrading, log *slog.Logger) *Shared {
	return &Shared{own: own, redis: redis, health: health, log: log}
}

// Take implements [Limiter]. The shared count is in milliseconds, so beyond 60,000 a minute it allows
// no more.
func (s *Shared) Take(ctx context.Context, key string, perMinute int) (time.Duration, error) {
	if wait, err := s.own.Take(ctx, key, perMinute); err != nil || wait > 0 {
		return wait, err
	}
	var wait time.Duration
	asked, err := s.health.Do(ctx, func() error {
		ms, err := s.redis.Run(ctx, script, Prefix+key, max(share(perMinute).Milliseconds(), 1))
		wait = time.Duration(ms) * time.Millisecond
		if errors.Is(err, once.ErrScript) {
			s.refused.Do(func() {
				s.log.WarnContext(ctx, "rate limits hold per replica only: Redis must allow EVALSHA and EVAL",
					slog.String("cause", err.Error()))
			})
		}
		return err
	})
	if err != nil || !asked {
		return 0, err
	}
	return wait, nil
}
