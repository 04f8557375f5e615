package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

const exampleFile = "../../configs/tikbridge.example.yaml"

// aliases are promised to operators; load.go must not lose one.
var aliases = map[string][]string{
	"tiktok.client_key":        {"TIKTOK_CLIENT_KEY"},
	"tiktok.client_secret":     {"TIKTOK_CLIENT_SECRET"},
	"supabase.url":             {"SUPABASE_URL"},
	"supabase.publishable_key": {"SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"},
	"supabase.secret_key":      {"SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"},
	"server.listen":            {"PORT"},
}

var requiredKeys = []string{
	"tiktok.client_key", "tiktok.client_secret", "supabase.url", "supabase.publishable_key",
	"supabase.secret_key", "app.origins",
}

func variable(key string) string {
	return "TIKBRIDGE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func allKeys() []string {
	var keys []string
	config.Walk(config.Default(), func(key string, _ any) { keys = append(keys, key) })
	return keys
}

// TestKeys_documented: docs/configuration.md has every key, and the other names of its variable.
func TestKeys_documented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range allKeys() {
		_, row, found := strings.Cut(string(page), "\n| `"+key+"` | ")
		row, _, _ = strings.Cut(row, "\n")
		if !found {
			t.Errorf("%s is missing", key)
		}
		for _, name := range aliases[key] {
			if !strings.Contains(row, "`"+name+"`") {
				t.Errorf("the row of %s lacks %s", key, name)
			}
		}
		if required := slices.Contains(requiredKeys, key); required != strings.HasPrefix(row, "**required**") {
			t.Errorf("the row of %s says %q; required: %t", key, row, required)
		}
	}
}

// commentedKey is a key of the example with the comment above it.
type commentedKey struct{ key, comment string }

// readExample reads keys and comments line by line: YAML parsers move comments around.
func readExample(t *testing.T) []commentedKey {
	t.Helper()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var (
		found   []commentedKey
		section string
		comment []string
		keyLine = regexp.MustCompile(`^( *)([a-z_]+): *(.*)`)
	)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "#") {
			comment = append(comment, strings.TrimSpace(strings.TrimPrefix(trimmed, "#")))
			continue
		}
		if m := keyLine.FindStringSubmatch(line); m != nil {
			switch {
			case m[1] == "" && m[3] == "":
				section = m[2]
			case m[1] == "":
				found = append(found, commentedKey{m[2], strings.Join(comment, " ")})
			default:
				found = append(found, commentedKey{section + "." + m[2], strings.Join(comment, " ")})
			}
		}
		comment = nil
	}
	return found
}

func TestExampleHasEveryKeyInOrder(t *testing.T) {
	var got []string
	for _, k := range readExample(t) {
		got = append(got, k.key)
	}
	if diff := cmp.Diff(allKeys(), got); diff != "" {
		t.Errorf("keys (-Config +example):\n%s", diff)
	}
}

func TestExampleExplainsEveryKey(t *testing.T) {
	for _, k := range readExample(t) {
		t.Run(k.key, func(t *testing.T) {
			if k.comment == "" {
				t.Fatal("no comment directly above it")
			}
			words := append([]string{variable(k.key)}, aliases[k.key]...)
			if slices.Contains(requiredKeys, k.key) {
				words = append(words, "Required")
			} else {
				words = append(words, "Default:")
			}
			for _, word := range words {
				if !regexp.MustCompile(`\b` + word).MatchString(k.comment) {
					t.Errorf("its comment does not say %s:\n%s", word, k.comment)
				}
			}
		})
	}
}

func TestExampleHasTheDefaults(t *testing.T) {
	setenv(t, nil)
	var got config.Config
	_, _ = config.Load(exampleFile, func(c *config.Config) { got = *c }) // required keys are missing
	if diff := cmp.Diff(config.Default(), got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("values (-Default +example):\n%s", diff)
	}
}

