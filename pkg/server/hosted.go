package server

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// The routes of the hosted flow.
const (
	pathStart    = "/api/auth/tiktok/start"
	pathRedeem   = "/api/auth/tiktok/redeem"
	pathCallback = "/api/auth/tiktok/callback"
)

// What the hosted flow adds to the address of the app. No client library reads these names: supabase-js
// up to 2.89 drops the session of whoever comes back with error_description.
const (
	paramHandoff          = "tikbridge_handoff"
	paramError            = "tikbridge_error"
	paramErrorDescription = "tikbridge_error_description"
	paramRequestID        = "tikbridge_request_id"
)

// CallbackURL returns the redirect URI of a bridge at publicURL, as it is registered with TikTok; ""
// if publicURL is.
func CallbackURL(publicURL string) string { return below(publicURL, pathCallback) }

// StartURL returns where a bridge at publicURL begins a sign-in; "" if publicURL is.
func StartURL(publicURL string) string { return below(publicURL, pathStart) }

func below(publicURL, path string) string {
	if publicURL == "" {
		return ""
	}
	return publicURL + path
}

// start sends the person to TikTok, or tells a script where to send them.
func (s *Server) start(c echo.Context) error {
	begun, err := s.opts.Service.Begin(c.Request().Context(), signin.BeginRequest{
		Platform:      signin.Platform(c.QueryParam("platform")),
		Scheme:        c.QueryParam("scheme"),
		RedirectTo:    c.QueryParam("redirect_to"),
		Challenge:     c.QueryParam("challenge"),
		SelectAccount: c.QueryParam("select_account") == "1",
	})
	if err != nil {
		return s.refusedReturn(err, "redirect_to", c.QueryParam("redirect_to"))
	}
	s.setFlowCookie(c, begun)
	c.Response().Header().Set("Vary", "Accept, Origin")
	if wants(c, "application/json") {
		return c.JSON(http.StatusOK, struct {
			URL       string `json:"url"`
			ExpiresIn int    `json:"expires_in"` // seconds
		}{begun.AuthorizeURL, int(signin.StateLifetime.Seconds())})
	}
	return c.Redirect(http.StatusFound, begun.AuthorizeURL)
}

// callback takes TikTok's redirect and brings the person back to the app.
func (s *Server) callback(c echo.Context) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	q := c.QueryParams()
	back, err := s.opts.Service.Callback(c.Request().Context(), signin.CallbackRequest{
		State:         q.Get("state"),
		Code:          q.Get("code"),
		Error:         q.Get("error"),
		GrantedScopes: signin.Scopes(strings.Join(q["scopes"], ",")),
		Cookie:        s.flowCookie(c),
	})
	if back == nil {
		return err
	}
	if err != nil || !back.KeepCookie {
		s.dropFlowCookie(c, back.FlowID)
	}
	if back.Platform == signin.PlatformClient {
		return s.toClient(c, back, err)
	}
	values := url.Values{paramHandoff: {back.Handoff}}
	if err != nil {
		e := toError(err)
		note(c, err) // the answer is a redirect, the log line is an error's
		message, _ := languageFor(c).message(e.err.Message)
		values = url.Values{
			paramError:            {string(e.err.Code)},
			paramErrorDescription: {message},
			paramRequestID:        {telemetry.RequestID(c.Request().Context())},
		}
	}
	if back.Platform == signin.PlatformNative {
		return s.toApp(c, back.Scheme, values, err)
	}
	return s.toPage(c, back.RedirectTo, values)
}

// toPage redirects to a page of the app, which was vetted when the sign-in was started. The page's own
// query stays as it is: net/url drops what it does not understand, such as a=1;b=2. Ours comes first,
// since most readers take the first value of a name.
func (s *Server) toPage(c echo.Context, page string, values url.Values) error {
	page, own, _ := strings.Cut(page, "?")
	query := values.Encode()
	if own != "" {
		query += "&" + own
	}
	return c.Redirect(http.StatusFound, page+"?"+query)
}

// toApp shows a page that follows a deeplink at once, and has a button for browsers that want a tap.
// The prefix oauth/ is what makes Despia close the secure browser session.
func (s *Server) toApp(c echo.Context, scheme string, values url.Values, failed error) error {
	// Not every reader of deeplinks undoes a plus sign.
	query := strings.ReplaceAll(values.Encode(), "+", "%20")
	page, l := s.newReturnPage(c)
	page.View, page.Title, page.Text = "done", l.Pages["native.done.title"], l.Pages["native.done.text"]
	page.Link = template.URL(scheme + "://oauth" + s.opts.AuthPath + "?" + query) //nolint:gosec // a listed scheme
	page.Label, page.Follow = l.Pages["button.open_app"], true
	if failed != nil {
		s.describe(&page, c, l, failed)
	}
	return s.render(c, http.StatusOK, page)
}

// redeem turns a handoff into a session.
func (s *Server) redeem(c echo.Context) error {
	var body struct {
		Handoff  string `json:"handoff"`
		Verifier string `json:"verifier"`
	}
	if err := decode(c.Request().Body, &body, "handoff and verifier"); err != nil {
		return err
	}
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	session, err := s.opts.Service.Redeem(c.Request().Context(), signin.RedeemRequest{
		Handoff:  body.Handoff,
		Verifier: body.Verifier,
		Cookie:   s.flowCookie(c),
		ClientIP: clientIP(c),
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, session.Reveal())
}
