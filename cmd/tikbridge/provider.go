package main

import (
	"fmt"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// newProvider returns the OpenID Provider; nil if no client is configured.
func (a *App) newProvider(profiles provider.Profiles, sealer signin.Sealer) (*provider.Provider, error) {
	if !a.cfg.OIDC.Enabled() {
		return nil, nil //nolint:nilnil // off
	}
	keys, err := signingKeys(a.cfg)
	if err != nil {
		return nil, fmt.Errorf("keys of the OpenID Provider: %w", err)
	}
	var clients []provider.Client
	for _, c := range a.cfg.OIDC.Clients {
		clients = append(clients, provider.Client{
			ID: c.ID, Secret: c.Secret, RedirectURIs: c.RedirectURIs, Alg: c.Alg,
			TikTokTokens: c.TikTokTokens, AlwaysConsent: c.AlwaysConsents(),
		})
	}
	return provider.New(provider.Options{
		Issuer:    a.cfg.OIDC.Issuer,
		PublicURL: a.cfg.Server.PublicURL,
		Clients:   clients,
		Keys:      keys,
		SignIns:   a.service,
		Profiles:  profiles,
		Sealer:    sealer,
		Once:      a.once,
		Logger:    a.log,
	})
}

// signingKeys returns the keys that sign id_tokens: the operator's own, or those of seal.keys.
func signingKeys(cfg config.Config) (*provider.Keys, error) {
	if len(cfg.OIDC.SigningKeys) > 0 {
		return provider.ParseKeys(cfg.OIDC.SigningKeys...)
	}
	return provider.DeriveKeys(cfg.Seal.Keys...)
}
