package server_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func limited(perMinute int) func(*server.Options) {
	return func(o *server.Options) { o.ExchangePerMinute = perMinute }
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, people{}, limited(7))
		for range 7 {
			wantStatus(t, b.post(t, goodBody), http.StatusOK)
		}
		resp := b.post(t, goodBody)
		if got := resp.Header.Get("Retry-After"); got != "9" { // 60 s / 7, rounded up
			t.Errorf("Retry-After is %q; want 9", got)
		}
		wantError(t, resp, http.StatusTooManyRequests, signin.RateLimited)
		if line := b.log.last(t); line["status"] != 429.0 || line["error"] != "rate_limited" ||
			line["level"] != "INFO" {
			t.Errorf("log is %v; want the refusal", line)
		}
		wantStatus(t, b.do(t, http.MethodPost, functionPath, goodBody), http.StatusTooManyRequests)

		time.Sleep(8 * time.Second)
		wantStatus(t, b.post(t, goodBody), http.StatusTooManyRequests)
		time.Sleep(time.Second)
		wantStatus(t, b.post(t, goodBody), http.StatusOK)
		wantStatus(t, b.post(t, goodBody), http.StatusTooManyRequests)

		time.Sleep(time.Hour)
		for range 7 {
			wantStatus(t, b.post(t, goodBody), http.StatusOK)
		}
		wantStatus(t, b.post(t, goodBody), http.StatusTooManyRequests)
	})
}

func TestRateLimit_off(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, limited(0))
	for range 200 {
		wantStatus(t, b.post(t, goodBody), http.StatusOK)
	}
}

// TestRateLimit_only says what is not limited: asking beforehand, and everything else.
func TestRateLimit_only(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, limited(1))
	for range 5 {
		wantStatus(
			t,
			b.do(t, http.MethodOptions, exchangePath, "", "Origin", appOrigin, "Access-Control-Request-Method", "POST"),
			http.StatusNoContent,
		)
		wantStatus(t, b.do(t, http.MethodGet, "/auth", ""), http.StatusOK)
		wantStatus(t, b.do(t, http.MethodGet, "/healthz", ""), http.StatusOK)
	}
	wantStatus(t, b.post(t, goodBody), http.StatusOK)
}

func TestRateLimit_neighbours(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, first, second string
		together            bool
	}{
		{"same address", "198.51.100.1", "198.51.100.1", true},
		{"IPv4 neighbours", "198.51.100.1", "198.51.100.2", false},
		{"one IPv6 network", "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
		{"two IPv6 networks", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"IPv4 in IPv6", "::ffff:198.51.100.1", "198.51.100.1", true},
		{"IPv4 neighbours in IPv6", "::ffff:198.51.100.1", "::ffff:198.51.100.2", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{}, limited(1), trusting("192.0.2.0/24")) // httptest's own address
			wantStatus(t, b.post(t, goodBody, "X-Forwarded-For", tt.first), http.StatusOK)
			want := http.StatusOK
			if tt.together {
				want = http.StatusTooManyRequests
			}
			wantStatus(t, b.post(t, goodBody, "X-Forwarded-For", tt.second), want)
		})
	}
}
