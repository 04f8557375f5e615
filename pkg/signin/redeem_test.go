package signin_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestRedeem(t *testing.T) {
	without := web
	without.Challenge = ""
	tests := []struct {
		name     string
		begin    signin.BeginRequest
		spoil    func(h *hosted, handoff string) string
		verifier string
		want     signin.Code
	}{
		{"good", web, nil, verifier, ""},
		{"missing", web, func(*hosted, string) string { return "" }, verifier, signin.InvalidRequest},
		{"foreign", web, func(*hosted, string) string { return "something" }, verifier, signin.HandoffInvalid},
		{
			"endless", web, func(*hosted, string) string { return strings.Repeat("x", 10000) }, verifier,
			signin.HandoffInvalid,
		},
		{
			"a state for a handoff", web, func(h *hosted, _ string) string { return h.tiktok.asked.State }, verifier,
			signin.HandoffInvalid,
		},
		{"wrong verifier", web, nil, strings.Repeat("v", 43), signin.HandoffInvalid},
		{"longest wrong verifier", web, nil, strings.Repeat("v", 128), signin.HandoffInvalid},
		{"no verifier", web, nil, "", signin.HandoffInvalid},
		{"the challenge for a verifier", web, nil, s256(verifier), signin.HandoffInvalid},
		{"endless verifier", web, nil, strings.Repeat("v", 129), signin.InvalidRequest},
		{
			"expired", web, func(h *hosted, s string) string { h.now = h.now.Add(61 * time.Second); return s },
			verifier, signin.HandoffInvalid,
		},
		{
			"just fresh", web, func(h *hosted, s string) string { h.now = h.now.Add(60 * time.Second); return s },
			verifier, "",
		},
		{"without cookie", web, func(h *hosted, s string) string { clear(h.cookies); return s }, verifier, ""},
		{"by cookie", without, nil, "", ""},
		{"by cookie, verifier ignored", without, nil, verifier, ""},
		{
			"by cookie of another browser", without, func(h *hosted, s string) string { clear(h.cookies); return s },
			"", signin.HandoffInvalid,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHosted(t)
			back, err := h.callback(t, h.begin(t, tt.begin))
			if err != nil {
				t.Fatal(err)
			}
			handoff := back.Handoff
			if tt.spoil != nil {
				handoff = tt.spoil(h, handoff)
			}
			_, err = h.redeem(t, handoff, tt.verifier)
			wantCode(t, err, tt.want)
			for _, call := range h.calls.all() {
				if tt.want != "" && call == "sign in" {
					t.Error("Supabase heard of it")
				}
			}
		})
	}
}

// TestRedeem_verifierForm: a verifier that can be guessed from its challenge opens nothing, even where it
// fits. The refusal uses nothing up.
func TestRedeem_verifierForm(t *testing.T) {
	for name, verifier := range map[string]string{
		"42 characters": strings.Repeat("v", 42), "one word": "secret", "a space": strings.Repeat("v", 43) + " ",
		"padding": strings.Repeat("v", 43) + "=", "base64 of old": strings.Repeat("v", 43) + "+/",
		"an umlaut": strings.Repeat("v", 43) + "ü", "a zero byte": strings.Repeat("v", 43) + "\x00",
		"129 characters": strings.Repeat("v", 129),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHosted(t)
			r := web
			r.Challenge = s256(verifier)
			back, err := h.callback(t, h.begin(t, r))
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.redeem(t, back.Handoff, verifier)
			wantCode(t, err, signin.InvalidRequest)
			if slices.Contains(h.calls.all(), "sign in") {
				t.Error("Supabase heard of it")
			}
		})
	}
	for name, verifier := range map[string]string{
		"43 characters": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ", "every kind": strings.Repeat("aZ09-._~", 16),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHosted(t)
			r := web
			r.Challenge = s256(verifier)
			back, err := h.callback(t, h.begin(t, r))
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.redeem(t, back.Handoff, verifier)
			wantCode(t, err, "")
		})
	}
}

// TestRedeem_emptyVerifier: a sign-in that began with the challenge of an empty verifier, before such a
// challenge was refused, belongs to everybody. Nobody gets it.
func TestRedeem_emptyVerifier(t *testing.T) {
	h := newHosted(t)
	handoff := h.opts.Sealer.Seal(
		"handoff", []byte(`{"i":"12345678","o":"-000M1ra","n":"12345678","c":"`+s256("")+`","t":1800000000}`),
	)
	_, err := h.redeem(t, handoff, "")
	wantCode(t, err, signin.HandoffInvalid)
}

// TestRedeemOnce: a handoff is worth one session, and a wrong verifier does not use it up.
func TestRedeemOnce(t *testing.T) {
	h := newHosted(t)
	back, err := h.callback(t, h.begin(t, web))
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.redeem(t, back.Handoff, strings.Repeat("v", 43))
	wantCode(t, err, signin.HandoffInvalid)
	if _, err := h.redeem(t, back.Handoff, verifier); err != nil {
		t.Fatal(err)
	}
	_, err = h.redeem(t, back.Handoff, verifier)
	wantCode(t, err, signin.HandoffInvalid)
}
