package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// placeholders returns a problem for each key whose value only stands for one. c is the configuration as
// it was written: what follows from a key would be reported twice.
//
// A random secret of 60 characters must pass, whatever characters it is made of, and so must any domain
// that somebody can own.
func (c Config) placeholders() Problems {
	examples := c.isTrial()
	var problems Problems
	Walk(c, func(key string, value any) {
		for _, text := range texts(value) {
			what := ""
			switch kind := kinds[key]; {
			case isReference(text, kind):
				what = "is a reference such as ${NAME}, which the bridge does not expand"
			case kind == credential && placeholderCredential.MatchString(text):
				what = "is a placeholder"
			case kind == address && isPlaceholderHost(hostOf(text), examples):
				what = fmt.Sprintf("is a placeholder (%s)", hostOf(text))
			default:
				continue
			}
			own, _, _ := strings.Cut(strings.TrimSuffix(wanted(key), "."), ", like ")
			problems = append(problems, Problem{key, what, "Set " + variable(key) + " to " + own + "."})
			return // one problem says it
		}
	})
	return problems
}

// kind is what the value of a key is made of; most keys have none that matters here.
type kind int

const (
	_          kind = iota
	credential      // letters and digits that somebody issued, or random characters
	address         // a URL
)

var kinds = map[string]kind{
	"tiktok.site_verification":      credential,
	"tiktok.client_key":             credential,
	"tiktok.client_secret":          credential,
	"supabase.publishable_key":      credential,
	"supabase.secret_key":           credential,
	"tiktok.previous_client_secret": credential,
	"backend.secret":                credential,
	"backend.url":                   address,
	"webhook.secret":                credential,
	"webhook.url":                   address,
	"seal.keys":                     credential,
	"oidc.supabase_secret":          credential,
	"oidc.clients":                  credential,
	"oidc.issuer":                   address,
	"server.public_url":             address,
	"supabase.url":                  address,
	"supabase.auth_url":             address,
	"app.origins":                   address,
	"app.redirect_uris":             address,
	"store.redis_url":               address,
}

// texts returns what is written in a value.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case signin.Secret:
		return []string{v.Reveal()}
	case []string:
		return v
	case []OIDCClient:
		var all []string
		for _, c := range v {
			all = append(all, c.Secret.Reveal())
		}
		return all
	case []signin.Secret:
		var all []string
		for _, s := range v {
			all = append(all, s.Reveal())
		}
		return all
	}
	return nil
}

var (
	// reference matches ${NAME}, $(NAME), $NAME, {{ name }}, %NAME%, <name> and references to vaults.
	reference = regexp.MustCompile(`\$[{(][A-Z_][A-Z0-9_]{2,}(:?[-=?+][^{}()]*)?[})]|\{\{[^{}]*\}\}` +
		`|^(\$[{(].*[})]|\$[A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%|<.*>|op://.*|@Microsoft\.KeyVault\(.*\))$`)
	// referenceInAddress matches what no address contains.
	referenceInAddress = regexp.MustCompile(`\$[{(]|<.*>`)
)

// isReference tells whether something should have replaced text, or a part of it, by a value.
func isReference(text string, k kind) bool {
	return reference.MatchString(text) || k != credential && referenceInAddress.MatchString(text)
}

// placeholderCredential matches what documentation and templates write in place of a key.
var placeholderCredential = regexp.MustCompile(`(?i:^(x+|\*+|todo|tbd|fixme|example|dummy|none|null|nil|undefined)$` +
	`|^(sb_(secret|publishable)_)$|(^|[_-])x{3,}$|(^|[ _-])your[ _-]|[ _-]here$` +
	`|change[ _-]?(me|this|it)|replace[ _-]?(me|this|with)|placeholder)` +
	`|x{6}|X{6}|\*{4}|\.{3}|…|•`)

// examplesOf are the domains that RFC 2606 reserves for documentation.
var examplesOf = []string{"example", "invalid", "example.com", "example.net", "example.org"}

var (
	placeholderLabel = regexp.MustCompile(`(^|\.)(x{4,}|your-?(app|company|domain|host|project|server|site)` +
		`|your-(bridge|project-id|project-ref|ref|supabase-project)|project-(id|ref))(\.|$)`)
	placeholderProject = regexp.MustCompile(`^(example|project|ref|xyzcompany|.*x{5}.*)$`)
)

// isPlaceholderHost tells whether nobody can own host, or everybody means their own by it. With examples,
// the domains of RFC 2606 may be meant.
func isPlaceholderHost(host string, examples bool) bool {
	for _, domain := range examplesOf {
		if !examples && (host == domain || strings.HasSuffix(host, "."+domain)) {
			return true
		}
	}
	project, hosted := strings.CutSuffix(host, hostedDomain)
	return placeholderLabel.MatchString(host) || hosted && (placeholderProject.MatchString(project) || isAlphabet(project))
}

// isAlphabet tells whether a project is called abcdefgh, but not abc, which may be a name, and not like a
// ref, which has twenty letters.
func isAlphabet(project string) bool {
	const short = 6
	return len(project) >= short && len(project) != refLength &&
		strings.HasPrefix("abcdefghijklmnopqrstuvwxyz", project)
}

// isTrial tells whether TikTok is simulated, or who keeps the users is on this machine.
func (c Config) isTrial() bool {
	host := hostOf(cmp.Or(c.Supabase.URL, c.Supabase.AuthURL))
	if c.Accounts == AccountsBackend {
		host = hostOf(c.Backend.URL)
	}
	addr, _ := netip.ParseAddr(host)
	return c.TikTok.APIURL != Default().TikTok.APIURL || host == "localhost" || addr.IsLoopback()
}

// hostOf returns the host of a URL, "" if it is none.
func hostOf(address string) string {
	u, err := url.Parse(strings.Replace(address, "*.", "", 1))
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
