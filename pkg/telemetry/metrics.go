package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Metrics is everything the bridge counts. No label holds what a client or an upstream wrote: each has a few
// known values. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec   // by route, method, status
	duration *prometheus.HistogramVec // by route
	inFlight prometheus.Gauge
	steps    *prometheus.CounterVec // by flow, step, outcome, call
	limited  *prometheus.CounterVec // by route
	refused  *prometheus.CounterVec // by reason

	calls   *prometheus.HistogramVec // by service, call, outcome
	retries *prometheus.CounterVec   // by service, reason
	events  *prometheus.CounterVec   // by outcome
	breaker *prometheus.GaugeVec     // by service
}

// Bounds of histograms, in seconds. A sign-in takes three calls one after another and ends at 25 s; a
// call ends at 10 s.
var (
	requestBuckets = []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25}
	callBuckets    = []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
)

// NewMetrics returns metrics that count in a registry of their own.
func NewMetrics(version string) *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	factory := promauto.With(registry)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return factory.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: registry,
		requests: counter("tikbridge_http_requests_total",
			"HTTP requests by route pattern, method and status.", "route", "method", "status"),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tikbridge_http_request_duration_seconds",
			Help:    "Time to answer an HTTP request, by route pattern.",
			Buckets: requestBuckets,
		}, []string{"route"}),
		inFlight: factory.NewGauge(prometheus.GaugeOpts{
			Name: "tikbridge_http_requests_in_flight",
			Help: "HTTP requests that are being answered.",
		}),
		steps: counter("tikbridge_signin_steps_total",
			"Steps of sign-ins by flow, step, outcome "+
				"(started, handed_off, signed_in, created, answered, client_gone or an error code) and the call that failed.",
			"flow", "step", "outcome", "call"),
		limited: counter("tikbridge_rate_limited_total",
			"Requests refused by the bridge's own rate limits, by route pattern.", "route"),
		refused: counter("tikbridge_refused_total",
			"Requests refused before any work, to protect the bridge, by reason.", "reason"),
		calls: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tikbridge_upstream_call_duration_seconds",
			Help:    "Time of a call to an upstream until its answer was read, by service, call and outcome.",
			Buckets: callBuckets,
		}, []string{"service", "call", "outcome"}),
		retries: counter("tikbridge_upstream_retries_total",
			"Sign-ins tried again at an upstream, by service and reason (superseded_link, fault).",
			"service", "reason"),
		events: counter("tikbridge_webhook_events_total",
			"Events of TikTok that were to be passed on to webhook.url, by outcome (delivered, gave_up, dropped).",
			"outcome"),
		breaker: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tikbridge_upstream_breaker_state",
			Help: "Circuit breaker of an upstream: 0 closed, 1 half-open, 2 open.",
		}, []string{"service"}),
	}
	factory.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tikbridge_build_info",
		Help: "A constant 1, labelled with the version of the bridge and of Go.",
	}, []string{"version", "go_version"}).WithLabelValues(version, runtime.Version()).Set(1)
	m.start()
	return m
}

// start creates the series that rates are taken of: one that begins at 1 hides its first event.
func (m *Metrics) start() {
	for _, s := range []struct {
		step    signin.Step
		outcome signin.Outcome
	}{
		{signin.StepStart, signin.OutcomeStarted},
		{signin.StepCallback, signin.OutcomeHandedOff},
		{signin.StepRedeem, signin.OutcomeSignedIn},
		{signin.StepRedeem, signin.OutcomeCreated},
		{signin.StepExchange, signin.OutcomeSignedIn},
		{signin.StepExchange, signin.OutcomeCreated},
		{signin.StepAuthorize, signin.OutcomeStarted},
		{signin.StepToken, signin.OutcomeSignedIn},
		{signin.StepUserInfo, signin.OutcomeAnswered},
	} {
		m.steps.WithLabelValues(string(s.step.Flow()), string(s.step), string(s.outcome), "")
	}
	for _, service := range []string{"tiktok", "tiktok_profile", "supabase", "backend"} {
		m.breaker.WithLabelValues(service)
	}
	for _, outcome := range []string{"delivered", "gave_up", "dropped"} {
		m.events.WithLabelValues(outcome)
	}
	for _, reason := range []string{"superseded_link", "fault"} {
		m.retries.WithLabelValues("supabase", reason)
	}
	m.retries.WithLabelValues("backend", "fault")
	m.steps.WithLabelValues(string(signin.FlowProvider), string(signin.StepCallback), string(signin.OutcomeHandedOff), "")
	m.refused.WithLabelValues("busy")
	m.startFailures()
}

// supabaseCalls are the calls of a sign-in at Supabase.
var supabaseCalls = []string{
	"generate_link", "get_user", "create_user", "update_user", "verify", "list_users", "list_passkeys",
	"id_token",
}

