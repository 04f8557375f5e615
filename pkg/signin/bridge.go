package signin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Sealer makes tokens that only the bridge can read and make, for one purpose each. pkg/seal
// implements it.
type Sealer interface {
	Seal(purpose string, payload []byte) string
	// Open fails for a token that was changed, is of another purpose or not the bridge's.
	Open(purpose, token string) ([]byte, error)
}

// Once tells whether something happens for the first time. pkg/once implements it.
type Once interface {
	// First returns true to exactly one caller with this key until ttl is over.
	First(ctx context.Context, key string, ttl time.Duration) (bool, error)
}

// Platform is where the app runs, which decides how the person gets back to it.
type Platform string

// The platforms.
const (
	PlatformWeb    Platform = "web"    // by a redirect
	PlatformNative Platform = "native" // by a deeplink
)

// How long the tokens of the bridge-led flow are good for.
const (
	// StateLifetime is how long a person may take at TikTok.
	StateLifetime = 10 * time.Minute
	// HandoffLifetime is how long the app may take to redeem.
	HandoffLifetime = time.Minute
)

// The purposes of sealed tokens.
const (
	purposeState   = "state"
	purposeHandoff = "handoff"
)

// IsState tells whether token is a state that a bridge with these keys made, however old.
func IsState(s Sealer, token string) bool {
	_, err := s.Open(purposeState, token)
	return err == nil
}

// BeginRequest is what an app asks for when it starts a sign-in.
type BeginRequest struct {
	Platform Platform
	// Scheme is the deeplink scheme of a native app; empty: the first one allowed.
	Scheme string
	// RedirectTo is the page of a web app to come back to; empty: the default one.
	RedirectTo string
	// Challenge is base64url(SHA-256(verifier)); whoever holds the verifier gets the session. A web
	// app on the same site as the bridge may do without: the session then goes to the browser that
	// holds the flow cookie.
	Challenge string
	// SelectAccount always shows TikTok's consent page.
	SelectAccount bool
}

// Begun is a started sign-in.
type Begun struct {
	// AuthorizeURL is where to send the person.
	AuthorizeURL string
	// FlowID names the flow's cookie, Binder is its value: it ties the flow to this browser.
	FlowID, Binder string
}

// Format keeps the binder and the state out of anything that prints it.
func (Begun) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps them out of logs.
func (Begun) LogValue() slog.Value { return slog.StringValue(redacted) }

// state is what the bridge has to remember while the person is at TikTok. It travels sealed, as the
// state parameter, so that any replica can take the callback.
type state struct {
	ID         string   `json:"i"`
	Platform   Platform `json:"p"`
	Scheme     string   `json:"s,omitempty"`
	RedirectTo string   `json:"r,omitempty"`
	Verifier   string   `json:"v,omitempty"` // PKCE towards TikTok
	Challenge  string   `json:"c,omitempty"` // from the app
	Binder     string   `json:"b"`           // hash of the flow cookie
	IssuedAt   int64    `json:"t"`
}

// handoff is the proof that a person signed in at TikTok, on its way to the app. It is no session
// and makes none by itself: it needs the verifier, or the flow cookie.
type handoff struct {
	ID           string   `json:"i"`
	OpenID       string   `json:"o"`
	Scopes       []string `json:"g,omitempty"`
	AccessToken  string   `json:"a,omitempty"` // TikTok's, for the profile
	RefreshToken string   `json:"f,omitempty"` // TikTok's, only where the session returns it
	FlowID       string   `json:"n"`
	Challenge    string   `json:"c,omitempty"`
	Binder       string   `json:"b,omitempty"`
	IssuedAt     int64    `json:"t"`
}

// Begin starts the bridge-led flow.
func (s *Service) Begin(ctx context.Context, r BeginRequest) (Begun, error) {
	if err := s.checkBegin(&r); err != nil {
		return Begun{}, err
	}
	binder := newToken()
	st := state{
		ID: newToken(), Platform: r.Platform, Scheme: r.Scheme, RedirectTo: r.RedirectTo,
		Verifier: newToken(), Challenge: r.Challenge, Binder: hash(binder), IssuedAt: s.opts.Now().Unix(),
	}
	payload, err := marshal(st)
	if err != nil {
		return Begun{}, AsError(err)
	}
	ReportFrom(ctx).SetOutcome(OutcomeStarted)
	return Begun{
		AuthorizeURL: s.opts.Authenticator.AuthorizeURL(AuthorizeRequest{
			RedirectURI:   s.opts.CallbackURL,
			State:         s.opts.Sealer.Seal(purposeState, payload),
			Verifier:      st.Verifier,
			SelectAccount: r.SelectAccount,
		}),
		FlowID: st.flowID(),
		Binder: binder,
	}, nil
}

