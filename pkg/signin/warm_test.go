package signin_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// warmed has hooks that note when they are called.
func warmed(h *hosted) {
	h.opts.WarmTikTok = func(context.Context) { h.calls.add("warm TikTok") }
	h.opts.WarmAccounts = func(context.Context) { h.calls.add("warm accounts") }
}

// TestWarm: each step opens the connections that the next ones need, and a request that is refused opens none.
func TestWarm(t *testing.T) {
	tests := []struct {
		name string
		step func(*testing.T, *hosted)
		want []string
	}{
		{"start", func(t *testing.T, h *hosted) { h.begin(t, web) }, []string{"warm accounts", "warm TikTok"}},
		{
			"start for a client", func(t *testing.T, h *hosted) { beginForClient(t, h) },
			[]string{"warm TikTok"}, // the client talks to Supabase, if that is not it
		},
		{
			"refused start", func(t *testing.T, h *hosted) {
				_, err := h.Begin(t.Context(), signin.BeginRequest{
					Platform: signin.PlatformWeb, RedirectTo: "https://evil.example/",
				})
				wantCode(t, err, signin.RedirectURIMismatch)
			}, nil,
		},
		{"callback", func(t *testing.T, h *hosted) {
			state := h.begin(t, web)
			h.forget()
			if _, err := h.callback(t, state); err != nil {
				t.Fatal(err)
			}
		}, []string{"warm accounts"}},
		{"callback for a client", func(t *testing.T, h *hosted) {
			state := beginForClient(t, h)
			h.forget()
			if _, err := h.callback(t, state); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"redeem", func(t *testing.T, h *hosted) {
			back, err := h.callback(t, h.begin(t, web))
			if err != nil {
				t.Fatal(err)
			}
			h.forget()
			if _, err := h.redeem(t, back.Handoff, verifier); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"guide flow", func(t *testing.T, h *hosted) {
			if _, err := h.Exchange(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}, []string{"warm accounts"}},
		{"refused guide flow", func(t *testing.T, h *hosted) {
			refused := request
			refused.RedirectURI = "https://evil.example/"
			_, err := h.Exchange(t.Context(), refused)
			wantCode(t, err, signin.RedirectURIMismatch)
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHosted(t, warmed)
				tt.step(t, h)
				synctest.Wait()
				var got []string
				for _, call := range h.calls.all() {
					if call == "warm TikTok" || call == "warm accounts" {
						got = append(got, call)
					}
				}
				byName := cmpopts.SortSlices(func(a, b string) bool { return a < b })
				if diff := cmp.Diff(tt.want, got, byName); diff != "" {
					t.Errorf("opened (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// forget forgets what was called, once it is over.
func (h *hosted) forget() {
	synctest.Wait()
	h.calls.mu.Lock()
	defer h.calls.mu.Unlock()
	h.calls.list = nil
}

func beginForClient(t *testing.T, h *hosted) (state string) {
	t.Helper()
	begun, err := h.BeginForClient(t.Context(), signin.ClientRequest{Request: `{}`, Challenge: s256(verifier)})
	if err != nil {
		t.Fatal(err)
	}
	h.cookies[begun.FlowID] = begun.Binder
	return h.tiktok.asked.State
}

// TestWarm_slow: nobody waits for a connection that opens slowly, and Close ends it.
func TestWarm_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended int
		h := newHosted(t, func(h *hosted) {
			h.opts.WarmTikTok = func(ctx context.Context) { <-ctx.Done(); ended++ }
			h.opts.WarmAccounts = nil
		})
		start := time.Now()
		h.begin(t, web)
		if took := time.Since(start); took != 0 {
			t.Errorf("the start took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = h.Close(ctx)
		if ended != 1 {
			t.Error("the connection is still being opened after Close")
		}
	})
}
