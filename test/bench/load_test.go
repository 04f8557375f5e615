package bench_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// load sends sign-ins to a process.
type load struct {
	flow    func(n int) error // the guide flow, unless told
	process *server
	standin *standin
	client  *fasthttp.HostClient
	nonce   atomic.Int64
}

func newLoad(p *server, s *standin) *load {
	l := &load{process: p, standin: s, client: &fasthttp.HostClient{
		Addr: p.addr, MaxConns: 1 << 10, ReadTimeout: 30 * time.Second, NoDefaultUserAgentHeader: true,
	}}
	l.flow = l.signIn
	return l
}

// signIn signs a person in and checks that the session is theirs.
func (l *load) signIn(n int) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + l.process.addr + l.process.path)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.Set("Origin", "https://app.example")
	req.SetBodyString(`{"code":"` + code(
		n, int(l.nonce.Add(1)),
	) + `","redirect_uri":"https://app.example/auth","state":"0b1a5e3e-3c5f-4f1e-9d8a-5c1f2f3a4b5c|myapp"}`)
	if err := l.client.Do(req, resp); err != nil {
		return err
	}
	return l.check(n, resp)
}

// check checks that resp is a session of this person. A real GoTrue makes a token of its own.
func (l *load) check(n int, resp *fasthttp.Response) error {
	want := `"access_token":"`
	if l.standin.gotrue == nil {
		want += l.standin.person(n).access + `"`
	}
	if resp.StatusCode() != fasthttp.StatusOK || !bytes.Contains(resp.Body(), []byte(want)) {
		return fmt.Errorf("sign-in of %d: status %d, %.200s", n, resp.StatusCode(), resp.Body())
	}
	return nil
}

// mix says who signs in next at a client.
type mix func(client, clients, i int) (number int)

// returning are people who have an account; no two clients are one person.
var returning = returningOf(population)

func returningOf(people int) mix {
	return func(client, clients, i int) int { return (client + i*clients) % (people / clients * clients) }
}

// samePerson is one person at all clients.
func samePerson(int, int, int) int { return 1 }

var newcomers atomic.Int64

// firstTimers are people who have none.
func firstTimers(int, int, int) int { return population + int(newcomers.Add(1)) }

// result is what a load brought.
type result struct {
	took   time.Duration
	sorted []time.Duration // of every sign-in that went well
	failed int
	err    error // of one that did not
	cpu    time.Duration
	calls  float64 // to the stand-in, per sign-in
}

func (r result) perSecond() float64 { return float64(len(r.sorted)) / r.took.Seconds() }

// cpuMS is the CPU time per sign-in in milliseconds.
func (r result) cpuMS() float64 { return r.cpu.Seconds() * 1000 / float64(max(1, len(r.sorted))) }

// quantile is in milliseconds.
func (r result) quantile(q float64) float64 {
	if len(r.sorted) == 0 {
		return 0
	}
	return r.sorted[min(len(r.sorted)-1, int(q*float64(len(r.sorted))))].Seconds() * 1000
}

// during runs clients, each of which signs people in one after another, until enough says so. The
// process is as it was left by what ran before: warm, or new.
func (l *load) during(tb testing.TB, clients int, who mix, enough func(started int64, took time.Duration) bool) result {
	tb.Helper()
	var (
		r       result
		mu      sync.Mutex
		wg      sync.WaitGroup
		started atomic.Int64
	)
	cpu, calls, begin := l.process.cpu(tb), l.standin.calls.Load(), time.Now()
	for client := range clients {
		wg.Go(func() {
			var times []time.Duration
			var failed int
			var last error
			for i := 0; !enough(started.Add(1), time.Since(begin)); i++ {
				start := time.Now()
				if err := l.flow(who(client, clients, i)); err != nil {
					failed, last = failed+1, err
					continue
				}
				times = append(times, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			r.sorted, r.failed = append(r.sorted, times...), r.failed+failed
			if last != nil {
				r.err = last
			}
		})
	}
	wg.Wait()
	r.took, r.cpu = time.Since(begin), l.process.cpu(tb)-cpu
	r.calls = float64(l.standin.calls.Load()-calls) / float64(max(1, len(r.sorted)))
	slices.Sort(r.sorted)
	return r
}

// lasting and times end a load.
func lasting(d time.Duration) func(int64, time.Duration) bool {
	return func(_ int64, took time.Duration) bool { return took >= d }
}

func times(n int64) func(int64, time.Duration) bool {
	return func(started int64, _ time.Duration) bool { return started > n }
}

func number(f float64) string {
	switch {
	case f >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}
