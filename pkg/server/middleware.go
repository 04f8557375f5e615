package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// clientAddress returns the client IP: the peer's address, unless the peer is a trusted proxy, whose
// X-Forwarded-For is then read from the right up to the first address that is not one. Where that cannot
// be read, the peer's address stands: what is further left, the client may have written.
func (s *Server) clientAddress(r *http.Request) string {
	peer := echo.ExtractIPDirect()(r)
	if !s.isProxy(parseClient(r.RemoteAddr)) {
		return peer
	}
	client := peer
	for _, entry := range slices.Backward(strings.Split(strings.Join(r.Header.Values(echo.HeaderXForwardedFor), ","), ",")) {
		if entry = strings.TrimSpace(entry); entry == "" { // RFC 9110, section 5.6.1.2
			continue
		}
		addr := parseClient(entry)
		if !addr.IsValid() {
			s.unreadableNotice.Do(func() {
				s.opts.Logger.LogAttrs(r.Context(), slog.LevelWarn,
					"X-Forwarded-For of a trusted proxy cannot be read: it must hold IP addresses. People whose address "+
						"is missing share one rate limit")
			})
			return peer
		}
		if client = addr.String(); !s.isProxy(addr) {
			break
		}
	}
	return client
}

// parseClient reads an address as proxies write it, with a port or without, in brackets or quotes (RFC 7239,
// section 6, and Azure's gateway for X-Forwarded-For). It is invalid if there is none.
func parseClient(s string) netip.Addr {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return plainAddr(withPort.Addr())
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return netip.Addr{}
		}
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return plainAddr(addr)
}

// plainAddr is an address without what only one machine's view adds to it.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// clientIP returns the address of the person's device; invalid if unknown.
func clientIP(c echo.Context) netip.Addr {
	addr, err := netip.ParseAddr(c.RealIP())
	if err != nil {
		return netip.Addr{}
	}
	return plainAddr(addr)
}

// identify gives the request its id, which is in the log, in error answers and in a header.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		s.noticeProxy(c)
		id := s.inboundRequestID(c)
		if id == "" {
			id = rand.Text()[:16]
		}
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		ctx := telemetry.WithRequestID(c.Request().Context(), id)
		ctx = signin.WithReport(ctx, &signin.Report{})
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// noticeProxy tells the operator, once, of a proxy that is not trusted: to the bridge, all its clients
// have its address, and share one limit.
func (s *Server) noticeProxy(c echo.Context) {
	if len(s.opts.TrustedProxies) > 0 || c.Request().Header.Get(echo.HeaderXForwardedFor) == "" {
		return
	}
	s.proxyNotice.Do(func() {
		s.opts.Logger.LogAttrs(c.Request().Context(), slog.LevelWarn,
			"X-Forwarded-For is not believed: if the bridge is behind a proxy, "+
				"list it in server.trusted_proxies, or all people share one rate limit")
	})
}

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// inboundRequestID returns the id a trusted proxy gave the request.
func (s *Server) inboundRequestID(c echo.Context) string {
	id := c.Request().Header.Get(echo.HeaderXRequestID)
	if !requestIDPattern.MatchString(id) {
		return ""
	}
	if !s.isFromProxy(c) {
		return ""
	}
	return id
}

// isFromProxy tells whether the peer is a proxy that the operator trusts.
func (s *Server) isFromProxy(c echo.Context) bool {
	return s.isProxy(parseClient(c.Request().RemoteAddr))
}

// isProxy tells whether an address is of a proxy that the operator trusts.
func (s *Server) isProxy(addr netip.Addr) bool {
	return slices.ContainsFunc(s.opts.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// stepKey holds which step of a sign-in a request is.
const stepKey = "step"

// isStep says which step of a sign-in the requests of a route are.
func isStep(step signin.Step) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Set(stepKey, step)
			return next(c)
		}
	}
}

