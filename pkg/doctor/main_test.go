package doctor_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/doctor"
	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/redis"
	"github.com/tikbridge/tikbridge/pkg/redis/redistest"
	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, redistest.IgnoreDialing()) }

const (
	project   = "abcdefghijklmnopqrst"
	appOrigin = "https://app.ours.test"
	bridgeURL = "https://signin.ours.test"
)

// world is an operator's production: TikTok, a hosted Supabase project, Redis and a bridge behind a
// proxy, each at its real name on a server of its own. Tests break one thing in it.
type world struct {
	*testing.T
	// settings change the configuration that the doctor reads, running that of the bridge; the bridge
	// has the doctor's first.
	settings, running []func(*config.Config)
	tiktok            tiktoksim.Options
	supabase          gotruesim.Options
	// overTikTok, overSupabase and overBridge wrap what answers.
	overTikTok, overSupabase, overBridge func(http.Handler) http.Handler
	// gone are host names at which nobody listens.
	gone []string
	// redis is at the address that store.redis_url leads to.
	redis        *miniredis.Miniredis
	redisAddress string
	now          func() time.Time
	skip         []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	same := func(h http.Handler) http.Handler { return h }
	redis := miniredis.RunT(t)
	return &world{
		T:        t,
		tiktok:   tiktoksim.Options{ClientKey: "awclientkey", ClientSecret: "a-client-secret"},
		supabase: gotruesim.Options{DisableSignup: true, RequireConfirmation: true, SBForwardedFor: true},
		redis:    redis, redisAddress: redis.Addr(),
		now: time.Now, overTikTok: same, overSupabase: same, overBridge: same,
	}
}

// set changes the configuration of doctor and bridge.
func (w *world) set(f func(*config.Config)) { w.settings = append(w.settings, f) }

// inspect reads the configuration, which is a good one before the adjustments.
func (w *world) inspect(more ...func(*config.Config)) (config.Config, config.Problems) {
	return config.Inspect("", append([]func(*config.Config){func(c *config.Config) {
		*c = config.Default()
		c.Server.PublicURL = bridgeURL
		c.Server.TrustedProxies = []string{"127.0.0.1"}
		c.TikTok.ClientKey, c.TikTok.ClientSecret = "awclientkey", "a-client-secret"
		c.Supabase.URL = "https://" + project + ".supabase.co"
		c.Supabase.PublishableKey, c.Supabase.SecretKey = gotruesim.PublishableKey, gotruesim.SecretKey
		c.Supabase.ForwardClientIP = config.ForwardSBForwardedFor
		c.TikTok.SiteVerification = []string{"tiktokAbC123dEf456.txt"}
		c.App.Origins = []string{appOrigin}
		c.App.DeeplinkSchemes = []string{"oursapp"}
		c.Store.RedisURL = signin.Secret("redis://" + w.redisAddress)
	}}, more...)...)
}

// examine starts everything and lets the doctor look at it.
func (w *world) examine() doctor.Report {
	w.Helper()
	opts := w.options()
	return doctor.Examine(w.Context(), opts)
}

