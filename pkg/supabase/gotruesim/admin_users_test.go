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
			return p.call("PUT", "/admin/users/"+id, fields{"app_metadata": fields{fmt.Sprint("k", i): 1}})
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
