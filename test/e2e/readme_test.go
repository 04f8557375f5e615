package e2e_test

import (
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// TestReadme runs the page and the component of README.md as people paste them, but for the ports.
func TestReadme(t *testing.T) {
	needChromium(t)
	npmInstall(t)
	readme := string(readFile(t, "../../README.md"))
	files := map[string][]byte{} // written before the server is asked
	host, err := serveShared(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path
		if strings.HasSuffix(name, "/") {
			name += "index.html"
		}
		w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		_, _ = w.Write(files[name])
	}))
	if err != nil {
		t.Fatal(err)
	}
	s, err := runDev("TIKBRIDGE_APP_ORIGINS=" + host)
	if err != nil {
		t.Fatal(err)
	}
	pasted := func(language string) string {
		_, code, _ := strings.Cut(readme, "\n```"+language+"\n")
		code, _, found := strings.Cut(code, "\n```\n")
		if !found || !strings.Contains(code, gotruesim.PublishableKey) {
			t.Fatalf("README.md has no %s to paste: %s", language, code)
		}
		return strings.NewReplacer(
			"http://127.0.0.1:8080", s.bridge, "http://127.0.0.1:8082", s.supabase,
			"https://cdn.jsdelivr.net/npm/@supabase/supabase-js@2", "/supabase.js",
		).Replace(code)
	}
	files["/supabase.js"] = readFile(t, scratch+"/npm/node_modules/@supabase/supabase-js/dist/umd/supabase.js")
	files["/page/index.html"] = []byte(pasted("html"))

	src := t.TempDir()
	for name, content := range map[string]string{
		"App.jsx": pasted("jsx"),
		"main.jsx": `import { createRoot } from 'react-dom/client'
			import App from './App.jsx'
			createRoot(document.getElementById('root')).render(<App />)`,
	} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if files["/app.js"], _, err = bundle(filepath.Join(src, "main.jsx")); err != nil {
		t.Fatal(err)
	}
	files["/react/index.html"] = []byte(`<!doctype html><div id="root"></div>` +
		`<script type="module" src="/app.js"></script>`)

	for _, app := range []string{"page", "react"} {
		t.Run(app, func(t *testing.T) {
			t.Parallel()
			b := newPage(t)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the page says %q", eval[string](t, b, "document.body.innerText"))
				}
			})
			b.run(t, "open the app", chromedp.Navigate(host+"/"+app+"/"), click(signInButton))
			b.decline(t)
			b.until(t, "document.querySelector('#message')?.textContent === 'Sign-in cancelled.'")
			b.run(t, "sign in", click(signInButton))
			b.agree(t, "mira")
			b.until(t, "document.querySelector('#message')?.textContent === 'Hello, Mira Sommer'")
			b.run(t, "sign out", click(signOutButton), visible(signInButton))
			b.until(t, "document.querySelector('#message').textContent === '' && !location.search")
		})
	}
}
