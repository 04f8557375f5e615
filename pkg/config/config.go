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
	Server    Server    `mapstructure:"server"`
	TikTok    TikTok    `mapstructure:"tiktok"`
	Supabase  Supabase  `mapstructure:"supabase"`
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
	// AdminListen is the address of probes and profiles. Never reachable from outside. Empty: off.
	AdminListen string `mapstructure:"admin_listen"`
	// PublicURL is where browsers reach the bridge, such as https://signin.app.example. The
	// bridge-led flow needs it: the redirect URI to register with TikTok is PublicURL plus
	// /api/auth/tiktok/callback. Its origin may call the bridge too, and the pages the bridge serves
	// carry absolute addresses, so that they can be copied into an app.
	PublicURL string `mapstructure:"public_url"`
	// TrustedProxies are the addresses or networks whose X-Forwarded-For is believed.
	TrustedProxies []string `mapstructure:"trusted_proxies"`
	// ShutdownDelay is how long the bridge goes on answering after SIGTERM, while /readyz already says
	// that it is not ready: load balancers need a moment to see it.
	ShutdownDelay time.Duration `mapstructure:"shutdown_delay"`
	// ShutdownTimeout is how long requests may take to end after that.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// TikTok is the TikTok app.
type TikTok struct {
	ClientKey    string        `mapstructure:"client_key"`
	ClientSecret signin.Secret `mapstructure:"client_secret"`
	// Scopes to ask for in the bridge-led flow. user.info.basic comes with Login Kit, and nobody is
	// signed in without it; others need TikTok's approval.
	Scopes []string `mapstructure:"scopes"`
	// PKCE is off, hex or base64url: whether the bridge-led flow sends TikTok a code challenge, and
	// how.
	PKCE string `mapstructure:"pkce"`
	// ReturnTokens puts TikTok's own tokens into the session, as provider_token.
	ReturnTokens bool `mapstructure:"return_tokens"`
	// AuthorizeURL, where the bridge-led flow sends people, and APIURL are TikTok's own unless a
	// simulator stands in.
	AuthorizeURL string `mapstructure:"authorize_url"`
	APIURL       string `mapstructure:"api_url"`
	// Timeout bounds each call to TikTok.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Supabase is the Supabase project.
type Supabase struct {
	// URL is the project's address, https://<ref>.supabase.co.
	URL string `mapstructure:"url"`
	// AuthURL is where GoTrue answers. Default: <url>/auth/v1.
	AuthURL string `mapstructure:"auth_url"`
	// PublishableKey is sb_publishable_… or the legacy anon key.
	PublishableKey string `mapstructure:"publishable_key"`
	// SecretKey is sb_secret_… or the legacy service_role key.
	SecretKey signin.Secret `mapstructure:"secret_key"`
	// EmailDomain is the domain of the users' made-up addresses. After a change, accounts the bridge
	// made are still found, by their id, and keep their address; adopted ones, and those that wait to
	// be, are lost to their people.
	EmailDomain string `mapstructure:"email_domain"`
	// Adopt is hold or evict: what a sign-in does with an account that has a person's address and was
	// not made by the bridge.
	Adopt string `mapstructure:"adopt"`
	// ForwardClientIP is off, sb-forwarded-for or the name of a header: how Supabase learns the
	// address of the person's device, by which it limits sign-ins.
	ForwardClientIP string `mapstructure:"forward_client_ip"`
	// Timeout bounds each call to Supabase.
	Timeout time.Duration `mapstructure:"timeout"`
}

// App is the app people sign in to. All lists are compared byte for byte; package allow says which
// entries stand for more than themselves.
type App struct {
	// Origins are the origins of the app's pages, which may call the bridge and to which people may
	// return. https://*.preview.example stands for any one label.
	Origins []string `mapstructure:"origins"`
	// RedirectURIs are the addresses TikTok may send people to in the documented flow. Default:
	// /native-callback and /auth, each with and without .html, at every origin without a wildcard. An
	// entry that ends in /* narrows instead where people may return to on its origin in the
	// bridge-led flow, and takes no default away.
	RedirectURIs []string `mapstructure:"redirect_uris"`
	// DeeplinkSchemes open the app, such as myapp. The first is the default.
	DeeplinkSchemes []string `mapstructure:"deeplink_schemes"`
	// AuthPath is the app's page that the deeplink opens.
	AuthPath string `mapstructure:"auth_path"`
	// DefaultRedirect is the path people return to, on the first origin without a wildcard, when a
	// bridge-led flow on the web names none; and the one the page /auth goes on to.
	DefaultRedirect string `mapstructure:"default_redirect"`
}

// Security is how strict the bridge is.
type Security struct {
	// Mode is documented or strict. Strict refuses the flow of Despia's guide, in which tokens
	// travel in a deeplink. It needs Server.PublicURL.
	Mode string `mapstructure:"mode"`
}

// Seal is how state and handoff are sealed.
type Seal struct {
	// Keys, of 32 characters or more, override the key that is derived from the Supabase secret key
	// and the TikTok client secret. The first seals, all open.
	Keys []signin.Secret `mapstructure:"keys"`
}

// Store is what replicas share: which states and handoffs were used, and how often an address called.
type Store struct {
	// RedisURL is a redis:// or rediss:// URL. Empty: each replica remembers and counts alone, as all do while
	// Redis fails.
	RedisURL signin.Secret `mapstructure:"redis_url"`
}

// RateLimit is how many requests a minute one client address may make: of all replicas together with
// Store.RedisURL, of each without.
type RateLimit struct {
	Enabled bool `mapstructure:"enabled"`
	// Start, Exchange and Redeem are limits by route, in requests a minute.
	Start    int `mapstructure:"start"`
	Exchange int `mapstructure:"exchange"`
	Redeem   int `mapstructure:"redeem"`
}

// Log is what is logged, and how.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `mapstructure:"level"`
	// Format is json or text.
	Format string `mapstructure:"format"`
}

