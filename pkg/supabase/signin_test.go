package supabase_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

func TestFirstSignIn(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		profile := signin.Profile{
			UnionID: "union-1", DisplayName: "Ada <b>\u202eשלום 🎈" + strings.Repeat(" long", 200),
			AvatarURL: "https://cdn.example/a.jpg?x-signature=a%2Bb",
		}
		in, err := b.SignIn(t.Context(), id, netip.Addr{}, func() signin.Profile { return profile })
		if err != nil {
			t.Fatal(err)
		}
		if !in.Created {
			t.Error("the sign-in does not say that it made an account")
		}
		if got, want := in.Account.ID, supabase.UserID(id.OpenID).String(); got != want {
			t.Errorf("user id is %s; want UUIDv5 of the open_id, %s", got, want)
		}
		p.wantAlive(t, in.Session, in.Account.ID)

		user := p.user(t, in.Account.ID)
		if got, want := user["email"], address(id); got != want {
			t.Errorf("e-mail is %v; want %s", got, want)
		}
		wantMark := map[string]any{"open_id": id.OpenID, "union_id": "union-1"}
		if diff := cmp.Diff(wantMark, user["app_metadata"].(map[string]any)["tiktok"]); diff != "" {
			t.Errorf("anchor (-want +got):\n%s", diff)
		}
		metadata := user["user_metadata"].(map[string]any)
		delete(metadata, "email_verified") // GoTrue's own
		wantMetadata := map[string]any{
			"tiktok_open_id": id.OpenID,
			"display_name":   profile.DisplayName, "name": profile.DisplayName, "full_name": profile.DisplayName,
			"avatar_url": profile.AvatarURL, "picture": profile.AvatarURL,
		}
		if diff := cmp.Diff(wantMetadata, metadata); diff != "" {
			t.Errorf("user_metadata (-want +got):\n%s", diff)
		}
		if got := b.audit.String(); !strings.Contains(got, "event=account_created user_id="+in.Account.ID) ||
			strings.Contains(got, "@") {
			t.Errorf("audit log is %q; want the event with the user's id and no address", got)
		}
	})
}

func TestSecondSignIn(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		id := p.person()
		first := p.client(t).signIn(t, id)
		second := p.client(t).signIn(t, id)
		if second.Created {
			t.Error("the second sign-in says that it made an account")
		}
		if first.Account.ID != second.Account.ID {
			t.Errorf("user ids differ: %s, then %s", first.Account.ID, second.Account.ID)
		}
		if first.Session.RefreshToken == second.Session.RefreshToken {
			t.Error("two sign-ins share one session")
		}
		p.wantAlive(t, first.Session, first.Account.ID)
		p.wantAlive(t, second.Session, first.Account.ID)
	})
}

// TestPasswordless proves that nobody can sign in to a new account with a password.
func TestPasswordless(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		id := p.person()
		p.client(t).signIn(t, id)
		for _, password := range []string{"", "password", id.OpenID, address(id)} {
			if got := p.status(
				t, http.MethodPost, "/token?grant_type=password", "",
				map[string]string{"email": address(id), "password": password},
			); got == http.StatusOK {
				t.Errorf("the password %q signs in", password)
			}
		}
	})
}

// TestLetterCase: two people whose open_ids differ in the case of letters alone have an account each.
func TestLetterCase(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, one := p.client(t), p.person()
		other := signin.Identity{OpenID: strings.ToUpper(one.OpenID)}
		first, second := b.signIn(t, one), b.signIn(t, other)
		if first.Account.ID == second.Account.ID {
			t.Fatal("two people share one account")
		}
		if got, want := second.Account.ID, supabase.UserID(other.OpenID).String(); got != want {
			t.Errorf("the second has user id %s; want %s", got, want)
		}
		p.wantAlive(t, second.Session, second.Account.ID)
		for _, again := range []struct {
			id   signin.Identity
			want string
		}{{one, first.Account.ID}, {other, second.Account.ID}} {
			if got := b.signIn(t, again.id).Account.ID; got != again.want {
				t.Errorf("%s came back as %s; want %s", again.id.OpenID, got, again.want)
			}
		}
	})
}