// challengeLength is the length of base64url(SHA-256(x)) (RFC 7636, section 4.2).
const challengeLength = 43

// emptyChallenge is what a script sends that lost its verifier: everybody knows that verifier.
var emptyChallenge = hash("")

// checkBegin vets a request and fills in what it leaves to the operator.
func (s *Service) checkBegin(r *BeginRequest) error {
	invalid := func(message string) error { return &Error{Code: InvalidRequest, Message: message} }
	if s.opts.CallbackURL == "" {
		return &Error{Code: InvalidRequest, Message: "This bridge cannot lead a sign-in: its operator has not set server.public_url."}
	}
	switch {
	case r.Challenge == emptyChallenge:
		return invalid("The parameter challenge is the hash of an empty verifier. " +
			"Make a random verifier first, then send base64url(SHA-256(verifier)).")
	case r.Challenge != "" && !isChallenge(r.Challenge):
		return invalid("The parameter challenge must be base64url(SHA-256(verifier)), 43 characters.")
	}
	switch r.Platform {
	case PlatformNative:
		if r.Scheme == "" {
			r.Scheme = s.opts.DefaultScheme
		}
		switch {
		case r.Challenge == "":
			return invalid("The parameter challenge is missing. A native app must send base64url(SHA-256(verifier)): other apps may see its deeplinks.")
		case r.Scheme == "" || !s.opts.Policy.Scheme(r.Scheme):
			return &Error{Code: SchemeNotAllowed, Message: "This deeplink scheme is not allowed here. The operator must list it in app.deeplink_schemes."}
		}
		r.RedirectTo = ""
	case PlatformWeb:
		if r.RedirectTo == "" {
			r.RedirectTo = s.opts.DefaultRedirect
		}
		if r.RedirectTo == "" {
			return invalid("The parameter redirect_to is missing, and the operator has set no page to stand in for it.")
		}
		if !s.opts.Policy.ReturnTo(r.RedirectTo) {
			return &Error{Code: RedirectURIMismatch, Message: "Sign-in is not set up for the page this app returns to. Please tell whoever runs the app."}
		}
		r.Scheme = ""
	default:
		return invalid("The parameter platform must be web or native.")
	}
	return nil
}

// CallbackRequest is what TikTok's redirect brought, and what the browser holds.
type CallbackRequest struct {
	State            string
	Code             string
	Error            string
	ErrorDescription string // TikTok's; never shown
	// GrantedScopes is TikTok's list of what the person agreed to; empty if TikTok did not say.
	GrantedScopes []string
	// Cookie returns the value of the cookie of a flow, "" if the browser has none.
	Cookie func(flowID string) string
}

// Format keeps the code out of anything that prints a request.
func (CallbackRequest) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps it out of logs.
func (CallbackRequest) LogValue() slog.Value { return slog.StringValue(redacted) }

// Return is the way back to the app.
type Return struct {
	Platform   Platform
	Scheme     string // of a native app
	RedirectTo string // page of a web app
	// Handoff is what the app redeems; empty if the sign-in failed.
	Handoff string
	FlowID  string
	// KeepCookie tells that redeeming needs the flow cookie.
	KeepCookie bool
}

// Format keeps the handoff out of anything that prints it.
func (Return) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps it out of logs.
func (Return) LogValue() slog.Value { return slog.StringValue(redacted) }

// Callback takes TikTok's redirect. An error with a Return belongs to a sign-in that was started in
// this browser, or whose app holds a verifier, and goes back to the app. An error without one belongs
// to nobody that can be trusted, and ends here.
func (s *Service) Callback(ctx context.Context, r CallbackRequest) (*Return, error) {
	st, err := s.openState(r)
	if err != nil {
		return nil, err
	}
	back := &Return{Platform: st.Platform, Scheme: st.Scheme, RedirectTo: st.RedirectTo, FlowID: st.flowID()}
	if err := s.useState(ctx, st); err != nil {
		return back, err
	}
	if err := denied(r); err != nil {
		return back, err
	}
	done := ReportFrom(ctx).Time(StageExchange)
	id, err := s.opts.Authenticator.Exchange(ctx, Grant{r.Code, s.opts.CallbackURL, s.opts.Authenticator.CodeVerifier(st.Verifier)})
	done()
	if err != nil {
		return back, err
	}
	if back.Handoff, err = s.sealHandoff(st, id); err != nil {
		return back, err
	}
	back.KeepCookie = st.Challenge == ""
	ReportFrom(ctx).SetOutcome(OutcomeHandedOff)
	return back, nil
}

