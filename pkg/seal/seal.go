package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

const (
	// MinKeyLength is how many characters a key has at least.
	MinKeyLength = 32
	// MaxPayload is how many bytes a token carries at most. It is far above what fits into a cookie
	// or an address, and low enough that refusing a forged token costs nothing.
	MaxPayload = 8 << 10

	version  = "1"
	overhead = 12 + 16 // nonce and tag
)

// encoding is strict: the unused bits of the last character are zero.
var encoding = base64.RawURLEncoding.Strict()

var maxToken = len(version) + encoding.EncodedLen(keyIDSize+overhead+MaxPayload)

// ErrInvalid is the one answer to a token that does not open: forged, cut, for another purpose, or
// sealed with a key that is gone. Which of these it is, nobody is told.
var ErrInvalid = errors.New("token is not valid")

// Ring seals with its first key and opens with all of them. It is safe for concurrent use and never
// prints its keys.
type Ring struct{ keys []key }

type key struct {
	id   [keyIDSize]byte
	aead cipher.AEAD
}

// New returns a ring of keys, each of [MinKeyLength] characters or more. The error names the position
// of a key that is too short, counted from 1.
func New(keys ...signin.Secret) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key to seal with")
	}
	r := &Ring{keys: make([]key, 0, len(keys))}
	for i, secret := range keys {
		if utf8.RuneCountInString(secret.Reveal()) < MinKeyLength {
			return nil, fmt.Errorf("key %d is shorter than %d characters", i+1, MinKeyLength)
		}
		k, err := newKey(secret)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

func newKey(secret signin.Secret) (key, error) {
	aesKey, id, err := expand(secret)
	if err != nil {
		return key{}, err
	}
	block, err := aes.NewCipher(aesKey)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, err
	}
	return key{id: id, aead: aead}, nil
}

// Seal returns payload as a token for purpose, in characters that need no escaping in an address, a
// header or a cookie. Two tokens are never the same, whatever is in them. A payload of more than
// [MaxPayload] bytes is the caller's mistake: no Open takes its token.
func (r *Ring) Seal(purpose string, payload []byte) string {
	k := r.keys[0]
	sealed := make([]byte, 0, keyIDSize+overhead+len(payload))
	sealed = append(sealed, k.id[:]...)
	//nolint:gosec // G407 takes the empty nonce for a fixed one; this AEAD draws its own
	sealed = k.aead.Seal(sealed, nil, payload, k.bind(purpose))
	return version + encoding.EncodeToString(sealed)
}

// Open returns what was sealed for purpose, [ErrInvalid] for any token that Seal did not make for it
// with one of the ring's keys.
func (r *Ring) Open(purpose, token string) ([]byte, error) {
	sealed, ok := decode(token)
	if !ok {
		return nil, ErrInvalid
	}
	id, box := sealed[:keyIDSize], sealed[keyIDSize:]
	// Ids are short, so two keys may share one; the tag decides.
	for _, k := range r.keys {
		if !bytes.Equal(k.id[:], id) {
			continue
		}
		if payload, err := k.aead.Open(nil, nil, box, k.bind(purpose)); err == nil {
			return payload, nil
		}
	}
	return nil, ErrInvalid
}

func decode(token string) (sealed []byte, ok bool) {
	text, ok := strings.CutPrefix(token, version)
	// encoding/base64 skips line breaks even when it is strict.
	if !ok || len(token) > maxToken || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	sealed, err := encoding.DecodeString(text)
	return sealed, err == nil && len(sealed) >= keyIDSize+overhead
}

// bind is the additional data: all but the last part are of fixed length, so no two inputs give the
// same bytes.
func (k key) bind(purpose string) []byte {
	b := make([]byte, 0, len(version)+keyIDSize+len(purpose))
	b = append(b, version...)
	b = append(b, k.id[:]...)
	return append(b, purpose...)
}

// Format implements fmt.Formatter: a ring shows nothing under any verb.
func (Ring) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[seal.Ring]")) }

// LogValue implements slog.LogValuer.
func (Ring) LogValue() slog.Value { return slog.StringValue("[seal.Ring]") }