func TestDerivedValues(t *testing.T) {
	pages := func(origins ...string) []string {
		var uris []string
		for _, o := range origins {
			uris = append(uris, o+"/native-callback", o+"/native-callback.html", o+"/auth", o+"/auth.html")
		}
		return uris
	}
	tests := []struct {
		name string
		env  map[string]string
		want config.Config // the fields that show compares
	}{
		{
			name: "all from two keys",
			want: derived("https://abc.supabase.co", "https://abc.supabase.co/auth/v1", "",
				[]string{"https://app.test"}, pages("https://app.test")),
		},
		{
			name: "redirect URIs at every origin",
			env:  map[string]string{"TIKBRIDGE_APP_ORIGINS": "https://a.test,https://b.test"},
			want: derived("https://abc.supabase.co", "https://abc.supabase.co/auth/v1", "",
				[]string{"https://a.test", "https://b.test"}, pages("https://a.test", "https://b.test")),
		},
		{
			name: "redirect URIs of the operator replace all",
			env:  map[string]string{"TIKBRIDGE_APP_REDIRECT_URIS": "https://app.test/back"},
			want: derived("https://abc.supabase.co", "https://abc.supabase.co/auth/v1", "",
				[]string{"https://app.test"}, []string{"https://app.test/back"}),
		},
		{
			name: "slashes at the end",
			env: map[string]string{
				"SUPABASE_URL": "https://abc.supabase.co//", "TIKBRIDGE_SERVER_PUBLIC_URL": "https://app.test/",
			},
			want: derived("https://abc.supabase.co", "https://abc.supabase.co/auth/v1", "https://app.test",
				[]string{"https://app.test"}, pages("https://app.test")),
		},
		{
			name: "auth_url of the operator",
			env:  map[string]string{"TIKBRIDGE_SUPABASE_AUTH_URL": "http://gotrue:9999"},
			want: derived("https://abc.supabase.co", "http://gotrue:9999", "",
				[]string{"https://app.test"}, pages("https://app.test")),
		},
		{
			name: "auth_url alone is enough",
			env:  map[string]string{"SUPABASE_URL": "", "TIKBRIDGE_SUPABASE_AUTH_URL": "http://gotrue:9999"},
			want: derived("", "http://gotrue:9999", "",
				[]string{"https://app.test"}, pages("https://app.test")),
		},
		{
			name: "public_url is an origin too",
			env:  map[string]string{"TIKBRIDGE_SERVER_PUBLIC_URL": "https://signin.test"},
			want: derived("https://abc.supabase.co", "https://abc.supabase.co/auth/v1", "https://signin.test",
				[]string{"https://app.test", "https://signin.test"}, pages("https://app.test", "https://signin.test")),
		},
		{
			name: "public_url is enough of an origin",
			env:  map[string]string{"TIKBRIDGE_APP_ORIGINS": "", "TIKBRIDGE_SERVER_PUBLIC_URL": "https://signin.test"},
			want: derived("https://abc.supabase.co", "https://abc.supabase.co/auth/v1", "https://signin.test",
				[]string{"https://signin.test"}, pages("https://signin.test")),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, complete, tt.env)
			c, err := config.Load("")
			if err != nil {
				t.Fatal(err)
			}
			got := derived(c.Supabase.URL, c.Supabase.AuthURL, c.Server.PublicURL, c.App.Origins, c.App.RedirectURIs)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("derived values (-want +got):\n%s", diff)
			}
		})
	}
}

// derived is a Config with only the fields that follow from each other.
func derived(url, authURL, publicURL string, origins, redirectURIs []string) config.Config {
	return config.Config{
		Server:   config.Server{PublicURL: publicURL},
		Supabase: config.Supabase{URL: url, AuthURL: authURL},
		App:      config.App{Origins: origins, RedirectURIs: redirectURIs},
	}
}

func TestProxies(t *testing.T) {
	for entry, want := range map[string]string{ // "" for an error
		"192.0.2.7": "192.0.2.7/32", "2001:db8::1": "2001:db8::1/128", "10.0.0.0/8": "10.0.0.0/8",
		"fd00::/8": "fd00::/8", "0.0.0.0/0": "0.0.0.0/0",
		"proxy.test": "", "10.0.0.0/33": "", "10.0.0.1:80": "", "": "",
	} {
		got, err := config.Server{TrustedProxies: []string{"10.0.0.1", entry}}.Proxies()
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is neither", entry))):
			t.Errorf("%q: error is %v; want one that names the entry", entry, err)
		case want != "" && (err != nil || len(got) != 2 || got[1].String() != want):
			t.Errorf("%q: got %v, %v; want %s", entry, got, err, want)
		}
	}
}

func TestForwardHeader(t *testing.T) {
	for setting, want := range map[string]string{
		"":                           "",
		config.ForwardOff:            "",
		config.ForwardSBForwardedFor: "Sb-Forwarded-For",
		"X-Forwarded-For":            "X-Forwarded-For",
	} {
		if got := (config.Supabase{ForwardClientIP: setting}).ForwardHeader(); got != want {
			t.Errorf("ForwardHeader of %q = %q, want %q", setting, got, want)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	const canary = "canary-0123456789"
	c := config.Default()
	c.TikTok.ClientSecret = canary
	c.TikTok.PreviousClientSecret = canary
	c.Supabase.SecretKey = canary
	c.Backend.Secret = canary
	c.Webhook.Secret = canary
	c.Seal.Keys = []signin.Secret{canary, canary}
	c.Store.RedisURL = canary

	log := func(handler func(*bytes.Buffer) slog.Handler) string {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("loaded", slog.Any("config", c), slog.Any("pointer", &c), slog.Any("seal", c.Seal))
		return b.String()
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"v":          fmt.Sprintf("%v", c),
		"plus v":     fmt.Sprintf("%+v", c),
		"sharp v":    fmt.Sprintf("%#v", c),
		"pointer":    fmt.Sprintf("%+v", &c),
		"hex":        fmt.Sprintf("%x %q %x", c.TikTok.ClientSecret, c.Supabase.SecretKey, c.Seal.Keys),
		"print":      fmt.Sprint(c),
		"json":       string(encoded),
		"slog text":  log(func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }),
		"slog json":  log(func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }),
		"walk":       walked(c),
		"json error": fmt.Sprint(json.Unmarshal([]byte(`{"Seal":0}`), &config.Config{})),
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
				t.Errorf("the secret shows in:\n%s", text)
			}
			if name != "json error" && !strings.Contains(text, "[redacted]") {
				t.Errorf("nothing is [redacted] in:\n%s", text)
			}
		})
	}
}

func walked(c config.Config) string {
	var b strings.Builder
	config.Walk(c, func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) })
	return b.String()
}
