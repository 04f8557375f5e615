package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/test/faulty"
)

const (
	canaryOpenIDSecret   = "canaryClientSecret/+0123456789abcdef"
	canarySupabaseSecret = "canarySupabaseSecret0123456789abcdef"
	openIDClientURI      = "https://client.example/cb"
)

// openIDClients are one that gets tokens of the bridge, and one that gets TikTok's.
const openIDClients = `[
	{"id": "app", "secret": "` + canaryOpenIDSecret + `", "redirect_uris": ["` + openIDClientURI + `"]},
	{"id": "tokens", "secret": "` + canaryOpenIDSecret + `", "redirect_uris": ["` + openIDClientURI + `"],
		"tiktok_tokens": true, "alg": "ES256"}
]`

// ownKeys returns signing keys of an operator in PEM, and pieces of them, by which they can be recognised.
func ownKeys(t *testing.T) (text string, pieces []string) {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []any{rsaKey, ecKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text += string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	secret, err := ecKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private := [][]byte{rsaKey.D.Bytes(), rsaKey.Primes[0].Bytes(), rsaKey.Primes[1].Bytes(), secret}
	for _, number := range private {
		pieces = append(pieces, spellings(string(number[4:24]))...)
	}
	return text, pieces
}

// TestCanaries_provider does the same for the provider flow, with secrets of clients and with keys of the bridge and
// of the operator. States, codes and tokens are in the answers that hand them out, and in no other.
func TestCanaries_provider(t *testing.T) {
	t.Parallel()
	part := slices.DeleteFunc(plantAll(), func(p planted) bool {
		return p.at != "" && p.at != faulty.Token && p.at != faulty.UserInfo
	})
	t.Run("keys of seal.keys", func(t *testing.T) {
		apart(t, part, func(t *testing.T, part []planted, timeouts ...string) { provideAll(t, part, nil, timeouts...) })
	})
	t.Run("keys of the operator", func(t *testing.T) {
		text, pieces := ownKeys(t)
		good := slices.DeleteFunc(plantAll(), func(p planted) bool { return p.at != "" })
		provideAll(t, good, pieces, "TIKBRIDGE_OIDC_SIGNING_KEYS="+text)
	})
}

func provideAll(t *testing.T, part []planted, pieces []string, environ ...string) {
	t.Helper()
	u := newUpstreams(part)
	watched := watch(t)
	bridge, out, stop := startServe(t, u.listen(t), slices.Concat(watched.environ(), environ, []string{
		"TIKBRIDGE_SERVER_PUBLIC_URL=https://signin.app.example", "TIKBRIDGE_OIDC_CLIENTS=" + openIDClients,
		"TIKBRIDGE_OIDC_SUPABASE_SECRET=" + canarySupabaseSecret,
		"TIKBRIDGE_SEAL_KEYS=canarySealKey0123456789abcdefghijklmnop",
	})...)
	var made seen
	watched.during(t, func() {
		u.signIn(t, bridge, part[0]) // so that there is a trace of a call to Supabase
		signInAll(t, part, func(t *testing.T, p planted) { u.provide(t, bridge, p, &made) })
		if meetsStrangers(part) {
			t.Run("requests", func(t *testing.T) { strangeRequests(t, bridge) })
			t.Run("requests of clients", func(t *testing.T) { strangeClientRequests(t, bridge, &made) })
		}
	})
	for _, path := range []string{"/oidc/jwks", "/.well-known/openid-configuration"} {
		_, answer := ask(t, http.MethodGet, bridge+path, "", "")
		wantNone(t, path, answer, hiddenWord)
		wantNoneOf(t, path, answer, pieces)
	}

	stop()
	log := out.String()
	u.wantClean(t, log)
	watched.wantClean(t, log)
	wantLogged(t, log,
		`"flow":"provider"`, `"step":"authorize"`, `"step":"token"`, `"step":"userinfo"`, `"outcome":"signed_in"`,
		`"outcome":"answered"`, `"cause":"invalid_grant: `, `"cause":"invalid_client: `, `"msg":"stopped"`)
	if len(made.values) < 4*len(part) {
		t.Errorf("only %d values were made on the way", len(made.values))
	}
	everywhere := log + watched.collector.Text()
	for _, text := range watched.shown {
		everywhere += text
	}
	wantNoneOf(t, "the output, a trace, a metric or a profile", everywhere, pieces)
	for _, value := range made.values {
		if piece := middle(value); strings.Contains(everywhere, piece) {
			t.Fatalf("the output, a trace, a metric or a profile holds %q of %q", piece, value)
		}
	}
}

func wantNoneOf(t *testing.T, where, text string, pieces []string) {
	t.Helper()
	for _, piece := range pieces {
		if strings.Contains(text, piece) {
			t.Errorf("%s holds %q of a signing key", where, piece)
		}
	}
}

var codePattern = regexp.MustCompile(`[?&]code=([A-Za-z0-9_-]+)`)

// provide signs in for an OpenID client, twice at every step, and looks at every answer.
func (u *upstreams) provide(t *testing.T, bridge string, p planted, made *seen) {
	t.Helper()
	client := "app"
	if strings.HasSuffix(p.number, "0") {
		client = "tokens"
	}
	clientState, nonce := "state-of-the-client-"+rand.Text(), "nonce-of-the-client-"+rand.Text()
	challenge := hashOf(p.verifier())
	_, begun := ask(t, http.MethodGet, bridge+"/oidc/authorize?"+url.Values{
		"client_id": {client}, "redirect_uri": {openIDClientURI}, "response_type": {"code"}, "scope": {"openid"},
		"state": {clientState}, "nonce": {nonce}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
		"login_hint": {p.everything()},
	}.Encode(), "", "")
	state, cookie := statePattern.FindStringSubmatch(begun), cookiePattern.FindStringSubmatch(begun)
	if state == nil || cookie == nil {
		t.Fatalf("the sign-in does not begin:\n%s", begun)
	}
	wantNone(t, "authorize", begun, hiddenWord, personsWord)
	wantNoPart(t, "authorize", begun, clientState, nonce, challenge)
	made.add(state[1], cookie[2], challenge, clientState, nonce)

	back := bridge + "/api/auth/tiktok/callback?" + url.Values{
		"state": {state[1]}, "code": {p.code()}, "error_description": {p.everything()},
	}.Encode()
	_, called := ask(t, http.MethodGet, back, cookie[1]+"="+cookie[2], "")
	_, again := ask(t, http.MethodGet, back, cookie[1]+"="+cookie[2], "")
	for _, answer := range []string{called, again} {
		wantNone(t, "the callback", answer, hiddenWord, personsWord)
		wantNoPart(t, "the callback", answer, state[1], cookie[2], challenge, nonce)
		if !strings.Contains(answer, clientState) {
			t.Errorf("the client's state does not come back:\n%s", answer)
		}
	}
	code := codePattern.FindStringSubmatch(called)
	if got := code != nil; got != (p.at != faulty.Token) && !slices.Contains(ambiguous, p.fault) {
		t.Errorf("there is a code: %v; the callback:\n%s", got, called)
	}
	if codePattern.MatchString(again) {
		t.Error("a callback is good for two codes")
	}
	if code == nil {
		return
	}
	made.add(code[1])
	u.redeemCode(t, bridge, client, code[1], p, made)
}

// redeemCode exchanges a code at the token endpoint, after wrong attempts and once more afterwards.
func (u *upstreams) redeemCode(t *testing.T, bridge, client, code string, p planted, made *seen) {
	t.Helper()
	exchange := func(secret, verifier string) (int, string) {
		status, whole, body := askForm(t, bridge+"/oidc/token", basicHeader(client, secret), url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {openIDClientURI},
			"code_verifier": {verifier},
		})
		wantNoPart(t, "the token endpoint", whole, code, p.verifier())
		if status != http.StatusOK {
			wantNone(t, "the token endpoint", whole, hiddenWord, personsWord)
		} else if client == "app" {
			wantNone(t, "the token endpoint", whole, hiddenWord)
		}
		return status, body
	}
	if status, _ := exchange(canaryOpenIDSecret+"x", p.verifier()); status < http.StatusBadRequest {
		t.Errorf("with another secret the status is %d", status)
	}
	if status, _ := exchange(canaryOpenIDSecret, "canary-of-another~verifier.0123456789-0123456789"); status != 400 {
		t.Errorf("with another verifier the status is %d; want 400", status)
	}
	status, body := exchange(canaryOpenIDSecret, p.verifier())
	if status != http.StatusOK {
		t.Errorf("the token endpoint answers %d:\n%s", status, body)
		return
	}
	if status, _ := exchange(canaryOpenIDSecret, p.verifier()); status != http.StatusBadRequest {
		t.Errorf("the second time the status is %d; want 400", status)
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
		IDToken     string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(body), &tokens); err != nil {
		t.Fatal(err)
	}
	made.add(strings.Split(tokens.IDToken, ".")...)
	if client == "tokens" { // the access token is TikTok's
		return
	}
	made.add(tokens.AccessToken)
	for token, want := range map[string]int{
		tokens.AccessToken: http.StatusOK, tokens.IDToken: http.StatusUnauthorized, p.access(): http.StatusUnauthorized,
	} {
		status, whole, _ := askForm(t, bridge+"/oidc/userinfo", "Bearer "+token, nil)
		if status != want {
			t.Errorf("userinfo answers %d; want %d:\n%s", status, want, whole)
		}
		wantNone(t, "userinfo", whole, hiddenWord)
		wantNoPart(t, "userinfo", whole, token)
	}
}

