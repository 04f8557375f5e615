package bench_test

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// TestReport prints the tables of docs/performance.md: `make bench`. It takes minutes of a machine that
// does nothing else, so it runs only when TIKBRIDGE_BENCH is set; a number there is how often each
// measurement is repeated (3 unless told).
func TestReport(t *testing.T) {
	repeat := repetitions(t)
	s := startStandin(t)
	programs := append([]program{bridge(t), plainServer()}, others()...)
	t.Run("start", func(t *testing.T) { reportStart(t, s, programs) })
	t.Run("load", func(t *testing.T) { reportLoad(t, s, programs, repeat) })
	t.Run("long", func(t *testing.T) { reportLong(t, s, programs) })
	t.Run("one person", func(t *testing.T) { reportOnePerson(t, s, programs) })
}

// TestReportGoTrue measures against a real GoTrue: the one of TIKBRIDGE_CONTRACT_URL, whose answers
// pass through the stand-in, which goes on being TikTok. It makes users there and leaves them.
func TestReportGoTrue(t *testing.T) {
	repeat := repetitions(t)
	to, err := url.Parse(os.Getenv("TIKBRIDGE_CONTRACT_URL"))
	if err != nil || to.Host == "" {
		t.Skip("TIKBRIDGE_CONTRACT_URL names no GoTrue")
	}
	s := startStandin(t)
	s.gotrue = &fasthttp.HostClient{Addr: to.Host, MaxConns: 1 << 10}
	programs := append([]program{bridge(t), plainServer()}, others()...)
	tb := newTable("people", "clients", "server", "sign-ins/s", "median ms", "99 % ms", "CPU ms", "calls", "failed")
	for _, clients := range []int{1, 32} {
		for _, who := range []string{"first", "returning"} {
			for range repeat {
				for nth, p := range programs {
					running, stop := start(t, p, s)
					running.await(t)
					l := newLoad(running, s)
					people, warm := mix(firstTimers), int64(clients)
					if who == "returning" {
						// Some people of each server's own, who get their account before it is measured.
						warm = 320
						people = func(client, clients, i int) int {
							return population*(100+nth) + client + i*clients%256
						}
					}
					l.during(t, clients, people, times(warm))
					r := l.during(t, clients, people, lasting(4*time.Second))
					stop()
					tb.add([]string{who, fmt.Sprint(clients), p.name},
						r.perSecond(), r.quantile(0.5), r.quantile(0.99), r.cpuMS(), r.calls, float64(r.failed))
					complain(t, p, r)
				}
			}
		}
	}
	tb.print("A real GoTrue")
	tb.printRatios("A real GoTrue: the bridge compared", 0, 1, 3)
}

func repetitions(t *testing.T) int {
	t.Helper()
	var repeat int
	if _, err := fmt.Sscan(os.Getenv("TIKBRIDGE_BENCH"), &repeat); err != nil {
		t.Skip("set TIKBRIDGE_BENCH=3 to measure; it takes minutes")
	}
	if runtime.GOOS != "linux" {
		t.Skip("CPU time and memory are read from /proc, which only Linux has")
	}
	return max(1, repeat)
}

// complain fails the test if the bridge failed; what others do is a row of the table.
func complain(t *testing.T, p program, r result) {
	t.Helper()
	if r.failed > 0 && p.name == "bridge" {
		t.Errorf("the bridge failed %d sign-ins, such as: %v", r.failed, r.err)
	}
}

