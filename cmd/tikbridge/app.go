package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/backend"
	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/limit"
	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/redis"
	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/telemetry"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// App is the bridge, wired up from its configuration.
type App struct {
	cfg      config.Config
	opts     AppOptions
	log      *slog.Logger
	metrics  *telemetry.Metrics
	tracing  *telemetry.Tracing // nil if off
	service  *signin.Service
	notifier *backend.Notifier  // nil without webhook.url
	provider *provider.Provider // nil if off
	server   *server.Server
	once     once.Store
	events   once.Store // claims on TikTok's events
	limiter  limit.Limiter
	redis    *redis.Client // nil without Redis, like health
	health   *redis.Health
	public   net.Listener
	admin    net.Listener // nil if switched off
}

// AppOptions are what an App takes besides its configuration. Each may be left out.
type AppOptions struct {
	// Logger defaults to one that discards everything.
	Logger *slog.Logger
	// Public is the public listener, if it is open already. Default: Run listens on server.listen.
	Public net.Listener
	// Demo is the demo app of tikbridge dev.
	Demo *server.Demo
	// Diagnose makes Run log what the doctor finds.
	Diagnose bool
	// These carry the calls to each upstream. Default: a transport each.
	TikTokTransport, SupabaseTransport, BackendTransport http.RoundTripper
}

