package signin_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// vault is a Sealer whose tokens are numbers: nothing can be made or changed outside.
type vault struct {
	mu     sync.Mutex
	tokens map[string]string
}

func (v *vault) Seal(purpose string, payload []byte) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	token := "token-" + strconv.Itoa(len(v.tokens))
	v.tokens[purpose+token] = string(payload)
	return token
}

func (v *vault) Open(purpose, token string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	payload, ok := v.tokens[purpose+token]
	if !ok {
		return nil, errors.New("no such token")
	}
	return []byte(payload), nil
}

// claims is a Once.
type claims struct {
	mu   sync.Mutex
	seen map[string]bool
	err  error
}

func (c *claims) Claim(_ context.Context, key string, _ time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false, c.err
	}
	claimed := !c.seen[key]
	c.seen[key] = true
	return claimed, nil
}

func (c *claims) Release(_ context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, key)
	return nil
}

const (
	bridgeCallback = "https://bridge.example/api/auth/tiktok/callback"
	verifier       = "verifier-of-the-app-0123456789-0123456789-01"
)

func s256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// hosted is a world for the hosted flow, with a clock and a browser.
type hosted struct {
	*world
	*signin.Service
	now     time.Time
	cookies map[string]string
	claims  *claims
}

func newHosted(t *testing.T, adjust ...func(*hosted)) *hosted {
	t.Helper()
	h := &hosted{
		world: newWorld(), now: time.Unix(1800000000, 0), cookies: map[string]string{},
		claims: &claims{seen: map[string]bool{}},
	}
	h.opts.Sealer, h.opts.Once = &vault{tokens: map[string]string{}}, h.claims
	h.opts.CallbackURL, h.opts.DefaultScheme, h.opts.DefaultRedirect = bridgeCallback, "myapp", "https://app.example/"
	h.opts.Now = func() time.Time { return h.now }
	for _, f := range adjust {
		f(h)
	}
	h.Service = h.start(t)
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

func (h *hosted) cookie(flowID string) string { return h.cookies[flowID] }

// begin starts a flow in the browser and returns the state that TikTok will send back.
func (h *hosted) begin(t *testing.T, r signin.BeginRequest) string {
	t.Helper()
	begun, err := h.Begin(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.cookies[begun.FlowID] = begun.Binder
	return h.tiktok.asked.State
}

var web = signin.BeginRequest{
	Platform: signin.PlatformWeb, RedirectTo: "https://app.example/in?tab=1", Challenge: s256(verifier),
}

func (h *hosted) callback(t *testing.T, state string) (*signin.Return, error) {
	t.Helper()
	return h.Callback(t.Context(), signin.CallbackRequest{State: state, Code: "code", Cookie: h.cookie})
}

func (h *hosted) redeem(t *testing.T, handoff, verifier string) (signin.Session, error) {
	t.Helper()
	return h.Redeem(
		t.Context(), signin.RedeemRequest{Handoff: handoff, Verifier: verifier, Cookie: h.cookie, ClientIP: phone},
	)
}

func wantCode(t *testing.T, err error, want signin.Code) {
	t.Helper()
	if got := signin.CodeOf(err); got != want {
		t.Fatalf("got %v; want %q", err, want)
	}
}

// TestTabs: several flows of one browser do not hinder each other.
func TestTabs(t *testing.T) {
	h := newHosted(t)
	one, two := h.begin(t, web), h.begin(t, web)
	for _, state := range []string{two, one} {
		back, err := h.callback(t, state)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.redeem(t, back.Handoff, verifier); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOnceFails: a store that cannot tell is a fault, never a yes.
func TestOnceFails(t *testing.T) {
	h := newHosted(t)
	state := h.begin(t, web)
	h.claims.err = errors.New("down")
	_, err := h.callback(t, state)
	wantCode(t, err, signin.Internal)
	h.claims.err = nil
	back, err := h.callback(t, state)
	if err != nil {
		t.Fatal(err)
	}
	h.claims.err = errors.New("down")
	_, err = h.redeem(t, back.Handoff, verifier)
	wantCode(t, err, signin.Internal)
}