// TestChangedEmail: whatever address people move their account to, they reach it.
func TestChangedEmail(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		before := b.signIn(t, id)
		p.must(
			t, http.MethodPut, "/admin/users/"+before.Account.ID, p.secret,
			map[string]any{"email": "moved-" + address(id)},
		)
		after := b.signIn(t, id)
		if after.Account.ID != before.Account.ID || after.Created {
			t.Errorf("after the change the person is user %s, created %v; want %s",
				after.Account.ID, after.Created, before.Account.ID)
		}
		p.wantAlive(t, after.Session, before.Account.ID)

		// Somebody else takes the address that became free.
		squatter := p.squat(t, address(id))
		again := b.signIn(t, id)
		if again.Account.ID != before.Account.ID {
			t.Errorf("with the old address squatted the person is user %s; want %s",
				again.Account.ID, before.Account.ID)
		}
		p.wantLockedOut(t, squatter, again.Account.ID)
	})
}

// TestUnlinkedEmail: people who linked another provider may unlink their e-mail, and still reach their
// account, also when somebody else has taken the address that became free.
func TestUnlinkedEmail(t *testing.T) {
	for _, squatted := range []bool{false, true} {
		t.Run(map[bool]string{false: "address is free", true: "address is squatted"}[squatted], func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				b, id := p.client(t), p.person()
				before := b.signIn(t, id)
				p.addIdentity(t, before.Account.ID, "")
				p.unlinkEmail(t, before)
				if got := p.user(t, before.Account.ID)["email"]; got != "" {
					t.Fatalf("the account still has the e-mail %v", got)
				}
				var squatter attacker
				if squatted {
					squatter = p.squat(t, address(id))
				}
				for range 2 {
					after := b.signIn(t, id)
					if after.Account.ID != before.Account.ID || after.Created {
						t.Errorf("the person is user %s, created %v; want %s",
							after.Account.ID, after.Created, before.Account.ID)
					}
					p.wantAlive(t, after.Session, before.Account.ID)
				}
				if squatted {
					p.wantLockedOut(t, squatter, before.Account.ID)
				}
			})
		})
	}
}

// TestAnchorRemoved: an admin who wipes the anchor does not lock the person out, since no public route
// can choose a user id.
func TestAnchorRemoved(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				b, id := p.client(t, adopt(mode)), p.person()
				before := b.signIn(t, id)
				p.must(
					t, http.MethodPut, "/admin/users/"+before.Account.ID, p.secret,
					map[string]any{"app_metadata": map[string]any{"tiktok": nil}},
				)
				if after := b.signIn(t, id); after.Account.ID != before.Account.ID {
					t.Errorf("the person is user %s; want %s", after.Account.ID, before.Account.ID)
				}
				anchor := p.user(t, before.Account.ID)["app_metadata"].(map[string]any)["tiktok"]
				if diff := cmp.Diff(any(map[string]any{"open_id": id.OpenID}), anchor); diff != "" {
					t.Errorf("anchor (-want +got):\n%s", diff)
				}
				if got := b.audit.String(); !strings.Contains(
					got, "event=account_anchored_again user_id="+before.Account.ID,
				) {
					t.Errorf("audit log is %q; want the anchor", got)
				}
				p.wantAlive(t, before.Session, before.Account.ID)
			})
		})
	}
}

func TestBanned(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		in := b.signIn(t, id)
		p.must(t, http.MethodPut, "/admin/users/"+in.Account.ID, p.secret, map[string]any{"ban_duration": "24h"})
		b.refuse(t, id, signin.UserBanned)
		p.must(t, http.MethodPut, "/admin/users/"+in.Account.ID, p.secret, map[string]any{"ban_duration": "none"})
		if got := b.signIn(t, id).Account.ID; got != in.Account.ID {
			t.Errorf("after the ban the person is user %s; want %s", got, in.Account.ID)
		}
	})
}

