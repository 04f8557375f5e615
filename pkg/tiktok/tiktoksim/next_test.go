package tiktoksim_test

import (
	"testing"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func TestNext(t *testing.T) {
	const asked = "user.info.basic,video.list,user.info.stats"
	query := authorizeQuery(set("scope", asked), set("disable_auto_auth", "1"))
	tests := []struct {
		name   string
		in     map[string]string
		openID string
		scopes string
	}{
		{"grant", map[string]string{"result": "grant"}, tiktoksim.OpenIDMira, asked},
		{"another person", map[string]string{"result": "grant", "open_id": tiktoksim.OpenIDMax}, tiktoksim.OpenIDMax, asked},
		{"a stranger", map[string]string{"result": "grant", "open_id": "-000X"}, "-000X", asked},
		{
			"unticked",
			map[string]string{"result": "grant", "scopes": "video.list,video.upload"},
			tiktoksim.OpenIDMira, "user.info.basic,video.list",
		},
		{"all unticked", map[string]string{"result": "grant", "scopes": ""}, tiktoksim.OpenIDMira, "user.info.basic"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tiktoksim.Options{})
			if got := s.postJSON("/sim/next", tt.in); got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			// A request that ends on the error page has no answer, and uses none up.
			wantErrorPage(t, s.get("/v2/auth/authorize/?"+authorizeQuery(del("state"))), "state")
			q := redirectQuery(t, s.get("/v2/auth/authorize/?"+query))
			if q.Get("scopes") != tt.scopes || q.Get("state") == "" {
				t.Errorf("got scopes %q and state %q; want %q", q.Get("scopes"), q.Get("state"), tt.scopes)
			}
			tokens := s.token(exchangeOf(q.Get("code")))
			if field(t, tokens, "open_id") != tt.openID || field(t, tokens, "scope") != tt.scopes {
				t.Errorf("got %s; want %s and %s", tokens.body, tt.openID, tt.scopes)
			}
			if got := s.get("/v2/auth/authorize/?" + query); got.status != 200 {
				t.Errorf("the request after it got %d; want the consent page", got.status)
			}
		})
	}
}

func TestNext_queue(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	query := "/v2/auth/authorize/?" + authorizeQuery(set("disable_auto_auth", "1"))
	s.postJSON("/sim/next", map[string]string{"result": "deny"})
	s.postJSON("/sim/next", map[string]string{"result": "grant", "open_id": tiktoksim.OpenIDGhost})
	s.postJSON("/sim/next", map[string]string{"result": "grant"})
	if q := redirectQuery(t, s.get(query)); q.Get("error") != "access_denied" || q.Has("code") || q.Get("state") == "" {
		t.Errorf("got %v; want access_denied", q)
	}
	for range 2 { // the second is whoever has the browser's session
		q := redirectQuery(t, s.get(query))
		if got := field(t, s.token(exchangeOf(q.Get("code"))), "open_id"); got != tiktoksim.OpenIDGhost {
			t.Errorf("got %s; want %s", got, tiktoksim.OpenIDGhost)
		}
	}
	s.postJSON("/sim/next", map[string]string{"result": "deny"})
	s.Reset()
	if got := s.get(query); got.status != 200 {
		t.Errorf("after a reset: got %d; want the consent page", got.status)
	}
}
