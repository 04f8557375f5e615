package supabase_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// squats are the ways in which an attacker gets an account with a victim's address.
var squats = map[string]struct {
	settings gotruesim.Options
	squat    func(*testing.T, project, string) attacker
	// reset tells that nothing shows who made the account, so that it is reset; else it is evicted.
	reset bool
}{
	"signed up first": {
		squat: func(t *testing.T, p project, email string) attacker { return p.squat(t, email) },
	},
	"signed up first, traces removed": {
		squat: func(t *testing.T, p project, email string) attacker {
			a := p.squat(t, email)
			p.must(t, http.MethodPut, "/user", a.access, map[string]any{"data": map[string]any{"sub": nil, "email": nil}})
			return a
		},
		reset: true,
	},
	"signed up first, not confirmed": {
		settings: gotruesim.Options{RequireConfirmation: true},
		squat:    func(t *testing.T, p project, email string) attacker { return p.squat(t, email) },
	},
	"changed their e-mail to it": {
		squat: func(t *testing.T, p project, email string) attacker {
			a := p.squat(t, p.openIDs.next()+"@attacker.example")
			p.changeEmail(t, &a, email)
			return a
		},
	},
	"on the way to another e-mail": {
		// The token that completes the change lies in the attacker's own mailbox.
		squat: func(t *testing.T, p project, email string) attacker {
			a := p.squat(t, email)
			p.emailChangeToken(t, a, p.openIDs.next()+"@attacker.example")
			return a
		},
	},
	"signed up first, confirmed by the guide's Edge Function, traces removed": {
		settings: gotruesim.Options{RequireConfirmation: true},
		squat: func(t *testing.T, p project, email string) attacker {
			a := p.squat(t, email)
			link := p.must(t, http.MethodPost, "/admin/generate_link", p.secret, map[string]string{"type": "magiclink", "email": email})
			p.must(t, http.MethodPost, "/verify", "", map[string]any{"type": link["verification_type"], "token_hash": link["hashed_token"]})
			in := p.must(t, http.MethodPost, "/token?grant_type=password", "", map[string]string{"email": email, "password": a.password})
			a.access, a.refresh = in["access_token"].(string), in["refresh_token"].(string)
			p.must(t, http.MethodPut, "/user", a.access, map[string]any{"data": map[string]any{"sub": nil, "email": nil}})
			return a
		},
		reset: true,
	},
}

// emailChangeToken begins an e-mail change and returns the token that is mailed to the current
// address. With autoconfirm on it is enough to complete the change.
func (p project) emailChangeToken(t *testing.T, a attacker, email string) string {
	t.Helper()
	link := p.must(t, http.MethodPost, "/admin/generate_link", p.secret, map[string]string{
		"type": "email_change_current", "email": a.email, "new_email": email,
	})
	return link["hashed_token"].(string)
}

func (p project) changeEmail(t *testing.T, a *attacker, email string) {
	t.Helper()
	token := p.emailChangeToken(t, *a, email)
	p.must(t, http.MethodPost, "/verify", "", map[string]string{"type": "email_change", "token_hash": token})
	a.email = email
	if got := p.user(t, a.id)["email"]; got != email {
		t.Fatalf("the attacker's e-mail is %v; want %s", got, email)
	}
}

// TestSquatted: whoever was at the address first, the person ends in an account that nobody else can
// enter.
func TestSquatted(t *testing.T) {
	for _, mode := range []supabase.Adopt{supabase.AdoptReset, supabase.AdoptEvict} {
		for name, s := range squats {
			t.Run(fmt.Sprintf("%s/%s", mode, name), func(t *testing.T) {
				contractWith(t, s.settings, func(t *testing.T, p project) {
					b, victim := p.client(t, adopt(mode)), p.person()
					a := s.squat(t, p, address(victim))

					in := b.signIn(t, victim)
					p.wantAlive(t, in.Session, in.Account.ID)
					p.wantLockedOut(t, a, in.Account.ID)
					wantReset := s.reset && mode == supabase.AdoptReset
					if adopted := in.Account.ID == a.id; adopted != wantReset {
						t.Errorf("the victim got the attacker's row: %v; want %v under %s", adopted, wantReset, mode)
					}
					wantEvent := "event=account_evicted"
					if wantReset {
						wantEvent = "event=account_adopted"
					}
					if got := b.audit.String(); strings.Count(got, wantEvent+" user_id="+a.id) != 1 {
						t.Errorf("audit log is %q; want one %s", got, wantEvent)
					}

					// From now on it is theirs, and nothing is adopted again.
					again := b.signIn(t, victim)
					if again.Account.ID != in.Account.ID {
						t.Errorf("the victim came back as %s; want %s", again.Account.ID, in.Account.ID)
					}
					p.wantAlive(t, in.Session, in.Account.ID)
					if got := b.audit.String(); strings.Count(got, wantEvent) != 1 {
						t.Errorf("audit log is %q; want one %s in all", got, wantEvent)
					}
					// The attacker comes again with what they know.
					p.wantLockedOut(t, a, in.Account.ID)
				})
			})
		}
	}
}

