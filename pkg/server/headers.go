package server

import (
	"strings"

	"github.com/labstack/echo/v4"
)

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

// contentPolicy allows a page what it needs and no more: nothing inline, no frame around it.
func contentPolicy(own, connect, images []string) string {
	self := strings.Join(own, " ")
	list := func(more []string) string { return strings.Join(append([]string{self}, more...), " ") }
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + self,
		"style-src " + self,
		"connect-src " + list(connect),
		"img-src " + list(append([]string{"data:"}, images...)),
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

func sources(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}
