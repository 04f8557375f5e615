package tiktok_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// The client against the simulator, over real connections.

type sim struct {
	*tiktoksim.Server
	t    *testing.T
	url  string
	http *http.Client
}

func startSim(t *testing.T, o tiktoksim.Options) *sim {
	t.Helper()
	s := tiktoksim.New(o)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return &sim{s, t, srv.URL, srv.Client()}
}

// client returns a client with the credentials of the simulator.
func (s *sim) client(edit ...func(*tiktok.Options)) *tiktok.Client {
	s.t.Helper()
	credentials := func(o *tiktok.Options) {
		o.ClientKey, o.ClientSecret = tiktoksim.DefaultClientKey, tiktoksim.DefaultClientSecret
		o.AuthorizeURL = s.url + "/v2/auth/authorize/"
		o.Timeout = 5 * time.Second
	}
	return over(s.t, s.url, append([]func(*tiktok.Options){credentials}, edit...)...)
}

func (s *sim) do(method, path string, in any) (int, []byte) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(string(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, out
}

// code has the simulator make a code; pairs add to the request.
func (s *sim) code(person string, pairs ...string) string {
	s.t.Helper()
	in := map[string]string{"open_id": person, "redirect_uri": callback}
	for i := 0; i < len(pairs); i += 2 {
		in[pairs[i]] = pairs[i+1]
	}
	status, body := s.do(http.MethodPost, "/sim/codes", in)
	var out struct{ Code string }
	if err := json.Unmarshal(body, &out); err != nil || status != http.StatusOK || out.Code == "" {
		s.t.Fatalf("POST /sim/codes: %d %s", status, body)
	}
	return out.Code
}

func (s *sim) grant(person string, pairs ...string) signin.Grant {
	s.t.Helper()
	return signin.Grant{Code: s.code(person, pairs...), RedirectURI: callback}
}

func (s *sim) fault(endpoint, name string) {
	s.t.Helper()
	if status, body := s.do(
		http.MethodPost, "/sim/faults", map[string]string{"endpoint": endpoint, "fault": name},
	); status != http.StatusOK {
		s.t.Fatalf("POST /sim/faults: %d %s", status, body)
	}
}

func TestSimulator_signIn(t *testing.T) {
	t.Parallel()
	for _, p := range tiktoksim.People() {
		t.Run(p.Slug, func(t *testing.T) {
			t.Parallel()
			s := startSim(t, tiktoksim.Options{})
			c := s.client()
			id, err := c.Exchange(t.Context(), s.grant(p.OpenID))
			if err != nil {
				t.Fatal(err)
			}
			if id.OpenID != p.OpenID || id.AccessToken == "" || id.RefreshToken == "" {
				t.Errorf("got open_id %q and tokens %t %t; want %q and both",
					id.OpenID, id.AccessToken != "", id.RefreshToken != "", p.OpenID)
			}
			if diff := cmp.Diff([]string{"user.info.basic"}, id.Scopes); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
			got, err := c.Profile(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			want := signin.Profile{UnionID: p.UnionID, DisplayName: p.DisplayName, AvatarURL: got.AvatarURL}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("profile (-want +got):\n%s", diff)
			}
			if (got.AvatarURL != "") != (p.Avatar != "") {
				t.Errorf("got avatar %q for %q", got.AvatarURL, p.Avatar)
			}
			if s.Exchanges() != 1 || s.UserInfos() != 1 || s.Revocations() != 0 {
				t.Errorf("got %d exchanges, %d user infos, %d revocations; want 1, 1, 0",
					s.Exchanges(), s.UserInfos(), s.Revocations())
			}
		})
	}
}

// The avatar's signature still fits once the client has handled its URL.
func TestSimulator_avatar(t *testing.T) {
	t.Parallel()
	s := startSim(t, tiktoksim.Options{})
	c := s.client()
	id, err := c.Exchange(t.Context(), s.grant(tiktoksim.OpenIDMira))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Profile(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	path, ok := strings.CutPrefix(p.AvatarURL, s.url)
	if !ok {
		t.Fatalf("got avatar %s; want one of %s", p.AvatarURL, s.url)
	}
	if status, body := s.do(http.MethodGet, path, nil); status != http.StatusOK {
		t.Errorf("got %d %s; want the avatar", status, body)
	}
}

func TestSimulator_refusals(t *testing.T) {
	t.Parallel()
	wrongSecret := func(o *tiktok.Options) { o.ClientSecret = secret }
	wrongKey := func(o *tiktok.Options) { o.ClientKey = "another" }
	tests := []struct {
		name  string
		edit  func(*tiktok.Options)
		grant func(signin.Grant) signin.Grant
		want  signin.Code
		code  string
	}{
		{
			"unknown code", nil, func(g signin.Grant) signin.Grant { g.Code = code; return g }, signin.InvalidGrant,
			"invalid_grant",
		},
		{
			"code encoded twice", nil, func(g signin.Grant) signin.Grant { g.Code = url.QueryEscape(g.Code); return g },
			signin.InvalidGrant, "invalid_grant",
		},
		{"wrong secret", wrongSecret, nil, signin.TikTokMisconfigured, "invalid_client"},
		{"wrong key", wrongKey, nil, signin.TikTokMisconfigured, "invalid_client"},
		{
			"other redirect", nil, func(g signin.Grant) signin.Grant { g.RedirectURI += "/"; return g },
			signin.RedirectURIMismatch, "invalid_request",
		},
	}
	for _, tt := range tests {
		for _, status := range []string{"200", "RFC 6749"} {
			t.Run(tt.name+" with status "+status, func(t *testing.T) {
				t.Parallel()
				s := startSim(t, tiktoksim.Options{})
				var edits []func(*tiktok.Options)
				if tt.edit != nil {
					edits = append(edits, tt.edit)
				}
				g := s.grant(tiktoksim.OpenIDMira)
				if tt.grant != nil {
					g = tt.grant(g)
				}
				if status != "200" {
					s.fault("token", "rfc_status")
				}
				_, err := s.client(edits...).Exchange(t.Context(), g)
				e := signin.AsError(err)
				if e.Code != tt.want || e.Upstream.Code != tt.code || e.Upstream.LogID == "" {
					t.Errorf("got %s for %+v; want %s for %s with a log_id", e.Code, e.Upstream, tt.want, tt.code)
				}
				if (e.Upstream.Status == http.StatusOK) != (status == "200") {
					t.Errorf("got status %d; want that of %s", e.Upstream.Status, status)
				}
				wantQuiet(t, err)
				if n := s.Exchanges(); n != 1 {
					t.Errorf("got %d exchanges; want 1", n)
				}
			})
		}
	}
}

func TestSimulator_reusedCode(t *testing.T) {
	t.Parallel()
	s := startSim(t, tiktoksim.Options{})
	c, g := s.client(), s.grant(tiktoksim.OpenIDMira)
	if _, err := c.Exchange(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exchange(t.Context(), g); signin.CodeOf(err) != signin.InvalidGrant {
		t.Errorf("got %v; want %s", err, signin.InvalidGrant)
	}
}

// A person may grant less than was asked for, and the profile call asks for no more than that.
func TestSimulator_scopes(t *testing.T) {
	t.Parallel()
	s := startSim(t, tiktoksim.Options{})
	c := s.client()
	id, err := c.Exchange(t.Context(), s.grant(tiktoksim.OpenIDMira, "scope", scope))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(scope, ","), id.Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	if _, err := c.Profile(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// Each way of PKCE against an app that wants just that: the authorize request is taken, the right
// verifier too, and the wrong one refused.
func TestSimulator_pkce(t *testing.T) {
	t.Parallel()
	for _, mode := range []tiktok.PKCE{tiktok.PKCEOff, tiktok.PKCEHex, tiktok.PKCEBase64URL} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := startSim(t, tiktoksim.Options{PKCE: string(mode)})
			c := s.client(func(o *tiktok.Options) { o.PKCE = mode })
			proof := strings.Repeat("verifier~", 6)
			authorize, ok := strings.CutPrefix(c.AuthorizeURL(signin.AuthorizeRequest{
				RedirectURI: callback, State: "uuid|myapp", Verifier: proof, SelectAccount: true,
			}), s.url)
			if !ok {
				t.Fatalf("got %s; want an address of the simulator", authorize)
			}
			if status, body := s.do(http.MethodGet, authorize, nil); status != http.StatusOK {
				t.Fatalf("authorize: %d %s", status, body)
			}
			_, query, _ := strings.Cut(authorize, "?")
			q, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}

			g := s.grant(tiktoksim.OpenIDMira, "code_challenge", q.Get("code_challenge"))
			g.CodeVerifier = proof
			if _, err := c.Exchange(t.Context(), g); err != nil {
				t.Errorf("right verifier: got %v; want a sign-in", err)
			}
			g = s.grant(tiktoksim.OpenIDMira, "code_challenge", q.Get("code_challenge"))
			g.CodeVerifier = verifier
			_, err = c.Exchange(t.Context(), g)
			if want := map[bool]signin.Code{
				true: "", false: signin.InvalidGrant,
			}[mode == tiktok.PKCEOff]; signin.CodeOf(err) != want {
				t.Errorf("other verifier: got %v; want %q", err, want)
			}
			if err != nil {
				wantQuiet(t, err)
			}
		})
	}
}

// faulty is a fault of the simulator and what the client makes of it. OK faults do no harm.
type faulty struct {
	fault string
	want  signin.Code // "" for success
	code  string      // of TikTok
	retry time.Duration
	cause error
}

const patience = 200 * time.Millisecond // of a client whose server never ends

func (f faulty) timeout() time.Duration {
	if errors.Is(f.cause, context.DeadlineExceeded) {
		return patience
	}
	return 10 * time.Second
}

func (f faulty) check(t *testing.T, err error) {
	t.Helper()
	if signin.CodeOf(err) != f.want {
		t.Fatalf("got %v; want %q", err, f.want)
	}
	if f.want == "" {
		return
	}
	e := signin.AsError(err)
	if e.Upstream.Code != f.code || e.RetryAfter != f.retry || e.Upstream.Service != "tiktok" {
		t.Errorf("got %+v, retry after %v; want %q, %v", e.Upstream, e.RetryAfter, f.code, f.retry)
	}
	if f.cause != nil && !errors.Is(err, f.cause) {
		t.Errorf("got %v; want %v", err, f.cause)
	}
	wantQuiet(t, err)
}

func TestSimulator_tokenFaults(t *testing.T) {
	t.Parallel()
	tests := []faulty{
		{fault: "status_500", want: signin.TikTokUnavailable, code: "server_error"},
		{fault: "status_503", want: signin.TikTokUnavailable, code: "temporarily_unavailable", retry: 3 * time.Second},
		{fault: "status_502_html", want: signin.TikTokUnavailable},
		{fault: "error_200", want: signin.TikTokUnavailable, code: "server_error"},
		{fault: "rate_limited", want: signin.RateLimited, code: "rate_limit_exceeded", retry: 3 * time.Second},
		{fault: "invalid_grant", want: signin.InvalidGrant, code: "invalid_grant"},
		{fault: "invalid_grant_200", want: signin.InvalidGrant, code: "invalid_grant"},
		{fault: "invalid_client", want: signin.TikTokMisconfigured, code: "invalid_client"},
		{fault: "invalid_client_200", want: signin.TikTokMisconfigured, code: "invalid_client"},
		{fault: "invalid_request_redirect", want: signin.RedirectURIMismatch, code: "invalid_request"},
		{fault: "hang", want: signin.TikTokUnavailable, cause: context.DeadlineExceeded},
		{fault: "slow_drip", want: signin.TikTokUnavailable, cause: context.DeadlineExceeded},
		{fault: "reset_before", want: signin.TikTokUnavailable},
		{fault: "reset_after", want: signin.TikTokUnavailable},
		{fault: "truncated", want: signin.TikTokUnavailable, cause: io.ErrUnexpectedEOF},
		{fault: "not_json", want: signin.TikTokUnavailable},
		{fault: "huge_body", want: signin.TikTokUnavailable, cause: upstream.ErrTooLarge},
		{fault: "no_open_id", want: signin.TikTokUnavailable},
		{fault: "redirect", want: signin.TikTokUnavailable},
		{fault: "empty_200", want: signin.TikTokUnavailable},
		{fault: "wrong_content_type"},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			s := startSim(t, tiktoksim.Options{})
			c := s.client(func(o *tiktok.Options) { o.Timeout = tt.timeout() })
			first := s.grant(tiktoksim.OpenIDMira)
			s.fault("token", tt.fault)
			_, err := c.Exchange(t.Context(), first)
			tt.check(t, err)
			if n := s.Exchanges(); n != 1 {
				t.Errorf("got %d exchanges; want 1", n)
			}
			// The client is none the worse for it; one without patience may be too hasty for this.
			if tt.timeout() == patience {
				c = s.client()
			}
			if _, err := c.Exchange(t.Context(), s.grant(tiktoksim.OpenIDLayla)); err != nil {
				t.Errorf("next sign-in: %v", err)
			}
			if n := s.Elsewhere(); n != 0 {
				t.Errorf("got %d redirects followed; want none", n)
			}
		})
	}
}

