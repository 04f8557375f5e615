package main

import (
	"runtime/debug"
	"testing"
)

func TestGCPercent(t *testing.T) {
	const mib = 1 << 20
	for used, want := range map[uint64]int{0: 300, 4 * mib: 300, 6 * mib: 200, 12 * mib: 100, 500 * mib: 100} {
		if got := gcPercent(used); got != want {
			t.Errorf("gcPercent(%d MiB) = %d; want %d", used/mib, got, want)
		}
	}
}

// TestGiveHeadroom_chosen: what the operator set stays.
func TestGiveHeadroom_chosen(t *testing.T) {
	t.Setenv("GOGC", "70")
	before := debug.SetGCPercent(70)
	defer debug.SetGCPercent(before)
	giveHeadroom()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("GOGC=70 became %d", got)
	}
}
