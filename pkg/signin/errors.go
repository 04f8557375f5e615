package signin

import (
	"errors"
	"log/slog"
	"time"
)

// Code names the kind of a failure. Codes are part of the public contract: clients branch on them,
// so a code is never renamed, and its meaning, cause and fix are documented in docs/errors.md.
type Code string

// All codes. Where RFC 6749 (sections 4.1.2.1 and 5.2) has a name for the case, it is used.
const (
	// InvalidRequest: the request itself is malformed; sending it again changes nothing.
	InvalidRequest Code = "invalid_request"
	// InvalidState: the state is missing, foreign, expired or used; start the sign-in again.
	InvalidState Code = "invalid_state"
	// AccessDenied: the person cancelled at TikTok or may not use this app.
	AccessDenied Code = "access_denied"
	// InvalidGrant: TikTok does not accept the code (expired, already used, not its own), or the person's
	// grant to the app is over.
	InvalidGrant Code = "invalid_grant"
	// RedirectURIMismatch: the redirect_uri is not allowed here or not the one TikTok was given.
	RedirectURIMismatch Code = "redirect_uri_mismatch"
	// OriginNotAllowed: a browser page calls from an origin that app.origins does not list.
	OriginNotAllowed Code = "origin_not_allowed"
	// SchemeNotAllowed: the deeplink scheme is not listed in app.deeplink_schemes.
	SchemeNotAllowed Code = "scheme_not_allowed"
	// HandoffInvalid: the handoff is expired, used, or its verifier does not fit.
	HandoffInvalid Code = "handoff_invalid"
	// AccountConflict: the account with this person's address cannot be proven to be theirs.
	AccountConflict Code = "account_conflict"
	// UserBanned: the Supabase user is banned.
	UserBanned Code = "user_banned"
	// SignInRefused: a hook or a setting of the project, or the own backend, says no to this person.
	SignInRefused Code = "sign_in_refused"
	// RateLimited: too many attempts; wait for Error.RetryAfter.
	RateLimited Code = "rate_limited"
	// TikTokUnavailable: TikTok did not answer, or answered with a fault of its own.
	TikTokUnavailable Code = "tiktok_unavailable"
	// TikTokMisconfigured: TikTok refuses the client key, the secret or the requested scopes.
	TikTokMisconfigured Code = "tiktok_misconfigured"
	// SupabaseUnavailable: Supabase did not answer, or answered with a fault of its own.
	SupabaseUnavailable Code = "supabase_unavailable"
	// SupabaseMisconfigured: Supabase refuses the bridge, or something in the project breaks sign-ins.
	SupabaseMisconfigured Code = "supabase_misconfigured"
	// SupabaseRestricted: the project is paused, over its quota, or has an unpaid bill.
	SupabaseRestricted Code = "supabase_restricted"
	// BackendUnavailable: the app's own backend did not answer, or not with a session.
	BackendUnavailable Code = "backend_unavailable"
	// Internal: a fault of the bridge.
	Internal Code = "internal"
)

// Codes lists every code once, in the order of the documentation.
func Codes() []Code {
	return []Code{
		InvalidRequest, InvalidState, AccessDenied, InvalidGrant, RedirectURIMismatch,
		OriginNotAllowed, SchemeNotAllowed, HandoffInvalid, AccountConflict, UserBanned,
		SignInRefused, RateLimited, TikTokUnavailable, TikTokMisconfigured, SupabaseUnavailable,
		SupabaseMisconfigured, SupabaseRestricted, BackendUnavailable, Internal,
	}
}

// Error is the one error type that leaves this package and its adapters.
type Error struct {
	// Code is what a program branches on.
	Code Code
	// Cause says why, where somebody can fix it; empty elsewhere.
	Cause Cause
	// Message is one or two sentences for a person: what happened and what to do. It never names a setting,
	// and never holds anything an upstream wrote.
	Message string
	// RetryAfter is how long to wait before another attempt makes sense; 0 when waiting is no help.
	RetryAfter time.Duration
	// Call is the upstream call that failed, as metrics and traces name it, such as "token" or
	// "generate_link"; "authorize" is TikTok's consent page. Empty if the sign-in failed on no call.
	Call string
	// Upstream is what the other side answered, for the log alone.
	Upstream Upstream
	// Origin is the origin of the page that was refused, if it looks like one: for the log, and for the
	// developer in tikbridge dev.
	Origin string
	// Err is the cause in detail, for the log alone.
	Err error
}

// NewError returns an Error with the code and the message of its cause.
func NewError(c Cause) *Error { return &Error{Code: c.Code(), Cause: c, Message: c.Message()} }

// Upstream identifies an answer of an upstream well enough to find it in its logs. It holds
// codes and numbers only, no text: texts may quote what was sent.
type Upstream struct {
	// Service is "tiktok", "supabase" or "backend".
	Service string
	// Status is the HTTP status, 0 when there was no answer.
	Status int
	// Code is the error code in the answer, such as "invalid_grant" or "otp_expired".
	Code string
	// LogID is TikTok's log_id, which its support asks for.
	LogID string
}

// Error implements error. The text is for logs; users see Message.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Call != "" {
		s = e.Call + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// LogAttrs returns what an operator needs to find the cause, without a secret and without a name.
func (e *Error) LogAttrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("error", string(e.Code))}
	if e.Call != "" {
		attrs = append(attrs, slog.String("call", e.Call))
	}
	if u := e.Upstream; u.Service != "" {
		attrs = append(attrs, slog.String("upstream", u.Service))
		if u.Status != 0 {
			attrs = append(attrs, slog.Int("upstream_status", u.Status))
		}
		if u.Code != "" {
			attrs = append(attrs, slog.String("upstream_code", u.Code))
		}
		if u.LogID != "" {
			attrs = append(attrs, slog.String("tiktok_log_id", u.LogID))
		}
	}
	if e.Origin != "" {
		attrs = append(attrs, slog.String("origin", e.Origin))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	if fix := e.Cause.Fix(); fix != "" {
		attrs = append(attrs, slog.String("fix", fix))
	}
	return attrs
}

// AsError returns err as an *Error. Anything else is a fault of the bridge: [Internal], with a
// message that gives nothing away.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{
		Code:    Internal,
		Message: "Something went wrong on our side. Please try again.",
		Err:     err,
	}
}

// CodeOf returns the code of err, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}
