package gotruesim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// versionHeader selects the shape of error bodies (apiversions.go). Success bodies do not depend
// on it, and only errors echo it.
const versionHeader = "X-Supabase-Api-Version"

// firstVersion is the only API version beside the initial, unnamed one.
const firstVersion = "2024-01-01"

// Error codes of errorcode.go that the emulator uses.
const (
	codeAnonymousDisabled     = "anonymous_provider_disabled"
	codeBadJSON               = "bad_json"
	codeBadCallback           = "bad_oauth_callback"
	codeBadJWT                = "bad_jwt"
	codeBadState              = "bad_oauth_state"
	codeBadVerifier           = "bad_code_verifier"
	codeClientStateExpired    = "oauth_client_state_expired"
	codeClientStateNotFound   = "oauth_client_state_not_found"
	codeConflict              = "conflict"
	codeEmailDisabled         = "email_provider_disabled"
	codeEmailExists           = "email_exists"
	codeEmailNotConfirmed     = "email_not_confirmed"
	codeFactorNotFound        = "mfa_factor_not_found"
	codeHookTimeout           = "hook_timeout"
	codeHookTimeoutAfterRetry = "hook_timeout_after_retry"
	codeIdentityConflict      = "email_conflict_identity_not_deletable"
	codeIdentityExists        = "identity_already_exists"
	codeIdentityNotFound      = "identity_not_found"
	codeInsufficientAAL       = "insufficient_aal"
	codeInvalidCredentials    = "invalid_credentials" //nolint:gosec // a code, no credential
	codeInvalidState          = "oauth_invalid_state"
	codeLinkingDisabled       = "manual_linking_disabled"
	codeNoAuthorization       = "no_authorization"
	codeNotAdmin              = "not_admin"
	codeOTPDisabled           = "otp_disabled"
	codeOTPExpired            = "otp_expired"
	codeOverEmailRate         = "over_email_send_rate_limit"
	codeOverRequestRate       = "over_request_rate_limit"
	codePhoneDisabled         = "phone_provider_disabled"
	codePhoneExists           = "phone_exists"
	codeProviderDisabled      = "provider_disabled"
	codeProviderEmail         = "provider_email_needs_verification"
	codeProviderNotFound      = "custom_provider_not_found"
	codeProviderUnsupported   = "oauth_provider_not_supported"
	codeRefreshNotFound       = "refresh_token_not_found"
	codeRefreshUsed           = "refresh_token_already_used"
	codeSamePassword          = "same_password"
	codeSessionNotFound       = "session_not_found"
	codeSingleIdentity        = "single_identity_not_deletable"
	codeSignupDisabled        = "signup_disabled"
	codeStateExpired          = "flow_state_expired"
	codeStateNotFound         = "flow_state_not_found"
	codeStateUsed             = "flow_state_already_used"
	codeTimeout               = "request_timeout"
	codeTooLarge              = "request_entity_too_large"
	codeUnexpected            = "unexpected_failure"
	codeUnknown               = "unknown"
	codeUserBanned            = "user_banned"
	codeUserExists            = "user_already_exists"
	codeUserNotFound          = "user_not_found"
	codeValidation            = "validation_failed"
	codeWeakPassword          = "weak_password"
)

const duplicateEmail = "A user with this email address has already been registered"

// apiError is a refusal in GoTrue's own format. An empty code is possible: hook rejections and
// recovered panics have none, and then no x-sb-error-code header is sent either
// (capture "hook: generate_link on new address, hook rejects").
type apiError struct {
	status int
	code   string
	msg    string
	// db is the database error behind a 500. Without the version header GoTrue sends it to the
	// caller instead of its own message.
	db *dbError
	// weak lists the reasons a password was refused for; only weak_password errors have it.
	weak []string
}

func (e *apiError) Error() string { return e.msg }

// oauthError is a refusal in the format of RFC 6749, which /token has for some faults. It has no code, and
// outside a redirect it is always 400.
type oauthError struct {
	Name        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *oauthError) Error() string { return e.Name + ": " + e.Description }

// dbError is a violated constraint, worded as PostgreSQL words it
// (capture "admin create: duplicate id, other email (no version header)").
type dbError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  string `json:"detail,omitempty"`
}

