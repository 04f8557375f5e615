package gotruesim_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

const (
	tiktok   = "custom:tiktok"
	verifier = "verifier-verifier-verifier-verifier-verifier"
)

// newTikTok makes a project with an OpenID Provider; more alters the provider's row.
func newTikTok(t testing.TB, o gotruesim.Options, more ...fields) *world {
	t.Helper()
	w := newWorld(t, o)
	body := fields{
		"provider_type": "oidc", "identifier": tiktok, "name": "TikTok", "client_id": "supabase",
		"client_secret": "secret", "issuer": issuer, "email_optional": true,
	}
	for _, m := range more {
		for name, value := range m {
			body[name] = value
		}
	}
	wantStatus(t, w.call("POST", "/admin/custom-providers", body), 201)
	w.op.take()
	return w
}

// idToken signs in by an id_token.
func (w *world) idToken(alg string, claims map[string]any, more ...fields) reply {
	w.t.Helper()
	body := fields{"provider": tiktok, "id_token": w.op.sign(alg, nil, claims)}
	for _, m := range more {
		for name, value := range m {
			body[name] = value
		}
	}
	return w.call("POST", "/token?grant_type=id_token", body)
}

// begin goes to the provider and returns the state of the flow.
func (w *world) begin(pkce bool) string {
	w.t.Helper()
	q := url.Values{"provider": {tiktok}}
	if pkce {
		sum := sha256.Sum256([]byte(verifier))
		q.Set("code_challenge", b64(sum[:]))
		q.Set("code_challenge_method", "s256")
	}
	r := w.do("GET", "/authorize?"+q.Encode(), nil)
	wantStatus(w.t, r, 302)
	return location(w.t, r).Query().Get("state")
}

// back returns from the provider.
func (w *world) back(state string, c codeContent) reply {
	w.t.Helper()
	return w.do("GET", "/callback?"+url.Values{"state": {state}, "code": {c.String()}}.Encode(), nil)
}

func (w *world) exchange(code string) reply {
	w.t.Helper()
	return w.call("POST", "/token?grant_type=pkce", fields{"auth_code": code, "code_verifier": verifier})
}

func location(t testing.TB, r reply) *url.URL {
	t.Helper()
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func recording(t *testing.T, name string) capture {
	t.Helper()
	for _, c := range load(t) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no recording %q", name)
	return capture{}
}

// TestFirstSignInsRace holds the losers of twenty first sign-ins of one person against recordings. Nobody is
// there twice, and whoever tries again is in.
func TestFirstSignInsRace(t *testing.T) {
	send := func(c capture) func(w *world) func() reply {
		return func(w *world) func() reply { return func() reply { return w.send(c) } }
	}
	throughFlow := func(c capture) func(w *world) func() reply {
		return func(w *world) func() reply {
			recorded, err := url.Parse(c.Request.Path)
			if err != nil {
				w.t.Fatal(err)
			}
			q := recorded.Query()
			r := w.do("GET", "/authorize?"+url.Values{
				"provider": {tiktok}, "redirect_to": {"https://app.example.com/cb?x=1"},
			}.Encode(), nil)
			q.Set("state", location(w.t, r).Query().Get("state"))
			return func() reply { return w.do("GET", "/callback?"+q.Encode(), nil) }
		}
	}
	tests := []struct {
		name    string
		prepare func(capture) func(*world) func() reply
		lost    func(reply) bool
	}{
		{"oidc/races: id_token, loser", send, func(r reply) bool { return r.status != 200 }},
		{"oidc/races: id_token, loser, old format", send, func(r reply) bool { return r.status != 200 }},
		{"oidc/races: redirect, loser", throughFlow, func(r reply) bool {
			return strings.Contains(r.header.Get("Location"), "error=")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := recording(t, tt.name)
			synctest.Test(t, func(t *testing.T) {
				w := newTikTok(t, gotruesim.Options{WriteDelay: time.Second, RedirectURLs: oidcRedirects})
				prepare := tt.prepare(c)
				replies := make(chan reply)
				for range 20 {
					call := prepare(w)
					go func() { replies <- call() }()
				}
				var losers []reply
				for range 20 {
					if r := <-replies; tt.lost(r) {
						losers = append(losers, r)
					}
				}
				if len(losers) != 19 || w.Users() != 1 {
					t.Fatalf("%d lost, %d accounts; want 19 and 1", len(losers), w.Users())
				}
				w.op.take()
				w.compare(c, losers[0])
				if again := prepare(w)(); tt.lost(again) || w.Users() != 1 {
					t.Errorf("the second try: %d %s, %d accounts", again.status, again.text, w.Users())
				}
			})
		})
	}
}

// TestKeysAreFetchedWhenNoneFits: a new key works at once, and every token that no key explains costs a fetch.
func TestKeysAreFetchedWhenNoneFits(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{})
	fetches := func() (n int) {
		for _, u := range w.op.take() {
			if strings.HasSuffix(u.URL, "/jwks") {
				n++
			}
		}
		return n
	}
	w.op.set(func() { w.op.hidden["ec"] = true })
	wantStatus(t, w.idToken("RS256", person("-000A")), 200)
	wantStatus(t, w.idToken("RS256", person("-000A")), 200)
	if n := fetches(); n != 1 {
		t.Errorf("two good tokens cost %d fetches; want 1", n)
	}
	for range 5 {
		wantStatus(t, w.idToken("ES256", person("-000A")), 400)
	}
	if n := fetches(); n != 5 {
		t.Errorf("five bad tokens cost %d fetches; want 5", n)
	}
	w.op.set(func() { w.op.hidden["ec"] = false })
	wantStatus(t, w.idToken("ES256", person("-000A")), 200)
	wantStatus(t, w.idToken("RS256", person("-000A")), 200)
	if n := fetches(); n != 1 {
		t.Errorf("the new key costs %d fetches; want 1", n)
	}
}

