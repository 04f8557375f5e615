package supabase_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jarcoal/httpmock"

	"github.com/tikbridge/tikbridge/pkg/supabase"
)

const providersURL = authURL + "/admin/custom-providers"

func wantedProvider() supabase.ProviderSettings {
	return supabase.ProviderSettings{
		Identifier: providerName, Issuer: "https://signin.app.example", ClientID: "supabase",
		ClientSecret: "canary-0123456789-0123456789-0123456789",
	}
}

// row is a provider as GoTrue shows it, as the bridge wants it but for the changes.
func row(changes map[string]any) map[string]any {
	r := map[string]any{
		"id": userID, "provider_type": "oidc", "identifier": providerName, "name": "TikTok", "client_id": "supabase",
		"acceptable_client_ids": []string{}, "scopes": []string{"openid", "profile"}, "pkce_enabled": true,
		"attribute_mapping": map[string]any{}, "custom_claims_allowlist": []string{"union_id"},
		"authorization_params": map[string]any{"prompt": "consent"}, "enabled": true, "email_optional": true,
		"issuer": "https://signin.app.example", "skip_nonce_check": false,
	}
	maps.Copy(r, changes)
	return r
}

// newMockedProvider is a project with this provider; nil is none. It answers writes with the row as wanted.
func newMockedProvider(t *testing.T, is map[string]any) *mocked {
	t.Helper()
	m := newMocked(t, supabase.Options{})
	if is == nil {
		m.answer(http.MethodGet, "/admin/custom-providers/"+providerName, http.StatusNotFound, map[string]any{
			"code": "custom_provider_not_found", "message": "Custom OAuth provider not found",
		})
	} else {
		m.answer(http.MethodGet, "/admin/custom-providers/"+providerName, http.StatusOK, is)
	}
	m.answer(http.MethodPost, "/admin/custom-providers", http.StatusCreated, row(nil))
	m.answer(http.MethodPut, "/admin/custom-providers/"+providerName, http.StatusOK, row(nil))
	return m
}

// written returns the one body that changed something, and how it was sent; nil if nothing was changed.
func (m *mocked) written(t *testing.T) (method string, body map[string]any) {
	t.Helper()
	for i, req := range m.seen {
		if req.Method == http.MethodGet {
			continue
		}
		if body != nil {
			t.Fatal("more than one call changes something")
		}
		method = req.Method
		if err := json.Unmarshal([]byte(m.bodies[i]), &body); err != nil {
			t.Fatal(err)
		}
		if got := req.Header.Get("Apikey"); got != "sb_secret_canary" {
			t.Errorf("the key is %q; want the secret one", got)
		}
	}
	return method, body
}

func TestSetupProviderCreates(t *testing.T) {
	m := newMockedProvider(t, nil)
	setup, err := m.SetupProvider(t.Context(), wantedProvider(), false)
	if err != nil || !setup.Created {
		t.Fatalf("created is %v (%v)", setup.Created, err)
	}
	method, body := m.written(t)
	want := map[string]any{
		"provider_type": "oidc", "identifier": providerName, "name": "TikTok", "client_id": "supabase",
		"client_secret": wantedProvider().ClientSecret.Reveal(), "issuer": "https://signin.app.example",
		"scopes": []any{"openid", "profile"}, "enabled": true, "email_optional": true, "pkce_enabled": true,
		"authorization_params":    map[string]any{"prompt": "consent"},
		"custom_claims_allowlist": []any{"union_id"},
	}
	if diff := cmp.Diff(want, body); method != http.MethodPost || diff != "" {
		t.Errorf("%s (-want +got):\n%s", method, diff)
	}
}

