package signin

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Outcome is how a step of a sign-in succeeded. How it failed is a [Code].
type Outcome string

// The outcomes.
const (
	OutcomeStarted   Outcome = "started"    // the person was sent to TikTok
	OutcomeHandedOff Outcome = "handed_off" // the app has a handoff to redeem
	OutcomeSignedIn  Outcome = "signed_in"  // to an existing account
	OutcomeCreated   Outcome = "created"    // to a new account
	OutcomeAnswered  Outcome = "answered"   // an OpenID client read who signed in
)

// Flow is a way to sign in.
type Flow string

// The flows.
const (
	FlowHosted   Flow = "hosted"   // the bridge leads from start to redeem
	FlowGuide    Flow = "guide"    // as Despia's guide describes it
	FlowProvider Flow = "provider" // the bridge is the OpenID Provider of a client, such as Supabase
)

// Step is one request of a sign-in.
type Step string

// The steps. The guide flow is one; the hosted flow is start, callback and redeem; the provider flow is
// authorize, callback and token, and userinfo for clients that ask.
const (
	StepExchange  Step = "exchange"
	StepStart     Step = "start"
	StepCallback  Step = "callback"
	StepRedeem    Step = "redeem"
	StepAuthorize Step = "authorize"
	StepToken     Step = "token"
	StepUserInfo  Step = "userinfo"
)

// Flow returns the flow the step belongs to, and the hosted one for a callback, which serves two; "" for no
// step.
func (s Step) Flow() Flow {
	switch s {
	case "":
		return ""
	case StepExchange:
		return FlowGuide
	case StepAuthorize, StepToken, StepUserInfo:
		return FlowProvider
	}
	return FlowHosted
}

// Report collects what happened during one request, for its log line. The zero value is ready. Safe for
// concurrent use.
type Report struct {
	mu      sync.Mutex
	step    Step
	flow    Flow // if it is not the step's
	outcome Outcome
	userID  string
	calls   []callTime
}

type callTime struct {
	call string
	took time.Duration
}

type reportKey struct{}

// WithReport returns a context that carries r.
func WithReport(ctx context.Context, r *Report) context.Context {
	return context.WithValue(ctx, reportKey{}, r)
}

// ReportFrom returns the report in ctx, or a new one that nobody reads.
func ReportFrom(ctx context.Context) *Report {
	if r, ok := ctx.Value(reportKey{}).(*Report); ok {
		return r
	}
	return new(Report)
}

// Time starts timing a call to TikTok or Supabase; the returned function stops. Repeated calls add up.
func (r *Report) Time(call string) (done func()) {
	start := time.Now()
	return func() {
		took := time.Since(start)
		r.mu.Lock()
		defer r.mu.Unlock()
		for i := range r.calls {
			if r.calls[i].call == call {
				r.calls[i].took += took
				return
			}
		}
		r.calls = append(r.calls, callTime{call, took})
	}
}

// SetStep says which step of a sign-in the request is.
func (r *Report) SetStep(s Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step = s
}

// Step returns the step; "" if the request is not part of a sign-in.
func (r *Report) Step() Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.step
}

// SetFlow says that the step belongs to another flow than [Step.Flow] says.
func (r *Report) SetFlow(f Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flow = f
}

// Flow returns the flow the request belongs to; "" if it is not part of a sign-in.
func (r *Report) Flow() Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flowOf()
}

func (r *Report) flowOf() Flow {
	if r.flow != "" && r.step != "" {
		return r.flow
	}
	return r.step.Flow()
}

// SetUser sets the id of the Supabase user. Set it as soon as it is known, so that a sign-in that fails
// later has it too.
func (r *Report) SetUser(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.userID = id
}

// SetOutcome says how the step succeeded.
func (r *Report) SetOutcome(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcome = o
}

// Outcome returns how the step succeeded; "" if it did not, or has not yet.
func (r *Report) Outcome() Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcome
}

// LogAttrs returns the report as log attributes: flow, step, outcome, the user's id, and milliseconds by
// call. No name, no address, no token.
func (r *Report) LogAttrs() []slog.Attr {
	r.mu.Lock()
	defer r.mu.Unlock()
	var attrs []slog.Attr
	if r.step != "" {
		attrs = append(attrs, slog.String("flow", string(r.flowOf())), slog.String("step", string(r.step)))
	}
	if r.outcome != "" {
		attrs = append(attrs, slog.String("outcome", string(r.outcome)))
	}
	if r.userID != "" {
		attrs = append(attrs, slog.String("user_id", r.userID))
	}
	if len(r.calls) > 0 {
		times := make([]any, 0, len(r.calls))
		for _, c := range r.calls {
			times = append(times, slog.Float64(c.call, milliseconds(c.took)))
		}
		attrs = append(attrs, slog.Group("calls_ms", times...))
	}
	return attrs
}

// milliseconds keeps two decimals: enough for a log, short to read.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
