package telemetry

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Tracing makes one trace of a request and its calls to TikTok and Supabase. A nil *Tracing makes none.
//
// Spans are named by route and by call. They hold no address, no header and nothing else that a client
// or an upstream wrote, which is why the ready-made instrumentation of net/http is not used: it records
// paths and addresses, and would send trace headers to TikTok and Supabase.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// NewTracing sets tracing up from the standard OTEL_* variables (OpenTelemetry docs: Environment Variable
// Specification; OTLP Exporter Configuration); it returns nil if they name no endpoint. Close it when done. It
// logs when the endpoint starts failing and when it works again.
func NewTracing(version string, log *slog.Logger) (*Tracing, error) {
	exporter, err := newExporter()
	if exporter == nil || err != nil {
		return nil, err
	}
	about, err := resource.New(context.Background(),
		resource.WithAttributes(
			attribute.String("service.name", "tikbridge"),
			attribute.String("service.version", version),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(), // last, so that it wins
	)
	if err != nil {
		return nil, errors.New("OTEL_RESOURCE_ATTRIBUTES cannot be read; write it like key=value,key=value")
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(about),
		sdktrace.WithBatcher(&reporting{SpanExporter: exporter, log: log}),
	)
	return &Tracing{provider: provider, tracer: provider.Tracer("github.com/tikbridge/tikbridge")}, nil
}

// CheckTracing returns what is wrong with the OTEL_* variables.
func CheckTracing() error {
	_, err := newExporter()
	return err
}

// newExporter returns the exporter of spans, nil if the variables want no traces. It reads the variables
// itself.
func newExporter() (sdktrace.SpanExporter, error) {
	_, endpoint := otlpSetting("ENDPOINT")
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	if endpoint == "" || exporter == "none" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	if err := checkVariables(); err != nil {
		return nil, err
	}
	// The library logs headers it cannot read, and with them the key of the endpoint.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	otlp, err := otlptracehttp.New(context.Background()) // sends nothing yet
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_*: %w", err)
	}
	return otlp, nil
}

// otlpSetting returns a variable of the exporter: the one for traces alone wins over the general one.
func otlpSetting(name string) (key, value string) {
	for _, key = range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value = strings.TrimSpace(os.Getenv(key)); value != "" {
			break
		}
	}
	return key, value
}

// checkVariables rejects what the library would silently ignore. Its errors repeat no value that may be a key.
func checkVariables() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	key, endpoint := otlpSetting("ENDPOINT")
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		problem("%s is no http or https address; write it like http://collector:4318", key)
	}
	key, protocol := otlpSetting("PROTOCOL")
	if !slices.Contains([]string{"", "http/protobuf", "http/json"}, protocol) {
		problem("%s is %q; write http/protobuf, which collectors take at port 4318, or http/json", key, protocol)
	}
	if key, headers := otlpSetting("HEADERS"); headers != "" && !isHeaderList(headers) {
		problem("%s cannot be read; write it like name=value,name=value, with %%2C for a comma in a value", key)
	}
	key, compression := otlpSetting("COMPRESSION")
	if !slices.Contains([]string{"", "gzip", "none"}, compression) {
		problem("%s is %q; the bridge knows gzip and none", key, compression)
	}
	if key, ms := otlpSetting("TIMEOUT"); ms != "" {
		if n, err := strconv.Atoi(ms); err != nil || n <= 0 {
			problem("%s is %q; write it in milliseconds, like 10000", key, ms)
		}
	}
	for _, name := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
		if key, file := otlpSetting(name); file != "" && !isPEM(file) {
			problem("%s names no file in PEM", key)
		}
	}
	if exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter != "" && exporter != "otlp" {
		problem("OTEL_TRACES_EXPORTER is %q; the bridge knows otlp and none", exporter)
	}
	sampler := strings.TrimPrefix(os.Getenv("OTEL_TRACES_SAMPLER"), "parentbased_")
	if !slices.Contains([]string{"", "always_on", "always_off", "traceidratio"}, sampler) {
		problem("OTEL_TRACES_SAMPLER is none of always_on, always_off, traceidratio, " +
			"or one of these with parentbased_ before it")
	}
	if arg := os.Getenv("OTEL_TRACES_SAMPLER_ARG"); sampler == "traceidratio" && arg != "" {
		if ratio, err := strconv.ParseFloat(arg, 64); err != nil || ratio < 0 || ratio > 1 {
			problem("OTEL_TRACES_SAMPLER_ARG is %q; write the share of requests to trace, from 0 to 1", arg)
		}
	}
	return errors.Join(problems...)
}

