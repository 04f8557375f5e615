package server

import (
	"crypto/rand"
	"regexp"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

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
