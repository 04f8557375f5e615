package signin_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestReport_LogAttrs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		fill func(*signin.Report)
		want []slog.Attr
	}{
		{"empty", func(*signin.Report) {}, nil},
		{
			"documented flow", func(r *signin.Report) { r.SetStep(signin.StepExchange) },
			[]slog.Attr{slog.String("flow", "documented"), slog.String("step", "exchange")},
		},
		{
			"bridge-led flow", func(r *signin.Report) { r.SetStep(signin.StepRedeem) },
			[]slog.Attr{slog.String("flow", "bridge"), slog.String("step", "redeem")},
		},
		{
			"outcome", func(r *signin.Report) { r.SetUser("uuid-1"); r.SetOutcome(signin.OutcomeCreated) },
			[]slog.Attr{slog.String("outcome", "created"), slog.String("user_id", "uuid-1")},
		},
		{"user of a sign-in that failed", func(r *signin.Report) { r.SetUser("uuid-1") }, []slog.Attr{slog.String("user_id", "uuid-1")}},
		{
			"stages in the order of their end, repeated ones added up",
			func(r *signin.Report) {
				exchange := r.Time(signin.StageExchange)
				time.Sleep(120 * time.Millisecond)
				exchange()
				profile := r.Time(signin.StageProfile)
				for range 2 {
					find := r.Time(signin.StageFind)
					time.Sleep(10 * time.Millisecond)
					find()
				}
				profile()
				short := r.Time(signin.StageVerify)
				time.Sleep(1234567 * time.Nanosecond)
				short()
			},
			[]slog.Attr{slog.Group("stages_ms", "exchange", 120.0, "find", 20.0, "profile", 20.0, "verify", 1.23)},
		},
		{"a stage that has not ended is left out", func(r *signin.Report) { r.Time(signin.StageFind) }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // sleeping takes no time here
				r := new(signin.Report)
				tt.fill(r)
				if diff := cmp.Diff(fmt.Sprint(tt.want), fmt.Sprint(r.LogAttrs())); diff != "" {
					t.Errorf("attributes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Code that reports need not know whether anybody listens.
func TestReport_nil(t *testing.T) {
	t.Parallel()
	r := signin.ReportFrom(t.Context())
	if r != nil {
		t.Fatalf("got a report from an empty context; want none")
	}
	r.SetStep(signin.StepExchange)
	r.SetUser("uuid-1")
	r.SetOutcome(signin.OutcomeCreated)
	r.Time(signin.StageFind)()
	if got := r.LogAttrs(); got != nil {
		t.Errorf("got %v; want nothing", got)
	}
	if got := string(r.Step()) + r.Step().Flow() + string(r.Outcome()); got != "" {
		t.Errorf("got %q; want nothing", got)
	}
}

func TestReport_context(t *testing.T) {
	t.Parallel()
	r := new(signin.Report)
	if got := signin.ReportFrom(signin.WithReport(t.Context(), r)); got != r {
		t.Errorf("got %p; want %p", got, r)
	}
}

func TestReport_concurrent(t *testing.T) {
	t.Parallel()
	r := new(signin.Report)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			r.Time(signin.StageFind)()
			r.SetStep(signin.StepExchange)
			r.SetUser("uuid-1")
			r.SetOutcome(signin.OutcomeSignedIn)
			_ = r.LogAttrs()
		})
	}
	wg.Wait()
	if got := len(r.LogAttrs()); got != 5 {
		t.Errorf("got %d attributes; want flow, step, outcome, user_id, stages_ms", got)
	}
}