// TestDiscoveryIsKeptForAnHour: what the document said first counts, and counts on if it cannot be read again.
func TestDiscoveryIsKeptForAnHour(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{})
	onlyRSA := func(_ string, d fields) { d["id_token_signing_alg_values_supported"] = []string{"RS256"} }
	w.op.set(func() { w.op.change = onlyRSA })
	wantStatus(t, w.idToken("ES256", person("-000A")), 400)
	w.op.set(func() { w.op.change = nil })
	w.clock.advance(59 * time.Minute)
	wantStatus(t, w.idToken("ES256", person("-000A")), 400)
	w.clock.advance(2 * time.Minute)
	wantStatus(t, w.idToken("ES256", person("-000A")), 200)

	w.op.set(func() { w.op.change = onlyRSA })
	wantStatus(t, w.call("PUT", "/admin/custom-providers/"+tiktok, fields{"issuer": issuer}), 200)
	wantStatus(t, w.idToken("ES256", person("-000A")), 400)

	w.op.set(func() { w.op.down = true })
	w.clock.advance(2 * time.Hour)
	w.begin(true)
}

// TestProviderIsDown tells what each way in says before the document was ever read. By source: oidc_cache.go.
func TestProviderIsDown(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{})
	w.op.set(func() { w.op.down = true })
	r := w.idToken("RS256", person("-000A"))
	wantError(t, r, 500, "unexpected_failure")
	r = w.call("GET", "/authorize?provider="+tiktok, nil)
	wantError(t, r, 400, "validation_failed")
	const want = "Unsupported provider: error creating OIDC provider: failed to create OIDC provider: " +
		"oidc: discovery request to https://203.0.113.10/.well-known/openid-configuration failed: " +
		"500: Failed to fetch URL"
	if r.str("message") != want {
		t.Errorf("got %q; want %q", r.str("message"), want)
	}
}

// TestAddressIsCheckedAgain: the redirect flow looks the issuer up again with every fetch; the id_token grant does
// not, and what it fetched serves the redirect flow (utilities/url_validator.go, provider/oidc_cache.go).
func TestAddressIsCheckedAgain(t *testing.T) {
	t.Parallel()
	address := "203.0.113.10"
	w := newWorld(t, gotruesim.Options{LookupIP: func(host string) ([]net.IP, error) {
		if host != "op.example" {
			return nil, errors.New("no such host")
		}
		return []net.IP{net.ParseIP(address)}, nil
	}})
	body := fields{
		"provider_type": "oidc", "identifier": tiktok, "name": "T", "client_id": "supabase", "client_secret": "x",
		"issuer": "https://op.example", "email_optional": true,
	}
	wantStatus(t, w.call("POST", "/admin/custom-providers", body), 201)
	address = "10.0.0.7"
	r := w.call("GET", "/authorize?provider="+tiktok, nil)
	if !strings.HasSuffix(r.str("message"), "failed: 400: URL cannot resolve to private network addresses") {
		t.Errorf("authorize: got %d %s", r.status, r.text)
	}
	wantStatus(t, w.idToken("RS256", person("-000A", "iss", "https://op.example")), 200)
	w.begin(true)
}

