package doctor_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/doctor"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

const rowPath = "/auth/v1/admin/custom-providers/custom:tiktok"

// newProviderWorld is a world in which Supabase sends people to the bridge, and in which the bridge mints there.
func newProviderWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.supabase.DisableSignup = false
	w.set(func(c *config.Config) {
		c.Seal.Keys = append(c.Seal.Keys, "0123456789abcdef0123456789abcdef")
		c.OIDC.SupabaseSecret = "canary-fedcba9876543210fedcba9876543210"
		c.Supabase.Provider = "custom:tiktok"
	})
	w.row(nil)
	w.discovery(nil)
	return w
}

// answers makes one path of a server answer JSON.
func answers(path string, status int, body map[string]any) func(http.Handler) http.Handler {
	return on(path, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(status)
		_ = json.NewEncoder(rw).Encode(body)
	})
}

// row changes the provider in Supabase, which is as it should be otherwise.
func (w *world) row(changes map[string]any) {
	body := map[string]any{
		"provider_type": "oidc", "identifier": "custom:tiktok", "name": "TikTok", "client_id": "supabase",
		"issuer": bridgeURL, "scopes": []string{"openid", "profile"}, "pkce_enabled": true, "enabled": true,
		"email_optional": true, "authorization_params": map[string]string{"prompt": "consent"},
		"custom_claims_allowlist": []string{"union_id"}, "attribute_mapping": map[string]any{},
	}
	maps.Copy(body, changes)
	w.overSupabase = answers(rowPath, http.StatusOK, body)
}

// discovery changes the discovery document, which is as it should be otherwise.
func (w *world) discovery(changes map[string]any) {
	body := map[string]any{
		"issuer": bridgeURL, "jwks_uri": bridgeURL + "/oidc/jwks",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
	}
	maps.Copy(body, changes)
	w.overBridge = answers(supabase.DiscoveryPath, http.StatusOK, body)
}

func TestProviderAllWell(t *testing.T) {
	t.Parallel()
	r := newProviderWorld(t).examine()
	for _, f := range r.Findings {
		if f.Status != doctor.OK {
			t.Errorf("%+v; want ok", f)
		}
	}
	if said := text(t, r); !strings.Contains(said, "Supabase has the provider custom:tiktok as it should be") {
		t.Errorf("the provider was not compared:\n%s", said)
	}
	for _, want := range []string{appOrigin + "/**, oursapp://oauth/auth", "manual linking switched off"} {
		if hand := strings.Join(r.ByHand, "\n"); !strings.Contains(hand, want) {
			t.Errorf("to check by hand, %s is not named:\n%s", want, hand)
		}
	}
}

