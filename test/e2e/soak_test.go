package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/faulty"
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
// race detector.
func TestSoak(t *testing.T) {
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
	ports := freePorts(t, 3+2*soakBridges)
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
		s.arrived[form.Get("code")]++
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

// soakBridge is a process of the built binary that is started again and again.
type soakBridge struct {
	soak       *soak
	url, admin string
	environ    []string
	log        string

	mu         sync.Mutex
	cmd        *exec.Cmd
	exited     chan error
	generation int // odd while it runs
}

func (b *soakBridge) start() {
	out, err := os.OpenFile(b.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.soak.t.Error(err)
		return
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(cmp.Or(os.Getenv("TIKBRIDGE_SOAK_BINARY"), binary), "serve")
	cmd.Env = append(withoutSettings(os.Environ()), b.environ...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		b.soak.t.Error(err)
		return
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for ready := false; !ready; {
		select {
		case err := <-exited:
			b.soak.breaks("a bridge does not start: %v", err)
			exited <- err
			ready = true
		case <-time.After(20 * time.Millisecond):
			ready = probe(b.url + "/healthz")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cmd, b.exited = cmd, exited
	b.generation++
}

func probe(address string) bool {
	resp, err := http.Get(address)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the process, if it runs. After SIGTERM it must end well.
func (b *soakBridge) stop(sig syscall.Signal) {
	b.mu.Lock()
	running := b.generation%2 == 1
	if running {
		b.generation++
	}
	cmd, exited := b.cmd, b.exited
	b.mu.Unlock()
	if !running {
		return
	}
	select {
	case err := <-exited:
		b.soak.breaks("a bridge ended by itself: %v", err)
		return
	default:
	}
	_ = cmd.Process.Signal(sig)
	select {
	case err := <-exited:
		if err != nil && sig == syscall.SIGTERM &&
			!strings.Contains(b.tail(), "profiles still on their way were dropped") {
			b.soak.breaks("a bridge that was told to stop ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		b.soak.breaks("a bridge did not stop within 30 s, and was killed: %v", <-exited)
	}
}

// tail returns the end of the log.
func (b *soakBridge) tail() string {
	text, _ := os.ReadFile(b.log)
	return string(text[max(0, len(text)-2000):])
}

// incarnation tells one life of the process from the next.
func (b *soakBridge) incarnation() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.generation
}

// errGone: the bridge was stopped meanwhile, or is not running.
var errGone = errors.New("the bridge was restarted")

// ask sends a request to a bridge. That one fails without an answer is only right if the bridge was
// stopped meanwhile.
func (s *soak) ask(b *soakBridge, method, path string, header http.Header, body any) (int, http.Header, []byte, error) {
	before := b.incarnation()
	var payload io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil, err
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, b.url+path, payload)
	if err != nil {
		return 0, nil, nil, err
	}
	maps.Copy(req.Header, header)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	var content []byte
	if err == nil {
		content, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err != nil {
		if before%2 == 1 && before == b.incarnation() {
			s.breaks("a running bridge gave no answer: %v", err)
		}
		return 0, nil, nil, errGone
	}
	return resp.StatusCode, resp.Header, content, nil
}

// bridge returns one of the bridges, in no order. Whether it runs shows when it is asked.
func (s *soak) bridge(rng *rand.Rand) *soakBridge { return s.bridges[rng.IntN(len(s.bridges))] }

// someone returns a person: most often one of those who come again and again, two of whom differ by
// letter case alone.
func (s *soak) someone(rng *rand.Rand) string {
	if n := rng.IntN(40); n >= 2 {
		return fmt.Sprintf("-000%032d", n)
	} else if n == 1 {
		return tiktoksim.OpenIDTwinA
	}
	return tiktoksim.OpenIDTwinB
}

// newcomer returns somebody nobody has seen, who may have an account of the guide's Edge Function.
func (s *soak) newcomer(rng *rand.Rand) string {
	s.mu.Lock()
	s.newcomers++
	who := fmt.Sprintf("-000New%029d", s.newcomers)
	s.mu.Unlock()
	if rng.IntN(4) == 0 {
		s.direct(s.gt, http.MethodPost, "/auth/v1/admin/users", gotruesim.SecretKey, "", map[string]any{
			"email": strings.ToLower(who) + "@tiktok.oauth", "password": "secret-of-nobody", "email_confirm": true,
		}, &struct{}{})
	}
	return who
}

// direct asks a simulator past all faults.
func (s *soak) direct(h http.Handler, method, path, key, token string, body, into any) {
	payload, err := json.Marshal(body)
	if err != nil {
		s.breaks("%v", err)
		return
	}
	req := httptest.NewRequest(method, path, bytes.NewReader(payload))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Apikey", key)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil || rec.Code != http.StatusOK {
		s.breaks("%s %s answers %d: %s", method, path, rec.Code, rec.Body)
	}
}

// code makes an authorization code that an app will send that often.
func (s *soak) code(who, redirect string, times int) string {
	var made struct {
		Code string `json:"code"`
	}
	s.direct(s.tt, http.MethodPost, "/sim/codes", "", "", map[string]any{
		"open_id": who, "redirect_uri": redirect, "display_name": "Somebody " + strconv.Itoa(rand.IntN(3)),
	}, &made)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[made.Code] = times
	return made.Code
}

// How a request of a sign-in ends, beside the error codes.
const (
	soakSignedIn = "signed in"
	soakGone     = "bridge away"
)

// soakMended is the flow after the last fault.
const soakMended = "when all is well again"

// flow lets somebody sign in, in one of the ways.
func (s *soak) flow(rng *rand.Rand) {
	switch n := rng.IntN(100); {
	case n < 30:
		s.note("guide", s.exchange(s.bridge(rng), s.someone(rng), 1)...)
	case n < 45:
		s.note("hosted, web", s.hosted(rng, s.someone(rng), "web", 1)...)
	case n < 50:
		s.note("hosted, web, by cookie", s.hosted(rng, s.someone(rng), "cookie", 1)...)
	case n < 65:
		s.note("hosted, native", s.hosted(rng, s.someone(rng), "native", 1)...)
	case n < 73:
		s.note("first, guide", s.exchange(s.bridge(rng), s.newcomer(rng), 1)...)
	case n < 80:
		s.note("first, hosted", s.hosted(rng, s.newcomer(rng), "native", 1)...)
	case n < 85:
		who := s.someone(rng)
		var wg sync.WaitGroup
		for range 6 {
			b := s.bridge(rng)
			wg.Go(func() { s.note("one person, six clients", s.exchange(b, who, 1)...) })
		}
		wg.Wait()
	case n < 90:
		s.note("cancelled", s.cancel(rng))
	case n < 95:
		s.note("code sent twice", s.exchange(s.bridge(rng), s.someone(rng), 2)...)
	default:
		s.note("handoff redeemed twice", s.hosted(rng, s.someone(rng), "web", 2)...)
	}
}

func (s *soak) note(flow string, outcomes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outcomes[flow] == nil {
		s.outcomes[flow] = map[string]int{}
	}
	for _, o := range outcomes {
		s.outcomes[flow][o]++
	}
}

// exchange is the guide flow. The code is sent that often, one after another; at most one of
// them may be good.
func (s *soak) exchange(b *soakBridge, who string, times int) (outcomes []string) {
	code, good := s.code(who, soakPage, times), 0
	for range times {
		status, _, body, err := s.ask(b, http.MethodPost, "/api/auth/tiktok-callback", nil,
			map[string]string{"code": code, "redirect_uri": soakPage})
		outcome := s.ended(who, status, body, err)
		if outcome == soakSignedIn {
			good++
		}
		outcomes = append(outcomes, outcome)
	}
	if good > 1 {
		s.breaks("a code was good for %d sessions", good)
	}
	return outcomes
}

var (
	soakBack   = regexp.MustCompile(`\?tikbridge_(handoff|error)=([A-Za-z0-9_-]+)`)
	soakCookie = regexp.MustCompile(`^(__Host-tikbridge-[^=]+=[^;]+);`)
)

// begin starts a sign-in of the hosted flow and returns its state.
func (s *soak) begin(b *soakBridge, platform, challenge string) (state, cookie, failed string) {
	q := url.Values{"platform": {platform}}
	if challenge != "" {
		q.Set("challenge", challenge)
	}
	if platform == "web" {
		q.Set("redirect_to", "https://app.example/in")
	}
	status, header, body, err := s.ask(
		b, http.MethodGet, bridgePath+"start?"+q.Encode(), http.Header{"Accept": {"application/json"}}, nil,
	)
	if err != nil || status != http.StatusOK {
		return "", "", s.ended("", status, body, err)
	}
	var begun struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(body, &begun); err != nil {
		s.breaks("start answers %s", body)
	}
	u, err := url.Parse(begun.URL)
	if err != nil {
		s.breaks("start leads to %q", begun.URL)
		return "", "", string(signin.Internal)
	}
	if m := soakCookie.FindStringSubmatch(header.Get("Set-Cookie")); m != nil {
		cookie = m[1]
	}
	return u.Query().Get("state"), cookie, ""
}

// back is the callback of a sign-in, and what it brings the app.
func (s *soak) back(b *soakBridge, q url.Values, cookie string) (handoff, failed string) {
	status, header, body, err := s.ask(
		b, http.MethodGet, bridgePath+"callback?"+q.Encode(), http.Header{"Cookie": {cookie}}, nil,
	)
	if err != nil {
		return "", soakGone
	}
	m := soakBack.FindStringSubmatch(header.Get("Location") + " " + string(body))
	switch {
	case m == nil:
		return "", s.ended("", status, body, nil)
	case m[1] == "handoff":
		return m[2], ""
	}
	return "", s.known(m[2])
}

// hosted is the hosted flow. Each of its steps may be taken by another bridge. The handoff is
// redeemed that often; at most one may be good.
func (s *soak) hosted(rng *rand.Rand, who, platform string, times int) (outcomes []string) {
	verifier := fmt.Sprintf("%064x", rng.Uint64())
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if platform == "cookie" {
		platform, verifier, challenge = "web", "", ""
	}
	state, cookie, failed := s.begin(s.bridge(rng), platform, challenge)
	if failed != "" {
		return []string{failed}
	}
	if challenge != "" && rng.IntN(2) == 0 {
		cookie = "" // TikTok's app may come back in another browser
	}
	handoff, failed := s.back(
		s.bridge(rng), url.Values{"state": {state}, "code": {s.code(who, soakCallback, 1)}}, cookie,
	)
	if failed != "" {
		return []string{failed}
	}
	first := s.bridge(rng)
	second := s.bridge(rng)
	used, life := s.storeErrors(first, second), first.incarnation()
	good := 0
	for i := range times {
		b := []*soakBridge{first, second}[i%2]
		status, _, body, err := s.ask(b, http.MethodPost, bridgePath+"redeem", http.Header{"Cookie": {cookie}},
			map[string]string{"handoff": handoff, "verifier": verifier})
		outcome := s.ended(who, status, body, err)
		if outcome == soakSignedIn {
			good++
		}
		outcomes = append(outcomes, outcome)
	}
	// Of two bridges without Redis between them, or one that lost its memory, each has its own first time.
	same := first == second && life == first.incarnation()
	shared := used != "" && used == s.storeErrors(first, second)
	if good > 1 && (same || shared) {
		s.breaks("a handoff was good for %d sessions", good)
	}
	return outcomes
}

// storeErrors returns a word that stays the same while two bridges both reach Redis; "" if they do not.
func (s *soak) storeErrors(bridges ...*soakBridge) (word string) {
	if s.redis == nil {
		return ""
	}
	word = fmt.Sprint(s.redis.kills.Load(), " ") // a connection that died in between is replaced without an error
	for _, b := range bridges {
		m, ok := b.metrics()
		if !ok || m["tikbridge_once_degraded"] != 0 {
			return ""
		}
		word += fmt.Sprint(b.incarnation(), m["tikbridge_once_errors_total"], " ")
	}
	return word
}

// cancel is a sign-in that the person declines.
func (s *soak) cancel(rng *rand.Rand) string {
	sum := sha256.Sum256([]byte("verifier"))
	state, cookie, failed := s.begin(s.bridge(rng), "native", base64.RawURLEncoding.EncodeToString(sum[:]))
	if failed != "" {
		return failed
	}
	handoff, failed := s.back(s.bridge(rng), url.Values{"state": {state}, "error": {"access_denied"}}, cookie)
	if handoff != "" {
		s.breaks("a sign-in that was cancelled brings a handoff")
	}
	if failed != soakGone && failed != string(signin.AccessDenied) {
		s.breaks("a sign-in that was cancelled ends with %q", failed)
	}
	return failed
}

// ended looks at the answer that ends a sign-in of who: a session that is theirs, or an error.
func (s *soak) ended(who string, status int, body []byte, err error) string {
	if err != nil {
		return soakGone
	}
	if status != http.StatusOK {
		var e struct {
			Error     string `json:"error"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(body, &e); err != nil || e.RequestID == "" {
			s.breaks("status %d with no error of the bridge: %s", status, body)
		}
		return s.known(e.Error)
	}
	var in session
	if err := json.Unmarshal(body, &in); err != nil || in.RefreshToken == "" {
		s.breaks("status 200 with no session: %v", err)
		return soakSignedIn
	}
	var user struct {
		ID  string `json:"id"`
		App struct {
			TikTok struct {
				OpenID string `json:"open_id"`
			} `json:"tiktok"`
		} `json:"app_metadata"`
	}
	s.direct(s.gt, http.MethodGet, "/auth/v1/user", gotruesim.PublishableKey, in.AccessToken, nil, &user)
	if user.ID != in.User.ID || user.App.TikTok.OpenID != who {
		s.breaks("the session of %s (%s) is of %s (%s)", in.User.ID, who, user.ID, user.App.TikTok.OpenID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.users[who]; ok && id != user.ID {
		s.broken = append(s.broken, fmt.Sprintf("%s is user %s, and was %s", who, user.ID, id))
	}
	if other, ok := s.people[user.ID]; ok && other != who {
		s.broken = append(s.broken, fmt.Sprintf("user %s is %s, and was %s", user.ID, who, other))
	}
	s.users[who], s.people[user.ID] = user.ID, who
	return soakSignedIn
}

// known checks that a code is one of docs/errors.md, and none that says that the bridge has a fault.
func (s *soak) known(code string) string {
	if !slices.Contains(signin.Codes(), signin.Code(code)) || code == string(signin.Internal) {
		s.breaks("a sign-in ends with %q", code)
	}
	return code
}

// figures of a process.
type figures struct{ memory, goroutines float64 } // MiB, number

// metrics reads /metrics; without labels.
func (b *soakBridge) metrics() (map[string]float64, bool) {
	resp, err := http.Get(b.admin + "/metrics")
	if err != nil {
		return nil, false
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, false
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			all[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return all, true
}

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

// heal ends all faults, and wants everybody who ever signed in, or many of them, to get in again soon after the last fault.
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
	fmt.Printf("The bridge that ran throughout: %.1f MiB at first, medians by quarter %.1f %.1f %.1f %.1f, most %.1f, in the end %.1f; goroutines %.0f at first, most %.0f, in the end %.0f\n",
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
