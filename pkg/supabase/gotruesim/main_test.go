package gotruesim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a hand-driven time source.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// project is an emulator with shorthands for what tests do all the time.
type project struct {
	*gotruesim.Server
	t     testing.TB
	clock *clock
}

// newProject makes an emulator with a hand-driven clock and no limit on the frequency of mails,
// unless o says otherwise.
func newProject(t testing.TB, o gotruesim.Options) *project {
	p := &project{t: t, clock: newClock()}
	if o.Now == nil {
		o.Now = p.clock.now
	}
	if o.EmailMaxFrequency == 0 {
		o.EmailMaxFrequency = -1
	}
	p.Server = gotruesim.New(o)
	return p
}

// reply is an answer with its body decoded.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// str reads a value by its path of keys; a missing one is "".
func (r reply) str(keys ...string) string {
	var v any = r.body
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	s, _ := v.(string)
	return s
}

// do sends a request; headers come in pairs.
func (p *project) do(method, target string, body any, headers ...string) reply {
	p.t.Helper()
	var payload []byte
	switch b := body.(type) {
	case nil:
	case string:
		payload = []byte(b)
	default:
		var err error
		if payload, err = json.Marshal(b); err != nil {
			p.t.Fatal(err)
		}
	}
	req := httptest.NewRequestWithContext(p.t.Context(), method, target, bytes.NewReader(payload))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, req)
	out := reply{status: w.Code, header: w.Header(), text: w.Body.String()}
	if strings.HasPrefix(out.text, "{") {
		if err := json.Unmarshal(w.Body.Bytes(), &out.body); err != nil {
			p.t.Errorf("%s %s: body is no JSON: %v", method, target, err)
		}
	}
	return out
}

// call is do with the service_role key and the current API version.
func (p *project) call(method, target string, body any) reply {
	p.t.Helper()
	return p.do(method, target, body, "Authorization", "Bearer "+p.ServiceRoleKey(),
		"X-Supabase-Api-Version", "2024-01-01")
}

// must is call for steps that have to succeed.
func (p *project) must(method, target string, body any) reply {
	p.t.Helper()
	r := p.call(method, target, body)
	if r.status != http.StatusOK {
		p.t.Fatalf("%s %s: got %d %s", method, target, r.status, r.text)
	}
	return r
}

// as calls with an access token.
func (p *project) as(token, method, target string, body any) reply {
	p.t.Helper()
	return p.do(method, target, body, "Authorization", "Bearer "+token,
		"X-Supabase-Api-Version", "2024-01-01")
}

type fields map[string]any

// user creates a confirmed account and returns its id.
func (p *project) user(email string, more ...fields) string {
	p.t.Helper()
	body := fields{"email": email, "email_confirm": true}
	for _, m := range more {
		for k, v := range m {
			body[k] = v
		}
	}
	return p.must("POST", "/admin/users", body).str("id")
}

// link generates a magic link.
func (p *project) link(email string) reply {
	p.t.Helper()
	return p.must("POST", "/admin/generate_link", fields{"type": "magiclink", "email": email})
}

// verify posts a token hash.
func (p *project) verify(typ, hash string) reply {
	p.t.Helper()
	return p.call("POST", "/verify", fields{"type": typ, "token_hash": hash})
}

// signIn signs an existing user in by a magic link.
func (p *project) signIn(email string) reply {
	p.t.Helper()
	r := p.verify("magiclink", p.link(email).str("hashed_token"))
	if r.status != http.StatusOK {
		p.t.Fatalf("sign in %s: got %d %s", email, r.status, r.text)
	}
	return r
}

// signup registers publicly and returns the answer.
func (p *project) signup(email, password string) reply {
	p.t.Helper()
	return p.must("POST", "/signup", fields{"email": email, "password": password})
}

// login signs in by password.
func (p *project) login(email, password string) reply {
	p.t.Helper()
	return p.call("POST", "/token?grant_type=password", fields{"email": email, "password": password})
}

// wantError checks status and code of a refusal.
func wantError(t testing.TB, r reply, status int, code string) {
	t.Helper()
	if got := fmt.Sprint(r.status, " ", r.str("code")); got != fmt.Sprint(status, " ", code) {
		t.Errorf("got %s %s; want %d %s", got, r.text, status, code)
	}
}

func wantStatus(t testing.TB, r reply, status int) {
	t.Helper()
	if r.status != status {
		t.Errorf("got %d %s; want %d", r.status, r.text, status)
	}
}
