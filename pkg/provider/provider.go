package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// The endpoints of a provider below its issuer.
const (
	PathAuthorize = "/oidc/authorize"
	PathToken     = "/oidc/token" //nolint:gosec // a path
	PathUserInfo  = "/oidc/userinfo"
	PathJWKS      = "/oidc/jwks"
)

// Client is a relying party: Supabase, Auth.js, an own backend.
type Client struct {
	// ID has no colon, since Basic authentication puts one behind it.
	ID string
	// Secret is empty for a public client, which must use PKCE.
	Secret signin.Secret
	// RedirectURIs are compared byte for byte.
	RedirectURIs []string
	// Alg signs the client's id_tokens. Default: RS256.
	Alg string
	// TikTokTokens hands the client TikTok's own access token, and not one for userinfo.
	TikTokTokens bool
	// AlwaysConsent shows TikTok's consent page at every sign-in, whatever the client asks for.
	AlwaysConsent bool
}

// isPublic reports whether the client cannot keep a secret (RFC 6749, section 2.1).
func (c *Client) isPublic() bool { return c.Secret == "" }

// isNative reports whether a client may be another app than it says: nothing proves who it is, and any app of the
// device may take its redirect URI. So it never gets a person whom nobody asked (RFC 8252, section 8.6).
func (c *Client) isNative(redirectURI string) bool {
	return c.isPublic() && !strings.HasPrefix(redirectURI, "https://")
}

// hasSecret compares in constant time. Nobody knows the secret of a public client.
func (c *Client) hasSecret(secret string) bool {
	got, want := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(c.Secret.Reveal()))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && !c.isPublic()
}

// SignIns leads people to TikTok. signin.Service implements it.
type SignIns interface {
	BeginForClient(ctx context.Context, r signin.ClientRequest) (signin.Begun, error)
}

// Profiles reads how a person wants to be shown. signin.Authenticator implements it.
type Profiles interface {
	Profile(ctx context.Context, id signin.Identity) (signin.Profile, error)
}

// Options configure a Provider.
type Options struct {
	// Issuer identifies the provider: an https address without a slash at the end (Discovery, section 3).
	Issuer string
	// PublicURL is where browsers reach the provider. Default: Issuer.
	PublicURL string
	Clients   []Client
	Keys      *Keys
	SignIns   SignIns
	Profiles  Profiles
	// Sealer seals codes and access tokens, and Once makes codes single-use.
	Sealer signin.Sealer
	Once   signin.Once
	// ProfileTimeout bounds the profile call of the token endpoint. GoTrue gives up on the whole request after
	// ten seconds. Default: DefaultProfileTimeout.
	ProfileTimeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger receives what goes wrong without failing a sign-in. Default: discarded.
	Logger *slog.Logger
}

// DefaultProfileTimeout is how long an id_token waits for the name and the picture in it.
const DefaultProfileTimeout = 3 * time.Second

// Lifetimes of what the provider issues.
const (
	// CodeLifetime is how long a client may take to send its code (RFC 6749, section 4.1.2: ten minutes at most).
	CodeLifetime = time.Minute
	// TokenLifetime is how long id_tokens and access tokens are good.
	TokenLifetime = 5 * time.Minute
	// clockSkew is how far apart the clocks of two replicas may be.
	clockSkew = 30 * time.Second
)

// Provider answers OpenID clients. Safe for concurrent use.
type Provider struct {
	opts      Options
	clients   map[string]*Client
	discovery []byte
}

// New returns a Provider.
func New(opts Options) (*Provider, error) {
	if opts.PublicURL == "" {
		opts.PublicURL = opts.Issuer
	}
	if opts.ProfileTimeout <= 0 {
		opts.ProfileTimeout = DefaultProfileTimeout
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Provider{opts: opts, clients: map[string]*Client{}}
	for _, c := range opts.Clients {
		if c.Alg == "" {
			c.Alg = RS256
		}
		if opts.Keys.signing(c.Alg) == nil {
			return nil, fmt.Errorf("client %q wants %s, and there is no key for it", c.ID, c.Alg)
		}
		p.clients[c.ID] = &c
	}
	var err error
	p.discovery, err = p.describe()
	return p, err
}

// HasPublicClient reports whether pages may call the token endpoint.
func (p *Provider) HasPublicClient() bool {
	return slices.ContainsFunc(p.opts.Clients, func(c Client) bool { return c.isPublic() })
}

// JWKS returns the public keys (RFC 7517, section 5). Anybody can make clients fetch them, by a token with an
// unknown key id, so they are the same bytes each time.
func (p *Provider) JWKS() []byte { return p.opts.Keys.jwks }

// Discovery returns the provider's metadata (Discovery, section 3; RFC 8414, section 2).
func (p *Provider) Discovery() []byte { return p.discovery }

func (p *Provider) describe() ([]byte, error) {
	return json.Marshal(map[string]any{
		"issuer":                                         p.opts.Issuer,
		"authorization_endpoint":                         p.opts.PublicURL + PathAuthorize,
		"token_endpoint":                                 p.opts.Issuer + PathToken,
		"userinfo_endpoint":                              p.opts.Issuer + PathUserInfo,
		"jwks_uri":                                       p.opts.Issuer + PathJWKS,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          p.opts.Keys.algorithms(),
		"scopes_supported":                               []string{"openid", "profile"},
		"claims_supported":                               claimNames,
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post", "none"},
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"authorization_response_iss_parameter_supported": true, // RFC 9207, section 3
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false, // true is the default
	})
}

// seal makes a token of v that only the bridge can read.
func (p *Provider) seal(purpose string, v any) (string, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return p.opts.Sealer.Seal(purpose, payload), nil
}

// maxToken is longer than any code or access token, in bytes.
const maxToken = 16 << 10

var errNotOurs = errors.New("not a token of this provider")

// open reads a token of seal.
func (p *Provider) open(purpose, token string, into any) error {
	if len(token) > maxToken {
		return errNotOurs
	}
	payload, err := p.opts.Sealer.Open(purpose, token)
	if err != nil || json.Unmarshal(payload, into) != nil {
		return errNotOurs
	}
	return nil
}

// isFresh reports whether something issued then, in Unix seconds, has not outlived its lifetime.
func (p *Provider) isFresh(issuedAt int64, lifetime time.Duration) bool {
	age := p.opts.Now().Sub(time.Unix(issuedAt, 0))
	return age >= -clockSkew && age <= lifetime
}

// readProfile reads how the person wants to be shown. A sign-in works without.
func (p *Provider) readProfile(ctx context.Context, id signin.Identity) signin.Profile {
	ctx, cancel := context.WithTimeout(ctx, p.opts.ProfileTimeout)
	defer cancel()
	profile, err := p.opts.Profiles.Profile(ctx, id)
	if err != nil {
		p.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "profile not read", signin.AsError(err).LogAttrs()...)
	}
	return profile
}

// words splits a list separated by spaces (RFC 6749, section 3.3).
func words(list string) []string { return strings.Fields(list) }