// TestSetupProviderUpdates: what differs is set; what the operator added stays.
func TestSetupProviderUpdates(t *testing.T) {
	base := map[string]any{
		"client_secret": wantedProvider().ClientSecret.Reveal(), "issuer": "https://signin.app.example",
	}
	tests := []struct {
		name    string
		is      map[string]any
		changed string
		sent    map[string]any
	}{
		{"nothing", nil, "", nil},
		{"issuer", map[string]any{"issuer": "https://old.example"}, "issuer", nil},
		{
			"discovery URL",
			map[string]any{"discovery_url": "https://old.example/x"},
			"discovery_url",
			map[string]any{"discovery_url": "https://signin.app.example/.well-known/openid-configuration"},
		},
		{"client id", map[string]any{"client_id": "other"}, "client_id", map[string]any{"client_id": "supabase"}},
		{"disabled", map[string]any{"enabled": false}, "enabled", map[string]any{"enabled": true}},
		{"e-mail", map[string]any{"email_optional": false}, "email_optional", map[string]any{"email_optional": true}},
		{"PKCE", map[string]any{"pkce_enabled": false}, "pkce_enabled", map[string]any{"pkce_enabled": true}},
		{
			"scopes of the dashboard's form",
			map[string]any{"scopes": []string{"openid", ""}},
			"scopes",
			map[string]any{"scopes": []any{"openid", "profile"}},
		},
		{"more scopes", map[string]any{"scopes": []string{"openid", "profile", "email"}}, "", nil},
		{
			"no prompt",
			map[string]any{"authorization_params": map[string]any{"ui_locales": "he"}},
			"authorization_params",
			map[string]any{"authorization_params": map[string]any{"ui_locales": "he", "prompt": "consent"}},
		},
		{
			"no union_id",
			map[string]any{"custom_claims_allowlist": []string{"mine"}},
			"custom_claims_allowlist",
			map[string]any{"custom_claims_allowlist": []any{"mine", "union_id"}},
		},
		{"no list of claims", map[string]any{"custom_claims_allowlist": nil}, "custom_claims_allowlist", map[string]any{
			"custom_claims_allowlist": []any{"union_id"},
		}},
		{"another name", map[string]any{"name": "TikTok login"}, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMockedProvider(t, row(tt.is))
			setup, err := m.SetupProvider(t.Context(), wantedProvider(), false)
			if err != nil || setup.Created {
				t.Fatalf("created is %v (%v)", setup.Created, err)
			}
			var changed []string
			for _, d := range setup.Changed {
				changed = append(changed, d.Field)
			}
			if got := strings.Join(changed, " "); got != tt.changed {
				t.Errorf("changed is %q; want %q", got, tt.changed)
			}
			want := maps.Clone(base)
			maps.Copy(want, tt.sent)
			method, body := m.written(t)
			if diff := cmp.Diff(want, body); method != http.MethodPut || diff != "" {
				t.Errorf("%s (-want +got):\n%s", method, diff)
			}
		})
	}
}

// TestSetupProviderDryRun says the same and changes nothing.
func TestSetupProviderDryRun(t *testing.T) {
	for name, is := range map[string]map[string]any{
		"create": nil, "update": row(map[string]any{"enabled": false}), "nothing to do": row(nil),
	} {
		t.Run(name, func(t *testing.T) {
			dry := newMockedProvider(t, is)
			would, err := dry.SetupProvider(t.Context(), wantedProvider(), true)
			if err != nil {
				t.Fatal(err)
			}
			if _, body := dry.written(t); body != nil {
				t.Errorf("the dry run sent %v", body)
			}
			did, err := newMockedProvider(t, is).SetupProvider(t.Context(), wantedProvider(), false)
			if err != nil || did.Created != would.Created || len(did.Changed) != len(would.Changed) {
				t.Errorf("it did %+v (%v), and said %+v", did, err, would)
			}
		})
	}
}

