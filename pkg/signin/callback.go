package signin

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// CallbackRequest is what TikTok's redirect brought.
type CallbackRequest struct {
	Redacted
	State string
	Code  string
	// Error is TikTok's code. Its error_description is left out: anybody can write an address.
	Error string
	// GrantedScopes is TikTok's list of what the person agreed to; empty if TikTok did not say.
	GrantedScopes []string
	// Cookie returns the value of a flow's cookie, "" if the browser has none.
	Cookie func(flowID string) string
}

// Return is the way back to the app.
type Return struct {
	Redacted
	Platform   Platform
	Scheme     string // of a native app
	RedirectTo string // page of a web app
	// Handoff is what the app redeems; empty if the sign-in failed.
	Handoff string
	FlowID  string
	// KeepCookie is true if redeeming needs the flow cookie.
	KeepCookie bool
	// Request is the one of ClientRequest and Identity who signed in, in the provider flow. Identity is empty
	// if the sign-in failed.
	Request  string
	Identity Identity
	// Confirm is true if the person must be asked and TikTok may not have done so: somebody else may have sent them
	// to TikTok, by an address of their own making.
	Confirm bool
}

// Callback handles TikTok's redirect. An error with a Return belongs to a sign-in that this browser
// started, or whose app holds a verifier, and goes back to the app. An error without a Return cannot be
// trusted to belong to anybody and ends here.
func (s *Service) Callback(ctx context.Context, r CallbackRequest) (*Return, error) {
	st, err := s.openState(r)
	if err != nil {
		return nil, err
	}
	back := &Return{
		Platform: st.Platform, Scheme: st.Scheme, RedirectTo: st.RedirectTo, FlowID: st.flowID(),
		Request: string(st.Request),
	}
	if st.Platform == PlatformClient {
		ReportFrom(ctx).SetFlow(FlowProvider)
		back.Confirm = st.Asks && !st.isBoundTo(r.Cookie)
	}
	if err := s.claimState(ctx, st); err != nil {
		return back, err
	}
	if err := checkAnswer(r); err != nil {
		return back, err
	}
	id, err := s.opts.Authenticator.Exchange(ctx, Grant{
		Code:         r.Code,
		RedirectURI:  s.opts.CallbackURL,
		CodeVerifier: s.opts.Authenticator.CodeVerifier(st.Verifier),
	})
	if err != nil {
		return back, err
	}
	ReportFrom(ctx).SetOutcome(OutcomeHandedOff)
	if st.Platform == PlatformClient {
		back.Identity = id
		return back, checkIdentity(id)
	}
	if back.Handoff, err = s.sealHandoff(st, id); err != nil {
		return back, AsError(err)
	}
	back.KeepCookie = st.Challenge == ""
	return back, nil
}

// callAuthorize names TikTok's consent page in errors, beside the calls that the clients name.
const callAuthorize = "authorize"

// checkAnswer turns TikTok's refusal into an error of ours (TikTok docs: OAuth Error Handling).
func checkAnswer(r CallbackRequest) error {
	upstream := Upstream{Service: "tiktok"}
	if isErrorCode(r.Error) {
		upstream.Code = r.Error
	}
	fail := func(err *Error) error {
		err.Call, err.Upstream = callAuthorize, upstream
		return err
	}
	switch r.Error {
	case "":
	case "access_denied":
		return fail(&Error{
			Code: AccessDenied, Message: messageDeclined,
		})
	case "server_error", "temporarily_unavailable":
		return fail(NewError(CauseTikTokFails))
	case "invalid_scope", "unauthorized_client":
		return fail(NewError(CauseTikTokScopes))
	case "invalid_client", "unsupported_response_type", "invalid_request":
		return fail(NewError(CauseTikTokCredentials))
	default:
		return fail(NewError(CauseTikTokDenies))
	}
	switch {
	case r.Code == "" || len(r.Code) > maxCode:
		return fail(&Error{Code: InvalidRequest, Message: messageNoCode})
	case isEncoded(r.Code):
		return fail(&Error{
			Code: InvalidRequest, Message: messageDamaged,
			Err: errors.New("the code is URL-encoded twice: check the proxies in front of the bridge"),
		})
	case len(r.GrantedScopes) > 0 && !slices.Contains(r.GrantedScopes, scopeBasic):
		return fail(NewError(CauseNoBasicScope))
	}
	return nil
}

// scopeBasic is the scope without which TikTok says nothing about a person.
const scopeBasic = "user.info.basic"

// isErrorCode reports whether s looks like a code of RFC 6749: short words of lower-case letters. Anything
// else may be whatever somebody wrote into the address, and stays out of the log.
func isErrorCode(s string) bool {
	const longest, longestWord = 64, 20
	for word := range strings.SplitSeq(s, "_") {
		if word == "" || len(word) > longestWord || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return len(s) <= longest
}
