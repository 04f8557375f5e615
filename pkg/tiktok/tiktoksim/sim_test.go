package tiktoksim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const callback = "https://app.example/api/auth/tiktok/callback"

// sim is a running simulator with a browser-like client that keeps cookies and shows redirects
// instead of following them.
type sim struct {
	*tiktoksim.Server
	t      *testing.T
	url    string
	client *http.Client
	clock  *clock
}

// clock is a clock that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func start(t *testing.T, o tiktoksim.Options) *sim {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	o.Now = c.Now
	s := tiktoksim.New(o)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.Jar, _ = cookiejar.New(nil)
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	return &sim{Server: s, t: t, url: srv.URL, client: client, clock: c}
}

// reply is a response that has been read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *sim) do(r *http.Request) (reply, error) {
	s.t.Helper()
	res, err := s.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(b)}, err
}

func (s *sim) must(r *http.Request) reply {
	s.t.Helper()
	got, err := s.do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return got
}

func (s *sim) request(method, path, contentType, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func (s *sim) get(path string) reply {
	s.t.Helper()
	return s.must(s.request(http.MethodGet, path, "", ""))
}

func (s *sim) postJSON(path string, v any) reply {
	s.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.must(s.request(http.MethodPost, path, "application/json", string(b)))
}

const form = "application/x-www-form-urlencoded"

func (s *sim) tokenRequest(v url.Values) *http.Request {
	return s.request(http.MethodPost, "/v2/oauth/token/", form, v.Encode())
}

func (s *sim) token(v url.Values) reply {
	s.t.Helper()
	return s.must(s.tokenRequest(v))
}

// credentials returns a form with the right client credentials and the given pairs.
func credentials(pairs ...string) url.Values {
	v := url.Values{
		"client_key":    {tiktoksim.DefaultClientKey},
		"client_secret": {tiktoksim.DefaultClientSecret},
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func exchangeOf(code string, pairs ...string) url.Values {
	return credentials(append([]string{
		"grant_type", "authorization_code", "code", code, "redirect_uri", callback,
	}, pairs...)...)
}

// code mints a code for a person; pairs add to the JSON body.
func (s *sim) code(openID string, pairs ...string) string {
	s.t.Helper()
	in := map[string]string{"open_id": openID, "redirect_uri": callback}
	for i := 0; i < len(pairs); i += 2 {
		in[pairs[i]] = pairs[i+1]
	}
	got := s.postJSON("/sim/codes", in)
	if got.status != http.StatusOK {
		s.t.Fatalf("POST /sim/codes: %d %s", got.status, got.body)
	}
	return field(s.t, got, "code")
}

func (s *sim) tokens(openID string, pairs ...string) (access, refresh string) {
	s.t.Helper()
	got := s.token(exchangeOf(s.code(openID, pairs...)))
	return field(s.t, got, "access_token"), field(s.t, got, "refresh_token")
}

func (s *sim) userInfoRequest(access, fields string) *http.Request {
	r := s.request(http.MethodGet, "/v2/user/info/?fields="+fields, "", "")
	r.Header.Set("Authorization", "Bearer "+access)
	return r
}

func (s *sim) userInfo(access, fields string) reply {
	s.t.Helper()
	return s.must(s.userInfoRequest(access, fields))
}

func (s *sim) fault(endpoint, name string) {
	s.t.Helper()
	got := s.postJSON("/sim/faults", map[string]any{"endpoint": endpoint, "fault": name})
	if got.status != http.StatusOK {
		s.t.Fatalf("POST /sim/faults: %d %s", got.status, got.body)
	}
}

func decode(t *testing.T, got reply) map[string]any {
	t.Helper()
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader([]byte(got.body)))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("decode %q: %v", got.body, err)
	}
	return m
}

// field returns a string inside a JSON body by a dotted path, "" if it is not there.
func field(t *testing.T, got reply, path string) string {
	t.Helper()
	var v any = decode(t, got)
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[key]
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func wantError(t *testing.T, got reply, status int, code string) {
	t.Helper()
	if got.status != status || field(t, got, "error") != code {
		t.Errorf("got %d %s; want %d %s", got.status, got.body, status, code)
	}
	if field(t, got, "log_id") == "" || field(t, got, "error_description") == "" {
		t.Errorf("got %s; want a description and a log_id", got.body)
	}
}

func wantAPIError(t *testing.T, got reply, status int, code string) {
	t.Helper()
	if got.status != status || field(t, got, "error.code") != code {
		t.Errorf("got %d %s; want %d %s", got.status, got.body, status, code)
	}
	if field(t, got, "error.log_id") == "" {
		t.Errorf("got %s; want a log_id", got.body)
	}
}