func (e *dbError) Error() string { return e.Message }

// uniqueViolation is the error of a lost race or a taken key.
func uniqueViolation(constraint, column, value string) *dbError {
	return &dbError{
		Code:    "23505",
		Message: fmt.Sprintf("duplicate key value violates unique constraint %q", constraint),
		Detail:  fmt.Sprintf("Key (%s)=(%s) already exists.", column, value),
	}
}

func fail(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, msg: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, codeValidation, format, args...)
}

// internal is a 500 with GoTrue's message for a failed step. It keeps an apiError as it is, as
// GoTrue does for errors that come out of a transaction already typed.
func internal(msg string, cause error) error {
	if typed, ok := errors.AsType[*apiError](cause); ok {
		return typed
	}
	e := fail(http.StatusInternalServerError, codeUnexpected, "%s", msg)
	e.db, _ = errors.AsType[*dbError](cause)
	return e
}

// panicked is what GoTrue's recoverer makes of a panic in a handler: 500 without an error code.
func panicked() *apiError {
	return fail(http.StatusInternalServerError, "", "%s",
		http.StatusText(http.StatusInternalServerError))
}

// Errors that leave GoTrue's JSON format: the router's own answers
// (captures "unknown route", "wrong method").
var errNoRoute = errors.New("no such route")

type methodError struct{ allowed []string }

func (*methodError) Error() string { return "method not allowed" }

// writeError answers with err in the shape the request asked for.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errNoRoute) {
		http.NotFound(w, r)
		return
	}
	if m, ok := errors.AsType[*methodError](err); ok {
		for _, method := range m.allowed {
			w.Header().Add("Allow", method)
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	versioned := wantsVersion(r)
	if versioned {
		w.Header().Set(versionHeader, firstVersion)
	}
	if o, ok := errors.AsType[*oauthError](err); ok {
		sendJSON(w, http.StatusBadRequest, o)
		return
	}
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		// Without the header: handleResponseErrorDefault sets none.
		e = fail(http.StatusInternalServerError, "",
			"Unexpected failure, please check server logs for more information")
	}
	// A weak password alone carries its header in the old format only (errors.go).
	if e.code != "" && (e.weak == nil || !versioned) {
		w.Header().Set("X-Sb-Error-Code", e.code)
	}
	if versioned {
		sendJSON(w, e.status, e.versionedBody())
		return
	}
	sendJSON(w, e.status, e.initialBody())
}

// wantsVersion says whether the request names an API version of 2024-01-01 or later. A malformed
// date counts as none.
func wantsVersion(r *http.Request) bool {
	asked, err := time.Parse(time.DateOnly, r.Header.Get(versionHeader))
	if err != nil {
		return false
	}
	return asked.Format(time.DateOnly) >= firstVersion
}

// publicCode is the code in the body, where an absent one gets a stand-in.
func (e *apiError) publicCode() string {
	if e.code == "" && e.status == http.StatusInternalServerError {
		return codeUnexpected
	}
	return cmp.Or(e.code, codeUnknown)
}

type weakReasons struct {
	Reasons []string `json:"reasons,omitempty"`
}

func (e *apiError) versionedBody() any {
	type body struct {
		Code    string       `json:"code"`
		Message string       `json:"message"`
		Weak    *weakReasons `json:"weak_password,omitempty"`
	}
	return body{e.publicCode(), e.msg, e.weakBody()}
}

func (e *apiError) initialBody() any {
	if e.db != nil {
		return e.db
	}
	type body struct {
		Status  int          `json:"code"`
		Code    string       `json:"error_code,omitempty"`
		Message string       `json:"msg"`
		ID      string       `json:"error_id,omitempty"`
		Weak    *weakReasons `json:"weak_password,omitempty"`
	}
	id := ""
	if e.status >= http.StatusInternalServerError && e.code != "" {
		id = uuid.NewString() // panics are caught before the request has its id
	}
	return body{e.status, e.publicCode(), e.msg, id, e.weakBody()}
}

func (e *apiError) weakBody() *weakReasons {
	if e.weak == nil {
		return nil
	}
	return &weakReasons{e.weak}
}

func sendJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		// Every body is made of plain structs and decoded JSON.
		panic(fmt.Errorf("gotruesim: marshal response: %w", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