// isHeaderList tells whether s is written like name=value,name=value with percent-encoded values.
func isHeaderList(s string) bool {
	for pair := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if _, err := url.PathUnescape(value); err != nil || !ok || name == "" || strings.ContainsAny(name, " \t:") {
			return false
		}
	}
	return true
}

func isPEM(file string) bool {
	content, err := os.ReadFile(file) // #nosec G304 -- the operator's file
	block, _ := pem.Decode(content)
	return err == nil && block != nil
}

// Close sends what is still to be sent, until ctx is done.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Answer is how a request ended.
type Answer struct {
	Status  int
	Flow    signin.Flow // of a sign-in; empty for other requests, as is Step
	Step    signin.Step
	Outcome string // of the step: an outcome or an error code
	Failed  bool   // by a fault of the bridge or of an upstream
}

// BeginRequest starts the span of a request, named by known method and route pattern; the request continues
// with the returned context. header is the request's if it comes from a trusted proxy, whose trace it then
// joins; otherwise nil.
func (t *Tracing) BeginRequest(
	ctx context.Context, method, route string, header http.Header,
) (context.Context, func(Answer)) {
	if t == nil {
		return ctx, func(Answer) {}
	}
	if header != nil {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
	}
	ctx, span := t.tracer.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method),
		attribute.String("http.route", route),
		attribute.String("tikbridge.request_id", RequestID(ctx)),
	))
	return ctx, func(a Answer) {
		span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
		if a.Step != "" {
			span.SetAttributes(
				attribute.String("tikbridge.flow", string(a.Flow)),
				attribute.String("tikbridge.step", string(a.Step)),
				attribute.String("tikbridge.outcome", a.Outcome),
			)
		}
		if a.Failed {
			span.SetAttributes(attribute.String("error.type", a.Outcome))
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// beginCall starts the span of a call to an upstream.
func (t *Tracing) beginCall(ctx context.Context, service, call string) (context.Context, func(upstream.Result)) {
	if t == nil {
		return ctx, func(upstream.Result) {}
	}
	ctx, span := t.tracer.Start(ctx, service+" "+call, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, func(r upstream.Result) {
		if r.Status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", r.Status))
		}
		if r.Code != "" {
			span.SetAttributes(attribute.String("tikbridge.upstream_code", r.Code))
		}
		if outcome := r.Outcome(); outcome != "ok" {
			span.SetAttributes(attribute.String("error.type", outcome))
			if outcome != "not_found" { // how a first sign-in begins
				span.SetStatus(codes.Error, "")
			}
		}
		span.End()
	}
}

// retried notes on the request's span that the sign-in is tried again.
func (t *Tracing) retried(ctx context.Context, service, reason string) {
	if t != nil {
		trace.SpanFromContext(ctx).AddEvent("retry", trace.WithAttributes(
			attribute.String("service", service), attribute.String("reason", reason)))
	}
}

// traceID returns the id of the trace ctx belongs to, "" if there is none or it is not kept.
func traceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		return span.TraceID().String()
	}
	return ""
}

// reporting logs when the endpoint begins to fail and when it works again.
type reporting struct {
	sdktrace.SpanExporter
	log   *slog.Logger
	fails atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (r *reporting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	if failed := err != nil; r.fails.Swap(failed) != failed {
		if failed {
			r.log.WarnContext(ctx, "traces are lost: the endpoint does not take them",
				slog.String("cause", exportCause(err)))
		} else {
			r.log.InfoContext(ctx, "the endpoint takes traces again")
		}
	}
	return err
}

// exportStatus finds the status in an error of the exporter.
var exportStatus = regexp.MustCompile(`failed to send to \S+: (\d{3}) `)

// exportCause returns why spans were not taken. The exporter's errors also hold the collector's address and
// answer, which stay out of the log.
func exportCause(err error) string {
	var call *url.Error
	if errors.As(err, &call) {
		return upstream.NoAnswer(call).Error()
	}
	if status := exportStatus.FindStringSubmatch(err.Error()); status != nil {
		return "status " + status[1]
	}
	return "the collector is busy or rejects some of them"
}