// On a connection that was used before, net/http would repeat a request if it held it for safe to
// repeat. A code is not.
func TestSimulator_noRetryOnKeptConnection(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"reset_before", "reset_after", "truncated"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := startSim(t, tiktoksim.Options{})
			c := s.client()
			if _, err := c.Exchange(t.Context(), s.grant(tiktoksim.OpenIDMira)); err != nil {
				t.Fatal(err)
			}
			g := s.grant(tiktoksim.OpenIDMira)
			s.fault("token", fault)
			if _, err := c.Exchange(t.Context(), g); signin.CodeOf(err) != signin.TikTokUnavailable {
				t.Errorf("got %v; want %s", err, signin.TikTokUnavailable)
			}
			if n := s.Exchanges(); n != 2 {
				t.Errorf("got %d exchanges; want one for each code", n)
			}
		})
	}
}

func TestSimulator_userInfoFaults(t *testing.T) {
	t.Parallel()
	tests := []faulty{
		{fault: "status_500", want: signin.TikTokUnavailable, code: "internal_error"},
		{fault: "status_503", want: signin.TikTokUnavailable, code: "internal_error", retry: 3 * time.Second},
		{fault: "status_502_html", want: signin.TikTokUnavailable},
		{fault: "error_200", want: signin.TikTokUnavailable, code: "internal_error"},
		{fault: "rate_limited", want: signin.RateLimited, code: "rate_limit_exceeded", retry: 3 * time.Second},
		{fault: "access_token_invalid", want: signin.TikTokUnavailable, code: "access_token_invalid"},
		{fault: "scope_not_authorized", want: signin.TikTokMisconfigured, code: "scope_not_authorized"},
		{fault: "hang", want: signin.TikTokUnavailable, cause: context.DeadlineExceeded},
		{fault: "slow_drip", want: signin.TikTokUnavailable, cause: context.DeadlineExceeded},
		{fault: "truncated", want: signin.TikTokUnavailable, cause: io.ErrUnexpectedEOF},
		{fault: "not_json", want: signin.TikTokUnavailable},
		{fault: "huge_body", want: signin.TikTokUnavailable, cause: upstream.ErrTooLarge},
		{fault: "other_open_id", want: signin.TikTokUnavailable},
		{fault: "no_open_id", want: signin.TikTokUnavailable},
		{fault: "redirect", want: signin.TikTokUnavailable},
		{fault: "empty_200", want: signin.TikTokUnavailable},
		{fault: "wrong_content_type"},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			s := startSim(t, tiktoksim.Options{})
			id, err := s.client().Exchange(t.Context(), s.grant(tiktoksim.OpenIDMira))
			if err != nil {
				t.Fatal(err)
			}
			s.fault("user_info", tt.fault)
			p, err := s.client(func(o *tiktok.Options) { o.Timeout = tt.timeout() }).Profile(t.Context(), id)
			tt.check(t, err)
			if p.IsZero() != (tt.want != "") {
				t.Errorf("got profile %+v; want one only without an error", p)
			}
			if n := s.Elsewhere(); n != 0 {
				t.Errorf("got %d redirects followed; want none", n)
			}
		})
	}
}

// A caller who has gone before the call spends no code.
func TestSimulator_cancelledBefore(t *testing.T) {
	t.Parallel()
	s := startSim(t, tiktoksim.Options{})
	g := s.grant(tiktoksim.OpenIDMira)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.client().Exchange(ctx, g)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want %v", err, context.Canceled)
	}
	if n := s.Exchanges(); n != 0 {
		t.Errorf("got %d exchanges; want none", n)
	}
	if _, err := s.client().Exchange(t.Context(), g); err != nil {
		t.Errorf("got %v; want the code unspent", err)
	}
}

// Nobody listens.
func TestClient_refused(t *testing.T) {
	t.Parallel()
	// Not the address of a server that was closed: its port may be another test's by now.
	_, err := over(t, "http://127.0.0.1:1").Exchange(t.Context(), grant)
	wantVerdict(t, err, verdict{signin.TikTokUnavailable, "token", 0, tiktokAnswer(0, "", "")})
	if !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v; want the log to name the cause", err)
	}
	wantQuiet(t, err)
}
