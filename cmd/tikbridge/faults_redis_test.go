package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// redisFault is how a Redis fails. The connection is the bridge's, and command has what it sent; run
// lets the command take effect and returns the answer. The connection is closed when it returns false.
type redisFault struct {
	name string
	meet func(conn *net.TCPConn, run func() []byte) bool
}

func redisFaults() []redisFault {
	says := func(text string) func(*net.TCPConn, func() []byte) bool {
		return func(conn *net.TCPConn, _ func() []byte) bool {
			_, err := io.WriteString(conn, text)
			return err == nil
		}
	}
	return []redisFault{
		{"refuses the connection", nil},
		{"closes the connection before it acts", func(conn *net.TCPConn, _ func() []byte) bool {
			_ = conn.SetLinger(0)
			return false
		}},
		{"acts, and closes the connection", func(conn *net.TCPConn, run func() []byte) bool {
			run()
			_ = conn.SetLinger(0)
			return false
		}},
		{"hangs", func(*net.TCPConn, func() []byte) bool { return true }},
		{"acts, and answers half of it", func(conn *net.TCPConn, run func() []byte) bool {
			answer := run()
			_, err := conn.Write(answer[:len(answer)/2])
			return err == nil
		}},
		{"an error: it is loading its data", says("-LOADING Redis is loading the dataset in memory\r\n")},
		{"an error: it only reads", says("-READONLY You can't write against a read only replica.\r\n")},
		{"an error: it has too many clients", says("-ERR max number of clients reached\r\n")},
		{"an answer of another type", says("*2\r\n:1\r\n$1\r\nx\r\n")},
		{"a page", says("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html></html>")},
		{"a body of 10 MB", says("$10485760\r\n" + strings.Repeat("x", 10<<20) + "\r\n")},
	}
}

// redisProxy stands before a Redis. It fails while it has a fault.
type redisProxy struct {
	address string
	behind  string

	mu    sync.Mutex
	fault *redisFault
	l     net.Listener
	conns map[net.Conn]bool
	work  sync.WaitGroup
}

func newRedisProxy(t *testing.T, behind string) *redisProxy {
	t.Helper()
	p := &redisProxy{address: "127.0.0.1:0", behind: behind, conns: map[net.Conn]bool{}}
	p.listen(t)
	return p
}

func (p *redisProxy) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.l, p.address = l, l.Addr().String()
	p.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[conn] = true
			p.mu.Unlock()
			p.work.Go(func() { p.serve(conn.(*net.TCPConn)) })
		}
	})
}

// serve takes what comes at once for a command, or several that are sent together.
func (p *redisProxy) serve(conn *net.TCPConn) {
	defer func() {
		_ = conn.Close()
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}()
	redis, err := net.Dial("tcp", p.behind)
	if err != nil {
		return
	}
	defer func() { _ = redis.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		run := func() []byte {
			answer := make([]byte, 64<<10)
			if _, err := redis.Write(buffer[:n]); err != nil {
				return nil
			}
			m, _ := redis.Read(answer)
			return answer[:m]
		}
		p.mu.Lock()
		fault := p.fault
		p.mu.Unlock()
		if fault != nil {
			if !fault.meet(conn, run) {
				return
			}
			continue
		}
		if _, err := conn.Write(run()); err != nil {
			return
		}
	}
}

// fail begins a fault, for connections that are there, too.
func (p *redisProxy) fail(f redisFault) {
	p.mu.Lock()
	p.fault = &f
	p.mu.Unlock()
	if f.meet == nil {
		p.hangUp()
	}
}

// heal ends it.
func (p *redisProxy) heal(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	refusing := p.fault.meet == nil
	p.fault = nil
	p.mu.Unlock()
	if refusing {
		p.listen(t)
	}
}

// hangUp stops to listen and closes all connections.
func (p *redisProxy) hangUp() {
	_ = p.l.Close()
	p.mu.Lock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
}

// open returns how many connections the bridge has.
func (p *redisProxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// hostedApp is a bridge with the hosted flow on, with Redis behind a proxy.
type hostedApp struct {
	*App
	tiktok *tiktoksim.Server
}

func newHostedApp(t *testing.T, redis string) hostedApp {
	t.Helper()
	a := hostedApp{tiktok: tiktoksim.New(tiktoksim.Options{})}
	serve := func(h http.Handler) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.URL
	}
	cfg := config.Default()
	cfg.Server.PublicURL = "https://signin.app.example"
	cfg.TikTok.ClientKey, cfg.TikTok.ClientSecret = tiktoksim.DefaultClientKey, tiktoksim.DefaultClientSecret
	cfg.TikTok.APIURL = serve(a.tiktok)
	cfg.Supabase.AuthURL = serve(gotruesim.New(gotruesim.Options{})) + "/auth/v1"
	cfg.Supabase.PublishableKey, cfg.Supabase.SecretKey = gotruesim.PublishableKey, gotruesim.SecretKey
	cfg.App.Origins = []string{"https://app.example"}
	cfg.Store.RedisURL = signin.Secret("redis://" + redis)
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	var err error
	if a.App, err = NewApp(cfg, AppOptions{TikTokTransport: transport, SupabaseTransport: transport}); err != nil {
		t.Fatal(err)
	}
	return a
}

