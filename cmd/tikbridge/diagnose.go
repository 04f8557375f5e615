package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/tikbridge/tikbridge/pkg/doctor"
	"github.com/tikbridge/tikbridge/pkg/once"
)

// untilReached is how long the bridge waits after its start before it asks for itself at its public address:
// proxies lead there only when they have seen that it is ready, and to the replica before it until then.
const untilReached = time.Minute

// diagnose runs the doctor while the bridge serves, and logs what is wrong: on most platforms there is no
// shell to run it in. Whatever it finds, the bridge runs.
func (a *App) diagnose(ctx context.Context) error {
	if a.opts.Diagnose {
		a.diagnoseAfter(ctx, untilReached)
	}
	return nil
}

func (a *App) diagnoseAfter(ctx context.Context, wait time.Duration) {
	const address = "public_url"
	examined, closeIdle := newExamination(a.cfg, nil)
	defer closeIdle()
	if a.redis != nil {
		examined.Claims = once.NewRedis(a.redis)
	}
	examined.Skip = []string{address}
	a.logFindings(ctx, doctor.Examine(ctx, examined))
	if a.cfg.Server.PublicURL == "" {
		return
	}
	reached := time.NewTimer(wait)
	defer reached.Stop()
	select {
	case <-ctx.Done():
		return
	case <-reached.C:
	}
	examined.Skip = slices.DeleteFunc(doctor.Checks(), func(name string) bool { return name == address })
	a.logFindings(ctx, doctor.Examine(ctx, examined))
}

// logFindings logs problems and warnings, or that there are none, unless they come from a bridge that is stopping.
func (a *App) logFindings(ctx context.Context, report doctor.Report) {
	if ctx.Err() != nil {
		return
	}
	for _, f := range report.Findings {
		attrs := []slog.Attr{slog.String("check", f.Check), slog.String("seen", f.Seen), slog.String("fix", f.Fix)}
		switch f.Status {
		case doctor.Problem:
			a.log.LogAttrs(ctx, slog.LevelError, "the doctor found a problem", attrs...)
		case doctor.Warning:
			a.log.LogAttrs(ctx, slog.LevelWarn, "the doctor has a warning", attrs...)
		case doctor.OK, doctor.Skipped:
		}
	}
	if report.Count(doctor.Problem)+report.Count(doctor.Warning) == 0 {
		a.log.LogAttrs(ctx, slog.LevelInfo, "the doctor found nothing wrong", slog.Int("checks", report.Count(doctor.OK)))
	}
}
