package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// TestStatuses also holds docs/errors.md, which cannot know statuses, against them.
func TestStatuses(t *testing.T) {
	t.Parallel()
	want := map[signin.Code]int{
		signin.InvalidRequest:        400,
		signin.InvalidState:          400,
		signin.AccessDenied:          403,
		signin.InvalidGrant:          400,
		signin.RedirectURIMismatch:   400,
		signin.OriginNotAllowed:      403,
		signin.SchemeNotAllowed:      400,
		signin.HandoffInvalid:        400,
		signin.AccountConflict:       409,
		signin.UserBanned:            403,
		signin.SignInRefused:         403,
		signin.RateLimited:           429,
		signin.TikTokUnavailable:     503,
		signin.TikTokMisconfigured:   500,
		signin.SupabaseUnavailable:   503,
		signin.SupabaseMisconfigured: 500,
		signin.SupabaseRestricted:    503,
		signin.BackendUnavailable:    503,
		signin.Internal:              500,
	}
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[signin.Code]int{}
	for _, code := range signin.Codes() {
		b := newBridge(t, failing(&signin.Error{Code: code, Message: "Told."}))
		resp := b.post(t, goodBody)
		got[code] = resp.StatusCode
		wantError(t, resp, resp.StatusCode, code)
		_, section, _ := strings.Cut(string(page), fmt.Sprintf("\n### %s\n\n", code))
		if !strings.HasPrefix(section, fmt.Sprintf("Status %d", resp.StatusCode)) {
			t.Errorf("docs/errors.md does not say that %s has status %d", code, resp.StatusCode)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// TestErrorShape checks that an answer has three fields and no more, and nothing meant for the log.
func TestErrorShape(t *testing.T) {
	t.Parallel()
	b := newBridge(t, failing(&signin.Error{
		Code: signin.TikTokUnavailable, Message: "TikTok <rests>.", RetryAfter: time.Second, Call: "token",
		Upstream: signin.Upstream{Service: "tiktok", Status: 500, Code: "internal_error", LogID: "2024log"},
		Err:      errors.New("said by the other side"),
	}))
	resp := b.post(t, goodBody)
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q; want application/json", got)
	}
	id := resp.Header.Get("X-Request-Id")
	if len(id) < 8 {
		t.Errorf("X-Request-Id is %q; want an id", id)
	}
	want := map[string]any{"error": "tiktok_unavailable", "error_description": "TikTok <rests>.", "request_id": id}
	if diff := cmp.Diff(want, readJSON(t, resp)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := b.log.last(t)["request_id"]; got != id {
		t.Errorf("the log has the request id %v; want %s", got, id)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		wait time.Duration
		want string
	}{
		{"none", 0, ""},
		{"negative", -time.Second, ""},
		{"a nanosecond", 1, "1"},
		{"less than a second", 400 * time.Millisecond, "1"},
		{"a second", time.Second, "1"},
		{"a little more", time.Second + 1, "2"},
		{"a minute", time.Minute, "60"},
		{"a minute and a bit", time.Minute + time.Millisecond, "61"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, failing(&signin.Error{Code: signin.RateLimited, Message: "Wait.", RetryAfter: tt.wait}))
			resp := b.post(t, goodBody)
			wantStatus(t, resp, http.StatusTooManyRequests)
			if got := resp.Header.Get("Retry-After"); got != tt.want {
				t.Errorf("Retry-After is %q; want %q", got, tt.want)
			}
		})
	}
}

// TestStrangeErrors gives the service errors that are none of its own.
func TestStrangeErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		status int
		code   signin.Code
	}{
		{"plain", errors.New("leaked-detail"), 500, signin.Internal},
		{
			"wrapped", fmt.Errorf("leaked-detail: %w", &signin.Error{Code: signin.UserBanned, Message: "No."}), 403,
			signin.UserBanned,
		},
		{"cancelled", fmt.Errorf("leaked-detail: %w", context.Canceled), 500, signin.Internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			description := wantError(t, newBridge(t, failing(tt.err)).post(t, goodBody), tt.status, tt.code)
			if strings.Contains(description, "leaked-detail") || description == "" {
				t.Errorf("error_description is %q; want a text without the cause", description)
			}
		})
	}
}

