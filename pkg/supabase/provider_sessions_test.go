package supabase_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// afterIDToken makes a bridge do something else right after GoTrue has taken an id_token from it.
type afterIDToken struct {
	next http.RoundTripper
	do   func()
}

// RoundTrip implements http.RoundTripper.
func (a afterIDToken) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	if r.URL.RawQuery == "grant_type=id_token" {
		a.do()
	}
	return resp, err
}

// users returns how many accounts the project has.
func (p project) users(t *testing.T) int {
	t.Helper()
	users, _ := p.must(t, http.MethodGet, "/admin/users", p.secret, nil)["users"].([]any)
	return len(users)
}

// link links TikTok to the account that an access token is of.
func (p project) link(t *testing.T, access string, id signin.Identity) {
	t.Helper()
	token, err := newOP(t).IDToken("supabase", id, signin.Profile{})
	if err != nil {
		t.Fatal(err)
	}
	p.must(t, http.MethodPost, "/token?grant_type=id_token", access, map[string]any{
		"provider": "custom:tiktok", "id_token": token, "link_identity": true,
	})
}

// TestProviderSignOut: every session of the person ends, also one from a moment ago, nobody else's, and they come
// back to the same account.
func TestProviderSignOut(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	b, id := newBridge(), p.person()
	in, others := b.signIn(t, id), b.signIn(t, p.person())
	if err := b.SignOut(t.Context(), id.OpenID); err != nil {
		t.Fatal(err)
	}
	p.wantOver(t, in.Session)
	p.wantAlive(t, others.Session, others.Account.ID)
	if again := b.signIn(t, id); again.Account.ID != in.Account.ID {
		t.Errorf("the account %s is gone, and they have %s", in.Account.ID, again.Account.ID)
	}
}

// TestProviderSignOut_nobody: TikTok tells of somebody without an account. They still have none afterwards; after a
// ban they have one, which keeps them out.
func TestProviderSignOut_nobody(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	b, id := newBridge(), p.person()
	if err := b.SignOut(t.Context(), id.OpenID); err != nil || p.users(t) != 0 {
		t.Errorf("a sign-out ends with %d accounts (%v); want none", p.users(t), err)
	}
	if err := b.Ban(t.Context(), id.OpenID); err != nil {
		t.Fatal(err)
	}
	b.refuse(t, id, signin.UserBanned)
}

// TestProviderSignOut_race: somebody signs in for the first time just then. It is their account, and stays.
func TestProviderSignOut_race(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	id := p.person()
	var in signin.SignedIn
	b := p.client(t, func(o *supabase.Options) {
		o.Provider, o.IDToken = "custom:tiktok", signsFor(t)
		o.Transport = afterIDToken{o.Transport, func() { in = newBridge().signIn(t, id) }}
	})
	if err := b.SignOut(t.Context(), id.OpenID); err != nil {
		t.Fatal(err)
	}
	if again := newBridge().signIn(t, id); again.Account.ID != in.Account.ID {
		t.Errorf("the account %s is gone, and they have %s", in.Account.ID, again.Account.ID)
	}
}

// signsFor signs id_tokens as the bridge does.
func signsFor(t *testing.T) func(context.Context, signin.Identity, signin.Profile) (string, error) {
	t.Helper()
	o := newOP(t)
	return func(_ context.Context, id signin.Identity, p signin.Profile) (string, error) {
		return o.IDToken("supabase", id, p)
	}
}

// TestProviderLinked: an account that TikTok was linked to has other ways in. It loses its sessions and nothing
// else.
func TestProviderLinked(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	b, id := newBridge(), p.person()
	owner := p.squat(t, "owner-"+p.openIDs.next()+"@mail.test")
	p.link(t, owner.access, id)
	in := b.signIn(t, id)
	if in.Account.ID != owner.id {
		t.Fatalf("TikTok leads to %s; want the account %s it is linked to", in.Account.ID, owner.id)
	}
	if err := b.Ban(t.Context(), id.OpenID); err != nil {
		t.Fatal(err)
	}
	p.wantOver(t, in.Session)
	password := map[string]any{"email": owner.email, "password": owner.password}
	if got := p.status(t, http.MethodPost, "/token?grant_type=password", "", password); got != http.StatusOK {
		t.Errorf("their password: %d; want 200", got)
	}
}

// TestProviderBan: an account with no other way in is banned.
func TestProviderBan(t *testing.T) {
	p, newBridge := withProvider(t, gotruesim.Options{})
	b, id := newBridge(), p.person()
	in := b.signIn(t, id)
	if err := b.Ban(t.Context(), id.OpenID); err != nil {
		t.Fatal(err)
	}
	p.wantOver(t, in.Session)
	b.refuse(t, id, signin.UserBanned)
}

// TestProviderSignOut_off: where Supabase has no providers yet, nobody is signed in by one, and TikTok need not ask
// again.
func TestProviderSignOut_off(t *testing.T) {
	m := newMockedIDToken(t, byIDToken())
	for _, path := range []string{"/admin/generate_link", "/admin/users/" + supabase.UserID(openID).String()} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			m.answer(method, path, http.StatusNotFound, map[string]any{"code": "user_not_found"})
		}
	}
	m.answer(http.MethodPost, "/token", http.StatusBadRequest, map[string]any{
		"code": "validation_failed", "message": "Custom OAuth providers are disabled",
	})
	if err := m.SignOut(t.Context(), openID); err != nil {
		t.Errorf("ends with %v; want no error", err)
	}
}
