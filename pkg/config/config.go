// Package config reads the configuration of the bridge: defaults, then a file, then the environment.
// It reports every problem at once, each with its key and what to do about it.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Config is the whole configuration. Its comments are the manual; configs/tikbridge.example.yaml
// says the same to people who do not read Go, and a test holds the two together.
type Config struct {
	Server Server `mapstructure:"server"`
	TikTok TikTok `mapstructure:"tiktok"`
	// Accounts is supabase, backend or none: who keeps the users, and so gives sessions. With backend and
	// none, the keys of Supabase are not needed, and only OIDC uses its address. With none there is no hosted
	// and no guide flow: the bridge is an OpenID Provider only.
	Accounts  string    `mapstructure:"accounts"`
	Supabase  Supabase  `mapstructure:"supabase"`
	Backend   Backend   `mapstructure:"backend"`
	Webhook   Webhook   `mapstructure:"webhook"`
	OIDC      OIDC      `mapstructure:"oidc"`
	App       App       `mapstructure:"app"`
	Security  Security  `mapstructure:"security"`
	Seal      Seal      `mapstructure:"seal"`
	Store     Store     `mapstructure:"store"`
	RateLimit RateLimit `mapstructure:"rate_limit"`
	Log       Log       `mapstructure:"log"`
}

