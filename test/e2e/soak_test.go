package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/faulty"
	"github.com/tikbridge/tikbridge/test/process"
)

// Addresses of the app that people of the soak sign in to.
const (
	soakPublicURL = "https://signin.app.example"
	soakCallback  = soakPublicURL + bridgePath + "callback"
	soakPage      = "https://app.example/auth"
	soakBridges   = 3
)

// TestSoak lets people sign in at a steady rate, in all ways, while upstreams fail, hang and restart,
// bridges are stopped and killed, and Redis comes and goes. Whatever happens, nobody gets the session
// of another, one person is one user, and every failure has a code of docs/errors.md. In the end all is
// well again, and memory and goroutines have levelled out.
//
// TIKBRIDGE_SOAK is how long it goes on; without it, a few seconds. TIKBRIDGE_SOAK_SEED repeats the
// choices of a run, though not its timing. TIKBRIDGE_SOAK_BINARY is the bridge; without it, one with the
// race detector if the test has it (make race).
func TestSoak(t *testing.T) {
	t.Parallel()
	length, perSecond := 6*time.Second, 10
	if v := os.Getenv("TIKBRIDGE_SOAK"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatalf("TIKBRIDGE_SOAK: %v", err)
		}
		length, perSecond = d, 30
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("TIKBRIDGE_SOAK_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("TIKBRIDGE_SOAK_SEED: %v", err)
		}
		seed = n
	}
	s := newSoak(t, seed)
	fmt.Printf("soak of %v with seed %d, %d bridges, Redis: %v\n", length, seed, soakBridges, s.redis != nil)
	s.calm() // the bridges are warm from here on
	before := s.figures(0)

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { s.chaos(ctx) })
	wg.Go(func() { s.watch(ctx, max(length/60, time.Second)) })
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for i := uint64(0); ctx.Err() == nil; i++ {
		wg.Go(func() { s.flow(rand.New(rand.NewPCG(seed, i))) })
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	wg.Wait()
	s.heal()
	s.calm()
	after := s.level(before)
	s.inspect()
	s.print(before, after)
	s.judge(length, before, after)
}

// soak is the whole: upstreams that fail, bridges that restart, people, and what is known of them.
type soak struct {
	t                *testing.T
	seed             uint64
	tt               *tiktoksim.Server
	gt               *gotruesim.Server
	tiktok, supabase *restartable
	bridges          []*soakBridge
	redis            *soakRedis // nil where redis-server is not installed
	client           *http.Client
	kinds            []faulty.Kind

	mu        sync.Mutex
	faultAt   faulty.Call
	fault     faulty.Fault
	odds      float64
	slow      time.Duration
	sent      map[string]int    // codes, by how often an app sent them
	arrived   map[string]int    // codes, by how often TikTok got them
	users     map[string]string // people, by the id of their user
	people    map[string]string // the other way round
	outcomes  map[string]map[string]int
	events    map[string]int
	broken    []string
	newcomers int
	samples   []figures // of the first bridge, which is never restarted
}

