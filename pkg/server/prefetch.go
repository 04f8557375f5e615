package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// notPrefetched refuses a browser that asks before the person does: what a callback brings works once. To a
// browser 503 says that there is nothing yet, and it asks again when the person goes there.
func notPrefetched(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
			for _, value := range c.Request().Header.Values(name) {
				value = strings.ToLower(strings.TrimSpace(value))
				in := func(purpose string) bool { return strings.HasPrefix(value, purpose) }
				if slices.ContainsFunc([]string{"prefetch", "prerender", "preview"}, in) {
					return c.String(http.StatusServiceUnavailable, "This address does not answer in advance.\n")
				}
			}
		}
		return next(c)
	}
}
