package supabase_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// emulated is contract for what only the emulator can do: keep a request between its authentication and
// its commit. What it does then was seen on a real GoTrue (gotruesim/testdata/in-flight.md).
func emulated(t *testing.T, test func(*testing.T, project)) {
	t.Helper()
	t.Parallel()
	sim := newEmulator(t, gotruesim.Options{})
	test(t, sim.at("", sim.ServiceRoleKey(), sim.AnonKey()))
}

// flights are the requests of a squatter that may be under way while somebody signs in.
var flights = map[string]struct {
	line string
	body func(a attacker, p project) any
	as   func(attacker) string
}{
	"password login": {
		"POST /token?grant_type=password",
		func(a attacker, _ project) any { return map[string]string{"email": a.email, "password": a.password} },
		func(attacker) string { return "" },
	},
	"refresh": {
		"POST /token?grant_type=refresh_token",
		func(a attacker, _ project) any { return map[string]string{"refresh_token": a.refresh} },
		func(attacker) string { return "" },
	},
	"new password": {
		"PUT /user", func(attacker, project) any { return map[string]string{"password": "Attacker-2!"} }, asThemselves,
	},
	"phone": {
		"PUT /user", func(a attacker, _ project) any { return map[string]string{"phone": "4915" + digits(a.id)} },
		asThemselves,
	},
	"e-mail": {
		"PUT /user",
		func(_ attacker, p project) any {
			return map[string]string{"email": p.openIDs.next() + "@attacker.example"}
		},
		asThemselves,
	},
	"link": {
		"POST /verify",
		func(a attacker, p project) any {
			link, err := p.send(context.Background(), http.MethodPost, "/admin/generate_link", p.secret,
				map[string]string{"type": "magiclink", "email": a.email})
			if err != nil {
				return nil
			}
			return map[string]any{"type": "magiclink", "token_hash": link.body["hashed_token"]}
		},
		func(attacker) string { return "" },
	},
	"metadata": {
		"PUT /user",
		func(attacker, project) any { return map[string]any{"data": map[string]any{"tiktok_open_id": "other"}} },
		asThemselves,
	},
}

func asThemselves(a attacker) string { return a.access }

// launch sends a squatter's request and returns when it has been authenticated. land lets it commit, and
// updates what the squatter holds.
func (p project) launch(t *testing.T, a attacker, name string) (land func() attacker) {
	t.Helper()
	f := flights[name]
	hold := p.sim.Hold(gotruesim.Route(f.line))
	method, path, _ := strings.Cut(f.line, " ")
	landed := make(chan reply, 1)
	go func() {
		r, err := p.send(t.Context(), method, path, f.as(a), f.body(a, p))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		landed <- r
	}()
	<-hold.Arrived()
	return func() attacker {
		hold.Release()
		r := <-landed
		if token, ok := r.body["access_token"].(string); ok {
			a.access, a.refresh = token, r.body["refresh_token"].(string)
		}
		if r.status == http.StatusOK && name == "new password" {
			a.password = "Attacker-2!"
		}
		if email, ok := r.body["email"].(string); ok && name == "e-mail" {
			a.email = email
		}
		return a
	}
}

// TestInFlight: a squatter whose request is under way while the person signs in does not end in an
// account with them, whatever the request does when it lands.
func TestInFlight(t *testing.T) {
	for _, mode := range modes {
		for name := range flights {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				emulated(t, func(t *testing.T, p project) {
					b, visible, stripped := p.client(t, adopt(mode)), p.person(), p.person()
					for _, squat := range []struct {
						victim signin.Identity
						held   bool // by the mode
						a      attacker
					}{
						{visible, false, p.squat(t, address(visible))},
						{stripped, mode == supabase.AdoptHold, p.migrant(t, stripped)},
					} {
						land := p.launch(t, squat.a, name)
						if squat.held {
							b.refuse(t, squat.victim, signin.AccountConflict)
							land()
							continue
						}
						in := b.signIn(t, squat.victim)
						a := land()
						p.wantAlive(t, in.Session, supabase.UserID(squat.victim.OpenID).String())
						p.wantLockedOut(t, a, in.Account.ID)
						if again := b.signIn(t, squat.victim); again.Account.ID != in.Account.ID {
							t.Errorf("the person came back as %s; want %s", again.Account.ID, in.Account.ID)
						}
						p.wantLockedOut(t, a, in.Account.ID)
					}
				})
			})
		}
	}
}

// TestAdoptAll_inFlight: what a squatter had under way when an account entered quarantine lands in the
// quarantine. It is seen there or undone: nobody shares the account.
func TestAdoptAll_inFlight(t *testing.T) {
	verdicts := map[string]string{
		"password login": "left: was signed in to",
		"refresh":        "adopted", // its session ended with the password
		"new password":   "adopted", // another one is set over it
		"phone":          "left: has a phone number",
		"e-mail":         "left: has a change of e-mail pending",
		"link":           "left: was released", // GoTrue wrote app_metadata as it was before
		"metadata":       "left: changed its open_id",
	}
	for name := range flights {
		t.Run(name, func(t *testing.T) {
			emulated(t, func(t *testing.T, p project) {
				b, victim := p.client(t), p.person()
				a := p.migrant(t, victim)
				land := p.launch(t, a, name)
				got := b.adoptAll(t, supabase.AdoptOptions{
					Quarantine: time.Millisecond,
				}, map[string]string{"": a.id}, func(string) {
					a = land()
				})
				if got[""] != verdicts[name] {
					t.Errorf("verdict is %q; want %q", got[""], verdicts[name])
				}
				if got[""] != "adopted" {
					b.refuse(t, victim, signin.AccountConflict)
					return
				}
				p.wantOut(t, a)
				in := b.signIn(t, victim)
				if in.Account.ID != a.id {
					t.Errorf("the person is user %s; want %s", in.Account.ID, a.id)
				}
				p.wantAlive(t, in.Session, a.id)
				p.wantOut(t, a)
			})
		})
	}
}
