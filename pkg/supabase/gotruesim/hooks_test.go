package gotruesim_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// TestTokenHook holds the answers of a custom access token hook's failures against those of a real v2.196.0,
// with a Postgres function for the first four. A failing hook takes the consumption of the link back.
func TestTokenHook(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		hook         error
		status       int
		header, body string
	}{
		{
			"says no",
			gotruesim.HookRefusal{Status: 403, Message: "You are not invited yet"},
			403, "", `{"code":"unknown","message":"You are not invited yet"}`,
		},
		{
			"says no without a status",
			gotruesim.HookRefusal{Message: "You are not invited yet"},
			500, "", `{"code":"unexpected_failure","message":"You are not invited yet"}`,
		},
		{"says no without a message", gotruesim.HookRefusal{Status: 403}, 200, "", ""},
		{
			"raises", errors.New("hook broken"), 500, "unexpected_failure",
			`{"code":"unexpected_failure","message":` +
				`"Error running hook URI: pg-functions://postgres/public/custom_access_token_hook"}`,
		},
		{ // by source, as the next one
			"is slow", gotruesim.ErrHookTimeout, 422, "hook_timeout",
			`{"code":"hook_timeout","message":"Failed to reach hook within maximum time of 5.000000 seconds"}`,
		},
		{
			"is gone", gotruesim.ErrHookUnreachable, 422, "hook_timeout_after_retry",
			`{"code":"hook_timeout_after_retry","message":"Failed to reach hook after maximum retries"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failure := tt.hook
			p := newProject(t, gotruesim.Options{CustomAccessToken: func(user map[string]any) error {
				if user["email"] != victim {
					t.Errorf("the hook is told of %v", user["email"])
				}
				return failure
			}})
			p.user(victim)
			hash := p.link(victim).str("hashed_token")
			got := p.verify("magiclink", hash)
			header := got.header.Get("X-Sb-Error-Code")
			if got.status != tt.status || header != tt.header || tt.body != "" && got.text != tt.body {
				t.Errorf("got %d %q %s; want %d %q %s", got.status, header, got.text, tt.status, tt.header, tt.body)
			}
			if tt.status == 200 {
				return
			}
			failure = nil
			wantStatus(t, p.verify("magiclink", hash), 200)
		})
	}
}

// TestUserTrigger holds what a trigger on auth.users does against the same server.
func TestUserTrigger(t *testing.T) {
	t.Parallel()
	insertRaises := func(w gotruesim.Write) error {
		if w.Insert {
			return errors.New("profile missing")
		}
		return nil
	}
	p := newProject(t, gotruesim.Options{UserTrigger: insertRaises})
	body := fields{"email": victim, "email_confirm": true}
	got := p.call("POST", "/admin/users", body)
	const want = `{"code":"unexpected_failure","message":"Database error creating new user"}`
	if got.status != 500 || got.text != want || got.header.Get("X-Sb-Error-Code") != "unexpected_failure" {
		t.Errorf("create answers %d %s; want 500 %s", got.status, got.text, want)
	}
	got = p.do("POST", "/admin/users", body, "Authorization", "Bearer "+p.ServiceRoleKey())
	if got.status != 500 || got.text != `{"code":"P0001","message":"profile missing"}` {
		t.Errorf("create without a version answers %d %s; want the exception", got.status, got.text)
	}
	if p.Users() != 0 {
		t.Error("there is a user all the same")
	}

	raises := false
	p = newProject(t, gotruesim.Options{UserTrigger: func(w gotruesim.Write) error {
		delete(w.AppMetadata, "tiktok")
		if raises {
			return errors.New("no update")
		}
		return nil
	}})
	created := p.must("POST", "/admin/users", fields{
		"id": userID, "email": victim, "email_confirm": true, "app_metadata": fields{"tiktok": fields{"open_id": "a"}},
	})
	shown := p.must("GET", "/admin/users/"+userID, nil)
	if created.str("app_metadata", "tiktok", "open_id") != "a" || strings.Contains(shown.text, "open_id") {
		t.Errorf("the trigger's work shows in the answer %s, or not in the row %s", created.text, shown.text)
	}
	raises = true
	got = p.call("POST", "/admin/generate_link", fields{"type": "recovery", "email": victim})
	if got.status != 500 || got.header.Get("X-Sb-Error-Code") != "" || got.str("code") != "unexpected_failure" {
		t.Errorf("generate_link answers %d %v %s; want a 500 without the header", got.status, got.header, got.text)
	}
}
