package supabase_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

// wantOver fails the test if anybody can still use the session.
func (p project) wantOver(t *testing.T, s signin.Session) {
	t.Helper()
	if got := p.status(t, http.MethodGet, "/user", s.AccessToken, nil); got != http.StatusForbidden {
		t.Errorf("GET /user with the access token: %d; want 403", got)
	}
	refresh := map[string]any{"refresh_token": s.RefreshToken}
	if got := p.status(t, http.MethodPost, "/token?grant_type=refresh_token", "", refresh); got != http.StatusBadRequest {
		t.Errorf("the refresh token: %d; want 400", got)
	}
}

// TestSignOut: every session of the person ends, nobody else's, and they can sign in again.
func TestSignOut(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id, other := p.client(t), p.person(), p.person()
		phone, laptop, others := b.signIn(t, id), b.signIn(t, id), b.signIn(t, other)
		if err := b.SignOut(t.Context(), id.OpenID); err != nil {
			t.Fatal(err)
		}
		p.wantOver(t, phone.Session)
		p.wantOver(t, laptop.Session)
		p.wantAlive(t, others.Session, others.Account.ID)
		again := b.signIn(t, id)
		p.wantAlive(t, again.Session, phone.Account.ID)
	})
}

// TestSignOut_adopted: an account of the Edge Function keeps the id it had.
func TestSignOut_adopted(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		adopted := p.edgeFunction(t, id, nil)
		b.adoptAll(t, supabase.AdoptOptions{}, nil, nil)
		in := b.signIn(t, id)
		if in.Account.ID != adopted {
			t.Fatalf("the person is user %s; want %s", in.Account.ID, adopted)
		}
		if err := b.SignOut(t.Context(), id.OpenID); err != nil {
			t.Fatal(err)
		}
		p.wantOver(t, in.Session)
		p.wantAlive(t, b.signIn(t, id).Session, adopted)
	})
}

// TestSignOut_unreadable: nobody escapes by filling their own account.
func TestSignOut_unreadable(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		in := b.signIn(t, id)
		for _, key := range []string{"a", "b"} { // GoTrue escapes each character as six bytes
			p.must(t, http.MethodPut, "/user", in.Session.AccessToken,
				map[string]any{"data": map[string]any{key: strings.Repeat("<", 900_000)}})
		}
		if err := b.SignOut(t.Context(), id.OpenID); err != nil {
			t.Fatal(err)
		}
		p.wantOver(t, in.Session)
	})
}

// TestSignOut_stranger: whoever sits at a person's address is left alone.
func TestSignOut_stranger(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		squatter := p.squat(t, address(id))
		if err := b.Ban(t.Context(), id.OpenID); err != nil {
			t.Fatal(err)
		}
		password := map[string]any{"email": squatter.email, "password": squatter.password}
		if got := p.status(t, http.MethodPost, "/token?grant_type=password", "", password); got != http.StatusOK {
			t.Errorf("the stranger's password: %d; want 200", got)
		}
	})
}

// TestBan: the sessions end, and no new one begins until an admin lifts the ban.
func TestBan(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		in := b.signIn(t, id)
		if err := b.Ban(t.Context(), id.OpenID); err != nil {
			t.Fatal(err)
		}
		p.wantOver(t, in.Session)
		b.refuse(t, id, signin.UserBanned)
		p.must(t, http.MethodPut, "/admin/users/"+in.Account.ID, p.secret, map[string]any{"ban_duration": "none"})
		p.wantAlive(t, b.signIn(t, id).Session, in.Account.ID)
	})
}

// TestSignOut_nobody: TikTok tells of people who never came here, and of accounts that are somebody else's.
func TestSignOut_nobody(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		if err := b.SignOut(t.Context(), id.OpenID); err != nil {
			t.Errorf("nobody has this open_id: got %v; want no error", err)
		}
		in := b.signIn(t, id)
		p.must(t, http.MethodPut, "/admin/users/"+in.Account.ID, p.secret,
			map[string]any{"app_metadata": map[string]any{"tiktok": map[string]any{"open_id": "-000Somebody"}}})
		if err := b.SignOut(t.Context(), id.OpenID); err != nil {
			t.Errorf("the account is somebody else's: got %v; want no error", err)
		}
		p.wantAlive(t, in.Session, in.Account.ID)
	})
}

// TestCheckOwner: only a live session of the person themselves will do.
func TestCheckOwner(t *testing.T) {
	contractBothWays(t, func(t *testing.T, p project) {
		b, id, other := p.client(t), p.person(), p.person()
		mine, theirs := b.signIn(t, id).Session.AccessToken, b.signIn(t, other).Session.AccessToken
		stranger := p.squat(t, "stranger-"+p.openIDs.next()+"@mail.test").access
		for _, tt := range []struct {
			name, token, openID string
			want                signin.Cause
		}{
			{"their own", mine, id.OpenID, ""},
			{"another person's", theirs, id.OpenID, signin.CauseNotOwner},
			{"somebody without TikTok", stranger, id.OpenID, signin.CauseNotOwner},
			{"no open_id", stranger, "", signin.CauseNotOwner},
			{"no token", "x", id.OpenID, signin.CauseSignedOut},
			{"signed with another key", mine[:len(mine)-6] + "AAAAAA", id.OpenID, signin.CauseSignedOut},
			{"the secret key", p.secret, id.OpenID, signin.CauseSignedOut},
		} {
			if got := signin.AsError(orNil(b.CheckOwner(t.Context(), tt.token, tt.openID))).Cause; got != tt.want {
				t.Errorf("%s: got %q; want %q", tt.name, got, tt.want)
			}
		}
		if err := b.SignOut(t.Context(), id.OpenID); err != nil {
			t.Fatal(err)
		}
		if got := signin.AsError(b.CheckOwner(t.Context(), mine, id.OpenID)).Cause; got != signin.CauseSignedOut {
			t.Errorf("after the sign-out: got %q; want %q", got, signin.CauseSignedOut)
		}
	})
}

// orNil makes no error one without a cause.
func orNil(err error) error {
	if err == nil {
		return &signin.Error{}
	}
	return err
}
