package once

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Memory keeps marks in this process. It is bounded, works without a goroutine, and is safe for
// concurrent use.
type Memory struct {
	max int
	now func() time.Time

	mu    sync.Mutex
	marks map[digest]struct{}
	order byExpiry
	lost  int64
}

// digest stands for a key, so that a mark takes the same room whatever the key is.
type digest [sha256.Size]byte

type mark struct {
	key     digest
	expires time.Time
}

// NewMemory returns a store of at most limit live marks (at least one), each some 150 bytes. When it
// is full, a new mark takes the place of the one that expires soonest, whose single use is lost; see
// [Memory.Lost]. So choose a limit above the sign-ins that may begin within one ttl.
func NewMemory(limit int) *Memory {
	return &Memory{
		max:   max(limit, 1),
		now:   time.Now,
		marks: make(map[digest]struct{}),
	}
}

// First implements [Store].
func (m *Memory) First(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if err := check(ctx, ttl); err != nil {
		return false, err
	}
	d := digest(sha256.Sum256([]byte(key)))

	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	if _, seen := m.marks[d]; seen {
		return false, nil
	}
	if len(m.order) >= m.max {
		m.drop()
		m.lost++
	}
	m.marks[d] = struct{}{}
	heap.Push(&m.order, mark{key: d, expires: now.Add(ttl)})
	return true, nil
}

// Lost returns how many marks had to go before their time. Above zero, the limit is too low for the
// traffic.
func (m *Memory) Lost() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// Len returns how many marks are held, those included that expired since the last call of First.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.order)
}

// expire drops what is over. Each mark is dropped once, so on average a call pays for one.
func (m *Memory) expire(now time.Time) {
	for len(m.order) > 0 && !now.Before(m.order[0].expires) {
		m.drop()
	}
}

// drop removes the mark that expires soonest.
func (m *Memory) drop() {
	gone := heap.Pop(&m.order).(mark)
	delete(m.marks, gone.key)
}

// byExpiry is a heap with the mark that expires soonest on top.
type byExpiry []mark

func (h byExpiry) Len() int           { return len(h) }
func (h byExpiry) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h byExpiry) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *byExpiry) Push(x any) { *h = append(*h, x.(mark)) }

// Pop implements heap.Interface.
func (h *byExpiry) Pop() any {
	last := len(*h) - 1
	gone := (*h)[last]
	*h = (*h)[:last]
	return gone
}
