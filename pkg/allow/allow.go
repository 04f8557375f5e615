package allow

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// List is a set of allow-lists. The zero value allows nothing.
type List struct {
	origins map[string]bool
	// wildcards are what follows https://*. in an origin.
	wildcards    []string
	redirectURIs map[string]bool
	// folders are the redirect URIs that end in /*, without it, by origin as browsers write it.
	folders map[string][]string
	schemes []string
}

// New checks every entry and returns the lists. The first scheme is the default one.
func New(origins, redirectURIs, schemes []string) (*List, error) {
	var errs []error
	check := func(entries []string, valid func(string) error) {
		for _, entry := range entries {
			if err := valid(entry); err != nil {
				errs = append(errs, fmt.Errorf("%q %w", entry, err))
			}
		}
	}
	check(origins, CheckOrigin)
	check(redirectURIs, CheckRedirectURI)
	check(schemes, CheckScheme)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	l := &List{
		origins:      map[string]bool{},
		redirectURIs: map[string]bool{},
		folders:      map[string][]string{},
		schemes:      slices.Clone(schemes),
	}
	for _, origin := range origins {
		if suffix, ok := strings.CutPrefix(origin, wildcard); ok {
			l.wildcards = append(l.wildcards, suffix)
			continue
		}
		l.origins[origin] = true
	}
	for _, uri := range redirectURIs {
		if folder, ok := strings.CutSuffix(uri, folderMark); ok {
			at := browserOrigin(folder)
			l.folders[at] = append(l.folders[at], folder)
			continue
		}
		l.redirectURIs[uri] = true
	}
	return l, nil
}

const (
	// wildcard begins an origin that stands for many.
	wildcard = "https://*."
	// folderMark ends a redirect URI that stands for all pages under it.
	folderMark = "/*"
)

// Origin tells whether a page of this origin (RFC 6454, as the Origin header has it) may call.
func (l *List) Origin(origin string) bool {
	if l.origins[origin] {
		return true
	}
	rest, https := strings.CutPrefix(origin, "https://")
	label, suffix, dotted := strings.Cut(rest, ".")
	return https && dotted && isLabel(label) && slices.Contains(l.wildcards, suffix)
}

// RedirectURI tells whether uri is allowed (RFC 9700, section 4.1.3: exact string matching). Entries
// that end in /* are for ReturnTo alone.
func (l *List) RedirectURI(uri string) bool { return l.redirectURIs[uri] }

// Scheme tells whether a deeplink may begin with scheme.
func (l *List) Scheme(scheme string) bool { return slices.Contains(l.schemes, scheme) }

// Schemes returns the deeplink schemes, the default one first.
func (l *List) Schemes() []string { return slices.Clone(l.schemes) }

// CheckOrigin tells what is wrong with an entry of the origins: it is what a browser would send,
// which has no path and no default port, and it is https except on this machine.
//
// An entry may begin with https://*. and stands for every host with exactly one label in place of
// the star. Write it only below a domain whose every subdomain is yours: below a host of many
// customers, the next customer's app is allowed too. The hosts that are known to be such are refused.
//
// The pages that an app brings along have origins such as capacitor://localhost. They may call;
// nobody is sent back to them, since no browser opens them.
func CheckOrigin(origin string) error {
	if IsShell(origin) {
		return nil
	}
	if suffix, ok := strings.CutPrefix(origin, wildcard); ok {
		return checkWildcard(suffix)
	}
	u, err := url.Parse(origin)
	switch {
	case err != nil, u.Host == "":
		return errors.New("is not an origin; write it like https://app.example")
	case len(u.Hostname()) > 253: // RFC 1035, section 2.3.4, in the way people write names
		return errors.New("is longer than a host's name can be")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(origin, "?#@"):
		return errors.New("has more than scheme, host and port; leave off the path and the trailing slash")
	case origin != strings.ToLower(origin):
		return errors.New("has capital letters; browsers send origins in lower case")
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return errors.New("names the default port; browsers leave it off")
	}
	return sound(origin, u)
}

// IsShell tells whether an origin is of pages that an app brings along.
func IsShell(origin string) bool {
	return slices.Contains([]string{"capacitor://localhost", "ionic://localhost", "tauri://localhost"}, origin)
}

