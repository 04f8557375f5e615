package main

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func simulateCommand() *cobra.Command {
	return group("simulate", "Run one of the simulators alone, for tests of your own",
		simulateTikTokCommand(), simulateSupabaseCommand())
}

func simulateTikTokCommand() *cobra.Command {
	var address string
	var opts tiktoksim.Options
	cmd := &cobra.Command{
		Use:   "tiktok",
		Short: "Run the simulated TikTok",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSimulator(cmd, address, func(url string) (http.Handler, []string) {
				opts.PublicURL = strings.TrimRight(cmp.Or(opts.PublicURL, url), "/")
				return tiktoksim.New(opts), []string{
					"TIKTOK_CLIENT_KEY=" + opts.ClientKey,
					"TIKTOK_CLIENT_SECRET=" + opts.ClientSecret,
					"TIKBRIDGE_TIKTOK_AUTHORIZE_URL=" + opts.PublicURL + "/v2/auth/authorize/",
					"TIKBRIDGE_TIKTOK_API_URL=" + url,
				}
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&address, "listen", "127.0.0.1:8081", "`address` to listen on")
	flags.StringVar(&opts.PublicURL, "public-url", "", "`address` at which browsers reach it (default where it listens)")
	flags.StringVar(&opts.ClientKey, "client-key", tiktoksim.DefaultClientKey, "client `key` to accept")
	flags.StringVar(&opts.ClientSecret, "client-secret", tiktoksim.DefaultClientSecret, "client `secret` to accept")
	return cmd
}

func simulateSupabaseCommand() *cobra.Command {
	var address string
	var opts gotruesim.Options
	cmd := &cobra.Command{
		Use:   "supabase",
		Short: "Run the emulated Supabase Auth",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSimulator(cmd, address, func(url string) (http.Handler, []string) {
				opts.ExternalURL = url + "/auth/v1"
				emulator := gotruesim.New(opts)
				return emulator, []string{
					"SUPABASE_URL=" + url,
					"SUPABASE_PUBLISHABLE_KEY=" + gotruesim.PublishableKey,
					"SUPABASE_SECRET_KEY=" + gotruesim.SecretKey,
					"SUPABASE_ANON_KEY=" + emulator.AnonKey(),
					"SUPABASE_SERVICE_ROLE_KEY=" + emulator.ServiceRoleKey(),
				}
			})
		},
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:8082", "`address` to listen on")
	cmd.Flags().StringVar(&opts.JWTSecret, "jwt-secret", gotruesim.DefaultJWTSecret,
		"`secret` that signs keys and access tokens")
	cmd.Flags().BoolVar(&opts.AllowInsecureIssuers, "allow-insecure-issuers", false,
		"take custom providers at http, local and private addresses, which a real project refuses")
	return cmd
}

// runSimulator serves what build makes for the URL of its listener, until the command is stopped. It prints
// the settings that build returns as lines of an environment file.
func runSimulator(cmd *cobra.Command, address string, build func(url string) (http.Handler, []string)) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	log, err := telemetry.NewLogger(cmd.ErrOrStderr(), "text", "info")
	if err != nil {
		return err
	}
	l, err := listen(ctx, address)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	handler, settings := build(webURL(l))
	_, _ = fmt.Fprintln(out, "# listening on", webURL(l))
	for _, s := range settings {
		_, _ = fmt.Fprintln(out, s)
	}
	return server.Serve(ctx, l, handler, time.Second, log)
}
