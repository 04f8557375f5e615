// Package tracetest is a collector of traces, for tests: it takes what the bridge sends over OTLP/HTTP.
package tracetest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as the collector got it.
type Span struct {
	Name string
	// Kind is "server", "client" or another kind of OpenTelemetry.
	Kind string
	// TraceID, ID and ParentID are in hex; ParentID is empty for the first span of a trace.
	TraceID, ID, ParentID string
	// Attributes, and Resource, which all spans of a process share.
	Attributes, Resource map[string]string
	// Events are written like "name key=value".
	Events []string
	// Failed tells whether the status is an error.
	Failed bool
}

// Collector takes traces. It refuses what OTLP/HTTP does not allow. Safe for concurrent use.
type Collector struct {
	// URL is what OTEL_EXPORTER_OTLP_ENDPOINT is set to.
	URL string
	// Arrived has an entry for each request, when it was answered.
	Arrived chan struct{}

	mu     sync.Mutex
	status int // of answers, 0 for good ones
	answer string
	spans  []Span
	text   strings.Builder
}

// New returns a collector that ends with the test.
func New(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{Arrived: make(chan struct{}, 1000)}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	c.URL = srv.URL
	return c
}

// Answer makes the collector refuse what comes with status and body, until status is 0.
func (c *Collector) Answer(status int, body string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.answer = status, body
}

// Spans returns what came so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Text returns all bytes that came so far, uncompressed, with their headers.
func (c *Collector) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() { c.Arrived <- struct{}{} }()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != 0 {
		http.Error(w, c.answer, c.status)
		return
	}
	if err := c.take(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty message: all was taken
}

func (c *Collector) take(r *http.Request) error {
	kind := r.Header.Get("Content-Type")
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || kind != "application/x-protobuf" {
		return fmt.Errorf("not OTLP/HTTP: %s %s with %q", r.Method, r.URL.Path, kind)
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = unzipped
	}
	sent, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(&c.text, "%v\n%s\n", r.Header, sent)
	var traces coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(sent, &traces); err != nil {
		return err
	}
	for _, of := range traces.GetResourceSpans() {
		about := attributes(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span(s, about))
			}
		}
	}
	return nil
}

func span(s *tracepb.Span, about map[string]string) Span {
	out := Span{
		Name:       s.GetName(),
		Kind:       strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_")),
		TraceID:    fmt.Sprintf("%x", s.GetTraceId()),
		ID:         fmt.Sprintf("%x", s.GetSpanId()),
		ParentID:   fmt.Sprintf("%x", s.GetParentSpanId()),
		Attributes: attributes(s.GetAttributes()),
		Resource:   about,
		Failed:     s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
	}
	for _, e := range s.GetEvents() {
		line := e.GetName()
		for _, a := range e.GetAttributes() {
			line += " " + a.GetKey() + "=" + value(a.GetValue())
		}
		out.Events = append(out.Events, line)
	}
	return out
}

func attributes(list []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range list {
		m[a.GetKey()] = value(a.GetValue())
	}
	return m
}

func value(v *commonpb.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	}
	return v.String()
}
