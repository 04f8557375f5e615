package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/test/output"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	exchangePath = "/api/auth/tiktok-callback"
	functionPath = "/functions/v1/auth-tiktok-callback"
	appOrigin    = "https://app.example"
	goodBody     = `{"code":"good-code","redirect_uri":"https://app.example/auth"}`
	userID       = "6f1d6a4e-5f0c-5c36-9a53-0f0f8f1d2c3b"
)

// people stands for TikTok and for Supabase. The functions that are nil answer well; methods that no
// test here needs are nobody's.
type people struct {
	signin.Authenticator
	signin.Accounts
	exchange func(context.Context, signin.Grant) (signin.Identity, error)
	signIn   func(context.Context, netip.Addr) (signin.SignedIn, error)
	refresh  func() (signin.Identity, error)
	owner    func() error
}

// freshTokens are what TikTok gives for a refresh token.
var freshTokens = signin.Identity{
	OpenID: "-000open", AccessToken: "act.fresh", RefreshToken: "rft.fresh", ExpiresIn: 2 * time.Hour,
	Scopes: []string{"user.info.basic"},
}

// Refresh implements signin.Authenticator.
func (p people) Refresh(context.Context, string) (signin.Identity, error) {
	if p.refresh != nil {
		return p.refresh()
	}
	return freshTokens, nil
}

// Revoke implements signin.Authenticator.
func (people) Revoke(context.Context, string) error { return nil }

// CheckOwner implements signin.Accounts.
func (p people) CheckOwner(context.Context, string, string) error {
	if p.owner != nil {
		return p.owner()
	}
	return nil
}

// Exchange implements signin.Authenticator.
func (p people) Exchange(ctx context.Context, g signin.Grant) (signin.Identity, error) {
	defer signin.ReportFrom(ctx).Time("token")() // as the real one does
	if p.exchange != nil {
		return p.exchange(ctx, g)
	}
	return signin.Identity{OpenID: "-000open", AccessToken: "act.tiktok", RefreshToken: "rft.tiktok"}, nil
}

// Profile implements signin.Authenticator.
func (people) Profile(context.Context, signin.Identity) (signin.Profile, error) {
	return signin.Profile{}, nil
}

// SignIn implements signin.Accounts.
func (p people) SignIn(
	ctx context.Context, id signin.Identity, client netip.Addr, _ func() signin.Profile,
) (signin.SignedIn, error) {
	if p.signIn != nil {
		return p.signIn(ctx, client)
	}
	return signin.SignedIn{
		Session: signin.Session{
			AccessToken: "a.b.c", TokenType: "bearer", ExpiresIn: 3600, ExpiresAt: 2_000_000_000,
			RefreshToken: "refresh", User: json.RawMessage(`{"id":"` + userID + `"}`),
		},
		Account: signin.Account{ID: userID, OpenID: id.OpenID},
	}, nil
}

// UpdateProfile implements signin.Accounts.
func (people) UpdateProfile(context.Context, signin.Account, signin.Profile) error { return nil }

// failing is a TikTok that answers every code with err.
func failing(err error) people {
	return people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) {
		return signin.Identity{}, err
	}}
}

// bridge is a server under test with its log.
type bridge struct {
	*server.Server
	log *logBuffer
}

// newBridge returns a server for the app at appOrigin, with a real signin.Service behind it.
func newBridge(t *testing.T, p people, adjust ...func(*server.Options)) bridge {
	t.Helper()
	lists, err := allow.New([]string{appOrigin}, []string{appOrigin + "/auth"}, []string{"myapp"})
	if err != nil {
		t.Fatal(err)
	}
	service := signin.New(signin.Options{Authenticator: p, Accounts: p, Policy: lists})
	t.Cleanup(func() {
		if err := service.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b := bridge{log: &logBuffer{}}
	logger, err := telemetry.NewLogger(b.log, "json", "debug")
	if err != nil {
		t.Fatal(err)
	}
	opts := server.Options{
		GuideFlow: true,
		Service:   service, Allow: lists, AuthPath: "/auth", DefaultRedirect: "/", Version: "v1.2.3", Logger: logger,
	}
	for _, f := range adjust {
		f(&opts)
	}
	if b.Server, err = server.New(opts); err != nil {
		t.Fatal(err)
	}
	return b
}

// do sends a request without a network. Headers come as name, value, name, value.
func (b bridge) do(t *testing.T, method, target, body string, headers ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return b.serve(req)
}

func (b bridge) serve(req *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, req)
	return rec.Result()
}

// post sends the exchange of the guide flow.
func (b bridge) post(t *testing.T, body string, headers ...string) *http.Response {
	t.Helper()
	return b.do(t, http.MethodPost, exchangePath, body, headers...)
}

func readBody(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func readJSON(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	body := readBody(t, resp)
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("status %d, body %q: %v", resp.StatusCode, body, err)
	}
	return m
}

// wantError checks status and code of an answer and returns its description.
func wantError(t *testing.T, resp *http.Response, status int, code signin.Code) string {
	t.Helper()
	if resp.StatusCode != status {
		t.Errorf("status is %d; want %d", resp.StatusCode, status)
	}
	m := readJSON(t, resp)
	if got := m["error"]; got != string(code) {
		t.Errorf("error is %v; want %s", got, code)
	}
	description, _ := m["error_description"].(string)
	return description
}

func wantStatus(t *testing.T, resp *http.Response, status int) {
	t.Helper()
	if body := readBody(t, resp); resp.StatusCode != status {
		t.Errorf("status is %d; want %d; body: %s", resp.StatusCode, status, body)
	}
}

// logBuffer takes the JSON lines of a logger.
type logBuffer struct{ output.Buffer }

// last returns the last line.
func (l *logBuffer) last(t *testing.T) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	var m map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &m); err != nil {
		t.Fatalf("log line %q: %v", lines[len(lines)-1], err)
	}
	return m
}

// running is server.Serve at work.
type running struct {
	stop context.CancelFunc
	// ended gives what Serve returned.
	ended chan error
}

// startServing runs server.Serve until the test ends or stop is called.
func startServing(t *testing.T, l net.Listener, h http.Handler, grace time.Duration, log io.Writer) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := running{stop: cancel, ended: make(chan error, 1)}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r.ended <- server.Serve(ctx, l, h, grace, slog.New(slog.NewJSONHandler(log, nil)))
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
	})
	return r
}

// pipes is a listener without a network: synctest knows when everybody on it waits.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr implements net.Listener.
func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

var errRefused = errors.New("connection refused")

func (p *pipes) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, errRefused
	}
}

// client returns a client of the listener, with a connection for each request.
func (p *pipes) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return p.dial() },
	}}
}
