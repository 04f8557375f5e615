package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// OIDC is the bridge as an OpenID Provider in front of TikTok. One client switches it on.
type OIDC struct {
	// SupabaseSecret is the short form for the one client that most people have: Supabase itself, as the
	// client "supabase" with the redirect URI <supabase.auth_url>/callback.
	SupabaseSecret signin.Secret `mapstructure:"supabase_secret"`
	// Clients may send people here to sign in.
	Clients []OIDCClient `mapstructure:"clients"`
	// Issuer identifies the provider in discovery and id_tokens. Default: Server.PublicURL. Set it only if
	// clients reach the bridge at another address than browsers do.
	Issuer string `mapstructure:"issuer"`
	// SigningKeys are private keys in PEM (RSA of 2,048 bits or more, P-256) that replace those derived
	// from Seal.Keys. The first of each kind signs; all are published.
	SigningKeys []signin.Secret `mapstructure:"signing_keys"`
}

// OIDCClient is a client of the provider, such as Supabase, Auth.js or oauth2-proxy.
type OIDCClient struct {
	ID string `mapstructure:"id"`
	// Secret, of 32 characters or more. A client without one is public and must use PKCE.
	Secret signin.Secret `mapstructure:"secret"`
	// RedirectURIs must match character by character.
	RedirectURIs []string `mapstructure:"redirect_uris"`
	// Alg signs the client's id_tokens: RS256 (default) or ES256.
	Alg string `mapstructure:"alg"`
	// TikTokTokens hands the client TikTok's own tokens instead of one for userinfo alone.
	TikTokTokens bool `mapstructure:"tiktok_tokens"`
	// Prompt is consent to show TikTok's consent page at every sign-in, whatever the client asks for. The client that
	// SupabaseSecret makes has it: Supabase ties no link flow to a browser, and who begins one can change the address.
	Prompt string `mapstructure:"prompt"`
}

// promptConsent is the one value of OIDCClient.Prompt besides none.
const promptConsent = "consent"

// AlwaysConsents reports whether TikTok shows its consent page to everybody who comes from the client.
func (c OIDCClient) AlwaysConsents() bool { return c.Prompt == promptConsent }

// supabaseClientID is the id of the client that SupabaseSecret makes.
const supabaseClientID = "supabase"

// Enabled reports whether the bridge is an OpenID Provider.
func (o OIDC) Enabled() bool { return len(o.Clients) > 0 }

// SupabaseClient returns the client that the Supabase project is; false if no client is.
func (c Config) SupabaseClient() (OIDCClient, bool) {
	for _, client := range c.OIDC.Clients {
		for _, callback := range c.Supabase.CallbackURLs() {
			if slices.Contains(client.RedirectURIs, callback) {
				return client, true
			}
		}
	}
	return OIDCClient{}, false
}

// CallbackURLs returns where GoTrue may take the answers of its providers: below the address that browsers know
// and, if the bridge calls GoTrue at another one, below that.
func (s Supabase) CallbackURLs() []string {
	callbacks := []string{s.AuthURL + "/callback"}
	if public := s.URL + "/auth/v1"; s.URL != "" && public != s.AuthURL {
		callbacks = append(callbacks, public+"/callback")
	}
	return callbacks
}

// completeOIDC turns the short form into a client.
func (c *Config) completeOIDC() {
	c.OIDC.Issuer = strings.TrimRight(c.OIDC.Issuer, "/")
	if c.OIDC.Issuer == "" {
		c.OIDC.Issuer = c.Server.PublicURL
	}
	if c.OIDC.SupabaseSecret == "" || c.Supabase.AuthURL == "" {
		return
	}
	c.OIDC.Clients = append(c.OIDC.Clients, OIDCClient{
		ID: supabaseClientID, Secret: c.OIDC.SupabaseSecret, RedirectURIs: c.Supabase.CallbackURLs(),
		TikTokTokens: c.TikTok.ReturnTokens, Prompt: promptConsent,
	})
}

