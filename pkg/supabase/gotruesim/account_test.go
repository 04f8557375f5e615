package gotruesim_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// changeEmail signs an attacker up and asks for the victim's address. It returns the attacker's id
// and the mails to the attacker's own and to the victim's mailbox.
func changeEmail(t *testing.T, p *project) (id string, own, victims gotruesim.Mail) {
	t.Helper()
	p.user("attacker@example.com", fields{"password": "Attacker1!"})
	ses := p.login("attacker@example.com", "Attacker1!")
	wantStatus(t, p.as(ses.str("access_token"), "PUT", "/user", fields{"email": victim}), 200)
	mails := p.Outbox()
	if len(mails) != 2 || mails[0].To != "attacker@example.com" || mails[1].To != victim {
		t.Fatalf("got mails %+v", mails)
	}
	return ses.str("user", "id"), mails[0], mails[1]
}

func TestEmailChangeNeedsBothMailboxes(t *testing.T) {
	for name, order := range map[string][]int{"own first": {0, 1}, "victim's first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{RequireConfirmation: true})
			id, own, victims := changeEmail(t, p)
			mails := []gotruesim.Mail{own, victims}

			first := p.verify("email_change", mails[order[0]].TokenHash)
			wantStatus(t, first, 200)
			if first.str("msg") == "" || first.str("access_token") != "" {
				t.Errorf("got %s; want a request for the other confirmation", first.text)
			}
			if got := p.must("GET", "/admin/users/"+id, nil).str("email"); got == victim {
				t.Error("one confirmation changed the address")
			}
			second := p.call("POST", "/verify", fields{
				"type": "email_change", "email": mails[order[1]].To, "token": mails[order[1]].OTP,
			})
			wantStatus(t, second, 200)
			if got := second.str("user", "email"); got != victim {
				t.Errorf("got address %q; want %q", got, victim)
			}
		})
	}
}

func TestOwnPasswordChangeKeepsOwnSession(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	here := p.signup(victim, "abcdef12")
	there := p.login(victim, "abcdef12")
	token := here.str("access_token")
	wantError(t, p.as(token, "PUT", "/user", fields{"password": "abcdef12"}), 422, "same_password")
	wantStatus(t, p.as(token, "PUT", "/user", fields{"password": "fedcba21"}), 200)
	wantStatus(t, p.as(token, "GET", "/user", nil), 200)
	wantError(t, p.as(there.str("access_token"), "GET", "/user", nil), 403, "session_not_found")
}

// TestPhoneWithoutProvider: where phones must be confirmed and nobody can send a code, the request
// fails as a whole.
func TestPhoneWithoutProvider(t *testing.T) {
	p := newProject(t, gotruesim.Options{RequirePhoneConfirmation: true})
	ses := p.signup(victim, "abcdef12")
	r := p.as(ses.str("access_token"), "PUT", "/user", fields{"phone": "15550001", "data": fields{"x": 1}})
	wantError(t, r, 500, "unexpected_failure")
	u := p.shown(ses.str("user", "id"))
	if u["phone"] != "" || object(u["user_metadata"])["x"] != nil {
		t.Errorf("got %v; want nothing changed", u)
	}
	if r := p.must("GET", "/settings", nil); r.body["phone_autoconfirm"] != false {
		t.Errorf("settings: got %s; want phone_autoconfirm false", r.text)
	}
}

// identity finds the id of a provider's identity.
func (p *project) identity(userID, provider string) string {
	p.t.Helper()
	for _, i := range p.shown(userID)["identities"].([]any) {
		if object(i)["provider"] == provider {
			return object(i)["identity_id"].(string)
		}
	}
	p.t.Fatalf("no identity of %s", provider)
	return ""
}

