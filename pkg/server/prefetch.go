package server

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

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
