// Package server speaks HTTP: routes, headers, limits, and the shape of answers. What a sign-in is
// belongs to pkg/signin. It is the only package that knows echo.
package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/limit"
	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// Options configure a Server.
type Options struct {
	Service *signin.Service
	Allow   *allow.List
	// Events reads TikTok's webhooks; nil takes none.
	Events Events
	// Provider is the OpenID Provider; nil serves none.
	Provider *provider.Provider
	// GuideFlow serves the sign-in of Despia's guide; without it only the hosted flow works.
	GuideFlow bool
	// PublicURL is where browsers reach the bridge; empty if not known.
	PublicURL string
	// SiteVerification are the codes for which TikTok's proof of the address is served.
	SiteVerification []string
	// AuthPath and DefaultRedirect are rendered into the pages.
	AuthPath        string
	DefaultRedirect string
	// AppName and LogoURL, if any, say on the pages whose sign-in it is. The logo's URL is absolute.
	AppName, LogoURL string
	// TrustedProxies are believed when they say who the client is.
	TrustedProxies []netip.Prefix
	// ClientIPHeader is where they say so. Default: X-Forwarded-For.
	ClientIPHeader string
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
	if opts.ClientIPHeader == "" {
		opts.ClientIPHeader = echo.HeaderXForwardedFor
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
	s.tokenRoutes()
	if s.opts.Events != nil {
		e.POST(pathWebhook, s.webhook, limitBody, deadline)
	}
	s.providerRoutes()
	s.verificationRoutes()
	s.probes(e)
	return pages.register(e)
}

// tokenRoutes serves what an app needs of TikTok after the sign-in. A person refreshes every two hours, so the limit
// of redeem is far away.
func (s *Server) tokenRoutes() {
	limit := s.rateLimit("token", s.opts.RedeemPerMinute)
	s.api("", http.MethodPost, pathToken, s.tokens, s.cors(http.MethodPost, false), limit)
	s.api("", http.MethodPost, pathRevoke, s.revoke, s.cors(http.MethodPost, false), limit)
}

// api registers a route that pages of the allowed origins may call. What another origin asks for is
// refused already in its preflight, with an error that the log shows: the page learns nothing.
func (s *Server) api(
	step signin.Step, method, path string, handler echo.HandlerFunc, cors, limit echo.MiddlewareFunc,
	first ...echo.MiddlewareFunc,
) {
	s.opts.Metrics.AddRoute(path)
	s.echo.Add(method, path, handler, append(first, isStep(step), cors, limitBody, s.requireOrigin, deadline, limit)...)
	s.echo.OPTIONS(path, noContent, s.requireOrigin, cors)
}

func noContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Drain makes the server not ready, so that a load balancer sends nothing more, while it still
// answers what comes. Each answer ends its connection: a client that would send the next request over
// it might do so the moment it is closed.
func (s *Server) Drain() { s.ready.Store(false) }