// TestInsecureIssuers: the option lets in what runs on the same machine, and no other nonsense.
func TestInsecureIssuers(t *testing.T) {
	t.Parallel()
	local := fields{"issuer": "http://127.0.0.1:8080"}
	w := newTikTok(t, gotruesim.Options{AllowInsecureIssuers: true}, local)
	wantStatus(t, w.idToken("ES256", person("-000A", "iss", "http://127.0.0.1:8080")), 200)
	for _, address := range []string{"ftp://127.0.0.1", "http:///x", "x"} {
		r := w.call("PUT", "/admin/custom-providers/"+tiktok, fields{"issuer": address})
		wantError(t, r, 400, "validation_failed")
	}
}

// TestAccessTokenHash: the digest goes with the signature (go-oidc, VerifyAccessToken).
func TestAccessTokenHash(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{})
	short, long := sha256.Sum256([]byte("act.1")), sha512.Sum512([]byte("act.1"))
	for _, tt := range []struct {
		alg    string
		sum    []byte
		status int
	}{
		{"RS256", short[:16], 200},
		{"ES256", short[:16], 200},
		{"EdDSA", long[:32], 200},
		{"EdDSA", short[:16], 400},
	} {
		r := w.idToken(tt.alg, person("-000A", "at_hash", b64(tt.sum)), fields{"access_token": "act.1"})
		if r.status != tt.status {
			t.Errorf("%s: got %d %s; want %d", tt.alg, r.status, r.text, tt.status)
		}
	}
}

// TestTokenHookAtProviders: the custom access token hook is asked when a session is made, and when it says no
// nothing is kept. The redirect flow words its answer differently (external.go).
func TestTokenHookAtProviders(t *testing.T) {
	t.Parallel()
	var refusal error = gotruesim.HookRefusal{Status: 403, Message: "not you"}
	w := newTikTok(t, gotruesim.Options{CustomAccessToken: func(map[string]any) error { return refusal }})
	r := w.idToken("RS256", person("-000A"))
	if r.status != 403 || r.str("message") != "not you" || w.Users() != 0 {
		t.Errorf("id_token: got %d %s, %d accounts; want the refusal and none", r.status, r.text, w.Users())
	}
	to := location(t, w.back(w.begin(false), codeContent{Claims: person("-000A"), Access: "act.1"}))
	if got := to.Query().Get("error_description"); got != "403: not you" || w.Users() != 0 {
		t.Errorf("implicit: got %q, %d accounts; want the refusal and none", got, w.Users())
	}
	to = location(t, w.back(w.begin(true), codeContent{Claims: person("-000A"), Access: "act.1"}))
	code := to.Query().Get("code")
	r = w.exchange(code)
	if r.status != 403 || w.Users() != 1 {
		t.Errorf("pkce: got %d %s, %d accounts; want the refusal at the exchange", r.status, r.text, w.Users())
	}
	refusal = nil
	wantStatus(t, w.exchange(code), 200)
}

// TestHeldSignInByProvider: what an id_token grant has read, it believes and writes back
// (testdata/in-flight.md).
func TestHeldSignInByProvider(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{})
	id := w.idToken("RS256", person("-000A")).str("user", "id")
	hold := w.Hold(gotruesim.Route("POST /token?grant_type=id_token"))
	done := make(chan reply)
	go func() { done <- w.idToken("RS256", person("-000A")) }()
	<-hold.Arrived()
	w.must("PUT", "/admin/users/"+id, fields{"ban_duration": "1h", "app_metadata": fields{"anchor": "a"}})
	hold.Release()
	wantStatus(t, <-done, 200)
	shown := w.must("GET", "/admin/users/"+id, nil)
	if w.Sessions(id) != 2 || shown.str("banned_until") == "" || shown.str("app_metadata", "anchor") != "" {
		t.Errorf("%d sessions, %s; want 2, a ban and no anchor", w.Sessions(id), shown.text)
	}
}

// TestFlowThroughGateway: a browser has no key on its way to the provider and back; the app has one.
func TestFlowThroughGateway(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{})
	sum := sha256.Sum256([]byte(verifier))
	start := "/auth/v1/authorize?provider=" + tiktok + "&code_challenge_method=s256&code_challenge="
	r := w.do("GET", start+b64(sum[:]), nil)
	wantStatus(t, r, 302)
	back, err := url.Parse(location(t, r).Query().Get("redirect_uri"))
	if err != nil {
		t.Fatal(err)
	}
	back.RawQuery = url.Values{
		"state": {location(t, r).Query().Get("state")},
		"code":  {codeContent{Claims: person("-000A"), Access: "act.1"}.String()},
	}.Encode()
	r = w.do("GET", back.RequestURI(), nil)
	body := fields{"auth_code": location(t, r).Query().Get("code"), "code_verifier": verifier}
	wantStatus(t, w.do("POST", "/auth/v1/token?grant_type=pkce", body), 401)
	r = w.do("POST", "/auth/v1/token?grant_type=pkce", body, "apikey", gotruesim.PublishableKey)
	if r.status != 200 || r.str("provider_token") != "act.1" {
		t.Errorf("exchange: got %d %s", r.status, r.text)
	}
}

