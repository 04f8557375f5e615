package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// ended is a Sessions. While fails is set, it fails.
type ended struct {
	*calls
	fails error
	// meanwhile is done while somebody is signed out.
	meanwhile func()
}

func (e *ended) SignOut(_ context.Context, openID string) error {
	e.add("sign out " + openID)
	if e.meanwhile != nil {
		e.meanwhile()
	}
	return e.fails
}

func (e *ended) Ban(_ context.Context, openID string) error {
	e.add("ban " + openID)
	return e.fails
}

var removed = signin.Event{
	Key: "event:1", KeyTTL: time.Hour, Name: "authorization.removed", OpenID: mira.OpenID, Removed: true,
	Reason: "disconnected",
}

func TestTakeEvent(t *testing.T) {
	t.Parallel()
	published := removed
	published.Name, published.Removed = "video.publish.completed", false
	tests := []struct {
		name    string
		removal signin.Removal
		event   signin.Event
		want    []string
	}{
		{"sign out", signin.RemovalSignOut, removed, []string{"sign out " + mira.OpenID, "forward"}},
		{"ban", signin.RemovalBan, removed, []string{"ban " + mira.OpenID, "forward"}},
		{"ignore", signin.RemovalIgnore, removed, []string{"forward"}},
		{"another event", signin.RemovalBan, published, []string{"forward"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHosted(t, func(h *hosted) {
				h.opts.OnRemoved, h.opts.Sessions = tt.removal, &ended{calls: h.calls}
				h.opts.Forward = func(context.Context, signin.Event) bool {
					h.calls.add("forward")
					return true
				}
			})
			for range 3 { // TikTok delivers at least once
				if err := h.TakeEvent(t.Context(), tt.event); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, h.calls.all()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			wantHidden(t, "log", h.logged())
		})
	}
}

// What could not be done is asked for again: TikTok repeats an event until it gets a 200.
func TestTakeEvent_again(t *testing.T) {
	t.Parallel()
	sessions := &ended{fails: signin.NewError(signin.CauseSupabaseUnreachable)}
	h := newHosted(t, func(h *hosted) {
		sessions.calls = h.calls
		h.opts.OnRemoved, h.opts.Sessions = signin.RemovalSignOut, sessions
	})
	wantCode(t, h.TakeEvent(t.Context(), removed), signin.SupabaseUnavailable)
	sessions.fails = nil
	if err := h.TakeEvent(t.Context(), removed); err != nil {
		t.Fatal(err)
	}
	if got := h.calls.count("sign out " + mira.OpenID); got != 2 {
		t.Errorf("signed out %d times; want the failed one again", got)
	}
	if !strings.Contains(h.logged(), `"authorization_removed"`) {
		t.Errorf("log: %s; want an audit line", h.logged())
	}
}

// An event that comes again while it is handled is not done yet.
func TestTakeEvent_twice(t *testing.T) {
	t.Parallel()
	sessions := &ended{fails: signin.NewError(signin.CauseSupabaseUnreachable)}
	h := newHosted(t, func(h *hosted) {
		sessions.calls = h.calls
		h.opts.OnRemoved, h.opts.Sessions = signin.RemovalSignOut, sessions
	})
	sessions.meanwhile = func() { wantCode(t, h.TakeEvent(t.Context(), removed), signin.RateLimited) }
	wantCode(t, h.TakeEvent(t.Context(), removed), signin.SupabaseUnavailable)
	sessions.fails, sessions.meanwhile = nil, nil
	if err := h.TakeEvent(t.Context(), removed); err != nil {
		t.Errorf("the event delivered once more: %v; want it taken", err)
	}
}

// An event that cannot be passed on at the moment is asked for again, too.
func TestTakeEvent_full(t *testing.T) {
	t.Parallel()
	full := true
	h := newHosted(t, func(h *hosted) {
		h.opts.Forward = func(context.Context, signin.Event) bool { return !full }
	})
	wantCode(t, h.TakeEvent(t.Context(), removed), signin.RateLimited)
	full = false
	if err := h.TakeEvent(t.Context(), removed); err != nil {
		t.Errorf("the event delivered again: %v; want it taken", err)
	}
}
