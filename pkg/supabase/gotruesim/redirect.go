package gotruesim

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// allowList decides where links may lead (utilities/request.go).
type allowList struct {
	site  string
	globs []*regexp.Regexp
}

func newAllowList(site string, patterns []string) allowList {
	l := allowList{site: site}
	for _, p := range patterns {
		l.globs = append(l.globs, glob(p))
	}
	return l
}

// glob compiles a pattern in which * and ? stop at dots and slashes, and ** does not.
func glob(pattern string) *regexp.Regexp {
	expr := regexp.QuoteMeta(pattern)
	expr = strings.ReplaceAll(expr, `\*\*`, `.*`)
	expr = strings.ReplaceAll(expr, `\*`, `[^./]*`)
	expr = strings.ReplaceAll(expr, `\?`, `[^./]`)
	return regexp.MustCompile("^" + expr + "$")
}

// destination is the address a request's link leads to: the one it asks for, its Referer, or the
// site. An address that is not allowed is passed over without an error
// (capture "generate_link: redirect_to allowed + not allowed").
func (l allowList) destination(r *http.Request, fromBody string) string {
	asked := cmp.Or(r.Header.Get("redirect_to"), r.URL.Query().Get("redirect_to"))
	for _, candidate := range []string{fromBody, asked, r.Referer()} {
		if l.allows(candidate) {
			return candidate
		}
	}
	return l.site
}

var (
	decimalHost = regexp.MustCompile("^[0-9]+$")
	plainHost   = regexp.MustCompile("^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$")
)

func (l allowList) allows(target string) bool {
	if target == "" {
		return false
	}
	site, err := url.Parse(l.site)
	if err != nil {
		return false
	}
	u, err := url.Parse(target)
	if err != nil {
		return false
	}
	host, ip := u.Hostname(), net.ParseIP(u.Hostname())
	loopback := host == "localhost" || (ip != nil && ip.IsLoopback())
	if host == site.Hostname() && u.Scheme == site.Scheme && (u.Port() == site.Port() || loopback) {
		return true
	}
	switch {
	case decimalHost.MatchString(host):
		return false
	case ip != nil:
		return ip.IsLoopback()
	case strings.HasPrefix(u.Scheme, "http") && !plainHost.MatchString(host):
		return false
	}
	return l.matches(target)
}

func (l allowList) matches(target string) bool {
	target, _, _ = strings.Cut(target, "#")
	for _, g := range l.globs {
		if g.MatchString(target) {
			return true
		}
	}
	return false
}
