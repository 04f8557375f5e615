package config_test

import (
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/config"
)

// Many operators have variables and no file: each problem names the variable, and it is the one in use.
func TestProblemsNameVariables(t *testing.T) {
	setenv(t, complete, map[string]string{
		"SUPABASE_SECRET_KEY": "", "SUPABASE_SERVICE_ROLE_KEY": "sb_publishable_x", "TIKBRIDGE_SERVER_LISTEN": "8080",
		"TIKBRIDGE_RATE_LIMIT_START": "0",
	})
	_, err := config.Load("")
	for _, want := range []string{
		"SUPABASE_SERVICE_ROLE_KEY", "TIKBRIDGE_SERVER_LISTEN", "TIKBRIDGE_RATE_LIMIT_START",
		"TIKBRIDGE_RATE_LIMIT_ENABLED",
	} {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("%s is not named once:\n%v", want, err)
		}
	}
}

func TestVariablesIn(t *testing.T) {
	setenv(t, map[string]string{"SUPABASE_ANON_KEY": "x"})
	for text, want := range map[string]string{
		"Set app.origins and app.origins.":       " (Variable: TIKBRIDGE_APP_ORIGINS.)",
		"supabase.publishable_key is odd":        " (Variable: SUPABASE_ANON_KEY.)", // the one in use
		"supabase.url or tiktok.pkce is odd":     " (Variables: SUPABASE_URL, TIKBRIDGE_TIKTOK_PKCE.)",
		"Set TIKBRIDGE_APP_ORIGINS, app.origins": "",
		"configs/tikbridge.example.yaml, no.key": "",
	} {
		if got := config.VariablesIn(text); got != want {
			t.Errorf("for %q: got %q, want %q", text, got, want)
		}
	}
}
