package gotruesim_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

func TestCreateRace(t *testing.T) {
	tests := []struct {
		name, target string
		body         fields
		message      string
	}{
		{
			name: "create", target: "/admin/users", message: "Database error creating new user",
			body: fields{"email": victim, "password_hash": bcryptHash},
		},
		{
			name: "generate_link", target: "/admin/generate_link",
			message: "Database error saving new user",
			body:    fields{"email": victim, "type": "magiclink"},
		},
		{
			name: "signup", target: "/signup", message: "Database error saving new user",
			body: fields{"email": victim, "password": "abcdef12"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProject(t, gotruesim.Options{WriteDelay: time.Second, Now: time.Now})
				replies := parallel(20, func(int) reply {
					return p.call("POST", tt.target, tt.body)
				})
				if diff := cmp.Diff(map[int]int{200: 1, 500: 19}, count(replies)); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				for _, r := range replies {
					if r.status == 500 && r.str("message") != tt.message {
						t.Errorf("got %s", r.text)
					}
				}
				if got := p.Users(); got != 1 {
					t.Errorf("got %d users; want 1", got)
				}
			})
		})
	}
}

func TestUpdateLosesParallelUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProject(t, gotruesim.Options{WriteDelay: time.Second, Now: time.Now})
		id := p.user(victim)
		replies := parallel(2, func(i int) reply {
			return p.call("PUT", "/admin/users/"+id, fields{
				"app_metadata": fields{fmt.Sprint("k", i): 1},
			})
		})
		if diff := cmp.Diff(map[int]int{200: 2}, count(replies)); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		app := p.must("GET", "/admin/users/"+id, nil).body["app_metadata"].(map[string]any)
		if len(app) != 3 { // provider, providers and one of the two keys
			t.Errorf("got app_metadata %v; want one update lost", app)
		}
	})
}

func TestUpdatePasswordEndsSessions(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	attacker := p.signup(victim, "Attacker1!")
	id := attacker.str("user", "id")
	wantStatus(t, p.as(attacker.str("access_token"), "GET", "/user", nil), 200)

	p.must("PUT", "/admin/users/"+id, fields{"password": "a-long-random-password"})

	wantError(t, p.as(attacker.str("access_token"), "GET", "/user", nil), 403, "session_not_found")
	wantError(t, p.refresh(attacker.str("refresh_token")), 400, "refresh_token_not_found")
	wantError(t, p.login(victim, "Attacker1!"), 400, "invalid_credentials")
	wantStatus(t, p.login(victim, "a-long-random-password"), 200)
	if got := p.Sessions(id); got != 1 {
		t.Errorf("got %d sessions; want 1", got)
	}
}

func TestDelete(t *testing.T) {
	t.Run("soft", func(t *testing.T) {
		p := newProject(t, gotruesim.Options{})
		id := p.user(victim, fields{"id": userID})
		ses := p.signIn(victim)
		p.must("DELETE", "/admin/users/"+id, fields{"should_soft_delete": true})

		wantError(t, p.as(ses.str("access_token"), "GET", "/user", nil), 403, "session_not_found")
		gone := p.must("GET", "/admin/users/"+id, nil)
		if gone.str("deleted_at") == "" || gone.str("email") == victim {
			t.Errorf("got %s", gone.text)
		}
		// The id stays taken, the address is free.
		again := p.call("POST", "/admin/users", fields{"id": id, "email": victim})
		wantError(t, again, 500, "unexpected_failure")
		if other := p.user(victim); other == id {
			t.Errorf("got the deleted account back")
		}
	})
	t.Run("hard", func(t *testing.T) {
		p := newProject(t, gotruesim.Options{})
		id := p.user(victim, fields{"id": userID})
		ses := p.signIn(victim)
		p.link(victim)
		p.must("DELETE", "/admin/users/"+id, nil)
		wantError(t, p.as(ses.str("access_token"), "GET", "/user", nil), 403, "user_not_found")
		wantError(t, p.call("GET", "/admin/users/"+id, nil), 404, "user_not_found")
		if p.Links() != 0 || p.Sessions(id) != 0 {
			t.Errorf("got %d links and %d sessions; want none", p.Links(), p.Sessions(id))
		}
		p.user(victim, fields{"id": userID})
	})
}