// TestPendingEmailChange: a token that was out before the reset completes nothing after it.
func TestPendingEmailChange(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		victim := p.person()
		a := p.squat(t, address(victim))
		p.must(t, http.MethodPut, "/user", a.access, map[string]any{"data": map[string]any{"sub": nil, "email": nil}}) // or it is evicted
		token := p.emailChangeToken(t, a, p.openIDs.next()+"@attacker.example")
		in := p.client(t).signIn(t, victim)
		if got := p.status(t, http.MethodPost, "/verify", "", map[string]string{"type": "email_change", "token_hash": token}); got != http.StatusForbidden {
			t.Errorf("the attacker's e-mail change ends with status %d; want 403", got)
		}
		if got := p.user(t, in.Account.ID)["email"]; got != address(victim) {
			t.Errorf("the account's e-mail is %v", got)
		}
	})
}

// TestHugeSquat: a squatter who brings as much metadata as GoTrue takes keeps nobody out.
func TestHugeSquat(t *testing.T) {
	for _, mode := range []supabase.Adopt{supabase.AdoptReset, supabase.AdoptEvict} {
		t.Run(string(mode), func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				victim := p.person()
				p.must(t, http.MethodPost, "/signup", "", map[string]any{
					"email": address(victim), "password": "Attacker-1!", "data": map[string]any{"x": strings.Repeat("x", 900_000)},
				})
				in := p.client(t, adopt(mode)).signIn(t, victim)
				p.wantAlive(t, in.Session, in.Account.ID)
			})
		})
	}
}

// TestSquattedEverywhere: also when both of a person's addresses are other people's, they have an
// account, and the same one every time.
func TestSquattedEverywhere(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, victim, one, two := p.client(t), p.person(), p.person(), p.person()
		for other, email := range map[string]string{
			b.signIn(t, one).Account.ID: address(victim),
			b.signIn(t, two).Account.ID: supabase.UserID(victim.OpenID).String() + "@tiktok.oauth",
		} {
			p.must(t, http.MethodPut, "/admin/users/"+other, p.secret, map[string]any{"email": email})
		}
		in := b.signIn(t, victim)
		p.wantAlive(t, in.Session, supabase.UserID(victim.OpenID).String())
		if again := b.signIn(t, victim); again.Account.ID != in.Account.ID || again.Created {
			t.Errorf("the victim came back as %s; want %s", again.Account.ID, in.Account.ID)
		}
	})
}

// TestSquattedEviction: a squatter who also took the address that evicted accounts used to get is out of
// the way all the same.
func TestSquattedEviction(t *testing.T) {
	for _, mode := range []supabase.Adopt{supabase.AdoptReset, supabase.AdoptEvict} {
		t.Run(string(mode), func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				b, victim := p.client(t, adopt(mode)), p.person()
				a := p.squat(t, address(victim))
				p.squat(t, "evicted-"+a.id+"@tiktok.oauth")
				in := b.signIn(t, victim)
				p.wantAlive(t, in.Session, in.Account.ID)
				p.wantLockedOut(t, a, in.Account.ID)
				if got := b.signIn(t, victim).Account.ID; got != in.Account.ID {
					t.Errorf("the victim came back as %s; want %s", got, in.Account.ID)
				}
			})
		})
	}
}

// TestAddressOfIdentity: an address that only an identity of somebody else has, which no look-up by
// address shows, keeps nobody out.
func TestAddressOfIdentity(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, victim, other := p.client(t), p.person(), p.person()
		p.addIdentity(t, b.signIn(t, other).Account.ID, address(victim))
		in := b.signIn(t, victim)
		if got, want := in.Account.ID, supabase.UserID(victim.OpenID).String(); got != want {
			t.Errorf("the person is user %s; want %s", got, want)
		}
		p.wantAlive(t, in.Session, in.Account.ID)
		if again := b.signIn(t, victim); again.Account.ID != in.Account.ID || again.Created {
			t.Errorf("the person came back as %s, created %v; want %s", again.Account.ID, again.Created, in.Account.ID)
		}
	})
}

// TestMigrated: people whom the guide's Edge Function signed in keep their account and its data.
func TestMigrated(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		id := p.person()
		made := p.must(t, http.MethodPost, "/admin/users", p.secret, map[string]any{
			"email": address(id), "email_confirm": true,
			"user_metadata": map[string]any{"tiktok_open_id": id.OpenID, "theme": "dark"},
			"app_metadata":  map[string]any{"plan": "pro"},
		})
		in := p.client(t).signIn(t, id)
		if in.Account.ID != made["id"] {
			t.Errorf("the person is user %s; want %s", in.Account.ID, made["id"])
		}
		user := p.user(t, in.Account.ID)
		if user["user_metadata"].(map[string]any)["theme"] != "dark" || user["app_metadata"].(map[string]any)["plan"] != "pro" {
			t.Errorf("the account's data is gone: %v", user)
		}
	})
}

