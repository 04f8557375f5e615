package signin

import (
	"context"
	"encoding/json"
)

// Platform is where the app runs, which decides how the person gets back to it.
type Platform string

// The platforms.
const (
	PlatformWeb    Platform = "web"    // by a redirect
	PlatformNative Platform = "native" // by a deeplink
	// PlatformClient is an OpenID client, such as Supabase itself, to which pkg/provider leads back.
	PlatformClient Platform = "client"
)

// BeginRequest is what an app sends to start a sign-in.
type BeginRequest struct {
	Platform Platform
	// Scheme is a native app's deeplink scheme; empty: the first one allowed.
	Scheme string
	// RedirectTo is the page of a web app to return to; empty: the default page.
	RedirectTo string
	// Challenge is base64url(SHA-256(verifier)); whoever holds the verifier gets the session. A web app
	// on the bridge's own site may leave it out: the session then goes to the browser with the flow cookie.
	Challenge string
	// SelectAccount always shows TikTok's consent page.
	SelectAccount bool
}

// Begun is a started sign-in.
type Begun struct {
	Redacted
	// AuthorizeURL is where to send the person.
	AuthorizeURL string
	// FlowID names the flow cookie, and Binder is its value: it binds the flow to this browser.
	FlowID, Binder string
}

// Begin starts the hosted flow.
func (s *Service) Begin(ctx context.Context, r BeginRequest) (Begun, error) {
	if err := s.checkBegin(&r); err != nil {
		return Begun{}, err
	}
	return s.begin(ctx, stateData{
		Platform: r.Platform, Scheme: r.Scheme, RedirectTo: r.RedirectTo, Challenge: r.Challenge,
	}, r.SelectAccount)
}

// ClientRequest is a sign-in that an OpenID client asks for. pkg/provider has vetted it.
type ClientRequest struct {
	Redacted
	// Request is what the provider must know at the end: JSON, of 4,096 bytes at most. It travels in the sealed state.
	Request string
	// Challenge is the client's PKCE challenge. Without one, only the browser that starts the sign-in can
	// finish it.
	Challenge string
	// SelectAccount always shows TikTok's consent page. Who sends the person there may take that out of the address,
	// so a sign-in that ends in another browser is to be confirmed; see [Return].
	SelectAccount bool
}

// BeginForClient starts the provider flow.
func (s *Service) BeginForClient(ctx context.Context, r ClientRequest) (Begun, error) {
	if s.opts.CallbackURL == "" {
		return Begun{}, NewError(CauseNoPublicURL)
	}
	return s.begin(ctx, stateData{
		Platform: PlatformClient, Request: json.RawMessage(r.Request), Challenge: r.Challenge, Asks: r.SelectAccount,
	}, r.SelectAccount)
}

// begin seals the state and returns where to send the person with it.
func (s *Service) begin(ctx context.Context, data stateData, selectAccount bool) (Begun, error) {
	binder := newToken()
	data.ID, data.Verifier, data.Binder = newToken(), newToken(), hash(binder)
	data.IssuedAt = s.opts.Now().Unix()
	st := state{stateData: data}
	sealed, err := s.sealState(st)
	if err != nil {
		return Begun{}, AsError(err)
	}
	ReportFrom(ctx).SetOutcome(OutcomeStarted)
	return Begun{
		AuthorizeURL: s.opts.Authenticator.AuthorizeURL(AuthorizeRequest{
			RedirectURI:   s.opts.CallbackURL,
			State:         sealed,
			Verifier:      st.Verifier,
			SelectAccount: selectAccount,
		}),
		FlowID: st.flowID(),
		Binder: binder,
	}, nil
}

// emptyChallenge is what a script sends that lost its verifier. Everybody knows that verifier.
var emptyChallenge = hash("")

// checkBegin rejects what is not allowed and fills in the operator's defaults.
func (s *Service) checkBegin(r *BeginRequest) error {
	switch {
	case s.opts.Accounts == nil:
		return NewError(CauseNoAccounts)
	case s.opts.CallbackURL == "":
		return NewError(CauseNoPublicURL)
	case r.Challenge == emptyChallenge:
		return invalid("The parameter challenge is the hash of an empty verifier. " +
			"Make a random verifier first, then send base64url(SHA-256(verifier)).")
	case r.Challenge != "" && !isChallenge(r.Challenge):
		return invalid("The parameter challenge must be base64url(SHA-256(verifier)), 43 characters.")
	}
	switch r.Platform {
	case PlatformNative:
		return s.checkNative(r)
	case PlatformWeb:
		return s.checkWeb(r)
	}
	return invalid("The parameter platform must be web or native.")
}

func (s *Service) checkNative(r *BeginRequest) error {
	r.RedirectTo = ""
	if r.Scheme == "" {
		r.Scheme = s.opts.DefaultScheme
	}
	switch {
	case r.Challenge == "":
		return invalid("The parameter challenge is missing. A native app must send base64url(SHA-256(verifier)): " +
			"other apps may see its deeplinks.")
	case r.Scheme == "":
		return NewError(CauseNoScheme)
	case !s.opts.Policy.Scheme(r.Scheme):
		return NewError(CauseSchemeNotAllowed)
	}
	return nil
}

func (s *Service) checkWeb(r *BeginRequest) error {
	r.Scheme = ""
	if r.RedirectTo == "" {
		r.RedirectTo = s.opts.DefaultRedirect
	}
	switch {
	case r.RedirectTo == "":
		return NewError(CauseNoReturnPage)
	case !s.opts.Policy.ReturnTo(r.RedirectTo):
		return NewError(CauseReturnNotAllowed)
	}
	return nil
}

func invalid(message string) error { return &Error{Code: InvalidRequest, Message: message} }
