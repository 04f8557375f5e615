// Package limit says how often something may happen: so many times a minute for one key, such as a client
// IP. Up to that many may come at once, then one at a time, evenly (the generic cell rate algorithm).
//
// [Memory] counts for one replica, [Redis] for all, and [Fallback] uses Redis while it is up and memory
// while it is down. All of them pass the tests of limittest.
package limit

import (
	"context"
	"time"
)

// Limiter counts by key. Safe for concurrent use.
type Limiter interface {
	// Take counts one event and returns 0, or counts nothing and returns how long it is until the next one is
	// allowed. perMinute is at least 1, and always the same for a key.
	//
	// After an error the event may or may not be counted. The error of a context that is over is that
	// context's.
	Take(ctx context.Context, key string, perMinute int) (wait time.Duration, err error)
}

// share is what one event takes of a minute.
func share(perMinute int) time.Duration { return time.Minute / time.Duration(max(perMinute, 1)) }
