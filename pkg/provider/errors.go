package provider

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Error is what a client is told (RFC 6749, sections 4.1.2.1 and 5.2; Core, section 3.1.2.6). Its description is
// for the developer of the client, and for people when it comes from TikTok.
type Error struct {
	Code        string
	Description string
	// Status is the HTTP status where the answer is JSON.
	Status int
	// Err is the cause in detail, for the log alone; a *signin.Error where the sign-in itself failed.
	Err error
}

// Error implements error. The text is for logs.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.Err.Error()
	}
	return e.Code + ": " + e.Description
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The error codes that are used in more than one place.
const (
	codeInvalidRequest = "invalid_request"
	codeInvalidClient  = "invalid_client"
	codeInvalidGrant   = "invalid_grant"
	codeInvalidToken   = "invalid_token" // RFC 6750, section 3.1
	codeServerError    = "server_error"
	codeUnavailable    = "temporarily_unavailable"
	codeAccessDenied   = "access_denied"
)

func refuse(code, description string) *Error {
	status := http.StatusBadRequest
	if code == codeInvalidClient || code == codeInvalidToken {
		status = http.StatusUnauthorized
	}
	return &Error{Code: code, Description: description, Status: status}
}

// Redirect is an error that goes to the client by way of the browser.
type Redirect struct {
	signin.Redacted
	// URL is where to send the browser.
	URL string
	Err *Error
}

// Error implements error.
func (r *Redirect) Error() string { return r.Err.Error() }

// Unwrap returns the error that the client is told.
func (r *Redirect) Unwrap() error { return r.Err }

// failed is what a client is told of a sign-in that failed at TikTok or on the way there.
func failed(err error) *Error {
	e := signin.AsError(err)
	code := codeServerError
	switch e.Code {
	case signin.AccessDenied, signin.InvalidState, signin.InvalidRequest, signin.InvalidGrant:
		code = codeAccessDenied
	case signin.TikTokUnavailable, signin.RateLimited:
		code = codeUnavailable
	}
	return &Error{Code: code, Description: e.Message, Err: e}
}

// answer adds values to a redirect URI and keeps the query it has (RFC 6749, section 3.1.2).
func answer(redirectURI string, values url.Values) string {
	separator := "?"
	if strings.Contains(redirectURI, "?") {
		separator = "&"
	}
	return redirectURI + separator + values.Encode()
}