// openState reads the state and checks that it belongs to this browser (RFC 9700, section 2.1.2:
// bound to the user agent), or that its app has a verifier, without which the handoff is worthless:
// TikTok's own app may finish a flow in another browser than the one that began it.
func (s *Service) openState(r CallbackRequest) (state, error) {
	var st state
	invalid := &Error{Code: InvalidState, Message: "This sign-in was not started here, or its address is damaged. Please go back to the app and sign in again."}
	if len(r.State) > maxState {
		return st, invalid
	}
	payload, err := s.opts.Sealer.Open(purposeState, r.State)
	if err != nil || json.Unmarshal(payload, &st) != nil {
		return st, invalid
	}
	if !st.isBoundTo(r.Cookie) && st.Challenge == "" {
		return st, &Error{Code: InvalidState, Message: "This sign-in was started in another browser. Please go back to the app and sign in again."}
	}
	return st, nil
}

// useState checks that the state is fresh and marks it used.
func (s *Service) useState(ctx context.Context, st state) error {
	if age := s.age(st.IssuedAt); age < -clockSkew || age > StateLifetime {
		return &Error{Code: InvalidState, Message: "This sign-in took too long. Please sign in again."}
	}
	first, err := s.opts.Once.First(ctx, "state:"+st.ID, StateLifetime+clockSkew)
	if err != nil {
		return AsError(err)
	}
	if !first {
		return &Error{Code: InvalidState, Message: "This sign-in was already finished. Please sign in again."}
	}
	return nil
}

// denied turns TikTok's error return into ours (TikTok docs: OAuth Error Handling). Its words stay
// out: anybody can write an address.
func denied(r CallbackRequest) error {
	upstream := Upstream{Service: "tiktok", Code: r.Error}
	if !isErrorCode(r.Error) {
		upstream.Code = ""
	}
	fail := func(code Code, message string) *Error {
		return &Error{Code: code, Message: message, Stage: StageConsent, Upstream: upstream}
	}
	switch r.Error {
	case "":
	case "access_denied":
		return fail(AccessDenied, "You did not give this app access to your TikTok account.")
	case "server_error", "temporarily_unavailable":
		return fail(TikTokUnavailable, "TikTok does not answer as it should. Please try again in a moment.")
	case "invalid_scope", "unauthorized_client", "invalid_client", "unsupported_response_type", "invalid_request":
		return fail(TikTokMisconfigured, "TikTok refuses this app's credentials or scopes. The operator must check tiktok.client_key and tiktok.scopes.")
	default:
		return fail(AccessDenied, "TikTok did not grant access.")
	}
	switch {
	case r.Code == "" || len(r.Code) > maxCode:
		return fail(InvalidRequest, "TikTok sent no code. Please sign in again.")
	case isEncoded(r.Code):
		err := fail(InvalidRequest, "TikTok's answer arrived damaged. Please sign in again.")
		err.Err = errors.New("the code is URL-encoded twice: look at the proxies in front of the bridge")
		return err
	case len(r.GrantedScopes) > 0 && !containsScope(r.GrantedScopes, scopeBasic):
		return fail(AccessDenied, "Signing in needs access to your basic TikTok profile.")
	}
	return nil
}

// scopeBasic is the scope without which TikTok tells nothing about a person.
const scopeBasic = "user.info.basic"

func containsScope(scopes []string, scope string) bool {
	for _, s := range scopes {
		if s == scope {
			return true
		}
	}
	return false
}

