package signin_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// supabase.auth.setSession and the guide's pages read exactly these names.
func TestSession_json(t *testing.T) {
	t.Parallel()
	base := signin.Session{
		AccessToken: "a", TokenType: "bearer", ExpiresIn: 3600, ExpiresAt: 1800000000, RefreshToken: "r",
		User: json.RawMessage(`{"id":"u","user_metadata":{"name":"<b>&"}}`),
	}
	withTokens := base
	withTokens.ProviderToken, withTokens.ProviderRefreshToken = "pt", "pr"
	own := signin.Session{
		AccessToken: "o", Raw: json.RawMessage(`{"access_token":"o","expires":"soon","provider_token":7}`),
	}
	ownWithTokens := own
	ownWithTokens.ProviderToken, ownWithTokens.ProviderRefreshToken = "pt", "pr"
	tests := []struct {
		name string
		in   signin.Session
		want string
	}{
		{
			"plain", base,
			`{"access_token":"a","token_type":"bearer","expires_in":3600,"expires_at":1800000000,"refresh_token":"r",
				"user":{"id":"u","user_metadata":{"name":"<b>&"}}}`,
		},
		{
			"with TikTok's tokens", withTokens,
			`{"access_token":"a","token_type":"bearer","expires_in":3600,"expires_at":1800000000,"refresh_token":"r",
				"user":{"id":"u","user_metadata":{"name":"<b>&"}},
				"provider_token":"pt","provider_refresh_token":"pr"}`,
		},
		{"of an own backend", own, `{"access_token":"o","expires":"soon","provider_token":7}`},
		{
			"of an own backend, with TikTok's tokens", ownWithTokens,
			`{"access_token":"o","expires":"soon","provider_token":7,"provider_refresh_token":"pr"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := json.Marshal(tt.in.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			var got, want map[string]any
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
		})
	}
}
