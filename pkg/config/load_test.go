package config_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// complete is an environment with which everything loads.
var complete = map[string]string{
	"TIKTOK_CLIENT_KEY":        "awkey",
	"TIKTOK_CLIENT_SECRET":     "client-secret",
	"SUPABASE_URL":             "https://abc.supabase.co",
	"SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x",
	"SUPABASE_SECRET_KEY":      "sb_secret_x",
	"TIKBRIDGE_APP_ORIGINS":    "https://app.test",
}

// isOurs tells whether the configuration may depend on a variable.
func isOurs(name string) bool {
	prefixed := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return name == "PORT" || slices.ContainsFunc([]string{"TIKBRIDGE_", "TIKTOK_", "SUPABASE_"}, prefixed)
}

// setenv makes the environment what a test says, whatever it was before; later sets win.
func setenv(t *testing.T, sets ...map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if isOurs(name) {
			t.Setenv(name, "") // puts the old value back at the end
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	env := map[string]string{}
	for _, set := range sets {
		maps.Copy(env, set)
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// writeFile returns the path of a new file.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems returns what err lists; an error of another type ends the test.
func problems(t *testing.T, err error) config.Problems {
	t.Helper()
	var p config.Problems
	if err != nil && !errors.As(err, &p) {
		t.Fatalf("error %v is a %T, want Problems", err, err)
	}
	return p
}

func keysOf(p config.Problems) []string {
	var keys []string
	for _, problem := range p {
		keys = append(keys, problem.Key)
	}
	return keys
}

func TestLoadNamesEverythingMissing(t *testing.T) {
	setenv(t, nil)
	c, err := config.Load("")
	want := strings.Join([]string{
		"the configuration has problems:",
		"  tiktok.client_key is missing. Set TIKTOK_CLIENT_KEY to the Client key of your app at " +
			"developers.tiktok.com.",
		"  tiktok.client_secret is missing. Set TIKTOK_CLIENT_SECRET to the Client secret of your app " +
			"at developers.tiktok.com.",
		"  supabase.url is missing. Set SUPABASE_URL to your project's address, like " +
			"https://abcdefghijkl.supabase.co.",
		"  supabase.publishable_key is missing. Set SUPABASE_PUBLISHABLE_KEY to the publishable key " +
			"(sb_publishable_...) or the legacy anon key, from Project Settings > API Keys.",
		"  supabase.secret_key is missing. Set SUPABASE_SECRET_KEY to a secret key (sb_secret_...) or " +
			"the legacy service_role key, from Project Settings > API Keys.",
		"  app.origins is missing. Set TIKBRIDGE_APP_ORIGINS to the address of your app, like " +
			"https://app.example (several: separated by commas).",
	}, "\n")
	if diff := cmp.Diff(want, problems(t, err).Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(config.Config{}, c); diff != "" {
		t.Errorf("a Config came with the error:\n%s", diff)
	}
}

func TestLoadPrecedence(t *testing.T) {
	const file = "server: {listen: ':1000', shutdown_timeout: 1s}\nlog: {level: warn}\n"
	setenv(t, complete, map[string]string{"TIKBRIDGE_SERVER_LISTEN": ":2000"})
	c, err := config.Load(writeFile(t, "c.yaml", file), func(c *config.Config) { c.Log.Level = "error" })
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.AdminListen != "127.0.0.1:9090" {
		t.Errorf("default: admin_listen = %q", c.Server.AdminListen)
	}
	if c.Server.ShutdownTimeout != time.Second {
		t.Errorf("file over default: shutdown_timeout = %v", c.Server.ShutdownTimeout)
	}
	if c.Server.Listen != ":2000" {
		t.Errorf("environment over file: listen = %q", c.Server.Listen)
	}
	if c.Log.Level != "error" {
		t.Errorf("caller over all: level = %q", c.Log.Level)
	}
}

// Every key can be set by its variable: nobody needs a file.
func TestLoadEveryKeyFromEnvironment(t *testing.T) {
	const key1, key2 = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	const messageKey = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	signingKey := newSigningKey(t, 2048)
	values := map[string]string{ // what differs from the default
		"server.listen": ":1", "server.admin_listen": ":2", "server.public_url": "https://signin.test",
		"server.trusted_proxies": "10.0.0.0/8", "server.client_ip_header": "Fly-Client-IP",
		"server.shutdown_delay": "0s", "server.shutdown_timeout": "1s",
		"tiktok.client_key": "k", "tiktok.client_secret": "s", "tiktok.previous_client_secret": "t",
		"tiktok.scopes": "user.info.basic,video.list",
		"tiktok.pkce":   "hex", "tiktok.return_tokens": "true", "tiktok.on_removed": "ban",
		"tiktok.site_verification": "AbC123dEf456",
		"tiktok.authorize_url":     "http://sim/a",
		"tiktok.api_url":           "http://sim", "tiktok.timeout": "2s",
		"accounts":     "backend",
		"supabase.url": "http://kong", "supabase.auth_url": "http://gotrue", "supabase.publishable_key": "p",
		"supabase.secret_key": "q", "supabase.email_domain": "mail.test", "supabase.adopt": "evict",
		"supabase.forward_client_ip": "X-Real-Ip", "supabase.provider": "custom:t", "supabase.timeout": "3s",
		"backend.url": "http://app:3000/tiktok", "backend.secret": messageKey, "backend.timeout": "4s",
		"webhook.url": "https://events.test/?from=tiktok", "webhook.secret": key1,
		"oidc.supabase_secret": key1, "oidc.issuer": "https://issuer.test",
		"oidc.clients":      `[{"id":"app","secret":"` + key2 + `","redirect_uris":["https://a.test/cb"],"alg":"ES256"}]`,
		"oidc.signing_keys": signingKey,
		"app.origins":       "https://o.test", "app.redirect_uris": "https://o.test/r",
		"app.deeplink_schemes": "mine", "app.auth_path": "/in", "app.default_redirect": "/home",
		"app.name": "Bloom", "app.logo_url": "/logo.png",
		"security.guide_flow": "false", "seal.keys": key2 + "2 " + key1 + "1", "store.redis_url": "redis://r",
		"rate_limit.enabled": "false", "rate_limit.start": "1", "rate_limit.exchange": "2", "rate_limit.redeem": "3",
		"log.level": "debug", "log.format": "text",
	}
	env := map[string]string{}
	for key, value := range values {
		env[variable(key)] = value
	}
	setenv(t, env)
	var got config.Config
	_, err := config.Load("", func(c *config.Config) { got = *c })
	want := config.Config{
		Server: config.Server{
			Listen: ":1", AdminListen: ":2", PublicURL: "https://signin.test",
			TrustedProxies: []string{"10.0.0.0/8"}, ClientIPHeader: "Fly-Client-IP", ShutdownTimeout: time.Second,
		},
		TikTok: config.TikTok{
			ClientKey: "k", ClientSecret: "s", PreviousClientSecret: "t", OnRemoved: "ban",
			SiteVerification: []string{"AbC123dEf456"},
			Scopes:           []string{"user.info.basic", "video.list"}, PKCE: "hex",
			ReturnTokens: true, AuthorizeURL: "http://sim/a", APIURL: "http://sim", Timeout: 2 * time.Second,
		},
		Accounts: "backend",
		Backend:  config.Backend{URL: "http://app:3000/tiktok", Secret: messageKey, Timeout: 4 * time.Second},
		Webhook:  config.Webhook{URL: "https://events.test/?from=tiktok", Secret: key1},
		Supabase: config.Supabase{
			URL: "http://kong", AuthURL: "http://gotrue", PublishableKey: "p", SecretKey: "q",
			EmailDomain: "mail.test", Adopt: "evict", ForwardClientIP: "X-Real-Ip",
			Provider: "custom:t", Timeout: 3 * time.Second,
		},
		OIDC: config.OIDC{
			SupabaseSecret: key1, Issuer: "https://issuer.test",
			Clients: []config.OIDCClient{{
				ID: "app", Secret: key2, RedirectURIs: []string{"https://a.test/cb"}, Alg: "ES256",
			}},
			SigningKeys: []signin.Secret{signin.Secret(signingKey)},
		},
		App: config.App{
			Origins: []string{"https://o.test"}, RedirectURIs: []string{"https://o.test/r"},
			DeeplinkSchemes: []string{"mine"}, AuthPath: "/in", DefaultRedirect: "/home",
			Name: "Bloom", LogoURL: "/logo.png",
		},
		Security:  config.Security{GuideFlow: false},
		Seal:      config.Seal{Keys: []signin.Secret{key2 + "2", key1 + "1"}},
		Store:     config.Store{RedisURL: "redis://r"},
		RateLimit: config.RateLimit{Enabled: false, Start: 1, Exchange: 2, Redeem: 3},
		Log:       config.Log{Level: "debug", Format: "text"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Config (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(allKeys(), sortedLike(allKeys(), values)); diff != "" {
		t.Errorf("this test lacks keys (-Config +test):\n%s", diff)
	}
	if err != nil {
		t.Error(err)
	}
}

// sortedLike returns the keys of m in the order of order.
func sortedLike(order []string, m map[string]string) []string {
	var keys []string
	for _, key := range order {
		if _, ok := m[key]; ok {
			keys = append(keys, key)
		}
	}
	return keys
}

func keySet(p config.Problems) map[string]string {
	m := map[string]string{}
	for _, problem := range p {
		m[problem.Key] = problem.What
	}
	return m
}

// TestLoadAliases: of the variables of a key, the first that is not empty wins.
func TestLoadAliases(t *testing.T) {
	for key, names := range aliases {
		if key == "server.listen" {
			continue // see TestLoadPort
		}
		names = append([]string{variable(key)}, names...)
		for i, first := range names {
			t.Run(first, func(t *testing.T) {
				env := maps.Clone(complete)
				for _, name := range names[:i] {
					env[name] = ""
				}
				for j, name := range names[i:] {
					env[name] = fmt.Sprintf(" https://%d.test\r\n", j) // pasted with the end of a line
				}
				setenv(t, env)
				c, err := config.Load("")
				if err != nil {
					t.Fatal(err)
				}
				config.Walk(c, func(k string, value any) {
					if secret, ok := value.(signin.Secret); ok {
						value = secret.Reveal()
					}
					if k == key && value != "https://0.test" {
						t.Errorf("%s is %q; want the value of %s", key, value, first)
					}
				})
			})
		}
	}
}

func TestLoadPort(t *testing.T) {
	tests := []struct {
		name, port, listen, file, want string
	}{
		{name: "none", want: ":8080"},
		{name: "PORT", port: "3000", want: ":3000"},
		{name: "TIKBRIDGE_SERVER_LISTEN wins", port: "3000", listen: "127.0.0.1:4000", want: "127.0.0.1:4000"},
		{name: "PORT wins over the file", port: "3000", file: ":5000", want: ":3000"},
		{name: "PORT keeps the host of the file", port: "3000", file: "127.0.0.1:5000", want: "127.0.0.1:3000"},
		{name: "PORT keeps an IPv6 host", port: "3000", file: "[::1]:5000", want: "[::1]:3000"},
		{name: "file", file: ":5000", want: ":5000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, complete, map[string]string{"PORT": tt.port, "TIKBRIDGE_SERVER_LISTEN": tt.listen})
			file := ""
			if tt.file != "" {
				file = writeFile(t, "c.yaml", "server: {listen: '"+tt.file+"'}")
			}
			c, err := config.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			if c.Server.Listen != tt.want {
				t.Errorf("listen = %q, want %q", c.Server.Listen, tt.want)
			}
		})
	}
}

func TestLoadLists(t *testing.T) {
	for value, want := range map[string][]string{
		"one":                  {"one"},
		"one,two":              {"one", "two"},
		"one, two":             {"one", "two"},
		"one two":              {"one", "two"},
		" one ,, two , ":       {"one", "two"},
		"one\ntwo\r\n\tthree,": {"one", "two", "three"},
	} {
		t.Run(value, func(t *testing.T) {
			setenv(t, complete, map[string]string{"TIKBRIDGE_APP_DEEPLINK_SCHEMES": value})
			c, err := config.Load("")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, c.App.DeeplinkSchemes); diff != "" {
				t.Errorf("deeplink_schemes (-want +got):\n%s", diff)
			}
			fromFile, err := config.Load(
				writeFile(t, "c.json", `{"app":{"origins":"https://app.test"},"tiktok":{"scopes":["user.info.basic"," b "]}}`),
			)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"user.info.basic", "b"}, fromFile.TikTok.Scopes); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadDurationsAndBools(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "1m30s": 90 * time.Second, " 2s ": 2 * time.Second,
	} {
		t.Run(value, func(t *testing.T) {
			setenv(t, complete, map[string]string{"TIKBRIDGE_TIKTOK_TIMEOUT": value})
			c, err := config.Load("")
			if err != nil {
				t.Fatal(err)
			}
			if c.TikTok.Timeout != want {
				t.Errorf("timeout = %v, want %v", c.TikTok.Timeout, want)
			}
		})
	}
	for value, want := range map[string]bool{
		"true": true, "TRUE": true, "1": true, "t": true, "false": false, "0": false,
	} {
		t.Run(value, func(t *testing.T) {
			setenv(t, complete, map[string]string{"TIKBRIDGE_RATE_LIMIT_ENABLED": value})
			c, err := config.Load("")
			if err != nil {
				t.Fatal(err)
			}
			if c.RateLimit.Enabled != want {
				t.Errorf("enabled = %v, want %v", c.RateLimit.Enabled, want)
			}
		})
	}
}

func TestLoadRefusesUnknownNames(t *testing.T) {
	const noIdea = "Remove it, or see configs/tikbridge.example.yaml for all keys."
	noKey := func(key, fix string) config.Problem {
		return config.Problem{Key: key, What: "is not a key of the configuration", Fix: fix}
	}
	noVariable := func(name, fix string) config.Problem {
		return config.Problem{Key: name, What: "is a variable that sets nothing", Fix: fix}
	}
	type env = map[string]string
	refuses := func(name string, env env, file string, want ...config.Problem) {
		t.Run(name, func(t *testing.T) {
			setenv(t, complete, env)
			path := ""
			if file != "" {
				path = writeFile(t, "c.yaml", file)
			}
			_, err := config.Load(path)
			if diff := cmp.Diff(config.Problems(want), problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	refuses("key of nothing", nil, "bananas: {ripe: true}\ntop: 1", noKey("bananas.ripe", noIdea), noKey("top", noIdea))
	refuses("key without a name", nil, `{"": 1}`, noKey(`""`, noIdea))
	refuses("misspelt key without a value", nil, "app:\n  orgins:\n",
		noKey("app.orgins", "Did you mean app.origins (TIKBRIDGE_APP_ORIGINS)?"))
	refuses("value where a section belongs", nil, "log:\n  level:warn\n", config.Problem{
		Key: "log", What: "is a section and has no value itself",
		Fix: "Write its keys below it, each indented by two spaces.",
	})
	refuses("misspelt variable of a section with two words", env{"TIKBRIDGE_RATELIMIT_ENABLE": "x"}, "",
		noVariable("TIKBRIDGE_RATELIMIT_ENABLE", "Did you mean rate_limit.enabled (TIKBRIDGE_RATE_LIMIT_ENABLED)?"))
	refuses("variables of nothing, in order",
		env{"TIKBRIDGE_ZEBRA": "x", "TIKBRIDGE_APPLE_PIE": "x", "TIKBRIDGE_PORT": "8080"}, "",
		noVariable("TIKBRIDGE_APPLE_PIE", noIdea), noVariable("TIKBRIDGE_PORT", noIdea),
		noVariable("TIKBRIDGE_ZEBRA", noIdea))
	refuses("file, environment and values at once",
		env{"TIKBRIDGE_NOTHING": "x", "TIKTOK_CLIENT_KEY": "", "TIKBRIDGE_TIKTOK_TIMEOUT": "soon"}, "log: {lvel: info}",
		noKey("log.lvel", "Did you mean log.level (TIKBRIDGE_LOG_LEVEL)?"), noVariable("TIKBRIDGE_NOTHING", noIdea),
		config.Problem{
			Key: "tiktok.timeout", What: "has a value of the wrong type", Fix: "It must be a number with a unit, like 10s.",
		},
		config.Problem{
			Key: "tiktok.client_key", What: "is missing",
			Fix: "Set TIKTOK_CLIENT_KEY to the Client key of your app at developers.tiktok.com.",
		})
	refuses("nothing of other programs' variables", env{
		"TIKTOK_SOMETHING": "x", "SUPABASE_DB_PASSWORD": "x", "TIKBRIDGE_CONTRACT_URL": "x",
		// Kubernetes, for services named tikbridge and tikbridge-admin.
		"TIKBRIDGE_SERVICE_HOST": "10.0.0.1", "TIKBRIDGE_SERVICE_PORT": "80", "TIKBRIDGE_SERVICE_PORT_HTTP": "80",
		"TIKBRIDGE_PORT": "tcp://10.0.0.1:80", "TIKBRIDGE_PORT_80_TCP": "tcp://10.0.0.1:80",
		"TIKBRIDGE_PORT_80_TCP_PROTO": "tcp", "TIKBRIDGE_PORT_80_TCP_PORT": "80", "TIKBRIDGE_PORT_80_TCP_ADDR": "10.0.0.1",
		"TIKBRIDGE_ADMIN_SERVICE_HOST": "10.0.0.2", "TIKBRIDGE_ADMIN_PORT": "tcp://10.0.0.2:9090",
	}, "")
}

func TestLoadReportsWrongTypes(t *testing.T) {
	const text, number = "It must be text; put it in quotes.", "It must be a whole number, without quotes or units."
	const duration, boolean = "It must be a number with a unit, like 10s.", "It must be true or false."
	const list = "It must be a list of texts: [a, b] in a file, a,b in a variable."
	tests := []struct{ key, value, fix string }{
		{"server.shutdown_timeout", "hunter2", duration},
		{"server.shutdown_timeout", "15", duration},
		{"server.shutdown_timeout", "1.5", duration},
		{"server.shutdown_timeout", "true", duration},
		{"server.shutdown_timeout", "[hunter2]", duration},
		{"server.listen", "8080", text},
		{"server.listen", "[hunter2]", text},
		{"server.trusted_proxies", "[[hunter2]]", list},
		{"server.trusted_proxies", "{hunter2: x}", list},
		{"tiktok.client_secret", "{hunter2: x}", text},
		{"server.trusted_proxies", "5", list},
		{"tiktok.client_key", "0123", text},
		{"tiktok.client_secret", "12345", text},
		{"tiktok.client_secret", "true", text},
		{"tiktok.return_tokens", "hunter2", boolean},
		{"tiktok.return_tokens", "[true]", boolean},
		{"seal.keys", "[1, 2]", list},
		{"rate_limit.start", "hunter2", number},
		{"rate_limit.start", "true", number},
		{"rate_limit.start", "[30]", number},
	}
	for _, tt := range tests {
		t.Run(tt.key+" "+tt.value, func(t *testing.T) {
			env := maps.Clone(complete)
			for _, name := range aliases[tt.key] {
				delete(env, name) // else it replaces the value of the file
			}
			setenv(t, env)
			section, key, _ := strings.Cut(tt.key, ".")
			_, err := config.Load(writeFile(t, "c.yaml", section+":\n  "+key+": "+tt.value+"\n"))
			want := config.Problems{{tt.key, "has a value of the wrong type", tt.fix}}
			if diff := cmp.Diff(want, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		setenv(t, complete, map[string]string{"TIKBRIDGE_SUPABASE_TIMEOUT": "15", "TIKBRIDGE_RATE_LIMIT_ENABLED": "perhaps"})
		_, err := config.Load(
			writeFile(t, "c.yaml", "server: {shutdown_timeout: soon}\napp: {auth_path: 5, default_redirect: nowhere}"),
		)
		got := sortedLike(allKeys(), keySet(problems(t, err)))
		want := []string{
			"server.shutdown_timeout", "supabase.timeout", "app.auth_path", "app.default_redirect", "rate_limit.enabled",
		}
		if diff := cmp.Diff(want, got); diff != "" || len(problems(t, err)) != len(want) {
			t.Errorf("keys with problems (-want +got):\n%s%v", diff, err)
		}
	})
}

func TestLoadFileFormats(t *testing.T) {
	setenv(t, complete)
	want, err := config.Load("", func(c *config.Config) {
		c.Server.ShutdownTimeout = time.Minute
		c.TikTok.Scopes = []string{"user.info.basic", "video.list"}
		c.TikTok.ReturnTokens = true
		c.RateLimit.Exchange = 5
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"c.yaml": "server: {shutdown_timeout: 1m}\ntiktok:\n  pkce: off\n" +
			"  scopes: [user.info.basic, video.list]\n  return_tokens: true\nrate_limit: {exchange: 5}\n",
		"c.yml": "Server: {Shutdown_Timeout: 1m}\n" +
			"tiktok: {scopes: 'user.info.basic, video.list', return_tokens: 'true'}\nrate_limit: {exchange: '5'}\n",
		"c.YAML": "server: {shutdown_timeout: 1m}\n" +
			"tiktok: {scopes: [user.info.basic, video.list], return_tokens: true}\nrate_limit: {exchange: 5}\n",
		"c.toml": "[server]\nshutdown_timeout = '1m'\n[tiktok]\n" +
			"scopes = ['user.info.basic', 'video.list']\nreturn_tokens = true\n[rate_limit]\nexchange = 5\n",
		"c.json": `{"server":{"shutdown_timeout":"1m"},"tiktok":` +
			`{"scopes":["user.info.basic","video.list"],"return_tokens":true},"rate_limit":{"exchange":5}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.Load(writeFile(t, name, text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Config (-want +got):\n%s", diff)
			}
		})
	}
}

// A key or a section without a value counts as left out. Viper once let such a section hide its
// variables, now and then, by the order of a map.
func TestLoadKeysWithoutValue(t *testing.T) {
	want := config.Default()
	want.Server.ShutdownTimeout = time.Minute
	setenv(t, map[string]string{"TIKBRIDGE_SERVER_SHUTDOWN_TIMEOUT": "1m"})
	for name, text := range map[string]string{
		"empty file":       "",
		"only a comment":   "# nothing yet\n",
		"byte order mark":  "\ufeffserver:\n", // YAML allows it
		"empty sections":   "server:\n  # listen: ':9'\ntiktok:\nlog: {}\n",
		"empty values":     "server: {listen: , trusted_proxies: ~}\ntiktok: {client_secret: null, scopes: }\n",
		"empty everything": "server:\n  shutdown_timeout:\nlog:\n  level:\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "c.yaml", text)
			for range 20 {
				var got config.Config
				_, err := config.Load(path, func(c *config.Config) { got = *c })
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("Config (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(requiredKeys, keysOf(problems(t, err))); diff != "" {
					t.Fatalf("keys with problems (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestLoadUnreadableFile(t *testing.T) {
	setenv(t, complete)
	const plain, bom = "which cannot be read", "which begins with a byte order mark"
	tests := []struct{ name, file, text, what string }{
		{"no ending", "config", "log: {level: info}", "which has no known ending"},
		{"environment file", ".env", "CANARY", "which has no known ending"},
		{"YAML", "c.yaml", "log:\n  level: info\n bad\n", plain + ` at or near line \d`},
		{"YAML, unknown anchor", "c.yaml", "tiktok:\n  client_secret: *CANARY\n", plain},
		{"YAML, text alone", "c.yaml", "CANARY", plain},
		{
			"YAML, key twice", "c.yaml", "log:\n  level: info\n  level: CANARY\n",
			`which sets log\.level twice \(lines 2 and 3\)`,
		},
		{
			"YAML, key twice in braces", "c.yaml", "log: {format: json}\ntiktok: {pkce: off, pkce: CANARY}\n",
			`which sets tiktok\.pkce twice \(lines 2 and 2\)`,
		},
		{
			"YAML, section twice", "c.yaml", "log: {level: CANARY}\nseal:\nlog: {format: CANARY}\n",
			`which sets log twice \(lines 1 and 3\)`,
		},
		{
			"YAML, value twice where a key belongs", "c.yaml", "seal:\n  CANARY: x\n  CANARY: x\n",
			`which sets a key twice \(lines 2 and 3\)`,
		},
		{"TOML", "c.toml", "[tiktok]\nclient_secret = CANARY\n", plain + " at line 2"},
		{"TOML, key twice", "c.toml", "[log]\nlevel = 'info'\nlevel = 'CANARY'\n", "which sets level twice"},
		{"TOML, section twice", "c.toml", "[log]\nlevel = 'info'\n[log]\nformat = 'CANARY'\n", "which sets log twice"},
		{"TOML, byte order mark", "c.toml", "\ufeff[log]\nlevel = 'info'\n", bom + ` \(UTF-8\)`},
		{
			"JSON, key twice", "c.json",
			`{"app":{"origins":[[1]]},"tiktok":{"client_secret":"a","Client_Secret":"CANARY"}}`,
			`which sets tiktok\.client_secret twice`,
		},
		{"JSON, section twice", "c.json", `{"log":{"level":"info"},"log":{"level":"CANARY"}}`, "which sets log twice"},
		{"JSON, byte order mark", "c.json", "\ufeff{}", bom + ` \(UTF-8\)`},
		{"JSON, UTF-16", "c.json", "\xff\xfe{\x00}\x00", bom + ` \(UTF-16\)`},
		{"JSON", "c.json", `{"tiktok": {"client_secret": CANARY}}`, plain + ` at character \d+`},
		{"JSON, text alone", "c.json", `"CANARY"`, plain},
		{"YAML in JSON", "c.json", "log:\n  level: info\n", plain + ` at character \d+`},
	}
	wantProblem := func(t *testing.T, path, what string) {
		t.Helper()
		_, err := config.Load(path)
		p := problems(t, err)
		pattern := regexp.MustCompile(`^names \S+` + regexp.QuoteMeta(filepath.Base(path)) + ", " + what + "$")
		if len(p) != 1 || p[0].Key != "--config" || p[0].Fix == "" || !pattern.MatchString(p[0].What) {
			t.Errorf("problems = %+v, want one of --config whose text matches %s", p, pattern)
		}
		if strings.Contains(p.Error(), "CANARY") {
			t.Errorf("the error shows the content of the file: %v", err)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantProblem(t, writeFile(t, tt.file, tt.text), tt.what) })
	}
	wantProblem(t, filepath.Join(t.TempDir(), "none.yaml"), "which does not exist")
	directory := filepath.Join(t.TempDir(), "dir.yaml")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, directory, "which cannot be read: .*")
}

// Entries that end in /* narrow where people may return to; they take no default away from TikTok.
func TestLoadRedirectFolders(t *testing.T) {
	setenv(t, complete)
	t.Setenv("TIKBRIDGE_APP_ORIGINS", "https://app.test")
	t.Setenv("TIKBRIDGE_APP_REDIRECT_URIS", "https://app.test/in/*")
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.StartPage(), "https://app.test/"; got != want {
		t.Errorf("start page = %q, want %q", got, want)
	}
	want := []string{
		"https://app.test/in/*", "https://app.test/native-callback", "https://app.test/native-callback.html",
		"https://app.test/auth", "https://app.test/auth.html",
	}
	if diff := cmp.Diff(want, c.App.RedirectURIs); diff != "" {
		t.Errorf("redirect_uris (-want +got):\n%s", diff)
	}
}

// With a public URL the default page is one the flow leads to, so it must be allowed.
func TestLoadStartPageNotAllowed(t *testing.T) {
	setenv(t, complete)
	t.Setenv("TIKBRIDGE_APP_ORIGINS", "https://app.test")
	t.Setenv("TIKBRIDGE_APP_REDIRECT_URIS", "https://app.test/in/*")
	t.Setenv("TIKBRIDGE_SERVER_PUBLIC_URL", "https://signin.app.test")
	_, err := config.Load("")
	if diff := cmp.Diff([]string{"app.default_redirect"}, keysOf(problems(t, err))); diff != "" {
		t.Errorf("keys with problems (-want +got):\n%s", diff)
	}
	t.Setenv("TIKBRIDGE_APP_DEFAULT_REDIRECT", "/in/welcome")
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.StartPage(), "https://app.test/in/welcome"; got != want {
		t.Errorf("start page = %q, want %q", got, want)
	}
}

// An origin with a wildcard is no page, and neither is the bridge beside it.
func TestLoadNoStartPage(t *testing.T) {
	setenv(t, complete)
	t.Setenv("TIKBRIDGE_APP_ORIGINS", "https://*.preview.test")
	t.Setenv("TIKBRIDGE_SERVER_PUBLIC_URL", "https://signin.app.test")
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.StartPage(); got != "" {
		t.Errorf("start page = %q, want none", got)
	}
}

// Pages that an app brings along may call. They are no page that TikTok or the bridge leads to.
func TestLoadAppOrigins(t *testing.T) {
	setenv(t, complete)
	t.Setenv("TIKBRIDGE_APP_ORIGINS", "capacitor://localhost,ionic://localhost,https://app.test")
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.App.RedirectURIs) == 0 {
		t.Error("the web app has no redirect URIs")
	}
	for _, uri := range c.App.RedirectURIs {
		if !strings.HasPrefix(uri, "https://") {
			t.Errorf("TikTok would be given %s", uri)
		}
	}
	if got := c.StartPage(); !strings.HasPrefix(got, "https://app.test/") {
		t.Errorf("start page = %q, want one of the web app", got)
	}
	t.Setenv("TIKBRIDGE_SERVER_PUBLIC_URL", "capacitor://localhost")
	if _, err := config.Load(""); err == nil || !strings.Contains(err.Error(), "https://") {
		t.Errorf("got %v; want a public address of the web", err)
	}
}