// providerPattern matches the identifiers of custom providers, of up to 50 characters (GoTrue
// internal/api/custom_oauth_admin.go).
var providerPattern = regexp.MustCompile(`^custom:[a-z0-9]([a-z0-9:-]{0,41}[a-z0-9])?$`)

// oidcRules are those about the provider.
func (c Config) oidcRules() []rule {
	_, isClient := c.SupabaseClient()
	on := c.OIDC.Enabled()
	_, keysErr := provider.ParseKeys(c.OIDC.SigningKeys...)
	return []rule{
		{
			on && c.Server.PublicURL == "", "server.public_url", "is missing, and the OpenID Provider needs it",
			"Set it to the address at which browsers reach the bridge, like https://signin.app.example.",
		},
		{
			on && c.OIDC.Issuer != "" && !isIssuer(c.OIDC.Issuer), "oidc.issuer", is(c.OIDC.Issuer),
			"It must be an https:// address without a path or a slash at the end. Remove it to use server.public_url.",
		},
		{
			on && len(c.Seal.Keys) == 0, "seal.keys", "is missing, and the OpenID Provider signs with keys made from it",
			"Make a key with `openssl rand -base64 32`, and give every replica the same.",
		},
		{
			c.sharesSealKey(), "seal.keys", "has a key that is also another secret of this configuration",
			"Make one with `openssl rand -base64 32`: whoever else has the other secret could sign in as anybody.",
		},
		{
			c.OIDC.SupabaseSecret != "" && len(c.OIDC.SupabaseSecret) < minClientSecret, "oidc.supabase_secret",
			"has fewer than 32 characters", "Make one with `openssl rand -hex 32`.",
		},
		{
			len(c.OIDC.SigningKeys) > 0 && keysErr != nil, "oidc.signing_keys", fmt.Sprintf("cannot be used: %v", keysErr),
			"Make one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`, or remove the key.",
		},
		{
			c.Supabase.Provider != "" && !providerPattern.MatchString(c.Supabase.Provider), "supabase.provider",
			is(c.Supabase.Provider), "It must be custom: and a name in lower case, like custom:tiktok.",
		},
		{
			c.Supabase.Provider != "" && !isClient, "supabase.provider",
			"needs a client for Supabase, and no client of oidc has the redirect URI " + c.Supabase.CallbackURLs()[0],
			"Set oidc.supabase_secret to a secret of your own; make one with `openssl rand -hex 32`.",
		},
	}
}

// sharesSealKey reports whether a sealing key is known to somebody else too.
func (c Config) sharesSealKey() bool {
	others := []signin.Secret{
		c.TikTok.ClientSecret, c.TikTok.PreviousClientSecret, c.Supabase.SecretKey, c.OIDC.SupabaseSecret,
		c.Backend.Secret, c.Webhook.Secret,
	}
	for _, client := range c.OIDC.Clients {
		others = append(others, client.Secret)
	}
	return slices.ContainsFunc(c.Seal.Keys, func(key signin.Secret) bool { return slices.Contains(others, key) })
}

// minClientSecret is the shortest secret a client may have, in characters.
const minClientSecret = 32

// badClients returns a problem for each client that cannot be used.
func (c Config) badClients() Problems {
	var problems Problems
	seen := map[string]bool{}
	for i, client := range c.OIDC.Clients {
		name := fmt.Sprintf("has a client (%q)", client.ID)
		if client.ID == "" {
			name = fmt.Sprintf("has a client (number %d)", i+1)
		}
		rules := client.rules()
		if client.ID == supabaseClientID && client.Secret == c.OIDC.SupabaseSecret { // which has a rule of its own
			rules = nil
		}
		rules = append(rules, rule{
			bad: seen[client.ID], what: "with the id of another", fix: "Give each client an id of its own.",
		})
		for _, r := range rules {
			if r.bad {
				problems = append(problems, Problem{"oidc.clients", name + " " + r.what, r.fix})
				break
			}
		}
		seen[client.ID] = true
	}
	return problems
}

