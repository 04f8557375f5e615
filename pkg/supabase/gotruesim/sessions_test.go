package gotruesim_test

import (
	"testing"
	"time"

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

func TestRefreshReuseInterval(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	first := p.signup(victim, "abcdef12").str("refresh_token")
	second := p.refresh(first).str("refresh_token")
	third := p.refresh(second).str("refresh_token")
	p.clock.advance(10 * time.Second)
	branch := p.refresh(first)
	wantStatus(t, branch, 200)
	if got := branch.str("refresh_token"); got == second || got == third {
		t.Errorf("got %q again; want a new token", got)
	}
}

func TestRefreshRefusals(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	ses := p.signup(victim, "abcdef12")
	wantError(t, p.refresh(""), 400, "validation_failed")
	wantError(t, p.refresh("AAAAAAAAAAAA"), 400, "validation_failed")
	wantError(t, p.refresh("aaaaaaaaaaaa"), 400, "refresh_token_not_found")
	p.must("PUT", "/admin/users/"+ses.str("user", "id"), fields{"ban_duration": "1h"})
	wantError(t, p.refresh(ses.str("refresh_token")), 400, "user_banned")
	wantError(t, p.as(ses.str("access_token"), "GET", "/user", nil), 403, "user_banned")
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
