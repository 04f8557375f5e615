package config

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Problem is one thing wrong with the configuration.
type Problem struct {
	// Key is the key, or the variable.
	Key string
	// What is wrong with it.
	What string
	// Fix is what to do.
	Fix string
}

// Problems is everything wrong with the configuration.
type Problems []Problem

// Error implements error: one problem a line.
func (p Problems) Error() string {
	var b strings.Builder
	b.WriteString("the configuration has problems:")
	for _, problem := range p {
		fmt.Fprintf(&b, "\n  %s %s. %s", problem.Key, problem.What, problem.Advice())
	}
	return b.String()
}

// Advice is the fix, with the variables of the keys that the problem is about.
func (p Problem) Advice() string {
	if p.Key == fileFlag {
		return p.Fix
	}
	return p.Fix + VariablesIn(p.Key+" "+p.What+" "+p.Fix)
}

// rule is a row of the tables below: if bad holds, key has a problem.
type rule struct {
	bad            bool
	key, what, fix string
}

// check returns every problem of a completed configuration. Of the rules that a value breaks, only the
// first is reported; of lists, each bad entry.
func (c Config) check() Problems {
	var problems Problems
	for _, r := range slices.Concat(
		c.Server.rules(), c.TikTok.rules(), c.accountsRules(), c.webhookRules(), c.oidcRules(), c.App.rules(),
		c.rules(),
		c.Seal.rules(), c.Store.rules(), c.RateLimit.rules(), c.Log.rules(),
	) {
		if r.bad && !problems.has(r.key) {
			problems = append(problems, Problem{r.key, r.what, r.fix})
		}
	}
	return slices.Concat(problems, c.badEntries(), c.badClients())
}

func (s Server) rules() []rule {
	publicURL := checkPublicURL(s.PublicURL)
	return []rule{
		{
			!isListenAddress(s.Listen), "server.listen", is(s.Listen),
			"Write it like :8080 or 127.0.0.1:8080; PORT takes the number alone.",
		},
		{
			s.AdminListen != "" && !isListenAddress(s.AdminListen), "server.admin_listen", is(s.AdminListen),
			"Write it like 127.0.0.1:9090, or leave it empty to switch it off.",
		},
		{
			s.PublicURL != "" && publicURL != nil, "server.public_url", "cannot be used",
			fmt.Sprintf("%q %v.", s.PublicURL, publicURL),
		},
		{
			!headerPattern.MatchString(s.ClientIPHeader), "server.client_ip_header", is(s.ClientIPHeader),
			"Write the name of a header, such as X-Forwarded-For or Fly-Client-IP.",
		},
		{s.ShutdownDelay < 0, "server.shutdown_delay", "is negative", "Write it like 5s, or 0s for none."},
		notPositive("server.shutdown_timeout", s.ShutdownTimeout),
	}
}

func (t TikTok) rules() []rule {
	const (
		noURL = "is not a web address"
		leave = "Remove it, unless a simulator replaces TikTok."
	)
	return []rule{
		missing("tiktok.client_key", t.ClientKey == ""),
		notWhole("tiktok.client_key", t.ClientKey),
		missing("tiktok.client_secret", t.ClientSecret == ""),
		notWhole("tiktok.client_secret", t.ClientSecret.Reveal()),
		{
			!slices.Contains(t.Scopes, "user.info.basic"), "tiktok.scopes", "lacks user.info.basic",
			"Add it: it comes with Login Kit, and without it TikTok does not say who signs in.",
		},
		notOneOf("tiktok.pkce", t.PKCE, "off", "hex", "base64url"),
		{
			slices.Contains(t.SiteVerification, t.ClientSecret.Reveal()), "tiktok.site_verification",
			"holds the client secret, which everybody could read there",
			"Set it to the name of the file that TikTok offers, like tiktokAbC123dEf456.txt.",
		},
		notWhole("tiktok.previous_client_secret", t.PreviousClientSecret.Reveal()),
		notOneOf("tiktok.on_removed", t.OnRemoved, "ignore", "sign_out", "ban"),
		{!isWebURL(t.AuthorizeURL), "tiktok.authorize_url", noURL, leave},
		{!isWebURL(t.APIURL), "tiktok.api_url", noURL, leave},
		notPositive("tiktok.timeout", t.Timeout),
	}
}

