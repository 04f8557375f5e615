package supabase_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// TestHook calls supabase/before_user_created.sql where a database is given, in a transaction that is
// rolled back.
func TestHook(t *testing.T) {
	p := project{database: os.Getenv("TIKBRIDGE_CONTRACT_DATABASE_URL")}
	hook, err := os.ReadFile("../../supabase/before_user_created.sql")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		email   string
		refused bool
	}{
		{"someone@example.com", false},
		{"-000abc@tiktok.oauth", true},
		{"-000ABC@TikTok.OAuth", true},
		{`"a@b"@tiktok.oauth`, true},
		{"tiktok.oauth@example.com", false},
		{"x@tiktok.oauth.example.com", false},
		{"x@nottiktok.oauth", false},
		{"", false},
	}
	for _, tt := range tests {
		t.Run(tt.email, func(t *testing.T) {
			event, err := json.Marshal(map[string]any{
				"metadata": map[string]any{}, "user": map[string]any{"email": tt.email},
			})
			if err != nil {
				t.Fatal(err)
			}
			out := p.sql(
				t,
				fmt.Sprintf(
					"begin; %s; set role supabase_auth_admin; "+
						"select public.tikbridge_before_user_created($json$%s$json$::jsonb); rollback",
					hook, event,
				),
			)
			var answer struct {
				Error *struct {
					HTTPCode int    `json:"http_code"`
					Message  string `json:"message"`
				} `json:"error"`
			}
			if err := json.Unmarshal([]byte(out), &answer); err != nil {
				t.Fatalf("the hook answers %q: %v", out, err)
			}
			if refused := answer.Error != nil && answer.Error.HTTPCode == 403; refused != tt.refused {
				t.Errorf("refused is %v (%s); want %v", refused, out, tt.refused)
			}
		})
	}
}