// TestOtherWayIn: an account that can be entered by something a reset does not take away is refused
// under reset and evicted under evict.
func TestOtherWayIn(t *testing.T) {
	ways := map[string]func(*testing.T, project, string){
		"identity": func(t *testing.T, p project, id string) { p.addIdentity(t, id, "") },
		"factor":   func(t *testing.T, p project, id string) { p.addFactor(t, id) },
		"passkey":  func(t *testing.T, p project, id string) { p.addPasskey(t, id) },
		"phone": func(t *testing.T, p project, id string) {
			p.must(t, http.MethodPut, "/admin/users/"+id, p.secret, map[string]any{"phone": "4915" + digits(id), "phone_confirm": true})
		},
	}
	for name, add := range ways {
		t.Run(name, func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				victim := p.person()
				a := p.squat(t, address(victim))
				add(t, p, a.id)

				b := p.client(t)
				b.refuse(t, victim, signin.AccountConflict)
				if got := b.audit.String(); !strings.Contains(got, "event=account_refused user_id="+a.id) {
					t.Errorf("audit log is %q; want the refusal", got)
				}
				in := p.client(t, adopt(supabase.AdoptEvict)).signIn(t, victim)
				if in.Account.ID == a.id {
					t.Error("the victim got the attacker's account")
				}
				p.wantAlive(t, in.Session, in.Account.ID)
				// Once the person has their own account, reset finds it too.
				if got := b.signIn(t, victim).Account.ID; got != in.Account.ID {
					t.Errorf("the victim came back as %s; want %s", got, in.Account.ID)
				}
			})
		})
	}
}

// digits makes a number of eight digits out of a user id.
func digits(id string) string {
	var b strings.Builder
	for _, r := range id {
		if b.Len() < 8 {
			b.WriteByte('0' + byte(r)%10)
		}
	}
	return b.String()
}

func TestAdoptNever(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, victim := p.client(t, adopt(supabase.AdoptNever)), p.person()
		a := p.squat(t, address(victim))
		b.refuse(t, victim, signin.AccountConflict)
		b.refuse(t, victim, signin.AccountConflict)
		if got := p.user(t, a.id)["app_metadata"].(map[string]any)["tiktok"]; got != nil {
			t.Errorf("the account was marked: %v", got)
		}
		event := "event=account_refused user_id=" + a.id + ` reason="adopt is never"`
		if got := b.audit.String(); strings.Count(got, event) != 2 || strings.Contains(got, "@") {
			t.Errorf("audit log is %q; want two refusals and no address", got)
		}
	})
}

// TestForgedMetadata: what a user may write about themselves proves nothing.
func TestForgedMetadata(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, victim := p.client(t, adopt(supabase.AdoptNever)), p.person()
		a := p.squat(t, address(victim))
		p.must(t, http.MethodPut, "/user", a.access, map[string]any{"data": map[string]any{
			"tiktok_open_id": victim.OpenID, "tiktok": map[string]any{"open_id": victim.OpenID},
		}})
		b.refuse(t, victim, signin.AccountConflict)
	})
}

// TestSquattedOwnAddress: the address that people get when theirs is somebody else's can be squatted
// just as well, and is settled just as well.
func TestSquattedOwnAddress(t *testing.T) {
	for _, mode := range []supabase.Adopt{supabase.AdoptReset, supabase.AdoptEvict} {
		t.Run(string(mode), func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				b, one := p.client(t, adopt(mode)), p.person()
				victim := signin.Identity{OpenID: strings.ToUpper(one.OpenID)}
				first := b.signIn(t, one)
				a := p.squat(t, supabase.UserID(victim.OpenID).String()+"@tiktok.oauth")
				in := b.signIn(t, victim)
				if in.Account.ID == first.Account.ID {
					t.Fatal("two people share one account")
				}
				p.wantAlive(t, in.Session, in.Account.ID)
				p.wantLockedOut(t, a, in.Account.ID)
				if got := b.signIn(t, victim).Account.ID; got != in.Account.ID {
					t.Errorf("the victim came back as %s; want %s", got, in.Account.ID)
				}
			})
		})
	}
}

// TestMFA: GoTrue signs a person with a second factor in at the first level, and the app asks for
// the second.
func TestMFA(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		in := b.signIn(t, id)
		p.addFactor(t, in.Account.ID)
		again := b.signIn(t, id)
		if got := claim(t, again.Session.AccessToken, "aal"); got != "aal1" {
			t.Errorf("the session is at level %v; want aal1", got)
		}
		if !strings.Contains(string(again.Session.User), `"factors"`) {
			t.Error("the session's user does not list the factor")
		}
	})
}
