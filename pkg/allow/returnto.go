package allow

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReturnTo is the longest address ReturnTo takes; it travels in the state, in a URL.
const maxReturnTo = 2048

// ReturnTo tells whether the bridge may send a person, with a handoff in the query, to this page of
// the app. The page is exactly one of the redirect URIs; or it is under one that ends in /*; or its
// origin is allowed and has no redirect URI that ends in /*. In the last two cases it may have a
// query of its own.
//
// Parsers disagree about odd addresses, and the browser's is the one that counts. So whatever some
// parser somewhere would read in another way is refused, whichever host it seems to name.
func (l *List) ReturnTo(uri string) bool {
	u, ok := parseReturnTo(uri)
	if !ok {
		return false
	}
	if l.redirectURIs[uri] {
		return true
	}
	page, _, _ := strings.Cut(uri, "?")
	if folders := l.folders[browserOrigin(page)]; len(folders) > 0 {
		return slices.ContainsFunc(folders, func(folder string) bool {
			return page == folder || strings.HasPrefix(page, folder+"/")
		})
	}
	return l.Origin(u.Scheme + "://" + u.Host)
}

var (
	// returnPattern has the characters that browsers leave as they are in an address without a
	// fragment (WHATWG URL, "query percent-encode set").
	returnPattern = regexp.MustCompile(`^[!$-;=?-\[\]-~]+$`)
	// badEscapes are a control character, encoded, and a percent sign that encodes nothing.
	badEscapes = regexp.MustCompile(`%([01][0-9A-Fa-f]|7[Ff]|[^0-9A-Fa-f]|.[^0-9A-Fa-f]|.?$)`)
	// badPathEscapes are slash, backslash and dot, encoded.
	badPathEscapes = regexp.MustCompile(`%(2[EeFf]|5[Cc])`)
	// leftEscapes are what a path has after decoding if it was encoded twice or more.
	leftEscapes = regexp.MustCompile(`%([0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})`)
)

// parseReturnTo returns the parts of an address that all parsers read alike.
func parseReturnTo(uri string) (*url.URL, bool) {
	if len(uri) > maxReturnTo || !returnPattern.MatchString(uri) || badEscapes.MatchString(uri) {
		return nil, false
	}
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.User != nil || u.String() != uri {
		return nil, false
	}
	ok := soundHost(u) == nil && isPlainPath(u.EscapedPath()) && !hasAnswer(u.RawQuery)
	return u, ok
}

// isPlainPath tells whether an encoded path means the same before and after it is decoded, cleaned
// and split at slashes. Servers that decode twice, take overlong UTF-8 or full-width characters for
// the plain ones, or cut parameters off (/..;/) find nothing in it that was not there before.
func isPlainPath(path string) bool {
	decoded, err := url.PathUnescape(path)
	switch {
	case err != nil, badPathEscapes.MatchString(path), leftEscapes.MatchString(decoded):
		return false
	case !utf8.ValidString(decoded), strings.ContainsFunc(decoded, unicode.IsControl):
		return false
	case strings.ContainsAny(decoded, `\*／＼．`), strings.Contains(path, "//"):
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return false
		}
	}
	return true
}

// hasAnswer tells whether a query already has what the bridge is about to add, or what supabase-js takes
// for the error of another sign-in. The app would see two answers and might take the wrong one;
// frameworks differ in which, in case, and in how they read name[].
func hasAnswer(query string) bool {
	pairs := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	return slices.ContainsFunc(pairs, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return true
		}
		name, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(name)), "[")
		return strings.HasPrefix(name, "tikbridge_") || name == "error" || name == "error_description"
	})
}

// browserOrigin returns the origin of an address the way browsers write it: in lower case, without
// the default port.
func browserOrigin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}
