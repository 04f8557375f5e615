package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

func usersCommand() *cobra.Command {
	var file string
	var dryRun bool
	adopt := &cobra.Command{
		Use:   "adopt",
		Short: "Take over the accounts that the Edge Function of Despia's guide made",
		Long: `Walks all users of the Supabase project and adopts those that the Edge Function of
Despia's guide made, so that nobody has to be adopted at their next sign-in.

An adopted account keeps its id and its data. It gets a password nobody knows,
which signs it out on every device, and the bridge's mark. An account that
cannot be proven safe is left alone and listed with the reason.

The command may be stopped and run again. Begin with --dry-run.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			log, err := telemetry.NewLogger(cmd.ErrOrStderr(), cfg.Log.Format, cfg.Log.Level)
			if err != nil {
				return err
			}
			return runAdopt(cmd.Context(), newAccounts(cfg, log, nil, nil), dryRun, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	adopt.Flags().StringVar(&file, "config", "", "configuration `file` (YAML, TOML or JSON)")
	adopt.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	return group("users", "Work with the users of the Supabase project", adopt)
}

// runAdopt prints a line for each account that is adopted or refused, progress beside it, and a
// summary at the end, also when it is stopped or fails.
func runAdopt(ctx context.Context, accounts *supabase.Client, dryRun bool, out, progress io.Writer) error {
	const every = 100
	count := map[supabase.Verdict]int{}
	reviewed := 0
	print := func(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	adopted := "adopted"
	if dryRun {
		adopted = "would adopt"
	}
	err := accounts.AdoptAll(ctx, dryRun, func(r supabase.Review) {
		count[r.Verdict]++
		switch r.Verdict {
		case supabase.VerdictAdopted:
			print(out, "%s  %s", r.UserID, adopted)
		case supabase.VerdictRefused:
			print(out, "%s  refused: %s", r.UserID, r.Reason)
		}
		if reviewed++; reviewed%every == 0 {
			print(progress, "%d accounts reviewed ...", reviewed)
		}
	})
	print(out, "%d reviewed: %d %s, %d refused, %d marked before, %d of no TikTok user",
		reviewed, count[supabase.VerdictAdopted], adopted, count[supabase.VerdictRefused],
		count[supabase.VerdictMarked], count[supabase.VerdictOther])
	if err != nil && ctx.Err() != nil { // whatever the call under way says of it
		return errors.New("stopped; run it again to go on")
	}
	return err
}