// observe counts and traces the request, and writes its one line into the log. The path is the pattern
// of the route, so that nothing a client wrote gets in.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		defer s.opts.Metrics.RequestBegins()()
		// The context from before the handlers is done only if the client hung up.
		ctx, end := s.trace(c)
		err := next(c)
		if err != nil {
			c.Error(err)
		} else {
			err, _ = c.Get(notedKey).(error)
		}
		took := time.Since(start)
		method, route, status := knownMethod(c.Request().Method), routeOf(c), c.Response().Status
		report := signin.ReportFrom(ctx)
		if step, ok := c.Get(stepKey).(signin.Step); ok {
			report.SetStep(step)
		}
		outcome, failedCall := string(report.Outcome()), ""
		attrs := []slog.Attr{
			slog.String("method", method),
			slog.String("route", route),
			slog.Int("status", status),
			slog.Float64("duration_ms", math.Round(float64(took.Microseconds())/10)/100),
		}
		attrs = append(attrs, report.LogAttrs()...)
		level := slog.LevelInfo
		switch {
		case err != nil:
			e := toError(err)
			outcome, failedCall = string(e.err.Code), e.err.Call
			attrs = append(attrs, e.err.LogAttrs()...)
			switch {
			case ctx.Err() != nil: // whatever failed did so because nobody waited for it any more
				outcome = clientGone
				attrs = append(attrs, slog.Bool(clientGone, true))
			case e.status >= http.StatusInternalServerError: // also where a page or a redirect tells it
				level = slog.LevelError
			}
		case isProbe(route): // probes come every few seconds
			level = slog.LevelDebug
		}
		s.opts.Metrics.Answered(route, method, status, took)
		if report.Step() != "" {
			s.opts.Metrics.StepEnded(report.Step(), outcome, failedCall)
		}
		end(telemetry.Answer{Status: status, Step: report.Step(), Outcome: outcome, Failed: level == slog.LevelError})
		s.opts.Logger.LogAttrs(ctx, level, "request", attrs...)
		return nil
	}
}

// trace begins the span of a request. Only a proxy that the operator trusts may say which trace it
// belongs to: anybody else could give their requests the ids of others. Probes are not traced.
func (s *Server) trace(c echo.Context) (context.Context, func(telemetry.Answer)) {
	ctx := c.Request().Context()
	route := routeOf(c)
	if s.opts.Tracing == nil || isProbe(route) {
		return ctx, func(telemetry.Answer) {}
	}
	var header http.Header
	if s.isFromProxy(c) {
		header = c.Request().Header
	}
	ctx, end := s.opts.Tracing.BeginRequest(ctx, knownMethod(c.Request().Method), route, header)
	c.SetRequest(c.Request().WithContext(ctx))
	return ctx, end
}

// clientGone is the outcome of a step whose client hung up.
const clientGone = "client_gone"

// routeOf returns the pattern of the route.
func routeOf(c echo.Context) string {
	if c.Path() == "" || c.Response().Status == http.StatusNotFound {
		return "(none)"
	}
	return c.Path()
}

func isProbe(route string) bool { return route == "/healthz" || route == "/readyz" }

// recovered turns a panic into an error with a stack, which goes on to observe and its log line. The
// panic value is not wrapped: whatever it was, it is a fault of the bridge.
func recovered() echo.MiddlewareFunc {
	return middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisableStackAll:     true,
		DisableErrorHandler: true,
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			return fmt.Errorf("panic: %v\n%s", err, stack) //nolint:errorlint // see above
		},
	})
}

// notedKey holds an error that was answered in another way than as an error.
const notedKey = "error"

// note keeps err for the log line of a request whose answer is a page, a redirect or written by echo.
func note(c echo.Context, err error) { c.Set(notedKey, err) }

// knownMethod keeps invented methods out of the log.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions,
		http.MethodPut, http.MethodPatch, http.MethodDelete:
		return m
	}
	return "(other)"
}

// headers sets what every answer has. Answers hold sessions and pages hold codes in their address,
// so nothing is stored and no address is passed on.
func (s *Server) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
		if !s.ready.Load() {
			h.Set("Connection", "close")
		}
		if strings.HasPrefix(s.opts.PublicURL, "https://") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}

// cors lets pages of the allowed origins call with method and read the answer, with credentials only
// where a caller sends them. Other origins get no grant.
func (s *Server) cors(method string, credentials bool) echo.MiddlewareFunc {
	grant := middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOriginFunc:  func(origin string) (bool, error) { return s.opts.Allow.Origin(origin), nil },
		AllowMethods:     []string{method},
		AllowCredentials: credentials,
		ExposeHeaders:    []string{echo.HeaderXRequestID, "Retry-After"},
		MaxAge:           600,
	})
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		granted := grant(next)
		return func(c echo.Context) error {
			if c.Request().Method == http.MethodOptions { // it allows the headers that are asked for
				asked := c.Request().Header
				asked.Set(echo.HeaderAccessControlRequestHeaders, allowedHeaders(asked.Values(echo.HeaderAccessControlRequestHeaders)))
			}
			return granted(c)
		}
	}
}

// alwaysAllowed are the headers that the guide's pages send, and that supabase.functions.invoke adds.
const alwaysAllowed = "Content-Type,Authorization,Apikey,X-Client-Info"

// foreignCredentials are headers that prove who somebody is to another server. The bridge has no use for
// them, and a page that sends one means another address. A star would stand for all of them.
var foreignCredentials = []string{
	"*", "cookie", "cookie2", "set-cookie", "proxy-authorization", "x-access-token", "x-amz-security-token", "x-api-key",
	"x-auth-token",
}

var headerPattern = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110, section 5.6.2

