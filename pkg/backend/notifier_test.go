package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/backend"
)

var removed = backend.Event{
	ID: "tiktok_event:abc", Type: "authorization.removed", OpenID: "-000Mira", Reason: "disconnected",
	CreateTime: time.Unix(1_700_000_000, 0), Content: json.RawMessage(`{"reason":1}`),
}

// notified is a Notifier with what it logs and counts.
type notified struct {
	*backend.Notifier
	mu    sync.Mutex
	log   bytes.Buffer
	ended map[backend.Delivery]int
}

func newNotifier(t *testing.T, r http.RoundTripper) *notified {
	t.Helper()
	n := &notified{ended: map[backend.Delivery]int{}}
	var err error
	n.Notifier, err = backend.NewNotifier(backend.NotifierOptions{
		URL: url, Secret: secret, Transport: r,
		Ended:  func(d backend.Delivery) { n.mu.Lock(); defer n.mu.Unlock(); n.ended[d]++ },
		Logger: slog.New(slog.NewJSONHandler(lockedWriter{n}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

type lockedWriter struct{ n *notified }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	return w.n.log.Write(p)
}

func (n *notified) wantEnded(t *testing.T, want map[backend.Delivery]int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if diff := cmp.Diff(want, n.ended); diff != "" {
		t.Errorf("ends (-want +got):\n%s\n%s", diff, n.log.String())
	}
}

func (n *notified) logged() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// closeNow gives what is under way no time.
func (n *notified) closeNow(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return n.Close(ctx)
}

func TestNotifier_delivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := always(204, "")
		n := newNotifier(t, r)
		request, answered := context.WithCancel(t.Context())
		if !n.Notify(request, removed) {
			t.Error("the event was not taken")
		}
		answered() // TikTok has its 200
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
		m := r.messages()[0]
		wantSigned(t, m)
		want := `{"type":"authorization.removed","timestamp":"2000-01-01T00:00:00Z","data":{"open_id":"-000Mira",` +
			`"reason":"disconnected","create_time":1700000000,"content":{"reason":1}}}`
		if diff := cmp.Diff(want, m.body); diff != "" || m.id != removed.ID {
			t.Errorf("message %s (-want +got):\n%s", m.id, diff)
		}
		n.wantEnded(t, map[backend.Delivery]int{backend.Delivered: 1})
	})
}

// An event waits for a receiver that restarts, moves or has a bug, for half a day.
func TestNotifier_retries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []int{0, 502, 500, 404, 401, 302, 400}
		r := &receiver{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n > len(answers) {
				return reply(200, "")
			}
			if answers[n-1] == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			return reply(answers[n-1], "canary", "Location", "https://elsewhere.example/")
		}}
		n := newNotifier(t, r)
		start := time.Now()
		n.Notify(t.Context(), removed)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		n.wantEnded(t, map[backend.Delivery]int{backend.Delivered: 1})
		var got []time.Duration
		for i, m := range r.messages() {
			wantSigned(t, m)
			if m.id != removed.ID || m.url != url {
				t.Errorf("attempt %d is %s to %s", i, m.id, m.url)
			}
			got = append(got, r.at[i].Sub(start).Round(time.Second))
		}
		s, minute := time.Second, time.Minute
		want := []time.Duration{
			0, 5 * s, 35 * s, 155 * s, 155*s + 10*minute, 155*s + 40*minute, 155*s + 100*minute, 155*s + 280*minute,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if log := n.logged(); strings.Contains(log, "canary") || !strings.Contains(log, "webhook.secret") {
			t.Errorf("log:\n%s", log)
		}
		if err := n.closeNow(t); err != nil {
			t.Error(err)
		}
	})
}

func TestNotifier_givesUp(t *testing.T) {
	t.Parallel()
	for status, attempts := range map[int]int{500: 9, 410: 1} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := always(status, "")
				n := newNotifier(t, r)
				n.Notify(t.Context(), removed)
				time.Sleep(48 * time.Hour)
				synctest.Wait()
				if got := len(r.messages()); got != attempts {
					t.Errorf("got %d attempts; want %d", got, attempts)
				}
				n.wantEnded(t, map[backend.Delivery]int{backend.GaveUp: 1})
				if !strings.Contains(n.logged(), `"event given up"`) {
					t.Errorf("log:\n%s", n.logged())
				}
				if err := n.closeNow(t); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestNotifier_retryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := always(429, "", "Retry-After", "60")
		n := newNotifier(t, r)
		n.Notify(t.Context(), removed)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if got := len(r.messages()); got != 1 {
			t.Errorf("got %d attempts before the receiver wants one; want 1", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := len(r.messages()); got != 2 {
			t.Errorf("got %d attempts; want 2", got)
		}
		_ = n.closeNow(t)
	})
}

// A receiver that never answers costs bounded memory and few connections, and the log says what is lost.
func TestNotifier_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := &receiver{answer: func(_ int, req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}}
		n := newNotifier(t, hang)
		for range 1000 {
			if !n.Notify(t.Context(), removed) {
				t.Fatal("an event found no place")
			}
		}
		if n.Notify(t.Context(), removed) {
			t.Error("one event too many was taken")
		}
		synctest.Wait()
		if got := len(hang.messages()); got != 4 {
			t.Errorf("%d are sent at once; want 4", got)
		}
		if !strings.Contains(n.logged(), `"level":"ERROR","msg":"event dropped`) {
			t.Errorf("log:\n%s", n.logged())
		}
		if err := n.closeNow(t); err == nil || err.Error() != "1000 events were not delivered to webhook.url" {
			t.Errorf("Close says %v", err)
		}
		n.wantEnded(t, map[backend.Delivery]int{backend.Dropped: 1001})
		if n.Notify(t.Context(), removed) {
			t.Error("an event was taken after Close")
		}
	})
}

// Close lets an attempt end, and waits for no other.
func TestNotifier_Close(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(n int, _ *http.Request) (*http.Response, error) {
			time.Sleep(3 * time.Second)
			return reply(map[bool]int{true: 200, false: 500}[n == 1], "")
		}}
		n := newNotifier(t, r)
		start := time.Now()
		n.Notify(t.Context(), removed)
		synctest.Wait()
		n.Notify(t.Context(), removed)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := n.Close(ctx)
		if took := time.Since(start); took != 3*time.Second || err == nil || !strings.HasPrefix(err.Error(), "1 ") {
			t.Errorf("Close took %s and says %v; want 3s and one event", took, err)
		}
		n.wantEnded(t, map[backend.Delivery]int{backend.Delivered: 1, backend.Dropped: 1})
	})
}