func TestFactors(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	id := p.user(victim)
	if got := p.must("GET", "/admin/users/"+id+"/factors", nil).text; got != "[]" {
		t.Errorf("got factors %s; want []", got)
	}
	if err := p.AddVerifiedFactor(id); err != nil {
		t.Fatal(err)
	}
	var factors []struct{ ID, Status, Type string }
	listed := p.must("GET", "/admin/users/"+id+"/factors", nil)
	if err := json.Unmarshal([]byte(listed.text), &factors); err != nil {
		t.Fatal(err)
	}
	if len(factors) != 1 || factors[0].Status != "verified" {
		t.Fatalf("got factors %s", listed.text)
	}
	// The link's answer shows them before there is any session; the session is aal1 all the same.
	if p.link(victim).body["factors"] == nil {
		t.Error("generate_link shows no factors")
	}
	token := p.signIn(victim).str("access_token")
	update := fields{"password": "abcdef12"}
	wantError(t, p.as(token, "PUT", "/user", update), 401, "insufficient_aal")
	p.must("DELETE", "/admin/users/"+id+"/factors/"+factors[0].ID, nil)
	wantStatus(t, p.as(token, "PUT", "/user", update), 200)
}

func TestHandlesOfUnknownUser(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	if err := p.AddIdentity(userID, "google", "x", ""); err == nil {
		t.Error("AddIdentity: got no error")
	}
	if err := p.AddVerifiedFactor(userID); err == nil {
		t.Error("AddVerifiedFactor: got no error")
	}
}

// TestDatabaseErrorLeaks shows the third shape of errors: without a version header the database's
// own words reach the caller.
func TestDatabaseErrorLeaks(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	p.user(victim)
	id := p.user("other@tiktok.oauth")
	r := p.do("PUT", "/admin/users/"+id, fields{"email": victim},
		"Authorization", "Bearer "+p.ServiceRoleKey())
	wantError(t, r, 500, "23505")
	if got, want := r.str("detail"), "Key (email)=("+victim+") already exists."; got != want {
		t.Errorf("got detail %q; want %q", got, want)
	}
}

func TestListPages(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	for i := range 5 {
		p.user(fmt.Sprintf("u%d@tiktok.oauth", i))
		p.clock.advance(time.Second)
	}
	tests := []struct {
		query string
		want  []string
	}{
		{"per_page=2", []string{"u4", "u3"}},
		{"per_page=2&page=3", []string{"u0"}},
		{"per_page=2&page=9", nil},
		{"page=0&per_page=1", []string{"u4"}},
		{"filter=u_@", []string{"u4", "u3", "u2", "u1", "u0"}},
		{"filter=U1", nil},
		{"filter=" + `\%25`, nil},
		{"filter=u1", []string{"u1"}},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			var got []string
			for _, u := range p.must("GET", "/admin/users?"+tt.query, nil).body["users"].([]any) {
				got = append(got, u.(map[string]any)["email"].(string)[:2])
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("users (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMetadataOfPasswordHashUser(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	r := p.must("POST", "/admin/users", fields{"email": victim, "password_hash": bcryptHash})
	if v, ok := r.body["user_metadata"]; !ok || v != nil {
		t.Errorf("create: got user_metadata %v; want null", v)
	}
	r = p.must("GET", "/admin/users/"+r.str("id"), nil)
	if diff := cmp.Diff(map[string]any{}, r.body["user_metadata"]); diff != "" {
		t.Errorf("get: user_metadata (-want +got):\n%s", diff)
	}
}

// TestListLeavesOut: a list does not load what belongs to a user (models/user.go:831).
func TestListLeavesOut(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	id := p.user(victim)
	if err := p.AddVerifiedFactor(id); err != nil {
		t.Fatal(err)
	}
	u := p.must("GET", "/admin/users", nil).body["users"].([]any)[0].(map[string]any)
	identities, ok := u["identities"]
	if _, factors := u["factors"]; factors || !ok || identities != nil {
		t.Errorf("list: got %v; want no factors and null for identities", u)
	}
	one := p.shown(id)
	if one["factors"] == nil || one["identities"] == nil {
		t.Errorf("get: got %v; want both", one)
	}
}