// allowedHeaders are those that a page may send: whatever tracing and monitoring add to the requests of a
// page, since the bridge does not look at it, but no credential of another kind.
func allowedHeaders(asked []string) string {
	allowed := alwaysAllowed
	for name := range strings.SplitSeq(strings.Join(asked, ","), ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		known := strings.Contains(","+strings.ToLower(allowed)+",", ","+name+",")
		if !known && headerPattern.MatchString(name) && !slices.Contains(foreignCredentials, name) {
			allowed += "," + name
		}
	}
	return allowed
}

// notPrefetched refuses a browser that asks before the person does: what a callback brings works once. To a
// browser 503 says that there is nothing yet, and it asks again when the person goes there.
func notPrefetched(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
			for _, value := range c.Request().Header.Values(name) {
				switch purpose := strings.ToLower(strings.TrimSpace(value)); {
				case strings.HasPrefix(purpose, "prefetch"), strings.HasPrefix(purpose, "prerender"), strings.HasPrefix(purpose, "preview"):
					return c.String(http.StatusServiceUnavailable, "This address does not answer in advance.\n")
				}
			}
		}
		return next(c)
	}
}

// requireOrigin refuses a page of another origin. A request without an Origin comes from no page.
func (s *Server) requireOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		origin := c.Request().Header.Get("Origin")
		if origin != "" && !s.opts.Allow.Origin(origin) {
			return &signin.Error{
				Code:    signin.OriginNotAllowed,
				Message: "Sign-in is not set up for this web address. Please tell whoever runs the app.",
				Origin:  loggable(origin),
				Err:     errors.New("app.origins does not list the origin of the page"),
			}
		}
		return next(c)
	}
}

var originPattern = regexp.MustCompile(`^(null|[a-z][a-z0-9+.-]*://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?)$`)

// loggable returns origin if it looks like one, so that nothing else of a request gets into the log.
func loggable(origin string) string {
	const longest = 128
	if len(origin) > longest || !originPattern.MatchString(origin) {
		return ""
	}
	return origin
}

// refusedReturn tells the log why nobody may return to a page, which name holds. Most often the app is the
// operator's own, at an address that app.origins lacks.
func (s *Server) refusedReturn(err error, name, page string) error {
	var e *signin.Error
	if !errors.As(err, &e) || e.Code != signin.RedirectURIMismatch || e.Upstream.Service != "" {
		return err
	}
	u, invalid := url.Parse(page)
	if invalid != nil || u.Host == "" {
		e.Err = errors.New(name + " is not an absolute address")
		return e
	}
	origin := u.Scheme + "://" + u.Host
	if s.opts.Allow.Origin(origin) {
		e.Err = errors.New("app.redirect_uris allows other pages of this origin, and not " + name)
		return e
	}
	e.Origin, e.Err = loggable(origin), errors.New("app.origins does not list the origin of "+name)
	return e
}

// rateLimit limits a route by client address.
func (s *Server) rateLimit(route string, perMinute int) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if perMinute <= 0 {
			return next
		}
		return func(c echo.Context) error {
			if err := s.take(c, route, perMinute); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// take counts a request, or refuses it.
func (s *Server) take(c echo.Context, route string, perMinute int) error {
	ctx := c.Request().Context()
	wait, err := s.opts.Limiter.Take(ctx, route+":"+network(clientIP(c)), perMinute)
	if err != nil || wait == 0 {
		return err
	}
	s.opts.Metrics.RateLimited(c.Path())
	return &signin.Error{
		Code:       signin.RateLimited,
		Message:    "Too many sign-ins from this address. Please wait a moment.",
		RetryAfter: wait,
	}
}

// network is what one household has: an IPv4 address or an IPv6 network of 64 bits.
func network(addr netip.Addr) string {
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// limitBody refuses a body that is too large. Whatever a request is refused for, its body is read
// first, within bounds, so that the answer arrives.
func limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		body := c.Request().Body
		c.Request().Body = http.MaxBytesReader(c.Response(), body, maxRequestBody)
		err := next(c)
		if err != nil {
			_, _ = io.CopyN(io.Discard, body, maxDrained)
		}
		return err
	}
}

// enter takes one of the places for sign-ins under way, which leave gives back. Where all are taken it
// refuses at once, before a code or a handoff is used: waiting would end in a time-out. The status is
// 503 since nothing is wrong with this client, and what it should do is what rate_limited says: wait.
func (s *Server) enter() (leave func(), err error) {
	select {
	case s.places <- struct{}{}:
		return func() { <-s.places }, nil
	default:
		s.opts.Metrics.Refused("busy")
		return nil, echo.NewHTTPError(http.StatusServiceUnavailable).SetInternal(&signin.Error{
			Code:       signin.RateLimited,
			Message:    "Too many people are signing in at this moment. Please try again in a few seconds.",
			RetryAfter: 2 * time.Second,
		})
	}
}

// deadline bounds the work for one request.
func deadline(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), requestTimeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// retryAfter is the header's value: whole seconds, at least one.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
