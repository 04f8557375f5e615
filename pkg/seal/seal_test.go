package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func wantOpen(tb testing.TB, r *seal.Ring, purpose, token, payload string) {
	tb.Helper()
	if got, err := r.Open(purpose, token); err != nil || string(got) != payload {
		tb.Errorf("%q: got %q, %v; want %q", token, got, err, payload)
	}
}

// wantInvalid also wants every refusal to be the same error, with nothing around it.
func wantInvalid(tb testing.TB, r *seal.Ring, purpose, token string) {
	tb.Helper()
	if got, err := r.Open(purpose, token); err != seal.ErrInvalid || got != nil { //nolint:errorlint // see above
		tb.Errorf("%.80q for %q: got %q, %v; want ErrInvalid itself", token, purpose, got, err)
	}
}

func TestRing_roundTrip(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^1[A-Za-z0-9_-]+$`)
	rapid.Check(t, func(rt *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringN(seal.MinKeyLength, 80, -1), 1, 4).Draw(rt, "keys")
		keys := make([]signin.Secret, len(secrets))
		for i, s := range secrets {
			keys[i] = signin.Secret(s)
		}
		ring, err := seal.New(keys...)
		if err != nil {
			rt.Fatal(err)
		}
		purpose := rapid.String().Draw(rt, "purpose")
		payload := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(rt, "payload")

		token := ring.Seal(purpose, payload)
		if !form.MatchString(token) {
			rt.Errorf("got %q; want characters that need no escaping", token)
		}
		if got, err := ring.Open(purpose, token); err != nil || !bytes.Equal(got, payload) {
			rt.Errorf("got %x, %v; want %x", got, err, payload)
		}
		if other := rapid.String().Draw(rt, "other purpose"); other != purpose {
			if got, err := ring.Open(other, token); !errors.Is(err, seal.ErrInvalid) {
				rt.Errorf("for %q: got %x, %v; want ErrInvalid", other, got, err)
			}
		}
		if again := ring.Seal(purpose, payload); again == token {
			rt.Errorf("got %q twice", token)
		}
	})
}

func TestRing_Open_everyBit(t *testing.T) {
	t.Parallel()
	ring := mustRing(t, keyA, keyB)
	for _, payload := range []string{"", "p", "pa", "pay", "payload"} { // all remainders of three
		token := ring.Seal("state", []byte(payload))
		for i := range len(token) * 8 {
			changed := []byte(token)
			changed[i/8] ^= 1 << (i % 8)
			wantInvalid(t, ring, "state", string(changed))
		}
		sealed, err := base64.RawURLEncoding.DecodeString(token[1:])
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(sealed) * 8 {
			changed := bytes.Clone(sealed)
			changed[i/8] ^= 1 << (i % 8)
			wantInvalid(t, ring, "state", "1"+base64.RawURLEncoding.EncodeToString(changed))
		}
		wantOpen(t, ring, "state", token, payload)
	}
}

func TestRing_Open_cut(t *testing.T) {
	t.Parallel()
	ring := mustRing(t, keyA)
	token := ring.Seal("state", []byte("payload"))
	for i := range token {
		wantInvalid(t, ring, "state", token[:i])
		if i > 0 {
			wantInvalid(t, ring, "state", token[i:])
			wantInvalid(t, ring, "state", token[:i]+token[i+1:])
		}
	}
}

// One payload has one spelling: claims may rest on the token itself.
func TestRing_Open_canonical(t *testing.T) {
	t.Parallel()
	ring := mustRing(t, keyA)
	for _, payload := range []string{"", "p", "pa"} {
		token := ring.Seal("state", []byte(payload))
		for _, more := range []string{"A", "AA", "AAAA", "=", "==", "\n", "\r", "\r\n", " ", "\x00", ".", "%3D"} {
			wantInvalid(t, ring, "state", token+more)
			wantInvalid(t, ring, "state", more+token)
			wantInvalid(t, ring, "state", token[:1]+more+token[1:])
			wantInvalid(t, ring, "state", token[:20]+more+token[20:])
		}
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/"
		for _, last := range alphabet { // the bits of it that stand for nothing among them
			if changed := token[:len(token)-1] + string(last); changed != token {
				wantInvalid(t, ring, "state", changed)
			}
		}
	}
	for i := range 200 { // until both characters in which the alphabets differ have come up
		token := ring.Seal("state", []byte(strconv.Itoa(i)))
		if std := strings.NewReplacer("-", "+", "_", "/").Replace(token); std != token {
			wantInvalid(t, ring, "state", std)
		}
	}
}

func TestRing_Open_foreign(t *testing.T) {
	t.Parallel()
	ring := mustRing(t, keyA)
	token := ring.Seal("state", []byte("payload"))
	tests := []struct{ name, purpose, token string }{
		{"nothing", "state", ""},
		{"version alone", "state", "1"},
		{"no base64", "state", "1!!!"},
		{"another version", "state", "2" + token[1:]},
		{"version zero", "state", "0" + token[1:]},
		{"version twice", "state", "1" + token},
		{"another purpose", "handoff", token},
		{"no purpose", "", token},
		{"part of the purpose", "stat", token},
		{"more than the purpose", "state\x00", token},
		{"other case", "State", token},
		{"another key", "state", mustRing(t, keyB).Seal("state", []byte("payload"))},
		{"all zero", "state", "1" + strings.Repeat("A", 60)},
		{"two in one", "state", token + token[1:]},
		{"a JWT", "state", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, ring, tt.purpose, tt.token)
		})
	}
}

// Not parallel, as counting allocations asks for.
func TestRing_Open_length(t *testing.T) {
	ring := mustRing(t, keyA)
	longest := strings.Repeat("x", seal.MaxPayload)
	wantOpen(t, ring, "state", ring.Seal("state", []byte(longest)), longest)
	wantInvalid(t, ring, "state", ring.Seal("state", []byte(longest+"x")))
	huge := "1" + strings.Repeat("A", 64<<20)
	if n := testing.AllocsPerRun(1, func() { wantInvalid(t, ring, "state", huge) }); n != 0 {
		t.Errorf("%v allocations for a token that is too long; want it refused unread", n)
	}
}

func TestRing_rotation(t *testing.T) {
	t.Parallel()
	before, during, after := mustRing(t, keyA), mustRing(t, keyB, keyA), mustRing(t, keyB)
	old := before.Seal("state", []byte("old"))
	fresh := during.Seal("state", []byte("fresh"))

	wantOpen(t, during, "state", old, "old")
	wantOpen(t, during, "state", fresh, "fresh")
	wantOpen(t, after, "state", fresh, "fresh")
	wantInvalid(t, before, "state", fresh) // the first key seals
	wantInvalid(t, after, "state", old)    // a key that is gone opens nothing
	wantOpen(t, mustRing(t, keyA, keyA), "state", old, "old")
}

// Two keys with one id, found by trying some ten thousand.
func TestRing_idCollision(t *testing.T) {
	t.Parallel()
	const one, two signin.Secret = "collision candidate no. 000000006583", "collision candidate no. 000000022924"
	a, b, both := mustRing(t, one), mustRing(t, two), mustRing(t, one, two)
	ofA, ofB := a.Seal("state", []byte("a")), b.Seal("state", []byte("b"))
	if ofA[:6] != ofB[:6] {
		t.Fatalf("got %s and %s; want keys whose ids collide", ofA[:6], ofB[:6])
	}
	wantOpen(t, both, "state", ofA, "a")
	wantOpen(t, both, "state", ofB, "b")
	wantInvalid(t, a, "state", ofB)
	wantInvalid(t, b, "state", ofA)
}

func TestNew(t *testing.T) {
	t.Parallel()
	short := signin.Secret(strings.Repeat("s", seal.MinKeyLength-1))
	tests := []struct {
		name string
		keys []signin.Secret
		want string
	}{
		{"one", []signin.Secret{keyA}, ""},
		{"several", []signin.Secret{keyA, keyB, keyA}, ""},
		{"characters, not bytes", []signin.Secret{signin.Secret(strings.Repeat("ü", seal.MinKeyLength))}, ""},
		{"none", nil, "no key"},
		{"empty", []signin.Secret{""}, "key 1 is shorter than 32 characters"},
		{"short", []signin.Secret{short}, "key 1 is shorter"},
		{"short in characters", []signin.Secret{signin.Secret(strings.Repeat("ü", seal.MinKeyLength-1))}, "key 1 is shorter"},
		{"the second is short", []signin.Secret{keyA, short}, "key 2 is shorter"},
		{"the third is short", []signin.Secret{keyA, keyB, canary}, "key 3 is shorter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := seal.New(tt.keys...)
			if (err == nil) != (tt.want == "") || (r == nil) != (err != nil) {
				t.Fatalf("got %v, %v; want %q", r, err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary)) {
				t.Errorf("got %v; want %q and nothing of the key", err, tt.want)
			}
		})
	}
}

func TestRing_shows_nothing(t *testing.T) {
	t.Parallel()
	ring := mustRing(t, canary+keyA)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).InfoContext(t.Context(), "line", "ring", ring, "value", *ring)
	encoded, err := json.Marshal([]any{ring})
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{log.String(), string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		for _, v := range []any{ring, *ring, struct{ R *seal.Ring }{ring}, []any{ring}} {
			outputs = append(outputs, fmt.Sprintf(verb, v))
		}
	}
	for _, out := range outputs {
		for _, hidden := range []string{canary, fmt.Sprintf("%x", canary), "keys"} {
			if strings.Contains(out, hidden) {
				t.Errorf("got %s; want nothing of the keys", out)
			}
		}
	}
	if got := fmt.Sprintf("%+v", ring); got != "[seal.Ring]" {
		t.Errorf("got %s; want [seal.Ring]", got)
	}
}

func TestRing_concurrent(t *testing.T) {
	t.Parallel()
	ring := mustRing(t, keyA, keyB)
	const workers, each = 16, 200
	var seen sync.Map
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				payload := fmt.Sprint(w, i)
				token := ring.Seal("state", []byte(payload))
				wantOpen(t, ring, "state", token, payload)
				wantInvalid(t, ring, "handoff", token)
				if _, twice := seen.LoadOrStore(token[6:22], w); twice {
					t.Errorf("the nonce of %s came twice", token)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzOpen wants nothing to open but what was sealed, and that in its one spelling.
func FuzzOpen(f *testing.F) {
	ring := mustRing(f, keyA, keyB)
	rotated := mustRing(f, keyB, keyA)
	token := ring.Seal("state", []byte("payload"))
	for _, seed := range []string{
		token, rotated.Seal("state", []byte("payload")), ring.Seal("handoff", []byte("payload")), ring.Seal("state", nil),
		"", "1", "2" + token[1:], token[1:], token[:len(token)-1], token + "=", token + "\n", token + "A",
		token[:8] + "\r\n" + token[8:], strings.ToLower(token), "1" + strings.Repeat("A", 43), "1" + strings.Repeat("A", 60),
		token + token, golden,
	} {
		f.Add("state", seed)
		f.Add("handoff", seed)
	}
	f.Fuzz(func(t *testing.T, purpose, token string) {
		payload, err := ring.Open(purpose, token)
		if err != nil {
			wantInvalid(t, ring, purpose, token)
			return
		}
		// The tokens of the seeds are the only ones there are.
		if string(payload) != "payload" && len(payload) > 0 {
			t.Fatalf("%q for %q opens as %q", token, purpose, payload)
		}
		again, err := base64.RawURLEncoding.DecodeString(token[1:])
		if err != nil || "1"+base64.RawURLEncoding.EncodeToString(again) != token {
			t.Fatalf("%q opens; want one spelling only", token)
		}
		wantOpen(t, rotated, purpose, token, string(payload))
		wantInvalid(t, ring, purpose+"x", token)
	})
}
