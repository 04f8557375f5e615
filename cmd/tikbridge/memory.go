package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// headroom is how much is allocated between two collections of garbage at least, in bytes.
const headroom = 12 << 20

// giveHeadroom makes Go collect garbage less often while little memory is in use. Go lets the heap
// double; that of the bridge is so small that it would double fifty times a second under load, which
// takes a tenth of the CPU time of a sign-in. A heap larger than the headroom doubles as usual. With GOGC
// in the environment the operator has chosen; GOMEMLIMIT holds in any case.
func giveHeadroom() {
	if os.Getenv("GOGC") != "" {
		return
	}
	used := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	var collected func(*cycle)
	collected = func(c *cycle) {
		metrics.Read(used)
		var sum uint64
		for _, s := range used {
			sum += s.Value.Uint64()
		}
		if percent := gcPercent(sum); percent != c.percent {
			c.percent = percent
			debug.SetGCPercent(percent)
		}
		runtime.SetFinalizer(c, collected)
	}
	first := &cycle{gcPercent(0)}
	debug.SetGCPercent(first.percent)
	runtime.SetFinalizer(first, collected)
}

// cycle is garbage in each collection, and thereby tells of it.
type cycle struct{ percent int }

// gcPercent returns by how much what is used may grow (Go docs: A Guide to the Go Garbage Collector).
func gcPercent(used uint64) int {
	const smallest = 4 << 20                               // a heap that Go does not collect at 100 per cent
	return int(max(100, 100*headroom/max(used, smallest))) // #nosec G115 -- 300 at most
}
