package limit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tikbridge/tikbridge/pkg/redis"
)

// Fallback wraps a shared limiter and a local one. Every event counts in both: what the local one refuses
// costs no call of the shared one, and while that is down the local one goes on alone. Safe for concurrent
// use.
type Fallback struct {
	shared, local Limiter
	health        *redis.Health
	log           *slog.Logger
	refused       sync.Once
}

// NewFallback returns a limiter over shared, usually a [Redis], and local, usually a [Memory]. The health is
// that of the shared limiter's server.
func NewFallback(shared, local Limiter, health *redis.Health, log *slog.Logger) *Fallback {
	return &Fallback{shared: shared, local: local, health: health, log: log}
}

// Take implements [Limiter]. The only errors are those of a context that is over.
func (f *Fallback) Take(ctx context.Context, key string, perMinute int) (time.Duration, error) {
	if wait, err := f.local.Take(ctx, key, perMinute); err != nil || wait > 0 {
		return wait, err
	}
	var wait time.Duration
	asked, err := f.health.Do(ctx, func() (err error) {
		wait, err = f.shared.Take(ctx, key, perMinute)
		f.warn(ctx, err)
		return err
	})
	if err != nil || !asked {
		return 0, err
	}
	return wait, nil
}

// warn logs, once, that the server refuses scripts.
func (f *Fallback) warn(ctx context.Context, err error) {
	if errors.Is(err, redis.ErrScript) {
		f.refused.Do(func() {
			f.log.WarnContext(ctx, "rate limits hold per replica: Redis must allow EVALSHA and EVAL",
				slog.String("cause", err.Error()))
		})
	}
}
