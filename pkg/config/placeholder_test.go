package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/config"
)

// aliasOf returns the shortest variable of a key.
func aliasOf(key string) string {
	if names := aliases[key]; len(names) > 0 && key != "server.listen" {
		return names[0]
	}
	return variable(key)
}

// A value that only stands for one is named, whatever its form, once and without a secret.
func TestPlaceholders(t *testing.T) {
	const reference, placeholder = "is a reference such as ${NAME}", "is a placeholder"
	tests := []struct{ key, value, what string }{
		{"tiktok.client_secret", "${TIKTOK_SECRET}", reference},
		{"tiktok.client_secret", "${TIKTOK_SECRET:-none}", reference},
		{"tiktok.client_secret", "$(TIKTOK_SECRET)", reference}, // Kubernetes leaves it if the variable is missing
		{"tiktok.client_secret", "$TIKTOK_SECRET", reference},
		{"tiktok.client_secret", "%TIKTOK_SECRET%", reference},
		{"tiktok.client_secret", "{{ secrets.TIKTOK }}", reference},
		{"tiktok.client_secret", "op://vault/tiktok/secret", reference},
		{"tiktok.client_key", "<your client key>", reference},
		{"supabase.secret_key", "sb_secret_${KEY}", reference},
		{"supabase.url", "https://${ref}.supabase.co", reference},
		{"supabase.url", "https://<project>.supabase.co", reference},
		{"app.origins", "https://ours.test,https://$(HOST)", reference},
		{"store.redis_url", "redis://:${REDIS_PASSWORD}@redis:6379", reference},
		{"server.listen", "${HOST}:8080", reference},

		{"tiktok.client_key", "awxxxxxxxxxxxxxx", placeholder},
		{"tiktok.client_key", "YOUR_CLIENT_KEY", placeholder},
		{"tiktok.client_secret", "xxxxxxxxxxxxxxxxxxxxxxxx", placeholder},
		{"tiktok.client_secret", "XXX", placeholder},
		{"tiktok.client_secret", "changeme", placeholder},
		{"tiktok.client_secret", "Replace-Me", placeholder},
		{"tiktok.client_secret", "********", placeholder},
		{"tiktok.client_secret", "undefined", placeholder},
		{"supabase.publishable_key", "sb_publishable_xxxxxxxx", placeholder},
		{"supabase.publishable_key", "sb_publishable_...", placeholder},
		{"supabase.publishable_key", "your-anon-key", placeholder},
		{"supabase.secret_key", "sb_secret_xxxxxxxx", placeholder},
		{"supabase.secret_key", "sb_secret_", placeholder},
		{"supabase.secret_key", "eyJhbGciOi…", placeholder},
		{"seal.keys", "change-me-change-me-change-me-change-me", placeholder},

		{"supabase.url", "https://abcdefghijkl.supabase.co", placeholder},
		{"supabase.url", "https://xyzcompany.supabase.co", placeholder},
		{"supabase.url", "https://xxxxxxxxxxxxxxxxxxxx.supabase.co", placeholder},
		{"supabase.url", "https://your-project-ref.supabase.co", placeholder},
		{"server.public_url", "https://signin.app.example", placeholder},
		{"server.public_url", "https://signin.your-domain.com", placeholder},
		{"app.origins", "https://app.example", placeholder},
		{"app.origins", "https://*.preview.example", placeholder},
		{"app.origins", "https://ours.test,https://example.com", placeholder},
		{"app.origins", "https://www.example.org", placeholder},
		{"app.redirect_uris", "https://app.example/auth", placeholder},
		{"store.redis_url", "rediss://:password@redis.example:6379/0", placeholder},
	}
	for _, tt := range tests {
		t.Run(tt.key+" "+tt.value, func(t *testing.T) {
			setenv(t, complete, map[string]string{aliasOf(tt.key): tt.value})
			_, err := config.Load("")
			p := problems(t, err)
			if diff := cmp.Diff([]string{tt.key}, keysOf(p)); diff != "" {
				t.Fatalf("keys with problems (-want +got):\n%s%v", diff, err)
			}
			if !strings.HasPrefix(p[0].What, tt.what) || !strings.Contains(p[0].Fix, "Set "+aliasOf(tt.key)+" to ") {
				t.Errorf("problem = %+v; want it to say that the value %s, and what to set", p[0], tt.what)
			}
			if strings.Contains(tt.key, "secret") && len(tt.value) > 10 && strings.Contains(err.Error(), tt.value) {
				t.Errorf("the error shows the value: %v", err)
			}
		})
	}
}

