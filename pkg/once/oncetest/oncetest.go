// Package oncetest is the conformance suite of once.Store. Every store runs it, so that callers need not know
// which one they have.
package oncetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/once"
)

// Advancer is a store whose time the suite can move, since it does not follow the clock of this
// process. Expiry of any other store is tested in a synctest bubble.
type Advancer interface {
	once.Store
	Advance(d time.Duration)
}

// Run tests the stores that newStore makes, one for each subtest. newStore closes what it opens with
// t.Cleanup; it may be called within a synctest bubble.
func Run(t *testing.T, newStore func(t *testing.T) once.Store) {
	t.Helper()
	for _, tt := range []struct {
		name string
		test func(*testing.T, once.Store)
	}{
		{"one key, another key", testKeys},
		{"many keys", testManyKeys},
		{"odd keys", testOddKeys},
		{"ttl that is none", testNoTTL},
		{"release", testRelease},
		{"one key, concurrently", testOneKeyConcurrently},
		{"some keys, concurrently", testSomeKeysConcurrently},
		{"context that is over", testContext},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, newStore(t))
		})
	}
	for _, tt := range []struct {
		name string
		test func(*testing.T, once.Store, func(time.Duration))
	}{
		{"expiry", testExpiry},
		{"a second claim does not prolong the first", testNoProlonging},
		{"each claim has its own ttl", testOwnTTL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if s, ok := newStore(t).(Advancer); ok {
				tt.test(t, s, s.Advance)
				return
			}
			synctest.Test(t, func(t *testing.T) { tt.test(t, newStore(t), time.Sleep) })
		})
	}
}

// want claims key for a minute and compares the answer.
func want(t *testing.T, s once.Store, key string, claimed bool) {
	t.Helper()
	wantFor(t, s, key, time.Minute, claimed)
}

func wantFor(t *testing.T, s once.Store, key string, ttl time.Duration, claimed bool) {
	t.Helper()
	got, err := s.Claim(t.Context(), key, ttl)
	if err != nil || got != claimed {
		t.Errorf("%.40q for %v: got %t, %v; want %t", key, ttl, got, err, claimed)
	}
}

func testKeys(t *testing.T, s once.Store) {
	want(t, s, "state:a", true)
	want(t, s, "state:a", false)
	want(t, s, "state:a", false)
	want(t, s, "state:b", true)
	want(t, s, "state:a", false)
	want(t, s, "state:b", false)
}

func testManyKeys(t *testing.T, s once.Store) {
	const keys = 500
	for _, claimed := range []bool{true, false} {
		for i := range keys {
			want(t, s, fmt.Sprintf("key-%d", i), claimed)
		}
	}
}

// Keys are bytes: nothing in them is cut, trimmed, folded, normalised or obeyed.
func testOddKeys(t *testing.T, s once.Store) {
	long := strings.Repeat("0123456789abcdef", 4096)
	for _, key := range []string{
		"", " ", "a", "A", "a ", " a", "a\n", "\x00", "a\x00", "a\x00b", "\xff\xfe", "\xff", "\xfe",
		"\r\n$4\r\nQUIT\r\n", "a\r\nFLUSHALL\r\n", "*", "?", "[a-z]", "{a}", "%s%n", "a:b", "a:", ":",
		"\u00e9", "e\u0301", "\u202etxt", "鍵", "🔑", long, long + "x", long + "y", long[1:],
	} {
		want(t, s, key, true)
		want(t, s, key, false)
	}
}

func testNoTTL(t *testing.T, s once.Store) {
	for _, ttl := range []time.Duration{0, -1, -time.Hour} {
		if claimed, err := s.Claim(t.Context(), "a", ttl); claimed || !errors.Is(err, once.ErrTTL) {
			t.Errorf("%v: got %t, %v; want ErrTTL", ttl, claimed, err)
		}
	}
	want(t, s, "a", true)
	wantFor(t, s, "shorter than any store can count", 1, true)
	wantFor(t, s, "longer than anything lives", 20*365*24*time.Hour, true)
	want(t, s, "longer than anything lives", false)
}

// A released key can be claimed again, for its whole ttl, and no other key is touched.
func testRelease(t *testing.T, s once.Store) {
	release := func(key string) {
		t.Helper()
		if err := s.Release(t.Context(), key); err != nil {
			t.Errorf("release %q: %v", key, err)
		}
	}
	release("a")
	want(t, s, "a", true)
	want(t, s, "b", true)
	release("a")
	want(t, s, "b", false)
	want(t, s, "a", true)
	want(t, s, "a", false)
}

func testOneKeyConcurrently(t *testing.T, s once.Store) {
	const callers = 100
	if got := claimConcurrently(t, s, callers, func(int) string { return "a" }); got != 1 {
		t.Errorf("%d of %d callers got the claim; want exactly one", got, callers)
	}
	want(t, s, "a", false)
}

func testSomeKeysConcurrently(t *testing.T, s once.Store) {
	const callers, keys = 100, 10
	got := claimConcurrently(t, s, callers, func(i int) string { return fmt.Sprintf("key-%d", i%keys) })
	if got != keys {
		t.Errorf("%d of %d callers got a claim; want one for each of %d keys", got, callers, keys)
	}
}

// claimConcurrently claims key(i) from n goroutines and returns how many succeeded.
func claimConcurrently(t *testing.T, s once.Store, n int, key func(i int) string) int64 {
	t.Helper()
	var got atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			claimed, err := s.Claim(t.Context(), key(i), time.Minute)
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
			if claimed {
				got.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return got.Load()
}

// Nobody waits for the answer, so the key is left to the next caller.
func testContext(t *testing.T, s once.Store) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for cause, ctx := range map[error]context.Context{
		context.Canceled: cancelled, context.DeadlineExceeded: late,
	} {
		if claimed, err := s.Claim(ctx, "a", time.Minute); claimed || !errors.Is(err, cause) {
			t.Errorf("got %t, %v; want %v", claimed, err, cause)
		}
	}
	want(t, s, "a", true)
	want(t, s, "a", false)
}

func testExpiry(t *testing.T, s once.Store, advance func(time.Duration)) {
	for range 3 {
		want(t, s, "a", true)
		advance(59 * time.Second)
		want(t, s, "a", false)
		advance(2 * time.Second)
	}
	want(t, s, "a", true)
	want(t, s, "a", false)
}

func testNoProlonging(t *testing.T, s once.Store, advance func(time.Duration)) {
	want(t, s, "a", true)
	advance(30 * time.Second)
	wantFor(t, s, "a", time.Hour, false)
	advance(31 * time.Second)
	want(t, s, "a", true)
}

func testOwnTTL(t *testing.T, s once.Store, advance func(time.Duration)) {
	wantFor(t, s, "long", time.Hour, true)
	wantFor(t, s, "short", 1500*time.Millisecond, true)
	wantFor(t, s, "middle", time.Minute, true)
	advance(1400 * time.Millisecond)
	wantFor(t, s, "short", time.Hour, false)
	advance(200 * time.Millisecond)
	wantFor(t, s, "short", time.Hour, true)
	wantFor(t, s, "middle", time.Hour, false)
	advance(time.Minute)
	wantFor(t, s, "middle", time.Hour, true)
	wantFor(t, s, "long", time.Hour, false)
	wantFor(t, s, "short", time.Hour, false)
}
