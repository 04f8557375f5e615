package provider

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/keygen"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// The algorithms of id_tokens (RFC 7518, section 3.1). Every provider has RS256 (Discovery, section 3), and some
// clients take the first one that discovery lists.
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// Keys sign id_tokens. The first key of each algorithm signs; all are published.
type Keys struct {
	keys []key
	jwks []byte
}

type key struct {
	alg    string
	id     string // RFC 7638 thumbprint
	signer crypto.Signer
	public map[string]string // members of the JWK
}

// These are part of the derivation: replicas of two versions publish the same keys.
const (
	keySalt  = "tikbridge oidc v1"
	keyInfo  = "signing key "
	seedSize = 32
	rsaBits  = 2048
)

// DeriveKeys makes an RSA and a P-256 key of each secret: HKDF-SHA256 (RFC 5869) gives a seed, and the seed a key
// by c2sp.org/det-keygen. Replicas with the same secrets have the same keys. To rotate, add the new secret last
// and roll out, which publishes its keys; five minutes later, when no cache has the old ones alone, move it to the
// front, so that it signs; then drop the old one, once its last token is over.
func DeriveKeys(secrets ...signin.Secret) (*Keys, error) {
	var keys []key
	for _, secret := range secrets {
		prk, err := hkdf.Extract(sha256.New, []byte(secret.Reveal()), []byte(keySalt))
		if err != nil {
			return nil, err
		}
		seed := func(alg string) []byte {
			s, expandErr := hkdf.Expand(sha256.New, prk, keyInfo+alg, seedSize)
			err = errors.Join(err, expandErr)
			return s
		}
		rsaSeed, ecSeed := seed(RS256), seed(ES256)
		if err != nil {
			return nil, err
		}
		rsaKey, err := keygen.RSA(rsaBits, rsaSeed)
		if err != nil {
			return nil, err
		}
		ecKey, err := keygen.ECDSA(elliptic.P256(), ecSeed)
		if err != nil {
			return nil, err
		}
		keys = append(keys, newRSAKey(rsaKey), newECKey(ecKey))
	}
	return newKeys(keys)
}

// ParseKeys reads private keys in PEM (PKCS #8, PKCS #1 or SEC 1), any number in each text: RSA of 2,048 bits or
// more, and P-256. Its errors repeat nothing of the keys.
func ParseKeys(texts ...signin.Secret) (*Keys, error) {
	var keys []key
	for _, text := range texts {
		rest := []byte(text.Reveal())
		begun := bytes.Count(rest, []byte("-----BEGIN "))
		if begun == 0 {
			return nil, errors.New("an entry holds no PEM block")
		}
		for range begun {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil { // it skips blocks that it cannot read
				return nil, errors.New("a PEM block is damaged")
			}
			if block.Type == "EC PARAMETERS" { // openssl ecparam -genkey writes the name of the curve first
				continue
			}
			k, err := parseKey(block)
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		}
	}
	return newKeys(keys)
}

func parseKey(block *pem.Block) (key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			if parsed, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
				return key{}, errors.New("a PEM block is no private key without a passphrase")
			}
		}
	}
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < rsaBits {
			return key{}, fmt.Errorf("an RSA key has %d bits; it needs %d", k.N.BitLen(), rsaBits)
		}
		return newRSAKey(k), nil
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return newECKey(k), nil
		}
	}
	return key{}, errors.New("a key is neither RSA nor P-256")
}

func newKeys(keys []key) (*Keys, error) {
	k := &Keys{keys: keys}
	if k.signing(RS256) == nil {
		return nil, errors.New("there is no RSA key")
	}
	published := []map[string]string{}
	for _, key := range keys {
		jwk := map[string]string{"use": "sig", "alg": key.alg, "kid": key.id}
		for member, value := range key.public {
			jwk[member] = value
		}
		published = append(published, jwk)
	}
	var err error
	k.jwks, err = json.Marshal(map[string]any{"keys": published})
	return k, err
}

func newRSAKey(k *rsa.PrivateKey) key {
	return newKey(RS256, k, map[string]string{
		"kty": "RSA", "n": base64url(k.N.Bytes()), "e": base64url(big.NewInt(int64(k.E)).Bytes()),
	})
}

func newECKey(k *ecdsa.PrivateKey) key {
	point, err := k.PublicKey.Bytes() // 4, x, y (SEC 1, section 2.3.3)
	if err != nil {
		panic(err) // the curve is P-256
	}
	x, y := point[1:33], point[33:]
	return newKey(ES256, k, map[string]string{"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
}

// newKey names the key by the thumbprint of its required members, in alphabetical order as encoding/json writes
// them (RFC 7638, section 3).
func newKey(alg string, signer crypto.Signer, public map[string]string) key {
	members, err := json.Marshal(public)
	if err != nil {
		panic(err) // texts
	}
	sum := sha256.Sum256(members)
	return key{alg: alg, id: base64url(sum[:]), signer: signer, public: public}
}

// signing returns the key that signs with alg; nil if there is none.
func (k *Keys) signing(alg string) *key {
	for i := range k.keys {
		if k.keys[i].alg == alg {
			return &k.keys[i]
		}
	}
	return nil
}

// algorithms returns what the keys can sign with, RS256 first.
func (k *Keys) algorithms() []string {
	if k.signing(ES256) == nil {
		return []string{RS256}
	}
	return []string{RS256, ES256}
}

// sign returns claims as a JWT.
func (k *Keys) sign(alg string, claims jwt.Claims) (string, error) {
	key := k.signing(alg)
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims)
	token.Header["kid"] = key.id
	return token.SignedString(key.signer)
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
