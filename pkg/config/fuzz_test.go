package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/config"
)

// FuzzLoad reads any file: it never panics, and no problem it finds tells the secret. Where a secret
// stands in the place of something public, the file has published it.
func FuzzLoad(f *testing.F) {
	const planted = "sb_secret_canary0123456789"
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if isOurs(name) {
			f.Setenv(name, "") // puts the old value back at the end
			if err := os.Unsetenv(name); err != nil {
				f.Fatal(err)
			}
		}
	}
	example, err := os.ReadFile("../../configs/tikbridge.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example), "", uint8(0))
	yaml := "tiktok:\n  client_key: awkey\n  client_secret: " + planted + "\nsupabase:\n  secret_key: " + planted
	for _, secret := range []string{
		planted, `"` + planted, "'" + planted, "{" + planted + "}", "[" + planted + "]", "- " + planted, "*" + planted,
		"!!" + planted, "&" + planted, "!!binary " + planted, "|\n  " + planted,
	} {
		f.Add("supabase:\n  secret_key: "+secret, "\n", uint8(0))
		f.Add("seal:\n  keys: "+secret, "\n", uint8(0))
		f.Add("store:\n  redis_url: "+secret, "\n", uint8(1))
		f.Add("[supabase]\nsecret_key = "+secret, "\n", uint8(2))
		f.Add(`{"supabase":{"secret_key":`+secret, "}}", uint8(3))
	}
	for ending := range uint8(5) {
		for _, text := range []string{
			yaml, "", "{}", "null", "[]", "7", "{", "\t", "\ufeff", "\xff\xfe", "a: b: c",
			"server:\n  listen: [", "rate_limit: {start: 1.5}",
			"[supabase]\nsecret_key = \"" + planted + "\"\n[seal]\nkeys = [\"" + planted + "\", 7]",
			`{"seal":{"keys":["` + planted + `",{"` + planted + `":1}]}}`,
			"store:\n  redis_url: redis://:" + planted + "@redis:99999/x",
			"server:\n  listen: 0x\n  public_url: http://[::1\n  trusted_proxies: [x]\n",
			"app:\n  origins: [https://*.example]\n  deeplink_schemes: javascript\n",
			"a: &a [*a]", "a: &a {b: *a}", "1: 2\n? [x]\n: y",
			"tiktok:\n  timeout: 1\n", strings.Repeat("[", 5000), strings.Repeat("a:\n ", 300),
		} {
			f.Add(text, "", ending)
			f.Add("", text, ending)
		}
	}
	dir := f.TempDir()
	secretKeys := []string{
		"--config", "configuration", "tiktok.client_secret", "supabase.secret_key", "seal.keys", "store.redis_url",
	}
	f.Fuzz(func(t *testing.T, before, after string, ending uint8) {
		endings := []string{"yaml", "yml", "toml", "json", "env"}
		file := filepath.Join(dir, "tikbridge."+endings[int(ending)%len(endings)])
		if err := os.WriteFile(file, []byte(before+after), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(file)
		if err == nil {
			for _, secrets := range []any{c.TikTok.ClientSecret, c.Supabase.SecretKey, c.Seal, c.Store} {
				if printed := fmt.Sprintf("%v %+v %q %s", secrets, secrets, secrets, secrets); strings.Contains(printed, planted) {
					t.Errorf("a secret prints as %s", printed)
				}
			}
			return
		}
		var problems config.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("error is %v (%T); want Problems", err, err)
		}
		for _, p := range problems {
			if p.Key == "" || p.What == "" || p.Fix == "" {
				t.Errorf("problem %+v says too little", p)
			}
			told := p.What + p.Fix
			if strings.HasSuffix(p.What, "wrong type") || slices.Contains(secretKeys, p.Key) {
				told += p.Key
			} else if !strings.Contains(p.What, "is not a key") {
				continue // a public value
			}
			if strings.Contains(told, planted) {
				t.Errorf("%s is told in %+v", planted, p)
			}
		}
	})
}