// The values of keys that take one of a few words.
const (
	ModeDocumented = "documented"
	ModeStrict     = "strict"

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
			ShutdownDelay:   5 * time.Second,
			ShutdownTimeout: 15 * time.Second,
		},
		TikTok: TikTok{
			Scopes:       []string{"user.info.basic"},
			PKCE:         "off",
			AuthorizeURL: "https://www.tiktok.com/v2/auth/authorize/",
			APIURL:       "https://open.tiktokapis.com",
			Timeout:      10 * time.Second,
		},
		Supabase: Supabase{
			EmailDomain:     "tiktok.oauth",
			Adopt:           "hold",
			ForwardClientIP: ForwardOff,
			Timeout:         10 * time.Second,
		},
		App:       App{AuthPath: "/auth", DefaultRedirect: "/"},
		Security:  Security{Mode: ModeDocumented},
		RateLimit: RateLimit{Enabled: true, Start: 30, Exchange: 30, Redeem: 30},
		Log:       Log{Level: "info", Format: "json"},
	}
}

// redirectPaths are where the pages of Despia's guide are.
var redirectPaths = []string{"/native-callback", "/native-callback.html", "/auth", "/auth.html"}

// complete fills in what follows from other keys. What cannot be used is passed over: check reports
// it once, under the key it was written for.
func (c *Config) complete() {
	c.Supabase.URL = strings.TrimRight(c.Supabase.URL, "/")
	c.Supabase.AuthURL = strings.TrimRight(c.Supabase.AuthURL, "/")
	if c.Supabase.AuthURL == "" && isWebURL(c.Supabase.URL) {
		c.Supabase.AuthURL = c.Supabase.URL + "/auth/v1"
	}
	c.Server.PublicURL = strings.TrimRight(c.Server.PublicURL, "/")
	if checkPublicURL(c.Server.PublicURL) == nil && !slices.Contains(c.App.Origins, c.Server.PublicURL) {
		c.App.Origins = append(c.App.Origins, c.Server.PublicURL)
	}
	if slices.ContainsFunc(c.App.RedirectURIs, func(uri string) bool { return !strings.HasSuffix(uri, "/*") }) {
		return // what is listed stands; folders alone say nothing of what TikTok is given
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

// checkPublicURL tells what is wrong with the address of the bridge: it is one origin.
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

// StartPage returns the page of the app that people are sent to when nothing else is known; "" if no
// single one is: an origin with a wildcard is many, one in an app is for no browser, and the bridge is no app
// beside others.
func (c Config) StartPage() string {
	for i, origin := range c.App.Origins {
		if isPage(origin) && (i == 0 || origin != c.Server.PublicURL) {
			return origin + c.App.DefaultRedirect
		}
	}
	return ""
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

var errNetwork = errors.New("is no address and no network; write it like 192.0.2.7 or 10.0.0.0/8")

// ForwardHeader returns the header that carries the device's address to Supabase; "" is none.
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
