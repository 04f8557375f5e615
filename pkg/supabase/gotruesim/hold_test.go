package gotruesim_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// held sends a request and waits until it is about to commit. finish lets it.
func (p *project) held(line string, send func() reply) (finish func() reply) {
	p.t.Helper()
	h := p.Hold(gotruesim.Route(line))
	p.t.Cleanup(h.Release)
	answer := make(chan reply, 1)
	go func() { answer <- send() }()
	select {
	case <-h.Arrived():
	case r := <-answer:
		p.t.Fatalf("%s was not held: got %d %s", line, r.status, r.text)
	}
	return func() reply {
		h.Release()
		return <-answer
	}
}

// shown is what an admin sees of an account.
func (p *project) shown(id string) map[string]any {
	p.t.Helper()
	return p.must("GET", "/admin/users/"+id, nil).body
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// TestHeldOverReset holds what a squatter may have under way while an admin takes the account over:
// sets a password, bans, and notes it in app_metadata. testdata/in-flight.md has the same from a real
// server.
func TestHeldOverReset(t *testing.T) {
	const old, reset, squatters = "Attacker1!", "Reset-by-admin1!", "Held-one1!"
	type outcome struct {
		Status, Sessions    int
		SignedIn, Anchored  bool // whether last_sign_in_at moved, whether app_metadata.anchor is there
		Metadata            any  // user_metadata.name, which the admin sets
		Phone, Pending, Pwd string
	}
	reality := func(status, sessions int, change func(*outcome)) outcome {
		o := outcome{Status: status, Sessions: sessions, Anchored: true, Metadata: "new", Pwd: reset}
		if change != nil {
			change(&o)
		}
		return o
	}
	own := func(body fields) func(*project, reply, string) reply {
		return func(p *project, ses reply, _ string) reply {
			return p.as(ses.str("access_token"), "PUT", "/user", body)
		}
	}
	tests := []struct {
		name, line string
		send       func(p *project, ses reply, link string) reply
		want       outcome
	}{
		{
			"login", "POST /token?grant_type=password",
			func(p *project, _ reply, _ string) reply { return p.login(victim, old) },
			reality(200, 1, func(o *outcome) { o.SignedIn = true }),
		},
		{
			"refresh", "POST /token?grant_type=refresh_token",
			func(p *project, ses reply, _ string) reply { return p.refresh(ses.str("refresh_token")) },
			reality(400, 0, nil),
		},
		{
			"verify", "POST /verify",
			func(p *project, _ reply, link string) reply { return p.verify("recovery", link) },
			reality(200, 1, func(o *outcome) { o.SignedIn, o.Anchored = true, false }),
		},
		{
			"password", "PUT /user", own(fields{"password": squatters}),
			reality(200, 0, func(o *outcome) { o.Pwd = squatters }),
		},
		{
			"phone", "PUT /user", own(fields{"phone": "15550001"}),
			reality(200, 0, func(o *outcome) { o.Phone = "15550001" }),
		},
		{
			"email", "PUT /user", own(fields{"email": "squatter@example.com"}),
			reality(200, 0, func(o *outcome) { o.Pending = "squatter@example.com" }),
		},
		{
			"data", "PUT /user", own(fields{"data": fields{"x": 1}}),
			reality(200, 0, func(o *outcome) { o.Metadata = nil }),
		},
		{
			"no data", "PUT /user", own(fields{"data": fields{}}),
			reality(200, 0, func(o *outcome) { o.Metadata = nil }),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{})
			ses := p.signup(victim, old)
			id := ses.str("user", "id")
			link := p.link(victim).str("hashed_token")
			finish := p.held(tt.line, func() reply { return tt.send(p, ses, link) })
			before := p.shown(id)["last_sign_in_at"]
			p.must("PUT", "/admin/users/"+id, fields{
				"password": reset, "ban_duration": "1h",
				"app_metadata": fields{"anchor": "a"}, "user_metadata": fields{"name": "new"},
			})
			p.clock.advance(time.Second)
			got := outcome{Status: finish().status, Sessions: p.Sessions(id)}
			u := p.shown(id)
			if u["banned_until"] == nil {
				t.Error("the ban is gone")
			}
			got.SignedIn = u["last_sign_in_at"] != before
			got.Anchored = object(u["app_metadata"])["anchor"] == "a"
			got.Metadata = object(u["user_metadata"])["name"]
			got.Phone, _ = u["phone"].(string)
			got.Pending, _ = u["new_email"].(string)
			p.must("PUT", "/admin/users/"+id, fields{"ban_duration": "none"})
			for _, password := range []string{old, reset, squatters} {
				if p.login(victim, password).status == http.StatusOK {
					got.Pwd += password
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("after the reset (-real +emulated):\n%s", diff)
			}
		})
	}
}