// TestForeignDestination: the provider is told of it, but the person ends at the site, with the code.
func TestForeignDestination(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{RedirectURLs: []string{"myapp://oauth/auth"}})
	sum := sha256.Sum256([]byte(verifier))
	for asked, want := range map[string]string{
		"https://evil.example/":   "http://127.0.0.1:3000",
		"myapp://oauth/auth?x=1":  "http://127.0.0.1:3000",
		"myapp://oauth/auth":      "myapp://oauth/auth",
		"http://127.0.0.1:9/deep": "http://127.0.0.1:9/deep", // the site is on loopback, where ports do not count
	} {
		r := w.do("GET", "/authorize?"+url.Values{
			"provider": {tiktok}, "redirect_to": {asked}, "code_challenge": {b64(sum[:])},
			"code_challenge_method": {"s256"},
		}.Encode(), nil)
		if got := location(t, r).Query().Get("redirect_to"); got != asked {
			t.Errorf("%s: the provider is told %q", asked, got)
		}
		state := location(t, r).Query().Get("state")
		to := location(t, w.back(state, codeContent{Claims: person("-000A"), Access: "act.1"}))
		code := to.Query().Get("code")
		to.RawQuery = ""
		if to.String() != want || code == "" {
			t.Errorf("%s: ends at %s with code %q; want %s", asked, to, code, want)
		}
	}
}

// TestTokenRateLimit: all grants of an address share a bucket of thirty (token.go).
func TestTokenRateLimit(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{RateLimitHeader: "X-Forwarded-For"})
	post := func(ip, grant string) reply {
		return w.do("POST", "/token?grant_type="+grant, fields{}, "X-Forwarded-For", ip,
			"X-Supabase-Api-Version", "2024-01-01")
	}
	for i := range 30 {
		if r := post("203.0.113.1", []string{"id_token", "pkce", "refresh_token"}[i%3]); r.status == 429 {
			t.Fatalf("call %d: got %s", i+1, r.text)
		}
	}
	wantError(t, post("203.0.113.1", "id_token"), 429, "over_request_rate_limit")
	wantStatus(t, post("203.0.113.2", "id_token"), 400)
	w.clock.advance(2 * time.Second)
	wantStatus(t, post("203.0.113.1", "id_token"), 400)
	wantError(t, post("203.0.113.1", "id_token"), 429, "over_request_rate_limit")
}

// TestLinkingNeedsAProof: a link that fails for want of an address leaves nothing behind.
func TestLinkingNeedsAProof(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{RequireConfirmation: true})
	token := w.idToken("RS256", person("-000A")).str("access_token")
	link := func(claims map[string]any) reply {
		return w.as(token, "POST", "/token?grant_type=id_token", fields{
			"provider": tiktok, "id_token": w.op.sign("RS256", nil, claims), "link_identity": true,
		})
	}
	wantError(t, link(person("-000B")), 500, "unexpected_failure")
	proven := person("-000C", "email", "c@example.com", "email_verified", true)
	wantStatus(t, link(proven), 200)
	wantError(t, link(proven), 422, "identity_already_exists")
	if u := w.as(token, "GET", "/user", nil); len(u.body["identities"].([]any)) != 2 {
		t.Errorf("got %s; want the failed link to leave nothing", u.text)
	}
}

// TestResetForgetsProviders: Reset leaves neither providers nor what was under way.
func TestResetForgetsProviders(t *testing.T) {
	t.Parallel()
	w := newTikTok(t, gotruesim.Options{})
	state := w.begin(true)
	wantStatus(t, w.idToken("RS256", person("-000A")), 200)
	w.Reset()
	wantError(t, w.idToken("RS256", person("-000A")), 400, "validation_failed")
	to := w.back(state, codeContent{}).header.Get("Location")
	if want := "error_code=bad_oauth_state"; !strings.Contains(to, want) {
		t.Errorf("callback leads to %s; want %s", to, want)
	}
	if got := fmt.Sprint(w.call("GET", "/admin/custom-providers", nil).body["providers"]); got != "[]" {
		t.Errorf("providers: got %s", got)
	}
}
