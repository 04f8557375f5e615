package provider_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/test/output"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer       = "https://signin.app.example"
	sealKey      = "0123456789abcdef0123456789abcdef"
	clientSecret = "s3cret of the app+%/0123456789:abcdef" // whatever Basic has to escape
	appURI       = "https://app.example/cb"
	appQueryURI  = "https://app.example/cb?tenant=a+b;c&x"
	spaURI       = "https://spa.example/cb"
	verifier     = "verifier-of-the-app-0123456789-0123456789-01"
)

// clients are one of each kind.
func clients() []provider.Client {
	confidential := func(id string) provider.Client {
		return provider.Client{ID: id, Secret: clientSecret, RedirectURIs: []string{appURI, appQueryURI}}
	}
	elliptic, tokens, consent := confidential("elliptic"), confidential("tokens"), confidential("consent")
	elliptic.Alg, tokens.TikTokTokens, consent.AlwaysConsent = provider.ES256, true, true
	return []provider.Client{
		confidential("app"), confidential("other+app/%"), elliptic, tokens, consent,
		{ID: "spa", RedirectURIs: []string{spaURI, "com.example.app:/cb"}},
	}
}

var (
	mira = signin.Identity{
		OpenID: "-000M1ra", Scopes: []string{"user.info.basic"},
		AccessToken: "act.of-mira", RefreshToken: "rft.of-mira", ExpiresIn: 24 * time.Hour,
	}
	miraToday = signin.Profile{
		UnionID: "u-1", DisplayName: `Mira "<Lövelace>"`, AvatarURL: "https://cdn.example/m.jpeg?a=1&b=2",
	}
)

// tiktok is an Authenticator. The functions that are nil answer well.
type tiktok struct {
	signin.Authenticator
	asked    signin.AuthorizeRequest
	exchange func() (signin.Identity, error)
	profile  func(context.Context, signin.Identity) (signin.Profile, error)
}

func (f *tiktok) AuthorizeURL(r signin.AuthorizeRequest) string {
	f.asked = r
	return "https://tiktok.example/authorize?" + url.Values{"state": {r.State}}.Encode()
}

func (*tiktok) CodeVerifier(verifier string) string { return verifier }

func (f *tiktok) Exchange(context.Context, signin.Grant) (signin.Identity, error) {
	if f.exchange != nil {
		return f.exchange()
	}
	return mira, nil
}

func (f *tiktok) Profile(ctx context.Context, id signin.Identity) (signin.Profile, error) {
	if f.profile != nil {
		return f.profile(ctx, id)
	}
	return miraToday, nil
}

// claims is a Once that remembers what was claimed, and fails when it is told to.
type claims struct {
	*once.Memory
	mu   sync.Mutex
	keys []string
	err  error
}

func (c *claims) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false, c.err
	}
	c.keys = append(c.keys, key)
	return c.Memory.Claim(ctx, key, ttl)
}

func (c *claims) codes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, key := range c.keys {
		if strings.HasPrefix(key, "code:") {
			n++
		}
	}
	return n
}

// world is a provider between TikTok and its clients, with real seals and claims, a clock and one browser.
type world struct {
	*provider.Provider
	tiktok  *tiktok
	claims  *claims
	service *signin.Service
	now     time.Time
	cookies map[string]string
	log     *output.Buffer
}