// TestHeldSignup: with autoconfirm the account is there before its first session is.
func TestHeldSignup(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	finish := p.held("POST /signup", func() reply {
		return p.call("POST", "/signup", fields{"email": victim, "password": "Attacker1!"})
	})
	id := p.link(victim).str("id")
	p.must("PUT", "/admin/users/"+id, fields{"password": "Reset-by-admin1!"})
	token := finish().str("access_token")
	wantStatus(t, p.as(token, "GET", "/user", nil), 200)
}

// TestHeldPasswordEndsOtherSessions: the squatter's password also throws the rightful owner out.
func TestHeldPasswordEndsOtherSessions(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	squatter := p.signup(victim, "Attacker1!")
	finish := p.held("PUT /user", func() reply {
		return p.as(squatter.str("access_token"), "PUT", "/user", fields{"password": "Held-one1!"})
	})
	p.must("PUT", "/admin/users/"+squatter.str("user", "id"), fields{"password": "Reset-by-admin1!"})
	owner := p.login(victim, "Reset-by-admin1!")
	wantStatus(t, finish(), 200)
	wantError(t, p.as(owner.str("access_token"), "GET", "/user", nil), 403, "session_not_found")
}

// TestHeldAdminUpdate: an update writes the columns it names as it read them, and no others.
func TestHeldAdminUpdate(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	id := p.user(victim)
	path := "/admin/users/" + id
	finish := p.held("PUT "+path, func() reply {
		return p.call("PUT", path, fields{"ban_duration": "none", "app_metadata": fields{"k": 1}})
	})
	p.must("PUT", path, fields{
		"ban_duration": "1h", "app_metadata": fields{"anchor": "a"}, "user_metadata": fields{"name": "new"},
	})
	wantStatus(t, finish(), 200)
	u := p.shown(id)
	if u["banned_until"] != nil || object(u["app_metadata"])["anchor"] != nil {
		t.Errorf("got %v; want neither ban nor anchor", u)
	}
	if object(u["user_metadata"])["name"] != "new" {
		t.Errorf("got user_metadata %v; want what the other update wrote", u["user_metadata"])
	}
}

// TestHeldPhoneKeepsNewEmail: identities are rows of their own.
func TestHeldPhoneKeepsNewEmail(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	ses := p.signup(victim, "Attacker1!")
	id := ses.str("user", "id")
	finish := p.held("PUT /user", func() reply {
		return p.as(ses.str("access_token"), "PUT", "/user", fields{"phone": "15550001"})
	})
	const moved = "moved@tiktok.oauth"
	p.must("PUT", "/admin/users/"+id, fields{"email": moved})
	wantStatus(t, finish(), 200)
	u := p.shown(id)
	got := fmt.Sprint(u["email"], " ", len(u["identities"].([]any)), " ",
		object(object(u["identities"].([]any)[0])["identity_data"])["email"])
	if want := moved + " 2 " + moved; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	p.user(victim) // the address it left is free
	wantStatus(t, p.link(moved), 200)
}