// What somebody can own or be issued is no placeholder.
func TestPlaceholdersAreNoRealValues(t *testing.T) {
	tests := []struct{ key, value string }{
		{"tiktok.client_key", "sbawxx3kq9xxw0example1"},
		{"tiktok.client_key", "awyourself"},
		{"tiktok.client_secret", "q0XxXxX9sXXXXxYhereZchangeTODO"},
		{"tiktok.client_secret", "$2b$10$abcdefg"},
		{"supabase.publishable_key", "sb_publishable_xX0-_xxx9aXxxXx-example"},
		{"supabase.secret_key", "sb_secret_0xxxxx_your0_Xxx-nullx"},
		{"supabase.url", "https://abcdefghijklmnopqrst.supabase.co"},
		{"supabase.url", "https://my-brand.supabase.co"},
		{"supabase.url", "https://auth.your-style.com"},
		{"supabase.url", "https://example-shop.supabase.co"},
		{"server.public_url", "https://signin.myexample.com"},
		{"app.origins", "https://xxx.com"},
		{"app.origins", "https://example.de"},
		{"app.origins", "https://examples.com"},
		{"app.origins", "https://example.com.br"},
		{"app.origins", "https://yourmove.app"},
		{"app.origins", "https://xxl.ours.test"},
		{"app.deeplink_schemes", "example"},
		{"store.redis_url", "redis://:changeme@redis:6379"},
		{"seal.keys", `aV$(d)9<k>%Q${x}..*~"p{q}{r}0123456789`},
		{"seal.keys", strings.Repeat("0123456789abcdef", 2)},
	}
	for _, tt := range tests {
		t.Run(tt.key+" "+tt.value, func(t *testing.T) {
			setenv(t, complete, map[string]string{aliasOf(tt.key): tt.value})
			if _, err := config.Load(""); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whoever tries the bridge on one machine may call their app app.example.
func TestPlaceholdersInTrial(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"simulated TikTok": {"TIKBRIDGE_TIKTOK_API_URL": "http://tiktok:8081"},
		"local Supabase":   {"SUPABASE_URL": "http://127.0.0.1:54321"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, complete, map[string]string{
				"TIKBRIDGE_APP_ORIGINS": "https://app.example", "TIKBRIDGE_SERVER_PUBLIC_URL": "https://signin.app.example",
			}, env)
			if _, err := config.Load(""); err != nil {
				t.Error(err)
			}
		})
	}
}

// The template in docs/deploy.md, not filled in, names all that is to be filled in.
func TestPlaceholders_documented(t *testing.T) {
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=(\S+)$`).FindAllStringSubmatch(string(page), -1) {
		if isOurs(m[1]) {
			env[m[1]] = m[2]
		}
	}
	setenv(t, env)
	_, err = config.Load("")
	want := []string{
		"server.public_url", "tiktok.client_key", "tiktok.client_secret", "supabase.url", "supabase.publishable_key",
		"supabase.secret_key", "app.origins",
	}
	if diff := cmp.Diff(want, keysOf(problems(t, err))); diff != "" {
		t.Errorf("keys with problems (-want +got):\n%s%v", diff, err)
	}
	for _, p := range problems(t, err) {
		if !strings.HasPrefix(p.What, "is a placeholder") {
			t.Errorf("%s %s; want it to be called a placeholder", p.Key, p.What)
		}
	}
}
