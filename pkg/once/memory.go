package once

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Memory keeps claims in this process. It is bounded, works without a goroutine, and is safe for
// concurrent use.
type Memory struct {
	max int
	now func() time.Time

	mu     sync.Mutex
	claims map[digest]time.Time // when each expires
	order  byExpiry
	lost   int64
}

// digest stands for a key, so that a claim takes the same room whatever the key is.
type digest [sha256.Size]byte

type claim struct {
	key     digest
	expires time.Time
}

// NewMemory returns a store of at most limit live claims (at least one), each some 150 bytes. When it is
// full, a new claim replaces the one that expires soonest, whose key is then no longer single-use; see
// [Memory.Lost]. So choose a limit above the number of sign-ins that may begin within one ttl.
func NewMemory(limit int) *Memory {
	return &Memory{
		max:    max(limit, 1),
		now:    time.Now,
		claims: make(map[digest]time.Time),
	}
}

// Claim implements [Store].
func (m *Memory) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if ttl <= 0 {
		return false, ErrTTL
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	d := digest(sha256.Sum256([]byte(key)))

	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	if _, claimed := m.claims[d]; claimed {
		return false, nil
	}
	if len(m.order) >= m.max {
		m.drop()
		m.lost++
	}
	expires := now.Add(ttl)
	m.claims[d] = expires
	heap.Push(&m.order, claim{key: d, expires: expires})
	return true, nil
}

// Release implements [Store]. The claim's place in the order stays until its time is over.
func (m *Memory) Release(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.claims, sha256.Sum256([]byte(key)))
	return nil
}

// Lost returns how many claims were dropped before they expired. Above zero, the limit is too low for the
// traffic.
func (m *Memory) Lost() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// Len returns how many claims are held, including those that have expired since the last call of Claim.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.order)
}

// expire drops the claims that are over. Each is dropped once, so on average a call pays for one.
func (m *Memory) expire(now time.Time) {
	for len(m.order) > 0 && !now.Before(m.order[0].expires) {
		m.drop()
	}
}

// drop removes the claim that expires soonest.
func (m *Memory) drop() {
	dropped := heap.Pop(&m.order).(claim)
	if m.claims[dropped.key].Equal(dropped.expires) { // and was not released and claimed again
		delete(m.claims, dropped.key)
	}
}

// byExpiry is a heap with the claim that expires soonest on top.
type byExpiry []claim

func (h byExpiry) Len() int           { return len(h) }
func (h byExpiry) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h byExpiry) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *byExpiry) Push(x any) { *h = append(*h, x.(claim)) }

// Pop implements heap.Interface.
func (h *byExpiry) Pop() any {
	last := len(*h) - 1
	popped := (*h)[last]
	*h = (*h)[:last]
	return popped
}
