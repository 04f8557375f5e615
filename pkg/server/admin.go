package server

import (
	"net/http"
	"net/http/pprof"

	"github.com/labstack/echo/v4"
)

// probes registers the probes.
func (s *Server) probes(e *echo.Echo) {
	e.Match(readMethods, "/healthz", s.healthz)
	e.Match(readMethods, "/readyz", s.readyz)
}

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
