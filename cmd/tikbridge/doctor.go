package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tikbridge/tikbridge/pkg/backend"
	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/doctor"
	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/redis"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// doctorOptions are the flags of tikbridge doctor.
type doctorOptions struct {
	file           string
	asJSON, strict bool
	skip           []string
}

// exitUsage is the exit code if the doctor could not start.
const exitUsage = 2

func doctorCommand() *cobra.Command {
	var opts doctorOptions
	usage := func(err error) error {
		if err == nil {
			return nil
		}
		return exitError{err, exitUsage}
	}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what keeps people from signing in, and how to fix it",
		Long: `Checks the configuration, the TikTok app, the Supabase project or your own
backend, Redis, the clock and the public address. Each finding says what was seen and how to fix it. Nothing
is changed anywhere, and no secret is printed.

Run it where the bridge runs, with the bridge's configuration.

Exit codes: 0 if all is well or there are only warnings, 1 if there is a problem
(with --strict also for a warning), 2 if it could not start.

Checks: ` + strings.Join(doctor.Checks(), ", ") + ".",
		Args: func(cmd *cobra.Command, args []string) error { return usage(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range opts.skip {
				if !slices.Contains(doctor.Checks(), name) {
					return usage(fmt.Errorf("--skip %s: there is no such check; there are %s",
						name, strings.Join(doctor.Checks(), ", ")))
				}
			}
			return runDoctor(cmd.Context(), opts, cmd.OutOrStdout())
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	cmd.Flags().StringVar(&opts.file, "config", "", "configuration `file` (YAML, TOML or JSON)")
	cmd.Flags().BoolVar(&opts.asJSON, "json", false, "write the report as JSON")
	cmd.Flags().BoolVar(&opts.strict, "strict", false, "fail on warnings too")
	cmd.Flags().StringSliceVar(&opts.skip, "skip", nil,
		"leave out these `checks`, such as public_url before the first start")
	return cmd
}

// runDoctor runs every check and prints the findings.
func runDoctor(ctx context.Context, opts doctorOptions, out io.Writer) error {
	cfg, problems := config.Inspect(opts.file)
	if problems.Unreadable() {
		return exitError{problems, exitUsage}
	}
	examined, closeIdle := newExamination(cfg, problems)
	defer closeIdle()
	examined.Skip = opts.skip
	if cfg.Store.RedisURL != "" && !problems.Concern("store.redis_url") {
		client, err := redis.New(cfg.Store.RedisURL)
		if err != nil {
			return exitError{fmt.Errorf("store.redis_url: %w", err), exitUsage}
		}
		defer func() { _ = client.Close() }() //nolint:contextcheck // waits for nothing
		examined.Claims = once.NewRedis(client)
	}
	report := doctor.Examine(ctx, examined)
	if err := ctx.Err(); err != nil {
		return exitError{errors.New("stopped"), exitUsage}
	}
	if err := write(report, opts.asJSON, out); err != nil {
		return err
	}
	return report.Err(opts.strict)
}

// checkOffline prints what the doctor finds without contacting anybody.
func checkOffline(cfg config.Config, out io.Writer) error {
	examined, closeIdle := newExamination(cfg, nil)
	defer closeIdle()
	report := doctor.Offline(examined)
	report.Findings = slices.DeleteFunc(report.Findings, func(f doctor.Finding) bool {
		return f.Status == doctor.OK || f.Status == doctor.Skipped
	})
	report.ByHand = nil
	if len(report.Findings) > 0 {
		if err := report.Print(out); err != nil {
			return err
		}
	}
	if err := report.Err(false); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "The configuration is complete.")
	return err
}

// newExamination returns what the doctor gets from the configuration alone. Its clients have connections of
// their own, so that what it tries is not counted as a sign-in; the second result closes them.
func newExamination(cfg config.Config, problems config.Problems) (doctor.Options, func()) {
	transport := upstream.NewTransport()
	toTikTok, toSupabase := tiktokOptions(cfg), supabaseOptions(cfg)
	toTikTok.Transport, toTikTok.ProfileTransport, toSupabase.Transport = transport, transport, transport
	opts := doctor.Options{
		Config:      cfg,
		Problems:    problems,
		StartURL:    server.StartURL(cfg.Server.PublicURL),
		CallbackURL: server.CallbackURL(cfg.Server.PublicURL),
		TikTok:      tiktok.New(toTikTok),
		Supabase:    supabase.New(toSupabase),
		Provider:    providerSettings(cfg),
		Transport:   transport,
		Now:         time.Now,
	}
	if cfg.Accounts == config.AccountsBackend {
		to := backendOptions(cfg)
		to.Transport = transport
		if client, err := backend.New(to); err == nil { // otherwise it is among the problems
			opts.Backend = client
		}
	}
	if cfg.Webhook.URL != "" {
		to := notifierOptions(cfg)
		to.Transport = transport
		if notifier, err := backend.NewNotifier(to); err == nil {
			opts.Webhook = notifier
		}
	}
	if ring, err := newRing(cfg); err == nil {
		opts.Sealer = ring
	}
	return opts, transport.CloseIdleConnections
}

func write(report doctor.Report, asJSON bool, out io.Writer) error {
	if !asJSON {
		return report.Print(out)
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}
