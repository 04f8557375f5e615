package doctor_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/doctor"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// legacy returns a key that nobody signed.
func legacy(claims string, args ...any) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"HS256"}`)) + "." + encode(
		fmt.Appendf(nil, claims, args...),
	) + "." + encode([]byte("signature"))
}

func TestAllWell(t *testing.T) {
	t.Parallel()
	r := newWorld(t).examine()
	for _, f := range r.Findings {
		if f.Status != doctor.OK || f.Fix != "" {
			t.Errorf("%+v; want ok", f)
		}
	}
	for _, name := range append(doctor.Checks(), "config") {
		if name == "backend" || name == "webhook" { // there is none
			continue
		}
		if !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return f.Check == name }) {
			t.Errorf("nothing was found by %s", name)
		}
	}
	for _, want := range []string{bridgeURL + "/api/auth/tiktok/callback", "oursapp", "Secure email change"} {
		if hand := strings.Join(r.ByHand, "\n"); !strings.Contains(hand, want) {
			t.Errorf("to check by hand, %s is not named:\n%s", want, hand)
		}
	}
}

// fault is something that is wrong, and what the doctor finds.
type fault struct {
	name  string
	fault func(*world)
	want  doctor.Finding
	// also are checks that the same fault makes speak.
	also []string
}

func when(name string, f func(*world), want doctor.Finding, also ...string) fault {
	return fault{name, f, want, also}
}

func problem(check, seen, fix string) doctor.Finding {
	return doctor.Finding{Check: check, Status: doctor.Problem, Seen: seen, Fix: fix}
}

func warning(check, seen, fix string) doctor.Finding {
	return doctor.Finding{Check: check, Status: doctor.Warning, Seen: seen, Fix: fix}
}

func skipped(check, seen, fix string) doctor.Finding {
	return doctor.Finding{Check: check, Status: doctor.Skipped, Seen: seen, Fix: fix}
}

type conf = config.Config

// with changes the configuration.
func with(f func(*conf)) func(*world) { return func(w *world) { w.set(f) } }

// running changes the configuration of the bridge that runs.
func running(f func(*conf)) func(*world) { return func(w *world) { w.running = append(w.running, f) } }

// TestFaults breaks one thing after the other. Each is found by its check, which says what to do, and
// nothing else is blamed. Two stand for all that the configuration itself refuses: TestCheck of pkg/config has that.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []fault{
		when("client secret", func(w *world) { w.tiktok.ClientSecret = "renewed" },
			problem("tiktok", "refuses the client key and secret (status 200, invalid_client)", "Copy both again")),
		when("TikTok gives no client token", func(w *world) {
			w.overTikTok = on("/v2/oauth/token/", func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(rw, `{"error":"unauthorized_client","error_description":"x","log_id":"1"}`)
			})
		}, skipped("tiktok", "neither accepts nor refuses", "")),
		when("TikTok is down", func(w *world) { w.overTikTok = always(503) },
			warning("tiktok", "having trouble (status 503)", "Try again in a minute")),
		when("no way to TikTok", func(w *world) { w.gone = []string{"open.tiktokapis.com"} },
			problem("tiktok", "cannot be reached: dial tcp: lookup open.tiktokapis.com: no such host", "firewall")),
		when("somebody else in TikTok's place", func(w *world) { w.overTikTok = always(200) },
			problem("tiktok", "Something other than TikTok answers", "tiktok.api_url")),
		when("sandbox", func(w *world) {
			w.tiktok.ClientKey = "sbawclientkey"
			w.set(func(c *config.Config) { c.TikTok.ClientKey = "sbawclientkey" })
		}, warning("tiktok_app", "sandbox", "those of production")),
		when("scopes", with(func(c *conf) { c.TikTok.Scopes = []string{"user.info.basic", "video.list"} }),
			warning("tiktok_app", "video.list", "only user.info.basic")),
		when("PKCE", with(func(c *conf) { c.TikTok.PKCE = "hex" }),
			warning("tiktok_app", "tiktok.pkce is hex", "set tiktok.pkce to off")),
		when("not TikTok's address", with(func(c *conf) { c.TikTok.APIURL = "https://simulator.ours.test" }),
			warning("tiktok_app", "is not TikTok's own", "Remove both")),
		when("half a simulator",
			with(func(c *conf) { c.TikTok.AuthorizeURL = "http://127.0.0.1:8081/v2/auth/authorize/" }),
			problem("tiktok_app", "is on this machine and the other is not", "Set both")),
		when("callback that TikTok does not register",
			with(func(c *conf) { c.Server.PublicURL, c.Server.TrustedProxies = "http://localhost:8080", nil }),
			problem("redirect_uris", "does not register http://localhost:8080/api/auth/tiktok/callback",
				"server.public_url"), "public_url", "redirect_uris"),
		when("pages that TikTok does not register",
			with(func(c *conf) { c.App.Origins = append(c.App.Origins, "http://localhost:3000") }),
			warning("redirect_uris", "native-callback.html, http://localhost:3000/auth and 1 more", "simulator")),
		when("too many redirect URIs", with(func(c *conf) {
			for _, name := range []string{"two", "three", "four", "five"} {
				c.App.Origins = append(c.App.Origins, "https://"+name+".ours.test")
			}
		}), warning("redirect_uris", "redirect URIs of 13 pages", "app.redirect_uris")),
		when("no scheme", schemes(), skipped("deeplinks", "empty", "Publish > Deeplink")),
		when("scheme with ://", schemes("oursapp://"),
			problem("app.deeplink_schemes", "Has an entry", "without ://")),
		when("the guide's scheme", schemes("myapp"), warning("deeplinks", "placeholder", "Publish > Deeplink")),
		when("somebody else's scheme", schemes("tiktok"),
			warning("deeplinks", "somebody else's app", "Publish > Deeplink")),
		when("a common scheme", schemes("app"), warning("deeplinks", "common word", "nobody else would use")),
		when("publishable key in the secret slot",
			with(func(c *conf) { c.Supabase.SecretKey = gotruesim.PublishableKey }),
			problem("supabase.secret_key", "Holds a publishable key", "Put a secret key")),
		when("secret key of another project",
			with(func(c *conf) { c.Supabase.SecretKey = "sb_secret_of_another_project" }),
			problem("supabase", "refuses supabase.secret_key (status 401)", "Copy the address and both keys again")),
		when("publishable key of another project",
			with(func(c *conf) { c.Supabase.PublishableKey = "sb_publishable_of_another_project" }),
			problem("supabase", "refuses supabase.publishable_key (status 401)",
				"Copy the address and both keys again")),
		when("legacy keys under a vanity subdomain", with(func(c *conf) {
			c.Supabase.URL = "https://my-brand.supabase.co"
			c.Supabase.PublishableKey = legacy(`{"role":"anon","ref":"%s"}`, project)
		}),
			warning("supabase_keys", "whether my-brand.supabase.co is the same one",
				"supabase.url to https://"+project+".supabase.co"), "supabase"),
		when("secret key that may only read", func(w *world) {
			w.overSupabase = on("/auth/v1/admin/generate_link", func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(rw, `{"code":"bad_jwt","message":"invalid JWT"}`)
			})
		},
			problem("supabase", "refuses to make a sign-in link with it (status 403, bad_jwt)",
				"legacy service_role key")),
		when("GoTrue before error codes", func(w *world) {
			w.overSupabase = func(h http.Handler) http.Handler {
				old := func(rw http.ResponseWriter, _ *http.Request) {
					rw.WriteHeader(http.StatusNotFound)
					_, _ = io.WriteString(rw, `{"code":404,"msg":"User not found"}`)
				}
				return on("/auth/v1/admin/users/00000000-0000-0000-0000-000000000000", old)(
					on("/auth/v1/health", func(rw http.ResponseWriter, _ *http.Request) {
						_, _ = io.WriteString(rw, `{"name":"GoTrue"}`)
					})(h))
			}
		}, problem("supabase", "is older than 2.155.0", "Update Supabase Auth")),
		when("expired key",
			with(func(c *conf) {
				c.Supabase.PublishableKey = legacy(`{"role":"anon","exp":%d}`, time.Now().Add(-48*time.Hour).Unix())
			}),
			problem("supabase_keys", "supabase.publishable_key expired on ",
				"Set supabase.publishable_key to the publishable key"), "supabase"),
		when("key that expires soon",
			with(func(c *conf) {
				c.Supabase.PublishableKey = legacy(`{"role":"anon","exp":%d}`, time.Now().Add(48*time.Hour).Unix())
			}),
			warning("supabase_keys", "supabase.publishable_key expires on ", "Replace it before"), "supabase"),
		when("key of no known form", with(func(c *conf) { c.Supabase.PublishableKey = "my-key" }),
			warning("supabase_keys", "supabase.publishable_key does not look like a Supabase key",
				"sb_publishable_"), "supabase"),
		when("misspelt project", with(func(c *conf) { c.Supabase.URL = "https://bbcdefghijklmnopqrst.supabase.co" }),
			problem("supabase", "cannot be reached at https://bbcdefghijklmnopqrst.supabase.co/auth/v1",
				"letter by letter")),
		when("no GoTrue there", func(w *world) { w.overSupabase = always(404) },
			problem("supabase", "no Supabase Auth at", "supabase.auth_url")),
		when("GoTrue without a gateway",
			with(func(c *conf) {
				c.Supabase.URL, c.Supabase.AuthURL = "https://self-hosted.ours.test", "https://self-hosted.ours.test"
			}),
			problem("supabase", "without Supabase's gateway", "service_role")),
		when("the project is over its quota", func(w *world) { w.overSupabase = always(402) },
			problem("supabase", "serves nobody in this project (status 402)", "billing or quota")),
		when("the project is paused", func(w *world) { w.overSupabase = always(540) },
			problem("supabase", "serves nobody in this project (status 540)", "restore the paused project")),
		when("Supabase is down", func(w *world) { w.overSupabase = always(503) },
			warning("supabase", "having trouble (status 503)", "dashboard")),
		when("old GoTrue", func(w *world) {
			w.overSupabase = on("/auth/v1/health", func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(rw, `{"name":"GoTrue","version":"v2.154.2"}`)
			})
		}, problem("supabase", "GoTrue is v2.154.2", "Update Supabase Auth")),
		when("GoTrue without forwarding", func(w *world) {
			w.overSupabase = on("/auth/v1/health", func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(rw, `{"name":"GoTrue","version":"v2.184.0"}`)
			})
		}, warning("supabase", "ignores Sb-Forwarded-For", "GOTRUE_RATE_LIMIT_HEADER")),
		when("public sign-up", func(w *world) { w.supabase.DisableSignup = false },
			warning("supabase", "Anybody can sign up by e-mail", "Allow new users to sign up")),
		when("autoconfirm", func(w *world) { w.supabase.RequireConfirmation = false },
			warning("supabase", "taken as confirmed", "Confirm email")),
		when("addresses not forwarded", with(func(c *conf) { c.Supabase.ForwardClientIP = config.ForwardOff }),
			warning("client_ip", "six a minute for everybody", "Switch on IP address forwarding")),
		when("a header that Supabase ignores", with(func(c *conf) { c.Supabase.ForwardClientIP = "X-Forwarded-For" }),
			warning("client_ip", "hosted projects ignore", "sb-forwarded-for")),
		when("a domain of its own",
			with(func(c *conf) {
				c.Supabase.URL, c.Supabase.ForwardClientIP = "https://self-hosted.ours.test", config.ForwardOff
			}),
			skipped("client_ip", "no way to see", "GOTRUE_RATE_LIMIT_HEADER")),
		when("a clock that is fast",
			func(w *world) { w.now = func() time.Time { return time.Now().Add(5 * time.Minute) } },
			problem("clock", "ahead of Supabase's", "NTP"), "clock"),
		when("a clock that is slow",
			func(w *world) { w.now = func() time.Time { return time.Now().Add(-20 * time.Second) } },
			warning("clock", "behind TikTok's", "NTP"), "clock"),
		when("no Redis", with(func(c *conf) { c.Store.RedisURL = "" }),
			skipped("redis", "store.redis_url is not set", "")),
		when("Redis is away", func(w *world) { w.redis.Close() },
			problem("redis", "is not working: ", "store.redis_url")),
		when("Redis wants a password", func(w *world) { w.redis.RequireAuth("secret") },
			problem("redis", `refuses with "NOAUTH"`, "password")),
		when("no public address", with(func(c *conf) { c.Server.PublicURL = "" }),
			skipped("public_url", "only the guide flow works", "https address")),
		when("nobody at the public address", func(w *world) { w.gone = []string{hostOf(bridgeURL)} },
			problem("public_url", "cannot be reached: dial tcp: lookup signin.ours.test: no such host",
				"--skip public_url")),
		when("the proxy does not reach the bridge", func(w *world) { w.overBridge = always(502, "Server", "Caddy") },
			problem("public_url", "(through Caddy) answers with status 502", "server.listen")),
		when("somebody else at the public address",
			func(w *world) { w.overBridge = always(200, "Server", "nginx/1.29.0") },
			problem("public_url", "Something other than a bridge answers at https://signin.ours.test (through nginx/1.29.0)",
				"all paths")),
		when("a redirect at the public address",
			func(w *world) { w.overBridge = always(301, "Location", "https://www.ours.test/healthz") },
			problem("public_url", "redirects to https://www.ours.test", "register its callback URL")),
		when("a bridge at another address", running(func(c *conf) { c.Server.PublicURL = "https://old.ours.test" }),
			problem("public_url", "its server.public_url differs", "Restart")),
		when("a bridge with another app", running(func(c *conf) { c.TikTok.ClientKey = "awotherkey" }),
			problem("public_url", "its tiktok.client_key differs", "Restart")),
		when("a bridge with another secret", running(func(c *conf) { c.TikTok.ClientSecret = "an-older-secret" }),
			problem("public_url", "seals with other keys", "Restart")),
		when("a bridge without a public address", running(func(c *conf) { c.Server.PublicURL = "" }),
			problem("public_url", "refuses to start a sign-in (invalid_request)", "Restart"), "public_url"),
		when("a proxy that is not listed", with(func(c *conf) { c.Server.TrustedProxies = nil }),
			warning("proxies", "a proxy is in front of the bridge", "Set server.trusted_proxies")),
		when("another proxy than the one listed",
			with(func(c *conf) { c.Server.TrustedProxies = []string{"192.0.2.7"} }),
			warning("public_url", "did not accept the X-Request-Id", "server.trusted_proxies")),
		when("a bridge without TikTok's proof", running(func(c *conf) { c.TikTok.SiteVerification = nil }),
			warning("public_url", "its proof at https://signin.ours.test/tiktokAbC123dEf456.txt: status 404", "Restart")),
		when("a proxy with another proof", func(w *world) {
			w.overBridge = on("/api/auth/tiktok/callback/tiktokAbC123dEf456.txt", always(200)(nil).ServeHTTP)
		}, warning("public_url", "callback/tiktokAbC123dEf456.txt: something else is there", "all paths")),
		when("everybody is trusted", with(func(c *conf) { c.Server.TrustedProxies = []string{"0.0.0.0/0"} }),
			warning("proxies", "which is everybody", "only the addresses of your proxy")),
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.fault(w)
			r := w.examine()
			found := false
			for _, f := range r.Findings {
				if f.Status != doctor.OK {
					wantVariables(t, f)
				}
				says := strings.Contains(f.Seen, tt.want.Seen) && strings.Contains(f.Fix, tt.want.Fix)
				if f.Check == tt.want.Check && f.Status == tt.want.Status && says {
					found = true
					continue
				}
				if (f.Status == doctor.Problem || f.Status == doctor.Warning) && !slices.Contains(tt.also, f.Check) {
					t.Errorf("also found: %+v", f)
				}
			}
			if !found {
				t.Errorf("want %+v; findings:\n%s", tt.want, text(t, r))
			}
		})
	}
}

// keys are all keys of the configuration.
func keys() (all []string) {
	config.Walk(config.Default(), func(key string, _ any) { all = append(all, key) })
	return all
}

// wantVariables wants a finding to name the variable of each key in it: many operators have no file.
func wantVariables(t *testing.T, f doctor.Finding) {
	t.Helper()
	text := f.Seen + f.Fix
	for _, key := range keys() {
		if !strings.Contains(key, ".") { // also a word of ours
			continue
		}
		name := strings.ToUpper(strings.ReplaceAll(key, ".", "_")) // also the end of TIKBRIDGE_...
		if strings.Contains(f.Check+text, key) && !strings.Contains(text, name) {
			t.Errorf("%+v names %s and not its variable", f, key)
		}
	}
}

// schemes sets the deeplink schemes.
func schemes(list ...string) func(*world) {
	return with(func(c *conf) { c.App.DeeplinkSchemes = list })
}

func text(t *testing.T, r doctor.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDeveloper wants nobody to be bothered who runs everything on one machine.
func TestDeveloper(t *testing.T) {
	t.Parallel()
	cfg, problems := newWorld(t).inspect(func(c *config.Config) {
		c.Server.PublicURL, c.Server.TrustedProxies = "http://127.0.0.1:8080", nil
		c.TikTok.APIURL, c.TikTok.AuthorizeURL = "http://127.0.0.1:8081", "http://127.0.0.1:8081/v2/auth/authorize/"
		c.Supabase.URL, c.Supabase.ForwardClientIP = "http://127.0.0.1:8082", config.ForwardOff
		c.App.DeeplinkSchemes = []string{"myapp"}
	})
	r := doctor.Offline(
		doctor.Options{
			Config: cfg, Problems: problems, Now: time.Now,
			CallbackURL: "http://127.0.0.1:8080/api/auth/tiktok/callback",
		},
	)
	for _, f := range r.Findings {
		if f.Status != doctor.OK {
			t.Errorf("%+v; want ok", f)
		}
	}
}

func TestSkip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gone, w.skip = []string{hostOf(bridgeURL)}, []string{"public_url"}
	r := w.examine()
	if r.Count(doctor.Problem) != 0 || r.Count(doctor.Skipped) != 1 {
		t.Errorf("findings:\n%s\nwant one left out and no problem", text(t, r))
	}
}

// TestSaysNoSecret lets everybody repeat what they are told, with any status, and looks for secrets in
// the report.
func TestSaysNoSecret(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	for _, status := range []int{200, 301, 400, 401, 403, 404, 422, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			repeat := func(http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					said := fmt.Sprintf("%v %s canary", r.Header, body)
					quoted, _ := json.Marshal(said)
					rw.Header().Set("X-Sb-Error-Code", said)
					rw.Header().Set("Server", canary+"!<"+said)
					rw.Header().Set("Location", "https://"+canary+"{}/")
					rw.WriteHeader(status)
					_, _ = fmt.Fprintf(
						rw,
						`{"name":"GoTrue","version":%[1]s,"error":%[1]s,"error_description":%[1]s,`+
							`"log_id":%[1]s,"code":%[1]s,"message":%[1]s,"url":%[1]s}`,
						quoted,
					)
				})
			}
			w.overTikTok, w.overSupabase, w.overBridge = repeat, repeat, repeat
			w.redis.RequireAuth("other")
			w.set(func(c *config.Config) {
				c.TikTok.ClientSecret = canary + "-client-secret"
				c.Supabase.SecretKey = "sb_secret_" + canary
				c.Store.RedisURL = signin.Secret("redis://user:" + canary + "@" + w.redisAddress)
				c.Seal.Keys = []signin.Secret{signin.Secret(strings.Repeat(canary, 6))}
			})
			r := w.examine()
			encoded, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if out := text(t, r) + string(encoded); strings.Contains(strings.ToLower(out), canary) {
				t.Errorf("the report holds a secret, or what an upstream wrote:\n%s", out)
			}
			if r.Count(doctor.Problem)+r.Count(doctor.Warning) == 0 {
				t.Error("nothing was wrong, so that this proves little")
			}
		})
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	r := doctor.Report{
		Findings: []doctor.Finding{
			{Check: "tiktok", Status: doctor.OK, Seen: "TikTok accepts the client key and secret."},
			{Check: "clock", Status: doctor.Problem, Seen: strings.Repeat("off ", 30) + "by much.", Fix: "Set it."},
		},
		ByHand: []string{"Look here."},
	}
	const want = `ok       tiktok     TikTok accepts the client key and secret.
problem  clock      off off off off off off off off off off off off off off off off off off off off
                    off off off off off off off off off off by much.
                    -> Set it.

1 problem, 0 warnings, 1 ok, 0 skipped

Check these yourself; no program can see them:
  - Look here.
`
	if got := text(t, r); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
