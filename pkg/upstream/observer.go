package upstream

import (
	"context"
	"errors"
	"net/http"
)

// Observer hears of every call to TikTok and Supabase. pkg/telemetry implements it. Safe for concurrent use.
type Observer interface {
	// Begin is called before a call, such as "generate_link" of "supabase", which then uses the returned
	// context. done is called once, when the whole answer was read or there is none.
	Begin(ctx context.Context, service, call string) (_ context.Context, done func(Result))
	// Retried is called before a sign-in is tried again. There are only a few reasons.
	Retried(ctx context.Context, service, reason string)
}

// Result is how a call ended.
type Result struct {
	// Status is the HTTP status, 0 if there was no answer.
	Status int
	// Code is the error code in the answer, if it has one.
	Code string
	// Err is why there is no answer.
	Err error
}

// Outcome is the result in one word: ok, not_found, refused, rate_limited, fault, timeout, no_answer or
// canceled. An answer with an error code is never ok, since TikTok sends errors with status 200.
func (r Result) Outcome() string {
	switch {
	case errors.Is(r.Err, context.Canceled):
		return "canceled"
	case errors.Is(NoAnswer(r.Err), context.DeadlineExceeded):
		return "timeout"
	case r.Err != nil:
		return "no_answer"
	case r.Status >= http.StatusInternalServerError:
		return "fault"
	case r.Status == http.StatusTooManyRequests:
		return "rate_limited"
	case r.Status == http.StatusNotFound:
		return "not_found"
	case r.Status >= http.StatusBadRequest || r.Code != "":
		return "refused"
	}
	return "ok"
}

// Unobserved is an Observer that does nothing.
type Unobserved struct{}

// Begin implements Observer.
func (Unobserved) Begin(ctx context.Context, _, _ string) (context.Context, func(Result)) {
	return ctx, func(Result) {}
}

// Retried implements Observer.
func (Unobserved) Retried(context.Context, string, string) {}
