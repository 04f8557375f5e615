package gotruesim_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is the provider of the recordings: a documentation address, which Go takes for public.
const issuer = "https://203.0.113.10"

// opKeys are made once: RSA takes its time.
var opKeys = sync.OnceValue(func() *keyring {
	k := &keyring{}
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err == nil {
		k.forged, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err == nil {
		k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err == nil {
		_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	return k
})

type keyring struct {
	rsa, forged *rsa.PrivateKey
	ec          *ecdsa.PrivateKey
	ed          ed25519.PrivateKey
}

// upstream is a request that the provider got.
type upstream struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Auth   string            `json:"authorization"`
	Form   map[string]string `json:"form"`
}

// op is an OpenID Provider without a network: a transport. A code says itself what the token endpoint makes of
// it, as it did when the recordings were made.
type op struct {
	t testing.TB

	mu     sync.Mutex
	seen   []upstream
	change func(path string, document fields) // alters discovery documents
	hidden map[string]bool                    // kids that the JWKS does not have
	down   bool
}

func newOP(t testing.TB) *op { return &op{t: t, hidden: map[string]bool{}} }

// take returns what the provider was asked since the last time.
func (o *op) take() []upstream {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = nil
	return seen
}

func (o *op) set(fn func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fn()
}

// sign makes an id_token. The header may name another kid, or none with nil; the typ "forged" signs with a key
// that nobody knows.
func (o *op) sign(alg string, header, claims map[string]any) string {
	o.t.Helper()
	t := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims(claims))
	keys := opKeys()
	var key crypto.PrivateKey
	switch alg {
	case "ES256":
		key, t.Header["kid"] = keys.ec, "ec"
	case "EdDSA":
		key, t.Header["kid"] = keys.ed, "ed"
	default:
		key, t.Header["kid"] = keys.rsa, "rsa"
	}
	for name, value := range header {
		if t.Header[name] = value; value == nil {
			delete(t.Header, name)
		}
	}
	if header["typ"] == "forged" {
		key = keys.forged
	}
	signed, err := t.SignedString(key)
	if err != nil {
		o.t.Errorf("sign: %v", err)
	}
	return signed
}

// RoundTrip implements http.RoundTripper.
func (o *op) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body := []byte{}
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	u := upstream{Method: r.Method, URL: r.URL.String(), Auth: r.Header.Get("Authorization")}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	for name := range form {
		if u.Form == nil {
			u.Form = map[string]string{}
		}
		u.Form[name] = form.Get(name)
	}
	if !slices.Contains([]string{"203.0.113.10", "127.0.0.1", "op.example"}, r.URL.Hostname()) {
		return nil, errors.New("nobody answers")
	}
	o.mu.Lock()
	o.seen = append(o.seen, u)
	down := o.down
	o.mu.Unlock()
	if down {
		return nil, errors.New("nobody answers")
	}
	w := httptest.NewRecorder()
	o.serve(w, r, form)
	return w.Result(), nil
}

func (o *op) serve(w *httptest.ResponseRecorder, r *http.Request, form url.Values) {
	prefix, isDocument := strings.CutSuffix(r.URL.Path, "/.well-known/openid-configuration")
	switch {
	case isDocument:
		o.serveDocument(w, r, prefix)
	case strings.HasSuffix(r.URL.Path, "/jwks"):
		reply200(w, fields{"keys": o.jwks()})
	case strings.HasSuffix(r.URL.Path, "/token"):
		o.serveToken(w, r, form)
	case strings.HasSuffix(r.URL.Path, "/userinfo"):
		reply200(w, fields{"sub": "from-userinfo", "name": "U", "union_id": "uni"})
	default:
		http.NotFound(w, r)
	}
}