func (s Supabase) rules() []rule {
	const (
		otherProject = "belongs to another project than supabase.url"
		copyBoth     = "Copy the address and both keys from the same project."
	)
	secret := s.SecretKey.Reveal()
	return []rule{
		missing("supabase.url", s.URL == "" && s.AuthURL == ""),
		{
			s.URL != "" && !isProjectURL(s.URL), "supabase.url", "is not the address of a project",
			"It looks like https://abcdefghijkl.supabase.co, with nothing after it.",
		},
		{
			s.hostedWithoutTLS(), "supabase.url", "begins with http://, so the secret key would travel unencrypted",
			"Write https:// instead.",
		},
		{
			s.AuthURL != "" && !isWebURL(s.AuthURL), "supabase.auth_url", "is not a web address",
			"Remove it: the default is <url>/auth/v1.",
		},
		missing("supabase.publishable_key", s.PublishableKey == ""),
		notWhole("supabase.publishable_key", s.PublishableKey),
		{
			isSecretKey(s.PublishableKey), "supabase.publishable_key", "holds a secret key",
			"Put the publishable key (sb_publishable_... or anon) here and rotate the secret one: " +
				"browsers may have seen it.",
		},
		{!s.ofProject(s.PublishableKey), "supabase.publishable_key", otherProject, copyBoth},
		missing("supabase.secret_key", secret == "" && s.Provider == ""),
		notWhole("supabase.secret_key", secret),
		{
			isPublicKey(secret), "supabase.secret_key", "holds a publishable key, which may not manage users",
			"Put a secret key (sb_secret_... or service_role) here.",
		},
		{!s.ofProject(secret), "supabase.secret_key", otherProject, copyBoth},
		{
			s.ofTwoProjects(), "supabase.secret_key", "belongs to another project than supabase.publishable_key", copyBoth,
		},
		{
			!isDomain(s.EmailDomain), "supabase.email_domain", is(s.EmailDomain),
			"It must be a domain in lower case, like tiktok.oauth.",
		},
		notOneOf("supabase.adopt", s.Adopt, "hold", "evict"),
		{
			!isForwarding(s.ForwardClientIP), "supabase.forward_client_ip", is(s.ForwardClientIP),
			"It must be off, sb-forwarded-for, or the name of a header such as X-Forwarded-For.",
		},
		{
			s.forwardsInVain(), "supabase.forward_client_ip",
			"is sb-forwarded-for, which Supabase accepts only with a new secret key",
			"Set SUPABASE_SECRET_KEY to an sb_secret_... key.",
		},
		notPositive("supabase.timeout", s.Timeout),
	}
}

func (a App) rules() []rule {
	return []rule{
		missing("app.origins", len(a.Origins) == 0),
		hashRoute("app.auth_path", a.AuthPath),
		{!isPath(a.AuthPath), "app.auth_path", is(a.AuthPath), "It must be a path like /auth."},
		hashRoute("app.default_redirect", a.DefaultRedirect),
		{!isPath(a.DefaultRedirect), "app.default_redirect", is(a.DefaultRedirect), "It must be a path like /."},
		{
			utf8.RuneCountInString(a.Name) > maxName || strings.ContainsFunc(a.Name, unicode.IsControl), "app.name",
			fmt.Sprintf("has over %d characters, or a line break", maxName), "Write the name that people know.",
		},
		{
			a.LogoURL != "" && !isLogo(a.LogoURL), "app.logo_url", is(a.LogoURL),
			"It must be an https:// address, or a path on the first of app.origins, like /logo.png.",
		},
	}
}

// maxName is how long the app's name may be, in characters.
const maxName = 60

