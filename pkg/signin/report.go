package signin

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Stage is a step of a sign-in, as logs and errors name it.
type Stage string

// The stages, in their order.
const (
	StageConsent  Stage = "consent"  // TikTok: the person agrees, or does not
	StageExchange Stage = "exchange" // TikTok: code for tokens
	StageProfile  Stage = "profile"  // TikTok: user info
	StageFind     Stage = "find"     // GoTrue: generate_link, which also finds the account
	StageLookup   Stage = "lookup"   // GoTrue: user by id
	StageCreate   Stage = "create"   // GoTrue: new user
	StageAdopt    Stage = "adopt"    // GoTrue: an account without a mark settled
	StageVerify   Stage = "verify"   // GoTrue: link for session
	StageRefresh  Stage = "refresh"  // GoTrue: profile written back
)

// Outcome is how a sign-in ended well.
type Outcome string

// The good outcomes; a bad one is told by its [Code].
const (
	OutcomeSignedIn Outcome = "signed_in" // an account that was there
	OutcomeCreated  Outcome = "created"   // a first sign-in
	// OutcomeHandedOff is a callback that ended well: the app has a handoff to redeem.
	OutcomeHandedOff Outcome = "handed_off"
	OutcomeStarted   Outcome = "started" // the person was sent to TikTok
)

// Step is one request of a sign-in.
type Step string

// The steps. The documented flow has one, the bridge-led flow the others in this order.
const (
	StepExchange Step = "exchange"
	StepStart    Step = "start"
	StepCallback Step = "callback"
	StepRedeem   Step = "redeem"
)

// Flow names the flow that the step belongs to: "documented" or "bridge"; "" for no step.
func (s Step) Flow() string {
	switch s {
	case "":
		return ""
	case StepExchange:
		return "documented"
	}
	return "bridge"
}

// Report gathers what happened during one request, for its log line. The zero value is ready; a nil
// *Report takes everything and keeps nothing. Safe for concurrent use.
type Report struct {
	mu      sync.Mutex
	step    Step
	outcome Outcome
	userID  string
	stages  []stageTime
}

type stageTime struct {
	stage Stage
	took  time.Duration
}

type reportKey struct{}

// WithReport returns a context that carries r.
func WithReport(ctx context.Context, r *Report) context.Context {
	return context.WithValue(ctx, reportKey{}, r)
}

// ReportFrom returns the report in ctx, nil when there is none.
func ReportFrom(ctx context.Context) *Report {
	r, _ := ctx.Value(reportKey{}).(*Report)
	return r
}

// Time starts a stage; the returned function ends it. A stage that is repeated is added up.
func (r *Report) Time(stage Stage) (done func()) {
	if r == nil {
		return func() {}
	}
	start := time.Now()
	return func() {
		took := time.Since(start)
		r.mu.Lock()
		defer r.mu.Unlock()
		for i := range r.stages {
			if r.stages[i].stage == stage {
				r.stages[i].took += took
				return
			}
		}
		r.stages = append(r.stages, stageTime{stage, took})
	}
}

// SetStep tells which step of a sign-in the request is.
func (r *Report) SetStep(s Step) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step = s
}

// Step returns the step; "" if the request is none of a sign-in.
func (r *Report) Step() Step {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.step
}

// SetUser tells the id of the Supabase user, as soon as it is known: a sign-in that fails later has it
// too.
func (r *Report) SetUser(id string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.userID = id
}

// SetOutcome tells how the step ended well.
func (r *Report) SetOutcome(o Outcome) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcome = o
}

// Outcome returns how the step ended well; "" if it did not, or has not yet.
func (r *Report) Outcome() Outcome {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcome
}

// LogAttrs returns the report as log attributes: flow, step, outcome, the user's id, and milliseconds
// by stage. No name, no address, no token.
func (r *Report) LogAttrs() []slog.Attr {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var attrs []slog.Attr
	if r.step != "" {
		attrs = append(attrs, slog.String("flow", r.step.Flow()), slog.String("step", string(r.step)))
	}
	if r.outcome != "" {
		attrs = append(attrs, slog.String("outcome", string(r.outcome)))
	}
	if r.userID != "" {
		attrs = append(attrs, slog.String("user_id", r.userID))
	}
	if len(r.stages) > 0 {
		times := make([]any, 0, len(r.stages))
		for _, s := range r.stages {
			times = append(times, slog.Float64(string(s.stage), milliseconds(s.took)))
		}
		attrs = append(attrs, slog.Group("stages_ms", times...))
	}
	return attrs
}

// milliseconds keeps two decimals: enough for a log, short to read.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
