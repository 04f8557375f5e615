package telemetry_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/telemetry/tracetest"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// newTracing returns tracing that sends to a collector, and the log. Variables come as name, value.
func newTracing(t *testing.T, environ ...string) (*telemetry.Tracing, *tracetest.Collector, *bytes.Buffer) {
	t.Helper()
	collector := tracetest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	for i := 0; i < len(environ); i += 2 {
		t.Setenv(environ[i], environ[i+1])
	}
	log, out := newLogger(t, "json", "debug")
	tracing, err := telemetry.NewTracing("v1.2.3", log)
	if err != nil || tracing == nil {
		t.Fatalf("NewTracing = %v, %v; want one that sends", tracing, err)
	}
	t.Cleanup(func() { _ = tracing.Close(context.Background()) })
	return tracing, collector, out
}

// signInOnce makes the trace of a sign-in, and logs a line within it.
func signInOnce(t *testing.T, tracing *telemetry.Tracing, header http.Header, a telemetry.Answer) {
	t.Helper()
	calls := telemetry.Calls(telemetry.NewMetrics(""), tracing)
	ctx := telemetry.WithRequestID(t.Context(), "request1")
	ctx, end := tracing.BeginRequest(ctx, http.MethodPost, "/api/auth/tiktok/redeem", header)
	for _, call := range []struct {
		service, name string
		result        upstream.Result
	}{
		{"tiktok", "token", upstream.Result{Status: http.StatusOK}},
		{"supabase", "generate_link", upstream.Result{Status: http.StatusNotFound, Code: "user_not_found"}},
		{"supabase", "verify", upstream.Result{Status: http.StatusBadGateway}},
		{"supabase", "verify", upstream.Result{Err: context.DeadlineExceeded}},
	} {
		_, done := calls.Begin(ctx, call.service, call.name)
		done(call.result)
	}
	calls.Retried(ctx, "supabase", "superseded_link")
	end(a)
}

func TestTracing(t *testing.T) {
	tracing, collector, _ := newTracing(t, "OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	signInOnce(t, tracing, nil, telemetry.Answer{
		Status: http.StatusServiceUnavailable, Flow: signin.FlowHosted, Step: signin.StepRedeem,
		Outcome: "supabase_unavailable", Failed: true,
	})
	if err := tracing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	spans := collector.Spans()
	if len(spans) != 5 {
		t.Fatalf("%d spans: %+v; want a request and four calls", len(spans), spans)
	}
	request := spans[len(spans)-1] // the first to begin and the last to end
	if request.ParentID != "" || len(request.TraceID) != 32 {
		t.Errorf("the request is %+v; want the beginning of a trace", request)
	}
	for _, s := range spans[:4] {
		if s.TraceID != request.TraceID || s.ParentID != request.ID {
			t.Errorf("%s is not below the request: %+v", s.Name, s)
		}
	}
	for i := range spans {
		for _, name := range []string{"telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version"} {
			delete(spans[i].Resource, name)
		}
		spans[i].TraceID, spans[i].ID, spans[i].ParentID = "", "", ""
	}
	about := map[string]string{
		"service.name": "tikbridge", "service.version": "v1.2.3", "deployment.environment.name": "test",
	}
	call := func(name string, failed bool, attributes map[string]string) tracetest.Span {
		return tracetest.Span{Name: name, Kind: "client", Attributes: attributes, Resource: about, Failed: failed}
	}
	want := []tracetest.Span{
		call("tiktok token", false, map[string]string{"http.response.status_code": "200"}),
		call("supabase generate_link", false, map[string]string{
			"http.response.status_code": "404", "tikbridge.upstream_code": "user_not_found", "error.type": "not_found",
		}),
		call("supabase verify", true, map[string]string{"http.response.status_code": "502", "error.type": "fault"}),
		call("supabase verify", true, map[string]string{"error.type": "timeout"}),
		{
			Name: "POST /api/auth/tiktok/redeem", Kind: "server", Resource: about, Failed: true,
			Attributes: map[string]string{
				"http.request.method": "POST", "http.route": "/api/auth/tiktok/redeem",
				"http.response.status_code": "503",
				"tikbridge.request_id":      "request1", "tikbridge.flow": "hosted", "tikbridge.step": "redeem",
				"tikbridge.outcome": "supabase_unavailable", "error.type": "supabase_unavailable",
			},
			Events: []string{"retry service=supabase reason=superseded_link"},
		},
	}
	if diff := cmp.Diff(want, spans); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// TestTracing_parent: a trusted proxy says which trace a request belongs to and whether it is kept, and
