package signin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Lifetimes of the hosted flow's tokens.
const (
	// StateLifetime is how long a person may spend at TikTok.
	StateLifetime = 10 * time.Minute
	// HandoffLifetime is how long the app may take to redeem.
	HandoffLifetime = time.Minute
	// clockSkew is how far apart the clocks of two replicas may be.
	clockSkew = 30 * time.Second
)

// The purposes of sealed tokens.
const (
	purposeState   = "state"
	purposeHandoff = "handoff"
)

// maxSealedState is longer than any state, and short enough for the address that TikTok sends back: many servers take
// 8,192 bytes.
const maxSealedState = 6144

// maxHandoff is longer than any handoff.
const maxHandoff = 8192

// IsState reports whether token is a state made by a bridge with these keys, however old.
func IsState(s Sealer, token string) bool {
	_, err := s.Open(purposeState, token)
	return err == nil
}

// state is what the bridge must remember while the person is at TikTok. It travels sealed, as the state
// parameter, so that any replica can handle the callback.
type state struct {
	Redacted
	stateData
}

type stateData struct {
	ID         string   `json:"i"`
	Platform   Platform `json:"p"`
	Scheme     string   `json:"s,omitempty"`
	RedirectTo string   `json:"r,omitempty"`
	Verifier   string   `json:"v,omitempty"` // PKCE towards TikTok
	Challenge  string   `json:"c,omitempty"` // from the app or the OpenID client
	Binder     string   `json:"b"`           // hash of the flow cookie
	IssuedAt   int64    `json:"t"`
	// Request is an OpenID client's, in JSON.
	Request json.RawMessage `json:"q,omitempty"`
	// Asks is true if the person must be asked, also if TikTok knows them.
	Asks bool `json:"a,omitempty"`
}

// flowIDLength is how much of a state's id names the flow cookie.
const flowIDLength = 8

// flowID names the flow's cookie. It is not secret.
func (st state) flowID() string { return st.ID[:flowIDLength] }

// isBoundTo reports whether the browser holds the flow's cookie.
func (st state) isBoundTo(cookie func(flowID string) string) bool {
	if cookie == nil || len(st.ID) < flowIDLength {
		return false
	}
	value := cookie(st.flowID())
	return value != "" && equal(hash(value), st.Binder)
}

func (s *Service) sealState(st state) (string, error) {
	// Without json.Marshal's care for HTML, which turns every & of an address into six bytes: a state must
	// stay shorter than maxSealedState.
	var payload bytes.Buffer
	e := json.NewEncoder(&payload)
	e.SetEscapeHTML(false)
	if err := e.Encode(st.stateData); err != nil {
		return "", err
	}
	return s.opts.Sealer.Seal(purposeState, payload.Bytes()), nil
}

// openState opens the state and checks that it belongs to this browser (RFC 9700, section 2.1.2: bound to
// the user agent) or that its app has a verifier, without which the handoff is worthless: TikTok's own app
// may finish a flow in another browser than the one that started it.
func (s *Service) openState(r CallbackRequest) (state, error) {
	var st state
	if len(r.State) > maxSealedState {
		return st, NewError(CauseStateUnreadable)
	}
	payload, err := s.opts.Sealer.Open(purposeState, r.State)
	if err != nil || json.Unmarshal(payload, &st.stateData) != nil {
		return st, NewError(CauseStateUnreadable)
	}
	if !st.isBoundTo(r.Cookie) && st.Challenge == "" {
		return st, NewError(CauseOtherBrowser)
	}
	return st, nil
}

// claimState checks that the state is fresh and claims it.
func (s *Service) claimState(ctx context.Context, st state) error {
	if !s.isFresh(st.IssuedAt, StateLifetime) {
		return &Error{Code: InvalidState, Message: messageTooLong}
	}
	claimed, err := s.opts.Once.Claim(ctx, "state:"+st.ID, StateLifetime+clockSkew)
	switch {
	case err != nil:
		return AsError(err)
	case !claimed:
		return &Error{Code: InvalidState, Message: messageAlreadyFinished}
	}
	return nil
}

// handoff is the proof that a person signed in at TikTok, on its way to the app. It is not a session and
// does not give one by itself: that takes the verifier, or the flow cookie.
type handoff struct {
	Redacted
	handoffData
}

