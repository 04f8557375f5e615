package once_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/once/oncetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	oncetest.Run(t, func(*testing.T) once.Store { return once.NewMemory(1000) })
}

// wantClaim claims key and compares the answer.
func wantClaim(t *testing.T, s once.Store, key string, ttl time.Duration, want bool) {
	t.Helper()
	if got, err := s.Claim(t.Context(), key, ttl); err != nil || got != want {
		t.Errorf("%q: got %t, %v; want %t", key, got, err, want)
	}
}

func TestMemory_flood(t *testing.T) {
	t.Parallel()
	const limit, callers, each = 100, 8, 500
	m := once.NewMemory(limit)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				wantClaim(t, m, fmt.Sprintf("%d-%d", c, i), time.Hour, true)
			}
		})
	}
	wg.Wait()
	if got := m.Len(); got != limit {
		t.Errorf("holds %d claims; want %d", got, limit)
	}
	if got := m.Lost(); got != callers*each-limit {
		t.Errorf("lost %d; want %d", got, callers*each-limit)
	}
}

// model is a memory as its documentation tells it, at any cost.
type model struct {
	limit  int
	lost   int64
	claims map[string]time.Time
}

func (m *model) claim(now time.Time, key string, ttl time.Duration) bool {
	for k, expires := range m.claims {
		if !expires.After(now) {
			delete(m.claims, k)
		}
	}
	if _, claimed := m.claims[key]; claimed {
		return false
	}
	if len(m.claims) == m.limit {
		soonest := ""
		for k, expires := range m.claims {
			if soonest == "" || expires.Before(m.claims[soonest]) {
				soonest = k
			}
		}
		delete(m.claims, soonest)
		m.lost++
	}
	m.claims[key] = now.Add(ttl)
	return true
}

func TestMemory_model(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(rt, "limit")
		now := time.Unix(0, 0)
		memory := once.NewMemory(limit)
		memory.SetClock(func() time.Time { return now })
		want := &model{limit: limit, claims: map[string]time.Time{}}
		for step := range rapid.IntRange(1, 100).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "wait")) * time.Second)
			key := rapid.StringMatching(`[a-p]`).Draw(rt, "key")
			// No two claims expire at once, so it is clear which one goes.
			ttl := time.Duration(rapid.IntRange(1, 20).Draw(rt, "ttl"))*time.Second + time.Duration(step)
			claimed, err := memory.Claim(t.Context(), key, ttl)
			if err != nil {
				rt.Fatal(err)
			}
			if wantClaimed := want.claim(now, key, ttl); claimed != wantClaimed {
				rt.Fatalf("step %d, %q: got %t; want %t", step, key, claimed, wantClaimed)
			}
			if memory.Len() != len(want.claims) || memory.Lost() != want.lost {
				rt.Fatalf("step %d: got %d held, %d lost; want %d, %d",
					step, memory.Len(), memory.Lost(), len(want.claims), want.lost)
			}
		}
	})
}