// only of that a log line tells the id.
func TestTracing_parent(t *testing.T) {
	const trace, proxy = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	tests := []struct {
		name, sampler, traceparent string
		kept, joined               bool
	}{
		{"none", "", "", true, false},
		{"kept", "", "00-" + trace + "-" + proxy + "-01", true, true},
		{"not kept", "", "00-" + trace + "-" + proxy + "-00", false, true},
		{"rubbish", "", "00-canary", true, false},
		{"none of the bridge's own", "parentbased_always_off", "", false, false},
		{"the proxy's all the same", "parentbased_always_off", "00-" + trace + "-" + proxy + "-01", true, true},
		{"none at all", "always_off", "00-" + trace + "-" + proxy + "-01", false, true},
		{"all", "always_on", "00-" + trace + "-" + proxy + "-00", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tracing, collector, out := newTracing(t, "OTEL_TRACES_SAMPLER", tt.sampler)
			log, err := telemetry.NewLogger(out, "json", "info")
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Traceparent": {tt.traceparent}}
			ctx, end := tracing.BeginRequest(t.Context(), http.MethodGet, "/auth", header)
			log.InfoContext(ctx, "request")
			end(telemetry.Answer{Status: http.StatusOK})
			if err := tracing.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			logged, _ := record(t, out)["trace_id"].(string)
			spans := collector.Spans()
			if kept := len(spans) == 1; kept != tt.kept {
				t.Fatalf("kept: %v; want %v", kept, tt.kept)
			}
			if !tt.kept {
				if logged != "" {
					t.Errorf("the log names trace %s, which nobody can find", logged)
				}
				return
			}
			s := spans[0]
			if joined := s.TraceID == trace && s.ParentID == proxy; joined != tt.joined {
				t.Errorf("part of the proxy's trace: %v; want %v; %+v", joined, tt.joined, s)
			}
			if logged != s.TraceID {
				t.Errorf("the log names trace %q; want %s", logged, s.TraceID)
			}
		})
	}
}

