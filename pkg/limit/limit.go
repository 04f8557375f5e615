// Package limit says how often something may happen: so many times a minute for one key, such as the
// address of a client. Up to that many may come at once, then one at a time, evenly (the generic cell
// rate algorithm). [Memory] counts for one replica, [Shared] for all. Both pass the tests of
// limittest.
package limit

import (
	"context"
	"sync"
	"time"
)

// Limiter counts by key. Safe for concurrent use.
type Limiter interface {
	// Take counts one event and returns 0, or counts nothing and returns how long it is until the
	// next one is allowed. perMinute is at least 1, and always the same for a key. The only errors
	// are those of a context that is over.
	Take(ctx context.Context, key string, perMinute int) (wait time.Duration, err error)
}

// Memory counts in this process. It is bounded, works without a goroutine, and is safe for concurrent
// use.
type Memory struct {
	max int
	now func() time.Time

	mu sync.Mutex
	// busy tells until when the allowance of a key is spoken for: each event adds its share of a
	// minute, and nothing may reach further than a minute ahead.
	busy    map[string]time.Time
	sweepAt int // how many keys there may be before those are dropped whose time is over
}

// fewKeys is how many keys are not worth looking through.
const fewKeys = 1024

// NewMemory returns a limiter that keeps at most limit keys, each some 100 bytes. When so many are
// busy at once, half of them are forgotten and begin anew: an attacker with that many addresses must
// not cost memory too.
func NewMemory(limit int) *Memory {
	return &Memory{max: max(limit, 1), now: time.Now, busy: make(map[string]time.Time), sweepAt: min(max(limit, 1), fewKeys)}
}

// Take implements [Limiter].
func (m *Memory) Take(ctx context.Context, key string, perMinute int) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	until, known := m.busy[key]
	if until.Before(now) {
		until = now
	}
	until = until.Add(share(perMinute))
	if wait := until.Sub(now) - time.Minute; wait > 0 {
		return wait, nil
	}
	if !known && len(m.busy) >= m.sweepAt {
		m.sweep(now)
	}
	m.busy[key] = until
	return 0, nil
}

// share is what one event takes of a minute.
func share(perMinute int) time.Duration { return time.Minute / time.Duration(max(perMinute, 1)) }

// sweep makes room. It runs once in as many new keys as it leaves, so on average a call pays for one.
func (m *Memory) sweep(now time.Time) {
	for key, until := range m.busy {
		if !until.After(now) {
			delete(m.busy, key)
		}
	}
	if len(m.busy) >= m.max {
		for key := range m.busy {
			if len(m.busy) <= m.max/2 {
				break
			}
			delete(m.busy, key)
		}
	}
	m.sweepAt = min(max(2*len(m.busy), fewKeys), m.max)
}
