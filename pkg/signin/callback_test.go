package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// TestState: whatever is wrong with a state is found before TikTok receives the code.
func TestState(t *testing.T) {
	without := web
	without.Challenge = ""
	tests := []struct {
		name     string
		begin    signin.BeginRequest
		spoil    func(h *hosted, state string) string
		want     signin.Code
		wantBack bool // the error goes back to the app
	}{
		{"missing", web, func(*hosted, string) string { return "" }, signin.InvalidState, false},
		{"foreign", web, func(*hosted, string) string { return "uuid|myapp" }, signin.InvalidState, false},
		{
			"too long", web, func(_ *hosted, s string) string { return s + strings.Repeat("x", 5000) },
			signin.InvalidState, false,
		},
		{"a handoff for a state", web, func(h *hosted, _ string) string {
			return h.opts.Sealer.Seal("handoff", []byte(`{"i":"12345678","p":"web","t":1800000000}`))
		}, signin.InvalidState, false},
		{
			"expired", web,
			func(h *hosted, s string) string { h.now = h.now.Add(10*time.Minute + time.Second); return s },
			signin.InvalidState, true,
		},
		{
			"from the future", web, func(h *hosted, s string) string { h.now = h.now.Add(-time.Minute); return s },
			signin.InvalidState, true,
		},
		{
			"just fresh", web, func(h *hosted, s string) string { h.now = h.now.Add(10 * time.Minute); return s }, "",
			true,
		},
		{
			"other browser, with challenge", web, func(h *hosted, s string) string { clear(h.cookies); return s }, "",
			true,
		},
		{
			"other browser, without challenge", without,
			func(h *hosted, s string) string { clear(h.cookies); return s }, signin.InvalidState, false,
		},
		{"other cookie, without challenge", without, func(h *hosted, s string) string {
			for name := range h.cookies {
				h.cookies[name] = "guessed"
			}
			return s
		}, signin.InvalidState, false},
		{"same browser, without challenge", without, func(_ *hosted, s string) string { return s }, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHosted(t)
			state := tt.spoil(h, h.begin(t, tt.begin))
			back, err := h.callback(t, state)
			wantCode(t, err, tt.want)
			if (back != nil) != tt.wantBack {
				t.Errorf("there is a way back: %v; want %v", back != nil, tt.wantBack)
			}
			if tt.want == "" {
				return
			}
			for _, call := range h.calls.all() {
				if call == "exchange" {
					t.Error("TikTok received the code")
				}
			}
		})
	}
}

func TestStateReplayed(t *testing.T) {
	h := newHosted(t)
	state := h.begin(t, web)
	if _, err := h.callback(t, state); err != nil {
		t.Fatal(err)
	}
	back, err := h.callback(t, state)
	wantCode(t, err, signin.InvalidState)
	if back == nil || back.Handoff != "" {
		t.Error("a replay gives a handoff, or no way back")
	}
	if got := cmp.Diff([]string{"exchange"}, h.calls.all()); got != "" {
		t.Errorf("calls (-want +got):\n%s", got)
	}
}

// TestDenied: TikTok's errors reach the app under our names.
func TestDenied(t *testing.T) {
	tests := []struct {
		name string
		in   signin.CallbackRequest
		want signin.Code
	}{
		{"cancelled", signin.CallbackRequest{Error: "access_denied"}, signin.AccessDenied},
		{"fault", signin.CallbackRequest{Error: "server_error"}, signin.TikTokUnavailable},
		{"busy", signin.CallbackRequest{Error: "temporarily_unavailable"}, signin.TikTokUnavailable},
		{"scope not approved", signin.CallbackRequest{Error: "invalid_scope"}, signin.TikTokMisconfigured},
		{"unknown app", signin.CallbackRequest{Error: "unauthorized_client"}, signin.TikTokMisconfigured},
		{"something new", signin.CallbackRequest{Error: "<script>"}, signin.AccessDenied},
		{"error beside a code", signin.CallbackRequest{Error: "access_denied", Code: "code"}, signin.AccessDenied},
		{"no code", signin.CallbackRequest{}, signin.InvalidRequest},
		{"code encoded twice", signin.CallbackRequest{Code: "BELY%2A0%216410.va"}, signin.InvalidRequest},
		{"endless code", signin.CallbackRequest{Code: strings.Repeat("c", 5000)}, signin.InvalidRequest},
		{
			"basic scope refused",
			signin.CallbackRequest{Code: "code", GrantedScopes: []string{"user.info.stats"}},
			signin.AccessDenied,
		},
		{"no word of scopes", signin.CallbackRequest{Code: "code", GrantedScopes: []string{}}, ""},
		{"another scope refused", signin.CallbackRequest{Code: "code", GrantedScopes: []string{"user.info.basic"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHosted(t)
			tt.in.State, tt.in.Cookie = h.begin(t, web), h.cookie
			back, err := h.Callback(t.Context(), tt.in)
			wantCode(t, err, tt.want)
			if back == nil {
				t.Fatal("the error does not reach the app")
			}
			if tt.want == "" {
				return
			}
			if got := h.calls.all(); len(got) != 0 {
				t.Errorf("calls %v; want none", got)
			}
		})
	}
}

// TestDenied_log: the log has the error of the callback if it looks like a code. Anybody can write an address.
func TestDenied_log(t *testing.T) {
	for in, want := range map[string]string{
		"access_denied": "access_denied", "a_code_of_tomorrow": "a_code_of_tomorrow",
		"mira@example.com": "", "access_denied\nlevel=error": "", "4f0c9d2b7e5a41c3": "", "act.abc": "", "_": "",
		"a__b":                  "",
		strings.Repeat("a", 21): "", strings.Repeat("abc_", 16) + "a": "",
	} {
		h := newHosted(t)
		_, err := h.Callback(t.Context(), signin.CallbackRequest{State: h.begin(t, web), Cookie: h.cookie, Error: in})
		if got := signin.AsError(err).Upstream.Code; got != want {
			t.Errorf("error %q is logged as %q; want %q", in, got, want)
		}
	}
}

func TestExchangeFails(t *testing.T) {
	h := newHosted(t)
	h.tiktok.exchange = func(context.Context, signin.Grant) (signin.Identity, error) {
		return signin.Identity{}, &signin.Error{Code: signin.InvalidGrant, Message: "no"}
	}
	back, err := h.callback(t, h.begin(t, web))
	wantCode(t, err, signin.InvalidGrant)
	if back == nil || back.Handoff != "" {
		t.Error("a failed exchange gives a handoff, or no way back")
	}
}
