package backend

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// retryAfter is the advice for 429 without a Retry-After.
const retryAfter = 10 * time.Second

// IsFault reports whether an answer shows that the whole backend is down. A 500 does not: most often it is a
// bug that one person meets, and must not keep others out.
func IsFault(resp *http.Response) bool { return resp.StatusCode > http.StatusInternalServerError }

// isPassing reports whether the message probably did not get through: the connection failed, or a proxy found
// nobody behind it, as while the backend restarts. A time-out is no such sign, and there is no time left.
func isPassing(a answer, err error) bool {
	switch a.status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	var open *upstream.OpenError
	return err != nil && !errors.Is(err, upstream.ErrTooLarge) && !errors.As(err, &open) &&
		!errors.Is(upstream.NoAnswer(err), context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// judge turns what came of a call into a *signin.Error, or nil for a good answer. Any refusal of a ping but that
// of the signature is good: a backend need not know pings.
func (e *endpoint) judge(call string, a answer, err error) error {
	_, refused := a.refusal()
	switch {
	case errors.Is(err, upstream.ErrTooLarge):
		return e.failure(signin.CauseBackendAnswer, call, a, err)
	case err != nil:
		return e.failure(signin.CauseBackendUnreachable, call, a, upstream.NoAnswer(err))
	case a.status == http.StatusOK, a.status == http.StatusCreated:
		return nil
	case a.status >= http.StatusMultipleChoices && a.status < http.StatusBadRequest:
		return e.failure(signin.CauseBackendRedirects, call, a, nil)
	case a.status == http.StatusUnauthorized:
		return e.failure(signin.CauseBackendSignature, call, a, nil)
	case a.status == http.StatusTooManyRequests:
		return e.failure(signin.CauseBackendLimit, call, a, nil)
	case !refused && (a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed):
		return e.failure(signin.CauseBackendNotFound, call, a, nil)
	case call == typePing && a.status < http.StatusInternalServerError:
		return nil
	case refused && a.status < http.StatusInternalServerError && a.status != http.StatusRequestTimeout:
		return e.failure(signin.CauseBackendRefuses, call, a, nil)
	}
	return e.failure(signin.CauseBackendFails, call, a, nil)
}

func (e *endpoint) failure(because signin.Cause, call string, a answer, err error) *signin.Error {
	out := signin.NewError(because)
	out.Call, out.Err = call, err
	out.Upstream = signin.Upstream{Service: e.opts.service, Status: a.status, Code: a.errorCode()}
	var open *upstream.OpenError
	switch {
	case errors.As(err, &open):
		out.RetryAfter = open.RetryAfter
	case because == signin.CauseBackendLimit:
		out.RetryAfter = upstream.RetryAfter(a.header, retryAfter)
	case a.status >= http.StatusInternalServerError:
		out.RetryAfter = upstream.RetryAfter(a.header, 0)
	}
	return out
}
