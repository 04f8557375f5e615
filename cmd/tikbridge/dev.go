package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// devOptions are the flags of tikbridge dev.
type devOptions struct {
	listen, tiktok, supabase string
	provider                 bool
}

func devCommand() *cobra.Command {
	var opts devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything at once, with nothing to configure",
		Long: `Runs the bridge, a simulated TikTok, an emulated Supabase and a demo app in one
process. With SUPABASE_URL and its keys in the environment, that Supabase is used
instead. With TIKBRIDGE_ACCOUNTS=backend and the settings of your own backend, that
gives the sessions, and there is no demo app.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDev(cmd.Context(), opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&opts.listen, "listen", "127.0.0.1:8080", "`address` of the bridge and the demo app")
	cmd.Flags().StringVar(&opts.tiktok, "tiktok-listen", "127.0.0.1:8081", "`address` of the simulated TikTok")
	cmd.Flags().StringVar(&opts.supabase, "supabase-listen", "127.0.0.1:8082", "`address` of the emulated Supabase")
	cmd.Flags().BoolVar(&opts.provider, "provider", true,
		"make TikTok a provider of the emulated Supabase; without, sessions come from links")
	return cmd
}

// runDev runs the bridge and the simulators. It opens all listeners first, because the configuration of each
// part contains addresses of the others.
func runDev(ctx context.Context, opts devOptions, out, logs io.Writer) error {
	log, err := telemetry.NewLogger(logs, "text", "info")
	if err != nil {
		return err
	}
	var open listeners
	defer open.closeAll()
	public, err := open.listen(ctx, "--listen", opts.listen)
	if err != nil {
		return err
	}
	tiktok, err := open.listen(ctx, "--tiktok-listen", opts.tiktok)
	if err != nil {
		return err
	}
	// This may fail: developers with their own Supabase do not need the emulator, and may use its port.
	emulated, emulatedErr := open.listen(ctx, "--supabase-listen", opts.supabase)

	usesEmulator := false
	cfg, err := config.Load("", func(c *config.Config) {
		devConfig(c, public, tiktok)
		usesEmulator = c.Accounts == config.AccountsSupabase && c.Supabase.URL == "" && c.Supabase.AuthURL == ""
		if usesEmulator && emulatedErr == nil {
			c.Supabase.URL = webURL(emulated)
			c.Supabase.PublishableKey = gotruesim.PublishableKey
			c.Supabase.SecretKey = signin.Secret(gotruesim.SecretKey)
			if opts.provider {
				devProvider(c)
			}
		}
	})
	if usesEmulator && emulatedErr != nil {
		return emulatedErr
	}
	if err != nil {
		return err
	}
	app, err := NewApp(cfg, AppOptions{ //nolint:contextcheck // each request has its own
		Logger: log,
		Public: public,
		Demo:   devDemo(cfg),
	})
	if err != nil {
		return err
	}

	greet(out, cfg, usesEmulator)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return app.Run(ctx) })
	g.Go(func() error {
		return server.Serve(ctx, tiktok, tiktoksim.New(tiktoksim.Options{}), time.Second, log)
	})
	if usesEmulator {
		g.Go(func() error {
			emulator := gotruesim.New(gotruesim.Options{
				ExternalURL: cfg.Supabase.AuthURL, SiteURL: cfg.App.Origins[0],
				AllowInsecureIssuers: true, // the bridge itself, as OpenID Provider
			})
			return server.Serve(ctx, emulated, emulator, time.Second, log)
		})
	}
	if usesEmulator && opts.provider {
		g.Go(func() error {
			// The emulator reads the bridge's discovery document meanwhile. Both listeners are open.
			_, err := supabase.New(supabaseOptions(cfg)).SetupProvider(ctx, providerSettings(cfg), false)
			return err
		})
	}
	return g.Wait()
}

// devConfig sets what dev decides. Everything else may come from the environment.
func devConfig(c *config.Config, public, tiktok net.Listener) {
	c.Server.AdminListen = ""
	c.Server.ShutdownDelay = 0
	c.TikTok.ClientKey = tiktoksim.DefaultClientKey
	c.TikTok.ClientSecret = tiktoksim.DefaultClientSecret
	c.TikTok.AuthorizeURL = webURL(tiktok) + "/v2/auth/authorize/"
	c.TikTok.APIURL = webURL(tiktok)
	if c.Server.PublicURL == "" {
		c.Server.PublicURL = webURL(public)
	}
	c.App.Origins = append(localOrigins(public), c.App.Origins...)
	if len(c.App.DeeplinkSchemes) == 0 {
		c.App.DeeplinkSchemes = []string{"myapp"} // as in Despia's guide
	}
	c.RateLimit.Enabled = false // a developer and their tests share one IP
}

// devProvider makes TikTok a provider of the emulated Supabase, so that all flows reach the same accounts. The
// secrets are no secrets: everything here is gone when dev stops.
func devProvider(c *config.Config) {
	if len(c.Seal.Keys) == 0 {
		c.Seal.Keys = []signin.Secret{"tikbridge dev, with nothing to seal"}
	}
	if c.OIDC.SupabaseSecret == "" {
		c.OIDC.SupabaseSecret = "tikbridge dev, with nothing to hide"
	}
	c.Supabase.Provider = supabase.DefaultProvider
}

// devDemo returns the demo app, which works with a Supabase.
func devDemo(cfg config.Config) *server.Demo {
	if cfg.Accounts != config.AccountsSupabase {
		return nil
	}
	return &server.Demo{
		Config: server.DemoConfig{
			AuthorizeURL:    cfg.TikTok.AuthorizeURL,
			ClientKey:       cfg.TikTok.ClientKey,
			Scopes:          strings.Join(cfg.TikTok.Scopes, ","),
			SupabaseAuthURL: cfg.Supabase.AuthURL,
			SupabaseKey:     cfg.Supabase.PublishableKey,
			Schemes:         cfg.App.DeeplinkSchemes,
			Simulated:       true,
		},
		Connect: []string{originOf(cfg.Supabase.AuthURL)},
	}
}

// greet says what is running and where to click.
func greet(w io.Writer, cfg config.Config, usesEmulator bool) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("")
	if cfg.Accounts == config.AccountsSupabase {
		line("  tikbridge dev is running. Open the demo app and sign in:")
		line("")
		line("    %s", cfg.App.Origins[0])
	} else {
		line("  tikbridge dev is running. Let your app sign in by bridgeUrl:")
		line("")
		line("    %s", cfg.Server.PublicURL)
	}
	line("")
	line("  TikTok is simulated at   %s", cfg.TikTok.APIURL)
	switch {
	case cfg.Accounts == config.AccountsBackend:
		line("  Your backend is asked at %s", cfg.Backend.URL)
	case cfg.Accounts == config.AccountsNone:
		line("  The bridge is an OpenID Provider only")
	case usesEmulator:
		line("  Supabase is emulated at  %s   (it forgets everything when it stops)", cfg.Supabase.URL)
		line("    publishable key        %s", gotruesim.PublishableKey)
		line("    secret key             %s", gotruesim.SecretKey)
	default:
		line("  Supabase is the one at   %s", cfg.Supabase.AuthURL)
	}
	line("")
	line("  Ctrl-C stops it.")
	line("")
}

// listeners are closed together when one of them cannot be opened.
type listeners []net.Listener

func (ls *listeners) listen(ctx context.Context, flag, address string) (net.Listener, error) {
	l, err := listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	*ls = append(*ls, l)
	return l, nil
}

func (ls *listeners) closeAll() {
	for _, l := range *ls {
		_ = l.Close()
	}
}

// webURL returns the URL at which a browser on this machine reaches l.
func webURL(l net.Listener) string {
	addr := l.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

// localOrigins returns both origins at which people open l.
func localOrigins(l net.Listener) []string {
	return []string{webURL(l), "http://localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}
}

// originOf returns the origin of a URL that is known to be valid.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