// Server is how the bridge is reached.
type Server struct {
	// Listen is the public address, host:port. PORT in the environment replaces the port alone, unless
	// TIKBRIDGE_SERVER_LISTEN is set.
	Listen string `mapstructure:"listen"`
	// AdminListen is the address of health checks, metrics and profiles. Keep it out of reach of the
	// internet. Empty switches it off.
	AdminListen string `mapstructure:"admin_listen"`
	// PublicURL is where browsers reach the bridge, such as https://signin.app.example, without a path.
	// The hosted flow needs it: the redirect URI to register with TikTok is PublicURL plus
	// /api/auth/tiktok/callback. It becomes one of App.Origins, and the pages that the bridge serves
	// carry it, so that they can be copied into an app.
	PublicURL string `mapstructure:"public_url"`
	// TrustedProxies are the addresses or networks of the proxies in front of the bridge. Only they are
	// believed when they tell a client IP, in ClientIPHeader. Without them everybody behind a proxy
	// seems to have its address, and shares one rate limit.
	TrustedProxies []string `mapstructure:"trusted_proxies"`
	// ClientIPHeader is where TrustedProxies write the client IP. Some platforms do not append it to
	// X-Forwarded-For, but have a header of their own, such as Fly-Client-IP.
	ClientIPHeader string `mapstructure:"client_ip_header"`
	// ShutdownDelay is how long the bridge keeps answering after SIGTERM while /readyz already says
	// that it is not ready: load balancers need a moment to notice.
	ShutdownDelay time.Duration `mapstructure:"shutdown_delay"`
	// ShutdownTimeout is how long sign-ins under way may take to finish after that.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// TikTok is the app at developers.tiktok.com.
type TikTok struct {
	// ClientKey is the app's "Client key". Required, and no secret. Sandbox and production have
	// different ones.
	ClientKey string `mapstructure:"client_key"`
	// ClientSecret is the "Client secret" of the same app. Required.
	ClientSecret signin.Secret `mapstructure:"client_secret"`
	// PreviousClientSecret is the secret before a replacement. TikTok signs its webhooks with it for up to
	// four days after.
	PreviousClientSecret signin.Secret `mapstructure:"previous_client_secret"`
	// Scopes are what the hosted flow asks TikTok for. user.info.basic comes with Login Kit and is
	// needed; TikTok must approve others for the app.
	Scopes []string `mapstructure:"scopes"`
	// PKCE is off, hex or base64url: whether the hosted flow sends TikTok a code challenge, and how it
	// is written. TikTok asks web apps for none.
	PKCE string `mapstructure:"pkce"`
	// ReturnTokens adds TikTok's own tokens to the session, as provider_token and
	// provider_refresh_token. Only apps that call TikTok themselves need them.
	ReturnTokens bool `mapstructure:"return_tokens"`
	// SiteVerification are the codes by which TikTok proves that the bridge's address is yours: the bridge
	// serves tiktok<code>.txt for each. The name or the content of TikTok's file stand for the code too.
	SiteVerification []string `mapstructure:"site_verification"`
	// OnRemoved is ignore, sign_out or ban: what happens to somebody's Supabase user when they take the app's
	// access away at TikTok. An own backend decides for itself when it hears of it.
	OnRemoved string `mapstructure:"on_removed"`
	// AuthorizeURL is TikTok's consent page, to which the hosted flow sends people. Change it only for
	// a simulator.
	AuthorizeURL string `mapstructure:"authorize_url"`
	// APIURL is where TikTok answers programs. Change it only for a simulator.
	APIURL string `mapstructure:"api_url"`
	// Timeout is the longest wait for one answer of TikTok.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Supabase is the Supabase project.
type Supabase struct {
	// URL is the project's address, https://<ref>.supabase.co, or its vanity subdomain or own domain.
	// Required, unless AuthURL is set.
	URL string `mapstructure:"url"`
	// AuthURL is where GoTrue, the project's auth service, answers. Default: <url>/auth/v1.
	AuthURL string `mapstructure:"auth_url"`
	// PublishableKey is sb_publishable_... or the legacy anon key. Required; browsers may see it.
	PublishableKey string `mapstructure:"publishable_key"`
	// SecretKey is sb_secret_... or the legacy service_role key. Required, unless Provider is set. It can
	// read and change everything in the project.
	SecretKey signin.Secret `mapstructure:"secret_key"`
	// EmailDomain is the domain of the users' made-up e-mail addresses. Choose it before the first
	// user. After a change, users that the bridge created are still found, by their id, and keep their
	// address; those that were adopted, or wait to be, are not found.
	EmailDomain string `mapstructure:"email_domain"`
	// Adopt is hold or evict: what a sign-in does about a user that has the person's address and was
	// not created by the bridge. hold refuses the sign-in until `tikbridge users adopt` was run; evict
	// moves that user to another address and creates a new one for the person.
	Adopt string `mapstructure:"adopt"`
	// ForwardClientIP is how Supabase learns the client IP, by which it limits sign-ins: off,
	// sb-forwarded-for, or the name of a header for a Supabase that you host yourself.
	ForwardClientIP string `mapstructure:"forward_client_ip"`
	// Provider is the name under which the project has TikTok as a custom provider, custom:tiktok. The
	// hosted and the guide flow then sign people in there, to the same accounts as the provider flow, and
	// need no secret key. Empty: they mint by link.
	Provider string `mapstructure:"provider"`
	// Timeout is the longest wait for one answer of Supabase.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Backend is the app's own backend, with Accounts: backend. docs/backend.md has what it gets and answers.
type Backend struct {
	// URL is where the bridge asks for sessions. It is https, or on this machine or a private network.
	URL string `mapstructure:"url"`
	// Secret signs the messages: whsec_ and 24 or more random bytes in base64, as Standard Webhooks has it.
	Secret signin.Secret `mapstructure:"secret"`
	// Timeout is the longest wait for one answer of the backend.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Webhook is who hears of what TikTok tells the bridge by webhook.
type Webhook struct {
	// URL is where events are passed on. Empty: nowhere.
	URL string `mapstructure:"url"`
	// Secret signs them, like that of Backend, whose it is by default.
	Secret signin.Secret `mapstructure:"secret"`
}

// App is the app that people sign in to. Entries of its lists must match character by character;
// package allow says which ones stand for more than themselves.
type App struct {
	// Origins are where the app's pages are. Required. They may call the bridge, and people may return
	// to them. https://*.preview.example stands for any one label.
	Origins []string `mapstructure:"origins"`
	// RedirectURIs are the addresses that TikTok may send people to in the guide flow. Default:
	// /native-callback and /auth, each with and without .html, at every origin without a wildcard. An
	// entry that ends in /* limits instead where people may return to on its origin in the hosted flow;
	// beside such entries alone the defaults stay.
	RedirectURIs []string `mapstructure:"redirect_uris"`
	// DeeplinkSchemes open the app on a phone, such as myapp. The first is the default. Web apps need
	// none.
	DeeplinkSchemes []string `mapstructure:"deeplink_schemes"`
	// AuthPath is the page of the app that a deeplink opens. It cannot have a #; with a hash router it
	// is /.
	AuthPath string `mapstructure:"auth_path"`
	// DefaultRedirect is the path that people return to, on the first origin without a wildcard, if a
	// web app names no redirect_to; and the one that the page /auth continues to.
	DefaultRedirect string `mapstructure:"default_redirect"`
	// Name is what people call the app. The bridge's pages show it, and have it in their titles.
	Name string `mapstructure:"name"`
	// LogoURL is the app's logo on these pages: an https:// address, or a path on the first origin
	// without a wildcard.
	LogoURL string `mapstructure:"logo_url"`
}

// Security is what may be switched off for safety.
type Security struct {
	// GuideFlow serves the sign-in of Despia's guide, in which the session travels in the address that
	// opens the app. false leaves the hosted flow alone, which needs Server.PublicURL.
	GuideFlow bool `mapstructure:"guide_flow"`
}

// Seal is how states and handoffs are sealed.
type Seal struct {
	// Keys, of 32 characters or more, replace the key that is derived from the Supabase secret key (or the
	// backend's secret) and the TikTok client secret. The first seals, all open. All replicas need the same.
	Keys []signin.Secret `mapstructure:"keys"`
}

// Store is what replicas share: which states and handoffs were used, and the counts of RateLimit.
type Store struct {
	// RedisURL is a redis:// or, with TLS, rediss:// URL, with user and password percent-encoded.
	// Without it, or while Redis is down, each replica remembers and counts alone.
	RedisURL signin.Secret `mapstructure:"redis_url"`
}

// RateLimit is how many requests a minute one client IP may make: to all replicas together with
// Store.RedisURL, to each without.
type RateLimit struct {
	// Enabled switches the limits of the bridge on. Those of TikTok and Supabase stay in any case.
	Enabled bool `mapstructure:"enabled"`
	// Start limits hosted sign-ins that begin (/api/auth/tiktok/start).
	Start int `mapstructure:"start"`
	// Exchange limits sign-ins of the guide flow (/api/auth/tiktok-callback).
	Exchange int `mapstructure:"exchange"`
	// Redeem limits sessions that are fetched at the end of the hosted flow (/api/auth/tiktok/redeem).
	Redeem int `mapstructure:"redeem"`
}

// Log is what is logged, and how.
type Log struct {
	// Level is debug, info, warn or error. info is one line per request.
	Level string `mapstructure:"level"`
	// Format is json for programs or text for people.
	Format string `mapstructure:"format"`
}

// Values of accounts.
const (
	AccountsSupabase = "supabase"
	AccountsBackend  = "backend"
	AccountsNone     = "none"
)

// Values of supabase.forward_client_ip.
const (
	ForwardOff            = "off"
	ForwardSBForwardedFor = "sb-forwarded-for"
)

// sbForwardedFor is the header behind ForwardSBForwardedFor.
const sbForwardedFor = "Sb-Forwarded-For"

// Default returns the configuration before file and environment.
func Default() Config {
	return Config{
		Server: Server{
			Listen:          ":8080",
			AdminListen:     "127.0.0.1:9090",
			ClientIPHeader:  "X-Forwarded-For",
			ShutdownDelay:   5 * time.Second,
			ShutdownTimeout: 15 * time.Second,
		},
		TikTok: TikTok{
			Scopes:       []string{"user.info.basic"},
			PKCE:         "off",
			OnRemoved:    "sign_out",
			AuthorizeURL: "https://www.tiktok.com/v2/auth/authorize/",
			APIURL:       "https://open.tiktokapis.com",
			Timeout:      10 * time.Second,
		},
		Accounts: AccountsSupabase,
		Supabase: Supabase{
			EmailDomain:     "tiktok.oauth",
			Adopt:           "hold",
			ForwardClientIP: ForwardOff,
			Timeout:         10 * time.Second,
		},
		Backend:   Backend{Timeout: 10 * time.Second},
		App:       App{AuthPath: "/auth", DefaultRedirect: "/"},
		Security:  Security{GuideFlow: true},
		RateLimit: RateLimit{Enabled: true, Start: 30, Exchange: 30, Redeem: 30},
		Log:       Log{Level: "info", Format: "json"},
	}
}

// redirectPaths are where the pages of Despia's guide are.
var redirectPaths = []string{"/native-callback", "/native-callback.html", "/auth", "/auth.html"}

// complete fills in what follows from other keys. It skips what cannot be used, which check reports once,
// under the key that it was written for.
func (c *Config) complete() {
	c.Supabase.URL = strings.TrimRight(c.Supabase.URL, "/")
	c.Supabase.AuthURL = strings.TrimRight(c.Supabase.AuthURL, "/")
	if c.Supabase.AuthURL == "" && isWebURL(c.Supabase.URL) {
		c.Supabase.AuthURL = c.Supabase.URL + "/auth/v1"
	}
	c.Server.PublicURL = strings.TrimRight(c.Server.PublicURL, "/")
	c.TikTok.SiteVerification = verificationCodes(c.TikTok.SiteVerification)
	c.completeOIDC()
	if c.Webhook.Secret == "" && c.Accounts == AccountsBackend {
		c.Webhook.Secret = c.Backend.Secret
	}
	if checkPublicURL(c.Server.PublicURL) == nil && !slices.Contains(c.App.Origins, c.Server.PublicURL) {
		c.App.Origins = append(c.App.Origins, c.Server.PublicURL)
	}
	if slices.ContainsFunc(c.App.RedirectURIs, func(uri string) bool { return !strings.HasSuffix(uri, "/*") }) {
		return // folders alone say nothing about what TikTok is given
	}
	for _, origin := range c.App.Origins {
		if allow.CheckOrigin(origin) != nil || !isPage(origin) {
			continue // TikTok wants whole addresses of the web
		}
		for _, path := range redirectPaths {
			c.App.RedirectURIs = append(c.App.RedirectURIs, origin+path)
		}
	}
}

// checkPublicURL says what is wrong with the address of the bridge, which is one origin.
func checkPublicURL(s string) error {
	if strings.Contains(s, "*") {
		return errors.New("has a wildcard; the bridge has one address")
	}
	if allow.IsShell(s) {
		return errors.New("must begin with https://; TikTok and browsers go there")
	}
	return allow.CheckOrigin(s)
}

// isPage tells whether an origin is a single one that a browser can open.
func isPage(origin string) bool { return !strings.Contains(origin, "*") && !allow.IsShell(origin) }

// StartPage returns the page of the app that people are sent to when a sign-in names none; "" if there is
// no single one: an origin with a wildcard is many, one in an app is for no browser, and the bridge is not
// the app if there are others.
func (c Config) StartPage() string {
	if origin := c.firstOrigin(); origin != "" {
		return origin + c.App.DefaultRedirect
	}
	return ""
}

// firstOrigin returns the app's own origin; "" if none is a single page's.
func (c Config) firstOrigin() string {
	for i, origin := range c.App.Origins {
		if isPage(origin) && (i == 0 || origin != c.Server.PublicURL) {
			return origin
		}
	}
	return ""
}

// Logo returns the address of the app's logo; "" without one.
func (c Config) Logo() string {
	if !strings.HasPrefix(c.App.LogoURL, "/") {
		return c.App.LogoURL
	}
	return c.firstOrigin() + c.App.LogoURL
}

// Proxies returns TrustedProxies as networks; an address is a network of one.
func (s Server) Proxies() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, entry := range s.TrustedProxies {
		network, err := parseNetwork(entry)
		if err != nil {
			return nil, fmt.Errorf("%q %w", entry, err)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap() // requests come from addresses without the mapping
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errNetwork
	}
	return network.Masked(), nil
}

var errNetwork = errors.New("is neither an address nor a network; write it like 192.0.2.7 or 10.0.0.0/8")

// ForwardHeader returns the header that tells Supabase the client IP; "" is none.
func (s Supabase) ForwardHeader() string {
	switch s.ForwardClientIP {
	case "", ForwardOff:
		return ""
	case ForwardSBForwardedFor:
		return sbForwardedFor
	}
	return s.ForwardClientIP
}

// isWebURL tells whether s is an absolute http or https URL without credentials or query.
func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Hostname() != "" && (u.Scheme == "https" || u.Scheme == "http") &&
		u.User == nil && !strings.ContainsAny(s, "?#")
}
