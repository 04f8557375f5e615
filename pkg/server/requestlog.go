package server

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

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
			s.opts.Metrics.StepEnded(report.Flow(), report.Step(), outcome, failedCall)
		}
		end(telemetry.Answer{
			Status: status, Flow: report.Flow(), Step: report.Step(), Outcome: outcome, Failed: level == slog.LevelError,
		})
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

// knownMethod keeps invented methods out of the log.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions,
		http.MethodPut, http.MethodPatch, http.MethodDelete:
		return m
	}
	return "(other)"
}

// notedKey holds an error that was answered in another way than as an error.
const notedKey = "error"

// note keeps err for the log line of a request whose answer is a page, a redirect or written by echo.
func note(c echo.Context, err error) { c.Set(notedKey, err) }

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
