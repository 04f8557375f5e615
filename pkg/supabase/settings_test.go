package supabase_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

func TestCheckSettings(t *testing.T) {
	tests := []struct {
		name     string
		settings gotruesim.Options
		want     []string
	}{
		{"as supabase start has it", gotruesim.Options{}, []string{"disable_signup", "mailer_autoconfirm"}},
		{"confirmed e-mails", gotruesim.Options{RequireConfirmation: true}, []string{"disable_signup"}},
		{"no sign-up", gotruesim.Options{RequireConfirmation: true, DisableSignup: true}, nil},
		{"no e-mail provider", gotruesim.Options{RequireConfirmation: true, DisableEmail: true}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim := newEmulator(t, tt.settings)
			warnings, err := sim.at(
				"/auth/v1", gotruesim.SecretKey, gotruesim.PublishableKey,
			).client(t).CheckSettings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				got = append(got, w.Setting)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCheckSettingsWithProvider: Supabase makes the accounts then, at no address that anybody could take.
func TestCheckSettingsWithProvider(t *testing.T) {
	for name, tt := range map[string]struct {
		settings gotruesim.Options
		warnings int
	}{
		"as supabase start has it": {gotruesim.Options{}, 0},
		"no sign-up":               {gotruesim.Options{DisableSignup: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newEmulator(t, tt.settings).at("/auth/v1", gotruesim.SecretKey, gotruesim.PublishableKey)
			b := p.client(t, func(o *supabase.Options) { o.Provider = providerName })
			warnings, err := b.CheckSettings(t.Context())
			if err != nil || len(warnings) != tt.warnings {
				t.Errorf("warnings are %+v (%v); want %d", warnings, err, tt.warnings)
			}
		})
	}
}

// TestCheckSettingsReal only wants a real server's answer to be understood.
func TestCheckSettingsReal(t *testing.T) {
	if _, err := realProject(t).client(t).CheckSettings(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCheckAccounts: accounts whose owners cannot sign in are counted, with the command to run.
func TestCheckAccounts(t *testing.T) {
	const waiting = "Accounts that look like those of Despia's Edge Function wait to be adopted: 2. "
	for mode, text := range map[supabase.Adopt]string{
		supabase.AdoptHold: waiting + "Their owners cannot sign in.",
		supabase.AdoptEvict: waiting + "At their next sign-in their owners get a new, empty account, " +
			"since supabase.adopt is evict.",
	} {
		t.Run(string(mode), func(t *testing.T) {
			emulated(t, func(t *testing.T, p project) {
				b := p.client(t, adopt(mode))
				if got, err := b.CheckAccounts(t.Context()); len(got) != 0 || err != nil {
					t.Fatalf("a new project has %v, %v; want no warning", got, err)
				}
				b.signIn(t, p.person())
				p.squat(t, address(p.person()))
				p.edgeFunction(t, p.person(), nil)
				p.edgeFunction(t, p.person(), nil)
				got, err := b.CheckAccounts(t.Context())
				if err != nil || len(got) != 1 || got[0].Text != text || !strings.Contains(got[0].Fix, "tikbridge users adopt") {
					t.Fatalf("warnings are %+v, %v; want one: %s", got, err, text)
				}
				ctx, cancel := context.WithCancel(t.Context())
				_ = b.AdoptAll(ctx, supabase.AdoptOptions{Quarantine: time.Hour, PerMinute: 60_000}, func(r supabase.Review) {
					if r.Verdict == supabase.VerdictQuarantined {
						cancel()
					}
				})
				got, err = b.CheckAccounts(t.Context())
				if err != nil || len(got) == 0 || !strings.Contains(got[len(got)-1].Fix, "--release") {
					t.Errorf("warnings are %+v, %v; want one of an account in quarantine", got, err)
				}
			})
		})
	}
}

// TestCheckLinks: a link for nobody creates nobody, and shows whether the key may write.
func TestCheckLinks(t *testing.T) {
	sim := newEmulator(t, gotruesim.Options{})
	c := sim.at("/auth/v1", gotruesim.SecretKey, gotruesim.PublishableKey).client(t)
	if err := c.CheckLinks(t.Context()); err != nil {
		t.Error(err)
	}
	if w, err := c.CountWaiting(t.Context(), 10); err != nil || w.Unclaimed != 0 {
		t.Errorf("waiting: %+v, %v; want nobody", w, err)
	}
	m := newMocked(t, supabase.Options{})
	m.answer("POST", "/admin/generate_link", 403, map[string]any{"code": "bad_jwt", "message": "invalid JWT"})
	if err := m.CheckLinks(t.Context()); signin.AsError(err).Upstream.Code != "bad_jwt" {
		t.Errorf("error is %v; want bad_jwt", err)
	}
}

// TestOldGoTrue: before error codes, the body repeated the status. The error names the version to have, and
// answers of newer ones, or of gateways, are not taken for it.
func TestOldGoTrue(t *testing.T) {
	tests := []struct {
		name string
		body map[string]any
		old  bool
	}{
		{"before error codes", map[string]any{"code": 404, "msg": "User not found"}, true},
		{"without the version header", map[string]any{
			"code": 404, "error_code": "user_not_found", "msg": "User not found",
		}, false},
		{"with it", map[string]any{"code": "user_not_found", "message": "User not found"}, false},
		{"a gateway", map[string]any{"code": 404, "message": "no Route matched"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMocked(t, supabase.Options{})
			m.answer("POST", "/admin/generate_link", 404, tt.body)
			err := m.CheckLinks(t.Context())
			if errors.Is(err, supabase.ErrOldGoTrue) != tt.old {
				t.Errorf("error is %v; taken for an old GoTrue: want %v", err, tt.old)
			}
			if tt.old && !strings.Contains(signin.AsError(err).Err.Error(), "older than 2.155.0") {
				t.Errorf("error is %v; want the version in its cause", err)
			}
		})
	}
}