// checkWildcard tells what is wrong with what follows https://*. in an origin.
func checkWildcard(suffix string) error {
	if err := CheckOrigin("https://" + suffix); err != nil {
		return err
	}
	host, _, _ := strings.Cut(suffix, ":")
	labels := strings.Split(host, ".")
	switch {
	case !allLabels(labels), labels[len(labels)-1] == "localhost", numberPattern.MatchString(host):
		return errors.New("has a wildcard where none can be; write it like https://*.preview.example")
	case len(labels) < 2:
		return errors.New("has a wildcard over a whole top-level domain; write it like https://*.preview.example")
	}
	if isShared(host) || isShared("x."+host) {
		return errors.New(
			"has a wildcard where anybody can get an address; list your own addresses, like https://my-app." + host,
		)
	}
	return nil
}

// isShared tells whether anybody may get a host below this one, as below vercel.app or co.uk
// (publicsuffix.org). The list has wildcards too: *.code.run makes every x.code.run shared, and code.run is
// not on it.
func isShared(host string) bool {
	public, _ := publicsuffix.PublicSuffix(host)
	_, parent, _ := strings.Cut(host, ".")
	return public == host || slices.Contains(unlistedShared, host) || slices.Contains(unlistedShared, parent)
}

// unlistedShared are hosts of many customers that the public suffix list lacks: of editors, tunnels and
// builders whose previews people may want to allow. Some have a label for a machine in between.
var unlistedShared = []string{
	"canva.site", "cloudworkstations.dev", "devtunnels.ms", "exp.direct", "github.dev", "gitpod.io", "glitch.me",
	"googleusercontent.com", "koyeb.app", "lhr.life", "loca.lt", "serveo.net", "softr.app", "stackblitz.io",
	"surge.sh", "tiiny.site", "uberspace.de", "webcontainer.io", "webcontainer-api.io", "wordpress.com",
}

func allLabels(labels []string) bool {
	return !slices.ContainsFunc(labels, func(s string) bool { return !isLabel(s) })
}

// isLabel tells whether s is one label of a host (RFC 1034, section 3.5, with RFC 1123's digits), in
// lower case.
func isLabel(s string) bool { return len(s) <= 63 && labelPattern.MatchString(s) }

// CheckRedirectURI tells what is wrong with an entry of the redirect URIs, by TikTok's own rules for
// web apps (TikTok docs: Login Kit for Web): absolute, https, static, shorter than 512 characters.
//
// An entry may end in /*. Then it is no redirect URI for TikTok, and RedirectURI is false for it and
// for what is only under it: it narrows where ReturnTo may lead on its origin to the pages below.
func CheckRedirectURI(uri string) error {
	folder, narrows := strings.CutSuffix(uri, folderMark)
	u, err := url.Parse(folder)
	switch {
	case err != nil, u.Host == "":
		return errors.New("is not an absolute URI; write it like https://app.example/auth")
	case len(uri) >= 512:
		return errors.New("is too long; TikTok allows fewer than 512 characters")
	case strings.ContainsAny(uri, "?#"):
		return errors.New("has a query or a fragment; TikTok refuses both")
	case u.User != nil:
		return errors.New("has a user name in it")
	}
	if err := sound(folder, u); err != nil {
		return err
	}
	if narrows && !isPlainPath(u.EscapedPath()+"/") {
		return errors.New("has a path that no page is under: with dots, empty or encoded parts before the /*")
	}
	return nil
}

var (
	// uriPattern has the characters of RFC 3986, sections 2.1 to 2.3.
	uriPattern   = regexp.MustCompile(`^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+$`)
	hostPattern  = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	labelPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	// numberPattern is a last label that makes browsers read the host as an IPv4 address (WHATWG URL,
	// "ends in a number").
	numberPattern = regexp.MustCompile(`(^|\.)([0-9]+|0[xX][0-9A-Fa-f]*)\.?$`)
)

// sound refuses what url.Parse lets pass and no browser would ever send: such an entry matches
// nothing, and its author would wonder why.
func sound(entry string, u *url.URL) error {
	switch {
	case strings.Contains(entry, "*"):
		return errors.New("has a wildcard where none can be; list each one")
	case !uriPattern.MatchString(entry):
		return errors.New("has characters that no URI has; a host with other letters begins with xn--")
	case u.String() != entry:
		return errors.New("is spelled in a way that software changes; write it like https://app.example/auth")
	}
	return soundHost(u)
}