func (o *op) serveDocument(w *httptest.ResponseRecorder, r *http.Request, prefix string) {
	base := r.URL.Scheme + "://" + r.URL.Host + prefix
	d := fields{
		"issuer": base, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token",
		"userinfo_endpoint": base + "/userinfo", "jwks_uri": base + "/jwks",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "EdDSA"},
		"scopes_supported":                      []string{"openid", "profile"},
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{"authorization_code"},
		"subject_types_supported":               []string{"public"},
	}
	switch prefix {
	case "/slash":
		d["issuer"] = base + "/"
	case "/missing":
		d = fields{"issuer": base}
	case "/nojson":
		_, _ = io.WriteString(w, "<html>hello</html>")
		return
	case "/gone":
		http.NotFound(w, r)
		return
	case "/rs":
		d["id_token_signing_alg_values_supported"] = []string{"RS256"}
	case "/quiet":
		delete(d, "id_token_signing_alg_values_supported")
	}
	o.mu.Lock()
	change := o.change
	o.mu.Unlock()
	if change != nil {
		change(prefix, d)
	}
	reply200(w, d)
}

func (o *op) jwks() (keys []fields) {
	k := opKeys()
	point, err := k.ec.PublicKey.Bytes()
	if err != nil {
		o.t.Errorf("EC key: %v", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range []fields{
		{
			"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": b64(k.rsa.N.Bytes()),
			"e": b64(big.NewInt(int64(k.rsa.E)).Bytes()),
		},
		{"kty": "EC", "kid": "ec", "alg": "ES256", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		{"kty": "OKP", "kid": "ed", "alg": "EdDSA", "crv": "Ed25519", "x": b64(k.ed.Public().(ed25519.PublicKey))},
		{"kty": "EC", "kid": "odd", "alg": "ES256K", "crv": "secp256k1"},
	} {
		if !o.hidden[key["kid"].(string)] {
			keys = append(keys, key)
		}
	}
	return keys
}

// codeContent is what a code stands for.
type codeContent struct {
	Claims  map[string]any `json:"claims"`
	Header  map[string]any `json:"header,omitempty"`
	Alg     string         `json:"alg,omitempty"`
	Access  string         `json:"access_token,omitempty"`
	Refresh string         `json:"refresh_token,omitempty"`
	NoID    bool           `json:"no_id_token,omitempty"`
	NoBasic bool           `json:"no_basic,omitempty"`
	Fail    string         `json:"fail,omitempty"`
	Raw     string         `json:"raw,omitempty"`
	Hang    bool           `json:"hang,omitempty"`
}

func (c codeContent) String() string {
	data, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return b64(data)
}

func (o *op) serveToken(w *httptest.ResponseRecorder, r *http.Request, form url.Values) {
	data, err := base64.RawURLEncoding.DecodeString(form.Get("code"))
	var c codeContent
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	switch {
	case err != nil, c.Fail != "":
		w.WriteHeader(http.StatusBadRequest)
		return
	case c.Raw != "":
		_, _ = io.WriteString(w, c.Raw)
		return
	case c.NoBasic && r.Header.Get("Authorization") != "":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case c.Hang:
		<-r.Context().Done()
		return
	}
	answer := fields{"token_type": "Bearer", "expires_in": 3600}
	if c.Access != "" {
		answer["access_token"] = c.Access
	}
	if c.Refresh != "" {
		answer["refresh_token"] = c.Refresh
	}
	if !c.NoID {
		alg := c.Alg
		if alg == "" {
			alg = "RS256"
		}
		answer["id_token"] = o.sign(alg, c.Header, c.Claims)
	}
	reply200(w, answer)
}

func reply200(w *httptest.ResponseRecorder, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.Copy(w, bytes.NewReader(data))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// person are the claims of somebody; more are added in pairs, nil takes one away.
func person(sub string, more ...any) map[string]any {
	c := map[string]any{
		"iss": issuer, "aud": "supabase", "sub": sub, "name": "N", "picture": "https://p.example/x.jpg",
		"iat": 1795000000, "exp": time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Unix(),
	}
	for i := 0; i < len(more); i += 2 {
		name := more[i].(string)
		if c[name] = more[i+1]; more[i+1] == nil {
			delete(c, name)
		}
	}
	return c
}
