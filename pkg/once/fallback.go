package once

import (
	"context"
	"time"

	"github.com/tikbridge/tikbridge/pkg/redis"
)

// Fallback wraps a shared store and falls back to a local one while the shared store is down: sign-ins go
// on, and single use holds per replica only. Safe for concurrent use.
type Fallback struct {
	shared, local Store
	health        *redis.Health
}

// NewFallback returns a store over shared, usually a [Redis], and local, usually a [Memory]. The health is
// that of the shared store's server.
func NewFallback(shared, local Store, health *redis.Health) *Fallback {
	return &Fallback{shared: shared, local: local, health: health}
}

// Claim implements [Store]. Every claim is made in the local store first and then in the shared one, so what
// was claimed while Redis was down stays claimed on this replica when it is back.
func (f *Fallback) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if claimed, err := f.local.Claim(ctx, key, ttl); err != nil || !claimed {
		return false, err
	}
	var claimed bool
	asked, err := f.health.Do(ctx, func() (err error) {
		claimed, err = f.shared.Claim(ctx, key, ttl)
		return err
	})
	return err == nil && (claimed || !asked), err
}

// Release implements [Store]. While Redis is down, the other replicas keep the claim.
func (f *Fallback) Release(ctx context.Context, key string) error {
	if err := f.local.Release(ctx, key); err != nil {
		return err
	}
	_, err := f.health.Do(ctx, func() error { return f.shared.Release(ctx, key) })
	return err
}
