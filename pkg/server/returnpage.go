package server

import (
	"html/template"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// returnPage is the end of a sign-in of the hosted flow: the way back into a wrapped app, or what went
// wrong where there is no way that could be trusted.
type returnPage struct {
	frame
	View, Title, Text string
	// Untranslated says that Text is English, since only developers should get to see it.
	Untranslated bool
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

// newReturnPage returns a page without content, in the person's language.
func (s *Server) newReturnPage(c echo.Context) (returnPage, *language) {
	l := languageFor(c)
	return returnPage{frame: s.opts.frame(l)}, l
}

// describe makes a page tell of an error.
func (s *Server) describe(p *returnPage, c echo.Context, l *language, err error) {
	e := toError(err).err
	text, translated := l.message(e.Message)
	p.View, p.Title, p.Text, p.Untranslated = "problem", l.Pages["hosted.failed"], text, !translated
	if e.Code == signin.AccessDenied {
		p.View, p.Title = "idle", l.Pages["hosted.cancelled"]
	}
	p.Error, p.RequestID, p.Fix = e.Code, telemetry.RequestID(c.Request().Context()), s.fixFor(e)
}

func (s *Server) render(c echo.Context, status int, page returnPage) error {
	var b strings.Builder
	if err := pageTemplates.ExecuteTemplate(&b, "return.html", page); err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", s.opts.policy())
	return c.HTML(status, b.String())
}

// isForPeople tells whether a request is a navigation of a person to an address of this flow, whose
// errors are pages; a script gets JSON.
func isForPeople(c echo.Context) bool {
	return slices.Contains([]string{pathStart, pathCallback, provider.PathAuthorize}, c.Path()) && wants(c, "text/html")
}

// explain shows an error that has no way back to an app.
func (s *Server) explain(c echo.Context, status int, err *signin.Error) error {
	page, l := s.newReturnPage(c)
	page.Link = template.URL(s.opts.StartPage) //nolint:gosec // the operator's own
	page.Label = l.Pages["button.go_to_app"]
	s.describe(&page, c, l, err)
	if s.opts.Demo != nil {
		page.Origin = err.Origin
	}
	if c.Path() == pathCallback && c.Request().URL.RawQuery == "" {
		// What is left of the address when the page of toApp is loaded again.
		page.View, page.Title, page.Text = "idle", l.Pages["hosted.nothing.title"], l.Pages["hosted.nothing.text"]
		page.Untranslated = false
	}
	return s.render(c, status, page)
}

// wants tells whether the client asks for a media type by name.
func wants(c echo.Context, mediaType string) bool {
	return strings.Contains(c.Request().Header.Get("Accept"), mediaType)
}
