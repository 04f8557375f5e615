package server

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// providerRoutes serves the OpenID Provider.
func (s *Server) providerRoutes() {
	if s.opts.Provider == nil {
		return
	}
	e := s.echo
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		e.Match(readMethods, path, document(s.opts.Provider.Discovery))
	}
	e.Match(readMethods, provider.PathJWKS, document(s.opts.Provider.JWKS))

	s.opts.Metrics.AddRoute(provider.PathAuthorize)
	s.opts.Metrics.AddRoute(provider.PathToken)
	for _, method := range []string{http.MethodGet, http.MethodPost} { // Core, section 3.1.2.1
		e.Add(method, provider.PathAuthorize, s.authorize, notPrefetched, isStep(signin.StepAuthorize), limitBody,
			s.rateLimit("authorize", s.opts.StartPerMinute))
		e.Add(method, provider.PathUserInfo, s.userInfo, isStep(signin.StepUserInfo), openToPages, limitBody)
	}
	e.OPTIONS(provider.PathUserInfo, noContent, openToPages)

	// Only a public client calls from a page.
	cors := s.cors(http.MethodPost, false)
	if !s.opts.Provider.HasPublicClient() {
		cors = func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	}
	e.POST(provider.PathToken, s.token, isStep(signin.StepToken), cors, limitBody, deadline)
	e.OPTIONS(provider.PathToken, noContent, cors)
}

// readMethods are those of documents; many monitors ask with HEAD.
var readMethods = []string{http.MethodGet, http.MethodHead}

// document serves one of the provider's public documents, which pages may read too.
func document(content func() []byte) echo.HandlerFunc {
	return openToPages(func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "public, max-age=300")
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, content())
	})
}

// openToPages lets pages of any origin read the answer. No cookie counts here.
func openToPages(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if c.Request().Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", "600")
		}
		return next(c)
	}
}

// authorize sends the person to TikTok, or back to the client with an error.
func (s *Server) authorize(c echo.Context) error {
	q, err := url.ParseQuery(c.QueryString()) // which tells, other than c.QueryParams, what it cannot read
	if c.Request().Method == http.MethodPost {
		q, err = formOf(c)
	}
	if err != nil {
		return unreadable(err)
	}
	begun, err := s.opts.Provider.Authorize(c.Request().Context(), q)
	var back *provider.Redirect
	switch {
	case errors.As(err, &back):
		note(c, inWords(back.Err))
		return c.Redirect(http.StatusSeeOther, back.URL)
	case err != nil:
		return err
	}
	s.setFlowCookie(c, begun)
	return c.Redirect(http.StatusSeeOther, begun.AuthorizeURL) // a GET, also after a POST
}

// unreadable is a request of which not even the client is known. A body that is too large has a message of its own.
func unreadable(err error) error {
	return &signin.Error{
		Code: signin.InvalidRequest, Message: "The app asked for this sign-in in a way that cannot be read.", Err: err,
	}
}

// toClient brings a person back to the OpenID client whose sign-in it was.
func (s *Server) toClient(c echo.Context, back *signin.Return, err error) error {
	if s.opts.Provider == nil { // it was switched off meanwhile
		return signin.NewError(signin.CauseClientUnknown)
	}
	finish := s.opts.Provider.Finish
	if err != nil {
		note(c, err)
		finish = func(back *signin.Return) (string, error) { return s.opts.Provider.Fail(back, err) }
	}
	address, err := finish(back)
	if err != nil {
		return err
	}
	if back.Confirm && back.Identity.OpenID != "" {
		page, l := s.newReturnPage(c)
		page.View, page.Title, page.Text = "idle", l.Pages["hosted.confirm.title"], l.Pages["hosted.confirm.text"]
		page.Link, page.Label = template.URL(address), l.Pages["button.continue"] //nolint:gosec // a registered redirect URI
		return s.render(c, http.StatusOK, page)
	}
	return c.Redirect(http.StatusFound, address)
}

// token is the token endpoint. It has no rate limit by client IP, since Supabase is one IP for everybody: only
// wrong secrets are counted.
func (s *Server) token(c echo.Context) error {
	form, err := formOf(c)
	if err != nil {
		return answerClient(c, err)
	}
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	resp, err := s.opts.Provider.Token(c.Request().Context(), provider.TokenRequest{
		Form: form, Authorization: c.Request().Header.Get(echo.HeaderAuthorization),
	})
	if err != nil {
		return s.refuseClient(c, err)
	}
	c.Response().Header().Set("Pragma", "no-cache") // RFC 6749, section 5.1
	return c.JSON(http.StatusOK, resp.Reveal())
}

// wrongSecretsPerMinute is how many wrong secrets one client IP may send.
const wrongSecretsPerMinute = 60

// refuseClient answers a token request with an error, and slows down whoever guesses secrets.
func (s *Server) refuseClient(c echo.Context, err error) error {
	var e *provider.Error
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		if limited := s.take(c, "client_secret", wrongSecretsPerMinute); limited != nil {
			return limited
		}
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Basic realm="tikbridge"`) // RFC 6749, section 5.2
	}
	return answerClient(c, err)
}

// userInfo is the userinfo endpoint.
func (s *Server) userInfo(c echo.Context) error {
	var tokens []string
	if c.Request().Method == http.MethodPost && c.Request().ContentLength != 0 {
		form, err := formOf(c)
		if err != nil {
			return answerClient(c, err)
		}
		tokens = form["access_token"]
	}
	claims, err := s.opts.Provider.UserInfo(c.Request().Header.Get(echo.HeaderAuthorization), tokens)
	if err != nil {
		challenge := "Bearer"
		var e *provider.Error
		if errors.As(err, &e) && e.Code != "" {
			challenge += ` error="` + e.Code + `"`
		}
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, challenge) // RFC 6750, section 3
		return answerClient(c, err)
	}
	signin.ReportFrom(c.Request().Context()).SetOutcome(signin.OutcomeAnswered)
	return c.JSON(http.StatusOK, claims)
}

// answerClient writes an error as OpenID clients expect it (RFC 6749, section 5.2). Others are the bridge's own.
func answerClient(c echo.Context, err error) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return err
	}
	note(c, inWords(e))
	return c.JSON(e.Status, struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"error_description"`
	}{e.Code, e.Description})
}

// inWords returns what a client was told as an error of the bridge, for the log.
func inWords(e *provider.Error) error {
	if e.Err != nil {
		return e.Err
	}
	return &signin.Error{Code: signin.InvalidRequest, Message: e.Description, Err: e}
}

// formOf reads the body of a form (RFC 6749, appendix B).
func formOf(c echo.Context) (url.Values, error) {
	malformed := func(description string) error {
		return &provider.Error{Code: "invalid_request", Description: description, Status: http.StatusBadRequest}
	}
	req := c.Request()
	mediaType, _, _ := strings.Cut(req.Header.Get(echo.HeaderContentType), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), echo.MIMEApplicationForm) {
		return nil, malformed("The Content-Type must be " + echo.MIMEApplicationForm + ".")
	}
	if err := req.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, malformed("The body is not a form.")
	}
	return req.PostForm, nil
}
