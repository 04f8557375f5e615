package signin_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestService_Close(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		update   time.Duration // how long the write-back takes
		patience time.Duration // how long Close may wait
		took     time.Duration
		want     error
		ended    error // what the write-back saw
	}{
		{"nothing to wait for", 0, time.Second, 0, nil, nil},
		{"waits", 3 * time.Second, 5 * time.Second, 3 * time.Second, nil, nil},
		{
			"waits no longer than it may", 8 * time.Second, time.Second, time.Second, context.DeadlineExceeded,
			context.Canceled,
		},
		{"a write-back ends by itself", time.Hour, time.Minute, 10 * time.Second, nil, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				var ended error
				w.supabase.signIn = func(
					context.Context, signin.Identity, netip.Addr, func() signin.Profile,
				) (signin.SignedIn, error) {
					return signin.SignedIn{Session: session, Account: signin.Account{ID: userID}}, nil
				}
				w.supabase.update = func(ctx context.Context, _ signin.Account, _ signin.Profile) error {
					select {
					case <-time.After(tt.update):
					case <-ctx.Done():
					}
					ended = ctx.Err()
					return ctx.Err()
				}
				s := signin.New(w.opts)
				if _, err := s.Exchange(t.Context(), request); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
				defer cancel()
				start := time.Now()
				err := s.Close(ctx)
				if got := time.Since(start); got != tt.took {
					t.Errorf("took %v; want %v", got, tt.took)
				}
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("got %v; want %v", err, tt.want)
				}
				if !errors.Is(ended, tt.ended) || (ended == nil) != (tt.ended == nil) {
					t.Errorf("write-back saw %v; want %v", ended, tt.ended)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Errorf("second close: got %v; want nothing left to do", err)
				}
			})
		})
	}
}

// An OpenID Provider alone needs nobody who mints sessions: what would need one refuses before TikTok is asked.
func TestService_noAccounts(t *testing.T) {
	t.Parallel()
	h := newHosted(t, func(h *hosted) { h.opts.Accounts = nil })
	_, begun := h.Begin(t.Context(), web)
	_, exchanged := h.Exchange(t.Context(), request)
	_, redeemed := h.Redeem(t.Context(), signin.RedeemRequest{Handoff: "x"})
	_, refreshed := h.Refresh(t.Context(), signin.TokensRequest{RefreshToken: "x", AccessToken: "y"})
	for step, err := range map[string]error{
		"start": begun, "exchange": exchanged, "redeem": redeemed, "token": refreshed,
	} {
		if e := signin.AsError(err); e.Cause != signin.CauseNoAccounts {
			t.Errorf("%s: got %v; want %s", step, err, signin.CauseNoAccounts)
		}
	}
	if _, err := h.BeginForClient(t.Context(), signin.ClientRequest{Request: `{}`}); err != nil {
		t.Errorf("the provider flow does not start: %v", err)
	}
}
