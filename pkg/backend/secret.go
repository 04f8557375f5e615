package backend

import (
	"encoding/base64"
	"errors"
	"strings"
)

// decodeSecret returns the key in a secret.
func decodeSecret(secret string) ([]byte, error) {
	encoded, _ := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return nil, errors.New("is not base64, with or without whsec_ in front")
	case len(key) < minKey:
		return nil, errors.New("is shorter than 24 bytes")
	}
	return key, nil
}
