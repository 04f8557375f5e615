package provider_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// TestDiscovery: the whole document. Clients read it once and for long.
func TestDiscovery(t *testing.T) {
	const want = `{
		"issuer": "https://signin.app.example",
		"authorization_endpoint": "https://signin.app.example/oidc/authorize",
		"token_endpoint": "https://signin.app.example/oidc/token",
		"userinfo_endpoint": "https://signin.app.example/oidc/userinfo",
		"jwks_uri": "https://signin.app.example/oidc/jwks",
		"response_types_supported": ["code"],
		"response_modes_supported": ["query"],
		"grant_types_supported": ["authorization_code"],
		"subject_types_supported": ["public"],
		"id_token_signing_alg_values_supported": ["RS256", "ES256"],
		"scopes_supported": ["openid", "profile"],
		"claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash",
			"name", "picture", "full_name", "avatar_url", "union_id"],
		"code_challenge_methods_supported": ["S256"],
		"token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
		"prompt_values_supported": ["none", "login", "consent", "select_account"],
		"authorization_response_iss_parameter_supported": true,
		"claims_parameter_supported": false,
		"request_parameter_supported": false,
		"request_uri_parameter_supported": false
	}`
	wantClaims(t, decoded(t, newWorld(t).Discovery()), want)
}

// TestDiscovery_twoAddresses: browsers may reach the provider elsewhere than clients do.
func TestDiscovery_twoAddresses(t *testing.T) {
	w := newWorld(t, func(o *provider.Options) { o.PublicURL = "https://login.app.example" })
	got := decoded(t, w.Discovery())
	for name, want := range map[string]string{
		"issuer": issuer, "authorization_endpoint": "https://login.app.example/oidc/authorize",
		"token_endpoint": issuer + "/oidc/token", "userinfo_endpoint": issuer + "/oidc/userinfo",
		"jwks_uri": issuer + "/oidc/jwks",
	} {
		if got[name] != want {
			t.Errorf("%s is %v; want %s", name, got[name], want)
		}
	}
	if got := w.signIn(t, asks()).Get("iss"); got != issuer {
		t.Errorf("iss is %s; want %s", got, issuer)
	}
}

// TestNew_defaults: without a clock and a logger the provider has its own.
func TestNew_defaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *provider.Options) { o.Now, o.Logger = nil, nil })
		w.now = time.Now()
		w.tiktok.profile = func(context.Context, signin.Identity) (signin.Profile, error) {
			return signin.Profile{}, errors.New("down")
		}
		claims := verify(t, w.mustExchange(t, w.code(t)).IDToken, w.JWKS())
		if got := claims["iat"]; got != float64(time.Now().Unix()) {
			t.Errorf("the id_token is of %v; want %d", got, time.Now().Unix())
		}
	})
}

func TestHasPublicClient(t *testing.T) {
	if !newWorld(t).HasPublicClient() {
		t.Error("spa is public")
	}
	if newWorld(t, func(o *provider.Options) { o.Clients = o.Clients[:5] }).HasPublicClient() {
		t.Error("none of them is public")
	}
}