type handoffData struct {
	ID           string   `json:"i"`
	OpenID       string   `json:"o"`
	Scopes       []string `json:"g,omitempty"`
	AccessToken  string   `json:"a,omitempty"` // TikTok's, for the profile
	RefreshToken string   `json:"f,omitempty"` // TikTok's, only where the session returns it
	ExpiresIn    int64    `json:"e,omitempty"` // of AccessToken, in seconds, only where the session returns it
	FlowID       string   `json:"n"`
	Challenge    string   `json:"c,omitempty"`
	Binder       string   `json:"b,omitempty"`
	IssuedAt     int64    `json:"t"`
}

func (s *Service) sealHandoff(st state, id Identity) (string, error) {
	h := handoffData{
		ID: newToken(), OpenID: id.OpenID, Scopes: id.Scopes, AccessToken: id.AccessToken,
		FlowID: st.flowID(), Challenge: st.Challenge, IssuedAt: s.opts.Now().Unix(),
	}
	if st.Challenge == "" {
		h.Binder = st.Binder
	}
	if s.opts.ReturnTokens {
		h.RefreshToken, h.ExpiresIn = id.RefreshToken, int64(id.ExpiresIn.Seconds())
	}
	payload, err := json.Marshal(h) //nolint:gosec // sealed before it goes anywhere
	if err != nil {
		return "", err
	}
	return s.opts.Sealer.Seal(purposeHandoff, payload), nil
}

// openHandoff opens the handoff and checks that it is fresh and that whoever redeems it started the flow.
func (s *Service) openHandoff(r RedeemRequest) (handoff, error) {
	var h handoff
	if len(r.Handoff) > maxHandoff {
		return h, NewError(CauseHandoffUnreadable)
	}
	payload, err := s.opts.Sealer.Open(purposeHandoff, r.Handoff)
	if err != nil || json.Unmarshal(payload, &h.handoffData) != nil {
		return h, NewError(CauseHandoffUnreadable)
	}
	if !s.isFresh(h.IssuedAt, HandoffLifetime) {
		return handoff{}, NewError(CauseHandoffExpired)
	}
	if !h.isProvenBy(r) {
		return handoff{}, NewError(CauseHandoffProof)
	}
	return h, nil
}

// isProvenBy reports whether the request has the verifier or, where the app sent no challenge, the cookie.
func (h handoff) isProvenBy(r RedeemRequest) bool {
	if h.Challenge != "" {
		return r.Verifier != "" && equal(hash(r.Verifier), h.Challenge)
	}
	return r.Cookie != nil && equal(hash(r.Cookie(h.FlowID)), h.Binder)
}

func (s *Service) claimHandoff(ctx context.Context, h handoff) error {
	claimed, err := s.opts.Once.Claim(ctx, "handoff:"+h.ID, HandoffLifetime+clockSkew)
	switch {
	case err != nil:
		return AsError(err)
	case !claimed:
		return NewError(CauseHandoffUsed)
	}
	return nil
}

// isFresh reports whether a token issued then, in Unix seconds, has not outlived its lifetime.
func (s *Service) isFresh(issuedAt int64, lifetime time.Duration) bool {
	age := s.opts.Now().Sub(time.Unix(issuedAt, 0))
	return age >= -clockSkew && age <= lifetime
}

// newToken returns 256 random bits in 43 characters, which is also a PKCE verifier (RFC 7636, section 4.1).
func newToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program first
	return base64.RawURLEncoding.EncodeToString(b)
}

// hash is the S256 transformation of RFC 7636, section 4.2.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// isChallenge reports whether s has the form of base64url(SHA-256(x)) (RFC 7636, section 4.2).
func isChallenge(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	// Decoding skips line breaks, so the length counts too.
	return err == nil && len(raw) == sha256.Size && len(s) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

// isVerifier reports whether s has the form of a verifier (RFC 7636, section 4.1). A shorter one could be
// guessed from its challenge, which travels in addresses.
func isVerifier(s string) bool {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(s) >= minVerifier && len(s) <= maxVerifier && strings.Trim(s, unreserved) == ""
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
