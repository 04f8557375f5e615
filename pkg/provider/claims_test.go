package provider_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func decoded(tb testing.TB, text []byte) map[string]any {
	tb.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return m
}

func unbase64(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		tb.Fatalf("%q: %v", s, err)
	}
	return b
}

// jwksOf reads a JWKS: the JWK of each kid.
func jwksOf(tb testing.TB, jwks []byte) map[string]map[string]string {
	tb.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(jwks, &set); err != nil {
		tb.Fatal(err)
	}
	keys := map[string]map[string]string{}
	for _, k := range set.Keys {
		keys[k["kid"]] = k
	}
	return keys
}

var errNoKey = errors.New("no key with this kid")

// tryVerify is the part of a client: it verifies a JWT by RFC 7515 and RFC 7518, with the standard library alone,
// and returns header and claims.
func tryVerify(tb testing.TB, token string, jwks []byte) (header, claims map[string]any, err error) {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("%q has %d parts; want 3", token, len(parts))
	}
	header = decoded(tb, unbase64(tb, parts[0]))
	kid, _ := header["kid"].(string)
	jwk := jwksOf(tb, jwks)[kid]
	if jwk == nil {
		return nil, nil, errNoKey
	}
	if jwk["alg"] != header["alg"] {
		tb.Fatalf("the token has %v, its key %s", header["alg"], jwk["alg"])
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature := unbase64(tb, parts[2])
	number := func(member string) *big.Int { return new(big.Int).SetBytes(unbase64(tb, jwk[member])) }
	valid := false
	switch jwk["alg"] {
	case provider.RS256:
		key := &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
		valid = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case provider.ES256:
		point := slices.Concat([]byte{4}, unbase64(tb, jwk["x"]), unbase64(tb, jwk["y"]))
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		valid = err == nil && len(signature) == 64 && ecdsa.Verify(
			key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]),
		)
	}
	if !valid {
		tb.Fatalf("the signature of %q is wrong", token)
	}
	return header, decoded(tb, unbase64(tb, parts[1])), nil
}

func verify(tb testing.TB, token string, jwks []byte) map[string]any {
	tb.Helper()
	_, claims, err := tryVerify(tb, token, jwks)
	if err != nil {
		tb.Fatal(err)
	}
	return claims
}

func wantClaims(t *testing.T, got map[string]any, want string) {
	t.Helper()
	if diff := cmp.Diff(decoded(t, []byte(want)), got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

const miraAsPerson = `"sub": "-000M1ra", "name": "Mira \"<Lövelace>\"", "full_name": "Mira \"<Lövelace>\"",
	"picture": "https://cdn.example/m.jpeg?a=1&b=2", "avatar_url": "https://cdn.example/m.jpeg?a=1&b=2", "union_id": "u-1"`

// TestIDToken: the claims of an id_token, all of them, and no e-mail among them. Names are there whatever the scope.
func TestIDToken(t *testing.T) {
	for name, tt := range map[string]struct{ client, scope, alg string }{
		"openid alone":  {"app", "openid", provider.RS256},
		"with profile":  {"app", "openid profile", provider.RS256},
		"with all":      {"app", "openid profile email phone address offline_access", provider.RS256},
		"ES256":         {"elliptic", "openid", provider.ES256},
		"in need of %s": {"other+app/%", "openid", provider.RS256},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			code := w.code(t, "client_id", tt.client, "scope", tt.scope)
			w.now = w.now.Add(20 * time.Second)
			resp, err := w.Token(t.Context(), provider.TokenRequest{
				Form: form(code), Authorization: basicOf(tt.client, clientSecret),
			})
			if err != nil {
				t.Fatal(err)
			}
			header, claims, err := tryVerify(t, resp.IDToken, w.JWKS())
			if err != nil {
				t.Fatal(err)
			}
			if header["alg"] != tt.alg || header["typ"] != "JWT" || len(header) != 3 {
				t.Errorf("the header is %v; want %s, JWT and a kid", header, tt.alg)
			}
			sum := sha256.Sum256([]byte(resp.AccessToken))
			if got := claims["at_hash"]; got != base64.RawURLEncoding.EncodeToString(sum[:16]) {
				t.Errorf("at_hash is %v", got)
			}
			delete(claims, "at_hash")
			wantClaims(t, claims, `{"iss": "`+issuer+`", "aud": "`+tt.client+`", "exp": 1800000320, "iat": 1800000020,
				"auth_time": 1800000000, "nonce": "nonce-1", `+miraAsPerson+`}`)
			var granted []string
			for _, scope := range strings.Fields(tt.scope) {
				if slices.Contains([]string{"openid", "profile"}, scope) {
					granted = append(granted, scope)
				}
			}
			if want := strings.Join(granted, " "); resp.Scope != want {
				t.Errorf("the scope is %q; want %q", resp.Scope, want)
			}
		})
	}
}