// TestUnlinkEmail leaves an account that nobody finds by an address, and frees the address.
func TestUnlinkEmail(t *testing.T) {
	p := newProject(t, gotruesim.Options{ManualLinking: true})
	ses := p.signup(victim, "abcdef12")
	id, token := ses.str("user", "id"), ses.str("access_token")
	unlink := func(identity string) reply { return p.as(token, "DELETE", "/user/identities/"+identity, nil) }

	wantError(t, unlink(p.identity(id, "email")), 422, "single_identity_not_deletable")
	wantStatus(t, p.as(token, "PUT", "/user", fields{"phone": "15550001"}), 200)
	wantError(t, unlink("x"), 404, "validation_failed")
	wantError(t, unlink(userID), 422, "identity_not_found")
	p.must("POST", "/recover", fields{"email": victim})
	wantStatus(t, unlink(p.identity(id, "email")), 200)

	u := p.shown(id)
	got := map[string]any{
		"email": u["email"], "phone": u["phone"], "confirmed": u["email_confirmed_at"] != nil,
		"verified": object(u["user_metadata"])["email_verified"], "app": u["app_metadata"], "links": p.Links(),
	}
	want := map[string]any{
		"email": "", "phone": "15550001", "confirmed": false, "verified": false, "links": 0,
		"app": map[string]any{"provider": "phone", "providers": []any{"phone"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	wantError(t, p.call("POST", "/admin/generate_link", fields{"type": "recovery", "email": victim}),
		404, "user_not_found")
	p.signup(victim, "Squatter1!")
	back := p.call("PUT", "/admin/users/"+id, fields{"email": victim})
	wantError(t, back, 500, "unexpected_failure")
	if n := len(p.shown(id)["identities"].([]any)); n != 1 || p.shown(id)["email"] != "" {
		t.Errorf("got %v; want the refused update to leave no trace", p.shown(id))
	}
}

// TestUnlinkPromotesAnotherEmail: an account keeps an address as long as an identity has one that is
// free; one that the provider has verified comes first.
func TestUnlinkPromotesAnotherEmail(t *testing.T) {
	withConfirmation := gotruesim.Options{ManualLinking: true, RequireConfirmation: true}
	tests := []struct {
		name     string
		settings gotruesim.Options
		taken    bool
		status   int
		want     string
		confirm  bool
	}{
		{"autoconfirm", gotruesim.Options{ManualLinking: true}, false, 200, "g@example.com", true},
		{"confirmation", withConfirmation, false, 200, "g@example.com", false},
		{"taken", gotruesim.Options{ManualLinking: true}, true, 422, victim, true},
		{"off", gotruesim.Options{}, false, 404, victim, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, tt.settings)
			id := p.user(victim, fields{"password": "abcdef12"})
			if tt.taken {
				p.user("g@example.com")
			}
			if err := p.AddIdentity(id, "google", "g-1", "g@example.com"); err != nil {
				t.Fatal(err)
			}
			token := p.login(victim, "abcdef12").str("access_token")
			r := p.as(token, "DELETE", "/user/identities/"+p.identity(id, "email"), nil)
			wantStatus(t, r, tt.status)
			u := p.shown(id)
			if confirmed := u["email_confirmed_at"] != nil; u["email"] != tt.want || confirmed != tt.confirm {
				t.Errorf("got %v, confirmed %v; want %s, %v", u["email"], confirmed, tt.want, tt.confirm)
			}
		})
	}
}

func TestUnlinkPhone(t *testing.T) {
	p := newProject(t, gotruesim.Options{ManualLinking: true})
	ses := p.signup(victim, "abcdef12")
	id, token := ses.str("user", "id"), ses.str("access_token")
	wantStatus(t, p.as(token, "PUT", "/user", fields{"phone": "15550001"}), 200)
	wantStatus(t, p.as(token, "DELETE", "/user/identities/"+p.identity(id, "phone"), nil), 200)
	u := p.shown(id)
	if u["phone"] != "" || u["phone_confirmed_at"] != nil || u["email"] != victim {
		t.Errorf("got %v; want the address alone", u)
	}
	other := p.signup("other@example.com", "abcdef12").str("access_token")
	wantStatus(t, p.as(other, "PUT", "/user", fields{"phone": "15550001"}), 200)
}

// raw sends a request whose answer may be more than a decoder takes.
func (p *project) raw(token, method, target, body string) (status int, answer string) {
	r := httptest.NewRequestWithContext(p.t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// between cuts out of an answer that nothing decodes.
func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// TestDeepMetadata: GoTrue takes what its own answers nest too deep for any of Go's decoders
// (testdata/in-flight.md).
func TestDeepMetadata(t *testing.T) {
	nested := func(n int) string {
		return `{"email":"` + victim + `","password":"abcdef12","data":{"a":` +
			strings.Repeat("[", n) + strings.Repeat("]", n) + `}}`
	}
	for name, confirm := range map[string]bool{"autoconfirm": false, "confirmation": true} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{RequireConfirmation: confirm})
			status, _ := p.raw("", "POST", "/signup", nested(9999))
			if status != 400 {
				t.Errorf("9999 arrays: got %d; want 400", status)
			}
			status, answer := p.raw("", "POST", "/signup", nested(9997))
			if status != 200 {
				t.Fatalf("9997 arrays: got %d", status)
			}
			id := between(answer, `"user_id":"`, `"`)
			for _, call := range []struct{ method, target, body string }{
				{"GET", "/admin/users/" + id, ""},
				{"GET", "/admin/users", ""},
				{"PUT", "/admin/users/" + id, `{"user_metadata":{"a":null}}`},
				{"POST", "/admin/generate_link", `{"type":"recovery","email":"` + victim + `"}`},
			} {
				status, answer := p.raw(p.ServiceRoleKey(), call.method, call.target, call.body)
				if status != 200 {
					t.Errorf("%s %s: got %d", call.method, call.target, status)
				}
				if err := json.Unmarshal([]byte(answer), new(any)); err == nil {
					t.Errorf("%s %s: got %d readable bytes; want too deep ones", call.method, call.target, len(answer))
				}
			}
			status, _ = p.raw(p.ServiceRoleKey(), "DELETE", "/admin/users/"+id, "")
			if status != 200 || p.Users() != 0 {
				t.Errorf("delete: got %d; want 200", status)
			}
		})
	}
}

// TestLargeMetadata: the limit is one of requests, not of accounts. Three requests show it; nothing
// changes up to 21 MB and beyond (testdata/in-flight.md).
func TestLargeMetadata(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	ses := p.signup(victim, "abcdef12")
	megabyte := strings.Repeat("x", 1_000_000)
	for i := range 3 {
		body := `{"data":{"` + strings.Repeat("k", i+1) + `":"` + megabyte + `"}}`
		if status, answer := p.raw(ses.str("access_token"), "PUT", "/user", body); status != 200 {
			t.Fatalf("update %d: got %d %.200s", i, status, answer)
		}
	}
	status, answer := p.raw(p.ServiceRoleKey(), "GET", "/admin/users/"+ses.str("user", "id"), "")
	if status != 200 || len(answer) < 3_000_000 {
		t.Errorf("get: got %d with %d bytes; want all 3 MB", status, len(answer))
	}
	login := `{"email":"` + victim + `","password":"abcdef12"}`
	status, answer = p.raw("", "POST", "/token?grant_type=password", login)
	if status != 200 || len(answer) < 7_000_000 {
		t.Errorf("login: got %d with %d bytes; want 3 MB, and once more in the access token", status, len(answer))
	}
}
