package supabase

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// apiError is an error answer of GoTrue or of the gateway in front of it. It keeps no text of the answer,
// since texts may quote addresses.
type apiError struct {
	status int
	code   string // GoTrue's error code, "" when the answer had none
	reason reason // "" when the text of the answer is not known
	header http.Header
	old    bool // in a form that only versions before MinVersion have
}

// MinVersion is the oldest GoTrue with what the bridge needs: error codes, and users whose id and password
// hash an admin chooses (supabase/auth, CHANGELOG.md).
const MinVersion = "2.155.0"

// ErrOldGoTrue is an answer of a GoTrue before MinVersion.
var ErrOldGoTrue = errors.New("GoTrue is older than " + MinVersion + ", which the bridge needs")

// Error implements error.
func (e *apiError) Error() string {
	if e.old {
		return fmt.Sprintf("status %d: %v", e.status, ErrOldGoTrue)
	}
	text := fmt.Sprintf("status %d", e.status)
	if e.code != "" {
		text += " " + e.code
	}
	if e.reason != "" {
		text += " (" + string(e.reason) + ")"
	}
	return text
}

// Unwrap returns ErrOldGoTrue or nil.
func (e *apiError) Unwrap() error {
	if e.old {
		return ErrOldGoTrue
	}
	return nil
}

// newAPIError reads the error code (GoTrue internal/api/errors.go). It understands both generations of
// bodies, since some gateways and proxies drop the API version header.
func newAPIError(resp *http.Response, body []byte) *apiError {
	e := &apiError{status: resp.StatusCode, header: resp.Header}
	e.code = upstream.Code(resp.Header.Get("X-Sb-Error-Code"))
	var parsed struct {
		Code        any    `json:"code"`
		ErrorCode   string `json:"error_code"`
		Message     string `json:"message"`
		Msg         string `json:"msg"`
		OAuth       string `json:"error"` // of /token, which has no code then
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &parsed) != nil {
		return e
	}
	e.reason = reasonOf(cmp.Or(parsed.Message, parsed.Msg, parsed.Description))
	if parsed.OAuth == "server_error" { // with the status 400 (internal/api/errors.go)
		e.reason = reasonServerError
	}
	if e.code != "" {
		return e
	}
	code, _ := parsed.Code.(string)
	e.code = upstream.Code(cmp.Or(code, parsed.ErrorCode, parsed.OAuth))
	// Before error codes, GoTrue repeated the status.
	status, isNumber := parsed.Code.(float64)
	e.old = isNumber && int(status) == e.status && parsed.ErrorCode == "" && parsed.Msg != ""
	return e
}

// hasCode reports whether err is an answer with one of these codes of GoTrue.
func hasCode(err error, codes ...string) bool {
	var e *apiError
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.code == code {
			return true
		}
	}
	return false
}

// IsFault reports whether an answer shows that the whole project is down. A 500 with GoTrue's own error code
// does not: it stands for anything unexpected in one request, such as a lost race or an account its owner
// made odd, and must not keep others out. A paused project answers at once, and everybody should be told so.
func IsFault(resp *http.Response) bool {
	return resp.StatusCode > http.StatusInternalServerError && resp.StatusCode != statusPaused ||
		resp.StatusCode == http.StatusInternalServerError && resp.Header.Get("X-Sb-Error-Code") == ""
}

// statusPaused is what Supabase's gateway answers for a project that is paused.
const statusPaused = 540

// isPassing reports whether another attempt may well succeed: after a fault of GoTrue or of what is in front
// of it, or a broken connection. It is false for a call that timed out, and for one that was not made because
// GoTrue is known to be down.
func isPassing(err error) bool {
	var e *apiError
	if errors.As(err, &e) {
		return e.status >= http.StatusInternalServerError && e.status != statusPaused || e.reason == reasonServerError
	}
	if errors.Is(err, errAnchorLost) { // an admin may have been at work on the account
		return true
	}
	var open *upstream.OpenError
	return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) &&
		!errors.Is(err, upstream.ErrBusy) && !errors.As(err, &open) &&
		signin.CodeOf(err) == signin.SupabaseUnavailable
}

// retryAfter is the advice for 429, which GoTrue answers without a Retry-After: at its default of 30
// requests in five minutes, a bucket gains one request every ten seconds.
const retryAfter = 10 * time.Second

// busyFor is the advice while other large answers are read.
const busyFor = 5 * time.Second

// failure turns the error of a call into a *signin.Error. The answer stays inside, where hasCode finds it.
func failure(call string, err error) error {
	if err == nil {
		return nil
	}
	var known *signin.Error
	if errors.As(err, &known) {
		return known
	}
	var e *apiError
	if !errors.As(err, &e) {
		return noAnswer(call, err)
	}
	out := signin.NewError(causeOf(call, e))
	out.Call, out.Err = call, e
	out.Upstream = signin.Upstream{Service: service, Status: e.status, Code: e.code}
	switch {
	case out.Code == signin.RateLimited:
		out.RetryAfter = upstream.RetryAfter(e.header, retryAfter)
	case e.status >= http.StatusInternalServerError:
		out.RetryAfter = upstream.RetryAfter(e.header, 0)
	}
	return out
}

