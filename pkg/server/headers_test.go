package server_test

import (
	"net/http"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/server"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{})
	want := map[string]string{
		"Cache-Control":             "no-store",
		"Referrer-Policy":           "no-referrer",
		"X-Content-Type-Options":    "nosniff",
		"Content-Security-Policy":   "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
		"Strict-Transport-Security": "",
		"Server":                    "",
		"X-Powered-By":              "",
	}
	answers := map[string]*http.Response{
		"session":   b.post(t, goodBody),
		"error":     b.post(t, "{"),
		"preflight": b.do(t, http.MethodOptions, exchangePath, "", "Origin", appOrigin),
		"no route":  b.do(t, http.MethodGet, "/nothing", ""),
		"no method": b.do(t, http.MethodGet, exchangePath, ""),
		"probe":     b.do(t, http.MethodGet, "/readyz", ""),
		"start":     b.do(t, http.MethodGet, "/", ""),
	}
	for name, resp := range answers {
		for header, value := range want {
			if got := resp.Header.Get(header); got != value {
				t.Errorf("%s: %s is %q; want %q", name, header, got, value)
			}
		}
	}
}

func TestHeaders_strictTransport(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                       "",
		"http://localhost:8080":  "",
		"https://signin.example": "max-age=31536000",
	} {
		b := newBridge(t, people{}, func(o *server.Options) { o.PublicURL = url })
		for _, resp := range []*http.Response{
			b.post(t, goodBody), b.do(t, http.MethodGet, "/auth", ""), b.do(t, http.MethodGet, "/nothing", ""),
		} {
			if got := resp.Header.Get("Strict-Transport-Security"); got != want {
				t.Errorf("public URL %q: Strict-Transport-Security is %q; want %q", url, got, want)
			}
		}
	}
}