// TestRoutingErrors checks that answers which echo makes by itself look like all others.
func TestRoutingErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, target, body string
		status                     int
		allow                      string
	}{
		{"no such route", "GET", "/nothing/here", "", 404, ""},
		{"no such route to post to", "POST", "/nothing/here", goodBody, 404, ""},
		{"slash at the end", "POST", exchangePath + "/", goodBody, 404, ""},
		{"other capitals", "POST", "/API/auth/tiktok-callback", goodBody, 404, ""},
		{"way out of the folder", "GET", "/sdk/../auth.html", "", 404, ""},
		{"way out, escaped", "GET", "/sdk/..%2fauth.html", "", 404, ""},
		{"folder", "GET", "/sdk/", "", 404, ""},
		{"profiles", "GET", "/debug/pprof/", "", 404, ""},
		{"metrics", "GET", "/metrics", "", 404, ""},
		{"get", "GET", exchangePath, "", 405, "OPTIONS, POST"},
		{"head", "HEAD", exchangePath, "", 405, "OPTIONS, POST"},
		{"put", "PUT", exchangePath, goodBody, 405, "OPTIONS, POST"},
		{"invented method", "BREW", exchangePath, goodBody, 405, "OPTIONS, POST"},
		{"put at the other path", "PUT", functionPath, goodBody, 405, "OPTIONS, POST"},
		{"post to a page", "POST", "/auth", "", 405, "OPTIONS, GET, HEAD"},
		{"too large", "POST", exchangePath, strings.Repeat(" ", 70<<10) + goodBody, 413, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{})
			resp := b.do(t, tt.method, tt.target, tt.body)
			if got := resp.Header.Get("Allow"); got != tt.allow {
				t.Errorf("Allow is %q; want %q", got, tt.allow)
			}
			id := resp.Header.Get("X-Request-Id")
			m := readJSON(t, resp)
			if resp.StatusCode != tt.status || m["error"] != "invalid_request" || m["error_description"] == "" ||
				m["request_id"] != id || len(m) != 3 {
				t.Errorf("answer is %d %v; want %d invalid_request, a description and the request id %q",
					resp.StatusCode, m, tt.status, id)
			}
			if got := b.log.last(t)["level"]; got != "INFO" {
				t.Errorf("log level is %v; want INFO, since it is the client's fault", got)
			}
		})
	}
}

// TestFix: what an operator must do is in the log. People get it from tikbridge dev alone, whose people are
// developers.
func TestFix(t *testing.T) {
	t.Parallel()
	refused := signin.NewError(signin.CauseCreateFails)
	for _, demo := range []bool{false, true} {
		b := newBridge(t, failing(refused), func(o *server.Options) {
			if demo {
				withDemo(o)
			}
		})
		m := readJSON(t, b.post(t, goodBody))
		if fix, shown := m["fix"]; shown != demo || demo && fix != refused.Cause.Fix() {
			t.Errorf("dev %t: the answer is %v", demo, m)
		}
		if got := b.log.last(t)["fix"]; got != refused.Cause.Fix() {
			t.Errorf("dev %t: the log's fix is %v", demo, got)
		}

		hosted := newHosted(t, func(o *hostedOptions) {
			if demo {
				withDemo(&o.options)
			}
		})
		foreign := query(startPath, "platform", "native", "scheme", "evil", "challenge", challenge())
		page := readBody(t, hosted.do(t, http.MethodGet, foreign, "", "Accept", forPeople))
		if got := strings.Contains(page, "app.deeplink_schemes"); got != demo {
			t.Errorf("dev %t: the page shows the fix: %t", demo, got)
		}
	}
}
