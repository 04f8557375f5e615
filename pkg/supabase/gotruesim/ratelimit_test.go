package gotruesim_test

import (
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// refused sends n requests to /verify and counts those that are limited.
func refused(p *project, n int, headers ...string) int {
	p.t.Helper()
	limited := 0
	for range n {
		if p.do("POST", "/verify", fields{}, headers...).status == 429 {
			limited++
		}
	}
	return limited
}

func TestVerifyRateLimitKeys(t *testing.T) {
	const xff, sbff = "X-Forwarded-For", "Sb-Forwarded-For"
	both := gotruesim.Options{RateLimitHeader: xff, SBForwardedFor: true}
	type headers = []string
	one := headers{xff, "203.0.113.1"}
	tests := []struct {
		name    string
		options gotruesim.Options
		spend   headers // of the requests that empty a bucket
		then    headers // of ten more
		want    int     // how many of those are refused
	}{
		{"no setting, no limit", gotruesim.Options{}, one, one, 0},
		{"no header, no limit", both, nil, nil, 0},
		{"same address", both, one, one, 10},
		{"first value counts", both, headers{xff, "203.0.113.1, 10.0.0.1"}, one, 10},
		{"another address", both, one, headers{xff, "203.0.113.2"}, 0},
		{"sb wins over header", both, one, append(one, sbff, "203.0.113.9"), 0},
		{"sb is spent", both, headers{sbff, "203.0.113.9"}, append(one, sbff, "203.0.113.9"), 10},
		{"bad sb falls back", both, one, append(one, sbff, "nonsense"), 10},
		{
			"sb is ignored unless enabled",
			gotruesim.Options{RateLimitHeader: xff},
			one, append(one, sbff, "203.0.113.9"), 10,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, tt.options)
			if got := refused(p, 30, tt.spend...); got != 0 {
				t.Fatalf("got %d of the first 30 refused", got)
			}
			if got := refused(p, 10, tt.then...); got != tt.want {
				t.Errorf("got %d of 10 refused; want %d", got, tt.want)
			}
		})
	}
}

func TestVerifyRateLimitSparesNobodyAndRefills(t *testing.T) {
	p := newProject(t, gotruesim.Options{RateLimitHeader: "X-Forwarded-For"})
	admin := []string{"X-Forwarded-For", "203.0.113.1", "Authorization", "Bearer " + p.ServiceRoleKey()}
	refused(p, 30, admin...)
	r := p.do("GET", "/verify?token=x&type=email", nil, admin...)
	wantStatus(t, r, 429)
	if got := r.header.Get("Retry-After"); got != "" {
		t.Errorf("got Retry-After %q; want none", got)
	}
	p.clock.advance(10 * time.Second) // 30 in 5 minutes: one comes back
	if got := refused(p, 2, admin...); got != 1 {
		t.Errorf("after 10 s: got %d of 2 refused; want 1", got)
	}
	p.clock.advance(24 * time.Hour)
	if got := refused(p, 40, admin...); got != 10 {
		t.Errorf("after a day: got %d of 40 refused; want 10, for the burst stays 30", got)
	}
}
