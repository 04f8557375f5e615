package supabase_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

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

// adoptAll runs AdoptAll with a quarantine that is over at once, and returns the last verdicts on the
// accounts of this test: a real project has others. meanwhile, if any, runs when an account has entered
// quarantine.
func (b bridge) adoptAll(
	t *testing.T, opts supabase.AdoptOptions, ids map[string]string, meanwhile func(id string),
) map[string]string {
	t.Helper()
	if opts.Quarantine == 0 {
		opts.Quarantine = time.Millisecond
	}
	opts.PerMinute = 60_000
	got := map[string]string{}
	err := b.AdoptAll(t.Context(), opts, func(r supabase.Review) {
		if r.Verdict == supabase.VerdictQuarantined && meanwhile != nil {
			meanwhile(r.UserID)
		}
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
		made, withPhone, own := p.person(), p.person(), p.person()
		phone := "4916" + digits(supabase.UserID(withPhone.OpenID).String())
		other := map[string]any{"email": p.openIDs.next() + "@example.com"}
		ids := map[string]string{
			"made by the function": p.edgeFunction(t, made, map[string]any{
				"user_metadata": map[string]any{"tiktok_open_id": made.OpenID, "theme": "dark"},
				"app_metadata":  map[string]any{"plan": "pro"},
			}),
			"claims another id": p.edgeFunction(
				t, p.person(), map[string]any{"user_metadata": map[string]any{"tiktok_open_id": "x"}},
			),
			"claims nothing":     p.edgeFunction(t, p.person(), map[string]any{"user_metadata": map[string]any{}}),
			"not confirmed":      p.edgeFunction(t, p.person(), map[string]any{"email_confirm": false}),
			"is banned":          p.edgeFunction(t, p.person(), map[string]any{"ban_duration": "1000h"}),
			"has a phone":        p.edgeFunction(t, withPhone, map[string]any{"phone": phone, "phone_confirm": true}),
			"has a factor":       p.edgeFunction(t, p.person(), nil),
			"has a passkey":      p.edgeFunction(t, p.person(), nil),
			"has an identity":    p.edgeFunction(t, p.person(), nil),
			"made by the bridge": b.signIn(t, own).Account.ID,
			"of another kind":    p.must(t, http.MethodPost, "/admin/users", p.secret, other)["id"].(string),
		}
		p.addFactor(t, ids["has a factor"])
		p.addPasskey(t, ids["has a passkey"])
		p.addIdentity(t, ids["has an identity"], "")
		want := map[string]string{
			"made by the function": "adopted",
			"claims another id":    "left: its open_id is not known exactly",
			"claims nothing":       "left: its open_id is not known exactly",
			"not confirmed":        "left: its e-mail is not confirmed",
			"is banned":            "left: is banned",
			"has a phone":          "left: has a phone number",
			"has a factor":         "left: has a second factor",
			"has a passkey":        "left: has a passkey",
			"has an identity":      "left: is linked to another identity provider",
			"made by the bridge":   "owned",
		}
		for _, run := range []struct {
			name string
			opts supabase.AdoptOptions
		}{
			{"dry run", supabase.AdoptOptions{DryRun: true}},
			{"first run", supabase.AdoptOptions{}},
			{"second run", supabase.AdoptOptions{}},
		} {
			if run.name == "second run" {
				want["made by the function"] = "owned"
			}
			got := b.adoptAll(t, run.opts, ids, func(string) {
				if run.opts.DryRun {
					t.Error("the dry run put an account into quarantine")
				}
			})
			delete(got, "of another kind") // older servers list it, newer ones do not
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", run.name, diff)
			}
		}
		in := b.signIn(t, made)
		if in.Account.ID != ids["made by the function"] {
			t.Errorf("the person is user %s; want %s", in.Account.ID, ids["made by the function"])
		}
		user := p.user(t, in.Account.ID)
		app := user["app_metadata"].(map[string]any)
		if user["user_metadata"].(map[string]any)["theme"] != "dark" || app["plan"] != "pro" ||
			app["tikbridge_adoption"] != nil {
			t.Errorf("the account's data is not as it was: %v", user)
		}
	})
}