// Without an endpoint nothing is set up, and nobody has to know.
func TestTracing_off(t *testing.T) {
	for _, environ := range [][2]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", ""},
		{"OTEL_TRACES_EXPORTER", "none"},
		{"OTEL_SDK_DISABLED", "true"},
	} {
		t.Run(environ[0], func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(environ[0], environ[1])
			log, out := newLogger(t, "json", "debug")
			tracing, err := telemetry.NewTracing("v1.2.3", log)
			if tracing != nil || err != nil {
				t.Fatalf("NewTracing = %v, %v; want none", tracing, err)
			}
			signInOnce(t, tracing, http.Header{}, telemetry.Answer{})
			ctx, _ := tracing.BeginRequest(t.Context(), http.MethodGet, "/auth", nil)
			log.InfoContext(ctx, "request")
			if _, ok := record(t, out)["trace_id"]; ok {
				t.Error("the log names a trace")
			}
			if err := tracing.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTracing_refuses lists settings that the library would pass over, with what the operator is told.
// No message repeats a value that may be a key.
func TestTracing_refuses(t *testing.T) {
	tests := []struct{ key, value, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "canary.example:4318", "OTEL_EXPORTER_OTLP_ENDPOINT is no http"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://%zz/canary", "OTEL_EXPORTER_OTLP_ENDPOINT is no http or https address"},
		{
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://canary.example",
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no http or https address",
		},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc"; write http/protobuf`},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "grpc"`},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", `OTEL_EXPORTER_OTLP_COMPRESSION is "zstd"; the bridge knows gzip`},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", `OTEL_EXPORTER_OTLP_TIMEOUT is "10s"; write it in milliseconds`},
		{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT is "0"`},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/canary", "OTEL_EXPORTER_OTLP_CERTIFICATE names no file in PEM"},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/canary", "OTEL_EXPORTER_OTLP_CLIENT_KEY names no file in PEM"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "authorization=%zzcanary", "OTEL_EXPORTER_OTLP_HEADERS cannot be read"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "Bearer canary", "OTEL_EXPORTER_OTLP_HEADERS cannot be read"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "=canary", "OTEL_EXPORTER_OTLP_HEADERS cannot be read"},
		{"OTEL_TRACES_EXPORTER", "zipkin", `OTEL_TRACES_EXPORTER is "zipkin"; the bridge knows otlp and none`},
		{"OTEL_TRACES_SAMPLER", "jaeger_remote", "OTEL_TRACES_SAMPLER is none of always_on"},
		{"OTEL_RESOURCE_ATTRIBUTES", "canary", "OTEL_RESOURCE_ATTRIBUTES cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.key+" "+tt.value, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(tt.key, tt.value)
			wantRefused(t, tt.want)
		})
	}
	t.Run("several at once", func(t *testing.T) {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")
		t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", "10%")
		wantRefused(t, "OTEL_EXPORTER_OTLP_ENDPOINT is no http")
		wantRefused(t, `OTEL_TRACES_SAMPLER_ARG is "10%"; write the share of requests to trace, from 0 to 1`)
	})
}

func wantRefused(t *testing.T, want string) {
	t.Helper()
	log, _ := newLogger(t, "json", "info")
	tracing, err := telemetry.NewTracing("", log)
	if tracing != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
		t.Errorf("NewTracing = %v, %v; want an error that says %q and no value", tracing, err, want)
	}
}

// TestTracing_endpointFails: the log tells once that the endpoint fails and once that it works again,
// and nothing of what it wrote.
func TestTracing_endpointFails(t *testing.T) {
	tracing, collector, out := newTracing(t,
		"OTEL_BSP_SCHEDULE_DELAY", "1", "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary")
	send := func() {
		_, end := tracing.BeginRequest(t.Context(), http.MethodGet, "/auth", nil)
		end(telemetry.Answer{Status: http.StatusOK})
		<-collector.Arrived
	}
	collector.Answer(http.StatusUnauthorized, "canary is no key of ours")
	send()
	send()
	collector.Answer(0, "")
	send()
	send()
	if err := tracing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		has := func(text string) bool { return strings.Contains(line, text) }
		got = append(got, fmt.Sprint(has(`"level":"WARN"`), has("traces are lost"), has("takes traces again")))
	}
	if want := []string{"true true false", "false false true"}; !slices.Equal(got, want) {
		t.Errorf("the log is\n%s\nwant one warning, then one line that all is well", out)
	}
	if !strings.Contains(out.String(), "401") || strings.Contains(out.String(), "canary") {
		t.Errorf("the log is\n%s\nwant the status, and no word of the endpoint or of its key", out)
	}
	if !strings.Contains(collector.Text(), "Authorization:[Bearer canary]") {
		t.Error("the endpoint did not get its header")
	}
}

// exportOnce sends one span to what the variables name, and returns the log.
func exportOnce(t *testing.T, environ ...string) string {
	t.Helper()
	tracing, _, out := newTracing(t, environ...)
	_, end := tracing.BeginRequest(t.Context(), http.MethodGet, "/auth", nil)
	end(telemetry.Answer{Status: http.StatusOK})
	_ = tracing.Close(t.Context())
	return out.String()
}

// TestTracing_lost lists collectors that do not take the spans, with what the log says why. Nothing that a
// collector wrote is in it.
func TestTracing_lost(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"some", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			// ExportTraceServiceResponse{partial_success: {error_message: "canary", rejected_spans: 300}}
			_, _ = w.Write([]byte("\x0a\x0b\x12\x06canary\x08\xac\x02"))
		}, "rejects some of them"},
		{"refused", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "body: 200 canary", http.StatusBadRequest)
		}, "status 400"},
		{"busy for an hour", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			http.Error(w, "canary", http.StatusServiceUnavailable)
		}, "the collector is busy"},
		{"cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.answer)
			defer srv.Close()
			out := exportOnce(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", srv.URL+"/canary")
			lost := strings.Contains(out, "traces are lost") && strings.Contains(out, tt.want)
			if !lost || strings.Contains(out, "canary") {
				t.Errorf("the log has %q; want a warning with %q and no word of the collector", out, tt.want)
			}
		})
	}
}

// TestTracing_certificate: a collector with a certificate of its own is trusted if a variable names it.
func TestTracing_certificate(t *testing.T) {
	collector := tracetest.New(t)
	srv := httptest.NewUnstartedServer(collector)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the client that does not trust it
	srv.StartTLS()
	defer srv.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	roots := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(roots, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := exportOnce(t, "OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL); !strings.Contains(out, "certificate") {
		t.Errorf("the log has %q; want a warning about the certificate", out)
	}
	out := exportOnce(t, "OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE", roots)
	if got := len(collector.Spans()); got != 1 || out != "" {
		t.Errorf("%d spans arrived, log %q; want one and no log", got, out)
	}
}

// TestTracing_closeGivesUp: the end of the bridge does not wait for a collector that wants it to.
func TestTracing_closeGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	}))
	defer srv.Close()
	tracing, _, out := newTracing(t, "OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	_, end := tracing.BeginRequest(t.Context(), http.MethodGet, "/auth", nil)
	end(telemetry.Answer{Status: http.StatusOK})
	if err := tracing.Close(ctx); err == nil {
		t.Errorf("Close = nil, log %s; want to hear that spans are lost", out)
	}
}