// soundHost is sound for host and port. A browser spells every address one way; another spelling is
// a mistake or a disguise.
func soundHost(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	addr, notIP := netip.ParseAddr(host)
	number, notPort := strconv.ParseUint(port, 10, 16)
	switch {
	case notIP != nil && !hostPattern.MatchString(host):
		return errors.New("has characters that no URI has; a host with other letters begins with xn--")
	case notIP != nil && numberPattern.MatchString(host),
		notIP == nil && (addr.Is4In6() || addr.Zone() != "" || addr.String() != strings.ToLower(host)):
		return errors.New("has an IP address that browsers spell another way; " +
			"write it like 203.0.113.7 or [2001:db8::1]")
	case strings.HasSuffix(u.Host, ":"),
		port != "" && (notPort != nil || number == 0 || strconv.FormatUint(number, 10) != port):
		return errors.New("has a port that is none")
	}
	return secure(u)
}

// secure wants https outside this machine.
func secure(u *url.URL) error {
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("must begin with https:// (http:// is for localhost and 127.0.0.1 alone)")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// schemePattern is RFC 3986, section 3.1, in lower case.
var schemePattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,63}$`)

// neverSchemes run code, read files, or lead to the web or to other apps than the operator's own.
var neverSchemes = []string{
	// Code.
	"data", "ecmascript", "its", "jar", "javascript", "jscript", "livescript", "mhtml", "mk",
	"mocha", "ms-its", "ms-itss", "vbscript", "wyciwyg",
	// The browser's own.
	"about", "blob", "brave", "chrome", "chrome-error", "chrome-extension", "chrome-native",
	"chrome-search", "chrome-untrusted", "cid", "devtools", "edge", "filesystem", "isolated-app",
	"mid", "moz-extension", "moz-icon", "ms-browser-extension", "opera", "resource",
	"safari-extension", "safari-web-extension", "urn", "view-source", "viewsource",
	// The web and other protocols.
	"afp", "dict", "feed", "ftp", "ftps", "git", "gopher", "http", "https", "ipfs", "irc", "ldap",
	"ldaps", "magnet", "news", "nfs", "nntp", "rtmp", "rtsp", "sftp", "smb", "ssh", "svn",
	"telnet", "webcal", "ws", "wss",
	// Files and the system.
	"afc", "android.resource", "app-prefs", "app-settings", "applescript", "content", "file",
	"hcp", "help", "ms-appinstaller", "ms-cxh", "ms-excel", "ms-gamingoverlay", "ms-msdt",
	"ms-officecmd", "ms-powerpoint", "ms-settings", "ms-windows-store", "ms-word", "prefs", "res",
	"search", "search-ms", "shell", "vnc", "x-apple-helpbasic", "x-apple.systempreferences",
	// Other apps: stores, messages and calls, maps, browsers.
	"android-app", "appstore", "brave-http", "callto", "calshow", "com-apple-mobilesafari-tab",
	"ddgquicklink", "facetime", "facetime-audio", "facetime-prompt", "firefox", "firefox-focus",
	"geo", "googlechrome", "googlechrome-x-callback", "googlechromes", "imessage", "intent",
	"itms", "itms-apps", "itms-appss", "itms-beta", "itms-books", "itms-bookss", "itms-messages",
	"itms-messagess", "itms-podcast", "itms-services", "itms-watch", "itms-watchs", "itmss",
	"macappstore", "macappstores", "mailto", "mapitem", "maps", "market", "microsoft-edge",
	"microsoft-edge-http", "microsoft-edge-https", "mms", "mmsto", "opera-http", "opera-https",
	"photos-redirect", "shortcuts", "sip", "sips", "sms", "smsto", "tel", "telprompt",
	"touch-http", "touch-https", "workflow", "x-safari-http", "x-safari-https", "x-web-search",
	"xmpp",
}

// CheckScheme tells what is wrong with an entry of the deeplink schemes.
func CheckScheme(scheme string) error {
	switch {
	case strings.ContainsAny(scheme, ":/"):
		return errors.New("has more than the scheme; write myapp, without ://")
	case !schemePattern.MatchString(scheme):
		return errors.New("is not a scheme; it has lower-case letters, digits, +, . and -, and begins with a letter")
	case slices.Contains(neverSchemes, scheme):
		return errors.New("belongs to the browser or to the system and cannot open your app; " +
			"see Despia > Publish > Deeplink")
	}
	return nil
}
