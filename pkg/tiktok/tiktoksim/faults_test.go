package tiktoksim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// TestTokenFaults checks what a client sees and whether its code is spent.
func TestTokenFaults(t *testing.T) {
	tests := []struct {
		fault  string
		status int // 0: no complete answer
		spent  bool
		check  func(*testing.T, reply)
	}{
		{"status_500", 500, false, flat("server_error")},
		{"status_503", 503, false, retryAfter(flat("temporarily_unavailable"))},
		{"status_502_html", 502, false, contentType("text/html")},
		{"error_200", 200, false, flat("server_error")},
		{"rate_limited", 429, false, retryAfter(flat("rate_limit_exceeded"))},
		{"invalid_grant", 400, false, flat("invalid_grant")},
		{"invalid_grant_200", 200, false, flat("invalid_grant")},
		{"invalid_client", 401, false, flat("invalid_client")},
		{"invalid_client_200", 200, false, flat("invalid_client")},
		{"invalid_request_redirect", 400, false, flat("invalid_request")},
		{"reset_before", 0, false, nil},
		{"reset_after", 0, true, nil},
		{"truncated", 0, true, nil},
		{"not_json", 200, false, notJSON},
		{"wrong_content_type", 200, true, contentType("text/html; charset=utf-8")},
		{"huge_body", 200, false, huge},
		{"no_open_id", 200, true, lacksOpenID},
		{"other_open_id", 200, true, namesAnother},
		{"no_refresh_token", 200, true, lacksRefreshToken},
		{"redirect", 302, false, location("/sim/elsewhere")},
		{"empty_200", 200, false, emptyBody},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			s := start(t, tiktoksim.Options{})
			code := s.code(tiktoksim.OpenIDMira)
			s.fault("token", tt.fault)
			got, err := s.do(s.tokenRequest(exchangeOf(code)))
			switch {
			case tt.status == 0 && err == nil:
				t.Errorf("got %d %s; want a broken connection", got.status, got.body)
			case tt.status != 0 && err != nil:
				t.Fatal(err)
			case tt.status != 0 && got.status != tt.status:
				t.Errorf("status = %d; want %d", got.status, tt.status)
			}
			if tt.check != nil {
				tt.check(t, got)
			}
			again := s.token(exchangeOf(code))
			if spent := field(t, again, "error") == "invalid_grant"; spent != tt.spent {
				t.Errorf("afterwards: %s; want spent = %v", again.body, tt.spent)
			}
			if s.Exchanges() != 2 {
				t.Errorf("Exchanges() = %d; want 2", s.Exchanges())
			}
		})
	}
}

func flat(code string) func(*testing.T, reply) {
	return func(t *testing.T, got reply) {
		t.Helper()
		wantError(t, got, got.status, code)
	}
}

func nested(code string) func(*testing.T, reply) {
	return func(t *testing.T, got reply) {
		t.Helper()
		wantAPIError(t, got, got.status, code)
	}
}

func retryAfter(next func(*testing.T, reply)) func(*testing.T, reply) {
	return func(t *testing.T, got reply) {
		t.Helper()
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		next(t, got)
	}
}

func contentType(want string) func(*testing.T, reply) {
	return func(t *testing.T, got reply) {
		t.Helper()
		if ct := got.header.Get("Content-Type"); ct != want {
			t.Errorf("Content-Type = %q; want %q", ct, want)
		}
	}
}

func location(want string) func(*testing.T, reply) {
	return func(t *testing.T, got reply) {
		t.Helper()
		if loc := got.header.Get("Location"); loc != want {
			t.Errorf("Location = %q; want %q", loc, want)
		}
	}
}

func notJSON(t *testing.T, got reply) {
	t.Helper()
	if json.Valid([]byte(got.body)) {
		t.Errorf("body = %q; want no JSON", got.body)
	}
}

func huge(t *testing.T, got reply) {
	t.Helper()
	if len(got.body) < 10<<20 || !json.Valid([]byte(got.body)) {
		t.Errorf("%d bytes; want 10 MB of JSON", len(got.body))
	}
}

func emptyBody(t *testing.T, got reply) {
	t.Helper()
	if got.body != "" {
		t.Errorf("body = %q; want none", got.body)
	}
}

func lacksOpenID(t *testing.T, got reply) {
	t.Helper()
	if field(t, got, "open_id")+field(t, got, "data.user.open_id") != "" {
		t.Errorf("body = %s; want no open_id", got.body)
	}
}

func lacksRefreshToken(t *testing.T, got reply) {
	t.Helper()
	if field(t, got, "access_token") == "" || field(t, got, "refresh_token") != "" {
		t.Errorf("body = %s; want an access token alone", got.body)
	}
}

func namesAnother(t *testing.T, got reply) {
	t.Helper()
	id := field(t, got, "open_id") + field(t, got, "data.user.open_id")
	if id == "" || id == tiktoksim.OpenIDMira {
		t.Errorf("open_id = %q; want another person's", id)
	}
}

