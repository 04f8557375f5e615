package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/faulty"
)

// restartable is a server that comes back with all that it knows, as one with a database does.
type restartable struct {
	t       *testing.T
	address string
	handler http.Handler
	server  *http.Server
}

// upstream serves a simulator, with the faults of the moment.
func (s *soak) upstream(address string, next http.Handler) *restartable {
	r := &restartable{t: s.t, address: address, handler: &faulty.Upstream{Next: next, Choose: s.choose}}
	r.start()
	s.t.Cleanup(r.stop)
	return r
}

func (r *restartable) start() {
	var l net.Listener
	var err error
	for range 50 { // somebody may hold the port for a moment
		if l, err = net.Listen("tcp", r.address); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		r.t.Error(err)
		return
	}
	r.server = &http.Server{Handler: r.handler}
	go func(srv *http.Server) { _ = srv.Serve(l) }(r.server)
}

func (r *restartable) stop() { _ = r.server.Close() }

// choose returns the fault that a request meets, and counts the codes that reach TikTok.
func (s *soak) choose(call faulty.Call, _ *http.Request, body []byte) faulty.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if form, err := url.ParseQuery(string(body)); call == faulty.Token && err == nil {
		if form.Get("grant_type") == "authorization_code" { // the doctor tries the credentials at each start
			s.arrived[form.Get("code")]++
		}
	}
	if call == "/followed" {
		s.broken = append(s.broken, "a redirect was followed")
	}
	if s.fault != nil && (s.faultAt == "" || s.faultAt == call) && rand.Float64() < s.odds {
		return s.fault
	}
	if slow := s.slow; slow > 0 {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			time.Sleep(slow)
			next.ServeHTTP(w, r)
		}
	}
	return nil
}

// chaos breaks one thing after another.
func (s *soak) chaos(ctx context.Context) {
	rng := rand.New(rand.NewPCG(s.seed, 1<<63))
	between := func(low, high time.Duration) time.Duration { return low + time.Duration(rng.Int64N(int64(high-low))) }
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	for first := true; first || ctx.Err() == nil; first = false {
		switch n := rng.IntN(100); {
		case n < 55:
			k := s.kinds[rng.IntN(len(s.kinds))]
			calls := append(faulty.Calls(), "") // all
			call, odds := calls[rng.IntN(len(calls))], []float64{0.2, 1}[rng.IntN(2)]
			s.plan(call, k.Fault, odds, 0)
			s.happened("upstream " + k.Name)
			pause(between(200*time.Millisecond, 3*time.Second))
		case n < 65:
			s.plan("", nil, 0, between(20*time.Millisecond, 400*time.Millisecond))
			s.happened("upstreams slow")
			pause(between(time.Second, 4*time.Second))
		case n < 73:
			s.happened("TikTok restarted")
			s.tiktok.stop()
			pause(between(100*time.Millisecond, 2*time.Second))
			s.tiktok.start()
		case n < 81:
			s.happened("Supabase restarted")
			s.supabase.stop()
			pause(between(100*time.Millisecond, 2*time.Second))
			s.supabase.start()
		case n < 93:
			b := s.bridges[1+rng.IntN(soakBridges-1)]
			sig := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[rng.IntN(2)]
			s.happened(fmt.Sprintf("bridge restarted (%v)", sig))
			b.stop(sig)
			pause(between(0, time.Second))
			b.start()
		case s.redis != nil:
			s.happened("Redis restarted")
			s.redis.kill()
			pause(between(100*time.Millisecond, 3*time.Second))
			s.redis.start()
		default:
			s.happened("nothing, without Redis")
		}
		s.plan("", nil, 0, 0)
		pause(between(0, 2*time.Second))
	}
}

func (s *soak) plan(call faulty.Call, f faulty.Fault, odds float64, slow time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faultAt, s.fault, s.odds, s.slow = call, f, odds, slow
}

// soakRedis is a redis-server that forgets all when it is killed.
type soakRedis struct {
	t       *testing.T
	address string
	cmd     *exec.Cmd
	kills   atomic.Int64
}

func (r *soakRedis) start() {
	_, port, _ := net.SplitHostPort(r.address)
	r.cmd = exec.Command(
		"redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", r.t.TempDir(), "--save", "", "--appendonly",
		"no",
	)
	if err := r.cmd.Start(); err != nil {
		r.t.Error(err)
	}
}

func (r *soakRedis) kill() {
	r.kills.Add(1)
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// heal ends all faults, and wants everybody who ever signed in, or many of them, to get in again soon after the
// last fault.
func (s *soak) heal() {
	s.plan("", nil, 0, 0)
	time.Sleep(6 * time.Second) // a breaker that opened tries again after five
	s.mu.Lock()
	all := slices.Sorted(maps.Keys(s.users))
	s.mu.Unlock()
	rng := rand.New(rand.NewPCG(s.seed, 1<<62))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, who := range all[:min(60, len(all))] {
		outcome := ""
		for range 3 { // the first may be the one who finds out
			outcome = s.exchange(s.bridge(rng), who, 1)[0]
			s.note(soakMended, outcome)
			if outcome == soakSignedIn {
				break
			}
		}
		if outcome != soakSignedIn {
			s.breaks("after the last fault somebody cannot get in: %s", outcome)
		}
	}
}

// calm warms the bridges, and ends all connections that nobody needs.
func (s *soak) calm() {
	for _, b := range s.bridges {
		for range 5 {
			s.exchange(b, tiktoksim.OpenIDMira, 1)
		}
	}
	s.client.CloseIdleConnections()
	for _, r := range []*restartable{s.tiktok, s.supabase} {
		r.stop()
		r.start()
	}
	http.DefaultClient.CloseIdleConnections()
}