func reportStart(t *testing.T, s *standin, programs []program) {
	size, err := os.Stat(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	tb := newTable("server", "listens after ms", "first sign-in done after ms", "idle MiB")
	for range 7 {
		for _, p := range programs {
			running, stop := start(t, p, s)
			listens := running.await(t)
			if err := newLoad(running, s).signIn(1); err != nil {
				t.Error(err)
			}
			first := time.Since(running.started)
			stop()
			running, stop = start(t, p, s)
			running.await(t)
			time.Sleep(time.Second)
			idle := running.memory(t, "VmRSS")
			stop()
			tb.add([]string{p.name}, listens.Seconds()*1000, first.Seconds()*1000, idle)
		}
	}
	tb.print("Start")
	fmt.Printf("The binary has %.1f MiB.\n", float64(size.Size())/(1<<20))
}

func reportLoad(t *testing.T, s *standin, programs []program, repeat int) {
	tb := newTable(
		"delay", "clients", "server", "sign-ins/s", "median ms", "99 % ms", "CPU ms", "peak MiB", "calls", "failed",
	)
	// Repetitions are outermost and servers adjacent, so that a machine that slows down meets all alike.
	for range repeat {
		for _, delay := range []time.Duration{0, 20 * time.Millisecond, 50 * time.Millisecond} {
			for _, clients := range []int{1, 64, 256} {
				for _, p := range programs {
					s.delay.Store(int64(delay))
					running, stop := start(t, p, s)
					running.await(t)
					l := newLoad(running, s)
					l.during(t, clients, returning, lasting(time.Second))
					r := l.during(t, clients, returning, lasting(2500*time.Millisecond))
					peak := running.memory(t, "VmHWM")
					stop()
					tb.add([]string{delay.String(), fmt.Sprint(clients), p.name},
						r.perSecond(), r.quantile(0.5), r.quantile(0.99), r.cpuMS(), peak, r.calls, float64(r.failed))
					complain(t, p, r)
				}
			}
		}
	}
	s.delay.Store(0)
	tb.print("Load")
	tb.printRatios("The bridge compared", 0, 1, 3, 4)
}

// reportLong looks for memory that grows.
func reportLong(t *testing.T, s *standin, programs []program) {
	tb := newTable("server", "CPU ms", "MiB after 10,000", "MiB after 20,000", "MiB after 30,000", "peak MiB")
	for _, p := range programs {
		running, stop := start(t, p, s)
		running.await(t)
		l := newLoad(running, s)
		row := []float64{0}
		for range 3 {
			r := l.during(t, 64, returning, times(10_000))
			row[0] += r.cpuMS() / 3
			row = append(row, running.memory(t, "VmRSS"))
			complain(t, p, r)
		}
		tb.add([]string{p.name}, append(row, running.memory(t, "VmHWM"))...)
		stop()
	}
	tb.print("30,000 sign-ins at 64 clients")
}

// reportOnePerson signs one person in from many devices at once.
func reportOnePerson(t *testing.T, s *standin, programs []program) {
	tb := newTable("server", "sign-ins", "failed", "median ms")
	s.delay.Store(int64(20 * time.Millisecond))
	defer s.delay.Store(0)
	for _, p := range programs {
		running, stop := start(t, p, s)
		running.await(t)
		l := newLoad(running, s)
		r := l.during(t, 8, samePerson, times(100))
		stop()
		tb.add([]string{p.name}, float64(len(r.sorted)+r.failed), float64(r.failed), r.quantile(0.5))
		complain(t, p, r)
	}
	tb.print("One person from 8 clients at once, 20ms")
}

// table gathers measurements by what was measured; it shows medians.
type table struct {
	names, columns []string
	keys           []string
	runs           map[string][][]float64
}

// newTable returns a table whose columns up to "server" name what is measured.
func newTable(columns ...string) *table {
	i := slices.Index(columns, "server") + 1
	return &table{names: columns[:i], columns: columns[i:], runs: map[string][][]float64{}}
}

func (tb *table) add(names []string, values ...float64) {
	key := strings.Join(names, " | ")
	if _, ok := tb.runs[key]; !ok {
		tb.keys = append(tb.keys, key)
	}
	tb.runs[key] = append(tb.runs[key], values)
}

func (tb *table) print(title string) {
	head(title, tb.names, tb.columns)
	for _, key := range tb.keys {
		fmt.Print("| ", key)
		for i := range tb.columns {
			fmt.Print(" | ", number(median(tb.runs[key], func(run []float64) float64 { return run[i] })))
		}
		fmt.Println(" |")
	}
}

// printRatios shows the bridge's values by those of each other server, paired run by run.
func (tb *table) printRatios(title string, columns ...int) {
	var names []string
	for _, i := range columns {
		names = append(names, tb.columns[i])
	}
	head(title, append(slices.Clone(tb.names[:len(tb.names)-1]), "bridge by"), names)
	var ours [][]float64
	for _, key := range tb.keys {
		cut := strings.LastIndex(key, "| ") + 2
		if key[cut:] == "bridge" {
			ours = tb.runs[key]
			continue
		}
		fmt.Print("| ", key)
		for _, i := range columns {
			var ratios [][]float64
			for n, run := range tb.runs[key] {
				ratios = append(ratios, []float64{ours[n][i] / run[i]})
			}
			fmt.Print(" | ", number(median(ratios, func(run []float64) float64 { return run[0] })))
		}
		fmt.Println(" |")
	}
}

func head(title string, names, columns []string) {
	fmt.Printf("\n### %s\n\n| %s | %s |\n|%s%s\n", title, strings.Join(names, " | "), strings.Join(columns, " | "),
		strings.Repeat(" --- |", len(names)), strings.Repeat(" --: |", len(columns)))
}

func median(runs [][]float64, of func([]float64) float64) float64 {
	var values []float64
	for _, run := range runs {
		values = append(values, of(run))
	}
	slices.SortFunc(values, cmp.Compare)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
