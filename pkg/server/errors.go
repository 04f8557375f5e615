package server

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// statuses is the one place where codes become HTTP statuses.
var statuses = map[signin.Code]int{
	signin.InvalidRequest:        http.StatusBadRequest,
	signin.InvalidState:          http.StatusBadRequest,
	signin.AccessDenied:          http.StatusForbidden,
	signin.InvalidGrant:          http.StatusBadRequest, // RFC 6749, section 5.2
	signin.RedirectURIMismatch:   http.StatusBadRequest,
	signin.OriginNotAllowed:      http.StatusForbidden,
	signin.SchemeNotAllowed:      http.StatusBadRequest,
	signin.HandoffInvalid:        http.StatusBadRequest,
	signin.AccountConflict:       http.StatusConflict,
	signin.UserBanned:            http.StatusForbidden,
	signin.SignInRefused:         http.StatusForbidden,
	signin.RateLimited:           http.StatusTooManyRequests,
	signin.TikTokUnavailable:     http.StatusServiceUnavailable,
	signin.TikTokMisconfigured:   http.StatusInternalServerError,
	signin.SupabaseUnavailable:   http.StatusServiceUnavailable,
	signin.SupabaseMisconfigured: http.StatusInternalServerError,
	signin.SupabaseRestricted:    http.StatusServiceUnavailable,
	signin.BackendUnavailable:    http.StatusServiceUnavailable,
	signin.Internal:              http.StatusInternalServerError,
}

// errorBody is the shape of every error (RFC 6749, section 5.2, and a handle for support).
type errorBody struct {
	Error            signin.Code `json:"error"`
	ErrorDescription string      `json:"error_description"`
	RequestID        string      `json:"request_id"`
	// Fix is for developers, in tikbridge dev alone.
	Fix string `json:"fix,omitempty"`
}

// fixFor returns what tikbridge dev tells developers to do about an error; elsewhere it is the log's alone.
func (s *Server) fixFor(err *signin.Error) string {
	if s.opts.Demo == nil {
		return ""
	}
	return err.Cause.Fix()
}

// httpError is an error with its status.
type httpError struct {
	status int
	err    *signin.Error
}

// toError finds code and status of err. Echo's own errors are about the request: no such route, the
// wrong method, too large a body.
func toError(err error) httpError {
	var he *echo.HTTPError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		he = echo.ErrStatusRequestEntityTooLarge
	case !errors.As(err, &he):
		e := signin.AsError(err)
		return httpError{statuses[e.Code], e}
	}
	message := http.StatusText(he.Code) + "."
	switch he.Code {
	case http.StatusNotFound:
		message = "There is nothing at this address."
	case http.StatusMethodNotAllowed:
		message = "This address does not take this method; see the Allow header."
	case http.StatusRequestEntityTooLarge:
		message = "The request body is larger than the 64 KiB this address takes."
	default:
		if he.Code >= http.StatusInternalServerError {
			return httpError{he.Code, signin.AsError(err)}
		}
	}
	return httpError{he.Code, &signin.Error{Code: signin.InvalidRequest, Message: message}}
}

// writeError is echo's error handler.
func (s *Server) writeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	e := toError(err)
	if e.err.RetryAfter > 0 {
		c.Response().Header().Set("Retry-After", retryAfter(e.err.RetryAfter))
	}
	if isForPeople(c) {
		_ = s.explain(c, e.status, e.err) // fails only when the client has gone
		return
	}
	_ = c.JSON(e.status, errorBody{ // fails only when the client has gone
		Error:            e.err.Code,
		ErrorDescription: e.err.Message,
		RequestID:        telemetry.RequestID(c.Request().Context()),
		Fix:              s.fixFor(e.err),
	})
}
