package supabase_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// bridgeIssuer is a documentation address, which GoTrue takes for public and looks up nowhere.
const bridgeIssuer = "https://203.0.113.10"

// op is the bridge's own OpenID Provider, as GoTrue reaches it.
type op struct{ *provider.Provider }

func newOP(t *testing.T) op {
	t.Helper()
	keys, err := provider.DeriveKeys("0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider.New(provider.Options{
		Issuer: bridgeIssuer, Keys: keys,
		Clients: []provider.Client{{ID: "supabase", RedirectURIs: []string{"https://abc.supabase.co/auth/v1/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return op{p}
}

// RoundTrip implements http.RoundTripper.
func (o op) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	switch r.URL.String() {
	case bridgeIssuer + supabase.DiscoveryPath:
		_, _ = w.Write(o.Discovery())
	case bridgeIssuer + "/oidc/jwks":
		_, _ = w.Write(o.JWKS())
	default:
		return nil, errors.New("nobody answers at " + r.URL.String())
	}
	return w.Result(), nil
}

// withProvider returns a project that knows the bridge as a provider, and how to make a bridge that mints there.
func withProvider(t *testing.T, settings gotruesim.Options) (project, func() bridge) {
	t.Helper()
	o := newOP(t)
	settings.Transport = o
	p := newEmulator(t, settings).at("/auth/v1", gotruesim.SecretKey, gotruesim.PublishableKey)
	want := wantedProvider()
	want.Issuer = bridgeIssuer
	if setup, err := p.client(t).SetupProvider(t.Context(), want, false); err != nil || !setup.Created {
		t.Fatalf("the provider is created: %v (%v)", setup.Created, err)
	}
	return p, func() bridge {
		return p.client(t, func(opts *supabase.Options) {
			opts.Provider = want.Identifier
			opts.IDToken = func(_ context.Context, id signin.Identity, p signin.Profile) (string, error) {
				return o.IDToken("supabase", id, p)
			}
		})
	}
}

// TestProviderSignIn: the bridge's id_token makes an account, with the person's name, and finds it again.
func TestProviderSignIn(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	b, id := newBridge(), p.person()
	ada := func() signin.Profile {
		return signin.Profile{DisplayName: "Ada", AvatarURL: "https://cdn.example/a.jpg"}
	}
	first, err := b.SignIn(t.Context(), id, netip.Addr{}, ada)
	if err != nil {
		t.Fatal(err)
	}
	p.wantAlive(t, first.Session, first.Account.ID)
	second := b.signIn(t, id) // TikTok has no profile for us this time
	if second.Account.ID != first.Account.ID {
		t.Errorf("one person is users %s and %s", first.Account.ID, second.Account.ID)
	}
	user := p.user(t, first.Account.ID)
	metadata := user["user_metadata"].(map[string]any)
	if metadata["full_name"] != "Ada" || metadata["avatar_url"] != "https://cdn.example/a.jpg" {
		t.Errorf("user_metadata is %v; want name and picture", metadata)
	}
	if email, _ := user["email"].(string); email != "" {
		t.Errorf("the account has the e-mail %s; want none, by which it could be linked", email)
	}
	other := b.signIn(t, signin.Identity{OpenID: strings.ToUpper(id.OpenID)})
	if other.Account.ID == first.Account.ID {
		t.Error("two people whose open_ids differ in case share one account")
	}
}

// TestProviderRace: first sign-ins of one person at once, at several replicas, all end in one account.
func TestProviderRace(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	bridges := []bridge{newBridge(), newBridge(), newBridge()}
	id := p.person()
	ins := crowd(t, 20, id, bridges...)
	p.wantCrowd(t, ins)
	p.wantCrowd(t, crowd(t, 20, id, bridges...))
}

// TestProviderSquatted: whoever signed up with a person's address has nothing of theirs.
func TestProviderSquatted(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	id := p.person()
	squatter := p.squat(t, address(id))
	in := newBridge().signIn(t, id)
	if in.Account.ID == squatter.id {
		t.Error("the person is signed in to the squatter's account")
	}
	p.wantLockedOut(t, squatter, in.Account.ID)
}

// TestProviderRefuses: what the project decides about people holds for them too.
func TestProviderRefuses(t *testing.T) {
	t.Run("banned", func(t *testing.T) {
		p, newBridge := withProvider(t, gotruesim.Options{})
		b, id := newBridge(), p.person()
		in := b.signIn(t, id)
		p.must(t, http.MethodPut, "/admin/users/"+in.Account.ID, p.secret, map[string]any{"ban_duration": "24h"})
		b.refuse(t, id, signin.UserBanned)
	})
	t.Run("sign-ups are off", func(t *testing.T) {
		p, newBridge := withProvider(t, gotruesim.Options{DisableSignup: true})
		newBridge().refuse(t, p.person(), signin.SignInRefused)
	})
}

// TestProviderSetUpAgain: an update of what somebody changed, and then nothing to do.
func TestProviderSetUpAgain(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	want := wantedProvider()
	want.Issuer = bridgeIssuer
	path := "/admin/custom-providers/" + want.Identifier
	p.must(t, http.MethodPut, path, p.secret, map[string]any{"enabled": false, "scopes": []string{""}})
	b, id := newBridge(), p.person()
	b.refuse(t, id, signin.SupabaseMisconfigured)
	for _, changes := range []int{2, 0} {
		setup, err := b.SetupProvider(t.Context(), want, false)
		if err != nil || setup.Created || len(setup.Changed) != changes {
			t.Errorf("setup ends with %+v (%v); want %d changes", setup, err, changes)
		}
	}
	b.signIn(t, id)
}
