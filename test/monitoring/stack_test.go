package monitoring

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
)

// query is one of the dashboard, with where it is.
type query struct {
	where, expr string
	isStat      bool // one number, which people read as it is
}

// dashboardQueries loads the dashboard with Grafana's own types and returns its queries.
func dashboardQueries(t *testing.T) (queries []query) {
	t.Helper()
	file, err := os.ReadFile(root + "/configs/grafana/tikbridge.json")
	if err != nil {
		t.Fatal(err)
	}
	plugins.RegisterDefaultPlugins()
	var board dashboard.Dashboard
	// Finds fields that are unknown, missing or of another type; an empty list of them is an error too, and
	// then leaves panels out.
	if err := new(dashboard.Dashboard).UnmarshalJSONStrict(file); err != nil && err.Error() != "" {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file, &board); err != nil {
		t.Fatal(err)
	}
	if err := board.Validate(); err != nil {
		t.Fatal(err)
	}
	ids, places := map[uint32]bool{}, map[string]bool{}
	once := func(what string, id uint32, pos *dashboard.GridPos) {
		place := fmt.Sprint(pos.X, pos.Y)
		if ids[id] || places[place] || pos.X+pos.W > 24 {
			t.Errorf("%s shares its id or its place, or is too wide", what)
		}
		ids[id], places[place] = true, true
	}
	for _, p := range board.Panels {
		if p.RowPanel != nil {
			once(*p.RowPanel.Title, p.RowPanel.Id, p.RowPanel.GridPos)
			continue
		}
		title := *p.Panel.Title
		once(title, *p.Panel.Id, p.Panel.GridPos)
		if len(p.Panel.Targets) == 0 {
			t.Errorf("%s has no query", title)
		}
		for _, target := range p.Panel.Targets {
			q, ok := target.(*prometheus.Dataquery)
			if !ok {
				t.Fatalf("%s asks %T", title, target)
			}
			queries = append(queries, query{title, q.Expr, p.Panel.Type == "stat"})
		}
	}
	return queries
}

// stack is the bridge with simulated upstreams, each in a process of its own.
type stack struct{ bridge, admin, tiktok string }

var (
	bin   string // of the bridge
	built = sync.OnceValue(func() error {
		build := exec.Command("go", "build", "-o", bin, "./cmd/tikbridge")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
		return nil
	})
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tikbridge-monitoring-")
	if err != nil {
		panic(err)
	}
	bin = filepath.Join(dir, "tikbridge")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func startStack(t *testing.T, settings ...string) stack {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	bridge, admin, tiktok, supabase := freePort(t), freePort(t), freePort(t), freePort(t)
	s := stack{"http://" + bridge, "http://" + admin, "http://" + tiktok}
	run(t, exec.Command(bin, "simulate", "tiktok", "--listen", tiktok))
	run(t, exec.Command(bin, "simulate", "supabase", "--listen", supabase))
	serve := exec.Command(bin, "serve")
	serve.Env = []string{
		"TIKTOK_CLIENT_KEY=sim_client_key", "TIKTOK_CLIENT_SECRET=sim_client_secret",
		"TIKBRIDGE_TIKTOK_API_URL=" + s.tiktok, "TIKBRIDGE_TIKTOK_AUTHORIZE_URL=" + s.tiktok + "/v2/auth/authorize/",
		"SUPABASE_URL=http://" + supabase, "SUPABASE_PUBLISHABLE_KEY=sb_publishable_development_only",
		"SUPABASE_SECRET_KEY=sb_secret_development_only",
		"TIKBRIDGE_APP_ORIGINS=https://app.example", "TIKBRIDGE_APP_DEEPLINK_SCHEMES=myapp",
		"TIKBRIDGE_SERVER_LISTEN=" + bridge, "TIKBRIDGE_SERVER_ADMIN_LISTEN=" + admin,
		"TIKBRIDGE_SERVER_PUBLIC_URL=" + s.bridge,
		"TIKBRIDGE_SERVER_SHUTDOWN_DELAY=0s", "TIKBRIDGE_RATE_LIMIT_START=4",
	}
	serve.Env = append(serve.Env, settings...)
	for _, ready := range []string{s.tiktok + "/sim/", "http://" + supabase + "/health"} {
		wait(t, ready)
	}
	run(t, serve)
	wait(t, s.admin+"/readyz")
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// run starts a process, which ends with the test, and shows what it wrote if the test failed.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd, &out)
		}
	})
}

// client shows redirects instead of following them.
var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func wait(t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if resp, err := client.Get(address); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("%s does not answer", address)
}

// ask sends a request, and wants a status.
func ask(t *testing.T, method, address string, body any, status int) (http.Header, []byte) {
	t.Helper()
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, sent)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s answers %d, want %d: %s", method, address, resp.StatusCode, status, answer)
	}
	return resp.Header, answer
}

// code makes a code of a person.
func (s stack) code(t *testing.T, person int, redirect string) string {
	t.Helper()
	_, answer := ask(t, http.MethodPost, s.tiktok+"/sim/codes", map[string]any{
		"open_id": fmt.Sprintf("-000%032d", person), "redirect_uri": redirect,
	}, http.StatusOK)
	var made struct{ Code string }
	if err := json.Unmarshal(answer, &made); err != nil {
		t.Fatal(err)
	}
	return made.Code
}

func (s stack) fault(t *testing.T, endpoint, fault string, count int) {
	t.Helper()
	ask(
		t, http.MethodPost, s.tiktok+"/sim/faults",
		map[string]any{"endpoint": endpoint, "fault": fault, "count": count}, http.StatusOK,
	)
}

