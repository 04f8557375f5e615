package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

func supabaseCommand() *cobra.Command {
	return group("supabase", "Make TikTok a provider of the Supabase project",
		supabaseSetupCommand(), supabaseMigrateCommand())
}

func supabaseSetupCommand() *cobra.Command {
	var file string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Create or update the provider for TikTok in the Supabase project",
		Long: `Creates or updates the custom provider through which the Supabase project sends
people to this bridge. It needs the bridge's settings, with oidc.supabase_secret
and supabase.secret_key, and the bridge must run: Supabase reads its discovery
document meanwhile.

What you added to the provider stays. You may run it again at any time, such as
after a change of server.public_url or oidc.supabase_secret. If people have
accounts already, run tikbridge supabase migrate first. Start with --dry-run.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadForProvider(file)
			if err != nil {
				return err
			}
			if cfg.Supabase.SecretKey == "" {
				return missing("supabase.secret_key is missing. Set it to a secret key (sb_secret_...) or the legacy " +
					"service_role key, from Project Settings > API Keys.")
			}
			want := providerSettings(cfg)
			setup, err := supabase.New(supabaseOptions(cfg)).SetupProvider(cmd.Context(), want, dryRun)
			if err != nil {
				return fmt.Errorf("%w%s", err, config.VariablesIn(err.Error()))
			}
			printSetup(cmd.OutOrStdout(), cfg, setup, dryRun)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `file` (YAML, TOML or JSON)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and change nothing")
	return cmd
}

// loadForProvider loads the configuration of a bridge that Supabase is a client of.
func loadForProvider(file string) (config.Config, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return cfg, err
	}
	if _, ok := cfg.SupabaseClient(); !ok {
		return cfg, missing("Supabase is no client of this bridge. Set oidc.supabase_secret to a secret of your own; " +
			"make one with `openssl rand -hex 32`.")
	}
	return cfg, nil
}

// missing returns an error about a key, with its variable.
func missing(text string) error { return errors.New(text + config.VariablesIn(text)) }

// printSetup says what was done, or would be, and what comes next.
func printSetup(w io.Writer, cfg config.Config, setup supabase.ProviderSetup, dryRun bool) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	did := func(past, present string) string {
		if dryRun {
			return "Would " + present
		}
		return past
	}
	want := providerSettings(cfg)
	switch {
	case setup.Created:
		say("%s the provider %s: issuer %s, client id %s.",
			did("Created", "create"), want.Identifier, want.Issuer, want.ClientID)
	case len(setup.Changed) > 0:
		say("%s the provider %s:", did("Updated", "update"), want.Identifier)
		for _, d := range setup.Changed {
			say("  %s: %s", d.Field, d.Want)
		}
		say("%s its client secret again, since Supabase does not show it.", did("Set", "set"))
	default:
		say("The provider %s is as it should be. %s its client secret again, since Supabase does not show it.",
			want.Identifier, did("Set", "set"))
	}
	if dryRun || cfg.Supabase.Provider != "" {
		return
	}
	say("\nNext:")
	say("  - List the pages that people return to in Supabase > Authentication > URL Configuration > Redirect URLs.")
	say("  - Set supabase.provider to %s and restart the bridge, so that all its flows reach the same accounts.%s",
		want.Identifier, config.VariablesIn("supabase.provider"))
}

func supabaseMigrateCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Print the SQL that takes accounts over to the provider",
		Long: `Prints SQL for the SQL editor of Supabase. It gives the accounts that the bridge
made by sign-in links the identity of the provider, so that people keep them.
Run it before tikbridge supabase setup; the SQL says more. Nobody is contacted,
and nothing is changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadForProvider(file)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), supabase.MigrationSQL(providerSettings(cfg), cfg.Supabase.EmailDomain))
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `file` (YAML, TOML or JSON)")
	return cmd
}