func TestHeldWhileDeleted(t *testing.T) {
	tests := []struct {
		name, line, message string
		send                func(p *project, token string) reply
	}{
		{
			"login", "POST /token?grant_type=password", "Database error granting user",
			func(p *project, _ string) reply { return p.login(victim, "Attacker1!") },
		},
		{
			"email", "PUT /user", "Error sending email change email",
			func(p *project, token string) reply {
				return p.as(token, "PUT", "/user", fields{"email": "other@example.com"})
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{})
			ses := p.signup(victim, "Attacker1!")
			finish := p.held(tt.line, func() reply { return tt.send(p, ses.str("access_token")) })
			p.must("DELETE", "/admin/users/"+ses.str("user", "id"), nil)
			r := finish()
			wantError(t, r, 500, "unexpected_failure")
			if got := r.str("message"); got != tt.message {
				t.Errorf("got message %q; want %q", got, tt.message)
			}
			if p.Users() != 0 || p.Links() != 0 {
				t.Errorf("got %d users and %d links; want none", p.Users(), p.Links())
			}
		})
	}
}

// TestHeldTooLong: nothing of a request lands that outlived its time.
func TestHeldTooLong(t *testing.T) {
	tests := []struct {
		name    string
		limit   time.Duration
		after   time.Duration
		status  int
		changed bool
	}{
		{"in time", 0, 10 * time.Second, 200, true},
		{"too late", 0, 10*time.Second + time.Millisecond, 504, false},
		{"no limit", -1, time.Hour, 200, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{MaxRequestDuration: tt.limit, AccessTokenTTL: 24 * time.Hour})
			ses := p.signup(victim, "Attacker1!")
			finish := p.held("PUT /user", func() reply {
				return p.as(ses.str("access_token"), "PUT", "/user", fields{"password": "Held-one1!"})
			})
			p.clock.advance(tt.after)
			if r := finish(); r.status != tt.status || (r.status == 504 && r.str("code") != "request_timeout") {
				t.Errorf("got %d %s; want %d", r.status, r.text, tt.status)
			}
			if got := p.login(victim, "Held-one1!").status == 200; got != tt.changed {
				t.Errorf("password changed: got %v; want %v", got, tt.changed)
			}
		})
	}
}

// TestHeldHangUp: nothing of a request lands whose client has gone.
func TestHeldHangUp(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	id := p.signup(victim, "Attacker1!").str("user", "id")
	h := p.Hold(gotruesim.Route("POST /token?grant_type=password"))
	ctx, hangUp := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		body := strings.NewReader(`{"email":"` + victim + `","password":"Attacker1!"}`)
		r := httptest.NewRequestWithContext(ctx, "POST", "/token?grant_type=password", body)
		p.ServeHTTP(httptest.NewRecorder(), r)
	}()
	<-h.Arrived()
	hangUp()
	<-done
	if got := p.Sessions(id); got != 1 {
		t.Errorf("got %d sessions; want the first one only", got)
	}
}

// TestHeldBody: GoTrue authenticates before it reads the body, so a client that holds its body back
// needs nothing else to stay in.
func TestHeldBody(t *testing.T) {
	for _, prefix := range []string{"", "/auth/v1"} {
		t.Run("under "+prefix, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{})
			srv := httptest.NewServer(p)
			defer srv.Close()
			ses := p.signup(victim, "Attacker1!")
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			const body = `{"password":"Held-one1!"}`
			_, _ = fmt.Fprintf(conn, "PUT %s/user HTTP/1.1\r\nHost: x\r\nApikey: %s\r\nAuthorization: Bearer %s\r\n"+
				"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n",
				prefix, gotruesim.PublishableKey, ses.str("access_token"), len(body))
			in := bufio.NewReader(conn)
			if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
				t.Fatalf("got %q, %v; want to be asked for the body", line, err)
			}
			if _, err := in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			p.must("PUT", "/admin/users/"+ses.str("user", "id"), fields{
				"password": "Reset-by-admin1!", "ban_duration": "1h",
			})
			if _, err := io.WriteString(conn, body); err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Body.Close()
			if r.StatusCode != http.StatusOK {
				t.Errorf("got status %d; want 200", r.StatusCode)
			}
			p.must("PUT", "/admin/users/"+ses.str("user", "id"), fields{"ban_duration": "none"})
			wantStatus(t, p.login(victim, "Held-one1!"), 200)
		})
	}
}
