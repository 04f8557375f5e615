package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// version and commit are set by the linker in a release build.
var version, commit string

// buildVersion returns version, or what Go knows about the build.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// buildCommit returns commit, or the one that Go notes when it builds in a git repository; "" if it did not.
func buildCommit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "tikbridge",
		Short:         "Sign in with TikTok for apps on Supabase",
		SilenceUsage:  true,
		SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
	}
	addEnvFile(root)
	root.AddCommand(initCommand(), serveCommand(), devCommand(), configCommand(), doctorCommand(), usersCommand(),
		supabaseCommand(), simulateCommand(), healthcheckCommand(), versionCommand())
	return root
}

func serveCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the bridge",
		Long: "Runs the bridge. The configuration comes from --config and from the environment;\n" +
			"see configs/tikbridge.example.yaml for every key.",
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
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(200) // a heap of a few MiB doubles fifty times a second under load
			}
			app, err := NewApp(cfg, AppOptions{Logger: log, Diagnose: true})
			if err != nil {
				return err
			}
			return app.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `file` (YAML, TOML or JSON)")
	return cmd
}

func configCommand() *cobra.Command {
	var file string
	check := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and say everything that is wrong with it",
		Long: "Checks the configuration and says everything that is wrong with it, each with its fix.\n" +
			"It contacts nobody; tikbridge doctor does.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err = errors.Join(err, telemetry.CheckTracing()); err != nil {
				return err
			}
			return checkOffline(cfg, cmd.OutOrStdout())
		},
	}
	check.Flags().StringVar(&file, "config", "", "configuration `file` (YAML, TOML or JSON)")
	return group("config", "Work with the configuration", check)
}

// group returns a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs, // a misspelt subcommand is an error, not a request for help
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit it was built from, and the version of Go",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines := []string{"tikbridge " + buildVersion()}
			if c := buildCommit(); c != "" {
				lines = append(lines, "commit "+c)
			}
			lines = append(lines, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
			_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(lines, "\n"))
			return err
		},
	}
}
