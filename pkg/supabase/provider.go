package supabase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// MinProviderVersion is the oldest GoTrue with custom providers (supabase/auth, CHANGELOG.md).
const MinProviderVersion = "2.187.0"

// DiscoveryPath leads from an issuer to its discovery document (OpenID Connect Discovery 1.0, section 4).
const DiscoveryPath = "/.well-known/openid-configuration"

// ProviderSettings are what the bridge wants of the custom provider that stands for TikTok. All else about it
// is the same for everybody.
type ProviderSettings struct {
	// Identifier is its name in Supabase, such as custom:tiktok.
	Identifier string
	// Issuer is the bridge, without a slash at the end.
	Issuer string
	// ClientID and ClientSecret are those of Supabase at the bridge.
	ClientID     string
	ClientSecret signin.Secret
}

// Provider is a custom provider as Supabase shows it. Its client secret is never shown.
type Provider struct {
	Type                string            `json:"provider_type"`
	Identifier          string            `json:"identifier"`
	ClientID            string            `json:"client_id"`
	OtherClientIDs      []string          `json:"acceptable_client_ids"`
	Issuer              string            `json:"issuer"`
	DiscoveryURL        string            `json:"discovery_url"`
	Scopes              []string          `json:"scopes"`
	Enabled             bool              `json:"enabled"`
	EmailOptional       bool              `json:"email_optional"`
	PKCE                bool              `json:"pkce_enabled"`
	AuthorizationParams map[string]string `json:"authorization_params"`
	CustomClaims        []string          `json:"custom_claims_allowlist"`
	AttributeMapping    map[string]any    `json:"attribute_mapping"`
}

// Difference is a field of a provider that is not as the bridge wants it.
type Difference struct {
	// Field is GoTrue's name of it.
	Field string
	// Want is what it should be, or hold, in words.
	Want string
	// value is what to send for it: what is there and does no harm stays.
	value any
}

// Differences returns what about p is not as wanted.
func (p Provider) Differences(want ProviderSettings) []Difference {
	var found []Difference
	differs := func(different bool, field, words string, value any) {
		if different {
			found = append(found, Difference{field, words, value})
		}
	}
	differs(p.Issuer != want.Issuer, "issuer", want.Issuer, want.Issuer)
	discovery := want.Issuer + DiscoveryPath // cannot be emptied again
	differs(p.DiscoveryURL != "" && p.DiscoveryURL != discovery, "discovery_url", discovery, discovery)
	differs(p.ClientID != want.ClientID, "client_id", want.ClientID, want.ClientID)
	differs(!p.Enabled, "enabled", "true", true)
	differs(!p.EmailOptional, "email_optional", "true", true)
	differs(!p.PKCE, "pkce_enabled", "true", true)
	scopes := with(p.Scopes, "openid", "profile")
	differs(!slices.Equal(scopes, p.Scopes), "scopes", strings.Join(scopes, " "), scopes)
	// GoTrue ties no link flow to a browser. TikTok's question is what stops somebody from attaching the TikTok
	// account of whoever opens a link of theirs.
	params := maps.Clone(p.AuthorizationParams)
	if params == nil {
		params = map[string]string{}
	}
	params["prompt"] = "consent"
	differs(!maps.Equal(params, p.AuthorizationParams), "authorization_params", "prompt=consent", params)
	claims := with(p.CustomClaims, "union_id")
	differs(!slices.Equal(claims, p.CustomClaims), "custom_claims_allowlist", "union_id", claims)
	return found
}

