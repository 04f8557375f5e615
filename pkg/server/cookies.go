package server

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// maxFlowCookies is how many sign-ins one browser may have under way, in as many tabs. The oldest go
// first.
const maxFlowCookies = 5

// cookiePrefix begins the names of flow cookies. __Host- (RFC 6265bis, section 4.1.3.2) keeps other
// hosts of the domain from setting them; it wants https, which a developer's machine has not.
func (s *Server) cookiePrefix() string {
	if s.secure() {
		return "__Host-tikbridge-"
	}
	return "tikbridge-"
}

func (s *Server) secure() bool { return strings.HasPrefix(s.opts.PublicURL, "https://") }

// setFlowCookie ties a flow to this browser.
func (s *Server) setFlowCookie(c echo.Context, begun signin.Begun) {
	var names []string // oldest first, as browsers send them (RFC 6265, section 5.4)
	for _, cookie := range c.Cookies() {
		if strings.HasPrefix(cookie.Name, s.cookiePrefix()) {
			names = append(names, cookie.Name)
		}
	}
	for len(names) >= maxFlowCookies {
		c.SetCookie(s.cookie(names[0], "", -1))
		names = names[1:]
	}
	c.SetCookie(s.cookie(s.cookiePrefix()+begun.FlowID, begun.Binder, int(signin.StateLifetime.Seconds())))
}

func (s *Server) dropFlowCookie(c echo.Context, flowID string) {
	c.SetCookie(s.cookie(s.cookiePrefix()+flowID, "", -1))
}

// flowCookie returns how to look a flow's cookie up.
func (s *Server) flowCookie(c echo.Context) func(string) string {
	return func(flowID string) string {
		cookie, err := c.Cookie(s.cookiePrefix() + flowID)
		if err != nil {
			return ""
		}
		return cookie.Value
	}
}

func (s *Server) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever there is https
		Name: name, Value: value, MaxAge: maxAge, Path: "/",
		HttpOnly: true, Secure: s.secure(),
		SameSite: http.SameSiteLaxMode, // TikTok's redirect comes from another site
	}
}
