package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/limit"
	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// app is the bridge, wired up: configuration in, listeners and handlers out.
type app struct {
	cfg      config.Config
	log      *slog.Logger
	metrics  *telemetry.Metrics
	tracing  *telemetry.Tracing // nil if off
	accounts *supabase.Client
	service  *signin.Service
	server   *server.Server
	// once remembers used states and handoffs; redis and degrading are set where replicas share them.
	once      once.Store
	redis     *once.Redis
	degrading *once.Degrading
	limiter   limit.Limiter
	public    net.Listener
	admin     net.Listener // nil if switched off
}

// newApp builds the bridge; it listens to nothing yet.
func newApp(cfg config.Config, log *slog.Logger, demo *server.Demo) (*app, error) {
	return newAppOver(upstream.NewTransport(), upstream.NewTransport(), cfg, log, demo)
}

// newAppOver is newApp with the transports that lead to TikTok and to Supabase.
func newAppOver(toTikTok, toSupabase http.RoundTripper, cfg config.Config, log *slog.Logger, demo *server.Demo) (*app, error) {
	lists, err := allow.New(cfg.App.Origins, cfg.App.RedirectURIs, cfg.App.DeeplinkSchemes)
	if err != nil {
		return nil, err
	}
	proxies, err := cfg.Server.Proxies()
	if err != nil {
		return nil, err
	}
	tracing, err := telemetry.NewTracing(buildVersion(), log)
	if err != nil {
		return nil, err
	}
	a := &app{cfg: cfg, log: log, metrics: telemetry.NewMetrics(buildVersion()), tracing: tracing}
	calls := telemetry.Calls(a.metrics, tracing)
	a.accounts = newAccounts(cfg, log, calls, a.guarded(toSupabase, upstream.BreakerOptions{
		Service: "supabase", Timeout: cfg.Supabase.Timeout, IsFault: supabase.IsFault,
	}))
	ring, err := newRing(cfg)
	if err != nil {
		return nil, err
	}
	if err := a.openStore(); err != nil {
		return nil, err
	}
	startPage := cfg.StartPage()
	a.service = signin.New(signin.Options{
		Authenticator: newTikTok(cfg, calls,
			a.guarded(toTikTok, upstream.BreakerOptions{Service: "tiktok", Timeout: cfg.TikTok.Timeout}),
			a.guarded(toTikTok, upstream.BreakerOptions{
				Service: "tiktok_profile", Timeout: min(cfg.TikTok.Timeout, signin.DefaultProfileTimeout),
			}),
		),
		Accounts:        a.accounts,
		Policy:          lists,
		Sealer:          ring,
		Once:            a.once,
		CallbackURL:     server.CallbackURL(cfg.Server.PublicURL),
		DefaultScheme:   first(lists.Schemes()),
		DefaultRedirect: startPage,
		ReturnTokens:    cfg.TikTok.ReturnTokens,
		Logger:          log,
	})
	limits := cfg.RateLimit
	if !limits.Enabled {
		limits = config.RateLimit{}
	}
	a.server, err = server.New(server.Options{
		Service:           a.service,
		Allow:             lists,
		GuideFlow:         cfg.Security.GuideFlow,
		PublicURL:         cfg.Server.PublicURL,
		AuthPath:          cfg.App.AuthPath,
		DefaultRedirect:   cfg.App.DefaultRedirect,
		TrustedProxies:    proxies,
		StartPerMinute:    limits.Start,
		ExchangePerMinute: limits.Exchange,
		RedeemPerMinute:   limits.Redeem,
		Limiter:           a.limiter,
		StartPage:         startPage,
		Notes:             a.notes,
		Demo:              demo,
		Version:           buildVersion(),
		Metrics:           a.metrics,
		Tracing:           tracing,
		Logger:            log,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// newRing returns the keys that seal states and handoffs. By default they follow from secrets that all
// replicas have anyway.
func newRing(cfg config.Config) (*seal.Ring, error) {
	if len(cfg.Seal.Keys) > 0 {
		return seal.New(cfg.Seal.Keys...)
	}
	return seal.New(seal.Derive(cfg.Supabase.SecretKey, cfg.TikTok.ClientSecret))
}

// maxMarks is how many used states and handoffs are remembered in memory: those of ten minutes at
// two hundred sign-ins a second.
const maxMarks = 1 << 17

// openStore opens where used states and handoffs are remembered, and requests counted.
func (a *app) openStore() error {
	memory, counts := once.NewMemory(maxMarks), limit.NewMemory(server.MaxLimited)
	stats := telemetry.Store{Lost: memory.Lost, Marks: memory.Len}
	a.limiter = counts
	if a.cfg.Store.RedisURL == "" {
		a.once = memory
		a.metrics.WatchStore(stats)
		return nil
	}
	redis, err := once.NewRedis(a.cfg.Store.RedisURL)
	if err != nil {
		return fmt.Errorf("store.redis_url: %w", err)
	}
	a.redis = redis
	a.degrading = once.NewDegrading(redis, memory, a.log)
	a.once = a.degrading
	stats.Errors = a.degrading.Failures
	stats.Degraded = func() bool { _, ok := a.degrading.Degraded(); return ok }
	a.metrics.WatchStore(stats)
	a.limiter = limit.NewShared(counts, redis, a.degrading, a.log)
	return nil
}

// notes tells what a probe should know of a bridge that works, but not as it should.
func (a *app) notes() []string {
	if a.degrading == nil {
		return nil
	}
	if since, ok := a.degrading.Degraded(); ok {
		return []string{"Redis does not answer since " + since.UTC().Format(time.RFC3339) + "; states and handoffs are single-use, and requests counted, on each replica only"}
	}
	return nil
}

// first returns the first entry, "" if there is none.
func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// guarded returns a transport that makes no calls while all of them fail.
func (a *app) guarded(transport http.RoundTripper, opts upstream.BreakerOptions) http.RoundTripper {
	opts.Changed = func(service, from, to string) {
		a.metrics.BreakerChanged(service, to)
		log := a.log.With(slog.String("upstream", service), slog.String("breaker", to))
		switch {
		case from == "closed":
			log.Warn("an upstream fails: calls to it are refused until it answers again")
		case to == "closed":
			log.Info("an upstream answers again")
		default: // every few seconds
			log.Debug("an upstream that fails is tried")
		}
	}
	return upstream.NewBreaker(transport, opts)
}

// newTikTok builds the client of the TikTok app; without transports it has its own.
func newTikTok(cfg config.Config, calls upstream.Observer, transport, profiles http.RoundTripper) *tiktok.Client {
	return tiktok.New(tiktok.Options{
		ClientKey:    cfg.TikTok.ClientKey,
		ClientSecret: cfg.TikTok.ClientSecret,
		Scopes:       cfg.TikTok.Scopes,
		PKCE:         tiktok.PKCE(cfg.TikTok.PKCE),
		AuthorizeURL: cfg.TikTok.AuthorizeURL,
		APIURL:       cfg.TikTok.APIURL,
		Timeout:      cfg.TikTok.Timeout,
		Observer:     calls,
		Transport:    transport, ProfileTransport: profiles,
	})
}

// newAccounts builds the client of the Supabase project; without a transport it has its own.
func newAccounts(cfg config.Config, log *slog.Logger, calls upstream.Observer, transport http.RoundTripper) *supabase.Client {
	return supabase.New(supabase.Options{
		AuthURL:         cfg.Supabase.AuthURL,
		PublishableKey:  cfg.Supabase.PublishableKey,
		SecretKey:       cfg.Supabase.SecretKey,
		EmailDomain:     cfg.Supabase.EmailDomain,
		Adopt:           supabase.Adopt(cfg.Supabase.Adopt),
		ForwardClientIP: cfg.Supabase.ForwardHeader(),
		Timeout:         cfg.Supabase.Timeout,
		Observer:        calls,
		Transport:       transport,
		Logger:          log,
	})
}

// checkProject warns of settings of the project that help squatters, and of accounts that wait to be
// adopted. It is advice: whatever comes of it, the bridge runs.
func (a *app) checkProject(ctx context.Context) {
	settings, err := a.accounts.CheckSettings(ctx)
	accounts, accountsErr := a.accounts.CheckAccounts(ctx)
	if err = errors.Join(err, accountsErr); err != nil {
		a.log.LogAttrs(ctx, slog.LevelWarn, "cannot check the Supabase project", signin.AsError(err).LogAttrs()...)
	}
	for _, w := range slices.Concat(settings, accounts) {
		a.log.LogAttrs(ctx, slog.LevelWarn, "the Supabase project needs attention",
			slog.String("setting", w.Setting), slog.String("advice", w.Text+" "+w.Fix))
	}
}

// listen opens the listeners of the configuration.
func (a *app) listen(ctx context.Context) error {
	var err error
	if a.public, err = listen(ctx, a.cfg.Server.Listen); err != nil {
		return fmt.Errorf("server.listen: %w", err)
	}
	if a.cfg.Server.AdminListen == "" {
		return nil
	}
	if a.admin, err = listen(ctx, a.cfg.Server.AdminListen); err != nil {
		_ = a.public.Close()
		return fmt.Errorf("server.admin_listen: %w", err)
	}
	return nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// run serves until ctx ends. Then the bridge says it is not ready and answers as ever for the shutdown
// delay; after that it takes nothing new, ends what is under way, and stores what is still to be
// stored, all within the shutdown timeout.
func (a *app) run(ctx context.Context) error {
	a.log.LogAttrs(ctx, slog.LevelInfo, "started",
		slog.String("version", buildVersion()),
		slog.String("listen", a.public.Addr().String()),
		slog.Bool("hosted_flow", a.cfg.Server.PublicURL != ""),
		slog.Bool("guide_flow", a.cfg.Security.GuideFlow),
		slog.Any("origins", a.cfg.App.Origins),
		slog.Any("deeplink_schemes", a.cfg.App.DeeplinkSchemes),
		slog.String("adopt", a.cfg.Supabase.Adopt),
	)
	g, gctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	// One shutdown timeout for everything, from the moment nothing new is taken.
	closing, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	g.Go(func() error {
		<-gctx.Done()
		a.server.Drain()
		if ctx.Err() != nil { // and not a listener that failed
			a.lameDuck(ctx)
		}
		time.AfterFunc(a.cfg.Server.ShutdownTimeout, cutOff)
		stop()
		return nil
	})
	// The admin listener goes last: its /readyz tells that the bridge is stopping while it does.
	drained, last := context.WithCancel(context.WithoutCancel(ctx))
	defer last()
	g.Go(func() error {
		defer last()
		return server.Serve(serving, a.public, a.server, a.cfg.Server.ShutdownTimeout, a.log)
	})
	if a.admin != nil {
		g.Go(func() error {
			return server.Serve(drained, a.admin, a.server.Admin(), time.Second, a.log)
		})
	}
	err := g.Wait()
	if cerr := a.service.Close(closing); cerr != nil {
		err = errors.Join(err, fmt.Errorf("profiles still on their way were dropped: %w", cerr))
	}
	if cerr := a.tracing.Close(closing); cerr != nil {
		a.log.LogAttrs(ctx, slog.LevelWarn, "the last traces were lost")
	}
	if a.redis != nil {
		_ = a.redis.Close() //nolint:contextcheck // waits for nothing
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "stopped")
	return err
}

// lameDuck waits until whoever sends people here had time to see that the bridge is not ready. Nobody
// has to see it when somebody pressed Ctrl-C.
func (a *app) lameDuck(ctx context.Context) {
	delay := a.cfg.Server.ShutdownDelay
	var by stoppedBy
	if errors.As(context.Cause(ctx), &by) && by.Signal == os.Interrupt {
		delay = 0
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "stopping: not ready", slog.Duration("serving_for", delay))
	time.Sleep(delay)
}