func newWorld(tb testing.TB, adjust ...func(*provider.Options)) *world {
	tb.Helper()
	ring, err := seal.New(sealKey)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{
		tiktok: &tiktok{}, claims: &claims{Memory: once.NewMemory(10_000)}, now: time.Unix(1_800_000_000, 0),
		cookies: map[string]string{}, log: &output.Buffer{},
	}
	clock := func() time.Time { return w.now }
	w.service = signin.New(signin.Options{
		Authenticator: w.tiktok, Sealer: ring, Once: w.claims, Now: clock,
		CallbackURL: issuer + "/api/auth/tiktok/callback",
	})
	tb.Cleanup(func() {
		if err := w.service.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	opts := provider.Options{
		Issuer: issuer, Clients: clients(), Keys: derived(tb), SignIns: w.service, Profiles: w.tiktok,
		Sealer: ring, Once: w.claims, Now: clock, Logger: slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	for _, f := range adjust {
		f(&opts)
	}
	if w.Provider, err = provider.New(opts); err != nil {
		tb.Fatal(err)
	}
	return w
}

// derived are the keys of sealKey, which take a while to make.
func derived(tb testing.TB) *provider.Keys {
	tb.Helper()
	keys, err := derivedOnce()
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

var derivedOnce = sync.OnceValues(func() (*provider.Keys, error) { return provider.DeriveKeys(sealKey) })

// values makes parameters of name, value, name, value. A value of "-" takes the name out.
func values(base url.Values, changes ...string) url.Values {
	all := url.Values{}
	for name, list := range base {
		all[name] = list
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			delete(all, changes[i])
		} else {
			all[changes[i]] = []string{changes[i+1]}
		}
	}
	return all
}

func s256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// asks is a good authorization request of the client "app", with changes.
func asks(changes ...string) url.Values {
	return values(url.Values{
		"client_id": {"app"}, "redirect_uri": {appURI}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"state of the client"}, "nonce": {"nonce-1"},
		"code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"},
	}, changes...)
}

// begin starts a sign-in in the browser and returns the state that TikTok sends back.
func (w *world) begin(tb testing.TB, q url.Values) string {
	tb.Helper()
	begun, err := w.Authorize(tb.Context(), q)
	if err != nil {
		tb.Fatalf("authorize: %v", err)
	}
	w.cookies[begun.FlowID] = begun.Binder
	return w.tiktok.asked.State
}

// callback is the person's way back from TikTok in this browser.
func (w *world) callback(tb testing.TB, state string) (*signin.Return, error) {
	tb.Helper()
	return w.service.Callback(tb.Context(), signin.CallbackRequest{
		State: state, Code: "code of TikTok", Cookie: func(flowID string) string { return w.cookies[flowID] },
	})
}

// signIn leads a person through TikTok and returns what the client gets.
func (w *world) signIn(tb testing.TB, q url.Values) url.Values {
	tb.Helper()
	back, err := w.callback(tb, w.begin(tb, q))
	if err != nil {
		tb.Fatalf("callback: %v", err)
	}
	address, err := w.Finish(back)
	if err != nil {
		tb.Fatalf("finish: %v", err)
	}
	return queryOf(tb, address, q.Get("redirect_uri"))
}

// queryOf checks that address is uri with more parameters, and returns all parameters.
func queryOf(tb testing.TB, address, uri string) url.Values {
	tb.Helper()
	added, ok := strings.CutPrefix(address, uri)
	if !ok || added == "" || (added[0] == '?') == strings.Contains(uri, "?") {
		tb.Fatalf("the answer goes to %s; want %s and a query", address, uri)
	}
	q, err := url.ParseQuery(added[1:])
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

// code signs in and returns the code alone.
func (w *world) code(tb testing.TB, changes ...string) string {
	tb.Helper()
	return w.signIn(tb, asks(changes...)).Get("code")
}

// form is a good token request of the client "app", with changes.
func form(code string, changes ...string) url.Values {
	return values(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {appURI}, "code_verifier": {verifier},
	}, changes...)
}

// basicOf is the header of a client (RFC 6749, section 2.3.1).
func basicOf(id, secret string) string {
	joined := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(joined))
}

// exchange sends a token request of the client "app" by Basic.
func (w *world) exchange(tb testing.TB, code string, changes ...string) (provider.TokenResponse, error) {
	tb.Helper()
	return w.Token(tb.Context(), provider.TokenRequest{
		Form: form(code, changes...), Authorization: basicOf("app", clientSecret),
	})
}

// mustExchange wants tokens.
func (w *world) mustExchange(tb testing.TB, code string, changes ...string) provider.TokenResponse {
	tb.Helper()
	resp, err := w.exchange(tb, code, changes...)
	if err != nil {
		tb.Fatalf("token: %v", err)
	}
	return resp
}

// wantRefused checks what a client is told.
func wantRefused(tb testing.TB, err error, code string, status int) provider.Error {
	tb.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		tb.Fatalf("got %v; want %s", err, code)
	}
	if e.Code != code || e.Status != status {
		tb.Errorf("got %d %s (%s); want %d %s", e.Status, e.Code, e.Description, status, code)
	}
	wantDescription(tb, e.Description)
	return *e
}

// wantDescription checks the characters that a description may have (RFC 6749, sections 4.1.2.1 and 5.2).
func wantDescription(tb testing.TB, description string) {
	tb.Helper()
	bad := func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }
	if description == "" || strings.ContainsFunc(description, bad) {
		tb.Errorf("the description is %q", description)
	}
}
