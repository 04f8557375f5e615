package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/tikbridge/tikbridge/pkg/backend"
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

// newTikTok returns the client for the TikTok app. Profiles have their own breaker: a sign-in works without.
func (a *App) newTikTok(calls upstream.Observer) *tiktok.Client {
	opts := tiktokOptions(a.cfg)
	opts.Observer = calls
	opts.Transport = a.guarded(a.opts.TikTokTransport,
		upstream.BreakerOptions{Service: "tiktok", Timeout: opts.Timeout})
	opts.ProfileTransport = a.guarded(a.opts.TikTokTransport, upstream.BreakerOptions{
		Service: "tiktok_profile", Timeout: min(opts.Timeout, signin.DefaultProfileTimeout),
	})
	return tiktok.New(opts)
}

// backendOptions returns the options that come from the configuration.
func backendOptions(cfg config.Config) backend.Options {
	return backend.Options{
		URL:          cfg.Backend.URL,
		Secret:       cfg.Backend.Secret,
		ReturnTokens: cfg.TikTok.ReturnTokens,
		Timeout:      cfg.Backend.Timeout,
	}
}

// notifierOptions returns the options that come from the configuration.
func notifierOptions(cfg config.Config) backend.NotifierOptions {
	return backend.NotifierOptions{URL: cfg.Webhook.URL, Secret: cfg.Webhook.Secret}
}

// webhookSecrets returns the secrets with which TikTok may have signed a webhook.
func webhookSecrets(cfg config.Config) []signin.Secret {
	return []signin.Secret{cfg.TikTok.ClientSecret, cfg.TikTok.PreviousClientSecret}
}

// newAccounts returns who keeps the users, and whose sessions the bridge may end; nil if nobody's.
func (a *App) newAccounts(calls upstream.Observer) (signin.Accounts, signin.Sessions, error) {
	switch a.cfg.Accounts {
	case config.AccountsNone:
		return nil, nil, nil
	case config.AccountsBackend:
		accounts, err := a.newBackend(calls)
		return accounts, nil, err
	}
	accounts := a.newSupabase(calls)
	return accounts, accounts, nil
}

// forward returns what passes TikTok's events on; nil if nobody wants them.
func (a *App) forward() func(context.Context, signin.Event) bool {
	if a.notifier == nil {
		return nil
	}
	return func(ctx context.Context, e signin.Event) bool {
		return a.notifier.Notify(ctx, backend.Event{
			ID: e.Key, Type: e.Name, OpenID: e.OpenID, Reason: reasonOf(e), CreateTime: e.At, Content: e.Content,
		})
	}
}

// reasonOf is why a grant ended; other events have no reason.
func reasonOf(e signin.Event) string {
	if e.Name != tiktok.EventAuthorizationRemoved {
		return ""
	}
	return e.Reason
}

// newBackend returns the client for the app's own backend.
func (a *App) newBackend(calls upstream.Observer) (*backend.Client, error) {
	opts := backendOptions(a.cfg)
	opts.Observer = calls
	opts.Transport = a.guarded(a.opts.BackendTransport, upstream.BreakerOptions{
		Service: backend.Service, Timeout: opts.Timeout, IsFault: backend.IsFault,
	})
	client, err := backend.New(opts)
	if err != nil {
		return nil, fmt.Errorf("backend.secret: %w", err)
	}
	return client, nil
}

// newNotifier returns what passes events on; nil if nobody wants them. It has no breaker: it waits between its
// attempts anyway.
func (a *App) newNotifier(calls upstream.Observer) (*backend.Notifier, error) {
	if a.cfg.Webhook.URL == "" {
		return nil, nil //nolint:nilnil // off
	}
	opts := notifierOptions(a.cfg)
	opts.Observer = calls
	opts.Transport = a.opts.BackendTransport
	opts.Ended = func(d backend.Delivery) { a.metrics.EventForwarded(string(d)) }
	opts.Logger = a.log
	notifier, err := backend.NewNotifier(opts)
	if err != nil {
		return nil, fmt.Errorf("webhook.secret: %w", err)
	}
	return notifier, nil
}

// newSupabase returns the client for the Supabase project.
func (a *App) newSupabase(calls upstream.Observer) *supabase.Client {
	opts := supabaseOptions(a.cfg)
	opts.Observer = calls
	opts.Logger = a.log
	if client, ok := a.cfg.SupabaseClient(); ok {
		opts.IDToken = func(_ context.Context, id signin.Identity, p signin.Profile) (string, error) {
			return a.provider.IDToken(client.ID, id, p)
		}
	}
	opts.Transport = a.guarded(a.opts.SupabaseTransport, upstream.BreakerOptions{
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
