package allow_test

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/allow"
)

func seed(f *testing.F) {
	f.Helper()
	for _, name := range corpora {
		for _, s := range corpus(f, name) {
			f.Add(s)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	seed(f)
	l := attackedList(f)
	f.Fuzz(func(t *testing.T, s string) {
		if l.ReturnTo(s) {
			checkReturnTo(t, l, s)
		}
	})
}

// checkReturnTo states what holds for every address a person is sent to: a browser goes to a host
// that is allowed and to the page that was compared, and adding the handoff changes neither.
func checkReturnTo(t *testing.T, l *allow.List, s string) {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil || u.String() != s {
		t.Fatalf("got %q allowed; net/url makes %v of it", s, u)
	}
	origin, page, ok := browse(s)
	if !ok {
		t.Fatalf("got %q allowed; a browser cannot read it", s)
	}
	if origin != u.Scheme+"://"+u.Host || page != cmpPath(u.EscapedPath()) {
		t.Errorf("got %q allowed; a browser goes to %q, %q", s, origin, page)
	}
	switch under := page + "/"; {
	case origin == "https://app.example", origin == "http://127.0.0.1:3000", origin == "http://[::1]:3000":
	case origin == "https://shared.example" && (strings.HasPrefix(under, "/app/") || page == "/native-callback"):
	case origin == "https://only.example" && strings.HasPrefix(under, "/a/"):
	case s == "https://alone.example/auth":
	case onePreview.MatchString(origin):
	default:
		t.Errorf("got %q allowed; it leads to %q, %q", s, origin, page)
	}
	query := u.Query()
	for _, name := range []string{"tikbridge_handoff", "tikbridge_error", "error", "error_description"} {
		if query.Has(name) {
			t.Errorf("got %q allowed; it has an answer already", s)
		}
	}
	query.Set("tikbridge_handoff", "x")
	u.RawQuery = query.Encode()
	if there, on, ok := browse(u.String()); !ok || there != origin || on != page {
		t.Errorf("got %q allowed; with the handoff it leads to %q, %q", s, there, on)
	}
	if len(s) > 2048 || strings.ContainsAny(s, "#\\ ") || u.User != nil || l.Scheme(s) {
		t.Errorf("got %q allowed; want a plain address", s)
	}
}

var onePreview = regexp.MustCompile(
	`^https://[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.(preview\.example|ports\.example:8443)$`,
)

// cmpPath is a path as browsers show it, which is never empty.
func cmpPath(p string) string {
	if p == "" {
		return "/"
	}
	return p
}

// browse is a model of how browsers read an address (WHATWG URL, "basic URL parser"): where they go
// and to which page. It is more lenient than they are, so that it errs on the side of the attacker.
func browse(s string) (origin, page string, ok bool) {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	scheme, rest, found := strings.Cut(s, ":")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "http" && scheme != "https" {
		return "", "", false
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	rest = strings.TrimLeft(strings.ReplaceAll(rest, `\`, "/"), "/")
	authority, tail, _ := strings.Cut(rest, "/")
	hostport := authority[strings.LastIndex(authority, "@")+1:]
	host, port, ok := browseHost(hostport)
	if !ok {
		return "", "", false
	}
	if port != "" && (scheme != "https" || port != "443") && (scheme != "http" || port != "80") {
		host += ":" + port
	}
	return scheme + "://" + host, browsePath("/" + tail), true
}

func browseHost(hostport string) (host, port string, ok bool) {
	if end := strings.LastIndex(hostport, "]"); strings.HasPrefix(hostport, "[") && end > 0 {
		addr, err := netip.ParseAddr(hostport[1:end])
		return "[" + addr.String() + "]", strings.TrimPrefix(hostport[end+1:], ":"), err == nil && addr.Is6()
	}
	host, port, _ = strings.Cut(hostport, ":")
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return "", "", false
		}
		port = strconv.FormatUint(n, 10)
	}
	host, err := url.PathUnescape(host)
	if err != nil {
		return "", "", false
	}
	host = strings.Map(foldWidth, strings.ToLower(host))
	if host == "" || strings.ContainsAny(host, "\x00\t\n\r #%/:<>?@[\\]^|") {
		return "", "", false
	}
	return browseIPv4(host), port, true
}

// foldWidth stands for the mapping of UTS #46: full-width characters, dots of other scripts, and the
// invisible ones.
func foldWidth(r rune) rune {
	switch {
	case r == 0x3002 || r == 0xff61:
		return '.'
	case r == 0xad || r == 0x200b || r == 0x2060 || r == 0xfeff:
		return -1
	case r >= 0xff01 && r <= 0xff5e:
		return r - 0xff01 + '!'
	}
	return r
}

// browseIPv4 writes the spellings of an IPv4 address in the usual way (WHATWG URL, "IPv4 parser").
func browseIPv4(host string) string {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return host
	}
	var address uint64
	for i, part := range parts {
		base := 10
		if digits, hex := strings.CutPrefix(part, "0x"); hex {
			part, base = "0"+digits, 16
		} else if len(part) > 1 && part[0] == '0' {
			base = 8
		}
		n, err := strconv.ParseUint(part, base, 32)
		if err != nil {
			return host
		}
		if i < len(parts)-1 {
			n <<= 8 * (3 - i)
		}
		address += n
	}
	if address > 0xffffffff {
		return host
	}
	return netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}).String()
}

var encodedDot = regexp.MustCompile(`(?i)%2e`)

// browsePath resolves dot segments, encoded ones too. It also joins slashes, as many servers do.
func browsePath(p string) string {
	p = encodedDot.ReplaceAllString(p, ".")
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

func FuzzRedirectURI(f *testing.F) {
	seed(f)
	l := attackedList(f)
	listed := []string{
		"https://app.example/auth", "https://app.example/native-callback.html",
		"https://shared.example/native-callback", "https://alone.example/auth", "http://127.0.0.1:3000/auth",
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l.RedirectURI(s) && !slices.Contains(listed, s) {
			t.Errorf("got %q allowed; it is not listed", s)
		}
		if allow.CheckRedirectURI(s) != nil {
			return
		}
		folder, narrows := strings.CutSuffix(s, "/*")
		checkAccepted(t, folder)
		own, err := allow.New(nil, []string{s}, nil)
		if err != nil {
			t.Fatalf("got %q taken by the check and refused by New: %v", s, err)
		}
		if own.RedirectURI(s) == narrows {
			t.Errorf("got %q as redirect URI: %v", s, !narrows)
		}
		if narrows && (!own.ReturnTo(folder) || !own.ReturnTo(folder+"/x?y") || own.ReturnTo(folder+"x") || own.ReturnTo(s)) {
			t.Errorf("got %q taken; it does not lead to the pages below it, or leads beside them", s)
		}
	})
}

func FuzzOrigin(f *testing.F) {
	seed(f)
	l := attackedList(f)
	listed := []string{"https://app.example", "http://127.0.0.1:3000", "http://[::1]:3000", "https://shared.example"}
	f.Fuzz(func(t *testing.T, s string) {
		if l.Origin(s) && !slices.Contains(listed, s) && !onePreview.MatchString(s) {
			t.Errorf("got %q allowed; it is not listed", s)
		}
		if allow.CheckOrigin(s) != nil {
			return
		}
		own, err := allow.New([]string{s}, nil, nil)
		if err != nil {
			t.Fatalf("got %q taken by the check and refused by New: %v", s, err)
		}
		if allow.IsShell(s) { // it may call, exactly as it is listed, and nobody is sent to it
			if !own.Origin(s) || own.Origin("https://localhost") || own.ReturnTo(s) || own.ReturnTo(s+"/x") {
				t.Errorf("got %q taken; it allows nothing, or too much", s)
			}
			return
		}
		one := s
		if rest, wild := strings.CutPrefix(s, "https://*."); wild {
			one = "https://x." + rest
			if own.Origin(s) || own.Origin("https://"+rest) || own.Origin("https://x.y."+rest) || own.Origin("https://."+rest) {
				t.Errorf("got %q taken; it stands for more than one label", s)
			}
			if u, err := url.Parse(one); err != nil || strings.Count(u.Hostname(), ".") < 2 {
				t.Errorf("got %q taken; want two labels after the star", s)
			}
		}
		checkAccepted(t, one)
		if origin, page, ok := browse(one); !ok || origin != one || page != "/" {
			t.Errorf("got %q taken; a browser sends %q", s, origin)
		}
		if !own.Origin(one) || !own.ReturnTo(one+"/x") {
			t.Errorf("got %q taken; it allows nothing", s)
		}
	})
}

// checkAccepted states what holds for every address on a list: it leads to one host over https, or
// stays on this machine.
func checkAccepted(t *testing.T, s string) {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatalf("got %q taken, which is no URL", s)
	}
	addr, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		t.Errorf("got %q taken; want https", s)
	}
	if u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, "?#\\ *\"<>") ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		t.Errorf("got %q taken; want a plain address", s)
	}
}

func FuzzScheme(f *testing.F) {
	seed(f)
	l := attackedList(f)
	never := corpus(f, "bad_schemes.txt")
	f.Fuzz(func(t *testing.T, s string) {
		if l.Scheme(s) != (s == "myapp" || s == "com.example.other") {
			t.Errorf("got %v for %q; want the listed schemes alone", l.Scheme(s), s)
		}
		if allow.CheckScheme(s) != nil {
			return
		}
		// What browsers do before they look at a scheme: drop controls and spaces, fold case.
		seen := strings.ToLower(strings.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, s))
		if seen != s || slices.Contains(never, seen) {
			t.Errorf("got %q taken; a browser reads it as %q", s, seen)
		}
		if s[0] < 'a' || s[0] > 'z' || len(s) > 64 ||
			strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+.-") != "" || strings.ContainsAny(s, ":/\\%@?#") {
			t.Errorf("got %q taken; want a letter and then letters, digits, +, . and -", s)
		}
		u, err := url.Parse(s + "://oauth/auth?tikbridge_handoff=x")
		if err != nil || u.Scheme != s || u.Host != "oauth" {
			t.Errorf("got %q taken; net/url reads it as %v", s, u)
		}
	})
}
