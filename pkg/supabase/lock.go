package supabase

import (
	"context"
	"sync"
)

// keyedLock is a lock per key. Waiting ends with the context; keys that nobody holds or waits for
// take no memory. The zero value is ready.
type keyedLock struct {
	mu    sync.Mutex
	slots map[string]*slot
}

type slot struct {
	turn  chan struct{} // holds one token while the key is locked
	users int           // holder and waiters
}

// acquire locks key. The returned function unlocks it.
func (l *keyedLock) acquire(ctx context.Context, key string) (release func(), err error) {
	s := l.join(key)
	select {
	case s.turn <- struct{}{}:
		return func() {
			<-s.turn
			l.leave(key, s)
		}, nil
	case <-ctx.Done():
		l.leave(key, s)
		return nil, ctx.Err()
	}
}

func (l *keyedLock) join(key string) *slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots == nil {
		l.slots = make(map[string]*slot)
	}
	s := l.slots[key]
	if s == nil {
		s = &slot{turn: make(chan struct{}, 1)}
		l.slots[key] = s
	}
	s.users++
	return s
}

func (l *keyedLock) leave(key string, s *slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(l.slots, key)
	}
}
