package gotruesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// HookRefusal is a hook's error object: what the hook answers when it says no
// (internal/hooks/hookserrors). GoTrue passes the status and the message on, without an error code.
type HookRefusal struct {
	// Status is http_code. GoTrue makes a 500 of 0.
	Status int
	// Message is what GoTrue tells the caller. Without one the refusal counts for nothing.
	Message string
}

// Error implements error.
func (e HookRefusal) Error() string { return e.Message }

// Ways in which a hook fails that gives no answer.
var (
	// ErrHookTimeout: a hook over HTTP does not answer within five seconds (internal/hooks/hookshttp).
	ErrHookTimeout = errors.New("hook does not answer in time")
	// ErrHookUnreachable: a hook over HTTP cannot be reached, three times.
	ErrHookUnreachable = errors.New("hook cannot be reached")
)

// hookError is what GoTrue answers for what a hook returned. Any other error is a function that raises.
func hookError(name string, err error) error {
	if refusal, ok := errors.AsType[HookRefusal](err); ok {
		switch {
		case refusal.Message == "":
			return nil
		case refusal.Status == 0:
			refusal.Status = http.StatusInternalServerError
		}
		return fail(refusal.Status, "", "%s", refusal.Message)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrHookTimeout):
		return fail(http.StatusUnprocessableEntity, codeHookTimeout,
			"Failed to reach hook within maximum time of %f seconds", 5.0)
	case errors.Is(err, ErrHookUnreachable):
		return fail(http.StatusUnprocessableEntity, codeHookTimeoutAfterRetry, "Failed to reach hook after maximum retries")
	}
	return fail(http.StatusInternalServerError, codeUnexpected,
		"Error running hook URI: pg-functions://postgres/public/%s", name)
}

// askTokenHook calls the custom access token hook, which GoTrue does in the transaction that makes the session:
// when it fails, nothing is kept, and the link is as good as before (tokens/service.go, GenerateAccessToken).
func (s *Server) askTokenHook(u *user) error {
	if s.opts.CustomAccessToken == nil {
		return nil
	}
	return hookError("custom_access_token_hook", s.opts.CustomAccessToken(u.payload()))
}

// askHook calls the before-user-created hook.
func (s *Server) askHook(u *user) error {
	if s.opts.BeforeUserCreated == nil {
		return nil
	}
	if status, msg := s.opts.BeforeUserCreated(u.payload()); status != 0 {
		return fail(status, "", "%s", msg)
	}
	return nil
}

// payload is what hooks are told of a user.
func (u *user) payload() map[string]any {
	data, err := json.Marshal(u)
	if err != nil {
		panic(fmt.Errorf("gotruesim: marshal user: %w", err))
	}
	var payload map[string]any
	if err := json.Unmarshal(data, &payload); err != nil {
		panic(fmt.Errorf("gotruesim: unmarshal user: %w", err))
	}
	return payload
}

// Write is a row of auth.users that is about to be written.
type Write struct {
	// Insert is true for a new row.
	Insert bool
	// AppMetadata is the column of that name, raw_app_meta_data. The trigger may change it.
	AppMetadata map[string]any
}

// fire calls the trigger on auth.users. An error is what the function raises.
func (s *store) fire(insert bool, row *user) error {
	if s.trigger == nil {
		return nil
	}
	if row.AppMetadata == nil {
		row.AppMetadata = map[string]any{}
	}
	if err := s.trigger(Write{insert, row.AppMetadata}); err != nil {
		return &dbError{Code: "P0001", Message: err.Error()} // raise_exception
	}
	return nil
}
