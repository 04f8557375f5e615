package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/telemetry/tracetest"
)

// newTraced returns a bridge that traces, behind a proxy at 10.0.0.1, and what ends the tracing and
// returns what was sent.
func newTraced(t *testing.T, p people) (bridge, func() *tracetest.Collector) {
	t.Helper()
	collector := tracetest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	var tracing *telemetry.Tracing
	b := newBridge(t, p, trusting("10.0.0.0/8"), func(o *server.Options) {
		var err error
		if tracing, err = telemetry.NewTracing("v1.2.3", o.Logger); err != nil {
			t.Fatal(err)
		}
		o.Tracing = tracing
	})
	end := func() *tracetest.Collector {
		t.Helper()
		if err := tracing.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return collector
	}
	t.Cleanup(func() { _ = tracing.Close(t.Context()) })
	return b, end
}

// TestTracing: a span says what the log says of its request.
func TestTracing(t *testing.T) {
	b, end := newTraced(t, failing(&signin.Error{Code: signin.TikTokUnavailable, Call: "token"}))
	resp := b.post(t, goodBody)
	want := map[string]string{
		"http.request.method": "POST", "http.route": exchangePath, "http.response.status_code": "503",
		"tikbridge.request_id": resp.Header.Get("X-Request-Id"), "tikbridge.flow": "guide",
		"tikbridge.step": "exchange", "tikbridge.outcome": "tiktok_unavailable", "error.type": "tiktok_unavailable",
	}
	span := end().Spans()[0]
	if diff := cmp.Diff(want, span.Attributes); diff != "" || !span.Failed {
		t.Errorf("attributes of the exchange, which failed: %v (-want +got):\n%s", span.Failed, diff)
	}
}

// Only a trusted proxy may say which trace a request belongs to: others could flood a trace of theirs,
// or mix their requests into somebody else's.
func TestTracing_parent(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for _, tt := range []struct {
		name, peer string
		joined     bool
	}{
		{"trusted proxy", "10.0.0.1:1", true},
		{"anybody else", "203.0.113.9:1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, end := newTraced(t, people{})
			req := httptest.NewRequest(http.MethodGet, "/auth", http.NoBody)
			req.RemoteAddr = tt.peer
			req.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
			_ = b.serve(req)
			spans := end().Spans()
			if len(spans) != 1 || spans[0].TraceID == trace != tt.joined {
				t.Errorf("spans are %+v; part of the proxy's trace should be %v", spans, tt.joined)
			}
		})
	}
}

// TestTracing_foreign puts a word wherever a client can write, and looks for it in the traces.
func TestTracing_foreign(t *testing.T) {
	const word = "XYZZY"
	b, end := newTraced(t, people{})
	for _, method := range []string{"GET", "POST", word} {
		for _, target := range []string{
			exchangePath + "?code=" + word, "/auth?code=" + word,
			"/api/auth/tiktok/callback?state=" + word + "&code=" + word, "/" + word,
		} {
			for _, peer := range []string{"10.0.0.1:1", "203.0.113.9:1"} {
				req := httptest.NewRequest(
					method, target, strings.NewReader(`{"code":"`+word+`","redirect_uri":"https://`+word+`/auth"}`),
				)
				req.RemoteAddr, req.Host = peer, word
				for _, name := range []string{
					"User-Agent", "Referer", "Cookie", "Authorization", "X-Forwarded-For", "Traceparent", "Tracestate",
					"Baggage", "Origin",
				} {
					req.Header.Set(name, word+"=12345678")
				}
				_ = b.serve(req)
			}
		}
	}
	for _, probe := range []string{"/healthz", "/readyz"} {
		_ = b.do(t, http.MethodGet, probe, "")
	}
	collector := end()
	if got := len(collector.Spans()); got != 24 {
		t.Errorf("%d spans; want one for each of the 24 requests, and none of a probe", got)
	}
	if strings.Contains(strings.ToUpper(collector.Text()), word) {
		t.Errorf("the traces hold what a client wrote: %q", collector.Text())
	}
}
