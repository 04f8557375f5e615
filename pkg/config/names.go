package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
)

// aliases are variables that platforms and guides already use, besides TIKBRIDGE_<SECTION>_<KEY>. The first
// that is set wins.
var aliases = map[string][]string{
	"tiktok.client_key":        {"TIKTOK_CLIENT_KEY"},
	"tiktok.client_secret":     {"TIKTOK_CLIENT_SECRET"},
	"supabase.url":             {"SUPABASE_URL"},
	"supabase.publishable_key": {"SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"},
	"supabase.secret_key":      {"SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"},
}

const envPrefix = "TIKBRIDGE_"

// envName returns the variable that has the name of key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Variables returns all variables that set key, in the order in which they win.
func Variables(key string) []string { return variables(key) }

func variables(key string) []string { return append([]string{envName(key)}, aliases[key]...) }

// variable returns the variable that sets key: the one in use, else the shortest.
func variable(key string) string {
	for _, name := range variables(key) {
		if os.Getenv(name) != "" {
			return name
		}
	}
	if names := aliases[key]; len(names) > 0 {
		return names[0]
	}
	return envName(key)
}

// known are all keys of the configuration.
var known = func() map[string]bool {
	keys := map[string]bool{}
	Walk(Default(), func(key string, _ any) { keys[key] = true })
	return keys
}()

var keyPattern = regexp.MustCompile(`\b[a-z_]+\.[a-z_]+\b`)

// VariablesIn returns a note to put behind a text: the variables that set the keys in it, for those who have
// no configuration file. It is empty if there are none, or the text names them itself.
func VariablesIn(text string) string {
	var names []string
	for _, key := range keyPattern.FindAllString(text, -1) {
		isNamed := func(name string) bool { return strings.Contains(text, name) || slices.Contains(names, name) }
		if known[key] && !slices.ContainsFunc(variables(key), isNamed) {
			names = append(names, variable(key))
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return " (Variable: " + names[0] + ".)"
	}
	return " (Variables: " + strings.Join(names, ", ") + ".)"
}

// wanted says what belongs into a key, as the end of a sentence that begins "Set it to".
func wanted(key string) string {
	const ofApp, fromPage = " of your app at developers.tiktok.com.", ", from Project Settings > API Keys."
	switch key {
	case "server.public_url":
		return "the address at which browsers reach the bridge."
	case "tiktok.client_key":
		return "the Client key" + ofApp
	case "tiktok.client_secret":
		return "the Client secret" + ofApp
	case "tiktok.site_verification":
		return "the name of the file that TikTok offers, like tiktokAbC123dEf456.txt."
	case "supabase.url":
		return "your project's address, like https://abcdefghijkl.supabase.co."
	case "supabase.publishable_key":
		return "the publishable key (sb_publishable_...) or the legacy anon key" + fromPage
	case "supabase.secret_key":
		return "a secret key (sb_secret_...) or the legacy service_role key" + fromPage
	case "backend.url":
		return "the address of your backend's route, like https://app.example/tiktok."
	case "backend.secret", "webhook.secret":
		return "whsec_ and what `openssl rand -base64 32` prints."
	case "webhook.url":
		return "the address that takes events."
	case "app.origins":
		return "the address of your app, like https://app.example (several: separated by commas)."
	case "app.redirect_uris":
		return "the addresses that TikTok may return to."
	case "oidc.supabase_secret", "oidc.clients":
		return "a secret made with `openssl rand -hex 32`."
	case "seal.keys":
		return "a key made with `openssl rand -base64 32`."
	case "store.redis_url":
		return "the address of your Redis."
	}
	return "a value of your own."
}