func basicHeader(client, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(client+":"+url.QueryEscape(secret)))
}

// askForm posts a form as an OpenID client does.
func askForm(t *testing.T, address, authorization string, form url.Values) (status int, whole, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	dump, err := httputil.DumpResponse(resp, true)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ = strings.Cut(string(dump), "\r\n\r\n")
	return resp.StatusCode, string(dump), body
}

// strangeClientRequests put what is secret into wrong places of the provider flow.
func strangeClientRequests(t *testing.T, bridge string, made *seen) {
	t.Helper()
	p := planted{number: "000"}
	values := append(p.all(), canaryOpenIDSecret, canarySupabaseSecret)
	values = append(values, made.values[:min(12, len(made.values))]...)
	ok := url.Values{
		"client_id": {"app"}, "redirect_uri": {openIDClientURI}, "response_type": {"code"}, "scope": {"openid"},
	}
	for _, v := range values {
		// Into every parameter, the state apart, which comes back; and as the name of one that is there twice.
		for _, name := range []string{
			"client_id", "redirect_uri", "response_type", "response_mode", "scope", "code_challenge", "prompt", "max_age",
			"request", "request_uri", "code_challenge_method", v,
		} {
			q := url.Values{name: copies(name, v)}
			for other, list := range ok {
				if other != name {
					q[other] = list
				}
			}
			status, answer := ask(t, http.MethodGet, bridge+"/oidc/authorize?"+q.Encode(), "", "")
			wantStrange(t, "authorize", status, answer, v)
			status, answer, _ = askForm(t, bridge+"/oidc/authorize", "", q)
			wantStrange(t, "authorize by form", status, answer, v)
		}
		for _, header := range []string{"", "Basic " + v, "Bearer " + v, basicHeader(v, v), basicHeader("app", v), v} {
			for _, name := range []string{"grant_type", "code", "client_id", "client_secret", "access_token", v} {
				if strings.ContainsAny(header, "\r\n") || !isHeader(header) {
					continue
				}
				form := url.Values{"grant_type": {"authorization_code"}, "code": {v}, "code_verifier": {v}}
				form[name] = copies(name, v)
				for _, path := range []string{"/oidc/token", "/oidc/userinfo", "/oidc/token?" + name + "=" + url.QueryEscape(v)} {
					status, answer, _ := askForm(t, bridge+path, header, form)
					wantStrange(t, path[:8], status, answer, v)
				}
			}
		}
	}
}

// copies are two where the value is a name too.
func copies(name, v string) []string {
	if name == v {
		return []string{v, v}
	}
	return []string{v}
}

// isHeader reports whether net/http sends it.
func isHeader(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func wantStrange(t *testing.T, where string, status int, answer, value string) {
	t.Helper()
	if status >= http.StatusInternalServerError {
		t.Errorf("%s answers %d", where, status)
	}
	wantNone(t, where, answer, hiddenWord, personsWord)
	wantNoPart(t, where, answer, value)
}
