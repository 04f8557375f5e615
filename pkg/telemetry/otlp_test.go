package telemetry_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/telemetry/tracetest"
)

// exportOnce sends one span to what the variables name, and returns the log.
func exportOnce(t *testing.T, environ ...string) string {
	t.Helper()
	for i := 0; i < len(environ); i += 2 {
		t.Setenv(environ[i], environ[i+1])
	}
	log, out := newLogger(t, "json", "debug")
	tracing, err := telemetry.NewTracing("v1.2.3", log)
	if err != nil || tracing == nil {
		t.Fatalf("NewTracing = %v, %v; want one that sends", tracing, err)
	}
	_, end := tracing.BeginRequest(t.Context(), http.MethodGet, "/auth", nil)
	end(telemetry.Answer{Status: http.StatusOK})
	_ = tracing.Close(t.Context())
	return out.String()
}

// TestOTLP_endpoint: the address for traces is taken as it is, the one for all gets a path of its own.
func TestOTLP_endpoint(t *testing.T) {
	tests := []struct{ key, path, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "", "/v1/traces"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "/", "/v1/traces"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "/otlp/", "/otlp/v1/traces"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "/"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/spans?to=here", "/spans?to=here"},
	}
	for _, tt := range tests {
		t.Run(tt.key+tt.path, func(t *testing.T) {
			var got atomic.Value
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got.Store(r.RequestURI) }))
			defer srv.Close()
			if log := exportOnce(t, tt.key, srv.URL+tt.path); log != "" {
				t.Errorf("the log has %s", log)
			}
			if got.Load() != tt.want {
				t.Errorf("sent to %v; want %s", got.Load(), tt.want)
			}
		})
	}
}

func TestOTLP_gzip(t *testing.T) {
	collector := tracetest.New(t)
	log := exportOnce(t, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL, "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	if len(collector.Spans()) != 1 || !strings.Contains(collector.Text(), "Content-Encoding:[gzip]") {
		t.Errorf("%d spans arrived, log %s; want one, compressed", len(collector.Spans()), log)
	}
}

// TestOTLP_again: spans that the collector has no time for are sent again, and nobody is told.
func TestOTLP_again(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			collector := tracetest.New(t)
			var calls atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					w.Header().Set("Retry-After", "0")
					w.WriteHeader(status)
					return
				}
				collector.ServeHTTP(w, r)
			}))
			defer srv.Close()
			log := exportOnce(t, "OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
			if len(collector.Spans()) != 1 || calls.Load() != 2 || log != "" {
				t.Errorf("%d spans arrived in %d calls, log %q; want one in two and no log", len(collector.Spans()), calls.Load(), log)
			}
		})
	}
}

// TestOTLP_stops: the end of the bridge does not wait for a collector that wants it to.
func TestOTLP_stops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	}))
	defer srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	log, out := newLogger(t, "json", "debug")
	tracing, err := telemetry.NewTracing("", log)
	if err != nil {
		t.Fatal(err)
	}
	_, end := tracing.BeginRequest(t.Context(), http.MethodGet, "/auth", nil)
	end(telemetry.Answer{Status: http.StatusOK})
	if err := tracing.Close(ctx); err == nil {
		t.Errorf("Close = nil, log %s; want to hear that spans are lost", out)
	}
}

// TestOTLP_lost lists collectors that take no spans, with what the log says why.
func TestOTLP_lost(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the headers went elsewhere") }))
	defer elsewhere.Close()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"some", func(w http.ResponseWriter, _ *http.Request) {
			// ExportTraceServiceResponse{partial_success: {error_message: "canary", rejected_spans: 300}}
			_, _ = w.Write(append([]byte{0x0a, 11, 0x12, 6}, append([]byte("canary"), 0x08, 0xac, 0x02)...))
		}, "it takes all but 300 spans"},
		{"refused", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "canary", http.StatusBadRequest) }, "it answers 400 Bad Request"},
		{"moved", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "it answers 307 Temporary Redirect"},
		{"cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("canary"), 1<<15)) }, "answer is too large"},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server looks whether the client is there
			<-r.Context().Done()
		}, "no answer in time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.answer)
			defer srv.Close()
			log := exportOnce(t, "OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL, "OTEL_EXPORTER_OTLP_TIMEOUT", "500")
			if !strings.Contains(log, "traces are lost") || !strings.Contains(log, tt.want) || strings.Contains(log, "canary") {
				t.Errorf("the log has %q; want a warning with %q and no word of the collector", log, tt.want)
			}
		})
	}
}

// TestOTLP_certificate: a collector with a certificate of its own, which is trusted if a variable names it.
func TestOTLP_certificate(t *testing.T) {
	collector := tracetest.New(t)
	srv := httptest.NewUnstartedServer(collector)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the client that does not trust it
	srv.StartTLS()
	defer srv.Close()
	roots := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := exportOnce(t, "OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL); !strings.Contains(out, "certificate") || len(collector.Spans()) != 0 {
		t.Errorf("the log has %q; want a warning about the certificate", out)
	}
	if out := exportOnce(t, "OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE", roots); out != "" || len(collector.Spans()) != 1 {
		t.Errorf("%d spans arrived, log %q; want one", len(collector.Spans()), out)
	}
}
