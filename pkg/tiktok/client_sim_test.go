package tiktok_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
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
