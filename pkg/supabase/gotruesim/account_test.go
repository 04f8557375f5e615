package gotruesim_test

import (
	"testing"

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

// TestEmailChangeTakesSyntheticAddress shows the attack that autoconfirm allows: the mail to the
// attacker's own mailbox is enough.
func TestEmailChangeTakesSyntheticAddress(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	id, own, _ := changeEmail(t, p)
	wantStatus(t, p.verify("email_change", own.TokenHash), 200)

	wantError(t, p.call("POST", "/admin/users", fields{"email": victim}), 422, "email_exists")
	if got := p.link(victim).str("id"); got != id {
		t.Errorf("got account %s; want the attacker's %s", got, id)
	}
	wantStatus(t, p.login(victim, "Attacker1!"), 200)
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

func TestEmailChangePendingLeavesAddressFree(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	_, own, _ := changeEmail(t, p)
	p.user(victim)
	// The change fails and rolls back, so that the link stays and fails again.
	for range 2 {
		wantError(t, p.verify("email_change", own.TokenHash), 500, "unexpected_failure")
	}
}

func TestUserCannotTouchWhatIsNotTheirs(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	ses := p.must("POST", "/signup", fields{
		"id": userID, "email": victim, "password": "abcdef12",
		"app_metadata": fields{"tiktok": "x"}, "data": fields{"sub": "forged", "email": "forged"},
	})
	if ses.str("user", "id") == userID {
		t.Error("signup took an id")
	}
	meta := ses.body["user"].(map[string]any)["user_metadata"].(map[string]any)
	if meta["sub"] != ses.str("user", "id") || meta["email"] != victim {
		t.Errorf("got forged metadata %v", meta)
	}
	token := ses.str("access_token")
	r := p.as(token, "PUT", "/user", fields{"app_metadata": fields{"tiktok": "x"}})
	wantError(t, r, 403, "not_admin")
	wantStatus(t, p.as(token, "PUT", "/user", fields{"id": userID, "role": "service_role"}), 200)
	r = p.as(token, "GET", "/user", nil)
	if r.str("id") == userID || r.str("role") != "authenticated" {
		t.Errorf("got %s", r.text)
	}
	wantError(t, p.as(token, "GET", "/admin/users", nil), 403, "not_admin")
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

// TestPhoneNeedsNoProof: with the phone autoconfirm of `supabase start` any user may add a number,
// and with it an identity.
func TestPhoneNeedsNoProof(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	token := p.signup(victim, "abcdef12").str("access_token")
	r := p.as(token, "PUT", "/user", fields{"phone": "+49 123 4567"})
	if r.str("phone") != "491234567" || len(r.body["identities"].([]any)) != 2 {
		t.Errorf("got %s", r.text)
	}
	other := p.signup("other@example.com", "abcdef12").str("access_token")
	wantError(t, p.as(other, "PUT", "/user", fields{"phone": "491234567"}), 422, "phone_exists")
}