// noAnswer is the error of a call without an answer, or with one that makes no sense.
func noAnswer(call string, err error) *signin.Error {
	detail := cause(err)
	because := signin.CauseSupabaseFails
	var sent *url.Error
	switch {
	case errors.Is(err, errAnchorLost):
		because = signin.CauseAnchorLost
	case errors.Is(err, errOtherIdentity):
		because = signin.CauseOtherIdentity
	case errors.As(detail, &sent), errors.Is(err, context.DeadlineExceeded):
		because = signin.CauseSupabaseUnreachable
	}
	out := signin.NewError(because)
	out.Call, out.Upstream, out.Err = call, signin.Upstream{Service: service}, upstream.NoAnswer(detail)
	var open *upstream.OpenError
	switch {
	case errors.As(err, &open):
		out.RetryAfter = open.RetryAfter
	case errors.Is(err, upstream.ErrBusy):
		out.RetryAfter = busyFor
	}
	return out
}

// causeOf says why GoTrue, a hook, or what is in front of GoTrue refuses a call (GoTrue
// internal/api/apierrors/errorcode.go, internal/hooks).
func causeOf(call string, e *apiError) signin.Cause {
	if call == callIDToken {
		if c := idTokenCause(e); c != "" {
			return c
		}
	}
	switch e.code {
	case "user_banned":
		return signin.CauseBanned
	case "otp_expired":
		return signin.CauseLinkSuperseded
	case "signup_disabled", "email_provider_disabled", "provider_disabled", "captcha_failed":
		return signin.CauseSettingRefuses
	case "hook_timeout", "hook_timeout_after_retry":
		return signin.CauseHookTimeout
	case "hook_payload_over_size_limit", "hook_payload_invalid_content_type":
		return signin.CauseHookFails
	case "not_admin":
		return signin.CauseSupabaseNotAdmin
	}
	switch {
	case e.status == http.StatusTooManyRequests:
		return signin.CauseSupabaseLimit
	// A hook that says no chooses the status, and GoTrue has no code for it (hookserrors.Check).
	case signsIn(call) && e.code == "unknown" && e.status < http.StatusInternalServerError:
		return signin.CauseHookRefuses
	case e.status == http.StatusPaymentRequired, e.status == statusPaused:
		return signin.CauseSupabaseRestricted
	// A trigger that raises, or a hook that is broken. A race can end so too, which is why each is tried twice.
	case call == callCreateUser && isUnexpected(e):
		return signin.CauseCreateFails
	case signsIn(call) && isUnexpected(e):
		return signin.CauseHookFails
	case isUnexpected(e), e.reason == reasonServerError:
		return signin.CauseDatabaseFails
	case e.status >= http.StatusInternalServerError:
		return signin.CauseSupabaseFails
	case e.status == http.StatusUnauthorized, e.status == http.StatusForbidden:
		return signin.CauseSupabaseKeys
	case e.old:
		return signin.CauseSupabaseTooOld
	case e.status == http.StatusNotFound && e.code == "":
		return signin.CauseSupabaseNotFound
	case e.status/100 == 3:
		return signin.CauseSupabaseRedirects
	}
	return signin.CauseSupabaseRefuses
}

// signsIn reports whether a call is the one that makes the session, in which the project's hooks take part.
func signsIn(call string) bool { return call == callVerify || call == callIDToken }

// isUnexpected reports GoTrue's own 500, which is most often about the database. One of a proxy has no code.
func isUnexpected(e *apiError) bool {
	return e.status == http.StatusInternalServerError && e.code != ""
}

// cause strips what net/http and gotrue-go wrap around an error. It drops decoding errors, which quote what
// they could not decode (time.ParseError, uuid).
func cause(err error) error {
	for _, own := range []error{
		errNoSession, errNoLink, errNoAccount, errNotOwned, errAnchorLost, errOtherAccount, errNotGoTrue, errUnreadable,
		errOtherIdentity,
	} {
		if errors.Is(err, own) {
			return own
		}
	}
	var sent *url.Error
	if errors.As(err, &sent) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("unexpected error (%T)", err)
}

// What an answer lacks although it can be read.
var (
	errNoSession = errors.New("answer is no session of the vetted account")
	errNoLink    = errors.New("answer is no link to an account")
	errNoAccount = errors.New("answer is not the account that was changed")
	errNotOwned  = errors.New("the account with the person's id does not carry their anchor")
	// errAnchorLost: the anchor was set, and is gone.
	errAnchorLost = errors.New("the anchor in app_metadata was set and is gone again")
	// errOtherIdentity: the session is not for the person in the id_token.
	errOtherIdentity = errors.New("the session's user does not have the identity in the id_token")

	errOtherAccount = errors.New("answer is another account than was asked for")
	errNotGoTrue    = errors.New("answer is not GoTrue's")
	errUnreadable   = errors.New("answer cannot be read: metadata too large or nested too deep")
)
