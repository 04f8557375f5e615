package server

import (
	"bytes"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/static"
)

// pages are the files of static/, ready to be sent.
type pages struct {
	opts Options
	// rendered are pages by their paths.
	rendered map[string][]byte
}

// newPages renders the pages of the guide flow and the one of the provider flow.
func newPages(opts Options) (*pages, error) {
	p := &pages{opts, map[string][]byte{}}
	for path, name := range map[string]string{
		"/native-callback": "native-callback", "/native-callback.html": "native-callback",
		"/auth": "auth", "/auth.html": "auth",
		"/return": "provider-return",
	} {
		page, err := render("pages/"+name+".html", opts)
		if err != nil {
			return nil, err
		}
		p.rendered[path] = page
	}
	return p, nil
}

// render puts the operator's settings into a page, which is a plain file with defaults in its data
// attributes. With a public URL all addresses become absolute, so that the page as it is served can
// be saved into an app's own folder.
func render(name string, opts Options) ([]byte, error) {
	page, err := static.Files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	const defaults = `data-bridge="" data-schemes="myapp" data-auth-path="/auth" data-next="/"`
	if bytes.Count(page, []byte(defaults)) != 1 {
		return nil, fmt.Errorf("page %s lacks its data attributes", name)
	}
	if opts.PublicURL != "" { // before the settings are put in: one of them may begin with /sdk/
		page = bytes.ReplaceAll(page, []byte(`"/sdk/`), []byte(`"`+html.EscapeString(opts.PublicURL)+`/sdk/`))
	}
	attributes := fmt.Sprintf(`data-bridge="%s" data-schemes="%s" data-auth-path="%s" data-next="%s"`,
		html.EscapeString(opts.PublicURL), html.EscapeString(strings.Join(opts.Allow.Schemes(), " ")),
		html.EscapeString(opts.AuthPath), html.EscapeString(opts.DefaultRedirect))
	return bytes.Replace(page, []byte(defaults), []byte(attributes), 1), nil
}

// register adds the routes of the pages, each by name: a static handler would serve whatever is in
// the folder one day.
func (p *pages) register(e *echo.Echo) error {
	get := func(path string, h echo.HandlerFunc) {
		e.GET(path, h)
		e.HEAD(path, h)
	}
	for path, page := range p.rendered {
		// Their scripts use up what is in their address, in a page that is rendered in advance, too.
		get(path, notPrefetched(p.page(page)))
	}
	open := func(c echo.Context) {
		h := c.Response().Header()
		// A page copied to another origin loads these as modules, which browsers fetch with CORS.
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		h.Set("Cache-Control", "public, max-age=300")
	}
	p.files(get, "/sdk/", "sdk", open)
	p.files(get, "/sdk/", "pages", open)
	if p.opts.Demo == nil {
		get("/", p.about)
		return nil
	}
	get("/", p.demo)
	get("/demo/config.json", func(c echo.Context) error { return c.JSON(http.StatusOK, p.opts.Demo.Config) })
	p.files(get, "/demo/", "demo", func(echo.Context) {})
	get("/openapi.yaml", p.openAPI)
	get("/api", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/openapi.yaml") })
	return nil
}

// files registers the files of a folder of static/ below a prefix.
func (p *pages) files(get func(string, echo.HandlerFunc), prefix, folder string, prepare func(echo.Context)) {
	entries, err := fs.ReadDir(static.Files, folder)
	if err != nil {
		panic(err) // the folder is compiled in
	}
	for _, entry := range entries {
		name := path.Join(folder, entry.Name())
		if entry.IsDir() || path.Ext(name) == ".html" {
			continue
		}
		get(prefix+entry.Name(), func(c echo.Context) error {
			content, err := static.Files.ReadFile(name)
			if err != nil {
				return err
			}
			prepare(c)
			return c.Blob(http.StatusOK, contentType(name), content)
		})
	}
}

// contentType does not ask the machine's own tables for what browsers are strict about.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".ts":
		return "text/plain; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func (p *pages) about(c echo.Context) error {
	text := fmt.Sprintf("tikbridge %s: sign in with TikTok for apps on Supabase.\n", p.opts.Version)
	return c.String(http.StatusOK, text)
}

func (p *pages) page(content []byte) echo.HandlerFunc {
	policy := contentPolicy(sources("'self'", p.opts.PublicURL), nil, nil)
	return func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", policy)
		return c.HTMLBlob(http.StatusOK, content)
	}
}

func (*pages) openAPI(c echo.Context) error {
	document, err := static.Files.ReadFile("openapi.yaml")
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "application/yaml; charset=utf-8", document) // RFC 9512
}