// TestProviderFaults breaks one thing after the other, which its check finds alone.
func TestProviderFaults(t *testing.T) {
	t.Parallel()
	rowWith := func(field string, value any) func(*world) {
		return func(w *world) { w.row(map[string]any{field: value}) }
	}
	health := func(version string) func(*world) {
		return func(w *world) {
			row := w.overSupabase
			w.overSupabase = func(h http.Handler) http.Handler {
				return answers("/auth/v1/health", 200, map[string]any{"name": "GoTrue", "version": version})(row(h))
			}
		}
	}
	const setup = "Run tikbridge supabase setup."
	tests := []struct {
		name      string
		fault     func(*world)
		check     string
		status    doctor.Status
		seen, fix string
	}{
		{"disabled", rowWith("enabled", false), "provider", doctor.Problem, "is disabled", setup},
		{"issuer", rowWith("issuer", "https://old.ours.test"), "provider", doctor.Problem, "another issuer", setup},
		{
			"discovery URL", rowWith("discovery_url", "https://old.ours.test/x"),
			"provider", doctor.Problem, "another discovery_url", setup,
		},
		{"client id", rowWith("client_id", "canary"), "provider", doctor.Problem, "another client_id", setup},
		{"e-mail", rowWith("email_optional", false), "provider", doctor.Problem, "asks for an e-mail", setup},
		{"scopes", rowWith("scopes", []string{"openid", ""}), "provider", doctor.Warning, "other scopes", setup},
		{"PKCE", rowWith("pkce_enabled", false), "provider", doctor.Warning, "PKCE", setup},
		{
			"no prompt", rowWith("authorization_params", map[string]string{}),
			"provider", doctor.Warning, "With manual linking on", "leave manual linking off",
		},
		{
			"a client that does not ask", func(w *world) {
				w.set(func(c *config.Config) {
					c.OIDC.Clients = []config.OIDCClient{{
						ID: "supabase", Secret: c.OIDC.SupabaseSecret,
						RedirectURIs: []string{c.Supabase.URL + "/auth/v1/callback"},
					}}
					c.OIDC.SupabaseSecret = ""
				})
			},
			"provider", doctor.Warning, "lose their TikTok account", "Set prompt: consent",
		},
		{"no union_id", rowWith("custom_claims_allowlist", nil), "provider", doctor.Warning, "union_id", setup},
		{
			"mapped e-mail", rowWith("attribute_mapping", map[string]any{"email": "name"}),
			"provider", doctor.Problem, "accounts of others", "attribute mapping",
		},
		{
			"other clients' tokens", rowWith("acceptable_client_ids", []string{"supabase", "another-app"}),
			"provider", doctor.Warning, "id_tokens of other clients (acceptable_client_ids: another-app)", "Take those out",
		},
		{
			"mapped id", rowWith("attribute_mapping", map[string]any{"Sub": "name"}),
			"provider", doctor.Problem, "as somebody else", "attribute mapping",
		},
		{"another type", rowWith("provider_type", "oauth2"), "provider", doctor.Problem, "not an OpenID provider", "Delete"},
		{
			"no provider", func(w *world) {
				w.overSupabase = answers(rowPath, 404, map[string]any{"code": "custom_provider_not_found"})
			},
			"provider", doctor.Problem, "has no provider custom:tiktok", setup,
		},
		{
			"no provider, and nobody needs it yet", func(w *world) {
				w.supabase.DisableSignup = true
				w.overSupabase = answers(rowPath, 404, map[string]any{"code": "custom_provider_not_found"})
				w.set(func(c *config.Config) { c.Supabase.Provider = "" })
			},
			"provider", doctor.Warning, "cannot send anybody here yet", setup,
		},
		{
			"two accounts each", func(w *world) {
				w.supabase.DisableSignup = true
				w.set(func(c *config.Config) { c.Supabase.Provider = "" })
			},
			"provider", doctor.Warning, "get two accounts", "tikbridge supabase migrate",
		},
		{
			"switched off", func(w *world) {
				w.overSupabase = answers(rowPath, 404, map[string]any{"code": "feature_disabled"})
			},
			"provider", doctor.Problem, "no custom providers", "GOTRUE_CUSTOM_OAUTH_ENABLED",
		},
		{
			"no secret key", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.SecretKey, c.Supabase.ForwardClientIP = "", "off" })
			},
			"provider", doctor.Skipped, "Without supabase.secret_key", "",
		},
		{
			"another bridge", func(w *world) { w.discovery(map[string]any{"issuer": "https://other.ours.test"}) },
			"provider", doctor.Problem, "calls itself by another address", "Restart",
		},
		{
			"no document", func(w *world) { w.overBridge = on(supabase.DiscoveryPath, http.NotFound) },
			"provider", doctor.Problem, "answers with status 404", "Make the proxy pass all paths",
		},
		{
			"another server", func(w *world) { w.discovery(map[string]any{"jwks_uri": nil}) },
			"provider", doctor.Problem, "Something other than a bridge", "Make the proxy pass all paths",
		},
		{
			"sign-ups are off", func(w *world) { w.supabase.DisableSignup = true },
			"supabase", doctor.Warning, "nobody can sign in with TikTok for the first time", "Allow new users",
		},
		{"old GoTrue", health("v2.186.0"), "supabase", doctor.Problem, "came with 2.187.0", "2.196.0 or newer"},
		{
			"old GoTrue of one's own", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.URL = "https://self-hosted.ours.test" })
				health("v2.190.0")(w)
			},
			"supabase", doctor.Warning, "lack settings", "2.196.0 or newer",
		},
		{
			"no client IPs", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.ForwardClientIP = config.ForwardOff })
			},
			"client_ip", doctor.Warning, "30 a minute for everybody", "IP address forwarding",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newProviderWorld(t)
			tt.fault(w)
			r := w.examine()
			is := func(f doctor.Finding) bool {
				return f.Check == tt.check && f.Status == tt.status && strings.Contains(f.Seen, tt.seen) &&
					strings.Contains(f.Fix, tt.fix)
			}
			if !slices.ContainsFunc(r.Findings, is) {
				t.Errorf("%s does not say %s %q, %q; findings:\n%s", tt.check, tt.status, tt.seen, tt.fix, text(t, r))
			}
			for _, f := range r.Findings {
				blamed := f.Status == doctor.Problem || f.Status == doctor.Warning
				if blamed && !is(f) && (f.Check != "client_ip" || tt.name != "no secret key") {
					t.Errorf("also found: %+v", f)
				}
				if f.Status != doctor.OK {
					wantVariables(t, f)
				}
			}
			if strings.Contains(text(t, r), "canary") {
				t.Error("the report holds a secret, or what an upstream wrote")
			}
		})
	}
}
