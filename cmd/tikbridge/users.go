package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

func usersCommand() *cobra.Command {
	var file string
	var release bool
	var opts supabase.AdoptOptions
	adopt := &cobra.Command{
		Use:   "adopt",
		Short: "Take over the accounts that the Edge Function of Despia's guide made",
		Long: `Takes over the accounts that the Edge Function of Despia's guide made, so that the
people keep their data.

Nothing tells such an account from one that a stranger made at the same address.
So each account goes through a quarantine: it is locked, its password and its
sessions end, and after 20 minutes it is adopted if nobody got in meanwhile. Its
owner cannot sign in until then. Accounts that cannot be proven safe are left as
they are and listed with the reason.

You may stop the command and run it again, also on another machine. Accounts
that a stopped run left in quarantine are finished by the next run, or let go
by --release. Start with --dry-run.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case opts.Quarantine < supabase.MinQuarantine:
				return fmt.Errorf("--quarantine %s is too short: codes and requests that are under way live up to %s",
					opts.Quarantine, supabase.MinQuarantine)
			case opts.PerMinute < 1 || opts.PerMinute > 6000:
				return fmt.Errorf("--per-minute %d: use a number from 1 to 6000", opts.PerMinute)
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if err := needSupabase(cfg, "users adopt"); err != nil {
				return err
			}
			log, err := telemetry.NewLogger(cmd.ErrOrStderr(), cfg.Log.Format, cfg.Log.Level)
			if err != nil {
				return err
			}
			client := supabaseOptions(cfg)
			client.Logger = log
			run := adoptRun{
				accounts: supabase.New(client),
				opts:     opts,
				out:      cmd.OutOrStdout(),
				progress: cmd.ErrOrStderr(),
				count:    map[supabase.Verdict]int{},
				held:     map[string]bool{},
			}
			if release {
				return run.release(cmd.Context())
			}
			return run.adopt(cmd.Context())
		},
	}
	flags := adopt.Flags()
	flags.StringVar(&file, "config", "", "configuration `file` (YAML, TOML or JSON)")
	flags.BoolVar(&opts.DryRun, "dry-run", false, "say what would be tried, and change nothing")
	flags.BoolVar(&release, "release", false,
		"let go of accounts that a stopped run left in quarantine, and adopt nothing")
	flags.DurationVar(&opts.Quarantine, "quarantine", supabase.DefaultQuarantine,
		fmt.Sprintf("how long each account is locked, at least %s", supabase.MinQuarantine))
	flags.IntVar(
		&opts.PerMinute, "per-minute", supabase.DefaultPerMinute, "how many accounts enter quarantine a minute",
	)
	adopt.MarkFlagsMutuallyExclusive("dry-run", "release")
	return group("users", "Work with the users of the Supabase project", adopt)
}

// needSupabase refuses a command that works with the users of a Supabase project where others keep them.
func needSupabase(cfg config.Config, command string) error {
	if cfg.Accounts == config.AccountsSupabase {
		return nil
	}
	return fmt.Errorf("%s is for Supabase projects, but accounts is %s (TIKBRIDGE_ACCOUNTS)", command, cfg.Accounts)
}

// adoptRun is one run of users adopt. It prints a line for each account with a result, and its progress to
// stderr. A summary comes at the end, even if the run is stopped or fails.
type adoptRun struct {
	accounts      *supabase.Client
	opts          supabase.AdoptOptions
	out, progress io.Writer
	count         map[supabase.Verdict]int
	held          map[string]bool // the ids of accounts in quarantine
	seen          int
}

func (r *adoptRun) adopt(ctx context.Context) error {
	waiting, err := r.accounts.CountWaiting(ctx, 0)
	if err != nil {
		return err
	}
	n := waiting.Unclaimed + waiting.Quarantined
	takes := (time.Duration(n)*time.Minute/time.Duration(r.opts.PerMinute) + r.opts.Quarantine).Round(time.Minute)
	r.print(
		r.progress, "%d accounts to look at, %d of them in quarantine since an earlier run.", n, waiting.Quarantined,
	)
	if !r.opts.DryRun && n > 0 {
		r.print(r.progress, "Each is locked for %s, and its owner cannot sign in meanwhile. The run takes about %s.",
			r.opts.Quarantine, takes)
	}
	err = r.accounts.AdoptAll(ctx, r.opts, r.review)
	r.print(r.out, "%d %s, %d left alone, %d failed, %d had an owner, %d belong to other users",
		r.count[supabase.VerdictAdopted], r.adopted(), r.count[supabase.VerdictLeft], r.count[supabase.VerdictFailed],
		r.count[supabase.VerdictOwned], r.count[supabase.VerdictOther])
	switch {
	case len(r.held) > 0:
		return fmt.Errorf("stopped with %d accounts in quarantine, whose owners cannot sign in. "+
			"Run this again to finish, or with --release to let go of them", len(r.held))
	case ctx.Err() != nil:
		return errors.New("stopped; run it again to go on")
	case err != nil:
		return err
	case r.count[supabase.VerdictFailed] > 0:
		return fmt.Errorf("%d accounts failed; run this again", r.count[supabase.VerdictFailed])
	case !r.opts.DryRun:
		r.print(r.out, "If nobody uses the Edge Function any more, "+
			"set supabase.adopt to evict (TIKBRIDGE_SUPABASE_ADOPT=evict).")
	}
	return nil
}

func (r *adoptRun) release(ctx context.Context) error {
	err := r.accounts.ReleaseAll(ctx, r.review)
	r.print(r.out, "%d released, %d failed", r.count[supabase.VerdictReleased], r.count[supabase.VerdictFailed])
	if err == nil && r.count[supabase.VerdictFailed] > 0 {
		err = fmt.Errorf("%d accounts failed; run this again", r.count[supabase.VerdictFailed])
	}
	return err
}

// review counts and prints a verdict. An account stays in held from quarantine until its next verdict.
func (r *adoptRun) review(v supabase.Review) {
	const every = 100
	if r.held[v.UserID] && v.Verdict != supabase.VerdictFailed {
		delete(r.held, v.UserID)
	}
	r.count[v.Verdict]++
	switch v.Verdict {
	case supabase.VerdictQuarantined:
		r.held[v.UserID] = true
	case supabase.VerdictAdopted:
		r.print(r.out, "%s  %s", v.UserID, r.adopted())
	case supabase.VerdictReleased:
		r.print(r.out, "%s  released", v.UserID)
	case supabase.VerdictLeft, supabase.VerdictFailed:
		r.print(r.out, "%s  %s: %s", cmp.Or(v.UserID, "(no id)"), v.Verdict, v.Reason)
	}
	if r.seen++; r.seen%every == 0 {
		r.print(r.progress, "%d seen, %d in quarantine, %d adopted, %d left alone ...",
			r.seen-r.count[supabase.VerdictQuarantined], len(r.held),
			r.count[supabase.VerdictAdopted], r.count[supabase.VerdictLeft])
	}
}

// adopted is the word for VerdictAdopted; a dry run only says what it would do.
func (r *adoptRun) adopted() string {
	if r.opts.DryRun {
		return "to adopt"
	}
	return "adopted"
}

func (r *adoptRun) print(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}