// TestAdoptAll_quarantine: in quarantine the person is told to come back, and old passwords, sessions
// and links open nothing.
func TestAdoptAll_quarantine(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				b, id := p.client(t, adopt(mode)), p.person()
				a := p.migrant(t, id)
				got := b.adoptAll(t, supabase.AdoptOptions{}, map[string]string{"": a.id}, func(quarantined string) {
					if quarantined != a.id {
						return
					}
					_, err := b.SignIn(t.Context(), id, device, noProfile)
					e := signin.AsError(err)
					if e.Code != signin.AccountConflict || e.RetryAfter <= 0 || !strings.Contains(e.Message, "come back later") {
						t.Errorf("a sign-in meanwhile ends with %v, %q, after %v", err, e.Message, e.RetryAfter)
					}
					p.wantOut(t, a)
				})
				if got[""] != "adopted" {
					t.Fatalf("verdict is %q", got[""])
				}
				p.wantOut(t, a)
				if in := b.signIn(t, id); in.Account.ID != a.id {
					t.Errorf("the person is user %s; want %s", in.Account.ID, a.id)
				}
			})
		})
	}
}

// migrant is an account of the Edge Function whose owner set a password and is signed in: or a squatter
// who left no trace.
func (p project) migrant(t *testing.T, id signin.Identity) attacker {
	t.Helper()
	a := attacker{
		id: p.edgeFunction(t, id, map[string]any{"password": "Attacker-1!"}), email: address(id),
		password: "Attacker-1!",
	}
	in := p.must(
		t, http.MethodPost, "/token?grant_type=password", "",
		map[string]string{"email": a.email, "password": a.password},
	)
	a.access, a.refresh = in["access_token"].(string), in["refresh_token"].(string)
	return a
}

// wantOut checks that nothing an attacker holds opens the account any more.
func (p project) wantOut(t *testing.T, a attacker) { t.Helper(); p.wantLockedOut(t, a, a.id) }

// TestAdoptAll_moved: an account in which anything happened during the quarantine is let go.
func TestAdoptAll_moved(t *testing.T) {
	update := func(body map[string]any) func(*testing.T, project, string) {
		return func(t *testing.T, p project, id string) {
			p.must(t, http.MethodPut, "/admin/users/"+id, p.secret, body)
		}
	}
	happens := map[string]struct {
		event func(*testing.T, project, string)
		want  string
	}{
		"e-mail": {
			update(map[string]any{"email": "x-" + time.Now().Format("150405.000000") + "@tiktok.oauth"}),
			"left: changed its e-mail",
		},
		"open_id": {
			update(map[string]any{"user_metadata": map[string]any{"tiktok_open_id": "other"}}),
			"left: changed its open_id",
		},
		"unbanned": {update(map[string]any{"ban_duration": "none"}), "left: was banned or released by somebody else"},
		"banned":   {update(map[string]any{"ban_duration": "9000h"}), "left: was banned or released by somebody else"},
		"note": {
			update(map[string]any{"app_metadata": map[string]any{"tikbridge_adoption": nil}}), "left: was released",
		},
		"identity": {
			func(t *testing.T, p project, id string) { p.addIdentity(t, id, "") },
			"left: is linked to another identity provider",
		},
		"factor":  {func(t *testing.T, p project, id string) { p.addFactor(t, id) }, "left: has a second factor"},
		"passkey": {func(t *testing.T, p project, id string) { p.addPasskey(t, id) }, "left: has a passkey"},
	}
	for name, h := range happens {
		t.Run(name, func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				b := p.client(t)
				id := p.edgeFunction(t, p.person(), nil)
				got := b.adoptAll(t, supabase.AdoptOptions{}, map[string]string{"": id}, func(quarantined string) {
					if quarantined == id {
						h.event(t, p, id)
					}
				})
				if got[""] != h.want {
					t.Errorf("verdict is %q; want %q", got[""], h.want)
				}
				app := p.user(t, id)["app_metadata"].(map[string]any)
				if app["tiktok"] != nil || app["tikbridge_adoption"] != nil {
					t.Errorf("app_metadata is %v; want neither anchor nor note", app)
				}
			})
		})
	}
}

