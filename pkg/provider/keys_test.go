package provider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// TestDeriveKeys_golden: the keys were made a second time in Python, from HKDF (RFC 5869), HMAC_DRBG and
// c2sp.org/det-keygen. They must never change: replicas of two versions publish the same ones.
func TestDeriveKeys_golden(t *testing.T) {
	for _, tt := range []struct {
		secret         signin.Secret
		rsa, modulus   string // kid, and SHA-256 of n
		elliptic, x, y string
	}{
		{
			sealKey, "NHHr4cd0YkogjXXlyVW3VRgeRegQLfA3w9piJ_tZbq4",
			"db31d96e3c468dfce47ba86fa4550fc623b2ce756adf814ecb0683599ff09992",
			"iBYhKUJKsCi46yYLmVNUt2Id2xI4Unc3_gQIBgATM7s",
			"0XqX0agGnKbs0s91LByiyQULLtZ4hNqpwFioSUy7KoU", "VUfzHqZ8-1dg0adm4vj3pkKpGjYPOkFgji6OSedM8TE",
		},
		{
			"another key of the bridge, ü and long", "2N65QKGI6QvuN4CHO_uSkeMurGFZKaXQ9NZvh5lC4Fc",
			"50631d43f247b1ff8f0a942cced7c802cb111690dbff556f9160a2cf165ce8d7",
			"w5Cb-RF-MZjEeHcKp1K0pil0xZzKHd3WNGSFKmv10vg",
			"_XHPlXWLE6y1NX4zds9OXrvCBfNpoSWEtY5uLvUNQ5E", "wbYp9G1tU0b68JclZYbXwoBgwJOCkI7C-tLVbBb33lc",
		},
	} {
		keys, err := provider.DeriveKeys(tt.secret)
		if err != nil {
			t.Fatal(err)
		}
		set := jwksOf(t, jwksFrom(t, keys))
		n := set[tt.rsa]["n"]
		sum := sha256.Sum256(unbase64(t, n))
		if got := hex.EncodeToString(sum[:]); got != tt.modulus {
			t.Errorf("the hash of n is %s; want %s", got, tt.modulus)
		}
		want := map[string]map[string]string{
			tt.rsa: {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": tt.rsa, "e": "AQAB", "n": n},
			tt.elliptic: {
				"kty": "EC", "use": "sig", "alg": "ES256", "kid": tt.elliptic, "crv": "P-256", "x": tt.x, "y": tt.y,
			},
		}
		if diff := cmp.Diff(want, set); diff != "" {
			t.Errorf("JWKS (-want +got):\n%s", diff)
		}
	}
}

func jwksFrom(t *testing.T, keys *provider.Keys) []byte {
	t.Helper()
	return newWorld(t, func(o *provider.Options) { o.Keys = keys }).JWKS()
}

func TestDeriveKeys_none(t *testing.T) {
	if _, err := provider.DeriveKeys(); err == nil {
		t.Error("there are keys of no secret")
	}
}

// verifier of a client, which keeps the JWKS and fetches it again only when it meets a kid it does not know
// (OpenID Connect Core, section 10.1.1).
type cachingClient struct {
	jwks    []byte
	fetches int
}

func (c *cachingClient) verify(t *testing.T, token string, published []byte) {
	t.Helper()
	if c.jwks == nil {
		c.jwks, c.fetches = published, 1
	}
	_, claims, err := tryVerify(t, token, c.jwks)
	if errors.Is(err, errNoKey) {
		c.jwks, c.fetches = published, c.fetches+1
		_, claims, err = tryVerify(t, token, c.jwks)
	}
	if err != nil || claims["sub"] != mira.OpenID {
		t.Fatalf("a sign-in fails: %v, %v", claims, err)
	}
}

// TestRotation: new secret last, then first, then alone, and in between both kinds of replicas answer. A client that
// keeps the JWKS loses nobody.
func TestRotation(t *testing.T) {
	const newKey = "fedcba9876543210fedcba9876543210"
	replica := func(secrets ...signin.Secret) *world {
		keys, err := provider.DeriveKeys(secrets...)
		if err != nil {
			t.Fatal(err)
		}
		return newWorld(t, func(o *provider.Options) { o.Keys = keys })
	}
	stages := []*world{replica(sealKey), replica(sealKey, newKey), replica(newKey, sealKey), replica(newKey)}
	for _, clientID := range []string{"app", "elliptic"} {
		client := &cachingClient{}
		sign := func(w *world) string {
			token, err := w.IDToken(clientID, mira, miraToday)
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		for i := range stages[1:] {
			before, after := stages[i], stages[i+1]
			// During a rollout any replica signs, and any serves the JWKS.
			for _, signer := range []*world{before, after, before} {
				for _, publisher := range []*world{before, after} {
					client.verify(t, sign(signer), publisher.JWKS())
				}
			}
		}
		if client.fetches != 2 {
			t.Errorf("%s fetches %d times; want once, and once for the new key", clientID, client.fetches)
		}
	}
}

// own are keys of an operator's own, in each form that openssl writes.
type own struct{ pkcs8, pkcs1, pkcs8EC, sec1 string }

var ownKeys = sync.OnceValue(func() own {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	sec1, err := x509.MarshalECPrivateKey(e)
	must(err)
	return own{
		pkcs8: pkcs8(r), pkcs1: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r)), pkcs8EC: pkcs8(e),
		sec1: block("EC PRIVATE KEY", sec1),
	}
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key crypto.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	return block("PRIVATE KEY", der)
}

// TestParseKeys: an operator's own keys, alone or several in one text, replace the derived ones.
func TestParseKeys(t *testing.T) {
	k := ownKeys()
	// openssl ecparam -genkey writes the name of the curve before the key.
	parameters := block("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7})
	for name, tt := range map[string]struct {
		texts []signin.Secret
		algs  []string
	}{
		"PKCS #8":           {[]signin.Secret{signin.Secret(k.pkcs8)}, []string{"RS256"}},
		"PKCS #1":           {[]signin.Secret{signin.Secret(k.pkcs1)}, []string{"RS256"}},
		"both kinds":        {[]signin.Secret{signin.Secret(k.pkcs8), signin.Secret(k.pkcs8EC)}, []string{"RS256", "ES256"}},
		"in one text":       {[]signin.Secret{signin.Secret(k.sec1 + k.pkcs1)}, []string{"ES256", "RS256"}},
		"with words around": {[]signin.Secret{signin.Secret("my key:\n" + k.pkcs8 + "\nthe end\n")}, []string{"RS256"}},
		"of ecparam": {
			[]signin.Secret{signin.Secret(parameters + k.sec1), signin.Secret(k.pkcs8)}, []string{"ES256", "RS256"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := provider.ParseKeys(tt.texts...)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, func(o *provider.Options) {
				o.Keys = keys
				o.Clients = slices.DeleteFunc(o.Clients, func(c provider.Client) bool {
					return !slices.Contains(tt.algs, "ES256") && c.Alg == provider.ES256
				})
			})
			if got := len(jwksOf(t, w.JWKS())); got != len(tt.algs) {
				t.Errorf("%d keys are published; want %d", got, len(tt.algs))
			}
			for _, alg := range tt.algs {
				client := map[string]string{"RS256": "app", "ES256": "elliptic"}[alg]
				token, err := w.IDToken(client, mira, miraToday)
				if err != nil {
					t.Fatal(err)
				}
				verify(t, token, w.JWKS())
			}
			// RS256 comes first, also where the other key does: some clients take the first one.
			want := []any{"RS256"}
			if len(tt.algs) == 2 {
				want = append(want, "ES256")
			}
			if diff := cmp.Diff(want, decoded(t, w.Discovery())["id_token_signing_alg_values_supported"]); diff != "" {
				t.Errorf("algorithms (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseKeys_refused: errors say what is wrong with a key, and repeat nothing of it.
func TestParseKeys_refused(t *testing.T) {
	k := ownKeys()
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too small, which is the point
	must(err)
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	parsed, _ := pem.Decode([]byte(k.pkcs8))
	private, err := x509.ParsePKCS8PrivateKey(parsed.Bytes)
	must(err)
	public, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public()) //nolint:forcetypeassert // RSA
	must(err)
	damaged := strings.Replace(k.pkcs8, "\n", "\n!", 2)
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":               {"", "holds no PEM block"},
		"garbage":               {"secret-garbage", "holds no PEM block"},
		"too small":             {pkcs8(small), "an RSA key has 1024 bits; it needs 2048"},
		"P-384":                 {pkcs8(large), "neither RSA nor P-256"},
		"Ed25519":               {pkcs8(edwards), "neither RSA nor P-256"},
		"public":                {block("PUBLIC KEY", public), "no private key"},
		"garbage inside":        {block("secret-TYPE", []byte("secret-garbage")), "no private key"},
		"with a passphrase":     {block("ENCRYPTED PRIVATE KEY", []byte("secret-garbage")), "without a passphrase"},
		"elliptic alone":        {k.sec1, "there is no RSA key"},
		"damaged":               {damaged, "a PEM block is damaged"},
		"damaged beside good":   {k.pkcs8 + damaged, "a PEM block is damaged"},
		"damaged before good":   {damaged + k.pkcs8, "a PEM block is damaged"},
		"cut beside good":       {k.pkcs8 + k.pkcs1[:200], "a PEM block is damaged"},
		"bad beside good":       {k.pkcs8 + pkcs8(large), "neither RSA nor P-256"},
		"parameters and no key": {block("EC PARAMETERS", []byte("x")), "there is no RSA key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := provider.ParseKeys(signin.Secret(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v; want %q", err, tt.want)
			}
			wantNothingOf(t, err, tt.text)
		})
	}
	if _, err := provider.ParseKeys(); err == nil {
		t.Error("there are keys of no text")
	}
	if _, err := provider.ParseKeys(signin.Secret(k.pkcs8), ""); err == nil {
		t.Error("an empty entry is none")
	}
}

// wantNothingOf looks for pieces of a key in an error.
func wantNothingOf(tb testing.TB, err error, text string) {
	tb.Helper()
	if strings.Contains(err.Error(), "secret") {
		tb.Errorf("the error is %q", err)
	}
	const piece = 12
	for _, line := range strings.Split(text, "\n") {
		for i := 0; !strings.HasPrefix(line, "-----") && i+piece <= len(line); i += piece {
			if strings.Contains(err.Error(), line[i:i+piece]) {
				tb.Errorf("the error %q repeats %q", err, line[i:i+piece])
			}
		}
	}
}

// TestNew_keys: a client whose algorithm has no key is a mistake that shows at the start.
func TestNew_keys(t *testing.T) {
	keys, err := provider.ParseKeys(signin.Secret(ownKeys().pkcs1))
	must(err)
	_, err = provider.New(provider.Options{Issuer: issuer, Clients: clients(), Keys: keys})
	if err == nil || !strings.Contains(err.Error(), `client "elliptic" wants ES256`) {
		t.Errorf("got %v; want the client named", err)
	}
}
