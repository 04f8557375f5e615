package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// These are part of the token format: replicas of two versions of the bridge run side by side during
// a roll-out and open each other's tokens.
const (
	salt       = "tikbridge seal v1"
	infoAES    = "aes-256-gcm key"
	infoKeyID  = "key id"
	infoDerive = "default key from configured secrets"

	aesKeySize = 32
	keyIDSize  = 4
)

// Derive makes a key of the secrets that every replica has anyway, so that sealing needs no setting
// of its own. The same secrets in the same order give the same key everywhere, any others another
// one; whoever changes one of them also ends the flows under way. Without any secret the key would be
// known to everybody: it is empty then, and [New] refuses it.
func Derive(secrets ...signin.Secret) signin.Secret {
	var input []byte
	empty := true
	for _, s := range secrets {
		// Lengths go first: ("ab", "c") and ("a", "bc") are different configurations.
		input = binary.BigEndian.AppendUint64(input, uint64(len(s)))
		input = append(input, s...)
		empty = empty && s == ""
	}
	if empty {
		return ""
	}
	derived, err := hkdf.Key(sha256.New, input, []byte(salt), infoDerive, aesKeySize)
	if err != nil {
		// FIPS mode refuses input it finds too short; New says so for the empty key.
		return ""
	}
	return signin.Secret(base64.RawURLEncoding.EncodeToString(derived))
}

// expand makes of a secret the AES key and the id under which tokens name it. The id is expanded with
// another info and tells nothing about the key.
func expand(secret signin.Secret) (aesKey []byte, id [keyIDSize]byte, err error) {
	prk, err := hkdf.Extract(sha256.New, []byte(secret), []byte(salt))
	if err != nil {
		return nil, id, err
	}
	aesKey, err = hkdf.Expand(sha256.New, prk, infoAES, aesKeySize)
	if err != nil {
		return nil, id, err
	}
	short, err := hkdf.Expand(sha256.New, prk, infoKeyID, keyIDSize)
	copy(id[:], short)
	return aesKey, id, err
}
