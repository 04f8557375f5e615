package server_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

const webhookPath = "/api/auth/tiktok/webhook"

// webhooks are signed by the word that their header has.
type webhooks struct{}

func (webhooks) ReadEvent(h http.Header, body []byte) (signin.Event, error) {
	if h.Get("Tiktok-Signature") != "ours" {
		return signin.Event{}, signin.NewError(signin.CauseWebhookSignature)
	}
	return signin.Event{
		Key: string(bytes.TrimSpace(body)), KeyTTL: time.Hour, OpenID: "-000open", Removed: true, Reason: "disconnected",
	}, nil
}

// signedOut counts sign-outs and answers with an error while it has one.
type signedOut struct {
	n   int
	err error
}

func (s *signedOut) SignOut(context.Context, string) error {
	s.n++
	return s.err
}

func (s *signedOut) Ban(context.Context, string) error { return nil }

func TestWebhook(t *testing.T) {
	t.Parallel()
	sessions := &signedOut{}
	b := newHosted(t, func(o *hostedOptions) {
		o.options.Events, o.sessions = webhooks{}, sessions
	})
	deliver := func(body, signature string, want int) {
		t.Helper()
		wantStatus(t, b.do(t, http.MethodPost, webhookPath, body, "Tiktok-Signature", signature), want)
	}
	deliver("event 1", "ours", http.StatusOK)
	deliver("event 1", "ours", http.StatusOK) // TikTok delivers at least once
	deliver("event 2", "forged", http.StatusBadRequest)
	deliver("event 2", "", http.StatusBadRequest)
	deliver(strings.Repeat("x", 65<<10), "ours", http.StatusRequestEntityTooLarge)
	if sessions.n != 1 {
		t.Errorf("signed out %d times; want once, for the one event", sessions.n)
	}
	// Anything but 200 makes TikTok deliver the event again.
	sessions.err = signin.NewError(signin.CauseSupabaseUnreachable)
	deliver("event 3", "ours", http.StatusServiceUnavailable)
	sessions.err = nil
	deliver("event 3", "ours", http.StatusOK)
	if sessions.n != 3 {
		t.Errorf("signed out %d times; want the failed event again", sessions.n)
	}
}

// Without a signature there is nobody to listen to.
func TestWebhook_off(t *testing.T) {
	t.Parallel()
	b := newHosted(t, func(o *hostedOptions) { o.options = server.Options{Allow: o.options.Allow, PublicURL: publicURL} })
	wantStatus(t, b.do(t, http.MethodPost, webhookPath, "event"), http.StatusNotFound)
}
