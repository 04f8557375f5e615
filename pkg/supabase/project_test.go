package supabase_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// counted counts the calls to GoTrue, by method and path.
type counted struct {
	next  http.RoundTripper
	mu    sync.Mutex
	calls map[string]int
	total int
}

// RoundTrip implements http.RoundTripper.
func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.calls[r.Method+" "+r.URL.Path]++
	c.total++
	c.mu.Unlock()
	return c.next.RoundTrip(r)
}

// told is what a project's own code says, which stays in the project.
const told = "You are not invited yet (canary)"

func hook(err error) gotruesim.Options {
	return gotruesim.Options{CustomAccessToken: func(map[string]any) error { return err }}
}

func trigger(on func(gotruesim.Write) error) gotruesim.Options {
	return gotruesim.Options{UserTrigger: on}
}

// TestProjectSaysNo: what a project's own hooks and triggers do to a sign-in ends it after two rounds at most,
// with a cause that says where to look.
func TestProjectSaysNo(t *testing.T) {
	const create, verify, link = "POST /admin/users", "POST /verify", "POST /admin/generate_link"
	refusal := func(status int) gotruesim.Options { return hook(gotruesim.HookRefusal{Status: status, Message: told}) }
	tests := []struct {
		name    string
		project gotruesim.Options
		want    signin.Cause
		call    string
		calls   int
	}{
		{"hook says no with 403", refusal(403), signin.CauseHookRefuses, verify, 1},
		{"hook says no with 400", refusal(400), signin.CauseHookRefuses, verify, 1},
		{"hook says no with 401", refusal(401), signin.CauseHookRefuses, verify, 1},
		{"hook says no with 402", refusal(402), signin.CauseHookRefuses, verify, 1},
		{"hook says no with 404", refusal(404), signin.CauseHookRefuses, verify, 1},
		{"hook says no with 422", refusal(422), signin.CauseHookRefuses, verify, 1},
		{"hook says no without a status", refusal(0), signin.CauseHookFails, verify, 2},
		{"hook raises", hook(errors.New(told)), signin.CauseHookFails, verify, 2},
		{"hook is slow", hook(gotruesim.ErrHookTimeout), signin.CauseHookTimeout, verify, 1},
		{"hook is gone", hook(gotruesim.ErrHookUnreachable), signin.CauseHookTimeout, verify, 1},
		{"trigger raises on insert", trigger(func(w gotruesim.Write) error {
			if w.Insert {
				return errors.New(told)
			}
			return nil
		}), signin.CauseCreateFails, create, 2},
		{"trigger raises on update", trigger(func(w gotruesim.Write) error {
			if !w.Insert {
				return errors.New(told)
			}
			return nil
		}), signin.CauseDatabaseFails, link, 3},
		{"trigger takes the anchor out", trigger(func(w gotruesim.Write) error {
			delete(w.AppMetadata, "tiktok")
			return nil
		}), signin.CauseAnchorLost, "PUT /admin/users/", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := newEmulator(t, tt.project)
			p := sim.at("", sim.ServiceRoleKey(), sim.AnonKey())
			seen := &counted{calls: map[string]int{}}
			b := p.client(t, func(o *supabase.Options) { seen.next, o.Transport = o.Transport, seen })
			id := p.person()
			_, err := b.SignIn(t.Context(), id, netip.Addr{}, noProfile)
			e := signin.AsError(err)
			if e.Cause != tt.want {
				t.Errorf("cause is %q (%v); want %q", e.Cause, err, tt.want)
			}
			call := tt.call
			if strings.HasSuffix(call, "/") {
				call += supabase.UserID(id.OpenID).String()
			}
			if seen.calls[call] != tt.calls || seen.total > 12 {
				t.Errorf("calls are %v; want %s %d times, and 12 at most", seen.calls, call, tt.calls)
			}
			if n := strings.Count(b.audit.String(), "event="); n > 3 {
				t.Errorf("%d lines of audit for one sign-in:\n%s", n, b.audit)
			}
			if all := fmt.Sprint(err, e.Message, e.LogAttrs(), b.audit); strings.Contains(all, "canary") {
				t.Errorf("the project's own words got out: %s", all)
			}
		})
	}
}

// TestProjectFailsOnce: a hook or a trigger that fails once is not noticed.
func TestProjectFailsOnce(t *testing.T) {
	once := func() func() error {
		var first sync.Once
		return func() (err error) {
			first.Do(func() { err = errors.New(told) })
			return err
		}
	}
	failsOnce, raisesOnce := once(), once()
	for name, project := range map[string]gotruesim.Options{
		"hook":    {CustomAccessToken: func(map[string]any) error { return failsOnce() }},
		"trigger": {UserTrigger: func(gotruesim.Write) error { return raisesOnce() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := newEmulator(t, project)
			p := sim.at("", sim.ServiceRoleKey(), sim.AnonKey())
			id := p.person()
			in := p.client(t).signIn(t, id)
			p.wantAlive(t, in.Session, supabase.UserID(id.OpenID).String())
		})
	}
}
