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
)

// The flows.
const (
	flowDocumented = "documented"
	flowBridge     = "bridge"
)

// Report gathers what happened during one request, for its log line. The zero value is ready; a nil
// *Report takes everything and keeps nothing. Safe for concurrent use.
type Report struct {
	mu      sync.Mutex
	flow    string
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

// SetFlow names the flow: "documented" or "bridge".
func (r *Report) SetFlow(flow string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flow = flow
}

// SetOutcome tells how the sign-in ended and for which Supabase user.
func (r *Report) SetOutcome(o Outcome, userID string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcome, r.userID = o, userID
}

// LogAttrs returns the report as log attributes: flow, outcome, the user's id, and milliseconds by
// stage. No name, no address, no token.
func (r *Report) LogAttrs() []slog.Attr {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var attrs []slog.Attr
	if r.flow != "" {
		attrs = append(attrs, slog.String("flow", r.flow))
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
