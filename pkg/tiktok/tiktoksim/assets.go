package tiktoksim

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

const (
	avatarPath = "/sim/avatars/"
	// avatarTTL is how long a signed avatar URL works. TikTok documents no number.
	avatarTTL = 24 * time.Hour
	nonceSize = 8
	macSize   = 17 // with the nonce 25 bytes, so that base64 ends in "==" and wants encoding
)

// policy is the CSP of the simulator's pages. It has no form-action on purpose: Chrome applies that
// to the redirect after a form as well, and would stop every sign-in at the consent page.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' https: http:; " +
	"base-uri 'none'; frame-ancestors 'none'"

var templates = template.Must(template.ParseFS(assets, "assets/*.html"))

// page answers with the page of a template.
func page(status int, name string, data any) answer {
	var buf bytes.Buffer
	if err := templates.ExecuteTemplate(&buf, name, data); err != nil {
		panic(err) // a template that does not fit its data cannot be mended at run time
	}
	a := newAnswer(status, "text/html; charset=utf-8", buf.Bytes())
	a.header.Set("Content-Security-Policy", policy)
	a.header.Set("Referrer-Policy", "no-referrer")
	a.header.Set("X-Frame-Options", "DENY")
	a.header.Set("X-Content-Type-Options", "nosniff")
	return a
}

// asset serves one embedded file.
func asset(name, contentType string) func(*http.Request, []byte) answer {
	body, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // a file missing from the binary cannot be mended at run time
	}
	return func(*http.Request, []byte) answer {
		a := newAnswer(http.StatusOK, contentType, body)
		a.header.Set("X-Content-Type-Options", "nosniff")
		return a
	}
}

// avatar serves a built-in avatar to those who have a signed URL, as TikTok's CDN does.
func (s *Server) avatar(r *http.Request, _ []byte) answer {
	name := strings.TrimPrefix(r.URL.Path, avatarPath)
	body, err := assets.ReadFile("assets/avatars/" + name)
	if err != nil {
		return s.notFound(r)
	}
	return s.signedImage(r, body)
}

// signedImage answers with an SVG if the URL asked for is a signed one.
func (s *Server) signedImage(r *http.Request, body []byte) answer {
	q := r.URL.Query()
	if !s.signed(r.URL.Path, q.Get("x-expires"), q.Get("x-signature")) {
		return s.simError(http.StatusForbidden, "access_denied",
			"The URL of the image is expired, or its signature does not fit.")
	}
	a := newAnswer(http.StatusOK, "image/svg+xml", body)
	a.header.Set("Content-Security-Policy", "default-src 'none'")
	a.header.Set("X-Content-Type-Options", "nosniff")
	return a
}

// avatarURL returns an absolute URL for the avatar of p, built-in ones freshly signed: no two calls
// return the same URL, so nobody may use it as a key or take a new one for a new picture.
func (s *Server) avatarURL(r *http.Request, p Person) string {
	if p.Avatar == "" || strings.Contains(p.Avatar, "://") {
		return p.Avatar
	}
	return s.signedURL(r, avatarPath+p.Avatar, avatarTTL)
}

// signedURL returns an absolute URL for an image of the simulator.
func (s *Server) signedURL(r *http.Request, path string, ttl time.Duration) string {
	expires := strconv.FormatInt(s.opts.Now().Add(ttl).Unix(), 10)
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails: see crypto/rand
	return s.publicURL(r) + path + "?x-expires=" + expires +
		"&x-signature=" + url.QueryEscape(s.sign(path, expires, nonce))
}

// publicURL returns where a browser reaches the simulator.
func (s *Server) publicURL(r *http.Request) string {
	switch {
	case s.opts.PublicURL != "":
		return s.opts.PublicURL
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// sign derives its key from the client secret, so that URLs survive a restart of the simulator.
func (s *Server) sign(path, expires string, nonce []byte) string {
	h := hmac.New(sha256.New, []byte("avatar\n"+s.opts.ClientSecret))
	h.Write(nonce)
	h.Write([]byte(path + "\n" + expires))
	mac := h.Sum(nil)[:macSize]
	return base64.StdEncoding.EncodeToString(append(bytes.Clone(nonce), mac...))
}

func (s *Server) signed(path, expires, signature string) bool {
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || s.opts.Now().Unix() >= until {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(raw) != nonceSize+macSize {
		return false
	}
	return hmac.Equal([]byte(signature), []byte(s.sign(path, expires, raw[:nonceSize])))
}
