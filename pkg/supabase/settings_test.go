package supabase_test

import (
	"testing"

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

// TestCheckSettingsReal only wants a real server's answer to be understood.
func TestCheckSettingsReal(t *testing.T) {
	if _, err := realProject(t).client(t).CheckSettings(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCheckSettingsFails(t *testing.T) {
	m := newMocked(t, supabase.Options{})
	m.answer("GET", "/settings", 401, map[string]any{"message": "Invalid API key"})
	if _, err := m.CheckSettings(t.Context()); signin.CodeOf(err) != signin.SupabaseMisconfigured {
		t.Errorf("error is %v; want supabase_misconfigured", err)
	}
}
