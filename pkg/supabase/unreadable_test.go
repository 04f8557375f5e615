package supabase_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/supabase"
)

// TestUnreadable: whatever a stranger puts into a row at somebody's address, that person gets in, with
// an account of their own or the one they had.
func TestUnreadable(t *testing.T) {
	rows := map[string]func(*testing.T, project, string){
		"too deep": func(t *testing.T, p project, email string) { p.unreadable(t, email) },
		"too large": func(t *testing.T, p project, email string) {
			a := p.squat(t, email)
			for _, key := range strings.Split("abcdefghij", "") {
				p.must(
					t, http.MethodPut, "/user", a.access,
					map[string]any{"data": map[string]any{key: strings.Repeat("x", 900_000)}},
				)
			}
		},
	}
	for _, mode := range modes {
		for name, row := range rows {
			if mode == supabase.AdoptEvict && name == "too large" {
				continue // takes long, and nothing is different
			}
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				contract(t, func(t *testing.T, p project) {
					b, fresh, moved := p.client(t, adopt(mode)), p.person(), p.person()
					row(t, p, address(fresh))
					in := b.signIn(t, fresh)
					if got, want := in.Account.ID, supabase.UserID(fresh.OpenID).String(); got != want {
						t.Errorf("the person is user %s; want their own %s", got, want)
					}
					p.wantAlive(t, in.Session, in.Account.ID)
					if again := b.signIn(t, fresh); again.Account.ID != in.Account.ID || again.Created {
						t.Errorf("the person came back as %s, created %v", again.Account.ID, again.Created)
					}

					before := b.signIn(t, moved)
					p.must(t, http.MethodPut, "/admin/users/"+before.Account.ID, p.secret, map[string]any{
						"email": p.openIDs.next() + "@elsewhere.example",
					})
					row(t, p, address(moved))
					if got := b.signIn(t, moved).Account.ID; got != before.Account.ID {
						t.Errorf("the person came back as %s; want %s", got, before.Account.ID)
					}
				})
			})
		}
	}
}

// TestUnlinkedAndSquatted: somebody without an e-mail gets in although strangers have every address that
// follows from their open_id.
func TestUnlinkedAndSquatted(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		in := b.signIn(t, id)
		p.addIdentity(t, in.Account.ID, "")
		p.unlinkEmail(t, in)
		p.squat(t, address(id))
		p.squat(t, in.Account.ID+"@tiktok.oauth")
		again := b.signIn(t, id)
		if again.Account.ID != in.Account.ID {
			t.Errorf("the person came back as %s; want %s", again.Account.ID, in.Account.ID)
		}
		p.wantAlive(t, again.Session, in.Account.ID)
	})
}
