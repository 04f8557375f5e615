package gotruesim

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// discoveryTTL is how long GoTrue believes a discovery document (conf/configuration.go:557).
	discoveryTTL = time.Hour
	// maxAnswer bounds what is read of a provider's answer (utilities/oidc_discovery.go).
	maxAnswer = 1 << 20
)

// discovery is the part of a provider's discovery document that GoTrue reads
// (utilities/oidc_discovery.go).
type discovery struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint,omitempty"`
	JWKSURI               string   `json:"jwks_uri"`
	Scopes                []string `json:"scopes_supported,omitempty"`
	ResponseTypes         []string `json:"response_types_supported,omitempty"`
	GrantTypes            []string `json:"grant_types_supported,omitempty"`
	SubjectTypes          []string `json:"subject_types_supported,omitempty"`
	Algs                  []string `json:"id_token_signing_alg_values_supported,omitempty"`
}

// missing are the required fields that the document lacks.
func (d *discovery) missing() (names []string) {
	for _, f := range []struct{ name, value string }{
		{"issuer", d.Issuer},
		{"authorization_endpoint", d.AuthorizationEndpoint},
		{"token_endpoint", d.TokenEndpoint},
		{"jwks_uri", d.JWKSURI},
	} {
		if f.value == "" {
			names = append(names, f.name)
		}
	}
	return names
}

// checkURL refuses addresses that a server should not be led to (utilities/url_validator.go).
func (s *Server) checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return invalid("Invalid URL format")
	case s.opts.AllowInsecureIssuers && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "":
		return nil
	case u.Scheme != "https":
		return invalid("URL must use HTTPS")
	case u.Hostname() == "":
		return invalid("URL must have a valid hostname")
	case isLocalhost(strings.ToLower(u.Hostname())):
		return invalid("URL cannot point to localhost or loopback addresses")
	}
	ips, err := s.lookup(u.Hostname())
	if err != nil {
		return invalid("Unable to resolve hostname")
	}
	for _, ip := range ips {
		if kind := notPublic(ip); kind != "" {
			return invalid("URL cannot resolve to %s addresses", kind)
		}
	}
	return nil
}

func (s *Server) lookup(host string) ([]net.IP, error) {
	if ip := net.ParseIP(host); ip != nil {
		return []net.IP{ip}, nil
	}
	return s.opts.LookupIP(host)
}

func isLocalhost(host string) bool {
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"}, host) ||
		strings.HasSuffix(host, ".localhost")
}

// notPublic says what kind of address ip is, "" for a public one. Go takes documentation addresses for public.
func notPublic(ip net.IP) string {
	switch {
	case ip.IsLoopback():
		return "loopback"
	case ip.IsPrivate():
		return "private network"
	case ip.IsLinkLocalUnicast(), ip.IsLinkLocalMulticast():
		return "link-local"
	case ip.IsMulticast():
		return "multicast"
	case ip.IsUnspecified():
		return "unspecified"
	}
	return ""
}

// checkedTransport looks at the address of every request, redirects included.
type checkedTransport struct{ s *Server }

// RoundTrip implements http.RoundTripper.
func (t checkedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.s.checkURL(r.URL.String()); err != nil {
		return nil, err
	}
	return t.s.opts.Transport.RoundTrip(r)
}

// fetchDiscovery gets a document as the admin routes and the redirect flow do: with the check of addresses.
func (s *Server) fetchDiscovery(ctx context.Context, address, issuer string) (*discovery, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.checkURL(address); err != nil {
		return nil, fmt.Errorf("oidc: discovery request to %s failed: %w", address, statusText(err))
	}
	client := &http.Client{Transport: checkedTransport{s}}
	res, err := fetch(ctx, client, address, http.Header{
		"User-Agent": {"Supabase-Auth/1.0"}, "Accept": {"application/json"},
	})
	if err != nil {
		return nil, fmt.Errorf("oidc: discovery request to %s failed: 500: Failed to fetch URL", address)
	}
	if res.status != http.StatusOK {
		return nil, fmt.Errorf("oidc: discovery request to %s returned %s", address, res.statusLine)
	}
	var d discovery
	if err := json.NewDecoder(strings.NewReader(res.body)).Decode(&d); err != nil {
		return nil, fmt.Errorf("oidc: failed to decode discovery document from %s: %w", address, err)
	}
	if d.Issuer != issuer {
		return nil, fmt.Errorf("oidc: issuer mismatch, expected %q got %q", issuer, d.Issuer)
	}
	return &d, nil
}

// statusText is what an HTTPError of GoTrue says of itself inside another error.
func statusText(err error) error {
	if e, ok := errors.AsType[*apiError](err); ok {
		return fmt.Errorf("%d: %s", e.status, e.msg)
	}
	return err
}