// startFailures makes the series of the failures that alerts look at, or the first failure of a fresh bridge,
// which may be the only one that people try, would set off none.
func (m *Metrics) startFailures() {
	steps := []signin.Step{
		signin.StepStart, signin.StepCallback, signin.StepRedeem, signin.StepExchange, signin.StepAuthorize, signin.StepToken,
	}
	for _, step := range steps {
		fails := func(code signin.Code, call string) {
			m.steps.WithLabelValues(string(step.Flow()), string(step), string(code), call)
		}
		fails(signin.Internal, "")
		if step == signin.StepCallback {
			fails(signin.AccessDenied, "authorize") // for the dashboard
		}
		for _, code := range signin.Codes() {
			service, _, _ := strings.Cut(string(code), "_")
			switch {
			case service == "tiktok" && step == signin.StepCallback:
				fails(code, "authorize")
				fails(code, "token")
			case service == "tiktok" && step == signin.StepExchange:
				fails(code, "token")
			case service == "supabase" && (step == signin.StepRedeem || step == signin.StepExchange):
				for _, call := range supabaseCalls {
					fails(code, call)
				}
			case service == "backend" && (step == signin.StepRedeem || step == signin.StepExchange):
				fails(code, "sign_in")
			}
		}
	}
	for _, call := range supabaseCalls {
		m.calls.WithLabelValues("supabase", call, "rate_limited")
	}
}

// AddRoute makes the series of a route that has a rate limit.
func (m *Metrics) AddRoute(route string) {
	m.limited.WithLabelValues(route)
	m.duration.WithLabelValues(route)
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// RequestBegins counts a request that is being answered; the function returned ends it.
func (m *Metrics) RequestBegins() (done func()) {
	m.inFlight.Inc()
	return m.inFlight.Dec
}

// Answered counts a request. The route is the pattern, the method a known one.
func (m *Metrics) Answered(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

// StepEnded counts a step of a sign-in: outcome is an outcome or an error code, failedCall the call that
// failed, if one did.
func (m *Metrics) StepEnded(flow signin.Flow, step signin.Step, outcome, failedCall string) {
	m.steps.WithLabelValues(string(flow), string(step), outcome, failedCall).Inc()
}

// RateLimited counts a request refused by the rate limit of a route.
func (m *Metrics) RateLimited(route string) { m.limited.WithLabelValues(route).Inc() }

// Refused counts a request refused before any work, such as by a bound on concurrency.
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// BreakerChanged sets the state of a service's circuit breaker: "closed", "half-open" or "open".
func (m *Metrics) BreakerChanged(service, state string) {
	value := map[string]float64{"half-open": 1, "open": 2}[state]
	m.breaker.WithLabelValues(service).Set(value)
}

// CallEnded counts a call to an upstream.
func (m *Metrics) CallEnded(service, call string, r upstream.Result, took time.Duration) {
	m.calls.WithLabelValues(service, call, r.Outcome()).Observe(took.Seconds())
}

// Retried counts a sign-in that is tried again.
func (m *Metrics) Retried(service, reason string) { m.retries.WithLabelValues(service, reason).Inc() }

// EventForwarded counts an event that was to be passed on.
func (m *Metrics) EventForwarded(outcome string) { m.events.WithLabelValues(outcome).Inc() }

// Store is how claims on states and handoffs are kept; each function may be nil.
type Store struct {
	// Errors is how many calls of the shared store failed, Lost how many claims were dropped too early.
	Errors, Lost func() int64
	// Degraded tells whether the shared store is down.
	Degraded func() bool
	// Claims is how many claims are held in memory.
	Claims func() int
}

// WatchStore adds the figures of the store. It is called once.
func (m *Metrics) WatchStore(s Store) {
	factory := promauto.With(m.registry)
	factory.NewCounterFunc(prometheus.CounterOpts{
		Name: "tikbridge_once_errors_total",
		Help: "Calls of Redis that failed.",
	}, func() float64 { return float64(call(s.Errors)) })
	factory.NewCounterFunc(prometheus.CounterOpts{
		Name: "tikbridge_once_lost_claims_total",
		Help: "Claims on states and handoffs dropped early because memory was full.",
	}, func() float64 { return float64(call(s.Lost)) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tikbridge_once_degraded",
		Help: "1 while Redis is down and single use and rate limits hold per replica.",
	}, func() float64 {
		if call(s.Degraded) {
			return 1
		}
		return 0
	})
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tikbridge_once_claims",
		Help: "Claims on states and handoffs held in memory.",
	}, func() float64 { return float64(call(s.Claims)) })
}

func call[T any](f func() T) (v T) {
	if f != nil {
		v = f()
	}
	return v
}
