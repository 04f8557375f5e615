package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/tikbridge/tikbridge/pkg/config"
)

// healthTimeout bounds a health check. A bridge that takes longer is not healthy.
const healthTimeout = 2 * time.Second

func healthcheckCommand() *cobra.Command {
	var file, url string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the bridge on this machine whether it is ready",
		Long: "Asks the bridge that runs with the same configuration on this machine whether it is ready, and fails\n" +
			"if it is not. For images without a shell. --url asks another address instead, such as a simulator's.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				cfg, err := config.Load(file)
				if err != nil {
					return err
				}
				if url, err = readyURL(cfg.Server.Listen); err != nil {
					return err
				}
			}
			return checkHealth(cmd.Context(), url)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `file` of the bridge (YAML, TOML or JSON)")
	cmd.Flags().StringVar(&url, "url", "", "`address` to ask instead of the bridge's /readyz")
	return cmd
}

// readyURL returns the URL at which a bridge that listens on address says whether it is ready.
func readyURL(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("server.listen: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/readyz", nil
}

// checkHealth returns an error unless url answers 200.
func checkHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	// Without Proxy: HTTP_PROXY is not meant for requests to this machine.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
