package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	const given = "4f1b-Trace_id.7"
	tests := []struct {
		name, peer, id string
		kept           bool
	}{
		{"trusted proxy", "10.0.0.1:1", given, true},
		{"trusted proxy, IPv4 in IPv6", "[::ffff:10.0.0.1]:1", given, true},
		{"anybody else", "203.0.113.9:1", given, false},
		{"no address", "@", given, false},
		{"none", "10.0.0.1:1", "", false},
		{"shortest", "10.0.0.1:1", "12345678", true},
		{"too short", "10.0.0.1:1", "1234567", false},
		{"longest", "10.0.0.1:1", strings.Repeat("x", 64), true},
		{"too long", "10.0.0.1:1", strings.Repeat("x", 65), false},
		{"markup", "10.0.0.1:1", "<b>12345678</b>", false},
		{"two lines", "10.0.0.1:1", "12345678\n12345678", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{}, trusting("10.0.0.0/8"))
			req := httptest.NewRequest(http.MethodPost, exchangePath, strings.NewReader("{}"))
			req.RemoteAddr = tt.peer
			req.Header.Set("X-Request-Id", tt.id)
			resp := b.serve(req)
			got := resp.Header.Get("X-Request-Id")
			if kept := got == tt.id; kept != tt.kept || len(got) < 8 {
				t.Errorf("request id is %q for the given %q; kept: %v, want %v", got, tt.id, kept, tt.kept)
			}
			if m := readJSON(t, resp); m["request_id"] != got || b.log.last(t)["request_id"] != got {
				t.Errorf("header, body and log disagree: %q, %q, %q", got, m["request_id"], b.log.last(t)["request_id"])
			}
		})
	}
}

func TestRequestID_unique(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{})
	first := b.post(t, goodBody).Header.Get("X-Request-Id")
	if second := b.post(t, goodBody).Header.Get("X-Request-Id"); first == second {
		t.Errorf("two requests have the id %q", first)
	}
}
