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

var modes = []supabase.Adopt{supabase.AdoptHold, supabase.AdoptEvict}

// squats are the ways in which an attacker gets an account with a victim's address.
var squats = map[string]struct {
	settings gotruesim.Options
	squat    func(*testing.T, project, string) attacker
	// stripped says that nothing shows who made the account: it could be the Edge Function's.
	stripped bool
}{
	"signed up first": {squat: func(t *testing.T, p project, email string) attacker { return p.squat(t, email) }},
	"signed up first, traces removed": {
		squat: func(t *testing.T, p project, email string) attacker {
			a := p.squat(t, email)
			p.must(
				t, http.MethodPut, "/user", a.access, map[string]any{"data": map[string]any{"sub": nil, "email": nil}},
			)
			return a
		},
		stripped: true,
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
			link := p.must(
				t, http.MethodPost, "/admin/generate_link", p.secret,
				map[string]string{"type": "magiclink", "email": email},
			)
			p.must(
				t, http.MethodPost, "/verify", "",
				map[string]any{"type": link["verification_type"], "token_hash": link["hashed_token"]},
			)
			in := p.must(
				t, http.MethodPost, "/token?grant_type=password", "",
				map[string]string{"email": email, "password": a.password},
			)
			a.access, a.refresh = in["access_token"].(string), in["refresh_token"].(string)
			p.must(
				t, http.MethodPut, "/user", a.access, map[string]any{"data": map[string]any{"sub": nil, "email": nil}},
			)
			return a
		},
		stripped: true,
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

// TestSquatted: whoever was at the address first, the person ends in an account of their own, which
// nobody else can enter. Where nothing shows whose account it is, only evict makes way.
func TestSquatted(t *testing.T) {
	for _, mode := range modes {
		for name, s := range squats {
			t.Run(fmt.Sprintf("%s/%s", mode, name), func(t *testing.T) {
				contractWith(t, s.settings, func(t *testing.T, p project) {
					b, victim := p.client(t, adopt(mode)), p.person()
					a := s.squat(t, p, address(victim))
					if s.stripped && mode == supabase.AdoptHold {
						b.refuse(t, victim, signin.AccountConflict)
						b.refuse(t, victim, signin.AccountConflict)
						event := "event=account_refused user_id=" + a.id
						got := b.audit.String()
						if strings.Count(got, event) != 2 || !strings.Contains(got, "tikbridge users adopt") ||
							strings.Contains(got, "@") {
							t.Errorf("audit log is %q; want two refusals, the command to run, and no address", got)
						}
						return
					}
					in := b.signIn(t, victim)
					if got, want := in.Account.ID, supabase.UserID(victim.OpenID).String(); got != want {
						t.Errorf("the victim is user %s; want their own account %s", got, want)
					}
					p.wantAlive(t, in.Session, in.Account.ID)
					p.wantLockedOut(t, a, in.Account.ID)
					event := "event=account_evicted user_id=" + a.id
					if got := b.audit.String(); strings.Count(got, event) != 1 {
						t.Errorf("audit log is %q; want one %s", got, event)
					}

					again := b.signIn(t, victim)
					if again.Account.ID != in.Account.ID {
						t.Errorf("the victim came back as %s; want %s", again.Account.ID, in.Account.ID)
					}
					p.wantLockedOut(t, a, in.Account.ID)
				})
			})
		}
	}
}

// TestHugeSquat: a squatter who brings as much metadata as GoTrue takes keeps nobody out.
func TestHugeSquat(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				victim := p.person()
				p.must(t, http.MethodPost, "/signup", "", map[string]any{
					"email": address(victim), "password": "Attacker-1!", "data": map[string]any{
						"x": strings.Repeat("x", 900_000),
					},
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
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			contractBothWays(t, func(t *testing.T, p project) {
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

// TestOtherWayIn: an account with another way in is evicted if it was visibly signed up for, and held
// where it shows no sign-up.
func TestOtherWayIn(t *testing.T) {
	ways := map[string]func(*testing.T, project, string){
		"identity": func(t *testing.T, p project, id string) { p.addIdentity(t, id, "") },
		"factor":   func(t *testing.T, p project, id string) { p.addFactor(t, id) },
		"passkey":  func(t *testing.T, p project, id string) { p.addPasskey(t, id) },
		"phone": func(t *testing.T, p project, id string) {
			p.must(
				t, http.MethodPut, "/admin/users/"+id, p.secret,
				map[string]any{"phone": "4915" + digits(id), "phone_confirm": true},
			)
		},
	}
	for name, add := range ways {
		t.Run(name, func(t *testing.T) {
			contractBothWays(t, func(t *testing.T, p project) {
				b, victim, migrant := p.client(t), p.person(), p.person()
				a := p.squat(t, address(victim))
				add(t, p, a.id)
				in := b.signIn(t, victim)
				if in.Account.ID == a.id {
					t.Error("the victim got the attacker's account")
				}
				p.wantAlive(t, in.Session, in.Account.ID)

				add(t, p, p.edgeFunction(t, migrant, nil))
				b.refuse(t, migrant, signin.AccountConflict)
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

// TestForgedMetadata: what a user may write about themselves proves nothing.
func TestForgedMetadata(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, victim := p.client(t), p.person()
		a := p.squat(t, address(victim))
		p.must(t, http.MethodPut, "/user", a.access, map[string]any{"data": map[string]any{
			"sub": nil, "tiktok_open_id": victim.OpenID, "tiktok": map[string]any{"open_id": victim.OpenID},
		}})
		b.refuse(t, victim, signin.AccountConflict)
	})
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
