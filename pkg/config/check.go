package config

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/allow"
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
		fmt.Fprintf(&b, "\n  %s %s. %s", problem.Key, problem.What, problem.Fix)
	}
	return b.String()
}

// checker gathers problems.
type checker struct{ problems Problems }

func (c *checker) add(ok bool, key, what, fix string) {
	if !ok {
		c.problems = append(c.problems, Problem{key, what, fix})
	}
}

// required reports a key that has no value, with the shortest variable that sets it.
func (c *checker) required(set bool, key, fix string) bool {
	name := envName(key)
	if names := aliases[key]; len(names) > 0 {
		name = names[0]
	}
	c.add(set, key, "is missing", "Set "+name+" to "+fix)
	return set
}

// whole reports a copied key that brought along what no key has: quotes, spaces, line breaks, dots
// that stand for the rest. The value is not shown.
func (c *checker) whole(value, key string) {
	odd := strings.ContainsFunc(value, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"'`<>", r)
	})
	c.add(!odd && !strings.Contains(value, "..."), key,
		"has quotes, spaces or dots that do not belong to it", "Copy it again, whole and without quotes.")
}

func (c *checker) oneOf(value, key string, words ...string) {
	c.add(slices.Contains(words, value), key, fmt.Sprintf("is %q", value), "It must be one of "+strings.Join(words, ", ")+".")
}

func (c *checker) positive(d time.Duration, key string) {
	c.add(d > 0, key, "is not a positive duration", "Write it like 10s.")
}

func (c *checker) entries(list []string, key string, valid func(string) error) {
	for _, entry := range list {
		if err := valid(entry); err != nil {
			c.problems = append(c.problems, Problem{key, "has an entry that cannot be used", fmt.Sprintf("%q %v.", entry, err)})
		}
	}
}

// check returns every problem of a completed configuration.
func (c Config) check() Problems {
	k := &checker{}
	c.Server.check(k)
	c.TikTok.check(k)
	c.Supabase.check(k)
	c.App.check(k)
	k.oneOf(c.Security.Mode, "security.mode", ModeDocumented, ModeStrict)
	c.checkStartPage(k)
	c.Seal.check(k)
	c.Store.check(k)
	k.add(c.Security.Mode != ModeStrict || c.Server.PublicURL != "", "server.public_url", "is missing, and security.mode is strict, which leaves only the flow that needs it", "Set TIKBRIDGE_SERVER_PUBLIC_URL to where browsers reach the bridge, like https://signin.app.example.")
	c.RateLimit.check(k)
	k.oneOf(c.Log.Level, "log.level", "debug", "info", "warn", "error")
	k.oneOf(c.Log.Format, "log.format", "json", "text")
	return k.problems
}

// checkStartPage reports a start page that the lists themselves forbid. Lists that are wrong in
// themselves were reported before.
func (c Config) checkStartPage(k *checker) {
	page := c.StartPage()
	lists, err := allow.New(c.App.Origins, c.App.RedirectURIs, nil)
	if err != nil || page == "" || c.Server.PublicURL == "" || !isPath(c.App.DefaultRedirect) {
		return
	}
	k.add(lists.ReturnTo(page), "app.default_redirect", fmt.Sprintf("leads to %s, where app.redirect_uris lets nobody return", page), "Choose a path below one of the entries that end in /*.")
}

func (s Server) check(k *checker) {
	k.add(isListenAddress(s.Listen), "server.listen", fmt.Sprintf("is %q", s.Listen), "Write it like :8080 or 127.0.0.1:8080; PORT takes the number alone.")
	k.add(s.AdminListen == "" || isListenAddress(s.AdminListen), "server.admin_listen", fmt.Sprintf("is %q", s.AdminListen), "Write it like 127.0.0.1:9090, or leave it empty to have none.")
	if s.PublicURL != "" {
		err := checkPublicURL(s.PublicURL)
		k.add(err == nil, "server.public_url", "cannot be used", fmt.Sprintf("%q %v.", s.PublicURL, err))
	}
	k.entries(s.TrustedProxies, "server.trusted_proxies", func(entry string) error {
		_, err := parseNetwork(entry)
		return err
	})
	k.add(s.ShutdownDelay >= 0, "server.shutdown_delay", "is negative", "Write it like 5s, or 0s for none.")
	k.positive(s.ShutdownTimeout, "server.shutdown_timeout")
}

func isListenAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func (t TikTok) check(k *checker) {
	k.whole(t.ClientKey, "tiktok.client_key")
	k.whole(t.ClientSecret.Reveal(), "tiktok.client_secret")
	k.required(t.ClientKey != "", "tiktok.client_key", "the Client key of your app at developers.tiktok.com.")
	k.required(t.ClientSecret != "", "tiktok.client_secret", "the Client secret of your app at developers.tiktok.com.")
	k.add(slices.Contains(t.Scopes, "user.info.basic"), "tiktok.scopes", "lacks user.info.basic", "It comes with Login Kit, and without it TikTok says nothing of a person.")
	k.oneOf(t.PKCE, "tiktok.pkce", "off", "hex", "base64url")
	k.add(isWebURL(t.AuthorizeURL), "tiktok.authorize_url", "is not a web address", "Leave it out, unless a simulator stands in for TikTok.")
	k.add(isWebURL(t.APIURL), "tiktok.api_url", "is not a web address", "Leave it out, unless a simulator stands in for TikTok.")
	k.positive(t.Timeout, "tiktok.timeout")
}

var (
	domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	headerPattern = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
)

func (s Supabase) check(k *checker) {
	if k.required(s.URL != "" || s.AuthURL != "", "supabase.url", "your project's address, like https://abcdefghijkl.supabase.co.") {
		k.add(s.URL == "" || isWebURL(s.URL) && !isPartOfProject(s.URL), "supabase.url", "is not the address of a project", "It looks like https://abcdefghijkl.supabase.co, with nothing behind it.")
		k.add(!strings.HasPrefix(s.URL, "http://") || !strings.HasSuffix(s.URL, hostedDomain), "supabase.url", "begins with http://, so the secret key would travel readable", "Write https:// instead.")
		k.add(s.AuthURL == "" || isWebURL(s.AuthURL), "supabase.auth_url", "is not a web address", "Leave it out; it is <url>/auth/v1 then.")
	}
	k.whole(s.PublishableKey, "supabase.publishable_key")
	k.whole(s.SecretKey.Reveal(), "supabase.secret_key")
	if k.required(s.PublishableKey != "", "supabase.publishable_key", "the publishable key (sb_publishable_...) or the legacy anon key, from Project Settings > API Keys.") {
		k.add(!isSecretKey(s.PublishableKey), "supabase.publishable_key", "holds a secret key", "Put the publishable key (sb_publishable_... or anon) here and rotate the secret one: it may have been shown to browsers.")
		k.add(s.ofProject(s.PublishableKey), "supabase.publishable_key", otherProject, copyBoth)
	}
	if k.required(s.SecretKey != "", "supabase.secret_key", "a secret key (sb_secret_...) or the legacy service_role key, from Project Settings > API Keys.") {
		k.add(!isPublicKey(s.SecretKey.Reveal()), "supabase.secret_key", "holds a publishable key, which may not manage users", "Put a secret key (sb_secret_... or service_role) here.")
		k.add(s.ofProject(s.SecretKey.Reveal()), "supabase.secret_key", otherProject, copyBoth)
	}
	k.add(len(s.EmailDomain) <= 128 && domainPattern.MatchString(s.EmailDomain), "supabase.email_domain", fmt.Sprintf("is %q", s.EmailDomain), "It must be a domain in lower case, like tiktok.oauth.")
	k.oneOf(s.Adopt, "supabase.adopt", "hold", "evict")
	k.add(headerPattern.MatchString(s.ForwardClientIP) && !isReservedHeader(s.ForwardHeader()), "supabase.forward_client_ip", fmt.Sprintf("is %q", s.ForwardClientIP), "It must be off, sb-forwarded-for, or the name of a header such as X-Forwarded-For.")
	k.add(http.CanonicalHeaderKey(s.ForwardHeader()) != sbForwardedFor || s.SecretKey == "" || isPublicKey(s.SecretKey.Reveal()) || strings.HasPrefix(s.SecretKey.Reveal(), "sb_secret_"), "supabase.forward_client_ip", "is sb-forwarded-for, which Supabase believes only with a new secret key", "Set SUPABASE_SECRET_KEY to an sb_secret_... key.")
	k.positive(s.Timeout, "supabase.timeout")
}

const (
	otherProject = "is of another project than supabase.url"
	copyBoth     = "Copy the address and both keys from the same project."
)

// isPartOfProject tells whether a Supabase address is one that the dashboard shows beside the
// project's own: the API's, or the dashboard's.
func isPartOfProject(s string) bool {
	return strings.HasSuffix(s, "/v1") || strings.Contains(s, "supabase.com/dashboard")
}