func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	s := &soak{
		t: t, seed: seed, tt: tiktoksim.New(tiktoksim.Options{}), gt: gotruesim.New(gotruesim.Options{}),
		client: &http.Client{
			Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		kinds: faulty.Kinds("/followed"),
		sent:  map[string]int{}, arrived: map[string]int{}, users: map[string]string{}, people: map[string]string{},
		outcomes: map[string]map[string]int{}, events: map[string]int{},
	}
	ports := process.FreeAddresses(t, 3+2*soakBridges)
	s.tiktok = s.upstream(ports[0], s.tt)
	s.supabase = s.upstream(ports[1], s.gt)
	environ := []string{
		"TIKTOK_CLIENT_KEY=" + tiktoksim.DefaultClientKey, "TIKTOK_CLIENT_SECRET=" + tiktoksim.DefaultClientSecret,
		"TIKBRIDGE_TIKTOK_API_URL=http://" + ports[0], "SUPABASE_URL=http://" + ports[1],
		"SUPABASE_PUBLISHABLE_KEY=" + gotruesim.PublishableKey, "SUPABASE_SECRET_KEY=" + gotruesim.SecretKey,
		"TIKBRIDGE_TIKTOK_TIMEOUT=2s", "TIKBRIDGE_SUPABASE_TIMEOUT=2s", "TIKBRIDGE_SERVER_SHUTDOWN_DELAY=0s",
		"TIKBRIDGE_APP_ORIGINS=https://app.example", "TIKBRIDGE_APP_DEEPLINK_SCHEMES=myapp",
		"TIKBRIDGE_SERVER_PUBLIC_URL=" + soakPublicURL, "GORACE=halt_on_error=1",
		// In force, but all people are one address.
		"TIKBRIDGE_RATE_LIMIT_START=1000000", "TIKBRIDGE_RATE_LIMIT_EXCHANGE=1000000",
		"TIKBRIDGE_RATE_LIMIT_REDEEM=1000000",
	}
	if _, err := exec.LookPath("redis-server"); err == nil {
		s.redis = &soakRedis{t: t, address: ports[2]}
		s.redis.start()
		t.Cleanup(s.redis.kill)
		environ = append(environ, "TIKBRIDGE_STORE_REDIS_URL=redis://"+ports[2])
	} else {
		fmt.Println("SKIPPED: the soak is without Redis: redis-server is not on PATH")
	}
	for i := range soakBridges {
		listen, admin := ports[3+2*i], ports[4+2*i]
		b := &soakBridge{
			soak: s, url: "http://" + listen, admin: "http://" + admin, log: filepath.Join(t.TempDir(), "log"),
		}
		b.environ = append(
			slices.Clone(environ), "TIKBRIDGE_SERVER_LISTEN="+listen, "TIKBRIDGE_SERVER_ADMIN_LISTEN="+admin,
		)
		b.start()
		t.Cleanup(func() { b.stop(syscall.SIGKILL) })
		s.bridges = append(s.bridges, b)
	}
	return s
}