func (w *world) options() doctor.Options {
	w.Helper()
	cfg, problems := w.inspect(w.settings...)
	names := map[string]http.Handler{
		"open.tiktokapis.com":    w.overTikTok(tiktoksim.New(w.tiktok)),
		project + ".supabase.co": w.overSupabase(gotruesim.New(w.supabase)),
		hostOf(bridgeURL):        w.overBridge(w.bridge()),
		"simulator.ours.test":    w.overTikTok(tiktoksim.New(w.tiktok)),
		"self-hosted.ours.test":  w.overSupabase(gotruesim.New(w.supabase)),
	}
	for _, name := range w.gone {
		delete(names, name)
	}
	transport := w.internet(names)
	opts := doctor.Options{
		Config: cfg, Problems: problems, Transport: transport, Now: w.now, Skip: w.skip,
		TikTok: tiktok.New(tiktok.Options{
			ClientKey: cfg.TikTok.ClientKey, ClientSecret: cfg.TikTok.ClientSecret,
			APIURL: cfg.TikTok.APIURL, Transport: transport,
		}),
		Supabase: supabase.New(supabase.Options{
			AuthURL: cfg.Supabase.AuthURL, PublishableKey: cfg.Supabase.PublishableKey, SecretKey: cfg.Supabase.SecretKey,
			Provider: cfg.Supabase.Provider, Transport: transport,
		}),
		Provider: supabase.ProviderSettings{
			Identifier: "custom:tiktok", Issuer: cfg.OIDC.Issuer, ClientID: "supabase",
			ClientSecret: cfg.OIDC.SupabaseSecret,
		},
		StartURL: server.StartURL(cfg.Server.PublicURL), CallbackURL: server.CallbackURL(cfg.Server.PublicURL),
	}
	if ring, err := seal.New(seal.Derive(cfg.Supabase.SecretKey, cfg.TikTok.ClientSecret)); err == nil {
		opts.Sealer = ring
	}
	if cfg.Store.RedisURL != "" {
		client, err := redis.New(cfg.Store.RedisURL)
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() { _ = client.Close() })
		opts.Claims = once.NewRedis(client)
	}
	return opts
}

// bridge is a running bridge, started before its configuration got problems. It needs no upstream:
// nobody signs in.
func (w *world) bridge() http.Handler {
	cfg, problems := w.inspect(append(w.settings, w.running...)...)
	if len(problems) > 0 {
		cfg, _ = w.inspect()
	}
	lists, err := allow.New(cfg.App.Origins, cfg.App.RedirectURIs, cfg.App.DeeplinkSchemes)
	if err != nil {
		w.Fatal(err)
	}
	ring, err := seal.New(seal.Derive(cfg.Supabase.SecretKey, cfg.TikTok.ClientSecret))
	if err != nil {
		w.Fatal(err)
	}
	proxies, err := cfg.Server.Proxies()
	if err != nil {
		w.Fatal(err)
	}
	s, err := server.New(server.Options{
		Service: signin.New(signin.Options{
			Authenticator: tiktok.New(tiktok.Options{ClientKey: cfg.TikTok.ClientKey}),
			Accounts:      supabase.New(supabase.Options{}),
			Policy:        lists, Sealer: ring, Once: once.NewMemory(10),
			CallbackURL: server.CallbackURL(cfg.Server.PublicURL), DefaultRedirect: cfg.StartPage(),
		}),
		Allow: lists, GuideFlow: cfg.Security.GuideFlow, PublicURL: cfg.Server.PublicURL,
		AuthPath: "/auth", DefaultRedirect: "/", TrustedProxies: proxies,
		SiteVerification: cfg.TikTok.SiteVerification,
		StartPerMinute:   cfg.RateLimit.Start,
	})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// internet leads each name to a server of its own, and all others nowhere.
func (w *world) internet(names map[string]http.Handler) *http.Transport {
	addresses := map[string]string{}
	for name, h := range names {
		srv := httptest.NewUnstartedServer(h)
		srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that leave
		srv.StartTLS()
		w.Cleanup(srv.Close)
		addresses[name+":443"] = srv.Listener.Addr().String()
	}
	t := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the names are others'
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			to, ok := addresses[address]
			if !ok {
				host, _, _ := net.SplitHostPort(address)
				return nil, &net.OpError{
					Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true},
				}
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
	}
	w.Cleanup(t.CloseIdleConnections)
	return t
}

func hostOf(address string) string { return strings.TrimPrefix(address, "https://") }

// always answers everything in one way.
func always(status int, headers ...string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprintln(w, "<html>it works</html>")
		})
	}
}

// on answers one path in another way.
func on(path string, f http.HandlerFunc) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				f(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
}
