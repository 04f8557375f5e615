package once

import (
	"context"
	"time"

	"github.com/tikbridge/tikbridge/pkg/redis"
)

// prefix begins the name of every claim in Redis.
const prefix = "tikbridge:once:"

// Redis keeps the claims of all replicas, as long as the server keeps keys; see [redis.Client]. Safe for
// concurrent use.
type Redis struct{ client *redis.Client }

// NewRedis returns a store over client. The caller closes client.
func NewRedis(client *redis.Client) *Redis { return &Redis{client} }

// Ping tells whether the server answers and accepts our credentials.
func (r *Redis) Ping(ctx context.Context) error { return r.client.Ping(ctx) }

// Claim implements [Store].
func (r *Redis) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if ttl <= 0 {
		return false, ErrTTL
	}
	return r.client.SetIfAbsent(ctx, prefix+key, ttl)
}

// Release implements [Store].
func (r *Redis) Release(ctx context.Context, key string) error {
	return r.client.Delete(ctx, prefix+key)
}
