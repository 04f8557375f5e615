package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// tiktokOptions returns the options that come from the configuration.
func tiktokOptions(cfg config.Config) tiktok.Options {
	return tiktok.Options{
		ClientKey:    cfg.TikTok.ClientKey,
		ClientSecret: cfg.TikTok.ClientSecret,
		Scopes:       cfg.TikTok.Scopes,
		PKCE:         tiktok.PKCE(cfg.TikTok.PKCE),
		AuthorizeURL: cfg.TikTok.AuthorizeURL,
		APIURL:       cfg.TikTok.APIURL,
		Timeout:      cfg.TikTok.Timeout,
	}
}

// supabaseOptions returns the options that come from the configuration.
func supabaseOptions(cfg config.Config) supabase.Options {
	return supabase.Options{
		AuthURL:         cfg.Supabase.AuthURL,
		PublishableKey:  cfg.Supabase.PublishableKey,
		SecretKey:       cfg.Supabase.SecretKey,
		EmailDomain:     cfg.Supabase.EmailDomain,
		Adopt:           supabase.Adopt(cfg.Supabase.Adopt),
		ForwardClientIP: cfg.Supabase.ForwardHeader(),
		Provider:        cfg.Supabase.Provider,
		Timeout:         cfg.Supabase.Timeout,
	}
}

// providerSettings returns what Supabase should know of this bridge, if it is one of its clients.
func providerSettings(cfg config.Config) supabase.ProviderSettings {
	client, _ := cfg.SupabaseClient()
	return supabase.ProviderSettings{
		Identifier:   cmp.Or(cfg.Supabase.Provider, supabase.DefaultProvider),
		Issuer:       cfg.OIDC.Issuer,
		ClientID:     client.ID,
		ClientSecret: client.Secret,
	}
}

// warmers open the connections that sign-ins are about to need. Their requests are below the breakers, which so
// do not count them, and below metrics and traces.
type warmers struct{ tiktok, supabase *upstream.Warmer }

// newWarmers returns transports over those of the options. TikTok gets a HEAD request for the root of its API, which
// has nothing there; Supabase is asked for its health.
func newWarmers(cfg config.Config, opts AppOptions) (warmers, error) {
	root := strings.TrimRight(cmp.Or(cfg.TikTok.APIURL, tiktok.DefaultAPIURL), "/") + "/"
	toTikTok, err := http.NewRequest(http.MethodHead, root, http.NoBody) //nolint:noctx // Warm brings one
	if err != nil {
		return warmers{}, fmt.Errorf("tiktok.api_url: %w", err)
	}
	health := cfg.Supabase.AuthURL + "/health"
	toSupabase, err := http.NewRequest(http.MethodGet, health, http.NoBody) //nolint:noctx // Warm brings one
	if err != nil {
		return warmers{}, fmt.Errorf("supabase.auth_url: %w", err)
	}
	toSupabase.Header.Set("Apikey", cfg.Supabase.PublishableKey) // hosted projects answer nobody without
	return warmers{
		tiktok:   upstream.NewWarmer(opts.TikTokTransport, toTikTok),
		supabase: upstream.NewWarmer(opts.SupabaseTransport, toSupabase),
	}, nil
}

// newTikTok returns the client for the TikTok app. Profiles have their own breaker: a sign-in works without.
func (a *App) newTikTok(calls upstream.Observer) *tiktok.Client {
	opts := tiktokOptions(a.cfg)
	opts.Observer = calls
	opts.Transport = a.guarded(a.warmers.tiktok,
		upstream.BreakerOptions{Service: "tiktok", Timeout: opts.Timeout})
	opts.ProfileTransport = a.guarded(a.warmers.tiktok, upstream.BreakerOptions{
		Service: "tiktok_profile", Timeout: min(opts.Timeout, signin.DefaultProfileTimeout),
	})
	return tiktok.New(opts)
}

// newAccounts returns the client for the Supabase project.
func (a *App) newAccounts(calls upstream.Observer) *supabase.Client {
	opts := supabaseOptions(a.cfg)
	opts.Observer = calls
	opts.Logger = a.log
	if client, ok := a.cfg.SupabaseClient(); ok {
		opts.IDToken = func(_ context.Context, id signin.Identity, p signin.Profile) (string, error) {
			return a.provider.IDToken(client.ID, id, p)
		}
	}
	opts.Transport = a.guarded(a.warmers.supabase, upstream.BreakerOptions{
		Service: "supabase", Timeout: opts.Timeout, IsFault: supabase.IsFault,
	})
	return supabase.New(opts)
}

// guarded puts a breaker in front of a transport. While every call fails, it refuses calls without trying.
func (a *App) guarded(transport http.RoundTripper, opts upstream.BreakerOptions) http.RoundTripper {
	opts.Changed = func(service, from, to string) {
		a.metrics.BreakerChanged(service, to)
		log := a.log.With(slog.String("upstream", service), slog.String("breaker", to))
		switch {
		case from == "closed":
			log.Warn("an upstream fails: calls to it are refused until it answers again")
		case to == "closed":
			log.Info("an upstream answers again")
		default: // half-open, or open again: every few seconds
			log.Debug("an upstream that fails is tried")
		}
	}
	return upstream.NewBreaker(transport, opts)
}
