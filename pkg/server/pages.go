package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/static"
)

// pageTemplates are the pages that people see.
var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	// A comment that is for whoever copies the page. Those of the file itself do not get into it.
	"comment": func(text string) template.HTML { return template.HTML("<!--" + text + "-->") }, //nolint:gosec // ours
}).ParseFS(static.Files, "pages/*.html"))

// frame is what all pages have.
type frame struct {
	Lang, Dir        string
	AppName, LogoURL string
	Texts            map[string]string
}

func (o *Options) frame(l *language) frame {
	return frame{l.tag, "ltr", o.AppName, o.LogoURL, l.Pages}
}

// appPage is a page of the guide flow, or the one of the provider flow. With a public URL all addresses are
// absolute, so that the page as it is served can be saved into an app's own folder.
type appPage struct {
	frame
	Bridge, Schemes, AuthPath, Next string
	// Kind is the first part of the names of its texts, and Button the name of its button's.
	Kind, Button, Script string
	// ForScript are the texts that the page's script shows, in JSON.
	ForScript string
}

// pages are the files of static/, ready to be sent.
type pages struct {
	opts Options
	// rendered are pages by their paths, then by their languages.
	rendered map[string]map[string][]byte
}

// newPages renders the pages of the guide flow and the one of the provider flow.
func newPages(opts Options) (*pages, error) {
	p := &pages{opts, map[string]map[string][]byte{}}
	const openApp = "button.open_app"
	for _, page := range []struct {
		name, kind, button string
		texts              []string // which ones the script shows
		paths              []string
	}{
		{"auth", "auth", "button.continue", []string{"auth"}, []string{"/auth", "/auth.html"}},
		{
			"native-callback", "native", openApp,
			[]string{"native"},
			[]string{"/native-callback", "/native-callback.html"},
		},
		{"provider-return", "native", openApp, []string{"native", "provider"}, []string{"/return"}},
	} {
		inLanguages, err := opts.render(appPage{
			Bridge: opts.PublicURL, Schemes: strings.Join(opts.Allow.Schemes(), " "), AuthPath: opts.AuthPath,
			Next: opts.DefaultRedirect, Kind: page.kind, Button: page.button, Script: page.name + ".js",
		}, page.name+".html", append(page.texts, "button", "details", "errors"))
		if err != nil {
			return nil, err
		}
		for _, path := range page.paths {
			p.rendered[path] = inLanguages
		}
	}
	return p, nil
}

// render returns a page in all languages.
func (o *Options) render(page appPage, file string, textsForScript []string) (map[string][]byte, error) {
	rendered := map[string][]byte{}
	for tag, l := range languages {
		texts, err := json.Marshal(l.under(textsForScript))
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		page.frame, page.ForScript = o.frame(l), string(texts)
		if err := pageTemplates.ExecuteTemplate(&b, file, page); err != nil {
			return nil, err
		}
		rendered[tag] = b.Bytes()
	}
	return rendered, nil
}

// policy is the content security policy of the pages.
func (o *Options) policy() string {
	var images []string
	if u, err := url.Parse(o.LogoURL); err == nil && u.Host != "" {
		images = []string{u.Scheme + "://" + u.Host}
	}
	return contentPolicy(sources("'self'", o.PublicURL), nil, images)
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

func (p *pages) page(inLanguages map[string][]byte) echo.HandlerFunc {
	policy := p.opts.policy()
	return func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", policy)
		return c.HTMLBlob(http.StatusOK, inLanguages[languageFor(c).tag])
	}
}

func (*pages) openAPI(c echo.Context) error {
	document, err := static.Files.ReadFile("openapi.yaml")
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "application/yaml; charset=utf-8", document) // RFC 9512
}
