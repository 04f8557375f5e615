package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// scrape returns what Prometheus would read.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// fill gives every metric of the bridge at least one series.
func fill(m *telemetry.Metrics) {
	done := m.RequestBegins()
	defer done()
	m.Answered("/readyz", http.MethodGet, http.StatusOK, time.Millisecond)
	m.StepEnded(signin.FlowHosted, signin.StepRedeem, string(signin.SupabaseUnavailable), "verify")
	m.RateLimited("/api/auth/tiktok/start")
	m.Refused("busy")
	m.BreakerChanged("tiktok", "open")
	m.BreakerChanged("supabase", "half-open")
	m.CallEnded("tiktok", "token", upstream.Result{Status: http.StatusOK}, time.Millisecond)
	m.Retried("supabase", "superseded_link")
	m.WatchStore(telemetry.Store{
		Errors: func() int64 { return 3 }, Lost: func() int64 { return 4 },
		Degraded: func() bool { return true }, Claims: func() int { return 5 },
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1.2.3")
	fill(m)
	text := scrape(t, m)
	for _, want := range []string{
		`tikbridge_build_info{go_version="go1.`,
		`version="v1.2.3"} 1`,
		`tikbridge_http_requests_total{method="GET",route="/readyz",status="200"} 1`,
		`tikbridge_http_request_duration_seconds_bucket{route="/readyz",le="0.0025"} 1`,
		`tikbridge_http_requests_in_flight 0`,
		`tikbridge_signin_steps_total{call="verify",flow="hosted",outcome="supabase_unavailable",step="redeem"} 1`,
		`tikbridge_rate_limited_total{route="/api/auth/tiktok/start"} 1`,
		`tikbridge_refused_total{reason="busy"} 1`,
		`tikbridge_upstream_breaker_state{service="tiktok"} 2`,
		`tikbridge_upstream_breaker_state{service="supabase"} 1`,
		`tikbridge_upstream_call_duration_seconds_count{call="token",outcome="ok",service="tiktok"} 1`,
		`tikbridge_upstream_retries_total{reason="superseded_link",service="supabase"} 1`,
		`tikbridge_once_errors_total 3`,
		`tikbridge_once_lost_claims_total 4`,
		`tikbridge_once_degraded 1`,
		`tikbridge_once_claims 5`,
		"\ngo_goroutines ",
		"\nprocess_start_time_seconds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// The same rules as promtool check metrics.
func TestMetrics_lint(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1.2.3")
	fill(m)
	problems, err := promlint.New(strings.NewReader(scrape(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A counter that begins at one hides its first event from rate and increase.
func TestMetrics_startAtZero(t *testing.T) {
	t.Parallel()
	text := scrape(t, telemetry.NewMetrics(""))
	for _, want := range []string{
		`tikbridge_signin_steps_total{call="",flow="guide",outcome="created",step="exchange"} 0`,
		`tikbridge_signin_steps_total{call="",flow="hosted",outcome="started",step="start"} 0`,
		`tikbridge_signin_steps_total{call="",flow="hosted",outcome="handed_off",step="callback"} 0`,
		`tikbridge_signin_steps_total{call="",flow="hosted",outcome="signed_in",step="redeem"} 0`,
		`tikbridge_upstream_breaker_state{service="tiktok"} 0`,
		`tikbridge_upstream_breaker_state{service="tiktok_profile"} 0`,
		`tikbridge_upstream_breaker_state{service="supabase"} 0`,
		`tikbridge_upstream_retries_total{reason="fault",service="supabase"} 0`,
		`tikbridge_refused_total{reason="busy"} 0`,
		`tikbridge_signin_steps_total{call="authorize",flow="hosted",outcome="tiktok_misconfigured",step="callback"} 0`,
		`tikbridge_signin_steps_total{call="",flow="guide",outcome="internal",step="exchange"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	// Every call of a sign-in at Supabase may be refused or fail.
	source, err := os.ReadFile("../supabase/call.go")
	if err != nil {
		t.Fatal(err)
	}
	calls, ofNoSignIn := 0, []string{"settings", "health", "custom_provider", "user", "delete_user", "logout"}
	for _, m := range regexp.MustCompile(`(?m)^\tcall[A-Z]\w+ += "(\w+)"`).FindAllSubmatch(source, -1) {
		call := string(m[1])
		if slices.Contains(ofNoSignIn, call) {
			continue
		}
		calls++
		for _, want := range []string{
			`tikbridge_signin_steps_total{call="` + call + `",flow="guide",outcome="supabase_misconfigured",step="exchange"} 0`,
			`tikbridge_signin_steps_total{call="` + call + `",flow="hosted",outcome="supabase_unavailable",step="redeem"} 0`,
			`tikbridge_upstream_call_duration_seconds_count{call="` + call + `",outcome="rate_limited",service="supabase"} 0`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s", want)
			}
		}
	}
	if calls < 5 {
		t.Errorf("pkg/supabase/call.go has %d calls", calls)
	}
}

func TestMetrics_breakerCloses(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("")
	m.BreakerChanged("tiktok", "open")
	m.BreakerChanged("tiktok", "closed")
	if want := `tikbridge_upstream_breaker_state{service="tiktok"} 0`; !strings.Contains(scrape(t, m), want) {
		t.Errorf("no %s", want)
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.NewMetrics("")
		o := telemetry.Calls(m, nil)
		_, done := o.Begin(t.Context(), "supabase", "verify")
		time.Sleep(30 * time.Millisecond) // takes no time here
		done(upstream.Result{Err: fmt.Errorf("read: %w", context.DeadlineExceeded)})
		o.Retried(t.Context(), "supabase", "fault")
		text := scrape(t, m)
		for _, want := range []string{
			`tikbridge_upstream_call_duration_seconds_sum{call="verify",outcome="timeout",service="supabase"} 0.03`,
			`tikbridge_upstream_retries_total{reason="fault",service="supabase"} 1`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
	})
}