func isLogo(s string) bool {
	if strings.HasPrefix(s, "/") {
		path, _, _ := strings.Cut(s, "?")
		return isPath(path) && !strings.ContainsAny(s, "#\"'<> \t\r\n\\")
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil
}

// rules are those about more than one section.
func (c Config) rules() []rule {
	page := c.StartPage()
	return []rule{
		{
			strings.HasPrefix(c.App.LogoURL, "/") && c.firstOrigin() == "", "app.logo_url",
			"is a path, but no entry of app.origins is a single web address", "Write the whole https:// address.",
		},
		{
			!c.mayReturnTo(page), "app.default_redirect",
			fmt.Sprintf("leads to %s, which app.redirect_uris does not allow", page),
			"Choose a path below one of the entries that end in /*.",
		},
		{
			!c.Security.GuideFlow && c.Server.PublicURL == "", "server.public_url",
			"is missing, and security.guide_flow is false, so there is no way to sign in",
			"Set TIKBRIDGE_SERVER_PUBLIC_URL to where browsers reach the bridge, like https://signin.app.example.",
		},
		{
			c.TikTok.OnRemoved == "ban" && c.Supabase.Provider != "" && c.Supabase.SecretKey == "", "tiktok.on_removed",
			"is ban, and only the secret key of the project can ban",
			"Set supabase.secret_key, or choose sign_out.",
		},
	}
}

func (s Seal) rules() []rule {
	short := slices.IndexFunc(s.Keys, func(key signin.Secret) bool { return len(key) < 32 })
	return []rule{{
		short >= 0, "seal.keys", fmt.Sprintf("has a key (number %d) of fewer than 32 characters", short+1),
		"Make one with `openssl rand -base64 32`.",
	}}
}

func (s Store) rules() []rule {
	const key, form = "store.redis_url", "Write it like redis://:password@host:6379/0, or rediss:// for TLS."
	address := s.RedisURL.Reveal()
	return []rule{
		{
			hasRawPassword(address), key, "has a password that is not percent-encoded",
			"In user and password, write @ as %40, # as %23, / as %2F, ? as %3F, : as %3A and % as %25. " + form,
		},
		{address != "" && !isRedisURL(address), key, "is not the address of a Redis", form},
	}
}

func (r RateLimit) rules() []rule {
	limit := func(key string, n int) rule {
		return rule{
			n <= 0, key, fmt.Sprintf("is %d", n),
			"It must be a number of requests a minute; to have no limit, set rate_limit.enabled to false.",
		}
	}
	return []rule{
		limit("rate_limit.start", r.Start),
		limit("rate_limit.exchange", r.Exchange),
		limit("rate_limit.redeem", r.Redeem),
	}
}

func (l Log) rules() []rule {
	return []rule{
		notOneOf("log.level", l.Level, "debug", "info", "warn", "error"),
		notOneOf("log.format", l.Format, "json", "text"),
	}
}

// badEntries returns a problem for each entry of a list that cannot be used.
func (c Config) badEntries() Problems {
	var problems Problems
	for _, list := range []struct {
		key     string
		entries []string
		valid   func(string) error
	}{
		{"server.trusted_proxies", c.Server.TrustedProxies, checkNetwork},
		{"tiktok.site_verification", c.TikTok.SiteVerification, checkVerification},
		{"app.origins", c.App.Origins, allow.CheckOrigin},
		{"app.redirect_uris", c.App.RedirectURIs, allow.CheckRedirectURI},
		{"app.deeplink_schemes", c.App.DeeplinkSchemes, allow.CheckScheme},
	} {
		for _, entry := range list.entries {
			if err := list.valid(entry); err != nil {
				fix := fmt.Sprintf("%q %v.", entry, err)
				problems = append(problems, Problem{list.key, "has an entry that cannot be used", fix})
			}
		}
	}
	return problems
}

// is says what a value is, for keys whose values are no secret.
func is(value string) string { return fmt.Sprintf("is %q", value) }

// missing is the rule of a required key.
func missing(key string, empty bool) rule {
	return rule{empty, key, "is missing", "Set " + variable(key) + " to " + wanted(key)}
}

// notWhole is the rule of a key that was copied from somewhere: no key has quotes, spaces or line
// breaks, or dots in place of its rest. It does not show the value.
func notWhole(key, value string) rule {
	odd := strings.ContainsFunc(value, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"'`<>", r)
	})
	return rule{
		odd || strings.Contains(value, "..."), key, "has quotes, spaces or dots that are not part of it",
		"Copy it again, whole and without quotes.",
	}
}

