package tiktok_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// hook is a receiver of webhooks: it keeps events, one of each key, and says what became of the requests.
type hook struct {
	secrets []signin.Secret
	events  map[string]tiktok.Event
	said    []string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	e, err := tiktok.ParseWebhook(
		r.Header.Get(tiktok.WebhookHeader), body, tiktoksim.DefaultClientKey, h.secrets, time.Now(),
	)
	if err != nil {
		cause := string(signin.AsError(err).Cause)
		if cause == "" {
			cause = string(signin.CodeOf(err))
		}
		h.said = append(h.said, cause)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if _, known := h.events[e.Key()]; known {
		h.said = append(h.said, "known")
		return
	}
	h.events[e.Key()] = e
	h.said = append(h.said, e.Name+" "+e.Reason.String())
}

// TestSimulator_webhooks: the events of the simulator, on their way through every fault.
func TestSimulator_webhooks(t *testing.T) {
	t.Parallel()
	const banned = "authorization.removed banned"
	tests := []struct {
		fault string
		want  []string
	}{
		{"none", []string{banned}},
		{"wrong_signature", []string{"webhook_signature"}},
		{"no_signature", []string{"webhook_signature"}},
		{"altered", []string{"webhook_signature"}},
		{"old_signature", []string{"webhook_time"}},
		{"future_signature", []string{"webhook_time"}},
		{"replay", []string{banned, "known"}},
		{"duplicate", []string{banned, "known"}},
		{"unknown_event", []string{"simulator.unknown unknown"}},
		{"other_client_key", []string{"invalid_request"}},
		{"content_object", []string{banned}},
		{"event_not_json", []string{"invalid_request"}},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			h := &hook{
				secrets: []signin.Secret{"the new one", tiktoksim.DefaultClientSecret}, events: map[string]tiktok.Event{},
			}
			srv := httptest.NewServer(h)
			t.Cleanup(srv.Close)
			s := startSim(t, tiktoksim.Options{WebhookURL: srv.URL})
			s.fault("webhook", tt.fault)
			in := map[string]any{"open_id": tiktoksim.OpenIDMira, "reason": 4}
			if status, body := s.do(http.MethodPost, "/sim/webhooks/send", in); status != http.StatusOK {
				t.Fatalf("POST /sim/webhooks/send: %d %s", status, body)
			}
			if diff := cmp.Diff(tt.want, h.said); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			for _, e := range h.events {
				if e.OpenID != tiktoksim.OpenIDMira {
					t.Errorf("got an event about %s", e.OpenID)
				}
			}
		})
	}
}

// A receiver that is down for hours gets the event from the repetitions, which come with old signatures.
func TestSimulator_lateWebhook(t *testing.T) {
	t.Parallel()
	h := &hook{secrets: []signin.Secret{tiktoksim.DefaultClientSecret}, events: map[string]tiktok.Event{}}
	down := 12
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down--; down >= 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	s := startSim(t, tiktoksim.Options{WebhookURL: srv.URL})
	s.do(http.MethodPost, "/sim/webhooks/send", map[string]any{"open_id": tiktoksim.OpenIDMira})
	for range 13 {
		s.do(http.MethodPost, "/sim/webhooks/retry", nil)
	}
	if diff := cmp.Diff([]string{"authorization.removed disconnected"}, h.said); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
