package supabase

import (
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
	header http.Header
}

func (e *apiError) Error() string { return fmt.Sprintf("status %d %s", e.status, e.code) }

// newAPIError reads the error code (GoTrue internal/api/errors.go). It understands both generations of
// bodies, since some gateways and proxies drop the API version header.
func newAPIError(resp *http.Response, body []byte) *apiError {
	e := &apiError{status: resp.StatusCode, header: resp.Header}
	e.code = upstream.Code(resp.Header.Get("X-Sb-Error-Code"))
	if e.code != "" {
		return e
	}
	var parsed struct {
		Code      any    `json:"code"`
		ErrorCode string `json:"error_code"`
	}
	if json.Unmarshal(body, &parsed) != nil {
		return e
	}
	if code, ok := parsed.Code.(string); ok {
		e.code = upstream.Code(code)
	} else {
		e.code = upstream.Code(parsed.ErrorCode)
	}
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
// made odd, and must not keep others out.
func IsFault(resp *http.Response) bool {
	return resp.StatusCode > http.StatusInternalServerError ||
		resp.StatusCode == http.StatusInternalServerError && resp.Header.Get("X-Sb-Error-Code") == ""
}

// isPassing reports whether another attempt may well succeed: after a fault of GoTrue or of what is in front
// of it, or a broken connection. It is false for a call that timed out, and for one that was not made because
// GoTrue is known to be down.
func isPassing(err error) bool {
	var e *apiError
	if errors.As(err, &e) {
		return e.status >= http.StatusInternalServerError
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
		out := &signin.Error{
			Code: signin.SupabaseUnavailable, Message: unavailableMessage, Call: call,
			Upstream: signin.Upstream{Service: service}, Err: upstream.NoAnswer(cause(err)),
		}
		var open *upstream.OpenError
		switch {
		case errors.As(err, &open):
			out.RetryAfter = open.RetryAfter
		case errors.Is(err, upstream.ErrBusy):
			out.RetryAfter = busyFor
		}
		return out
	}
	out := &signin.Error{
		Call:     call,
		Upstream: signin.Upstream{Service: service, Status: e.status, Code: e.code},
		Err:      e,
	}
	switch {
	case e.code == "user_banned":
		out.Code, out.Message = signin.UserBanned, "This account has been banned from the app."
	case e.status == http.StatusTooManyRequests:
		out.Code, out.Message = signin.RateLimited, "Too many sign-ins at the moment. Please try again shortly."
		out.RetryAfter = upstream.RetryAfter(e.header, retryAfter)
	case e.status >= http.StatusInternalServerError:
		out.Code, out.Message = signin.SupabaseUnavailable, unavailableMessage
		out.RetryAfter = upstream.RetryAfter(e.header, 0)
	case e.code == "otp_expired":
		out.Code = signin.SupabaseUnavailable
		out.Message = "Too many sign-ins of this person at once. Please try again."
	default:
		out.Code = signin.SupabaseMisconfigured
		out.Message = "Supabase refuses this bridge. The operator must check supabase.url, supabase.secret_key " +
			"and supabase.publishable_key."
	}
	return out
}

const unavailableMessage = "Supabase does not answer as it should. Please try again in a moment."

// cause strips what net/http and gotrue-go wrap around an error. It drops decoding errors, which quote what
// they could not decode (time.ParseError, uuid).
func cause(err error) error {
	for _, own := range []error{
		errNoSession, errNoLink, errNoAccount, errNotOwned, errOtherAccount, errNotGoTrue, errUnreadable,
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

	errOtherAccount = errors.New("answer is another account than was asked for")
	errNotGoTrue    = errors.New("answer is not GoTrue's")
	errUnreadable   = errors.New("answer cannot be read: metadata too large or nested too deep")
)