// with returns list with what it lacks, and without empty entries, which the form of the dashboard makes.
func with(list []string, wanted ...string) []string {
	all := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
	for _, s := range wanted {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// ProviderSetup is what SetupProvider did, or would do.
type ProviderSetup struct {
	// Created says that there was none.
	Created bool
	// Changed is what was changed of the one that was there. The client secret was set again in any case, since
	// Supabase does not show it.
	Changed []Difference
}

// FindProvider returns the custom provider with an identifier. Without one the error has the upstream code
// custom_provider_not_found.
func (c *Client) FindProvider(ctx context.Context, identifier string) (Provider, error) {
	var found Provider
	path := providersPath + "/" + url.PathEscape(identifier)
	err := c.do(ctx, c.adminCall(callProvider), http.MethodGet, path, nil, &found)
	if err == nil && found.Identifier != identifier {
		err = failure(callProvider, errNotGoTrue)
	}
	return found, err
}

// IsNoProvider reports whether err says that the project has no such provider.
func IsNoProvider(err error) bool { return hasCode(err, "custom_provider_not_found") }

const providersPath = "/admin/custom-providers"

// SetupProvider makes or updates the custom provider through which Supabase knows the bridge. Supabase fetches
// the bridge's discovery document meanwhile, so the bridge must run. A dry run changes nothing. Errors are
// *SetupError.
func (c *Client) SetupProvider(ctx context.Context, want ProviderSettings, dryRun bool) (ProviderSetup, error) {
	if err := want.check(); err != nil {
		return ProviderSetup{}, err
	}
	found, err := c.FindProvider(ctx, want.Identifier)
	switch {
	case IsNoProvider(err):
		return c.createProvider(ctx, want, dryRun)
	case err != nil:
		return ProviderSetup{}, setupError(err, want)
	case found.Type != "oidc":
		return ProviderSetup{}, &SetupError{
			Seen: want.Identifier + " is there already, and not an OpenID provider; that can never be changed.",
			Fix: "Delete it in the Supabase dashboard (Authentication > Sign In / Providers), or set supabase.provider to " +
				"another name, such as custom:tiktok2.",
		}
	}
	setup := ProviderSetup{Changed: found.Differences(want)}
	if dryRun {
		return setup, nil
	}
	body := map[string]any{
		"client_secret": want.ClientSecret.Reveal(),
		"issuer":        want.Issuer, // makes Supabase read the discovery document again
	}
	for _, d := range setup.Changed {
		body[d.Field] = d.value
	}
	var is Provider
	path := providersPath + "/" + url.PathEscape(want.Identifier)
	if err := c.do(ctx, c.adminCall(callProvider), http.MethodPut, path, body, &is); err != nil {
		return ProviderSetup{}, setupError(err, want)
	}
	return setup, is.checkTaken(want)
}

func (c *Client) createProvider(
	ctx context.Context, want ProviderSettings, dryRun bool,
) (ProviderSetup, error) {
	setup := ProviderSetup{Created: true}
	if dryRun {
		return setup, nil
	}
	body := map[string]any{
		"provider_type": "oidc", "identifier": want.Identifier, "name": "TikTok",
		"client_secret": want.ClientSecret.Reveal(),
	}
	for _, d := range (Provider{}).Differences(want) {
		body[d.Field] = d.value
	}
	var is Provider
	err := c.do(ctx, c.adminCall(callProvider), http.MethodPost, providersPath, body, &is)
	if hasCode(err, "over_custom_provider_quota") {
		return ProviderSetup{}, &SetupError{
			Seen: "The project has as many custom providers as it may have.",
			Fix:  "Delete one that is not used, or change the plan: Free has 3.",
		}
	}
	if err != nil {
		return ProviderSetup{}, setupError(err, want)
	}
	return setup, is.checkTaken(want)
}

// checkTaken says what Supabase did not store.
func (p Provider) checkTaken(want ProviderSettings) error {
	var ignored []string
	for _, d := range p.Differences(want) {
		ignored = append(ignored, d.Field)
	}
	if len(ignored) == 0 {
		return nil
	}
	return &SetupError{
		Seen: "The provider is set up, but this Supabase Auth ignores " + strings.Join(ignored, ", ") + ".",
		Fix:  "Update Supabase Auth to 2.196.0 or newer and run this again.",
	}
}

// SetupError says why a provider could not be set up.
type SetupError struct {
	Seen, Fix string
	// Err is what Supabase answered, if it was asked.
	Err error
}

// Error implements error.
func (e *SetupError) Error() string { return e.Seen + " " + e.Fix }

// Unwrap returns Err.
func (e *SetupError) Unwrap() error { return e.Err }

// identifierPattern is what GoTrue takes; it answers 500 to anything else in lower case.
var identifierPattern = regexp.MustCompile(`^custom:[a-z0-9:-]{0,42}[a-z0-9]$`)

// check finds what GoTrue would refuse, or answer with a fault of its own.
func (s ProviderSettings) check() error {
	switch {
	case !identifierPattern.MatchString(s.Identifier):
		return &SetupError{
			Seen: "supabase.provider is not the name of a custom provider.",
			Fix:  "Write it like custom:tiktok, in lower case, with letters, digits, - and : alone.",
		}
	case !strings.HasPrefix(s.Issuer, "https://") && !isLoopback(s.Issuer): // where an emulator may take it
		return &SetupError{Seen: notHTTPS, Fix: publicAddress}
	case s.ClientID == "" || s.ClientSecret == "":
		return &SetupError{
			Seen: "Supabase has no client with a secret here.",
			Fix:  "Set oidc.supabase_secret to 32 random characters or more.",
		}
	}
	return nil
}

// isLoopback reports whether an address is on this machine.
func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

const (
	notHTTPS      = "Supabase accepts only providers with an https address."
	publicAddress = "Set server.public_url to the https address at which the bridge is reached from the internet. On " +
		"your own machine, use a tunnel."
)

// setupError says how to fix what Supabase refuses.
func setupError(err error, want ProviderSettings) *SetupError {
	document := want.Issuer + DiscoveryPath
	out := &SetupError{Err: err}
	say := func(seen, fix string) *SetupError {
		out.Seen, out.Fix = seen, fix
		return out
	}
	var e *apiError
	_ = errors.As(err, &e)
	switch {
	case e == nil:
	case e.status == http.StatusNotFound && e.code == "":
		return say("This Supabase Auth has no custom providers, or there is none at supabase.url.",
			"Update Supabase Auth to 2.196.0 or newer, and check supabase.url.")
	case e.reason == reasonNoCustomProviders, e.code == "feature_disabled":
		return say("Custom providers are switched off in this Supabase Auth.",
			"Remove GOTRUE_CUSTOM_OAUTH_ENABLED from its environment, or set it to true.")
	case e.reason == reasonNotHTTPS:
		return say(notHTTPS, publicAddress)
	case e.reason == reasonPrivateAddress:
		return say("Supabase does not call "+want.Issuer+", whose address is private.", publicAddress)
	case e.reason == reasonUnknownHost:
		return say("Supabase does not find the host of "+want.Issuer+".",
			"The name must be in the public DNS. "+publicAddress)
	case e.reason == reasonOtherIssuer:
		return say("The bridge at "+want.Issuer+" calls itself by another address.",
			"Give the running bridge the same server.public_url, and oidc.issuer if it is set, as this command: letter by "+
				"letter, also at the end.")
	case e.reason == reasonNoDiscovery:
		return say("Supabase cannot read "+document+".",
			"Start the bridge with this configuration first. The address must answer from the internet, by https, with a "+
				"certificate that is valid, and without a log-in.")
	case e.reason == reasonBadDiscovery:
		return say("Something other than the bridge answers at "+document+".",
			"Lead server.public_url to the bridge.")
	}
	known := signin.AsError(err)
	return say(fmt.Sprintf("Supabase does not set up the provider: %v.", known.Err), known.Cause.Fix())
}
