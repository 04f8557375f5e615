package upstream

import (
	"context"
	"errors"
	"net/http"
)

// Observer is told of every call to TikTok and to Supabase. pkg/telemetry implements it. Safe for
// concurrent use.
type Observer interface {
	// Begin is called before a call, such as "generate_link" of "supabase", which goes on with the
	// context that is returned. done is called once, when the whole answer was read or there is none.
	Begin(ctx context.Context, service, call string) (_ context.Context, done func(Result))
	// Retried is called before a sign-in is tried again, with the reason in one of a few words.
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

// Outcomes lists every outcome of a call.
func Outcomes() []string {
	return []string{"ok", "not_found", "refused", "rate_limited", "fault", "timeout", "no_answer", "canceled"}
}

// Outcome is the result in one word of [Outcomes]. An answer with an error code is none that is ok,
// whatever its status: TikTok sends errors with 200.
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
