package limit

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Memory counts in this process. It is bounded, works without a goroutine, and is safe for concurrent
// use.
type Memory struct {
	max int
	now func() time.Time

	mu    sync.Mutex
	busy  map[string]*allowance
	queue queue // the same ones
	takes uint64
}

// allowance is what one key has left.
type allowance struct {
	key string
	// until is when all of it is free again: each event adds its share of a minute, up to one minute from now.
	until time.Time
	// last tells which of two keys was used later.
	last  uint64
	place int // in the queue
}

// NewMemory returns a limiter that keeps at most limit keys, each some 200 bytes: an attacker with many
// addresses must not use up memory. When it is full, it forgets the key that has the most left, and of several
// the one used longest ago. So a flood of new addresses does not free one that is spent.
func NewMemory(limit int) *Memory {
	return &Memory{max: max(limit, 1), now: time.Now, busy: make(map[string]*allowance)}
}

// Take implements [Limiter].
func (m *Memory) Take(ctx context.Context, key string, perMinute int) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	a := m.busy[key]
	if a == nil {
		m.makeRoom(now)
		a = &allowance{key: key}
		m.busy[key] = a
		heap.Push(&m.queue, a)
	}
	m.takes++
	a.last = m.takes
	until := a.until
	if until.Before(now) {
		until = now
	}
	until = until.Add(share(perMinute))
	wait := max(until.Sub(now)-time.Minute, 0)
	if wait == 0 {
		a.until = until
	}
	heap.Fix(&m.queue, a.place)
	return wait, nil
}

// makeRoom drops the keys whose time is over, and one more if there is still no room.
func (m *Memory) makeRoom(now time.Time) {
	for len(m.queue) > 0 && (len(m.queue) >= m.max || !m.queue[0].until.After(now)) {
		a := heap.Pop(&m.queue).(*allowance)
		delete(m.busy, a.key)
	}
}

// queue is a heap (container/heap) of allowances, with the next one to forget first.
type queue []*allowance

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].until.Equal(q[j].until) {
		return q[i].last < q[j].last
	}
	return q[i].until.Before(q[j].until)
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	a := x.(*allowance)
	a.place = len(*q)
	*q = append(*q, a)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	last := len(old) - 1
	a := old[last]
	old[last] = nil
	*q = old[:last]
	return a
}