// guide signs in by the guide flow.
func (s stack) guide(t *testing.T, person, status int) {
	t.Helper()
	const redirect = "https://app.example/auth"
	ask(t, http.MethodPost, s.bridge+"/api/auth/tiktok-callback", map[string]any{
		"code": s.code(t, person, redirect), "redirect_uri": redirect,
	}, status)
}

var (
	statePattern   = regexp.MustCompile(`[?&]state=([A-Za-z0-9_-]+)`)
	handoffPattern = regexp.MustCompile(`tikbridge_handoff=([A-Za-z0-9_-]+)`)
)

// hosted signs in by the hosted flow, and then redeems the used handoff once more.
func (s stack) hosted(t *testing.T, person int) {
	t.Helper()
	const verifier = "a-verifier-of-an-app-that-nobody-else-has-seen"
	sum := sha256.Sum256([]byte(verifier))
	begun, _ := ask(
		t, http.MethodGet,
		s.bridge+"/api/auth/tiktok/start?platform=native&challenge="+base64.RawURLEncoding.EncodeToString(sum[:]), nil,
		http.StatusFound,
	)
	state := statePattern.FindStringSubmatch(begun.Get("Location"))
	if state == nil {
		t.Fatalf("no state in %s", begun.Get("Location"))
	}
	callback := s.bridge + "/api/auth/tiktok/callback"
	_, page := ask(
		t, http.MethodGet, callback+"?"+url.Values{"state": {state[1]}, "code": {s.code(t, person, callback)}}.Encode(),
		nil, http.StatusOK,
	)
	handoff := handoffPattern.FindSubmatch(page)
	if handoff == nil {
		t.Fatalf("no handoff in %s", page)
	}
	redeem := map[string]any{"handoff": string(handoff[1]), "verifier": verifier}
	ask(t, http.MethodPost, s.bridge+"/api/auth/tiktok/redeem", redeem, http.StatusOK)
	ask(t, http.MethodPost, s.bridge+"/api/auth/tiktok/redeem", redeem, http.StatusBadRequest)
}

// people do all that people do, well and badly.
func (s stack) people(t *testing.T, round int) {
	t.Helper()
	s.guide(t, 2*round, http.StatusOK) // first sign-ins, then returning people
	s.guide(t, 2*round, http.StatusOK)
	s.hosted(t, 2*round+1)
	s.hosted(t, 2*round+1)
	s.fault(t, "token", "invalid_grant", 1)
	s.guide(t, 2*round, http.StatusBadRequest)
	s.fault(t, "token", "status_503", 1)
	s.guide(t, 2*round, http.StatusServiceUnavailable)
	begun, start := 0, s.bridge+"/api/auth/tiktok/start?platform=web"
	for ; begun < 10; begun++ { // until the limit is met
		resp, err := client.Get(start)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	if begun == 10 {
		t.Fatal("the limit was never met")
	}
}

// TestStack runs the stack, lets people sign in, and asks all that the dashboard asks of the metrics:
// each query has an answer, and what alerts name is there.
func TestStack(t *testing.T) {
	s, db := startStack(t), database{}
	const every = 15 * time.Second
	for scrape := range 3 {
		if scrape > 0 {
			if scrape == 1 {
				s.people(t, 0)
			} else {
				s.guide(t, 0, http.StatusOK)
				s.guide(t, 7, http.StatusOK)
			}
		}
		header, metrics := ask(t, http.MethodGet, s.admin+"/metrics", nil, http.StatusOK)
		db.scrape(t, metrics, header.Get("Content-Type"), "tikbridge", time.Duration(scrape)*every)
	}

	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	for _, q := range dashboardQueries(t) {
		expr := fill.Replace(q.expr)
		db.checkSelectors(t, q.where, expr)
		found := db.query(t, expr, 2*every)
		if len(found) == 0 {
			t.Errorf("%s has no data: %s", q.where, expr)
		}
		numbers := 0
		for _, v := range found {
			if !math.IsNaN(v.F) {
				numbers++
			}
		}
		if len(found) > 0 && numbers == 0 {
			t.Errorf("%s has no number: %s = %v", q.where, expr, found)
		}
	}
	for _, r := range alerts(t) {
		db.checkSelectors(t, r.Alert, r.Expr)
		_ = db.query(t, r.Expr, 2*every) // none fails to be evaluated
	}
	db.checkValues(t, fill)
}

// checkValues holds the values that the dashboard and the alerts spell out against those that the bridge
// knows: error codes, routes, steps, outcomes.
func (db database) checkValues(t *testing.T, fill *strings.Replacer) {
	t.Helper()
	docs := ""
	for _, name := range []string{"errors.md", "observing.md", "http.md"} {
		page, err := os.ReadFile(root + "/docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		docs += string(page)
	}
	exprs := dashboardQueries(t)
	for _, r := range alerts(t) {
		exprs = append(exprs, query{where: r.Alert, expr: r.Expr})
	}
	for _, q := range exprs {
		tree, err := parse.ParseExpr(fill.Replace(q.expr))
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				for _, m := range selector.LabelMatchers {
					for _, word := range words(m) {
						word = strings.TrimSuffix(word, ".*")
						if m.Name != "__name__" && m.Name != "method" && word != "" && !strings.Contains(docs, word) {
							t.Errorf("%s: the docs know no %s %q", q.where, m.Name, word)
						}
					}
				}
			}
			return nil
		})
	}
}