// NewApp wires up the bridge. It does not listen yet; Run does.
func NewApp(cfg config.Config, opts AppOptions) (*App, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.TikTokTransport == nil {
		opts.TikTokTransport = upstream.NewTransport()
	}
	if opts.SupabaseTransport == nil {
		opts.SupabaseTransport = upstream.NewTransport()
	}
	if opts.BackendTransport == nil {
		opts.BackendTransport = upstream.NewTransport()
	}
	lists, err := allow.New(cfg.App.Origins, cfg.App.RedirectURIs, cfg.App.DeeplinkSchemes)
	if err != nil {
		return nil, err
	}
	proxies, err := cfg.Server.Proxies()
	if err != nil {
		return nil, err
	}
	ring, err := newRing(cfg)
	if err != nil {
		return nil, err
	}
	tracing, err := telemetry.NewTracing(buildVersion(), opts.Logger)
	if err != nil {
		return nil, err
	}
	a := &App{
		cfg: cfg, opts: opts, log: opts.Logger, public: opts.Public,
		metrics: telemetry.NewMetrics(buildVersion()), tracing: tracing,
	}
	if err := a.openStore(); err != nil {
		return nil, err
	}
	calls := telemetry.Calls(a.metrics, tracing)
	accounts, sessions, err := a.newAccounts(calls)
	if err != nil {
		return nil, err
	}
	if a.notifier, err = a.newNotifier(calls); err != nil {
		return nil, err
	}
	startPage := cfg.StartPage()
	authenticator := a.newTikTok(calls)
	a.service = signin.New(signin.Options{
		Authenticator:   authenticator,
		Accounts:        accounts,
		Policy:          lists,
		Sealer:          ring,
		Once:            a.once,
		Events:          a.events,
		CallbackURL:     server.CallbackURL(cfg.Server.PublicURL),
		DefaultScheme:   first(lists.Schemes()),
		DefaultRedirect: startPage,
		ReturnTokens:    cfg.TikTok.ReturnTokens,
		OnRemoved:       signin.Removal(cfg.TikTok.OnRemoved),
		Sessions:        sessions,
		Forward:         a.forward(),
		Logger:          a.log,
	})
	if a.provider, err = a.newProvider(authenticator, ring); err != nil {
		return nil, err
	}
	limits := cfg.RateLimit
	if !limits.Enabled {
		limits = config.RateLimit{}
	}
	a.server, err = server.New(server.Options{
		Service:           a.service,
		Allow:             lists,
		Provider:          a.provider,
		Events:            tiktokEvents{cfg.TikTok.ClientKey, webhookSecrets(cfg)},
		GuideFlow:         cfg.Security.GuideFlow,
		PublicURL:         cfg.Server.PublicURL,
		SiteVerification:  cfg.TikTok.SiteVerification,
		AuthPath:          cfg.App.AuthPath,
		DefaultRedirect:   cfg.App.DefaultRedirect,
		AppName:           cfg.App.Name,
		LogoURL:           cfg.Logo(),
		TrustedProxies:    proxies,
		ClientIPHeader:    cfg.Server.ClientIPHeader,
		StartPerMinute:    limits.Start,
		ExchangePerMinute: limits.Exchange,
		RedeemPerMinute:   limits.Redeem,
		Limiter:           a.limiter,
		StartPage:         startPage,
		Notes:             a.notes,
		Demo:              opts.Demo,
		Version:           buildVersion(),
		Metrics:           a.metrics,
		Tracing:           tracing,
		Logger:            a.log,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// newRing returns the keys that seal states and handoffs. By default they are derived from secrets that every
// replica has anyway.
func newRing(cfg config.Config) (*seal.Ring, error) {
	if len(cfg.Seal.Keys) > 0 {
		return seal.New(cfg.Seal.Keys...)
	}
	if cfg.Accounts == config.AccountsBackend {
		return seal.New(seal.Derive(cfg.Backend.Secret, cfg.TikTok.ClientSecret))
	}
	return seal.New(seal.Derive(cfg.Supabase.SecretKey, cfg.TikTok.ClientSecret))
}

// maxClaims is how many claims on states and handoffs are kept in memory: those of ten minutes at two hundred
// sign-ins a second.
const maxClaims = 1 << 17

// maxEvents is how many claims on TikTok's events are kept in memory, apart from the others: those of three days, at
// one every four seconds.
const maxEvents = 1 << 16

// openStore opens the store of claims and the rate limiter: in memory and, if replicas share one, in Redis.
func (a *App) openStore() error {
	claims, counts := once.NewMemory(maxClaims), limit.NewMemory(server.MaxLimited)
	events := once.NewMemory(maxEvents)
	a.once, a.events, a.limiter = claims, events, counts
	stats := telemetry.Store{Lost: claims.Lost, Claims: claims.Len}
	if a.cfg.Store.RedisURL != "" {
		var err error
		if a.redis, err = redis.New(a.cfg.Store.RedisURL); err != nil {
			return fmt.Errorf("store.redis_url: %w", err)
		}
		a.health = redis.NewHealth(a.log)
		a.once = once.NewFallback(once.NewRedis(a.redis), claims, a.health)
		a.events = once.NewFallback(once.NewRedis(a.redis), events, a.health)
		a.limiter = limit.NewFallback(limit.NewRedis(a.redis), counts, a.health, a.log)
		stats.Errors = a.health.Failures
		stats.Degraded = func() bool { _, down := a.health.Down(); return down }
	}
	a.metrics.WatchStore(stats)
	return nil
}

// notes returns what /readyz adds when the bridge works, but not fully.
func (a *App) notes() []string {
	if a.health == nil {
		return nil
	}
	since, down := a.health.Down()
	if !down {
		return nil
	}
	return []string{"Redis has been down since " + since.UTC().Format(time.RFC3339) +
		"; a state or handoff is single-use per replica until it is back, and each replica counts requests on its own"}
}

// first returns the first entry of list, or "".
func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// Run serves until ctx ends or a listener fails, and closes the App before it returns.
//
// It stops in steps. First /readyz says no while requests are answered as before, so that load balancers turn
// away. Then it accepts nothing new and finishes the requests under way. Then it closes the rest. The last two
// steps share one shutdown timeout.
func (a *App) Run(ctx context.Context) error {
	if err := a.listen(ctx); err != nil {
		return errors.Join(err, a.Close(ctx))
	}
	a.logStart(ctx)

	g, running := errgroup.WithContext(ctx)
	stopPublic := start(ctx, g, a.servePublic)
	stopAdmin := start(ctx, g, a.serveAdmin)
	stopDoctor := start(ctx, g, a.diagnose)
	<-running.Done() // ctx has ended, or a listener failed

	a.server.Drain()
	if ctx.Err() != nil {
		a.lameDuck(ctx)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.Server.ShutdownTimeout)
	defer cancel()
	stopDoctor()
	stopPublic()
	stopAdmin() // last, so that its /readyz answers for as long as the public side does
	err := errors.Join(g.Wait(), a.Close(closing))
	a.log.LogAttrs(ctx, slog.LevelInfo, "stopped")
	return err
}

// listen opens the listeners of the configuration.
func (a *App) listen(ctx context.Context) error {
	var err error
	if a.public == nil {
		if a.public, err = listen(ctx, a.cfg.Server.Listen); err != nil {
			return fmt.Errorf("server.listen: %w", err)
		}
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

func (a *App) logStart(ctx context.Context) {
	hasAccounts := a.cfg.Accounts != config.AccountsNone
	a.log.LogAttrs(ctx, slog.LevelInfo, "started",
		slog.String("version", buildVersion()),
		slog.String("listen", a.public.Addr().String()),
		slog.String("accounts", a.cfg.Accounts),
		slog.Bool("hosted_flow", hasAccounts && a.cfg.Server.PublicURL != ""),
		slog.Bool("guide_flow", hasAccounts && a.cfg.Security.GuideFlow),
		slog.Bool("provider_flow", a.provider != nil),
		slog.Any("origins", a.cfg.App.Origins),
		slog.Any("deeplink_schemes", a.cfg.App.DeeplinkSchemes),
		slog.String("adopt", a.adopts()),
		slog.Bool("events_forwarded", a.notifier != nil),
	)
}

// adopts is supabase.adopt, where it means something.
func (a *App) adopts() string {
	if a.cfg.Accounts != config.AccountsSupabase {
		return ""
	}
	return a.cfg.Supabase.Adopt
}

// start runs task in g. The task's context does not end with ctx: stop ends it, and waits for the task to
// return. So tasks can be stopped one after another.
func start(ctx context.Context, g *errgroup.Group, task func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	returned := make(chan struct{})
	g.Go(func() error {
		defer close(returned)
		return task(ctx)
	})
	return func() {
		cancel()
		<-returned
	}
}

func (a *App) servePublic(ctx context.Context) error {
	return server.Serve(ctx, a.public, a.server, a.cfg.Server.ShutdownTimeout, a.log)
}

func (a *App) serveAdmin(ctx context.Context) error {
	if a.admin == nil {
		return nil
	}
	return server.Serve(ctx, a.admin, a.server.Admin(), time.Second, a.log)
}

// lameDuck gives load balancers time to notice that the bridge is not ready. After Ctrl-C nobody has to.
func (a *App) lameDuck(ctx context.Context) {
	delay := a.cfg.Server.ShutdownDelay
	var by stoppedBy
	if errors.As(context.Cause(ctx), &by) && by.Signal == os.Interrupt {
		delay = 0
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "stopping: not ready", slog.Duration("serving_for", delay))
	time.Sleep(delay)
}

// Close finishes storing profiles, ends the delivery of events, sends the last traces and disconnects from
// Redis. It gives up when ctx ends. Run calls it.
func (a *App) Close(ctx context.Context) error {
	err := a.service.Close(ctx)
	if err != nil {
		err = fmt.Errorf("profiles still on their way were dropped: %w", err)
	}
	if a.notifier != nil {
		if lost := a.notifier.Close(ctx); lost != nil { // nobody can do anything about it now
			a.log.LogAttrs(ctx, slog.LevelError, "events were lost", slog.String("cause", lost.Error()))
		}
	}
	if a.tracing.Close(ctx) != nil {
		a.log.LogAttrs(ctx, slog.LevelWarn, "the last traces were lost")
	}
	if a.redis != nil {
		_ = a.redis.Close() //nolint:contextcheck // waits for nothing
	}
	return err
}
