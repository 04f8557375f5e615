package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// metrics returns what Prometheus reads at the admin listener.
func (b bridge) metrics(t *testing.T) string {
	t.Helper()
	rec := httptest.NewRecorder()
	b.Admin().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if rec.Code != http.StatusOK {
		t.Fatalf("status is %d", rec.Code)
	}
	return rec.Body.String()
}

func (b bridge) wantMetrics(t *testing.T, want ...string) {
	t.Helper()
	text := b.metrics(t)
	for _, line := range want {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %q among the metrics:\n%s", line, text)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, func(o *server.Options) { o.ExchangePerMinute = 3 })
	for _, body := range []string{goodBody, "{}", "{", goodBody} { // the last one is too much
		_ = b.post(t, body)
	}
	_ = b.do(t, http.MethodOptions, exchangePath, "")
	_ = b.do(t, "BREW", "/wp-login.php", "")
	b.wantMetrics(t,
		`tikbridge_build_info{go_version="`+runtime.Version()+`",version="v1.2.3"} 1`,
		`tikbridge_http_requests_total{method="POST",route="`+exchangePath+`",status="200"} 1`,
		`tikbridge_http_requests_total{method="POST",route="`+exchangePath+`",status="400"} 2`,
		`tikbridge_http_requests_total{method="POST",route="`+exchangePath+`",status="429"} 1`,
		`tikbridge_http_requests_total{method="OPTIONS",route="`+exchangePath+`",status="204"} 1`,
		`tikbridge_http_requests_total{method="(other)",route="(none)",status="404"} 1`,
		`tikbridge_http_request_duration_seconds_count{route="`+exchangePath+`"} 5`,
		`tikbridge_http_requests_in_flight 0`,
		`tikbridge_signin_steps_total{call="",flow="guide",outcome="signed_in",step="exchange"} 1`,
		`tikbridge_signin_steps_total{call="",flow="guide",outcome="invalid_request",step="exchange"} 2`,
		`tikbridge_signin_steps_total{call="",flow="guide",outcome="rate_limited",step="exchange"} 1`,
		`tikbridge_rate_limited_total{route="`+exchangePath+`"} 1`,
	)
}

// Someone who closes the app is no fault of TikTok, and nobody is woken up for it.
func TestMetrics_clientGone(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	b := newBridge(t, people{exchange: func(ctx context.Context, _ signin.Grant) (signin.Identity, error) {
		hangUp()
		<-ctx.Done()
		return signin.Identity{}, &signin.Error{Code: signin.TikTokUnavailable, Call: "token", Err: ctx.Err()}
	}})
	_ = b.serve(httptest.NewRequestWithContext(ctx, http.MethodPost, exchangePath, strings.NewReader(goodBody)))
	b.wantMetrics(t, `tikbridge_signin_steps_total{call="token",flow="guide",outcome="client_gone",step="exchange"} 1`)
	if line := b.log.last(t); line["level"] != "INFO" || line["client_gone"] != true ||
		line["error"] != "tiktok_unavailable" {
		t.Errorf("the log says %v", line)
	}
}
