package tiktoksim_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func TestSimCodes(t *testing.T) {
	tests := []struct {
		name string
		in   map[string]string
		want map[string]any
	}{
		{
			"stranger",
			map[string]string{"open_id": "-000X"},
			map[string]any{"open_id": "-000X", "display_name": "Test Person"},
		},
		{
			"all given",
			map[string]string{
				"open_id": "-000x", "display_name": "Ünal", "union_id": "u",
				"avatar_url": "https://cdn.example/a.jpg?x-expires=1&x-signature=a%2Bb%3D",
			},
			map[string]any{
				"open_id": "-000x", "display_name": "Ünal", "union_id": "u",
				"avatar_url": "https://cdn.example/a.jpg?x-expires=1&x-signature=a%2Bb%3D",
			},
		},
		{
			"built-in with an empty name",
			map[string]string{"open_id": tiktoksim.OpenIDMira, "display_name": "", "union_id": "", "avatar_url": ""},
			map[string]any{"open_id": tiktoksim.OpenIDMira, "display_name": "", "avatar_url": ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tiktoksim.Options{})
			tt.in["redirect_uri"] = callback
			code := field(t, s.postJSON("/sim/codes", tt.in), "code")
			access := field(t, s.token(exchangeOf(code)), "access_token")
			got := user(t, s.userInfo(access, basicFields))
			if _, given := tt.in["avatar_url"]; !given {
				delete(got, "avatar_url")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadControlRequests(t *testing.T) {
	s := start(t, tiktoksim.Options{RedirectURIs: []string{callback}})
	tests := []struct{ name, path, body, text string }{
		{"no JSON", "/sim/codes", `open_id=1`, "read JSON body"},
		{"unknown field", "/sim/codes", `{"openid":"x"}`, `unknown field "openid"`},
		{"two values", "/sim/codes", `{} {}`, "more than one value"},
		{"wrong type", "/sim/codes", `{"open_id":1}`, "open_id"},
		{"no open_id", "/sim/codes", `{"redirect_uri":"` + callback + `"}`, "open_id is missing"},
		{"no redirect", "/sim/codes", `{"open_id":"x"}`, "redirect_uri: "},
		{
			"unregistered", "/sim/codes", `{"open_id":"x","redirect_uri":"https://x.example/"}`,
			"not registered",
		},
		{
			"scope", "/sim/codes", `{"open_id":"x","redirect_uri":"` + callback + `","scope":"email"}`,
			"Unknown scope email",
		},
		{
			"challenge", "/sim/codes",
			`{"open_id":"x","redirect_uri":"` + callback + `","code_challenge":"a"}`,
			"code_challenge: ",
		},
		{"no result", "/sim/next", `{}`, "result is grant or deny"},
		{"who denies", "/sim/next", `{"result":"deny","open_id":"x"}`, "Whoever denies"},
		{"nobody grants", "/sim/next", `{"result":"grant","open_id":""}`, "open_id is empty"},
		{"what is granted", "/sim/next", `{"result":"grant","scopes":"email"}`, "Unknown scope email"},
		{"no url", "/sim/webhooks", `{}`, "url is missing"},
		{"relative url", "/sim/webhooks", `{"url":"/hook"}`, "url must be absolute"},
		{"no address", "/sim/webhooks/send", `{"open_id":"x"}`, "no address yet"},
		{"event about nobody", "/sim/webhooks/send", `{}`, "open_id is missing"},
		{"reason", "/sim/webhooks/send", `{"open_id":"x","reason":6}`, "reason is 0 to 5"},
		{"reason of another event", "/sim/webhooks/send", `{"event":"x","open_id":"x","reason":1}`, "reason belongs to"},
		{"age", "/sim/webhooks/send", `{"open_id":"x","age_seconds":-1}`, "age_seconds"},
		{"endpoint", "/sim/faults", `{"endpoint":"x","fault":"hang"}`, "valid are token, user_info"},
		{"fault", "/sim/faults", `{"endpoint":"token","fault":"x"}`, "valid are none, status_500"},
		{
			"fault of another endpoint", "/sim/faults",
			`{"endpoint":"user_info","fault":"invalid_grant"}`, "unknown for user_info",
		},
		{"count 0", "/sim/faults", `{"endpoint":"token","fault":"hang","count":0}`, "count is 1"},
		{"count -2", "/sim/faults", `{"endpoint":"token","fault":"hang","count":-2}`, "count is 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.must(s.request("POST", tt.path, "application/json", tt.body))
			wantError(t, got, 400, "invalid_request")
			if text := field(t, got, "error_description"); !strings.Contains(text, tt.text) {
				t.Errorf("error_description = %q; want %q in it", text, tt.text)
			}
		})
	}
}

func TestIndex(t *testing.T) {
	got := start(t, tiktoksim.Options{}).get("/sim/")
	if got.status != 200 || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	for _, want := range []string{
		"no real account", "/sim/codes", "/sim/faults", "/sim/reset", "/sim/next", "/sim/webhooks/send", "old_signature",
		"huge_body", "wrong_state",
		tiktoksim.OpenIDTwinB,
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("index lacks %s", want)
		}
	}
}