// TestDeleted: an account that is gone is made anew, with the same id.
func TestDeleted(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		in := b.signIn(t, id)
		p.must(t, http.MethodDelete, "/admin/users/"+in.Account.ID, p.secret, map[string]any{})
		again := b.signIn(t, id)
		if !again.Created || again.Account.ID != in.Account.ID {
			t.Errorf("the person is user %s, created %v; want a new account with the id %s",
				again.Account.ID, again.Created, in.Account.ID)
		}
		p.wantAlive(t, again.Session, in.Account.ID)
	})
}

// TestSoftDeleted: the row of a soft-deleted account keeps its id, so the person gets an account with
// the next one, every time the same.
func TestSoftDeleted(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		var seen []string
		for range 3 {
			in := b.signIn(t, id)
			if !in.Created {
				t.Error("the sign-in says it found an account; want a new one")
			}
			p.wantAlive(t, in.Session, in.Account.ID)
			again := b.signIn(t, id)
			if again.Account.ID != in.Account.ID || again.Created {
				t.Errorf("the person is user %s, then %s", in.Account.ID, again.Account.ID)
			}
			p.must(
				t, http.MethodPut, "/admin/users/"+in.Account.ID, p.secret,
				map[string]any{"email": "moved-" + p.openIDs.next() + "@example.com"},
			)
			if moved := b.signIn(t, id); moved.Account.ID != in.Account.ID {
				t.Errorf("after an e-mail change the person is user %s; want %s", moved.Account.ID, in.Account.ID)
			}
			for _, old := range seen {
				if old == in.Account.ID {
					t.Errorf("user id %s was used before", old)
				}
			}
			seen = append(seen, in.Account.ID)
			p.must(
				t, http.MethodDelete, "/admin/users/"+in.Account.ID, p.secret,
				map[string]any{"should_soft_delete": true},
			)
		}
	})
}

// TestSuccessorSquatted: the account that followed a soft-deleted one is found also when somebody else
// took the address that its owner left.
func TestSuccessorSquatted(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		first := b.signIn(t, id)
		p.must(
			t, http.MethodDelete, "/admin/users/"+first.Account.ID, p.secret,
			map[string]any{"should_soft_delete": true},
		)
		second := b.signIn(t, id)
		p.must(
			t, http.MethodPut, "/admin/users/"+second.Account.ID, p.secret,
			map[string]any{"email": "moved-" + address(id)},
		)
		squatter := p.squat(t, address(id))
		again := b.signIn(t, id)
		if again.Account.ID != second.Account.ID {
			t.Errorf("the person is user %s; want %s", again.Account.ID, second.Account.ID)
		}
		p.wantLockedOut(t, squatter, again.Account.ID)
	})
}

// TestUpdateProfile: the bridge's keys follow TikTok, everybody else's stay.
func TestUpdateProfile(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		in := b.signIn(t, id)
		p.must(
			t, http.MethodPut, "/user", in.Session.AccessToken, map[string]any{"data": map[string]any{"theme": "dark"}},
		)
		p.must(
			t, http.MethodPut, "/admin/users/"+in.Account.ID, p.secret,
			map[string]any{"app_metadata": map[string]any{"plan": "pro"}},
		)

		profile := signin.Profile{UnionID: "u2", DisplayName: "New name", AvatarURL: "https://cdn.example/b.jpg"}
		if err := b.UpdateProfile(t.Context(), in.Account, profile); err != nil {
			t.Fatal(err)
		}
		user := p.user(t, in.Account.ID)
		metadata, app := user["user_metadata"].(map[string]any), user["app_metadata"].(map[string]any)
		if metadata["theme"] != "dark" || app["plan"] != "pro" {
			t.Errorf("keys of the app are gone: %v %v", metadata, app)
		}
		if metadata["display_name"] != "New name" || metadata["picture"] != profile.AvatarURL {
			t.Errorf("the profile is not stored: %v", metadata)
		}
		if diff := cmp.Diff(any(map[string]any{"open_id": id.OpenID, "union_id": "u2"}), app["tiktok"]); diff != "" {
			t.Errorf("anchor (-want +got):\n%s", diff)
		}
		again := b.signIn(t, id)
		if diff := cmp.Diff(profile, again.Account.Profile); diff != "" {
			t.Errorf("the next sign-in knows another profile (-want +got):\n%s", diff)
		}
	})
}
