package server

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/signin"
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
	refused := signin.NewError(signin.CauseClientIPLimit)
	refused.RetryAfter = wait
	return refused
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
		busy := signin.NewError(signin.CauseBusy)
		busy.RetryAfter = 2 * time.Second
		return nil, echo.NewHTTPError(http.StatusServiceUnavailable).SetInternal(busy)
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
