package tiktoksim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func TestRouting(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	tests := []struct {
		name, method, path string
		status             int
		code, allow        string
	}{
		{"unknown", "GET", "/nope", 404, "not_found", ""},
		{"no trailing slash", "POST", "/v2/oauth/token", 404, "not_found", ""},
		{"unknown avatar", "GET", "/sim/avatars/nobody.svg", 404, "not_found", ""},
		{"avatar traversal", "GET", "/sim/avatars/..%2Fstyle.css", 404, "not_found", ""},
		{"token by GET", "GET", "/v2/oauth/token/", 405, "method_not_allowed", "POST"},
		{"user info by POST", "POST", "/v2/user/info/", 405, "method_not_allowed", "GET"},
		{"authorize by POST", "POST", "/v2/auth/authorize/", 405, "method_not_allowed", "GET"},
		{"reset by GET", "GET", "/sim/reset", 405, "method_not_allowed", "POST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.must(s.request(tt.method, tt.path, "", ""))
			wantError(t, got, tt.status, tt.code)
			if allow := got.header.Get("Allow"); allow != tt.allow {
				t.Errorf("Allow = %q; want %q", allow, tt.allow)
			}
		})
	}
	if s.Exchanges() != 0 {
		t.Errorf("Exchanges() = %d; want 0", s.Exchanges())
	}
}

func TestBodyTooLarge(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	body := strings.Repeat("a", 2<<20)
	wantError(t, s.must(s.request("POST", "/sim/codes", "", body)), 413, "too_large")
}

func TestCountersAndReset(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	access, _ := s.tokens(tiktoksim.OpenIDMira)
	code := s.code(tiktoksim.OpenIDMira)
	s.userInfo(access, "open_id")
	s.must(s.request("POST", "/v2/oauth/revoke/", form, credentials("token", "x").Encode()))
	s.get("/v2/auth/authorize/")
	s.get("/sim/elsewhere")
	s.fault("token", "status_500")

	counts := func() []int {
		return []int{s.Authorizations(), s.Exchanges(), s.UserInfos(), s.Revocations(), s.Elsewhere()}
	}
	if diff := cmp.Diff([]int{1, 1, 1, 1, 1}, counts()); diff != "" {
		t.Error(diff)
	}
	stats := s.get("/sim/stats")
	for _, name := range []string{"authorize", "token", "user_info", "revoke", "elsewhere"} {
		if got := field(t, stats, name); got != "1" {
			t.Errorf("stats %s = %s; want 1", name, got)
		}
	}

	if got := s.postJSON("/sim/reset", nil); got.status != 200 {
		t.Fatalf("reset: %d %s", got.status, got.body)
	}
	if diff := cmp.Diff([]int{0, 0, 0, 0, 0}, counts()); diff != "" {
		t.Error(diff)
	}
	wantError(t, s.token(exchangeOf(code)), 200, "invalid_grant")
	wantAPIError(t, s.userInfo(access, "open_id"), 401, "access_token_invalid")
}

func TestDelaySpendsTheCodeFirst(t *testing.T) {
	s := start(t, tiktoksim.Options{Delay: time.Hour})
	code := s.code(tiktoksim.OpenIDMira)
	ctx, cancel := context.WithCancel(t.Context())
	go cancelOnArrival(s, cancel)
	if _, err := s.do(s.tokenRequest(exchangeOf(code)).WithContext(ctx)); err == nil {
		t.Fatal("got an answer; want none within the hour")
	}
	if got := s.get("/sim/"); got.status != http.StatusOK {
		t.Errorf("index: %d; want no delay on other routes", got.status)
	}
}

// cancelOnArrival calls cancel once a token request has reached the simulator.
func cancelOnArrival(s *sim, cancel context.CancelFunc) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	defer cancel()
	for range tick.C {
		if s.Exchanges() > 0 {
			return
		}
	}
}
