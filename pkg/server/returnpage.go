package server

import (
	"strings"

	"github.com/labstack/echo/v4"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// The words of the return page, all but what an error says of itself.
const (
	wordsDone        = "You’re signed in"
	wordsUseButton   = "If the app does not open by itself, use the button."
	wordsOpenApp     = "Open the app"
	wordsGoToApp     = "Go to the app"
	wordsFailed      = "Sign-in did not work"
	wordsCancelled   = "Sign-in cancelled"
	wordsNothingLeft = "Nothing left to do here"
	wordsGoBack      = "If the app did not open, go back to it and sign in again."
	wordsDetails     = "Technical details"
	wordsCode        = "Code"
	wordsRequest     = "Request"
)

// returnPage is the end of a sign-in that the bridge led: the way back into a wrapped app, or what went
// wrong where there is no way that could be trusted.
type returnPage struct {
	View, Title, Text string
	// Link is the way on, of the operator's choice: nothing else keeps a link from being a script.
	// Follow tells the page to take it by itself.
	Link   string
	Label  string
	Follow bool
	// Error and RequestID are for support.
	Error     signin.Code
	RequestID string
}

// describe makes the page tell of an error.
func (p *returnPage) describe(c echo.Context, err error) {
	e := toError(err).err
	p.View, p.Title, p.Text = "problem", wordsFailed, e.Message
	if e.Code == signin.AccessDenied {
		p.View, p.Title = "idle", wordsCancelled
	}
	p.Error, p.RequestID = e.Code, telemetry.RequestID(c.Request().Context())
}

func (s *Server) render(c echo.Context, status int, page returnPage) error {
	var b strings.Builder
	if err := page.html().Render(&b); err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", contentPolicy(sources("'self'", s.opts.PublicURL), nil, nil))
	return c.HTML(status, b.String())
}

func (p returnPage) html() g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1, viewport-fit=cover")),
			h.Meta(h.Name("referrer"), h.Content("no-referrer")),
			h.Meta(h.Name("robots"), h.Content("noindex")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			themeColor("light", "#f5f4f1"),
			themeColor("dark", "#131417"),
			h.TitleEl(g.Text(p.Title)),
			h.Link(h.Rel("icon"), h.Href("data:,")),
			h.Link(h.Rel("stylesheet"), h.Href("/sdk/pages.css")),
			h.Script(h.Type("module"), h.Src("/sdk/return.js")),
		),
		h.Body(h.Class("page"),
			h.Main(h.ID("card"), h.Class("card"), h.Data("view", p.View), h.Aria("labelledby", "title"),
				h.Div(h.Class("mark"), h.Aria("hidden", "true"),
					mark("done", "M5 12.5l4.5 4.5L19 7.5"),
					mark("problem", "M12 6.5v7M12 17.2v.1"),
					mark("idle", "M12 11v6.5M12 6.8v.1"),
				),
				h.Div(h.ID("status"), h.Role("status"),
					h.H1(h.ID("title"), g.Text(p.Title)),
					h.P(h.ID("text"), g.Text(p.Text)),
				),
				g.If(p.Link != "", h.A(h.ID("action"), h.Class("button"), h.Href(p.Link),
					g.If(p.Follow, g.Attr("data-follow")), g.Text(p.Label))),
				g.If(p.Error != "", h.Details(h.ID("details"), h.Class("details"),
					h.Summary(g.Text(wordsDetails)),
					h.Dl(h.ID("facts"),
						h.Dt(g.Text(wordsCode)), h.Dd(h.Class("code"), g.Text(string(p.Error))),
						h.Dt(g.Text(wordsRequest)), h.Dd(h.Class("code"), g.Text(p.RequestID)),
					),
				)),
			),
		),
	))
}

func themeColor(scheme, color string) g.Node {
	return h.Meta(h.Name("theme-color"), g.Attr("media", "(prefers-color-scheme: "+scheme+")"), h.Content(color))
}

// mark is the sign of a view; the stylesheet shows that of the page's own.
func mark(view, path string) g.Node {
	return h.SVG(h.Class("mark-"+view), g.Attr("viewBox", "0 0 24 24"), g.El("path", g.Attr("d", path)))
}
