package gotruesim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

func TestBodies(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	long := p.call("POST", "/admin/users", `{"email":"`+strings.Repeat("x", 1<<20)+`"}`)
	wantError(t, long, 413, "request_entity_too_large")
	tests := []struct{ body, want string }{
		{``, "unexpected end of JSON input"},
		{
			`{"ban_duration":5}`, "json: cannot unmarshal number into Go struct field " +
				"AdminUserParams.ban_duration of type string",
		},
		{`[1]`, "json: cannot unmarshal array into Go value of type api.AdminUserParams"},
	}
	for _, tt := range tests {
		r := p.call("POST", "/admin/users", tt.body)
		wantError(t, r, 400, "bad_json")
		if got := r.str("message"); got != "Could not parse request body as JSON: "+tt.want {
			t.Errorf("body %s: got %q", tt.body, got)
		}
	}
}

// TestWeakPassword covers the one error with a member of its own, whose header depends on the
// version.
func TestWeakPassword(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	body := fields{"email": victim, "password": "x"}
	want := map[string]any{"reasons": []any{"length"}}
	for header, version := range map[string]string{"": "2024-01-01", "weak_password": ""} {
		r := p.do("POST", "/signup", body, "X-Supabase-Api-Version", version)
		wantStatus(t, r, 422)
		if diff := cmp.Diff(want, r.body["weak_password"]); diff != "" {
			t.Errorf("weak_password (-want +got):\n%s", diff)
		}
		if got := r.header.Get("X-Sb-Error-Code"); got != header {
			t.Errorf("got x-sb-error-code %q; want %q", got, header)
		}
	}
}

func TestErrorID(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	r := p.do("POST", "/admin/users", fields{"email": victim, "password_hash": "x"},
		"Authorization", "Bearer "+p.ServiceRoleKey())
	wantStatus(t, r, 500)
	if r.str("error_id") == "" {
		t.Errorf("got %s; want an error_id", r.text)
	}
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

func TestMailFrequency(t *testing.T) {
	p := newProject(t, gotruesim.Options{EmailMaxFrequency: time.Minute})
	p.user(victim)
	p.must("POST", "/otp", fields{"email": victim})
	soon := p.call("POST", "/recover", fields{"email": victim})
	wantError(t, soon, 429, "over_email_send_rate_limit")
	p.link(victim)
	p.clock.advance(time.Minute)
	p.must("POST", "/recover", fields{"email": victim})
	mails := p.Outbox()
	if len(mails) != 2 || mails[0].Type != "magiclink" || mails[1].Type != "recovery" {
		t.Fatalf("got mails %+v", mails)
	}
	link := strings.TrimPrefix(mails[1].Link, "http://127.0.0.1:54321/auth/v1")
	wantStatus(t, p.do("GET", link, nil), 303)
}
