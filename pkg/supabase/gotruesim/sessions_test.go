package gotruesim_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

func (p *project) refresh(token string) reply {
	p.t.Helper()
	return p.call("POST", "/token?grant_type=refresh_token", fields{"refresh_token": token})
}

func TestRefreshRotation(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	first := p.signup(victim, "abcdef12").str("refresh_token")
	second := p.refresh(first).str("refresh_token")
	if second == first || second == "" {
		t.Fatalf("got refresh token %q after %q", second, first)
	}
	// The parent of the active token stays good for ever: its client may have missed the answer.
	p.clock.advance(time.Hour)
	if got := p.refresh(first).str("refresh_token"); got != second {
		t.Errorf("parent: got %q; want the active token %q", got, second)
	}
	third := p.refresh(second).str("refresh_token")

	// An older one is good within the reuse interval, and then starts a branch of its own.
	p.clock.advance(5 * time.Second)
	if got := p.refresh(first); got.status != 400 {
		t.Errorf("grandparent, spent an hour ago: got %d %s", got.status, got.text)
	}
	// That was abuse: the whole family is gone with it, once the interval of each is over.
	p.clock.advance(11 * time.Second)
	wantError(t, p.refresh(third), 400, "refresh_token_already_used")
}

func TestAccessTokenExpires(t *testing.T) {
	p := newProject(t, gotruesim.Options{AccessTokenTTL: time.Minute})
	ses := p.signup(victim, "abcdef12")
	p.clock.advance(time.Minute + time.Second)
	wantError(t, p.as(ses.str("access_token"), "GET", "/user", nil), 403, "bad_jwt")
	again := p.refresh(ses.str("refresh_token"))
	wantStatus(t, p.as(again.str("access_token"), "GET", "/user", nil), 200)
	if claims(t, again.str("access_token")).(map[string]any)["session_id"] !=
		claims(t, ses.str("access_token")).(map[string]any)["session_id"] {
		t.Error("a refresh started another session")
	}
}

func TestLogout(t *testing.T) {
	tests := []struct {
		scope     string
		here, off int // status of GET /user with this session and with another one
		left      int
	}{
		{"", 403, 403, 0},
		{"?scope=global", 403, 403, 0},
		{"?scope=local", 403, 200, 1},
		{"?scope=others", 200, 403, 1},
	}
	for _, tt := range tests {
		t.Run(tt.scope, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{})
			here := p.signup(victim, "abcdef12")
			there := p.login(victim, "abcdef12")
			wantStatus(t, p.as(here.str("access_token"), "POST", "/logout"+tt.scope, nil), 204)
			wantStatus(t, p.as(here.str("access_token"), "GET", "/user", nil), tt.here)
			wantStatus(t, p.as(there.str("access_token"), "GET", "/user", nil), tt.off)
			if got := p.Sessions(here.str("user", "id")); got != tt.left {
				t.Errorf("got %d sessions; want %d", got, tt.left)
			}
		})
	}
}

// TestLastSignInAt: every new session moves it, even within one tick of the clock, and nothing else
// does (tokens/service.go, IssueRefreshToken).
func TestLastSignInAt(t *testing.T) {
	const password = "abcdef12"
	p := newProject(t, gotruesim.Options{})
	ses := p.signup(victim, password)
	id, token := ses.str("user", "id"), ses.str("access_token")
	steps := []struct {
		name  string
		do    func() reply
		moves bool
	}{
		{"login", func() reply { return p.login(victim, password) }, true},
		{"link", func() reply { return p.link(victim) }, false},
		{"verify", func() reply { return p.signIn(victim) }, true},
		{"refresh", func() reply { return p.refresh(ses.str("refresh_token")) }, false},
		{"own data", func() reply { return p.as(token, "PUT", "/user", fields{"data": fields{"x": 1}}) }, false},
		{
			"own password", func() reply { return p.as(token, "PUT", "/user", fields{"password": "x" + password}) },
			false,
		},
		{"wrong password", func() reply { return p.login(victim, "wrong") }, false},
		{"admin update", func() reply {
			return p.call("PUT", "/admin/users/"+id, fields{"password": password, "ban_duration": "none"})
		}, false},
	}
	type when struct{ Step, Moved any }
	var got, want []when
	for _, step := range steps {
		before := p.shown(id)["last_sign_in_at"]
		step.do()
		got = append(got, when{step.name, p.shown(id)["last_sign_in_at"] != before})
		want = append(want, when{step.name, step.moves})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("last_sign_in_at moved (-want +got):\n%s", diff)
	}
	fresh := p.must("GET", "/admin/users/"+p.user("new@tiktok.oauth"), nil)
	if _, ok := fresh.body["last_sign_in_at"]; ok {
		t.Errorf("got %s; want no sign-in of a user that an admin made", fresh.text)
	}
}

// TestBan: a ban comes before the password, ends no session, and is over when its time is.
func TestBan(t *testing.T) {
	for name, keep := range map[string]bool{"since v2.195.0": false, "before": true} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{BannedKeepAccess: keep, AccessTokenTTL: 3 * time.Hour})
			ses := p.signup(victim, "abcdef12")
			p.must("PUT", "/admin/users/"+ses.str("user", "id"), fields{"ban_duration": "1h"})
			wantError(t, p.login(victim, "abcdef12"), 400, "user_banned")
			wantError(t, p.login(victim, "wrong"), 400, "user_banned")
			access := p.as(ses.str("access_token"), "PUT", "/user", fields{"data": fields{"x": 1}})
			if keep {
				wantStatus(t, access, 200)
			} else {
				wantError(t, access, 403, "user_banned")
			}
			if got := p.Sessions(ses.str("user", "id")); got != 1 {
				t.Errorf("got %d sessions; want 1", got)
			}
			p.clock.advance(time.Hour)
			wantStatus(t, p.login(victim, "abcdef12"), 200)
			wantStatus(t, p.refresh(ses.str("refresh_token")), 200)
		})
	}
}

// TestTimesInAnswers: the request that sets a time answers with more digits of it than the row keeps
// (tried on v2.196), so the two are never equal.
func TestTimesInAnswers(t *testing.T) {
	now := time.Date(2026, 11, 22, 14, 0, 0, 123456789, time.UTC)
	p := newProject(t, gotruesim.Options{Now: func() time.Time { return now }})
	first := object(p.signup(victim, "abcdef12").body["user"])
	id := first["id"].(string)
	ban := p.must("PUT", "/admin/users/"+id, fields{"ban_duration": "1h"})
	u := p.shown(id)
	got := []any{first["last_sign_in_at"], u["last_sign_in_at"], ban.body["banned_until"], u["banned_until"]}
	want := []any{
		"2026-11-22T14:00:00.123456789Z", "2026-11-22T14:00:00.123456Z",
		"2026-11-22T15:00:00.123456789Z", "2026-11-22T15:00:00.123456Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}
