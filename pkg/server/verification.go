package server

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// verificationPrefixes are the folders in which TikTok may look for its proof: below the root, below each part of
// the callback's path, and below every page that may be a redirect URI, since people verify whichever of these they
// entered as a URL prefix.
func verificationPrefixes() []string {
	prefixes := []string{"/"}
	for i, r := range pathCallback {
		if r == '/' && i > 0 {
			prefixes = append(prefixes, pathCallback[:i+1])
		}
	}
	prefixes = append(prefixes, pathCallback+"/")
	for _, page := range []string{"/native-callback", "/native-callback.html", "/auth", "/auth.html"} {
		prefixes = append(prefixes, page+"/")
	}
	return prefixes
}

// verificationRoutes serves TikTok's proof that the address is the operator's, for each code.
func (s *Server) verificationRoutes() {
	for _, code := range s.opts.SiteVerification {
		proof := func(c echo.Context) error {
			c.Response().Header().Set("Cache-Control", "public, max-age=300")
			return c.String(http.StatusOK, "tiktok-developers-site-verification="+code)
		}
		for _, prefix := range verificationPrefixes() {
			file := prefix + "tiktok" + code + ".txt"
			s.echo.GET(file, proof)
			s.echo.HEAD(file, proof)
		}
	}
}
