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
			"guide flow", func(r *signin.Report) { r.SetStep(signin.StepExchange) },
			[]slog.Attr{slog.String("flow", "guide"), slog.String("step", "exchange")},
		},
		{
			"hosted flow", func(r *signin.Report) { r.SetStep(signin.StepRedeem) },
			[]slog.Attr{slog.String("flow", "hosted"), slog.String("step", "redeem")},
		},
		{
			"outcome", func(r *signin.Report) { r.SetUser("uuid-1"); r.SetOutcome(signin.OutcomeCreated) },
			[]slog.Attr{slog.String("outcome", "created"), slog.String("user_id", "uuid-1")},
		},
		{
			"user of a sign-in that failed", func(r *signin.Report) { r.SetUser("uuid-1") },
			[]slog.Attr{slog.String("user_id", "uuid-1")},
		},
		{
			"calls in the order of their end, repeated ones added up",
			func(r *signin.Report) {
				token := r.Time("token")
				time.Sleep(120 * time.Millisecond)
				token()
				userInfo := r.Time("user_info")
				for range 2 {
					link := r.Time("generate_link")
					time.Sleep(10 * time.Millisecond)
					link()
				}
				userInfo()
				verify := r.Time("verify")
				time.Sleep(1234567 * time.Nanosecond)
				verify()
			},
			[]slog.Attr{
				slog.Group("calls_ms", "token", 120.0, "generate_link", 20.0, "user_info", 20.0, "verify", 1.23),
			},
		},
		{"a call that has not ended is left out", func(r *signin.Report) { r.Time("verify") }, nil},
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

// Code that reports need not know whether anybody reads it.
func TestReportFrom_none(t *testing.T) {
	t.Parallel()
	r := signin.ReportFrom(t.Context())
	r.SetStep(signin.StepExchange)
	r.Time("token")()
	if got := signin.ReportFrom(t.Context()).Step(); got != "" {
		t.Errorf("got step %q; want a report of its own for each caller", got)
	}
}

func TestReport_concurrent(t *testing.T) {
	t.Parallel()
	r := new(signin.Report)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			r.Time("verify")()
			r.SetStep(signin.StepExchange)
			r.SetUser("uuid-1")
			r.SetOutcome(signin.OutcomeSignedIn)
			_ = r.LogAttrs()
		})
	}
	wg.Wait()
	if got := len(r.LogAttrs()); got != 5 {
		t.Errorf("got %d attributes; want flow, step, outcome, user_id, calls_ms", got)
	}
}
