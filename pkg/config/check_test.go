package config_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// jwt returns what looks like a legacy key.
func jwt(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature"))
}

// set gives a key the value that a text says.
func set(t *testing.T, c *config.Config, key, text string) {
	t.Helper()
	tagged := func(v reflect.Value, tag string) reflect.Value {
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("mapstructure") == tag {
				return v.Field(i)
			}
		}
		t.Fatalf("there is no %s", key)
		return v
	}
	section, name, _ := strings.Cut(key, ".")
	switch {
	case section == "oidc" || key == "supabase.provider":
		withProvider(c)
	case section == "backend":
		useBackend(c)
	case section == "webhook":
		c.Webhook.URL, c.Webhook.Secret = "https://app.test/events", messageSecret
	}
	field := tagged(reflect.ValueOf(c).Elem(), section)
	if name != "" {
		field = tagged(field, name)
	}
	var err error
	switch v := field.Addr().Interface().(type) {
	case *[]string:
		*v = strings.Fields(text)
	case *[]signin.Secret:
		for _, secret := range strings.FieldsFunc(text, func(r rune) bool { return r == '|' }) {
			*v = append(*v, signin.Secret(secret))
		}
	case *[]config.OIDCClient:
		err = json.Unmarshal([]byte(text), v)
	case *time.Duration:
		*v, err = time.ParseDuration(text)
	case *int:
		*v, err = strconv.Atoi(text)
	default:
		field.SetString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// values are what a key may be and may not be.
type values struct {
	key       string
	bad, good []string
}

func of(key string, bad, good []string) values { return values{key, bad, good} }

func bad(list ...string) []string { return list }

func good(list ...string) []string { return list }

func TestCheck(t *testing.T) {
	// A bad value gives exactly one problem, of this key: nothing that follows from it adds noise.
	tests := []values{
		of("server.listen", bad("", "8080", "localhost", ":", "localhost:", ":99999", ":-1", ":http", "::1:80"),
			good(":8080", ":0", "127.0.0.1:65535", "[::1]:80", "localhost:80")),
		of("server.admin_listen", bad("9090", "127.0.0.1", ":70000"), good("", "127.0.0.1:9090", "[::1]:9090")),
		of("server.public_url",
			bad("signin.test", "http://signin.test", "https://signin.test/path", "https://*.test",
				"https://*.signin.test", "https://u@signin.test"),
			good("", "https://signin.test", "https://signin.test/", "http://localhost:8080",
				"https://signin.test:8443")),
		of("server.trusted_proxies", bad("proxy.test", "10.0.0.0/33", "10.0.0.1:80", "10.0"),
			good("10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8")),
		of("server.client_ip_header", bad("", "X-Real-IP:", "X Real IP"), good("X-Real-IP", "fly-client-ip")),
		of("server.shutdown_delay", bad("-1s"), good("0s", "1ms", "1h")),
		of("server.shutdown_timeout", bad("0", "-1s"), good("1ms", "1h")),
		of("tiktok.client_key", bad(""), good("awkey")),
		of("tiktok.client_secret", bad(""), good("secret")),
		of("tiktok.scopes", bad(""), good("user.info.basic", "user.info.basic video.list")),
		of("tiktok.pkce", bad("", "on", "Hex", "S256"), good("off", "hex", "base64url")),
		of("tiktok.site_verification",
			bad("short", "tiktok.txt", "tiktokAbC123dEf456.html", "AbC123dEf456.txt/", "../../etc/passwd", "AbC123_dEf456",
				"https://signin.test/tiktokAbC123dEf456.txt", "tiktok-site-verification=AbC123dEf456",
				strings.Repeat("a", 129)),
			good("", "AbC123dEf456", "tiktokAbC123dEf456.txt", "tiktok-developers-site-verification=AbC123dEf456",
				"AbC123dEf456 0123456789abcdefABCDEF0123456789")),
		of("tiktok.authorize_url",
			bad("", "www.tiktok.com", "ftp://tiktok.test", "/v2/auth", "https://", "https://u:p@tiktok.test",
				"https://tiktok.test/?a=b", "https://tiktok.test/#a", "javascript:alert(1)", "https://tik tok.test"),
			good("https://www.tiktok.com/v2/auth/authorize/", "http://127.0.0.1:8081/v2/auth/authorize/")),
		of("tiktok.api_url", bad("", "open.tiktokapis.com", "https://"),
			good("https://open.tiktokapis.com", "http://127.0.0.1:8081")),
		of("tiktok.timeout", bad("0", "-1s"), good("1s")),
		of("tiktok.previous_client_secret", bad(`"quoted"`, "xxxxxxxx"), good("", "former")),
		of("tiktok.on_removed", bad("", "delete", "Ban"), good("ignore", "sign_out", "ban")),
		of("accounts", bad("", "Supabase", "own", "none"), good("supabase")), // none without a client of oidc
		of("backend.url", badMessageURLs, goodMessageURLs),
		of("backend.secret", append([]string{""}, badMessageSecrets...), goodMessageSecrets),
		of("backend.timeout", bad("0s", "-1s"), good("1s")),
		of("webhook.url", badMessageURLs[1:], append([]string{""}, goodMessageURLs...)),
		of("webhook.secret", append([]string{""}, badMessageSecrets...), goodMessageSecrets),
		of("supabase.url",
			bad("", "abc", "abc.supabase.co", "postgres://postgres:pw@db.test:5432", "https://",
				"https://abc.supabase.co?x=y", "https://abc.supabase.co/rest/v1", "https://abc.supabase.co/auth/v1/",
				"https://supabase.com/dashboard/project/abc"),
			good("https://abc.supabase.co", "https://abc.supabase.co/", "http://kong:8000")),
		of("supabase.auth_url", bad("gotrue:9999", "gotrue", "https://u@gotrue"),
			good("", "http://gotrue:9999", "https://abc.supabase.co/auth/v1/")),
		of("supabase.publishable_key", bad("", "sb_secret_x", jwt(`{"role":"service_role"}`)),
			good("sb_publishable_x", jwt(`{"role":"anon"}`), "key-of-another-gateway", "a.b.c", "a.!.c", jwt(`[]`))),
		of("supabase.secret_key", bad("", "sb_publishable_x", jwt(`{"role":"anon"}`)),
			good("sb_secret_x", jwt(`{"role":"service_role"}`), jwt(`{"role":"supabase_admin"}`),
				"key-of-another-gateway", "a.b.c")),
		of("supabase.email_domain",
			bad("", "localhost", "TikTok.OAuth", "@tiktok.oauth", "tiktok..oauth", ".oauth", "tiktok.oauth.",
				"-a.test", "a-.test", "a b.test", "a_b.test", strings.Repeat("a.", 64)+"a"),
			good("tiktok.oauth", "a.b.c-d.test", "x1.invalid")),
		of("supabase.adopt", bad("", "reset", "never", "Hold"), good("hold", "evict")),
		of("supabase.forward_client_ip",
			bad("", "X Forwarded", "X-Forwarded-For:", "Authorization", "apikey", "content-type", "Host",
				"user-agent", "X-Supabase-Api-Version", "a\r\nb"),
			good("off", "sb-forwarded-for", "X-Forwarded-For", "cf-connecting-ip")),
		of("supabase.provider", bad("tiktok", "custom:", "custom:TikTok", "custom:tik_tok", "custom:-a"),
			good("", "custom:tiktok", "custom:t")),
		of("oidc.supabase_secret", bad("short", strings.Repeat("s", 31)), good("", strings.Repeat("s", 32))),
		of("oidc.clients",
			bad(
				`[{"RedirectURIs":["https://a.test/cb"]}]`,
				`[{"ID":"a b","RedirectURIs":["https://a.test/cb"]}]`,
				`[{"ID":"a:b","RedirectURIs":["https://a.test/cb"]}]`,
				`[{"ID":"a"}]`,
				`[{"ID":"a","Secret":"short","RedirectURIs":["https://a.test/cb"]}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/*"]}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb#x"]}]`,
				`[{"ID":"a","RedirectURIs":["https://u@a.test/cb"]}]`,
				`[{"ID":"a","RedirectURIs":["/cb"]}]`,
				`[{"ID":"a","RedirectURIs":["http://a.test/cb"]}]`,
				`[{"ID":"a","RedirectURIs":[""]}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb?tenant=1&state=x"]}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb?code=x"]}]`,
				`[{"ID":"a","Secret":"fedcba9876543210fedcba9876543210","RedirectURIs":["http://a.com/cb"]}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb"],"TikTokTokens":true}]`,
				`[{"ID":"a","RedirectURIs":["myapp:/cb"]}]`,
				`[{"ID":"a","RedirectURIs":["javascript:alert(1)//a.b"]}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb"],"Alg":"HS256"}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb"],"Alg":"none"}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb"],"Prompt":"none"}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb"]},{"ID":"a","RedirectURIs":["https://b.test/cb"]}]`,
			),
			good(
				`[]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb?x=y","http://localhost:3000/cb","com.example.app:/cb"]}]`,
				`[{"ID":"a","Secret":"fedcba9876543210fedcba9876543210","RedirectURIs":["http://gotrue:9999/callback"]}]`,
				`[{"ID":"a","RedirectURIs":["https://a.test/cb"],"Alg":"ES256","Prompt":"consent"}]`,
				`[{"ID":"a","Secret":"fedcba9876543210fedcba9876543210","RedirectURIs":["https://a.test/"],"TikTokTokens":true}]`,
			)),
		of("oidc.issuer", bad("signin.test", "http://signin.test", "https://signin.test/path", "https://u@signin.test"),
			good("", "https://signin.test", "https://signin.test/", "http://127.0.0.1:8080")),
		of("oidc.signing_keys",
			bad("key", "-----BEGIN KEY-----\nQUJD\n-----END KEY-----", newSigningKey(t, 1024)),
			good(newSigningKey(t, 2048))),
		of("supabase.timeout", bad("0", "-1s"), good("1s")),
		of("app.origins",
			bad("", "app.test", "https://app.test/", "http://app.test", "https://App.test", "https://app.test:443",
				"https://*.test", "null"),
			good("https://app.test", "https://app.test:8443", "http://localhost:3000", "http://127.0.0.1:3000",
				"https://a.test https://b.test")),
		of("app.redirect_uris",
			bad("/auth", "http://app.test/auth", "https://app.test/auth?a=b", "https://app.test/auth#a",
				"myapp://oauth/auth", "https://app.test/"+strings.Repeat("a", 512)),
			good("", "https://app.test/auth", "https://app.test/native-callback.html", "http://localhost:3000/auth")),
		of("app.deeplink_schemes", bad("myapp://", "javascript", "https", "MyApp", "1app", "intent"),
			good("", "myapp", "myapp com.example.app")),
		of("app.auth_path",
			bad("", "auth", "//evil.test", `/\evil.test`, "/auth?a=b", "/auth#a", "/a b", `/a"b`, "/a'b", "/<b>",
				"https://app.test/auth"),
			good("/", "/auth", "/auth.html", "/a/b-c_d")),
		of("app.default_redirect",
			bad("", "home", "//evil.test", `/\evil.test`, "https://evil.test", "javascript:alert(1)", "/a\nb"),
			good("/", "/home")),
		of("app.name", bad(strings.Repeat("é", 61), "a\nb"), good("", strings.Repeat("é", 60), `"O'Neill" & Co`)),
		of("app.logo_url",
			bad("logo.png", "http://cdn.test/logo.png", "//cdn.test/logo.png", `/\cdn.test`, "javascript:alert(1)",
				"data:image/png;base64,AA", "https://u:p@cdn.test/logo.png", "/logo.png#a", `/logo".png`),
			good("", "/logo.png", "/logo.png?v=2", "https://cdn.test/logo.png", "https://cdn.test/logo?v=2")),
		of("seal.keys", bad("key", strings.Repeat("a", 31), strings.Repeat("a", 32)+"|short"),
			good("", strings.Repeat("a", 32), strings.Repeat("a", 32)+"|"+strings.Repeat("b", 44))),
		of("store.redis_url",
			bad("localhost:6379", "http://localhost", "redis:///0", "unix:///run/redis.sock", "redis://redis/main",
				"redis://redis:6379#0", "redis://:p@ss#w/rd@host", "redis://:p@ss@host", "redis://:p#ss@host",
				"redis://:p/ss@host", "redis://:12/ss@host", "redis://:12?ss@host", "redis://:p%ss@host:6379/0",
				"rediss://user:p^ss@host"),
			good("", "redis://localhost", "rediss://:password@redis.test:6380/1",
				"redis://user:p%40ss%23w%2Frd@host/0", "redis://:a:b!c@host", "redis://host:6379?protocol=3",
				"redis://:password@host/?client_name=a@b")),
		of("rate_limit.start", bad("0", "-1"), good("1", "600")),
		of("rate_limit.exchange", bad("0", "-1"), good("1", "600")),
		of("rate_limit.redeem", bad("0", "-1"), good("1", "600")),
		of("log.level", bad("", "trace", "INFO"), good("debug", "info", "warn", "error")),
		of("log.format", bad("", "JSON", "logfmt"), good("json", "text")),
	}
	setenv(t, complete)
	tested := map[string]string{ // either value is good
		"rate_limit.enabled": "", "tiktok.return_tokens": "", "security.guide_flow": "",
	}
	for _, tt := range tests {
		tested[tt.key] = ""
		for _, value := range tt.bad {
			t.Run(tt.key+" bad "+value, func(t *testing.T) {
				_, err := config.Load("", func(c *config.Config) { set(t, c, tt.key, value) })
				p := problems(t, err)
				if diff := cmp.Diff([]string{tt.key}, keysOf(p)); diff != "" {
					t.Fatalf("keys with problems (-want +got):\n%s%v", diff, err)
				}
				if p[0].What == "" || !strings.HasSuffix(p[0].Fix, ".") {
					t.Errorf("problem = %+v, want what is wrong and a sentence that says what to do", p[0])
				}
			})
		}
		for _, value := range tt.good {
			t.Run(tt.key+" good "+value, func(t *testing.T) {
				if _, err := config.Load("", func(c *config.Config) { set(t, c, tt.key, value) }); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if diff := cmp.Diff(allKeys(), sortedLike(allKeys(), tested)); diff != "" {
		t.Errorf("keys without a test (-Config +test):\n%s", diff)
	}
}

// withProvider makes the bridge an OpenID Provider of Supabase.
func withProvider(c *config.Config) {
	c.Server.PublicURL = "https://signin.test"
	c.Seal.Keys = []signin.Secret{"0123456789abcdef0123456789abcdef"}
	c.OIDC.SupabaseSecret = "fedcba9876543210fedcba9876543210"
}

// TestSupabaseAlwaysConsents: Supabase ties no link flow to a browser, and whoever begins one can take prompt=consent
// out of the address.
func TestSupabaseAlwaysConsents(t *testing.T) {
	setenv(t, complete)
	c, err := config.Load("", withProvider)
	if err != nil {
		t.Fatal(err)
	}
	if client, ok := c.SupabaseClient(); !ok || !client.AlwaysConsents() {
		t.Errorf("the client of oidc.supabase_secret is %v, %v; want one with prompt consent", client.ID, ok)
	}
}

// newSigningKey returns an RSA key in PEM.
func newSigningKey(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
}

// The provider signs with keys that only the operator has, at an address that clients reach, and the minting of
// supabase.provider needs it.
func TestCheckProvider(t *testing.T) {
	tests := []struct {
		name string
		set  func(c *config.Config)
		want []string
	}{
		{"complete", func(*config.Config) {}, nil},
		{"no seal.keys", func(c *config.Config) { c.Seal.Keys = nil }, []string{"seal.keys"}},
		{"a client's secret in seal.keys", func(c *config.Config) {
			c.Seal.Keys = append(c.Seal.Keys, c.OIDC.SupabaseSecret)
		}, []string{"seal.keys"}},
		{"a client that shares Supabase's secret is checked too", func(c *config.Config) {
			c.OIDC.Clients = []config.OIDCClient{
				{ID: "a", Secret: c.OIDC.SupabaseSecret, RedirectURIs: []string{"javascript:alert(1)"}},
			}
		}, []string{"oidc.clients"}},
		{"no public address", func(c *config.Config) { c.Server.PublicURL = "" }, []string{"server.public_url"}},
		{"minting there, without its client", func(c *config.Config) {
			c.OIDC.SupabaseSecret, c.Supabase.Provider = "", "custom:tiktok"
		}, []string{"supabase.provider"}},
		{"minting there needs no secret key", func(c *config.Config) {
			c.Supabase.SecretKey, c.Supabase.Provider = "", "custom:tiktok"
		}, nil},
		{"a ban does", func(c *config.Config) {
			c.Supabase.SecretKey, c.Supabase.Provider, c.TikTok.OnRemoved = "", "custom:tiktok", "ban"
		}, []string{"tiktok.on_removed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, complete)
			_, err := config.Load("", func(c *config.Config) {
				withProvider(c)
				tt.set(c)
			})
			if diff := cmp.Diff(tt.want, keysOf(problems(t, err))); diff != "" {
				t.Errorf("keys with problems (-want +got):\n%s%v", diff, err)
			}
		})
	}
}

func TestCheckReportsEachEntry(t *testing.T) {
	setenv(t, complete, map[string]string{"TIKBRIDGE_APP_ORIGINS": "https://a.test/, https://b.test, http://c.test"})
	_, err := config.Load("")
	want := config.Problems{
		{
			"app.origins", "has an entry that cannot be used",
			`"https://a.test/" has more than scheme, host and port; leave off the path and the trailing slash.`,
		},
		{
			"app.origins", "has an entry that cannot be used",
			`"http://c.test" must begin with https:// (http:// is for localhost and 127.0.0.1 alone).`,
		},
	}
	if diff := cmp.Diff(want, problems(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestCheckForwardingNeedsNewSecretKey(t *testing.T) {
	for _, key := range []string{jwt(`{"role":"service_role"}`), "key-of-another-gateway"} {
		setenv(
			t, complete,
			map[string]string{"TIKBRIDGE_SUPABASE_FORWARD_CLIENT_IP": "sb-forwarded-for", "SUPABASE_SECRET_KEY": key},
		)
		_, err := config.Load("")
		want := config.Problems{{
			"supabase.forward_client_ip", "is sb-forwarded-for, which Supabase accepts only with a new secret key",
			"Set SUPABASE_SECRET_KEY to an sb_secret_... key.",
		}}
		if diff := cmp.Diff(want, problems(t, err)); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
}

func TestCheckSwappedKeys(t *testing.T) {
	tests := []struct{ name, publishable, secret string }{
		{"new keys", "sb_secret_a", "sb_publishable_b"},
		{"legacy keys", jwt(`{"iss":"supabase","role":"service_role"}`), jwt(`{"iss":"supabase","role":"anon"}`)},
		{"new and legacy", "sb_secret_a", jwt(`{"role":"anon"}`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, complete, map[string]string{"SUPABASE_PUBLISHABLE_KEY": tt.publishable, "SUPABASE_SECRET_KEY": tt.secret})
			_, err := config.Load("")
			want := config.Problems{
				{
					"supabase.publishable_key", "holds a secret key",
					"Put the publishable key (sb_publishable_... or anon) here and rotate the secret one: browsers may have seen it.",
				},
				{
					"supabase.secret_key", "holds a publishable key, which may not manage users",
					"Put a secret key (sb_secret_... or service_role) here.",
				},
			}
			if diff := cmp.Diff(want, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever is wrong, and wherever a secret ended up, no value of a secret key is in the error.
func TestProblemsKeepSecrets(t *testing.T) {
	const canary = "canary0123456789"
	role := jwt(`{"role":"service_role","ref":"` + canary + `"}`)
	anon := jwt(`{"role":"anon","ref":"` + canary + `"}`)
	tests := []struct {
		name string
		env  map[string]string
		file string
	}{
		{name: "good secrets, other things missing", env: map[string]string{
			"TIKTOK_CLIENT_SECRET": canary, "SUPABASE_SECRET_KEY": "sb_secret_" + canary,
		}},
		{name: "own variables", env: map[string]string{
			"TIKBRIDGE_TIKTOK_CLIENT_SECRET": canary, "TIKBRIDGE_SUPABASE_SECRET_KEY": canary,
			"TIKBRIDGE_SEAL_KEYS": canary + ", " + canary, "TIKBRIDGE_STORE_REDIS_URL": "redis://:" + canary + "@localhost",
		}},
		{
			name: "swapped",
			env: map[string]string{
				"SUPABASE_PUBLISHABLE_KEY": "sb_secret_" + canary, "SUPABASE_SECRET_KEY": "sb_publishable_" + canary,
			},
		},
		{name: "swapped JWTs", env: map[string]string{"SUPABASE_ANON_KEY": role, "SUPABASE_SERVICE_ROLE_KEY": anon}},
		{name: "database address as project address", env: map[string]string{
			"SUPABASE_URL":                "postgres://postgres:" + canary + "@db.test",
			"TIKBRIDGE_SUPABASE_AUTH_URL": "https://u:" + canary + "@gotrue",
			"TIKBRIDGE_TIKTOK_API_URL":    "https://u:" + canary + "@tiktok",
		}},
		{
			name: "control characters",
			env:  map[string]string{"TIKTOK_CLIENT_SECRET": "a\n" + canary, "TIKBRIDGE_STORE_REDIS_URL": "://\x7f" + canary},
		},
		{name: "misspelt variable", env: map[string]string{"TIKBRIDGE_TIKTOK_CLIENTSECRET": canary}},
		{
			name: "forwarding with a JWT",
			env:  map[string]string{"TIKBRIDGE_SUPABASE_FORWARD_CLIENT_IP": "sb-forwarded-for", "SUPABASE_SECRET_KEY": role},
		},
		{name: "misspelt key", file: "tiktok: {clientsecret: CANARY}\nsupabase: {secret: CANARY}"},
		{
			name: "lists",
			file: "tiktok: {client_secret: [CANARY]}\nsupabase: {secret_key: [CANARY]}\n" +
				"store: {redis_url: [CANARY]}\nseal: {keys: [[CANARY]]}",
		},
		{
			name: "maps",
			file: "tiktok: {client_secret: {CANARY: 1}}\nsupabase: {secret_key: {CANARY: {CANARY: CANARY}}}\n" +
				"store: {redis_url: {a: CANARY}}\nseal: {keys: {CANARY: 1}}",
		},
		{name: "maps without values", file: "tiktok:\n  client_secret:\n    CANARY:\n"},
		{
			name: "sections as text",
			file: "tiktok: client_secret:CANARY\nsupabase: [CANARY]\nseal: CANARY\nstore: 'redis_url: CANARY'",
		},
		{name: "no space after the colon", file: "tiktok:\n  client_secret:CANARY\n"},
		{name: "open quote", file: "tiktok:\n  client_secret: \"CANARY\n"},
		{name: "anchor", file: "tiktok:\n  client_secret: *CANARY\n"},
		{name: "bad escape", file: "tiktok:\n  client_secret: \"\\CANARY\"\n"},
		{name: "tag", file: "tiktok:\n  client_secret: !!int CANARY\n"},
		{name: "tabs", file: "tiktok:\n\tclient_secret: CANARY\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, tt.env)
			file := ""
			if tt.file != "" {
				file = writeFile(t, "c.yaml", strings.ReplaceAll(tt.file, "CANARY", canary))
			}
			_, err := config.Load(file)
			if err == nil {
				t.Fatal("no problem")
			}
			for _, text := range []string{
				err.Error(), fmt.Sprintf("%v", err), fmt.Sprintf("%+v", problems(t, err)), fmt.Sprintf("%#v", err),
			} {
				for _, secret := range []string{canary, canary[:7], role, anon} {
					if strings.Contains(text, secret) {
						t.Errorf("the error shows a secret: %s", text)
					}
				}
			}
		})
	}
}

// Without the guide flow only one is left, and that one needs to know where the bridge is.
func TestCheckHostedFlowNeedsPublicURL(t *testing.T) {
	setenv(t, complete, map[string]string{"TIKBRIDGE_SECURITY_GUIDE_FLOW": "false"})
	_, err := config.Load("")
	if diff := cmp.Diff([]string{"server.public_url"}, keysOf(problems(t, err))); diff != "" {
		t.Errorf("keys with problems (-want +got):\n%s", diff)
	}
}

// A legacy key names its project by the ref; an address may have another name.
func TestCheckProjectOfLegacyKeys(t *testing.T) {
	const ref, other = "abcdefghijklmnopqrst", "zyxwvutsrqponmlkjihg"
	const ofOther = "belongs to another project than supabase."
	tests := []struct{ name, url, public, secret, want string }{
		{"same ref", "https://" + ref + ".supabase.co", ref, ref, ""},
		{"vanity subdomain", "https://my-brand.supabase.co", ref, ref, ""},
		{"vanity subdomain of twenty characters", "https://my-brand-of-twenty-c.supabase.co", ref, ref, ""},
		{"domain of its own", "https://auth.ours.test", ref, ref, ""},
		{"another ref", "https://" + ref + ".supabase.co", ref, other, ofOther + "url"},
		{"two projects", "https://my-brand.supabase.co", ref, other, ofOther + "publishable_key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, complete, map[string]string{
				"SUPABASE_URL":             tt.url,
				"SUPABASE_PUBLISHABLE_KEY": jwt(`{"role":"anon","ref":"` + tt.public + `"}`),
				"SUPABASE_SECRET_KEY":      jwt(`{"role":"service_role","ref":"` + tt.secret + `"}`),
			})
			_, err := config.Load("")
			var want config.Problems
			if tt.want != "" {
				want = config.Problems{{
					"supabase.secret_key", tt.want, "Copy the address and both keys from the same project.",
				}}
			}
			if diff := cmp.Diff(want, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// A route behind a # is refused with the reason and the way, not as a bad path.
func TestCheckHashRoute(t *testing.T) {
	for _, key := range []string{"app.auth_path", "app.default_redirect"} {
		setenv(t, complete, map[string]string{variable(key): "/#/auth"})
		_, err := config.Load("")
		p := problems(t, err)
		if diff := cmp.Diff([]string{key}, keysOf(p)); diff != "" {
			t.Fatalf("keys with problems (-want +got):\n%s", diff)
		}
		if !strings.Contains(p[0].What, "behind a #") || !strings.Contains(p[0].Fix, "hash router") {
			t.Errorf("problem = %+v; want the reason and the way", p[0])
		}
	}
}

// A password with characters of URLs is what is wrong, and the fix says how to write it.
func TestCheckRedisPassword(t *testing.T) {
	setenv(t, complete, map[string]string{"TIKBRIDGE_STORE_REDIS_URL": "redis://:p@ss#w/rd@host"})
	_, err := config.Load("")
	p := problems(t, err)
	if len(p) != 1 || !strings.Contains(p[0].What, "password") || !strings.Contains(p[0].Fix, "# as %23") {
		t.Errorf("problems = %+v; want one that says how to write the password", p)
	}
}

// TestCheckVerificationIsNoSecret: what the bridge serves to everybody is not the client secret.
func TestCheckVerificationIsNoSecret(t *testing.T) {
	setenv(t, complete)
	const canary = "canary0123456789"
	_, err := config.Load("", func(c *config.Config) {
		c.TikTok.ClientSecret = canary
		c.TikTok.SiteVerification = []string{"AbC123dEf456", canary}
	})
	p := problems(t, err)
	if len(p) != 1 || p[0].Key != "tiktok.site_verification" || strings.Contains(err.Error(), canary) {
		t.Errorf("problems = %+v; want one of tiktok.site_verification without the secret", p)
	}
}

// TestVerificationCodes: TikTok shows the code as the name of a file, as its content and in a DNS record. People copy
// any of them.
func TestVerificationCodes(t *testing.T) {
	setenv(t, complete)
	t.Setenv("TIKBRIDGE_TIKTOK_SITE_VERIFICATION",
		"AbC123dEf456, tiktokAbC123dEf456.txt tiktok-developers-site-verification=AbC123dEf456,tiktokA1b2C3d4")
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"AbC123dEf456", "tiktokA1b2C3d4"} // without .txt, it may be a code
	if diff := cmp.Diff(want, c.TikTok.SiteVerification); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

const messageSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

var (
	badMessageURLs = []string{
		"", "app.test/tiktok", "ftp://app.test/", "https://", "https://user:pass@app.test/", "https://app.test/#x",
		"http://app.com/tiktok", "http://203.0.113.7/", "http://[2001:db8::1]/", "${BACKEND_URL}",
	}
	goodMessageURLs = []string{
		"https://app.test/tiktok", "https://app.test:8443/a?tenant=1", "http://localhost:3000/tiktok",
		"http://127.0.0.1:3000/", "http://10.0.0.7/", "http://[::1]:3000/", "http://app:3000/", "http://app.svc.internal/",
	}
	badMessageSecrets = []string{
		"short", "whsec_c2hvcnQ=", "whsec_not base64 but long enough to be one", "whsec_xxxxxxxx",
	}
	goodMessageSecrets = []string{messageSecret, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
)

// useBackend makes a complete configuration one of an own backend.
func useBackend(c *config.Config) {
	c.Accounts, c.Supabase = config.AccountsBackend, config.Default().Supabase
	c.Backend.URL, c.Backend.Secret = "https://app.test/tiktok", messageSecret
}

// Nothing of Supabase is needed where others keep the users, and what a platform sets of it does not matter.
func TestAccounts(t *testing.T) {
	bridge := map[string]string{
		"TIKTOK_CLIENT_KEY": "k", "TIKTOK_CLIENT_SECRET": "s", "TIKBRIDGE_APP_ORIGINS": "https://app.test",
	}
	backend := map[string]string{
		"TIKBRIDGE_ACCOUNTS": "backend", "TIKBRIDGE_BACKEND_URL": "https://app.test/tiktok",
		"TIKBRIDGE_BACKEND_SECRET": messageSecret, "TIKBRIDGE_WEBHOOK_URL": "https://app.test/events",
	}
	none := map[string]string{
		"TIKBRIDGE_ACCOUNTS": "none", "TIKBRIDGE_SERVER_PUBLIC_URL": "https://signin.test",
		"TIKBRIDGE_SEAL_KEYS":    "0123456789abcdef0123456789abcdef",
		"TIKBRIDGE_OIDC_CLIENTS": `[{"id":"app","redirect_uris":["https://a.test/cb"]}]`,
	}
	tests := []struct {
		name string
		env  []map[string]string
		want []string
	}{
		{"backend", []map[string]string{bridge, backend}, nil},
		{"backend beside others' variables", []map[string]string{bridge, backend, {"SUPABASE_URL": "postgres://"}}, nil},
		{"provider only", []map[string]string{bridge, none}, nil},
		{"backend without its settings", []map[string]string{bridge, {"TIKBRIDGE_ACCOUNTS": "backend"}}, []string{
			"backend.url", "backend.secret",
		}},
		{"misspelt", []map[string]string{bridge, {"TIKBRIDGE_ACCOUNTS": "bakend"}}, []string{"accounts"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, tt.env...)
			c, err := config.Load("")
			if diff := cmp.Diff(tt.want, keysOf(problems(t, err))); diff != "" {
				t.Errorf("keys with problems (-want +got):\n%s%v", diff, err)
			}
			if c.Accounts == config.AccountsBackend && c.Webhook.Secret != messageSecret {
				t.Error("events are not signed with the backend's secret")
			}
		})
	}
}
