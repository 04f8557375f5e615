package bench_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// idleFor is longer than the bridge trusts a connection, and upstreams close theirs within it.
	idleFor = 25 * time.Second
	// atTikTok is how long people need to agree.
	atTikTok = time.Second
)

// farFlow is a way to sign in at a far stand-in. It returns how long the person waits for their session.
type farFlow struct {
	name    string
	program program
	signIn  func(l *load, n int) (time.Duration, error)
}

// guideFlow is a request with TikTok's code.
func guideFlow(l *load, n int) (time.Duration, error) {
	start := time.Now()
	err := l.signIn(n)
	return time.Since(start), err
}

// hostedFlow counts from when the person comes back from TikTok.
func hostedFlow(l *load, n int) (time.Duration, error) {
	state, err := l.begin()
	if err != nil {
		return 0, err
	}
	time.Sleep(atTikTok)
	start := time.Now()
	err = l.finish(n, state)
	return time.Since(start), err
}

// TestReportFar prints the table that docs/performance.md begins with: how long a returning person waits where TikTok
// and Supabase are TIKBRIDGE_BENCH_ROUND_TRIP away (50ms unless told), behind TLS. The number in TIKBRIDGE_BENCH is how
// many processes of each server are measured, ten at least.
func TestReportFar(t *testing.T) {
	processes := max(10, repetitions(t))
	roundTrip := 50 * time.Millisecond
	if told := os.Getenv("TIKBRIDGE_BENCH_ROUND_TRIP"); told != "" {
		var err error
		if roundTrip, err = time.ParseDuration(told); err != nil {
			t.Fatal(err)
		}
	}
	flows := []farFlow{{"bridge, hosted", bridge(t), hostedFlow}, {"bridge, guide", bridge(t), guideFlow}}
	for _, p := range append([]program{leastServer(), plainServer()}, others()...) {
		flows = append(flows, farFlow{p.name, p, guideFlow})
	}
	for _, http2 := range []bool{true, false} {
		protocol := "HTTP/1.1"
		if http2 {
			protocol = "HTTP/2"
		}
		t.Run(protocol, func(t *testing.T) {
			s := startStandin(t)
			s.away = putAway(t, s, roundTrip, http2)
			reportFar(t, s, flows, processes, protocol+", round trip "+roundTrip.String())
		})
	}
}

func reportFar(t *testing.T, s *standin, flows []farFlow, processes int, title string) {
	waits := map[string]map[string][]time.Duration{} // by when and flow
	measure := func(when string, f farFlow, l *load, n int) {
		took, err := f.signIn(l, n)
		if err != nil {
			t.Fatalf("%s, %s: %v", f.name, when, err)
		}
		if waits[when] == nil {
			waits[when] = map[string][]time.Duration{}
		}
		waits[when][f.name] = append(waits[when][f.name], took)
	}
	const cold, warm, idle = "first after the start", "one after another", "first after idling"
	loads := map[string][]*load{}
	for range processes { // servers are adjacent, so that a machine that slows down meets all alike
		for _, f := range flows {
			running, _ := start(t, f.program, s)
			running.await(t)
			l := newLoad(running, s)
			loads[f.name] = append(loads[f.name], l)
			measure(cold, f, l, 1)
		}
	}
	for process := range processes {
		for _, f := range flows {
			for n := range 5 {
				measure(warm, f, loads[f.name][process], 2+n)
			}
		}
	}
	s.away.closeAll()
	time.Sleep(idleFor)
	for process := range processes {
		for _, f := range flows {
			measure(idle, f, loads[f.name][process], 10)
		}
	}
	printFar(title, []string{cold, idle, warm}, flows, waits)
}

func printFar(title string, whens []string, flows []farFlow, waits map[string]map[string][]time.Duration) {
	quantile := func(when, flow string, q float64) float64 {
		sorted := slices.SortedFunc(slices.Values(waits[when][flow]), cmp.Compare)
		return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Seconds() * 1000
	}
	ratios := []string{"by hosted", "by guide"}
	head(title, []string{"when", "server"}, append([]string{"median ms", "90 % ms", "worst ms"}, ratios...))
	for _, when := range whens {
		for _, f := range flows {
			fmt.Printf("| %s | %s", when, f.name)
			for _, q := range []float64{0.5, 0.9, 1} {
				fmt.Print(" | ", number(quantile(when, f.name, q)))
			}
			for _, ours := range flows[:len(ratios)] {
				ratio := ""
				if !strings.HasPrefix(f.name, "bridge") {
					ratio = number(quantile(when, f.name, 0.5) / quantile(when, ours.name, 0.5))
				}
				fmt.Print(" | ", ratio)
			}
			fmt.Println(" |")
		}
	}
}