// breaks notes that something is not as it must be.
func (s *soak) breaks(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

func (s *soak) happened(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[event]++
}

// How a request of a sign-in ends, beside the error codes.
const (
	soakSignedIn = "signed in"
	soakGone     = "bridge away"
)

// soakMended is the flow after the last fault.
const soakMended = "when all is well again"

var (
	soakBack   = regexp.MustCompile(`\?tikbridge_(handoff|error)=([A-Za-z0-9_-]+)`)
	soakCookie = regexp.MustCompile(`^(__Host-tikbridge-[^=]+=[^;]+);`)
)

// figures of a process.
type figures struct{ memory, goroutines float64 } // MiB, number

func (s *soak) figures(i int) figures {
	m, _ := s.bridges[i].metrics()
	return figures{m["process_resident_memory_bytes"] / (1 << 20), m["go_goroutines"]}
}

// watch samples the first bridge.
func (s *soak) watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f := s.figures(0)
			s.mu.Lock()
			s.samples = append(s.samples, f)
			s.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// level waits until the goroutines of the first bridge are as few as before, and returns its figures.
func (s *soak) level(before figures) (now figures) {
	for range 100 {
		if now = s.figures(0); now.goroutines <= before.goroutines+soakSlack {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return now
}

// inspect looks at what is left: accounts, codes, logs.
func (s *soak) inspect() {
	var list struct {
		Users []struct {
			ID  string `json:"id"`
			App struct {
				TikTok struct {
					OpenID string `json:"open_id"`
				} `json:"tiktok"`
			} `json:"app_metadata"`
		} `json:"users"`
	}
	s.direct(s.gt, http.MethodGet, "/auth/v1/admin/users?page=1&per_page=100000", gotruesim.SecretKey, "", nil, &list)
	if len(list.Users) != s.gt.Users() {
		s.breaks("%d of %d accounts are listed", len(list.Users), s.gt.Users())
	}
	marked := map[string]string{}
	for _, u := range list.Users {
		if who := u.App.TikTok.OpenID; who != "" {
			if other, ok := marked[who]; ok {
				s.breaks("%s has two accounts, %s and %s", who, u.ID, other)
			}
			marked[who] = u.ID
		}
	}
	s.mu.Lock()
	for code, n := range s.arrived {
		if n > s.sent[code] {
			s.broken = append(
				s.broken, fmt.Sprintf("a code that was sent %d times reached TikTok %d times", s.sent[code], n),
			)
		}
	}
	s.mu.Unlock()
	for i, b := range s.bridges {
		b.stop(syscall.SIGTERM)
		text, err := os.ReadFile(b.log)
		if err != nil {
			s.breaks("%v", err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") ||
				strings.Contains(line, `"error":"internal"`) {
				s.breaks("bridge %d logs: %s", i, line)
			}
		}
	}
}

// soakSlack is how many goroutines more than at first are nothing to worry about: connections that
// are being made or closed.
const soakSlack = 8

// quarter returns the median memory of a quarter of the run, 1 to 4.
func (s *soak) quarter(n int) float64 {
	part := slices.Clone(s.samples[len(s.samples)*(n-1)/4 : len(s.samples)*n/4])
	if len(part) == 0 {
		return 0
	}
	slices.SortFunc(part, func(a, b figures) int { return cmp.Compare(a.memory, b.memory) })
	return part[len(part)/2].memory
}

// print writes the summary.
func (s *soak) print(before, after figures) {
	codes := map[string]int{}
	fmt.Printf("\n| flow | ended | signed in | refused | bridge away |\n| --- | --: | --: | --: | --: |\n")
	var all [4]int
	for _, flow := range slices.Sorted(maps.Keys(s.outcomes)) {
		var row [4]int
		for outcome, n := range s.outcomes[flow] {
			row[0] += n
			switch outcome {
			case soakSignedIn:
				row[1] += n
			case soakGone:
				row[3] += n
			default:
				row[2] += n
				codes[outcome] += n
			}
		}
		for i, n := range row {
			all[i] += n
		}
		fmt.Printf("| %s | %d | %d | %d | %d |\n", flow, row[0], row[1], row[2], row[3])
	}
	fmt.Printf("| **all** | %d | %d | %d | %d |\n\n", all[0], all[1], all[2], all[3])
	fmt.Printf("Refused by code: %s\n", counted(codes))
	fmt.Printf("What happened: %s\n", counted(s.events))
	fmt.Printf("People: %d, accounts: %d\n", len(s.users), s.gt.Users())
	most := figures{}
	for _, f := range s.samples {
		most.memory, most.goroutines = max(most.memory, f.memory), max(most.goroutines, f.goroutines)
	}
	fmt.Printf("The bridge that ran throughout: %.1f MiB at first, medians by quarter %.1f %.1f %.1f %.1f, most %.1f, "+
		"in the end %.1f; goroutines %.0f at first, most %.0f, in the end %.0f\n",
		before.memory, s.quarter(1), s.quarter(2), s.quarter(3), s.quarter(4), most.memory, after.memory,
		before.goroutines, most.goroutines, after.goroutines)
	fmt.Printf("Broken invariants: %d (seed %d)\n", len(s.broken), s.seed)
}

func counted(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}

// judge fails the test for what is broken, and for a run that shows nothing.
func (s *soak) judge(length time.Duration, before, after figures) {
	for _, text := range s.broken[:min(20, len(s.broken))] {
		s.t.Error(text)
	}
	if after.goroutines > before.goroutines+soakSlack {
		s.t.Errorf("%.0f goroutines in the end, %.0f at first", after.goroutines, before.goroutines)
	}
	in := 0
	for flow, outcomes := range s.outcomes {
		if flow != soakMended {
			in += outcomes[soakSignedIn]
		}
	}
	if in == 0 || len(s.events) == 0 {
		s.t.Error("nobody signed in or nothing happened, so that this shows nothing")
	}
	const long = 2 * time.Minute // before that, caches and pools are still filling
	if second, last := s.quarter(2), s.quarter(4); length >= long && last > 1.1*second+4 {
		s.t.Errorf("memory grows: %.1f MiB in the second quarter, %.1f in the last", second, last)
	}
}
