package tiktok

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// answer is what an error needs to know of an answer of TikTok.
type answer struct {
	call        string
	status      int
	header      http.Header
	code        string
	description string // never leaves this package: it may quote what was sent
	logID       string
}

// read takes the error, if any, from r. The member "error" is a code from the token endpoint and an object
// with a code from all others; where there is none it is missing, empty, "ok" or, in older APIs, 0.
func (a *answer) read(r reply) error {
	holder, name := r, "error"
	a.description, a.logID = r.text("error_description"), r.code("log_id")
	if e := r.object("error"); e != nil {
		holder, name = e, "code"
		a.description += e.text("message")
		a.logID += e.code("log_id")
	}
	switch code := holder.code(name); code {
	case "":
		if raw := string(holder[name]); raw != "" && raw != "null" && raw != `""` {
			return errors.New("its error code is neither a string nor a number")
		}
	case "ok", "0":
	default:
		a.code = code
	}
	return nil
}

// retryAfter is the advice where TikTok gives none; its limits are per minute (TikTok docs: Rate
// Limits).
const retryAfter = time.Minute

// oauthError maps the codes of TikTok (docs: OAuth Error Handling; API v2 Error Handling) to ours.
// The description decides only where one code stands for several faults.
func (a answer) oauthError() error {
	description := strings.ToLower(a.description)
	says := func(part string) bool { return strings.Contains(description, part) }
	hasToken := a.call == callRefresh || a.call == callRevoke
	switch a.code {
	case "invalid_grant", "invalid_request", "invalid_params":
		switch {
		case says("redirect_uri"), says("redirect uri"):
			return a.error(signin.CauseTikTokRedirectURI)
		case says("verifier"):
			return a.error(signin.CauseVerifierRefused)
		case says("client key"), says("client secret"):
			return a.error(signin.CauseTikTokCredentials)
		case hasToken && a.code == "invalid_grant":
			return a.error(signin.CauseGrantEnded)
		case hasToken:
			// The token is TikTok's own, so something else is wrong with the request. Nobody has to sign in
			// anew because of that.
			return a.unavailable(errors.New("TikTok does not accept the request"))
		case a.code == "invalid_grant":
			return a.error(signin.CauseCodeSpent)
		}
		return a.error(signin.CauseCodeMalformed)
	case "invalid_client", "unsupported_grant_type", "unsupported_response_type":
		return a.error(signin.CauseTikTokCredentials)
	case "unauthorized_client", "invalid_scope", "scope_not_authorized", "scope_permission_missed":
		return a.error(signin.CauseTikTokScopes)
	case "access_denied":
		return a.error(signin.CauseTikTokDenies)
	case "rate_limit_exceeded":
		return a.throttled()
	}
	if a.status == http.StatusTooManyRequests {
		return a.throttled()
	}
	return a.unavailable(errors.New("TikTok reports a fault"))
}

func (a answer) throttled() error {
	err := a.error(signin.CauseTikTokLimit)
	err.RetryAfter = upstream.RetryAfter(a.header, retryAfter)
	return err
}

func (a answer) unavailable(cause error) error {
	err := a.error(signin.CauseTikTokFails)
	err.Err = cause
	var open *upstream.OpenError
	if errors.As(cause, &open) {
		err.RetryAfter = open.RetryAfter
	}
	if a.status == http.StatusServiceUnavailable {
		err.RetryAfter = upstream.RetryAfter(a.header, 0)
	}
	return err
}

func (a answer) error(because signin.Cause) *signin.Error {
	err := signin.NewError(because)
	err.Call = a.call
	err.Upstream = signin.Upstream{
		Service: service,
		Status:  a.status,
		Code:    upstream.Code(a.code),
		LogID:   logID(a.logID),
	}
	return err
}

// logIDPattern is a time and then hexadecimal digits, as in 20220829194722CBE87ED59D524E727021, or a number.
var logIDPattern = regexp.MustCompile(`^((20|02)[0-9]+[0-9A-Fa-f]*|[0-9]+)$`)

// logID returns TikTok's log_id if it looks like one, so that nothing else of an answer gets into a log.
func logID(s string) string {
	const longest, shortestTime = 64, 8
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if len(s) > longest || !logIDPattern.MatchString(s) || digits < min(shortestTime, len(s)) {
		return ""
	}
	return s
}
