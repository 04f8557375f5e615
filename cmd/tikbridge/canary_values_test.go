package main_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/test/faulty"
)

// The words that all planted values hold. What has the first may be seen by nobody: secrets of the
// bridge, of TikTok, and what GoTrue tells the bridge alone. What has the second is the person's own
// (their session, name and address): they get it with a session, and the log never does.
const (
	hiddenWord  = "canary"
	personsWord = "songbird"
)

const (
	canaryClientSecret = "canaryTikTokClientSecret012345"
	canarySecretKey    = "sb_secret_canary0123456789abcdefghijkl"
)

// planted are the values of one sign-in. They look like the real ones.
type planted struct {
	number string // three digits, which tell one sign-in from another
	fault  string
	at     faulty.Call // that has the fault
}

func (p planted) code() string {
	return "canary" + p.number + "RjbaZ4tRD3jH2X_uxQ0mHb-T*0!4713.u1 /+=%&"
}

func (p planted) verifier() string {
	return "canary" + p.number + "~verifier.0123456789-0123456789-0123456789"
}

func (p planted) access() string { return "act.canary" + p.number + "Tw1Xk!4755.u1" }

func (p planted) refresh() string { return "rft.canary" + p.number + "Pq9Zv!4789.u1" }

func (p planted) hash() string { return "canary" + p.number + "0a1b2c3d4e5f60718293a4b5c6d7e8f9" }

func (p planted) otp() string { return "canary" + p.number + "otp" }

func (p planted) openID() string { return "-000Songbird" + p.number + "AbCdEfGhIjKlMnOpQrStU" }

func (p planted) email() string { return strings.ToLower(p.openID()) + "@tiktok.oauth" }

func (p planted) name() string { return "Ada Songbird" + p.number + " Lövelace <b>שלום</b>" }

func (p planted) avatar() string {
	return "https://cdn.example/songbird" + p.number + "?x-signature=a%2Bb"
}

func (p planted) userID() string { return supabase.UserID(p.openID()).String() }

func (p planted) otherID() string { return "00000000-0000-4000-8000-000000000" + p.number }

func (p planted) goAccess() string { return "eyJhbGciOi.songbird" + p.number + ".c2ln" }

func (p planted) goRefresh() string { return "songbird" + p.number + "r" }

func (p planted) redirect() string { return "https://app.example/auth" }

func (p planted) everything() string { return strings.Join(p.all(), " ") }

// all is what an upstream may know and repeat.
func (p planted) all() []string {
	return []string{
		p.code(), p.verifier(), p.access(), p.refresh(), p.hash(), p.otp(), p.openID(), p.email(), p.name(), p.avatar(),
		p.goAccess(), p.goRefresh(), canaryClientSecret, canarySecretKey,
	}
}

// spellings returns the forms in which a word can hide in a text: as it is, in capitals, in hex, as a
// list of bytes, and in base64, where it looks different at each of three places.
func spellings(word string) []string {
	forms := []string{
		word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:], url.QueryEscape(word), url.PathEscape(word),
		strings.Trim(fmt.Sprintf("%d", []byte(word)), "[]"),
	}
	for _, w := range []string{word, strings.ToUpper(word[:1]) + word[1:]} {
		digits := hex.EncodeToString([]byte(w))
		forms = append(forms, digits, strings.ToUpper(digits))
		for shift := range 3 {
			// The characters at either end also depend on what is beside the word.
			encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), w...))
			from, to := (shift*8+5)/6, (shift+len(w))*8/6
			forms = append(forms, encoded[from:to], strings.NewReplacer("+", "-", "/", "_").Replace(encoded[from:to]))
		}
	}
	return forms
}

// wantNone looks for words and values in a text.
func wantNone(t *testing.T, where, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		for _, form := range spellings(word) {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s holds %q:\n%s", where, form, text[max(0, i-300):min(len(text), i+200)])
				break
			}
		}
	}
}

// TestSpellings checks the check.
func TestSpellings(t *testing.T) {
	for _, secret := range []string{canaryClientSecret, canarySecretKey, planted{number: "001"}.code()} {
		for _, before := range []string{"", "x", "xy", "xyz"} {
			whole := []byte(before + secret + "!")
			for how, text := range map[string]string{
				"raw": string(whole), "URL-encoded": url.QueryEscape(string(whole)), "hex": hex.EncodeToString(whole),
				"base64":    base64.StdEncoding.EncodeToString(whole),
				"base64url": base64.RawURLEncoding.EncodeToString(whole),
				"bytes":     fmt.Sprintf("%d", whole), "quoted": fmt.Sprintf("%+q", whole),
				"in capitals": strings.ToUpper(string(whole)),
			} {
				if !slices.ContainsFunc(
					spellings(hiddenWord), func(form string) bool { return strings.Contains(text, form) },
				) {
					t.Errorf("%s, %s: %q is not found in %q", secret, how, hiddenWord, text)
				}
			}
		}
	}
}
