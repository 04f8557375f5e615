package supabase_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// TestForwardClientIP: GoTrue takes thirty sign-ins from one address, so without the device's own
// address the thirty-first person of all is refused, and with it nobody is.
func TestForwardClientIP(t *testing.T) {
	forward := func(header string) func(*supabase.Options) {
		return func(o *supabase.Options) { o.ForwardClientIP = header }
	}
	emulated := func(t *testing.T, opts gotruesim.Options) project {
		return newEmulator(t, opts).at("/auth/v1", gotruesim.SecretKey, gotruesim.PublishableKey)
	}
	tests := []struct {
		name     string
		settings gotruesim.Options
		header   string
	}{
		{"hosted", gotruesim.Options{SBForwardedFor: true}, supabase.SBForwardedFor},
		{"self-hosted", gotruesim.Options{RateLimitHeader: "X-Forwarded-For"}, "X-Forwarded-For"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := emulated(t, tt.settings)
			b, id := p.client(t, forward(tt.header)), p.person()
			phone, tablet := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")
			for range 30 {
				if _, err := b.SignIn(t.Context(), id, phone, noProfile); err != nil {
					t.Fatal(err)
				}
			}
			_, err := b.SignIn(t.Context(), id, phone, noProfile)
			var e *signin.Error
			if !errors.As(err, &e) || e.Code != signin.RateLimited || e.RetryAfter != 10*time.Second {
				t.Errorf("the 31st sign-in from one address ends with %v; want rate_limited and to wait 10s", err)
			}
			if _, err := b.SignIn(t.Context(), id, tablet, noProfile); err != nil {
				t.Errorf("another address: %v", err)
			}
		})
	}
}