// bareDiscovery gets a document as the id_token grant does: at the issuer's own address, which nothing checks
// (go-oidc, NewProvider).
func (s *Server) bareDiscovery(ctx context.Context, issuer string) (*discovery, error) {
	address := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	res, err := fetch(ctx, s.client(), address, nil)
	if err != nil {
		return nil, err
	}
	if res.status != http.StatusOK {
		return nil, errors.New(res.statusLine)
	}
	var d discovery
	if err := json.Unmarshal([]byte(res.body), &d); err != nil {
		return nil, err
	}
	if d.Issuer != issuer {
		return nil, errors.New("issuer mismatch")
	}
	return &d, nil
}

func (s *Server) client() *http.Client { return &http.Client{Transport: s.opts.Transport} }

type answer struct {
	status     int
	statusLine string
	header     http.Header
	body       string
}

func fetch(ctx context.Context, c *http.Client, address string, h http.Header) (*answer, error) {
	// Where GoTrue checks an address, the caller has; where it does not, neither does the emulator.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil) //nolint:gosec // see above
	if err != nil {
		return nil, err
	}
	for name := range h {
		req.Header.Set(name, h.Get(name))
	}
	return send(c, req)
}

func send(c *http.Client, req *http.Request) (*answer, error) {
	res, err := c.Do(req) //nolint:gosec // see fetch
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return &answer{res.StatusCode, res.Status, res.Header, string(body)}, nil
}

// issuer is a provider as the running server knows it: the document and the keys. GoTrue keeps it in memory,
// whatever the database says, for an hour.
type issuer struct {
	discovery
	fetched time.Time
	jwks    keySet
}

// issuers are the known ones by their address (provider/oidc_cache.go). One fetch at a time per address.
type issuers struct {
	mu    sync.Mutex
	slots map[string]*issuerSlot
}

type issuerSlot struct {
	mu    sync.Mutex
	known *issuer
}

func (c *issuers) slot(address string) *issuerSlot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots[address] == nil {
		if c.slots == nil {
			c.slots = map[string]*issuerSlot{}
		}
		c.slots[address] = &issuerSlot{}
	}
	return c.slots[address]
}

func (c *issuers) forget(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.slots, address)
}

func (c *issuers) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slots = nil
}

// issuer finds an issuer, fetching its document if need be. A stale one serves when that fails.
func (s *Server) issuer(address string, fetch func() (*discovery, error)) (*issuer, error) {
	slot := s.issuers.slot(address)
	slot.mu.Lock()
	defer slot.mu.Unlock()
	if slot.known != nil && s.now().Sub(slot.known.fetched) < discoveryTTL {
		return slot.known, nil
	}
	d, err := fetch()
	if err != nil {
		if slot.known != nil {
			return slot.known, nil
		}
		return nil, err
	}
	slot.known = &issuer{discovery: *d, fetched: s.now(), jwks: keySet{s: s, address: d.JWKSURI}}
	return slot.known, nil
}

// keySet are the keys of an issuer, fetched again for every signature that none of them explains
// (go-oidc, RemoteKeySet).
type keySet struct {
	s       *Server
	address string

	mu      sync.Mutex
	keys    []jwk
	fetches int
}

type jwk struct {
	kid string
	key crypto.PublicKey
}

func (k *keySet) cached() ([]jwk, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys, k.fetches
}

// fetch gets the keys, unless somebody else has since the caller looked.
func (k *keySet) fetch(ctx context.Context, seen int) ([]jwk, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetches != seen {
		return k.keys, nil
	}
	res, err := fetch(ctx, k.s.client(), k.address, http.Header{"Cache-Control": {"no-cache"}})
	if err != nil {
		return nil, err
	}
	if res.status != http.StatusOK {
		return nil, errors.New(res.statusLine)
	}
	keys, err := parseJWKS([]byte(res.body))
	if err != nil {
		return nil, err
	}
	k.keys = keys
	k.fetches++
	return keys, nil
}

// algs are the signatures that go-oidc knows.
var algs = []string{
	"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
}

// parseJWKS reads a JWK set; keys for unknown algorithms are passed over, a malformed key fails them all.
func parseJWKS(data []byte) ([]jwk, error) {
	var set struct{ Keys []jwkFields }
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, err
	}
	var keys []jwk
	for _, f := range set.Keys {
		if f.Alg != "" && !slices.Contains(algs, f.Alg) {
			continue
		}
		key, err := f.public()
		if err != nil {
			return nil, err
		}
		keys = append(keys, jwk{f.Kid, key})
	}
	return keys, nil
}

type jwkFields struct {
	Kty, Kid, Alg, Crv, N, E, X, Y string
}

var curves = map[string]elliptic.Curve{
	"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
}