// ask sends a request to the bridge.
func (a hostedApp) ask(method, target, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	a.server.ServeHTTP(rec, req)
	return rec
}

// signIn leads a sign-in, each step of it twice: the second time is refused. It returns the outcome of
// the first ones, and how long the longest step took.
func (a hostedApp) signIn(t *testing.T) (o outcome) {
	t.Helper()
	const base = "/api/auth/tiktok/"
	timed := func(method, target, body string) *httptest.ResponseRecorder {
		start := time.Now()
		rec := a.ask(method, target, body)
		o.took = max(o.took, time.Since(start))
		return rec
	}
	const verifier = "verifier-of-the-app-0123456789-0123456789-01"
	sum := sha256.Sum256([]byte(verifier))
	begun := timed(http.MethodGet, base+"start?platform=web&redirect_to=https://app.example/in&challenge="+
		base64.RawURLEncoding.EncodeToString(sum[:]), "")
	var started struct {
		URL string `json:"url"`
	}
	_ = json.Unmarshal(begun.Body.Bytes(), &started)
	at, err := url.Parse(started.URL)
	if err != nil || begun.Code != http.StatusOK {
		t.Fatalf("start answers %d: %s", begun.Code, begun.Body)
	}
	made := httptest.NewRecorder()
	wanted := fmt.Sprintf(`{"open_id":%q,"redirect_uri":"https://signin.app.example%scallback"}`, openID, base)
	a.tiktok.ServeHTTP(made, httptest.NewRequest(http.MethodPost, "/sim/codes", strings.NewReader(wanted)))
	var code struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(made.Body.Bytes(), &code)

	back := base + "callback?" + url.Values{"state": {at.Query().Get("state")}, "code": {code.Code}}.Encode()
	query := func(rec *httptest.ResponseRecorder) url.Values {
		u, _ := url.Parse(rec.Header().Get("Location"))
		return u.Query()
	}
	handoff := query(timed(http.MethodGet, back, "")).Get("tikbridge_handoff")
	got := query(timed(http.MethodGet, back, "")).Get("tikbridge_error")
	if handoff == "" || got != string(signin.InvalidState) {
		t.Fatalf("there is a handoff: %v; the second callback brings %q", handoff != "", got)
	}
	body := fmt.Sprintf(`{"handoff":%q,"verifier":%q}`, handoff, verifier)
	if rec := timed(http.MethodPost, base+"redeem", body); rec.Code != http.StatusOK {
		t.Fatalf("redeem answers %d: %s", rec.Code, rec.Body)
	}
	if rec := timed(http.MethodPost, base+"redeem", body); rec.Code != http.StatusBadRequest {
		t.Fatalf("redeem answers %d the second time: %s", rec.Code, rec.Body)
	}
	o.code = signedIn
	return o
}

// redisPatience is what a step of a sign-in may take while Redis fails. It asks twice at most, for half a
// second each; the rest is for a machine that has much else to do.
const redisPatience = 10 * time.Second

// TestFaultMatrix_redis leads sign-ins while Redis fails in every way.
func TestFaultMatrix_redis(t *testing.T) {
	// go-redis looks for a server that is away for up to a second after it was closed; goleak waits for it.
	ignore := goleak.IgnoreCurrent()
	all := redisFaults()
	names, outcomes := make([]string, len(all)), make([]string, len(all))
	t.Run("faults", func(t *testing.T) {
		for i, f := range all {
			names[i] = f.name
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				outcomes[i] = meetRedis(t, f)
			})
		}
	})
	if err := goleak.Find(ignore); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		return
	}
	wantOnPage(t, "redis", "Faults: "+strings.Join(names, "; ")+".\n\n"+
		"| fault | sign-in | a second use of a state or handoff, on one replica | reported by `/readyz` and the log |\n"+
		"| --- | --- | --- | --- |\n"+strings.Join(faultRows(names, outcomes), "\n")+"\n\n")
}

func meetRedis(t *testing.T, f redisFault) (outcome string) {
	t.Helper()
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	proxy := newRedisProxy(t, server.Addr())
	defer proxy.hangUp()
	a := newHostedApp(t, proxy.address)
	defer func() { _ = a.service.Close(t.Context()) }()
	degraded := func() bool { return len(a.notes()) > 0 }

	a.signIn(t)
	if degraded() || len(server.Keys()) == 0 {
		t.Fatalf("Redis is not used before the fault; it has %q", server.Keys())
	}
	proxy.fail(f)
	o := a.signIn(t)
	if o.took > redisPatience {
		t.Errorf("a step took %v", o.took)
	}
	said := "no"
	if degraded() {
		said = "yes"
	}
	proxy.heal(t)
	a.signIn(t)
	server.FlushAll()
	if o := a.signIn(t); degraded() || len(server.Keys()) == 0 {
		t.Errorf("after the fault Redis is not used again (%s); it has %q", o, server.Keys())
	}
	if err := a.redis.Close(); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(5 * time.Second); proxy.open() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := proxy.open(); n > 0 {
		t.Errorf("%d connections to Redis are left open", n)
	}
	return "signed in | refused | " + said
}