// TestAdoptAll_stopped: a run that ends in the quarantine leaves accounts that a later one finishes or
// releases.
func TestAdoptAll_stopped(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		finished, released := p.person(), p.person()
		ids := map[string]string{
			"finished": p.edgeFunction(t, finished, nil), "released": p.edgeFunction(t, released, nil),
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		held := 0
		opts := supabase.AdoptOptions{Quarantine: time.Hour, PerMinute: 60_000}
		err := p.client(t).AdoptAll(ctx, opts, func(r supabase.Review) {
			if r.Verdict == supabase.VerdictQuarantined &&
				(r.UserID == ids["finished"] || r.UserID == ids["released"]) {
				if held++; held == len(ids) {
					cancel()
				}
			}
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		b := p.client(t)
		if w, err := b.CountWaiting(t.Context(), 0); err != nil || w.Quarantined < 2 {
			t.Errorf("%+v wait (%v); want two in quarantine", w, err)
		}
		b.refuse(t, released, signin.AccountConflict)
		p.releaseOnly(t, ids["released"])
		if got := p.user(t, ids["released"])["app_metadata"].(map[string]any)["tikbridge_adoption"]; got != nil {
			t.Errorf("the released account has the note %v", got)
		}
		got := b.adoptAll(t, supabase.AdoptOptions{}, ids, nil)
		if diff := cmp.Diff(map[string]string{"finished": "adopted", "released": "adopted"}, got); diff != "" {
			t.Errorf("later run (-want +got):\n%s", diff)
		}
		if in := b.signIn(t, finished); in.Account.ID != ids["finished"] {
			t.Errorf("the person is user %s; want %s", in.Account.ID, ids["finished"])
		}
	})
}

// releaseOnly runs ReleaseAll and wants a verdict on one account.
func (p project) releaseOnly(t *testing.T, id string) {
	t.Helper()
	var got supabase.Verdict
	err := p.client(t).ReleaseAll(t.Context(), func(r supabase.Review) {
		if r.UserID == id {
			got = r.Verdict
		}
	})
	if err != nil || got != supabase.VerdictReleased {
		t.Errorf("verdict is %q, %v; want released", got, err)
	}
}

// TestAdoptAll_unreadable: a row that cannot be read is reported, and the others are adopted.
func TestAdoptAll_unreadable(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, before, after := p.client(t), p.person(), p.person()
		ids := map[string]string{"before": p.edgeFunction(t, before, nil)}
		p.unreadable(t, address(p.person()))
		ids["after"] = p.edgeFunction(t, after, nil)
		unreadable := 0
		opts := supabase.AdoptOptions{Quarantine: time.Millisecond, PerMinute: 60_000}
		got := map[string]supabase.Verdict{}
		err := b.AdoptAll(t.Context(), opts, func(r supabase.Review) {
			if r.UserID == "" && strings.Contains(r.Reason, "cannot be read") {
				unreadable++
			}
			for name, id := range ids {
				if r.UserID == id {
					got[name] = r.Verdict
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if unreadable == 0 || got["before"] != supabase.VerdictAdopted || got["after"] != supabase.VerdictAdopted {
			t.Errorf("%d unreadable rows, verdicts %v; want one and two adopted", unreadable, got)
		}
	})
}

// unreadable signs up with metadata that is too deep for any JSON decoder of Go once it is in an answer.
func (p project) unreadable(t *testing.T, email string) {
	t.Helper()
	const levels = 9997
	deep := strings.Repeat("[", levels) + strings.Repeat("]", levels)
	p.must(t, http.MethodPost, "/signup", "", map[string]any{
		"email": email, "password": "Attacker-1!", "data": map[string]any{"x": json.RawMessage(deep)},
	})
}

// TestAdoptAll_failing: an account that GoTrue fails to change is tried again, and neither it nor many like
// it keep the others from being adopted.
func TestAdoptAll_failing(t *testing.T) {
	emulated(t, func(t *testing.T, p project) {
		stubborn, passing := map[string]bool{}, map[string]bool{}
		for range 7 {
			stubborn[p.edgeFunction(t, p.person(), nil)] = true
		}
		passing[p.edgeFunction(t, p.person(), nil)] = true
		honest := p.person()
		id := p.edgeFunction(t, honest, nil)
		var mu sync.Mutex
		b := p.client(t, func(o *supabase.Options) {
			next := o.Transport
			o.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				user := path.Base(r.URL.Path)
				mu.Lock()
				deadlocks := r.Method == http.MethodPut && (stubborn[user] || passing[user])
				delete(passing, user)
				mu.Unlock()
				if deadlocks { // as PostgreSQL ends one of two that wait for each other
					_ = r.Body.Close()
					return &http.Response{
						StatusCode: http.StatusInternalServerError, Request: r,
						Header: http.Header{"X-Sb-Error-Code": {"unexpected_failure"}}, Body: http.NoBody,
					}, nil
				}
				return next.RoundTrip(r)
			})
		})
		verdicts := map[supabase.Verdict]int{}
		opts := supabase.AdoptOptions{Quarantine: time.Millisecond, PerMinute: 60_000}
		err := b.AdoptAll(t.Context(), opts, func(r supabase.Review) { verdicts[r.Verdict]++ })
		if err != nil || verdicts[supabase.VerdictFailed] != len(stubborn) || verdicts[supabase.VerdictAdopted] != 2 {
			t.Errorf("verdicts are %v, %v; want 7 failed and 2 adopted", verdicts, err)
		}
		if in := p.client(t).signIn(t, honest); in.Account.ID != id {
			t.Errorf("the person is user %s; want %s", in.Account.ID, id)
		}
	})
}
