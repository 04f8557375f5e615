package seal_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// golden was sealed by another implementation (Python's hmac and cryptography) from the text of
// doc.go: the key 0123456789abcdef, twice, HKDF as in derive.go, nonce 000102…0b, purpose "state".
// If it stops opening, replicas of two versions do not understand each other: make a new version of
// the token instead.
const golden = "1u2o4VAABAgMEBQYHCAkKC2LwOFK255h6v07Nl7nNlEBb5U7lUo37z8zu3qz1WQ"

func TestOpen_golden(t *testing.T) {
	t.Parallel()
	wantOpen(t, mustRing(t, keyA, "0123456789abcdef0123456789abcdef"), "state", golden, "golden payload")
}

// The key id shows in a token, so its derivation can be seen from here.
func TestSeal_goldenKeyID(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key  signin.Secret
		want string // base64url of the four bytes, without the last two bits
	}{
		{"0123456789abcdef0123456789abcdef", "1u2o4V"},
		{"ein Schlüssel aus mehr als zweiunddreißig Zeichen", "1nONup"},
	}
	for _, tt := range tests {
		if got := mustRing(t, tt.key).Seal("state", nil); !strings.HasPrefix(got, tt.want) {
			t.Errorf("got %.8s…; want %s…", got, tt.want)
		}
	}
}

// These were computed by another implementation (Python's hmac) from the text of Derive.
func TestDerive_golden(t *testing.T) {
	t.Parallel()
	tests := []struct {
		secrets []signin.Secret
		want    string
	}{
		{[]signin.Secret{"a"}, "bSGtRrIR5WxspStcxL8n517r-HnNs1sXHKJlisr0fKM"},
		{[]signin.Secret{"ab", "c"}, "A9f08OvH1l00j6czJb91wdLbHLsWCinGgo35VkjNrKE"},
		{[]signin.Secret{"a", "bc"}, "-OD-BlV2rTP-omuiKSMjapUdbGw2Mb9tfyIp0hRuiiY"},
		{[]signin.Secret{"c", "ab"}, "NET9AdLvutDFtzGhqqGA2N1ScHsuSJlzM060iMEetg0"},
		{[]signin.Secret{"abc"}, "jh52Og7NIEG6-Eq4ZnYJhFs1lg-LhS3kxS7padIDch8"},
		{[]signin.Secret{"abc", ""}, "aQLdA2ZT7J5qmYI0bBeCORBlq7ERmSJU33wfkCFWi4A"},
		{[]signin.Secret{"", "abc"}, "oBYzW4fzzNn2OiLmVsaH3sWIV_snpUyHArl6pNRep8M"},
		{[]signin.Secret{"supabase-secret-key", "tiktok-client-secret"}, "of1dFYj4FeRNHuBACtP4FRgBq596rKIp1a4VKyhHEro"},
		{[]signin.Secret{"schlüssel", "鍵"}, "e5IXDmbkZ2jyk-qOEj_TbD9hw093DpZb6rUqU4EgHhI"},
	}
	for i, tt := range tests {
		if got := seal.Derive(tt.secrets...).Reveal(); got != tt.want {
			t.Errorf("case %d: got %s; want %s", i, got, tt.want)
		}
	}
}

func TestDerive_injective(t *testing.T) {
	t.Parallel()
	lists := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00\x01")), 0, 3, -1), 1, 4)
	rapid.Check(t, func(rt *rapid.T) {
		one, two := lists.Draw(rt, "one"), lists.Draw(rt, "two")
		if strings.Join(one, "")+strings.Join(two, "") == "" {
			return
		}
		same := fmt.Sprintf("%q", one) == fmt.Sprintf("%q", two)
		if got := derive(one) == derive(two); got != same {
			rt.Errorf("%q and %q: got the same key %t; want %t", one, two, got, same)
		}
	})
}

func derive(texts []string) string {
	secrets := make([]signin.Secret, len(texts))
	for i, s := range texts {
		secrets[i] = signin.Secret(s)
	}
	return seal.Derive(secrets...).Reveal()
}

// A key made of nothing would be known to everybody who reads this repository.
func TestDerive_nothing(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]signin.Secret{nil, {""}, {"", ""}} {
		key := seal.Derive(secrets...)
		if key != "" {
			t.Errorf("%d empty secrets: got a key; want none", len(secrets))
		}
		if _, err := seal.New(key); err == nil {
			t.Error("got a ring of an empty key; want an error")
		}
	}
}