// isReservedHeader names headers that the bridge sets itself, and words that are meant as a switch.
func isReservedHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Off", "On", "False", "True", "No", "Yes", "None":
		return true
	case "Authorization", "Apikey", "Content-Type", "Content-Length", "Host", "User-Agent", "X-Supabase-Api-Version":
		return true
	}
	return false
}

func (a App) check(k *checker) {
	k.required(len(a.Origins) > 0, "app.origins", "the address of your app, like https://app.example (several: separated by commas).")
	k.entries(a.Origins, "app.origins", allow.CheckOrigin)
	k.entries(a.RedirectURIs, "app.redirect_uris", allow.CheckRedirectURI)
	k.entries(a.DeeplinkSchemes, "app.deeplink_schemes", allow.CheckScheme)
	k.add(isPath(a.AuthPath), "app.auth_path", fmt.Sprintf("is %q", a.AuthPath), "It must be a path like /auth, without #. If the app has a hash router, it is the app's root: /.")
	k.add(isPath(a.DefaultRedirect), "app.default_redirect", fmt.Sprintf("is %q", a.DefaultRedirect), "It must be a path like /.")
}

// isPath tells whether s is a path on the same host: //host and /\host lead elsewhere.
func isPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && !strings.ContainsAny(s, "\\?#\"'<> \t\r\n")
}

func (s Seal) check(k *checker) {
	for i, key := range s.Keys {
		k.add(len(key) >= 32, "seal.keys", fmt.Sprintf("has a key (number %d) of fewer than 32 characters", i+1), "Make one with `openssl rand -base64 32`.")
	}
}

func (s Store) check(k *checker) {
	if s.RedisURL == "" {
		return
	}
	u, err := url.Parse(s.RedisURL.Reveal())
	k.add(err == nil && u.Host != "" && (u.Scheme == "redis" || u.Scheme == "rediss"), "store.redis_url", "is not the address of a Redis", "Write it like redis://:password@host:6379/0, or rediss:// for TLS.")
}

func (r RateLimit) check(k *checker) {
	limit := func(n int, key string) {
		k.add(n > 0, key, fmt.Sprintf("is %d", n), "It must be a number of requests a minute; to have no limit, set rate_limit.enabled to false.")
	}
	limit(r.Start, "rate_limit.start")
	limit(r.Exchange, "rate_limit.exchange")
	limit(r.Redeem, "rate_limit.redeem")
}

// isSecretKey tells whether a key may never be shown: a new secret key, or a JWT with the role
// service_role.
func isSecretKey(key string) bool {
	return strings.HasPrefix(key, "sb_secret_") || ReadLegacyKey(key).Role == "service_role"
}

// isPublicKey tells whether a key is one that browsers have.
func isPublicKey(key string) bool {
	return strings.HasPrefix(key, "sb_publishable_") || ReadLegacyKey(key).Role == "anon"
}

// LegacyKey is what a legacy Supabase key, a JWT, says of itself.
type LegacyKey struct {
	// Role is anon or service_role; "" for what is no legacy key.
	Role string `json:"role"`
	// Ref is the project, the first label of its address; "" on self-hosted projects.
	Ref string `json:"ref"`
	// Expires is in seconds since 1970; 0 is never.
	Expires int64 `json:"exp"`
}

// ReadLegacyKey reads a key without checking its signature: this tells keys apart, it does not trust
// them.
func ReadLegacyKey(key string) LegacyKey {
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return LegacyKey{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return LegacyKey{}
	}
	var claims LegacyKey
	var odd *json.UnmarshalTypeError // of one claim; the others are read all the same
	if err := json.Unmarshal(payload, &claims); err != nil && !errors.As(err, &odd) {
		return LegacyKey{}
	}
	return claims
}

// hostedDomain ends the addresses of projects that Supabase hosts, unless they have a domain of their
// own.
const hostedDomain = ".supabase.co"

// Project returns the ref of a project that Supabase hosts, "" if the address does not tell.
func (s Supabase) Project() string {
	u, err := url.Parse(cmp.Or(s.URL, s.AuthURL))
	if err != nil {
		return ""
	}
	ref, hosted := strings.CutSuffix(u.Hostname(), hostedDomain)
	if !hosted {
		return ""
	}
	return ref
}

// ofProject tells whether a key may belong to the project. A new key does not say which one it is of.
func (s Supabase) ofProject(key string) bool {
	ref := ReadLegacyKey(key).Ref
	return ref == "" || s.Project() == "" || ref == s.Project()
}