func (f *jwkFields) public() (crypto.PublicKey, error) {
	switch f.Kty {
	case "RSA":
		n, err := base64.RawURLEncoding.DecodeString(f.N)
		if err != nil {
			return nil, err
		}
		e, err := base64.RawURLEncoding.DecodeString(f.E)
		if err != nil || len(e) == 0 || len(e) > 4 {
			return nil, errors.New("gotruesim: bad RSA exponent")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	case "EC":
		curve, ok := curves[f.Crv]
		x, errX := base64.RawURLEncoding.DecodeString(f.X)
		y, errY := base64.RawURLEncoding.DecodeString(f.Y)
		if !ok || errX != nil || errY != nil {
			return nil, errors.New("gotruesim: bad EC key")
		}
		return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	case "OKP":
		x, err := base64.RawURLEncoding.DecodeString(f.X)
		if err != nil || f.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("gotruesim: bad Ed25519 key")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, fmt.Errorf("gotruesim: unknown key type %q", f.Kty)
}

// idToken is a verified id_token: what the verifier reads and the claims that reach the account.
type idToken struct {
	Issuer     string    `json:"iss"`
	Subject    string    `json:"sub"`
	Audience   audiences `json:"aud"`
	Expiry     unixTime  `json:"exp"`
	NotBefore  unixTime  `json:"nbf"`
	Nonce      string    `json:"nonce"`
	AccessHash string    `json:"at_hash"`

	alg    string
	claims profileClaims
	raw    map[string]any
}

// unixTime is a point in time in seconds; fractions are cut off.
type unixTime time.Time

// UnmarshalJSON implements json.Unmarshaler.
func (t *unixTime) UnmarshalJSON(b []byte) error {
	var n float64
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*t = unixTime(time.Unix(int64(n), 0))
	return nil
}

// verify checks an id_token as go-oidc does, without its audience: signature, issuer, expiry, nbf with five
// minutes of leeway. Nothing looks at iat.
func (s *Server) verifyIDToken(ctx context.Context, iss *issuer, raw string) (*idToken, error) {
	payload, alg, err := iss.verifySignature(ctx, raw)
	if err != nil {
		return nil, err
	}
	t := &idToken{alg: alg}
	if err := json.Unmarshal(payload, t); err != nil {
		return nil, err
	}
	now := s.now()
	switch nbf := time.Time(t.NotBefore); {
	case t.Issuer != iss.Issuer:
		return nil, errors.New("id token issued by a different provider")
	case time.Time(t.Expiry).Before(now):
		return nil, errors.New("id token is expired")
	case !nbf.IsZero() && now.Add(5*time.Minute).Before(nbf):
		return nil, errors.New("id token is not good yet")
	}
	if err := json.Unmarshal(payload, &t.claims); err != nil {
		return nil, err
	}
	return t, json.Unmarshal(payload, &t.raw)
}

// verifySignature tries the keys with the token's kid, or all if it has none, and then fetches the keys again.
// A token whose alg the discovery document does not list gets no further than its header.
func (iss *issuer) verifySignature(ctx context.Context, raw string) (payload []byte, alg string, err error) {
	listed := slices.DeleteFunc(slices.Clone(iss.Algs), func(a string) bool { return !slices.Contains(algs, a) })
	if len(listed) == 0 {
		listed = []string{"RS256"}
	}
	parser := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods(listed))
	head, parts, err := parser.ParseUnverified(raw, jwt.MapClaims{})
	if err != nil {
		return nil, "", err
	}
	alg, _ = head.Header["alg"].(string)
	if !slices.Contains(listed, alg) {
		return nil, "", fmt.Errorf("alg %q is not listed", alg)
	}
	keys, seen := iss.jwks.cached()
	if !signedBy(parser, raw, head, keys) {
		if keys, err = iss.jwks.fetch(ctx, seen); err != nil {
			return nil, "", err
		}
		if !signedBy(parser, raw, head, keys) {
			return nil, "", errors.New("no key explains the signature")
		}
	}
	payload, err = base64.RawURLEncoding.DecodeString(parts[1])
	return payload, alg, err
}

func signedBy(parser *jwt.Parser, raw string, head *jwt.Token, keys []jwk) bool {
	kid, _ := head.Header["kid"].(string)
	for _, k := range keys {
		if kid != "" && k.kid != kid {
			continue
		}
		_, err := parser.Parse(raw, func(*jwt.Token) (any, error) { return k.key, nil })
		if err == nil {
			return true
		}
	}
	return false
}

// fits checks an access token against at_hash.
func (t *idToken) fits(accessToken string) bool {
	var sum []byte
	switch {
	case strings.HasSuffix(t.alg, "256"):
		h := sha256.Sum256([]byte(accessToken))
		sum = h[:]
	case strings.HasSuffix(t.alg, "384"):
		h := sha512.Sum384([]byte(accessToken))
		sum = h[:]
	default:
		h := sha512.Sum512([]byte(accessToken))
		sum = h[:]
	}
	return t.AccessHash == base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
