package doctor_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/backend"
	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/doctor"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

const messageSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// TestBackend has an own backend and a receiver of events, which are broken in every way.
func TestBackend(t *testing.T) {
	t.Parallel()
	// signed answers 401 to what is not signed.
	signed := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Webhook-Signature") == "" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			h(w, req)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "canary")
		}
	}
	tests := []struct {
		name      string
		answer    http.HandlerFunc
		status    doctor.Status
		seen, fix string
	}{
		{"well", signed(status(204)), doctor.OK, "accepts the bridge's signature", ""},
		{"other secret", status(401), doctor.Problem, "refuses the bridge's signature (status 401)", ".secret"},
		{"checks nothing", status(200), doctor.Problem, "takes messages without a signature", "Standard Webhooks"},
		{"other address", signed(status(404)), doctor.Problem, "no such route (status 404)", ".url"},
		{"moved", signed(status(308)), doctor.Problem, "redirects (status 308)", ".url"},
		{"broken", signed(status(500)), doctor.Warning, "having trouble (status 500)", "log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			w := newWorld(t)
			w.set(func(c *config.Config) {
				c.Accounts, c.Supabase = config.AccountsBackend, config.Default().Supabase
				c.Backend.URL, c.Backend.Secret = server.URL, signin.Secret(messageSecret)
				c.Webhook.URL = server.URL
			})
			opts := w.options()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client, err := backend.New(backend.Options{URL: server.URL, Secret: messageSecret, Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			notifier, err := backend.NewNotifier(backend.NotifierOptions{
				URL: server.URL, Secret: messageSecret, Transport: transport,
			})
			if err != nil {
				t.Fatal(err)
			}
			opts.Supabase, opts.Backend, opts.Webhook = nil, client, notifier
			r := doctor.Examine(t.Context(), opts)
			for _, check := range []string{"backend", "webhook"} {
				i := slices.IndexFunc(r.Findings, func(f doctor.Finding) bool { return f.Check == check })
				if i < 0 {
					t.Fatalf("nothing was found by %s:\n%s", check, text(t, r))
				}
				f := r.Findings[i]
				if f.Status != tt.status || !strings.Contains(f.Seen, tt.seen) || !strings.Contains(f.Fix, tt.fix) ||
					strings.Contains(f.Seen, "canary") {
					t.Errorf("%s: got %+v; want %s %q, %q", check, f, tt.status, tt.seen, tt.fix)
				}
				wantVariables(t, f)
			}
			for _, f := range r.Findings {
				other := f.Check != "backend" && f.Check != "webhook"
				if other && f.Status != doctor.OK || strings.Contains(f.Seen, "Supabase") {
					t.Errorf("also found: %+v", f)
				}
			}
		})
	}
}
