package limit_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/limit"
	"github.com/tikbridge/tikbridge/pkg/limit/limittest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	limittest.Run(t, func(*testing.T) limit.Limiter { return limit.NewMemory(1000) })
}

// However many addresses an attacker has, memory is bounded, and those that come after are counted.
func TestMemory_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := limit.NewMemory(5000)
		for i := range 100_000 {
			if wait, err := m.Take(t.Context(), fmt.Sprint(i), 1); wait != 0 || err != nil {
				t.Fatalf("address %d: got %v, %v", i, wait, err)
			}
			if m.Len() > 5000 {
				t.Fatalf("%d keys after %d addresses; want 5000 at most", m.Len(), i+1)
			}
		}
		if wait, err := m.Take(t.Context(), "99999", 1); wait != time.Minute || err != nil {
			t.Errorf("the last address: got %v, %v; want a minute", wait, err)
		}
		time.Sleep(time.Minute)
		for i := range 5000 { // what is over makes room first
			if _, err := m.Take(t.Context(), fmt.Sprint("new ", i), 1); err != nil {
				t.Fatal(err)
			}
		}
		if wait, _ := m.Take(t.Context(), "new 0", 1); wait != time.Minute {
			t.Errorf("got %v; want the first of 5000 to be remembered", wait)
		}
	})
}

// A flood of addresses that each come once frees none that is spent, however many they are.
func TestMemory_flood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perMinute = 10
		m := limit.NewMemory(1 << 16)
		spend := func(key string) {
			for range perMinute {
				if wait, _ := m.Take(t.Context(), key, perMinute); wait != 0 {
					t.Fatalf("%s has to wait %v", key, wait)
				}
			}
		}
		spend("before")
		for i := range 70_000 {
			if i == 35_000 {
				spend("between")
			}
			if wait, _ := m.Take(t.Context(), fmt.Sprint(i), perMinute); wait != 0 {
				t.Fatalf("address %d has to wait %v", i, wait)
			}
			time.Sleep(50 * time.Microsecond)
		}
		if m.Len() > 1<<16 {
			t.Errorf("%d keys; want %d at most", m.Len(), 1<<16)
		}
		for _, key := range []string{"before", "between"} {
			if wait, _ := m.Take(t.Context(), key, perMinute); wait == 0 {
				t.Errorf("%s may come again after the flood", key)
			}
		}
	})
}

// Of addresses that are all spent, the oldest are forgotten first, and one that keeps coming is not old.
func TestMemory_oldest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := limit.NewMemory(1000)
		for i := range 1500 {
			if wait, _ := m.Take(t.Context(), fmt.Sprint(i), 1); wait != 0 {
				t.Fatalf("address %d has to wait %v", i, wait)
			}
			if i%100 == 99 {
				want(t, m, 1, i == 99)
			}
		}
		for i := 1499; i > 500; i-- {
			if wait, _ := m.Take(t.Context(), fmt.Sprint(i), 1); wait == 0 {
				t.Fatalf("address %d is forgotten; want the newest 1000 to be remembered", i)
			}
		}
		if wait, _ := m.Take(t.Context(), "0", 1); wait != 0 {
			t.Errorf("the oldest waits %v; want it forgotten", wait)
		}
	})
}

// want counts one event of the key a.
func want(t *testing.T, l limit.Limiter, perMinute int, allowed bool) {
	t.Helper()
	wait, err := l.Take(t.Context(), "a", perMinute)
	if err != nil || (wait == 0) != allowed {
		t.Errorf("got %v, %v; want allowed: %t", wait, err, allowed)
	}
}