// isErrorCode tells whether s looks like a code of RFC 6749: short words of small letters. Anything else may
// be whatever somebody wrote into the address, and stays out of the log.
func isErrorCode(s string) bool {
	const longest, longestWord = 64, 20
	for _, word := range strings.Split(s, "_") {
		if word == "" || len(word) > longestWord || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return len(s) <= longest
}

func (s *Service) sealHandoff(st state, id Identity) (string, error) {
	h := handoff{
		ID: newToken(), OpenID: id.OpenID, Scopes: id.Scopes, AccessToken: id.AccessToken,
		FlowID: st.flowID(), Challenge: st.Challenge, IssuedAt: s.opts.Now().Unix(),
	}
	if st.Challenge == "" {
		h.Binder = st.Binder
	}
	if s.opts.ReturnTokens {
		h.RefreshToken = id.RefreshToken
	}
	payload, err := json.Marshal(h) //nolint:gosec // it is sealed before it goes anywhere
	if err != nil {
		return "", AsError(err)
	}
	return s.opts.Sealer.Seal(purposeHandoff, payload), nil
}

// RedeemRequest is what an app sends to get its session.
type RedeemRequest struct {
	Handoff  string
	Verifier string
	// Cookie returns the value of the cookie of a flow, "" if the browser has none.
	Cookie func(flowID string) string
	Client netip.Addr
}

// Format keeps the handoff and the verifier out of anything that prints a request.
func (RedeemRequest) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps them out of logs.
func (RedeemRequest) LogValue() slog.Value { return slog.StringValue(redacted) }

// maxHandoff is more than any handoff has.
const maxHandoff = 8192

// Redeem turns a handoff into a session. Until now nothing was made at Supabase, so a handoff that
// is never redeemed leaves nothing behind.
func (s *Service) Redeem(ctx context.Context, r RedeemRequest) (Session, error) {
	switch {
	case r.Handoff == "":
		return Session{}, &Error{Code: InvalidRequest, Message: "The field handoff is missing: send the one from the address of your page."}
	case r.Verifier != "" && !isVerifier(r.Verifier):
		return Session{}, &Error{
			Code:    InvalidRequest,
			Message: "The field verifier must be 43 to 128 letters, digits, -, ., _ and ~, as RFC 7636 says.",
		}
	}
	h, err := s.openHandoff(r)
	if err != nil {
		return Session{}, err
	}
	// A wrong verifier has not used the handoff up: whoever caught it cannot spoil it.
	first, err := s.opts.Once.First(ctx, "handoff:"+h.ID, HandoffLifetime+clockSkew)
	if err != nil {
		return Session{}, AsError(err)
	}
	if !first {
		return Session{}, &Error{Code: HandoffInvalid, Message: "This handoff was already redeemed. Please sign in again."}
	}
	return s.mint(ctx, Identity{
		OpenID: h.OpenID, Scopes: h.Scopes, AccessToken: h.AccessToken, RefreshToken: h.RefreshToken,
	}, r.Client)
}

func (s *Service) openHandoff(r RedeemRequest) (handoff, error) {
	var h handoff
	if len(r.Handoff) > maxHandoff {
		return h, errHandoff()
	}
	payload, err := s.opts.Sealer.Open(purposeHandoff, r.Handoff)
	if err != nil || json.Unmarshal(payload, &h) != nil {
		return h, errHandoff()
	}
	if age := s.age(h.IssuedAt); age < -clockSkew || age > HandoffLifetime {
		return h, &Error{Code: HandoffInvalid, Message: "This handoff has expired. Please sign in again."}
	}
	proven := h.Challenge != "" && r.Verifier != "" && equal(hash(r.Verifier), h.Challenge) ||
		h.Challenge == "" && r.Cookie != nil && equal(hash(r.Cookie(h.FlowID)), h.Binder)
	if !proven {
		return h, &Error{Code: HandoffInvalid, Message: "This handoff belongs to another sign-in: the verifier does not fit. Please sign in again."}
	}
	return h, nil
}

// marshal is json.Marshal without its care for HTML, which makes six bytes of every & of an address: a
// state must stay shorter than maxState.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

func errHandoff() error {
	return &Error{Code: HandoffInvalid, Message: "This handoff is not one of this bridge. Please sign in again.", Err: errors.New("handoff does not open")}
}

// clockSkew is how far the clocks of two replicas may be apart.
const clockSkew = 30 * time.Second

func (s *Service) age(issuedAt int64) time.Duration { return s.opts.Now().Sub(time.Unix(issuedAt, 0)) }

// flowID names the flow in a cookie's name. It is no secret.
func (st state) flowID() string { return st.ID[:8] }

// isBoundTo tells whether the browser holds the cookie of the flow.
func (st state) isBoundTo(cookie func(string) string) bool {
	if cookie == nil || len(st.ID) < 8 {
		return false
	}
	value := cookie(st.flowID())
	return value != "" && equal(hash(value), st.Binder)
}

// newToken returns 256 random bits in 43 characters, which is also a PKCE verifier (RFC 7636,
// section 4.1).
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

func isChallenge(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(s) == challengeLength && len(raw) == sha256.Size
}

// isVerifier tells whether s has the form of a verifier (RFC 7636, section 4.1). A shorter one could be
// guessed from its challenge, which travels in addresses.
func isVerifier(s string) bool {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(s) >= minVerifier && len(s) <= maxVerifier && strings.Trim(s, unreserved) == ""
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