// TestIDToken_bare: what is not known is not there, and not there empty.
func TestIDToken_bare(t *testing.T) {
	w := newWorld(t)
	w.tiktok.profile = func(context.Context, signin.Identity) (signin.Profile, error) {
		return signin.Profile{}, &signin.Error{Code: signin.TikTokUnavailable, Call: "user_info"}
	}
	resp := w.mustExchange(t, w.code(t, "nonce", "-", "state", "-"))
	claims := verify(t, resp.IDToken, w.JWKS())
	delete(claims, "at_hash")
	wantClaims(t, claims, `{"iss": "`+issuer+`", "aud": "app", "exp": 1800000300, "iat": 1800000000,
		"auth_time": 1800000000, "sub": "-000M1ra"}`)
	if log := w.log.String(); !strings.Contains(log, "profile not read") || !strings.Contains(log, "user_info") {
		t.Errorf("the log says %s", log)
	}
	info, err := w.UserInfo("Bearer "+resp.AccessToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, decoded(t, info), `{"sub": "-000M1ra"}`)
}

// TestIDToken_slowProfile: GoTrue waits ten seconds for a token, so nobody waits long for a name.
func TestIDToken_slowProfile(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{0: 3 * time.Second, time.Second: time.Second} {
		t.Run(want.String(), func(t *testing.T) { slowProfile(t, set, want) })
	}
}

func slowProfile(t *testing.T, set, want time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *provider.Options) { o.ProfileTimeout = set })
		w.tiktok.profile = func(ctx context.Context, id signin.Identity) (signin.Profile, error) {
			if id.AccessToken != mira.AccessToken || id.OpenID != mira.OpenID || len(id.Scopes) != 1 {
				t.Errorf("the profile of %s is read, with %d scopes", id.OpenID, len(id.Scopes))
			}
			<-ctx.Done()
			return signin.Profile{}, ctx.Err()
		}
		code := w.code(t)
		before := time.Now()
		claims := verify(t, w.mustExchange(t, code).IDToken, w.JWKS())
		if took := time.Since(before); took != want {
			t.Errorf("it took %v; want %v", took, want)
		}
		if claims["sub"] != mira.OpenID || claims["name"] != nil {
			t.Errorf("the claims are %v; want sub and no name", claims)
		}
	})
}

// TestIDToken_forGrant: the id_token that the bridge itself takes to Supabase.
func TestIDToken_forGrant(t *testing.T) {
	w := newWorld(t)
	token, err := w.IDToken("elliptic", mira, miraToday)
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, verify(t, token, w.JWKS()), `{"iss": "`+issuer+`", "aud": "elliptic", "exp": 1800000300,
		"iat": 1800000000, "auth_time": 1800000000, `+miraAsPerson+`}`)
	if _, err := w.IDToken("nobody", mira, miraToday); signin.AsError(err).Cause != signin.CauseClientUnknown {
		t.Errorf("for nobody: %v", err)
	}
}

