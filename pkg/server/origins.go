package server

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

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
				const name = echo.HeaderAccessControlRequestHeaders
				asked.Set(name, allowedHeaders(asked.Values(name)))
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

// requireOrigin refuses a page of another origin. A request without an Origin comes from no page.
func (s *Server) requireOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		origin := c.Request().Header.Get("Origin")
		if origin != "" && !s.opts.Allow.Origin(origin) {
			refused := signin.NewError(signin.CauseOriginNotAllowed)
			refused.Origin = loggable(origin)
			return refused
		}
		return next(c)
	}
}

// originPattern matches origins as browsers write them: in lower case, with localhost, an IP address or a host
// of several names. Tokens and codes are none of these.
var originPattern = regexp.MustCompile(
	`^(null|[a-z][a-z0-9+.-]*://(localhost|[a-z0-9-]{1,30}(\.[a-z0-9-]{1,30})+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)$`)

// loggable returns origin if it looks like one, so that nothing else of a request gets into the log.
func loggable(origin string) string {
	const longest = 100
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
