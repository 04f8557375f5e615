package supabase_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

// edgeFunction makes an account as the Edge Function of the guide does.
func (p project) edgeFunction(t *testing.T, id signin.Identity, more map[string]any) string {
	t.Helper()
	body := map[string]any{
		"email": address(id), "email_confirm": true,
		"user_metadata": map[string]any{"tiktok_open_id": id.OpenID, "display_name": "Old"},
	}
	for k, v := range more {
		body[k] = v
	}
	return p.must(t, http.MethodPost, "/admin/users", p.secret, body)["id"].(string)
}

// review runs AdoptAll and returns the verdicts on the accounts of this test: a real project has
// others.
func (b bridge) review(t *testing.T, dryRun bool, ids map[string]string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := b.AdoptAll(t.Context(), dryRun, func(r supabase.Review) {
		for name, id := range ids {
			if r.UserID == id {
				got[name] = strings.TrimSuffix(string(r.Verdict)+": "+r.Reason, ": ")
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAdoptAll(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b := p.client(t)
		made, wrong, withPhone, withFactor, withPasskey, withIdentity, own := p.person(), p.person(), p.person(), p.person(), p.person(), p.person(), p.person()
		ids := map[string]string{
			"made by the function": p.edgeFunction(t, made, nil),
			"claims another id":    p.edgeFunction(t, wrong, map[string]any{"user_metadata": map[string]any{"tiktok_open_id": "somebody-else"}}),
			"claims nothing":       p.edgeFunction(t, p.person(), map[string]any{"user_metadata": map[string]any{}}),
			"not confirmed":        p.edgeFunction(t, p.person(), map[string]any{"email_confirm": false}),
			"has a phone":          p.edgeFunction(t, withPhone, map[string]any{"phone": "4916" + digits(supabase.UserID(withPhone.OpenID).String()), "phone_confirm": true}),
			"has a factor":         p.edgeFunction(t, withFactor, nil),
			"has a passkey":        p.edgeFunction(t, withPasskey, nil),
			"has an identity":      p.edgeFunction(t, withIdentity, nil),
			"made by the bridge":   b.signIn(t, own).Account.ID,
			"of another kind":      p.must(t, http.MethodPost, "/admin/users", p.secret, map[string]any{"email": p.openIDs.next() + "@example.com"})["id"].(string),
		}
		p.addFactor(t, ids["has a factor"])
		p.addPasskey(t, ids["has a passkey"])
		p.addIdentity(t, ids["has an identity"], "")
		squatter := p.squat(t, address(p.person())) // claims an id, but not that of the address
		ids["squatted"] = squatter.id

		want := map[string]string{
			"made by the function": "adopted",
			"claims another id":    "refused: its open_id is not known exactly",
			"claims nothing":       "refused: its open_id is not known exactly",
			"not confirmed":        "refused: its e-mail is not confirmed",
			"has a phone":          "refused: has a phone number",
			"has a factor":         "refused: has a second factor",
			"has a passkey":        "refused: has a passkey",
			"has an identity":      "refused: linked to another identity provider",
			"made by the bridge":   "marked",
			"squatted":             "refused: its open_id is not known exactly",
		}
		got := b.review(t, true, ids)
		delete(got, "of another kind") // older servers list it, newer ones do not
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dry run (-want +got):\n%s", diff)
		}
		if mark := p.user(t, ids["made by the function"])["app_metadata"].(map[string]any)["tiktok"]; mark != nil {
			t.Fatalf("the dry run marked an account: %v", mark)
		}

		got = b.review(t, false, ids)
		delete(got, "of another kind")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("first run (-want +got):\n%s", diff)
		}
		want["made by the function"] = "marked"
		got = b.review(t, false, ids)
		delete(got, "of another kind")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("second run (-want +got):\n%s", diff)
		}
		// The person comes back to their account, even where nothing is adopted at sign-in.
		if in := p.client(t, adopt(supabase.AdoptNever)).signIn(t, made); in.Account.ID != ids["made by the function"] {
			t.Errorf("the person is user %s; want %s", in.Account.ID, ids["made by the function"])
		}
	})
}

// TestAdoptAllForged: a squatter who claims the right open_id gains nothing from being adopted.
func TestAdoptAllForged(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, victim := p.client(t), p.person()
		a := p.squat(t, address(victim))
		p.must(t, http.MethodPut, "/user", a.access, map[string]any{"data": map[string]any{"tiktok_open_id": victim.OpenID}})
		if got := b.review(t, false, map[string]string{"squatted": a.id}); !strings.HasPrefix(got["squatted"], "refused: somebody") {
			t.Fatalf("verdict is %q", got["squatted"])
		}
		in := b.signIn(t, victim)
		p.wantAlive(t, in.Session, in.Account.ID)
		p.wantLockedOut(t, a, in.Account.ID)
	})
}

// TestAdoptAllStops: the walk ends with its context, and goes on where it is run again.
func TestAdoptAllStops(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b := p.client(t)
		for range 3 {
			p.edgeFunction(t, p.person(), nil)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := b.AdoptAll(ctx, false, func(supabase.Review) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v; want that it was stopped", err)
		}
		if err := b.AdoptAll(t.Context(), true, func(supabase.Review) {}); err != nil {
			t.Error(err)
		}
	})
}
