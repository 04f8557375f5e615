package server

import (
	"html/template"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/static"
)

// The words of static/pages/return.html that differ from page to page, all but what an error says of itself.
const (
	wordsDone         = "You’re signed in"
	wordsUseButton    = "If the app does not open by itself, use the button."
	wordsOpenApp      = "Open the app"
	wordsGoToApp      = "Go to the app"
	wordsFailed       = "Sign-in did not work"
	wordsCancelled    = "Sign-in cancelled"
	wordsNothingLeft  = "Nothing left to do here"
	wordsConfirm      = "Were you just signing in?"
	wordsContinue     = "Continue"
	wordsGoBack       = "If the app did not open, go back to it and sign in again."
	wordsOtherBrowser = "This sign-in began in another browser. If somebody sent you a link, close this page: they " +
		"could get your account."
)

var returnTemplate = template.Must(template.ParseFS(static.Files, "pages/return.html"))

// returnPage is the end of a sign-in of the hosted flow: the way back into a wrapped app, or what went
// wrong where there is no way that could be trusted.
type returnPage struct {
	View, Title, Text string
	// Link is the way on, of the operator's choice: a template.URL may have any scheme, also one that runs
	// as a script. Follow tells the page to take it by itself.
	Link   template.URL
	Label  string
	Follow bool
	// Error and RequestID are for support.
	Error     signin.Code
	RequestID string
	// Fix is for developers; see fixFor.
	Fix string
	// Origin is one that app.origins lacks. Only tikbridge dev shows it, whose people are developers.
	Origin string
}

// describe makes a page tell of an error.
func (s *Server) describe(p *returnPage, c echo.Context, err error) {
	e := toError(err).err
	p.View, p.Title, p.Text = "problem", wordsFailed, e.Message
	if e.Code == signin.AccessDenied {
		p.View, p.Title = "idle", wordsCancelled
	}
	p.Error, p.RequestID, p.Fix = e.Code, telemetry.RequestID(c.Request().Context()), s.fixFor(e)
}

func (s *Server) render(c echo.Context, status int, page returnPage) error {
	var b strings.Builder
	if err := returnTemplate.Execute(&b, page); err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", contentPolicy(sources("'self'", s.opts.PublicURL), nil, nil))
	return c.HTML(status, b.String())
}

// isForPeople tells whether a request is a navigation of a person to an address of this flow, whose
// errors are pages; a script gets JSON.
func isForPeople(c echo.Context) bool {
	return slices.Contains([]string{pathStart, pathCallback, provider.PathAuthorize}, c.Path()) && wants(c, "text/html")
}

// explain shows an error that has no way back to an app.
func (s *Server) explain(c echo.Context, status int, err *signin.Error) error {
	page := returnPage{Label: wordsGoToApp}
	page.Link = template.URL(s.opts.StartPage) //nolint:gosec // the operator's own
	s.describe(&page, c, err)
	if s.opts.Demo != nil {
		page.Origin = err.Origin
	}
	if c.Path() == pathCallback && c.Request().URL.RawQuery == "" {
		// What is left of the address when the page of toApp is loaded again.
		page.View, page.Title, page.Text = "idle", wordsNothingLeft, wordsGoBack
	}
	return s.render(c, status, page)
}

// wants tells whether the client asks for a media type by name.
func wants(c echo.Context, mediaType string) bool {
	return strings.Contains(c.Request().Header.Get("Accept"), mediaType)
}
