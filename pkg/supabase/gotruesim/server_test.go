package gotruesim_test

import (
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

func TestBodyTooLarge(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	long := p.call("POST", "/admin/users", `{"email":"`+strings.Repeat("x", 1<<20)+`"}`)
	wantError(t, long, 413, "request_entity_too_large")
}

func TestLeftOutRoutesSaySo(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	for target, body := range map[string]fields{
		"/resend":                    nil,
		"/sso":                       nil,
		"/token?grant_type=web3":     nil,
		"/token?grant_type=id_token": {"provider": "google", "id_token": "x"},
		"/admin/custom-providers": {
			"provider_type": "oauth2", "identifier": "custom:x", "name": "x", "client_id": "x", "client_secret": "x",
			"authorization_url": "https://a.example", "token_url": "https://a.example",
			"userinfo_url": "https://a.example",
		},
	} {
		r := p.call("POST", target, body)
		wantStatus(t, r, 501)
		if !strings.Contains(r.str("message"), "does not emulate") {
			t.Errorf("%s: got %s", target, r.text)
		}
	}
}

func TestReset(t *testing.T) {
	p := newProject(t, gotruesim.Options{RateLimitHeader: "X-Forwarded-For"})
	id := p.user(victim)
	p.signIn(victim)
	p.must("POST", "/otp", fields{"email": victim})
	refused(p, 31, "X-Forwarded-For", "203.0.113.1")
	p.Reset()
	if p.Users() != 0 || p.Links() != 0 || p.Sessions(id) != 0 || len(p.Outbox()) != 0 {
		t.Errorf("got %d users, %d links, %d sessions, %d mails; want none",
			p.Users(), p.Links(), p.Sessions(id), len(p.Outbox()))
	}
	if refused(p, 1, "X-Forwarded-For", "203.0.113.1") != 0 {
		t.Error("the rate limit is still spent")
	}
	p.user(victim)
}

func TestKeysAreThoseOfTheCLI(t *testing.T) {
	const demo = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." +
		"eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6ImFub24iLCJleHAiOjE5ODM4MTI5OTZ9." +
		"CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0"
	p := newProject(t, gotruesim.Options{})
	if p.AnonKey() == "" || claims(t, p.AnonKey()).(map[string]any)["role"] != "anon" {
		t.Errorf("got anon key %q", p.AnonKey())
	}
	r := p.do("GET", "/auth/v1/settings", nil, "apikey", demo, "Authorization", "Bearer "+demo)
	wantStatus(t, r, 200)
}
