// Package limittest is the conformance suite of limit.Limiter. Every limiter runs it, so that callers need not
// know which one they have.
package limittest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/limit"
)

// Advancer is a limiter whose time the suite can move, since it does not follow the clock of this
// process. Any other limiter is tested in a synctest bubble.
type Advancer interface {
	limit.Limiter
	Advance(d time.Duration)
}

// slack is how far an answer may be off: limiters count in milliseconds, and time passes meanwhile.
const slack = time.Second

// Run tests the limiters that newLimiter makes, one for each subtest. newLimiter closes what it opens with
// t.Cleanup; it may be called within a synctest bubble.
func Run(t *testing.T, newLimiter func(t *testing.T) limit.Limiter) {
	t.Helper()
	for _, tt := range []struct {
		name string
		test func(*testing.T, limit.Limiter, func(time.Duration))
	}{
		{"so many at once, then one at a time", testBurst},
		{"keys count apart", testKeys},
		{"what is refused does not count", testRefused},
		{"the least and the most", testExtremes},
		{"one key, concurrently", testConcurrently},
		{"context that is over", testContext},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if l, ok := newLimiter(t).(Advancer); ok {
				tt.test(t, l, l.Advance)
				return
			}
			synctest.Test(t, func(t *testing.T) { tt.test(t, newLimiter(t), time.Sleep) })
		})
	}
}

// take counts one event and checks how long it has to wait.
func take(t *testing.T, l limit.Limiter, key string, perMinute int, want time.Duration) {
	t.Helper()
	got, err := l.Take(t.Context(), key, perMinute)
	if err != nil || (got == 0) != (want == 0) || got > want || got < want-slack {
		t.Errorf("%s: got %v, %v; want %v", key, got, err, want)
	}
}

func testBurst(t *testing.T, l limit.Limiter, advance func(time.Duration)) {
	for range 2 {
		for range 6 {
			take(t, l, "a", 6, 0)
		}
		take(t, l, "a", 6, 10*time.Second)
		advance(6 * time.Second)
		take(t, l, "a", 6, 4*time.Second)
		advance(5 * time.Second)
		take(t, l, "a", 6, 0)
		take(t, l, "a", 6, 9*time.Second)
		advance(21 * time.Second)
		take(t, l, "a", 6, 0)
		take(t, l, "a", 6, 0)
		take(t, l, "a", 6, 8*time.Second)
		advance(time.Hour) // no more than a minute's worth is saved up
	}
}

func testKeys(t *testing.T, l limit.Limiter, _ func(time.Duration)) {
	for _, key := range []string{"start:192.0.2.1", "start:192.0.2.2", "redeem:192.0.2.1", "", "*", "2001:db8::/64"} {
		take(t, l, key, 2, 0)
		take(t, l, key, 2, 0)
		take(t, l, key, 2, 30*time.Second)
	}
}

// Asking again and again does not make the wait longer.
func testRefused(t *testing.T, l limit.Limiter, advance func(time.Duration)) {
	take(t, l, "a", 1, 0)
	for range 50 {
		take(t, l, "a", 1, time.Minute)
	}
	advance(61 * time.Second)
	take(t, l, "a", 1, 0)
}

func testExtremes(t *testing.T, l limit.Limiter, _ func(time.Duration)) {
	take(t, l, "one", 1, 0)
	take(t, l, "one", 1, time.Minute)
	for range 300 {
		take(t, l, "many", 60_000, 0)
	}
	take(t, l, "more than can be counted", 1<<30, 0)
	take(t, l, "more than can be counted", 1<<30, 0)
}

func testConcurrently(t *testing.T, l limit.Limiter, _ func(time.Duration)) {
	const callers, allowed = 100, 5
	var got atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-start
			wait, err := l.Take(t.Context(), "a", allowed)
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
			if wait == 0 {
				got.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	if got.Load() != allowed {
		t.Errorf("%d of %d were allowed; want %d", got.Load(), callers, allowed)
	}
}

// Nobody waits for the answer, so nothing is counted.
func testContext(t *testing.T, l limit.Limiter, _ func(time.Duration)) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 3 {
		if _, err := l.Take(ctx, "a", 1); !errors.Is(err, context.Canceled) {
			t.Error(fmt.Errorf("call %d: got %w; want context.Canceled", i, err))
		}
	}
	take(t, l, "a", 1, 0)
}