func TestUserInfoFaults(t *testing.T) {
	tests := []struct {
		fault  string
		status int
		check  func(*testing.T, reply)
	}{
		{"status_500", 500, nested("internal_error")},
		{"status_503", 503, retryAfter(nested("internal_error"))},
		{"status_502_html", 502, contentType("text/html")},
		{"error_200", 200, nested("internal_error")},
		{"rate_limited", 429, retryAfter(nested("rate_limit_exceeded"))},
		{"access_token_invalid", 401, nested("access_token_invalid")},
		{"scope_not_authorized", 401, nested("scope_not_authorized")},
		{"not_json", 200, notJSON},
		{"wrong_content_type", 200, contentType("text/html; charset=utf-8")},
		{"huge_body", 200, huge},
		{"other_open_id", 200, namesAnother},
		{"no_open_id", 200, lacksOpenID},
		{"redirect", 302, location("/sim/elsewhere")},
		{"empty_200", 200, emptyBody},
	}
	s := start(t, tiktoksim.Options{})
	access, _ := s.tokens(tiktoksim.OpenIDMira)
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			s.fault("user_info", tt.fault)
			got := s.userInfo(access, "open_id,display_name")
			if got.status != tt.status {
				t.Errorf("status = %d; want %d", got.status, tt.status)
			}
			tt.check(t, got)
			wantAPIError(t, s.userInfo(access, "open_id"), 200, "ok")
		})
	}
	layla, _ := s.tokens(tiktoksim.OpenIDLayla)
	s.fault("user_info", "other_open_id")
	got := s.userInfo(layla, "open_id")
	if field(t, got, "data.user.open_id") != tiktoksim.OpenIDMira {
		t.Errorf("got %s; want Mira's open_id", got.body)
	}
	s.fault("user_info", "other_open_id")
	wantAPIError(t, s.userInfo("x", "open_id"), 401, "access_token_invalid")
}

func TestAuthorizeFaults(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	authorize := func(fault string) reply {
		s.fault("authorize", fault)
		return s.get("/v2/auth/authorize/?" + authorizeQuery())
	}
	for _, code := range []string{"access_denied", "server_error"} {
		if got := redirectQuery(t, authorize(code)); got.Get("error") != code || got.Has("code") {
			t.Errorf("%s: got %v", code, got)
		}
	}
	got := redirectQuery(t, authorize("wrong_state"))
	if got.Get("code") == "" || got.Get("state") == `s+t/a=t&e "ü` {
		t.Errorf("wrong_state: got %v", got)
	}
	if got := authorize("status_500"); got.status != 500 {
		t.Errorf("status_500: got %d", got.status)
	}
	for _, fault := range []string{"access_denied", "wrong_state"} {
		s.fault("authorize", fault)
		wantErrorPage(t, s.get("/v2/auth/authorize/?"+authorizeQuery(del("state"))), "state")
	}
}

func TestRFCStatuses(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	tests := []struct {
		form   url.Values
		status int
		code   string
	}{
		{exchangeOf("x"), 400, "invalid_grant"},
		{exchangeOf("x", "client_secret", "x"), 401, "invalid_client"},
		{credentials("grant_type", "x"), 400, "unsupported_grant_type"},
	}
	for _, tt := range tests {
		s.fault("token", "rfc_status")
		wantError(t, s.token(tt.form), tt.status, tt.code)
		wantError(t, s.token(tt.form), 200, tt.code)
	}
	s.fault("token", "rfc_status")
	if got := s.token(credentials("grant_type", "client_credentials")); got.status != 200 {
		t.Errorf("success: %d; want 200", got.status)
	}
}

func TestFaultsQueueAndCount(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	plan := func(name string, count int) {
		t.Helper()
		got := s.postJSON("/sim/faults", map[string]any{"endpoint": "token", "fault": name, "count": count})
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	next := func() int { return s.token(credentials("grant_type", "client_credentials")).status }
	plan("status_500", 2)
	plan("status_503", 1)
	for i, want := range []int{500, 500, 503, 200} {
		if got := next(); got != want {
			t.Errorf("request %d: %d; want %d", i, got, want)
		}
	}
	plan("status_500", -1)
	for range 5 {
		if got := next(); got != 500 {
			t.Errorf("until reset: %d; want 500", got)
		}
	}
	plan("none", 1)
	if got := next(); got != 200 {
		t.Errorf("after none: %d; want 200", got)
	}
	plan("status_500", -1)
	s.Reset()
	if got := next(); got != 200 {
		t.Errorf("after reset: %d; want 200", got)
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	s.fault("token", "hang")
	ctx, cancel := context.WithCancel(t.Context())
	go cancelOnArrival(s, cancel)
	_, err := s.do(s.tokenRequest(exchangeOf("x")).WithContext(ctx))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v; want context.Canceled", err)
	}
}

func TestHangEndsWithReset(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	s.fault("token", "hang")
	go cancelOnArrival(s, s.Reset)
	if got, err := s.do(s.tokenRequest(exchangeOf("x"))); err == nil {
		t.Errorf("got %d; want a closed connection", got.status)
	}
}

func TestSlowDripEndsWithTheClient(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	code := s.code(tiktoksim.OpenIDMira)
	s.fault("token", "slow_drip")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res, err := s.client.Do(s.tokenRequest(exchangeOf(code)).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	first := make([]byte, 1)
	if _, err := io.ReadFull(res.Body, first); err != nil || !bytes.Equal(first, []byte("{")) {
		t.Errorf("first byte %q, %v", first, err)
	}
	cancel()
	if _, err := io.ReadAll(res.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v; want context.Canceled", err)
	}
	wantError(t, s.token(exchangeOf(code)), http.StatusOK, "invalid_grant")
}

func TestRedirectFaultTemptsTheCareless(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	s.fault("token", "redirect")
	s.client.CheckRedirect = nil
	got := s.token(exchangeOf("x"))
	if s.Elsewhere() != 1 || field(t, got, "access_token") == "" {
		t.Errorf("elsewhere %d times, %s", s.Elsewhere(), got.body)
	}
}
