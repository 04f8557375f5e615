package tiktok_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jarcoal/httpmock"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// recording answers with r and keeps the form that was sent.
func recording(form *url.Values, r httpmock.Responder) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		if *form, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
		return r(req)
	}
}

func TestClient_Refresh(t *testing.T) {
	t.Parallel()
	const old = "rft.canary-old!5195.va"
	kept := identity
	kept.RefreshToken = old
	tests := []struct {
		name string
		body string
		want signin.Identity
	}{
		{"replaced", tokenOK, identity},
		{"not replaced", strings.Replace(tokenOK, `"refresh_token":"`+refreshToken+`"`, `"refresh_token":""`, 1), kept},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var form url.Values
			m := answering(http.MethodPost, tokenURL, recording(&form, response(http.StatusOK, tt.body)))
			o := &observed{}
			c := newClient(m, func(opts *tiktok.Options) { opts.Observer = o })
			got, err := c.Refresh(t.Context(), old)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
			want := url.Values{
				"client_key": {"aw123"}, "client_secret": {secret},
				"grant_type": {"refresh_token"}, "refresh_token": {old},
			}
			if diff := cmp.Diff(want, form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"tiktok refresh ok 200 "}, o.lines); diff != "" {
				t.Errorf("what the observer was told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClient_Revoke(t *testing.T) {
	t.Parallel()
	var form url.Values
	m := answering(http.MethodPost, endURL, recording(&form, response(http.StatusOK, "")))
	o := &observed{}
	c := newClient(m, func(opts *tiktok.Options) { opts.Observer = o })
	if err := c.Revoke(t.Context(), accessToken); err != nil {
		t.Fatal(err)
	}
	want := url.Values{"client_key": {"aw123"}, "client_secret": {secret}, "token": {accessToken}}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"tiktok revoke ok 200 "}, o.lines); diff != "" {
		t.Errorf("what the observer was told (-want +got):\n%s", diff)
	}
}

// Whatever fails, it is asked once, says so in words of ours, and gives nothing away.
func TestClient_grantFails(t *testing.T) {
	t.Parallel()
	calls := map[string]func(*tiktok.Client) error{
		"refresh": func(c *tiktok.Client) error { _, err := c.Refresh(t.Context(), refreshToken); return err },
		"revoke":  func(c *tiktok.Client) error { return c.Revoke(t.Context(), accessToken) },
	}
	says := func(code, description string) httpmock.Responder {
		return response(http.StatusOK, `{"error":"`+code+`","error_description":"`+description+`","log_id":"2022"}`)
	}
	tests := []struct {
		name   string
		answer httpmock.Responder
		want   signin.Cause
	}{
		{"grant is over", says("invalid_grant", "Token canary is expired."), signin.CauseGrantEnded},
		{"wrong secret", says("invalid_client", "Client key or secret is incorrect."), signin.CauseTikTokCredentials},
		{"wrong key", says("invalid_request", "Client key is wrong."), signin.CauseTikTokCredentials},
		{"malformed", says("invalid_request", "The request parameters are malformed."), signin.CauseTikTokFails},
		{"throttled", response(http.StatusTooManyRequests, ""), signin.CauseTikTokLimit},
		{"fault", response(http.StatusInternalServerError, "canary"), signin.CauseTikTokFails},
		{"fault without a body", response(http.StatusBadGateway, ""), signin.CauseTikTokFails},
		{"redirect", response(http.StatusFound, "", "Location", "https://canary.example/"), signin.CauseTikTokFails},
		{"no JSON", response(http.StatusOK, "canary"), signin.CauseTikTokFails},
		{"no answer", httpmock.NewErrorResponder(errors.New("broken")), signin.CauseTikTokFails},
	}
	for _, tt := range tests {
		for name, call := range calls {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				t.Parallel()
				m := httpmock.NewMockTransport()
				m.RegisterResponder(http.MethodPost, tokenURL, tt.answer)
				m.RegisterResponder(http.MethodPost, endURL, tt.answer)
				err := call(newClient(m))
				var e *signin.Error
				if !errors.As(err, &e) || e.Cause != tt.want || e.Call != name || e.Message == "" {
					t.Errorf("got %+v; want %s at %s", signin.AsError(err).LogAttrs(), tt.want, name)
				}
				wantQuiet(t, err)
				if n := m.GetTotalCallCount(); n != 1 {
					t.Errorf("got %d calls; want 1", n)
				}
			})
		}
	}
}

func TestClient_Refresh_incomplete(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "{}", `{"access_token":"a"}`, `{"open_id":"o"}`, `{"access_token":"a","open_id":"\ud83d"}`,
	} {
		m := answering(http.MethodPost, tokenURL, response(http.StatusOK, body))
		_, err := newClient(m).Refresh(t.Context(), refreshToken)
		if e := signin.AsError(err); err == nil || e.Cause != signin.CauseTikTokFails || e.Call != "refresh" {
			t.Errorf("%s: got %v; want %s", body, err, signin.CauseTikTokFails)
		}
	}
}

// The life of a grant, against the simulator: each refresh token works once, the access tokens go on, and
// revoking ends everything.
func TestSimulator_grant(t *testing.T) {
	t.Parallel()
	s := startSim(t, tiktoksim.Options{})
	c := s.client()
	first, err := c.Exchange(t.Context(), s.grant(tiktoksim.OpenIDMira, "scope", "video.list"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Refresh(t.Context(), first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	want := first
	want.AccessToken, want.RefreshToken = second.AccessToken, second.RefreshToken
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("after a refresh (-want +got):\n%s", diff)
	}
	if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
		t.Error("a refresh changed no token")
	}
	for _, id := range []signin.Identity{first, second} {
		if _, err := c.Profile(t.Context(), id); err != nil {
			t.Errorf("profile: %v", err)
		}
	}
	wantGrantEnded := func(refreshToken string) {
		t.Helper()
		if _, err := c.Refresh(t.Context(), refreshToken); signin.AsError(err).Cause != signin.CauseGrantEnded {
			t.Errorf("got %v; want %s", err, signin.CauseGrantEnded)
		}
	}
	wantGrantEnded(first.RefreshToken)
	if err := c.Revoke(t.Context(), second.AccessToken); err != nil {
		t.Fatal(err)
	}
	wantGrantEnded(second.RefreshToken)
	if err := c.Revoke(t.Context(), second.AccessToken); signin.AsError(err).Cause != signin.CauseGrantEnded {
		t.Errorf("got %v; want %s", err, signin.CauseGrantEnded)
	}
}

// A refresh whose answer gets lost is asked once, and has used up its token.
func TestSimulator_lostRefresh(t *testing.T) {
	t.Parallel()
	s := startSim(t, tiktoksim.Options{})
	c := s.client()
	id, err := c.Exchange(t.Context(), s.grant(tiktoksim.OpenIDMira))
	if err != nil {
		t.Fatal(err)
	}
	s.fault("token", "reset_after")
	before := s.Exchanges()
	if _, err = c.Refresh(t.Context(), id.RefreshToken); signin.CodeOf(err) != signin.TikTokUnavailable {
		t.Errorf("got %v; want %s", err, signin.TikTokUnavailable)
	}
	if n := s.Exchanges() - before; n != 1 {
		t.Errorf("got %d requests; want 1", n)
	}
	if _, err = c.Refresh(t.Context(), id.RefreshToken); signin.AsError(err).Cause != signin.CauseGrantEnded {
		t.Errorf("got %v; want %s", err, signin.CauseGrantEnded)
	}
}