// TestSetupProviderRefused: whatever Supabase refuses comes with what to do about it.
func TestSetupProviderRefused(t *testing.T) {
	invalid := func(text string) httpmock.Responder {
		return httpmock.NewJsonResponderOrPanic(400, map[string]any{"code": "validation_failed", "message": text})
	}
	coded := func(status int, code string) httpmock.Responder {
		return httpmock.NewJsonResponderOrPanic(status, map[string]any{"code": code, "message": "canary text"})
	}
	const document = "https://signin.app.example/.well-known/openid-configuration"
	discovery := `OIDC discovery from "` + document + `" failed: oidc: `
	tests := []struct {
		name      string
		method    string
		respond   httpmock.Responder
		seen, fix string
	}{
		{
			"no GoTrue with custom providers", "GET", httpmock.NewStringResponder(404, "404 page not found\n"),
			"no custom providers", "2.196.0",
		},
		{"switched off", "GET", coded(404, "feature_disabled"), "switched off", "GOTRUE_CUSTOM_OAUTH_ENABLED"},
		{"not an admin key", "GET", coded(403, "not_admin"), "not_admin", "service_role"},
		{
			"wrong key", "GET", httpmock.NewStringResponder(401, `{"message":"Invalid API key"}`),
			"401", "Copy the address and both keys",
		},
		{"down", "GET", httpmock.NewStringResponder(503, ""), "503", "Try again in a minute"},
		{
			"another type", "GET", httpmock.NewJsonResponderOrPanic(200, row(map[string]any{"provider_type": "oauth2"})),
			"not an OpenID provider", "Delete it",
		},
		{"quota", "POST", coded(400, "over_custom_provider_quota"), "as many custom providers", "Free has 3"},
		{"not https", "POST", invalid("URL must use HTTPS"), "https", "server.public_url"},
		{"loopback", "POST", invalid("URL cannot point to localhost or loopback addresses"), "private", "tunnel"},
		{"private network", "POST", invalid("URL cannot resolve to private network addresses"), "private", "tunnel"},
		{"no DNS", "POST", invalid("Unable to resolve hostname"), "does not find the host", "public DNS"},
		{
			"issuer", "POST", invalid(discovery + `issuer mismatch, expected "x" got "canary"`), "another address",
			"the same server.public_url",
		},
		{
			"bridge is not there", "POST", invalid(discovery + "discovery request failed: canary"),
			"cannot read " + document, "Start the bridge",
		},
		{
			"somebody else is there", "POST",
			invalid("OIDC discovery document is missing required fields: issuer"), "Something other than the bridge", "Lead",
		},
		{
			"old GoTrue", "POST", httpmock.NewJsonResponderOrPanic(201, row(map[string]any{"custom_claims_allowlist": nil})),
			"ignores custom_claims_allowlist", "2.196.0",
		},
		{"anything else", "POST", coded(400, "validation_failed"), "validation_failed", "Check supabase.url"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMockedProvider(t, nil)
			url := providersURL
			if tt.method == http.MethodGet {
				url += "/" + providerName
			}
			m.transport.RegisterResponder(tt.method, url, tt.respond)
			_, err := m.SetupProvider(t.Context(), wantedProvider(), false)
			var e *supabase.SetupError
			if !errors.As(err, &e) {
				t.Fatalf("error is %v; want a SetupError", err)
			}
			if !strings.Contains(e.Seen, tt.seen) || !strings.Contains(e.Fix, tt.fix) {
				t.Errorf("seen %q, fix %q; want %q and %q in them", e.Seen, e.Fix, tt.seen, tt.fix)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("a secret or GoTrue's words got out: %v", err)
			}
		})
	}
}

// TestSetupProviderUnusable: what GoTrue would refuse, or answer with a 500, is not sent.
func TestSetupProviderUnusable(t *testing.T) {
	for name, spoil := range map[string]func(*supabase.ProviderSettings){
		"upper case":      func(s *supabase.ProviderSettings) { s.Identifier = "custom:TikTok" },
		"no prefix":       func(s *supabase.ProviderSettings) { s.Identifier = "tiktok" },
		"prefix alone":    func(s *supabase.ProviderSettings) { s.Identifier = "custom:" },
		"path":            func(s *supabase.ProviderSettings) { s.Identifier = "custom:a/../b" },
		"http":            func(s *supabase.ProviderSettings) { s.Issuer = "http://signin.app.example" },
		"no issuer":       func(s *supabase.ProviderSettings) { s.Issuer = "" },
		"no client":       func(s *supabase.ProviderSettings) { s.ClientID = "" },
		"no secret":       func(s *supabase.ProviderSettings) { s.ClientSecret = "" },
		"longer than ids": func(s *supabase.ProviderSettings) { s.Identifier = "custom:" + strings.Repeat("a", 44) },
	} {
		t.Run(name, func(t *testing.T) {
			m, want := newMockedProvider(t, nil), wantedProvider()
			spoil(&want)
			var e *supabase.SetupError
			if _, err := m.SetupProvider(t.Context(), want, false); !errors.As(err, &e) || len(m.seen) > 0 {
				t.Errorf("it ends with %v after %d calls; want a SetupError and none", err, len(m.seen))
			}
		})
	}
}