// hashRoute is the rule of a path that people return to: what the bridge adds to it is a query, which a
// router would look for in vain behind a #.
func hashRoute(key, path string) rule {
	return rule{
		strings.Contains(path, "#"), key,
		is(path) + ", but a sign-in cannot return to a route behind a #, since its result would land there too",
		"Set it to the path before the #, such as /. With a hash router, let the SDK finish the sign-in at the " +
			"app's root, before the router starts.",
	}
}

func notOneOf(key, value string, words ...string) rule {
	return rule{!slices.Contains(words, value), key, is(value), "It must be one of " + strings.Join(words, ", ") + "."}
}

func notPositive(key string, d time.Duration) rule {
	return rule{d <= 0, key, "is not a positive duration", "Write it like 10s."}
}

func isListenAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func checkNetwork(s string) error {
	_, err := parseNetwork(s)
	return err
}

// isProjectURL tells whether s may be a project's address. The dashboard shows two others beside it,
// those of the API and of the dashboard itself.
func isProjectURL(s string) bool {
	return isWebURL(s) && !strings.HasSuffix(s, "/v1") && !strings.Contains(s, "supabase.com/dashboard")
}

// hostedWithoutTLS tells whether calls to a project at supabase.co would not be encrypted.
func (s Supabase) hostedWithoutTLS() bool {
	return strings.HasPrefix(s.URL, "http://") && strings.HasSuffix(s.URL, hostedDomain)
}

var domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)

func isDomain(s string) bool { return len(s) <= 128 && domainPattern.MatchString(s) }

var headerPattern = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// isForwarding tells whether s may be a value of supabase.forward_client_ip: not a header that the
// bridge sets itself, and not a word that is meant as a switch.
func isForwarding(s string) bool {
	switch http.CanonicalHeaderKey(s) {
	case "On", "False", "True", "No", "Yes", "None":
		return false
	case "Authorization", "Apikey", "Content-Type", "Content-Length", "Host", "User-Agent", "X-Supabase-Api-Version":
		return false
	}
	return s == ForwardOff || !strings.EqualFold(s, ForwardOff) && headerPattern.MatchString(s)
}

// forwardsInVain tells whether client IPs are sent in Sb-Forwarded-For beside a key with which Supabase
// ignores it. Keys that have problems of their own are passed over.
func (s Supabase) forwardsInVain() bool {
	secret := s.SecretKey.Reveal()
	if http.CanonicalHeaderKey(s.ForwardHeader()) != sbForwardedFor || secret == "" || isPublicKey(secret) {
		return false
	}
	return !strings.HasPrefix(secret, secretPrefix)
}

// isPath tells whether s is a path on the same host: //host and /\host lead elsewhere.
func isPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && !strings.ContainsAny(s, "\\?#\"'<> \t\r\n")
}

// mayReturnTo tells whether the lists allow a start page. Without hosted sign-ins none is needed, and
// lists that are wrong themselves are reported elsewhere.
func (c Config) mayReturnTo(page string) bool {
	if page == "" || c.Server.PublicURL == "" {
		return true
	}
	lists, err := allow.New(c.App.Origins, c.App.RedirectURIs, nil)
	return err != nil || lists.ReturnTo(page)
}

var redisDatabase = regexp.MustCompile(`^(/[0-9]*)?$`)

func isRedisURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "redis" || u.Scheme == "rediss") && u.Hostname() != "" &&
		redisDatabase.MatchString(u.Path) && !strings.Contains(s, "#")
}

// userinfo matches a user and password as a URL has them (RFC 3986, section 3.2.1).
var userinfo = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*$`)

// hasRawPassword tells whether the address of a Redis has a password with characters that mean something
// else in a URL.
func hasRawPassword(s string) bool {
	scheme, rest, _ := strings.Cut(s, "://")
	if !strings.Contains(rest, "@") || scheme != "redis" && scheme != "rediss" {
		return false
	}
	end := strings.IndexAny(rest+"/", "/?#")
	at := strings.LastIndex(rest[:end], "@")
	if at < 0 || !userinfo.MatchString(rest[:at]) {
		return true
	}
	return strings.Contains(rest[end:], "@") && !isRedisURL(s)
}
