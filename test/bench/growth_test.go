package bench_test

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/test/process"
)

// TestReportGrowth prints the tables of docs/scale.md: what a sign-in of the hosted flow costs while more people sign
// in at once, and while there are more of them.
func TestReportGrowth(t *testing.T) {
	repeat := repetitions(t)
	stores := map[string]string{"memory": ""}
	names := []string{"memory"}
	if url := startRedis(t); url != "" {
		stores["Redis"] = url
		names = append(names, "Redis")
	}
	tb := newTable(
		"people", "at once", "store", "server", "sign-ins/s", "median ms", "99 % ms", "CPU ms", "peak MiB", "refused",
	)
	measure := func(people, clients int) {
		for _, store := range names {
			s := startStandin(t)
			s.population, s.redis = people, stores[store]
			s.delay.Store(int64(20 * time.Millisecond))
			p := bridge(t)
			running, stop := start(t, p, s)
			running.await(t)
			l := newLoad(running, s)
			l.flow = func(n int) error {
				err := l.hosted(n)
				if err != nil {
					time.Sleep(2 * time.Second) // as the Retry-After of a bridge that is full says
				}
				return err
			}
			l.during(t, clients, returningOf(people), lasting(time.Second))
			r := l.during(t, clients, returningOf(people), lasting(4*time.Second))
			peak := running.memory(t, "VmHWM")
			stop()
			tb.add([]string{fmt.Sprint(people), fmt.Sprint(clients), store, p.name},
				r.perSecond(), r.quantile(0.5), r.quantile(0.99), r.cpuMS(), peak, float64(r.failed))
			if r.err != nil && !strings.Contains(r.err.Error(), "status 503") {
				t.Error(r.err)
			}
		}
	}
	for range repeat {
		for _, clients := range []int{1, 64, 256, 1024} {
			measure(10_000, clients)
		}
		for _, people := range []int{1000, 100_000} {
			measure(people, 64)
		}
	}
	tb.print("Growth")
}

// startRedis returns the URL of a new redis-server, "" where none is installed.
func startRedis(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return ""
	}
	address := process.FreeAddresses(t, 1)[0]
	_, port, _ := net.SplitHostPort(address)
	redis, err := process.Start(exec.Command(path, "--port", port, "--save", "", "--appendonly", "no")) // #nosec G204
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Stop() })
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return "redis://" + address
		}
	}
	t.Fatal("redis-server does not listen")
	return ""
}