// TestTikTokTokens: a client that wants them gets TikTok's tokens, and no other client does.
func TestTikTokTokens(t *testing.T) {
	w := newWorld(t)
	exchange := func(after time.Duration) provider.TokenResponse {
		code := w.code(t, "client_id", "tokens")
		w.now = w.now.Add(after)
		resp, err := w.Token(t.Context(), provider.TokenRequest{
			Form: form(code), Authorization: basicOf("tokens", clientSecret),
		})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	resp := exchange(20 * time.Second)
	// TikTok's refresh token is worth something with the bridge alone.
	ring, err := seal.New(sealKey)
	if err != nil {
		t.Fatal(err)
	}
	refresh, err := ring.Open("refresh", resp.RefreshToken)
	if err != nil || !strings.Contains(string(refresh), "rft.of-mira") {
		t.Errorf("the refresh token is %q, %v", refresh, err)
	}
	body, err := json.Marshal(resp.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, decoded(t, body), `{"access_token": "act.of-mira", "refresh_token": "`+resp.RefreshToken+`",
		"token_type": "Bearer", "expires_in": 86380, "scope": "openid profile", "id_token": "`+resp.IDToken+`"}`)
	sum := sha256.Sum256([]byte("act.of-mira"))
	if got := verify(t, resp.IDToken, w.JWKS())["at_hash"]; got != base64.RawURLEncoding.EncodeToString(sum[:16]) {
		t.Errorf("at_hash is %v; want that of TikTok's token", got)
	}
	_, err = w.UserInfo("Bearer "+resp.AccessToken, nil)
	wantRefused(t, err, "invalid_token", 401)

	other := w.mustExchange(t, w.code(t))
	body, err = json.Marshal(other.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if got := string(body); strings.Contains(got, "of-mira") || strings.Contains(got, "refresh_token") ||
		!strings.Contains(got, `"expires_in":300`) || !strings.Contains(got, `"token_type":"Bearer"`) {
		t.Errorf("another client gets %s", got)
	}
	// Where TikTok does not say how long its token is good, nobody else does.
	w.tiktok.exchange = func() (signin.Identity, error) {
		id := mira
		id.ExpiresIn = 0
		return id, nil
	}
	body, err = json.Marshal(exchange(20 * time.Second).Reveal())
	if err != nil || strings.Contains(string(body), "expires_in") {
		t.Errorf("got %s, %v; want no expires_in", body, err)
	}
	// Printed or logged they show nothing.
	if got, _ := json.Marshal(resp); string(got) != `"[redacted]"` {
		t.Errorf("the response encodes as %s", got)
	}
}

// TestUserInfo: an access token comes in one of two ways, and nothing else does.
func TestUserInfo(t *testing.T) {
	w := newWorld(t)
	code := w.code(t)
	resp := w.mustExchange(t, w.code(t))
	access := resp.AccessToken
	for name, tt := range map[string]struct {
		header string
		form   []string
	}{
		"header": {"Bearer " + access, nil}, "another case": {"bearer  " + access, nil}, "form": {"", []string{access}},
	} {
		info, err := w.UserInfo(tt.header, tt.form)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantClaims(t, decoded(t, info), `{`+miraAsPerson+`}`)
	}
	for name, tt := range map[string]struct {
		header string
		form   []string
		code   string
		status int
	}{
		"none":          {"", nil, "", 401},
		"both":          {"Bearer " + access, []string{access}, "invalid_request", 400},
		"two in a form": {"", []string{access, access}, "invalid_request", 400},
		"basic":         {"Basic " + access, nil, "invalid_token", 401},
		"no scheme":     {access, nil, "invalid_token", 401},
		"no token":      {"Bearer ", nil, "invalid_token", 401},
		"empty form":    {"", []string{""}, "invalid_token", 401},
		"code":          {"Bearer " + code, nil, "invalid_token", 401},
		"id_token":      {"Bearer " + resp.IDToken, nil, "invalid_token", 401},
		"state":         {"Bearer " + w.tiktok.asked.State, nil, "invalid_token", 401},
		"TikTok's":      {"Bearer " + mira.AccessToken, nil, "invalid_token", 401},
		"cut":           {"Bearer " + access[:len(access)-1], nil, "invalid_token", 401},
		"long":          {"Bearer " + strings.Repeat("a", 1<<20), nil, "invalid_token", 401},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.UserInfo(tt.header, tt.form)
			wantRefused(t, err, tt.code, tt.status)
		})
	}
	t.Run("expired", func(t *testing.T) {
		w.now = w.now.Add(provider.TokenLifetime)
		if _, err := w.UserInfo("Bearer "+access, nil); err != nil {
			t.Errorf("after %v: %v", provider.TokenLifetime, err)
		}
		w.now = w.now.Add(time.Second)
		_, err := w.UserInfo("Bearer "+access, nil)
		wantRefused(t, err, "invalid_token", 401)
	})
	t.Run("of a client that is gone", func(t *testing.T) {
		later := newWorld(t, func(o *provider.Options) { o.Clients = o.Clients[1:] })
		_, err := later.UserInfo("Bearer "+access, nil)
		wantRefused(t, err, "invalid_token", 401)
	})
}
