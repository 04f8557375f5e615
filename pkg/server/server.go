// Package server speaks HTTP: routes, headers, limits, and the shape of answers. What a sign-in is
// belongs to pkg/signin. It is the only package that knows echo.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/limit"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// Limits of one request.
const (
	// requestTimeout bounds a sign-in with all its calls to TikTok and Supabase.
	requestTimeout = 25 * time.Second
	// maxRequestBody is more than any honest request has, in bytes.
	maxRequestBody = 64 << 10
	// maxDrained is how much of a larger body is read and dropped, in bytes: a client that is still
	// sending when the connection closes never sees the answer.
	maxDrained = 4 << 20
)

// maxSignIns is how many sign-ins may be under way at once: far more than a healthy bridge ever has,
// and few enough that an upstream that hangs costs some megabytes and not the process.
const maxSignIns = 512

// MaxLimited is how many addresses that called within the last minute are told apart in memory.
const MaxLimited = 1 << 16

// Options configure a Server.
type Options struct {
	Service *signin.Service
	Allow   *allow.List
	// GuideFlow serves the sign-in of Despia's guide; without it only the hosted flow works.
	GuideFlow bool
	// PublicURL is where browsers reach the bridge; empty if not known.
	PublicURL string
	// AuthPath and DefaultRedirect are rendered into the pages.
	AuthPath        string
	DefaultRedirect string
	// TrustedProxies are believed when they say who the client is.
	TrustedProxies []netip.Prefix
	// StartPerMinute, ExchangePerMinute and RedeemPerMinute limit routes by client address; 0 is no
	// limit.
	StartPerMinute, ExchangePerMinute, RedeemPerMinute int
	// Limiter counts for these limits. Default: in memory.
	Limiter limit.Limiter
	// MaxSignIns is how many sign-ins may be under way at once; more are refused. Default 512.
	MaxSignIns int
	// StartPage is where a page that knows no better leads on to.
	StartPage string
	// Notes returns what a probe should know of a bridge that works, but not as it should; may be nil.
	Notes func() []string
	// Demo is the demo app at /; nil in production.
	Demo *Demo
	// Version is shown at /.
	Version string
	// Metrics counts requests and steps of sign-ins, and is shown on the admin side. Default: its own.
	Metrics *telemetry.Metrics
	// Tracing makes traces; nil makes none.
	Tracing *telemetry.Tracing
	// Logger takes a line a request. Default: discarded.
	Logger *slog.Logger
}

// Server is the public side of the bridge, and its admin side.
type Server struct {
	opts  Options
	echo  *echo.Echo
	ready atomic.Bool
	// places has an entry for each sign-in under way.
	places chan struct{}
	// Each notice is given once.
	proxyNotice, unreadableNotice sync.Once
}

// New returns a Server that is ready.
func New(opts Options) (*Server, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = telemetry.NewMetrics(opts.Version)
	}
	if opts.Limiter == nil {
		opts.Limiter = limit.NewMemory(MaxLimited)
	}
	if opts.MaxSignIns <= 0 {
		opts.MaxSignIns = maxSignIns
	}
	s := &Server{opts: opts, echo: echo.New(), places: make(chan struct{}, opts.MaxSignIns)}
	s.ready.Store(true)

	e := s.echo
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.writeError
	// Echo believes X-Forwarded-For from anybody unless it is told whom to believe.
	e.IPExtractor = s.clientAddress
	e.Use(s.identify, s.observe, recovered(), s.headers)

	if err := s.routes(); err != nil {
		return nil, err
	}
	return s, nil
}

// routes lists every public route.
func (s *Server) routes() error {
	e := s.echo
	pages, err := newPages(s.opts)
	if err != nil {
		return err
	}
	// Despia apps call either path: the guide's own backend, or its Edge Function. They share one
	// limit. No cookie is looked at here, but Despia's callback component asks with credentials, and a
	// browser hides an answer that does not grant them.
	limit := s.rateLimit("exchange", s.opts.ExchangePerMinute)
	exchange := s.cors(http.MethodPost, true)
	for _, path := range []string{"/api/auth/tiktok-callback", "/functions/v1/auth-tiktok-callback"} {
		s.api(signin.StepExchange, http.MethodPost, path, s.exchange, exchange, limit)
	}
	// A web app on the same site as the bridge may redeem by its flow cookie.
	s.api(signin.StepRedeem, http.MethodPost, pathRedeem, s.redeem,
		s.cors(http.MethodPost, true), s.rateLimit("redeem", s.opts.RedeemPerMinute))
	s.api(signin.StepStart, http.MethodGet, pathStart, s.start,
		s.cors(http.MethodGet, false), s.rateLimit("start", s.opts.StartPerMinute), notPrefetched)
	e.GET(pathCallback, s.callback, notPrefetched, isStep(signin.StepCallback), deadline)
	s.probes(e)
	return pages.register(e)
}

// probes registers the probes; many monitors ask with HEAD.
func (s *Server) probes(e *echo.Echo) {
	methods := []string{http.MethodGet, http.MethodHead}
	e.Match(methods, "/healthz", s.healthz)
	e.Match(methods, "/readyz", s.readyz)
}

// api registers a route that pages of the allowed origins may call. What another origin asks for is
// refused already in its preflight, with an error that the log shows: the page learns nothing.
func (s *Server) api(step signin.Step, method, path string, handler echo.HandlerFunc, cors, limit echo.MiddlewareFunc, first ...echo.MiddlewareFunc) {
	s.opts.Metrics.AddRoute(path)
	s.echo.Add(method, path, handler, append(first, isStep(step), cors, limitBody, s.requireOrigin, deadline, limit)...)
	s.echo.OPTIONS(path, noContent, s.requireOrigin, cors)
}

func noContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Admin returns the handler of the admin listener: probes, metrics and profiles, nothing a person may
// see.
func (s *Server) Admin() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.writeError
	s.probes(e)
	e.GET("/metrics", echo.WrapHandler(s.opts.Metrics.Handler()))
	e.GET("/debug/pprof/*", echo.WrapHandler(http.HandlerFunc(pprof.Index)))
	e.GET("/debug/pprof/cmdline", echo.WrapHandler(http.HandlerFunc(pprof.Cmdline)))
	e.GET("/debug/pprof/profile", echo.WrapHandler(http.HandlerFunc(pprof.Profile)))
	e.GET("/debug/pprof/symbol", echo.WrapHandler(http.HandlerFunc(pprof.Symbol)))
	e.GET("/debug/pprof/trace", echo.WrapHandler(http.HandlerFunc(pprof.Trace)))
	return e
}

// Drain makes the server not ready, so that a load balancer sends nothing more, while it still
// answers what comes. Each answer ends its connection: a client that would send the next request over
// it might do so the moment it is closed.
func (s *Server) Drain() { s.ready.Store(false) }

func (s *Server) healthz(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

func (s *Server) readyz(c echo.Context) error {
	if !s.ready.Load() {
		return c.String(http.StatusServiceUnavailable, "stopping\n")
	}
	answer := "ok\n"
	if s.opts.Notes != nil {
		for _, note := range s.opts.Notes() {
			answer += note + "\n"
		}
	}
	return c.String(http.StatusOK, answer)
}

// Serve answers requests on l until ctx ends, then drains: requests under way may take until grace is
// over.
func Serve(ctx context.Context, l net.Listener, h http.Handler, grace time.Duration, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      requestTimeout + 15*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "connections cut off at the end of the shutdown timeout",
			slog.String("listen", l.Addr().String()))
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