var clientIDPattern = regexp.MustCompile(`^[!-9;-~]{1,128}$`) // without the colon of Basic authentication

func (c OIDCClient) rules() []rule {
	// which returns the first redirect URI that is bad, and "" if none is.
	which := func(bad func(string) bool) string {
		if i := slices.IndexFunc(c.RedirectURIs, bad); i >= 0 {
			return c.RedirectURIs[i]
		}
		return ""
	}
	uri := which(func(uri string) bool { return !c.mayReturnTo(uri) })
	answered := which(hasAnswer)
	return []rule{
		{bad: c.ID == "", what: "without an id", fix: "Give it an id, like my-app."},
		{
			bad: !clientIDPattern.MatchString(c.ID), what: "whose id has spaces or colons",
			fix: "Use letters, digits and dashes.",
		},
		{
			bad: c.Secret != "" && len(c.Secret) < minClientSecret, what: "whose secret has fewer than 32 characters",
			fix: "Make one with `openssl rand -hex 32`. A public client, such as a single-page app, has none.",
		},
		{
			bad: len(c.RedirectURIs) == 0, what: "without redirect_uris",
			fix: "List the addresses that the client may send people back to, exactly as it sends them.",
		},
		{
			bad:  uri != "" || slices.Contains(c.RedirectURIs, ""),
			what: fmt.Sprintf("whose redirect URI %q cannot be used", uri),
			fix: "Write the whole address, without a wildcard or a #. It must be https://; http:// is for this machine and, " +
				"with a secret, for private networks. An app's own scheme looks like com.example.app:/callback.",
		},
		{
			bad: answered != "", what: fmt.Sprintf("whose redirect URI %q has a parameter of the answer", answered),
			fix: "Remove code, state, iss, error and error_description from it: the bridge adds them.",
		},
		{
			bad: c.TikTokTokens && c.Secret == "", what: "that gets TikTok's tokens (tiktok_tokens) and has no secret",
			fix: "Give it a secret, made with `openssl rand -hex 32`, or remove tiktok_tokens.",
		},
		{
			bad:  !slices.Contains([]string{"", "RS256", "ES256"}, c.Alg),
			what: "whose alg " + is(c.Alg), fix: "Use RS256 or ES256.",
		},
		{
			bad: c.Prompt != "" && c.Prompt != promptConsent, what: "whose prompt " + is(c.Prompt),
			fix: "Use consent, or leave it out.",
		},
	}
}

// mayReturnTo reports whether uri may be a redirect URI of the client (Core, section 3.1.2.1; RFC 8252, section
// 7). Clients get codes there, which are worth nothing without the secret or the verifier.
func (c OIDCClient) mayReturnTo(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Fragment != "" || strings.ContainsAny(uri, "#*\\ \t\r\n") || u.User != nil {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Hostname() != ""
	case "http":
		return isLoopback(u.Hostname()) || u.Hostname() != "" && c.Secret != "" && isPrivateHost(u.Hostname())
	}
	// A scheme of an app's own has a dot (RFC 8252, section 7.1).
	return strings.Contains(u.Scheme, ".") && allow.CheckScheme(u.Scheme) == nil
}

// hasAnswer reports whether a redirect URI has a parameter that belongs to the provider's answer. Most clients read
// the first of a name, so they would never see ours.
func hasAnswer(uri string) bool {
	_, query, _ := strings.Cut(uri, "?")
	has, _ := url.ParseQuery(query) // what it cannot read, few clients can
	return slices.ContainsFunc([]string{"code", "state", "iss", "error", "error_description"}, has.Has)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// isIssuer reports whether s can be an issuer (Discovery, section 3): https, and http for this machine.
func isIssuer(s string) bool {
	u, err := url.Parse(s)
	return err == nil && isWebURL(s) && u.Path == "" && (u.Scheme == "https" || isLoopback(u.Hostname()))
}
