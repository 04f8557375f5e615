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

// TestFaults breaks one thing after the other. Each is found by its check, which says what to do, and
// nothing else is blamed.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		fault     func(*world)
		check     string
		status    doctor.Status
		seen, fix string
		// also are checks that the same fault makes speak.
		also []string
	}{
		{
			"client secret", func(w *world) { w.tiktok.ClientSecret = "renewed" },
			"tiktok", doctor.Problem, "refuses the client key and secret (status 200, invalid_client)", "Copy both again", nil,
		},
		{
			"TikTok gives no client token", func(w *world) {
				w.overTikTok = on("/v2/oauth/token/", func(rw http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(rw, `{"error":"unauthorized_client","error_description":"x","log_id":"1"}`)
				})
			},
			"tiktok", doctor.Skipped, "neither accepts nor refuses", "", nil,
		},
		{
			"TikTok is down", func(w *world) { w.overTikTok = always(503) },
			"tiktok", doctor.Warning, "having trouble (status 503)", "Try again in a minute", nil,
		},
		{
			"no way to TikTok", func(w *world) { w.gone = []string{"open.tiktokapis.com"} },
			"tiktok", doctor.Problem, "cannot be reached: dial tcp: lookup open.tiktokapis.com: no such host", "firewall", nil,
		},
		{
			"somebody else in TikTok's place", func(w *world) { w.overTikTok = always(200) },
			"tiktok", doctor.Problem, "Something other than TikTok answers", "tiktok.api_url", nil,
		},
		{
			"sandbox", func(w *world) {
				w.tiktok.ClientKey = "sbawclientkey"
				w.set(func(c *config.Config) { c.TikTok.ClientKey = "sbawclientkey" })
			},
			"tiktok_app", doctor.Warning, "sandbox", "those of production", nil,
		},
		{
			"scopes", func(w *world) {
				w.set(func(c *config.Config) { c.TikTok.Scopes = []string{"user.info.basic", "video.list"} })
			},
			"tiktok_app", doctor.Warning, "video.list", "only user.info.basic", nil,
		},
		{
			"PKCE", func(w *world) { w.set(func(c *config.Config) { c.TikTok.PKCE = "hex" }) },
			"tiktok_app", doctor.Warning, "tiktok.pkce is hex", "set tiktok.pkce to off", nil,
		},
		{
			"not TikTok's address", func(w *world) {
				w.set(func(c *config.Config) { c.TikTok.APIURL = "https://simulator.ours.test" })
			},
			"tiktok_app", doctor.Warning, "is not TikTok's own", "Remove both", nil,
		},
		{
			"half a simulator", func(w *world) {
				w.set(func(c *config.Config) { c.TikTok.AuthorizeURL = "http://127.0.0.1:8081/v2/auth/authorize/" })
			},
			"tiktok_app", doctor.Problem, "is on this machine and the other is not", "Set both", nil,
		},
		{
			"callback that TikTok does not register", func(w *world) {
				w.set(func(c *config.Config) { c.Server.PublicURL, c.Server.TrustedProxies = "http://localhost:8080", nil })
			},
			"redirect_uris", doctor.Problem, "does not register http://localhost:8080/api/auth/tiktok/callback",
			"server.public_url",
			[]string{"public_url", "redirect_uris"},
		},
		{
			"pages that TikTok does not register", func(w *world) {
				w.set(func(c *config.Config) { c.App.Origins = append(c.App.Origins, "http://localhost:3000") })
			},
			"redirect_uris", doctor.Warning, "native-callback.html, http://localhost:3000/auth and 1 more", "simulator", nil,
		},
		{
			"too many redirect URIs", func(w *world) {
				w.set(func(c *config.Config) {
					for _, name := range []string{"two", "three", "four", "five"} {
						c.App.Origins = append(c.App.Origins, "https://"+name+".ours.test")
					}
				})
			},
			"redirect_uris", doctor.Warning, "redirect URIs of 13 pages", "app.redirect_uris", nil,
		},
		{
			"redirect URI with a query", func(w *world) {
				w.set(func(c *config.Config) { c.App.RedirectURIs = []string{appOrigin + "/auth?tenant=1"} })
			},
			"app.redirect_uris", doctor.Problem, "Has an entry that cannot be used", "TikTok refuses both", nil,
		},
		{
			"redirect URI that is too long", func(w *world) {
				w.set(func(c *config.Config) {
					c.App.RedirectURIs = []string{appOrigin + "/" + strings.Repeat("a", 512)}
				})
			},
			"app.redirect_uris", doctor.Problem, "Has an entry that cannot be used", "512 characters", nil,
		},
		{
			"no scheme", schemes(),
			"deeplinks", doctor.Skipped, "empty", "Publish > Deeplink", nil,
		},
		{
			"scheme with ://", schemes("oursapp://"),
			"app.deeplink_schemes", doctor.Problem, "Has an entry", "without ://", nil,
		},
		{
			"scheme of the browser", schemes("https"),
			"app.deeplink_schemes", doctor.Problem, "Has an entry", "belongs to the browser", nil,
		},
		{
			"the guide's scheme", schemes("myapp"),
			"deeplinks", doctor.Warning, "placeholder", "Publish > Deeplink", nil,
		},
		{
			"somebody else's scheme", schemes("tiktok"),
			"deeplinks", doctor.Warning, "somebody else's app", "Publish > Deeplink", nil,
		},
		{
			"a common scheme", schemes("app"),
			"deeplinks", doctor.Warning, "common word", "nobody else would use", nil,
		},
		{
			"publishable key in the secret slot", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.SecretKey = gotruesim.PublishableKey })
			},
			"supabase.secret_key", doctor.Problem, "Holds a publishable key", "Put a secret key", nil,
		},
		{
			"anon key in the secret slot", func(w *world) {
				w.set(func(c *config.Config) {
					c.Supabase.SecretKey = signin.Secret(legacy(`{"role":"anon"}`))
				})
			},
			"supabase.secret_key", doctor.Problem, "Holds a publishable key", "Put a secret key", nil,
		},
		{
			"secret key in the publishable slot", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.PublishableKey = "sb_secret_x" })
			},
			"supabase.publishable_key", doctor.Problem, "Holds a secret key", "rotate the secret one", nil,
		},
		{
			"legacy key of another project", func(w *world) {
				w.set(func(c *config.Config) {
					c.Supabase.PublishableKey = legacy(`{"role":"anon","ref":"zyxwvutsrqponmlkjihg"}`)
				})
			},
			"supabase.publishable_key", doctor.Problem, "to another project", "from the same project", nil,
		},
		{
			"secret key of another project", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.SecretKey = "sb_secret_of_another_project" })
			},
			"supabase", doctor.Problem, "refuses supabase.secret_key (status 401)", "Copy the address and both keys again", nil,
		},
		{
			"publishable key of another project", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.PublishableKey = "sb_publishable_of_another_project" })
			},
			"supabase", doctor.Problem, "refuses supabase.publishable_key (status 401)",
			"Copy the address and both keys again", nil,
		},
		{
			"legacy keys under a vanity subdomain", func(w *world) {
				w.set(func(c *config.Config) {
					c.Supabase.URL = "https://my-brand.supabase.co"
					c.Supabase.PublishableKey = legacy(`{"role":"anon","ref":"%s"}`, project)
				})
			},
			"supabase_keys", doctor.Warning, "whether my-brand.supabase.co is the same one",
			"supabase.url to https://" + project + ".supabase.co",
			[]string{"supabase"},
		},
		{
			"secret key that may only read", func(w *world) {
				w.overSupabase = on("/auth/v1/admin/generate_link", func(rw http.ResponseWriter, _ *http.Request) {
					rw.WriteHeader(http.StatusForbidden)
					_, _ = io.WriteString(rw, `{"code":"bad_jwt","message":"invalid JWT"}`)
				})
			},
			"supabase", doctor.Problem, "refuses to make a sign-in link with it (status 403, bad_jwt)",
			"legacy service_role key", nil,
		},
		{
			"GoTrue before error codes", func(w *world) {
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
			},
			"supabase", doctor.Problem, "is older than 2.155.0", "Update Supabase Auth", nil,
		},
		{
			"expired key", func(w *world) {
				w.set(func(c *config.Config) {
					c.Supabase.PublishableKey = legacy(`{"role":"anon","exp":%d}`, time.Now().Add(-48*time.Hour).Unix())
				})
			},
			"supabase_keys", doctor.Problem, "supabase.publishable_key expired on ",
			"Set supabase.publishable_key to the publishable key",
			[]string{"supabase"},
		},
		{
			"key that expires soon", func(w *world) {
				w.set(func(c *config.Config) {
					c.Supabase.PublishableKey = legacy(`{"role":"anon","exp":%d}`, time.Now().Add(48*time.Hour).Unix())
				})
			},
			"supabase_keys", doctor.Warning, "supabase.publishable_key expires on ", "Replace it before",
			[]string{"supabase"},
		},
		{
			"key of no known form", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.PublishableKey = "my-key" })
			},
			"supabase_keys", doctor.Warning, "supabase.publishable_key does not look like a Supabase key", "sb_publishable_",
			[]string{"supabase"},
		},
		{
			"misspelt project", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.URL = "https://bbcdefghijklmnopqrst.supabase.co" })
			},
			"supabase", doctor.Problem, "cannot be reached at https://bbcdefghijklmnopqrst.supabase.co/auth/v1",
			"letter by letter", nil,
		},
		{
			"no GoTrue there", func(w *world) { w.overSupabase = always(404) },
			"supabase", doctor.Problem, "no Supabase Auth at", "supabase.auth_url", nil,
		},
		{
			"GoTrue without a gateway", func(w *world) {
				w.set(func(c *config.Config) {
					c.Supabase.URL, c.Supabase.AuthURL = "https://self-hosted.ours.test", "https://self-hosted.ours.test"
				})
			},
			"supabase", doctor.Problem, "without Supabase's gateway", "service_role", nil,
		},
		{
			"the project is over its quota", func(w *world) { w.overSupabase = always(402) },
			"supabase", doctor.Problem, "serves nobody in this project (status 402)", "billing or quota", nil,
		},
		{
			"the project is paused", func(w *world) { w.overSupabase = always(540) },
			"supabase", doctor.Problem, "serves nobody in this project (status 540)", "restore the paused project", nil,
		},
		{
			"Supabase is down", func(w *world) { w.overSupabase = always(503) },
			"supabase", doctor.Warning, "having trouble (status 503)", "dashboard", nil,
		},
		{
			"old GoTrue", func(w *world) {
				w.overSupabase = on("/auth/v1/health", func(rw http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(rw, `{"name":"GoTrue","version":"v2.154.2"}`)
				})
			},
			"supabase", doctor.Problem, "GoTrue is v2.154.2", "Update Supabase Auth", nil,
		},
		{
			"GoTrue without forwarding", func(w *world) {
				w.overSupabase = on("/auth/v1/health", func(rw http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(rw, `{"name":"GoTrue","version":"v2.184.0"}`)
				})
			},
			"supabase", doctor.Warning, "ignores Sb-Forwarded-For", "GOTRUE_RATE_LIMIT_HEADER", nil,
		},
		{
			"public sign-up", func(w *world) { w.supabase.DisableSignup = false },
			"supabase", doctor.Warning, "Anybody can sign up by e-mail", "Allow new users to sign up", nil,
		},
		{
			"autoconfirm", func(w *world) { w.supabase.RequireConfirmation = false },
			"supabase", doctor.Warning, "taken as confirmed", "Confirm email", nil,
		},
		{
			"addresses not forwarded", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.ForwardClientIP = config.ForwardOff })
			},
			"client_ip", doctor.Warning, "six a minute for everybody", "Switch on IP address forwarding", nil,
		},
		{
			"a header that Supabase ignores", func(w *world) {
				w.set(func(c *config.Config) { c.Supabase.ForwardClientIP = "X-Forwarded-For" })
			},
			"client_ip", doctor.Warning, "hosted projects ignore", "sb-forwarded-for", nil,
		},
		{
			"forwarding with a legacy key", func(w *world) {
				w.set(func(c *config.Config) {
					c.Supabase.SecretKey = signin.Secret(legacy(`{"role":"service_role"}`))
				})
			},
			"supabase.forward_client_ip", doctor.Problem, "only with a new secret key", "sb_secret_",
			[]string{"supabase", "public_url"},
		},
		{
			"a domain of its own", func(w *world) {
				w.set(func(c *config.Config) {
					c.Supabase.URL, c.Supabase.ForwardClientIP = "https://self-hosted.ours.test", config.ForwardOff
				})
			},
			"client_ip", doctor.Skipped, "no way to see", "GOTRUE_RATE_LIMIT_HEADER", nil,
		},
		{
			"a clock that is fast", func(w *world) { w.now = func() time.Time { return time.Now().Add(5 * time.Minute) } },
			"clock", doctor.Problem, "ahead of Supabase's", "NTP",
			[]string{"clock"},
		},
		{
			"a clock that is slow", func(w *world) { w.now = func() time.Time { return time.Now().Add(-20 * time.Second) } },
			"clock", doctor.Warning, "behind TikTok's", "NTP",
			[]string{"clock"},
		},
		{
			"no Redis", func(w *world) { w.set(func(c *config.Config) { c.Store.RedisURL = "" }) },
			"redis", doctor.Skipped, "store.redis_url is not set", "", nil,
		},
		{
			"Redis is away", func(w *world) { w.redis.Close() },
			"redis", doctor.Problem, "is not working: ", "store.redis_url", nil,
		},
		{
			"Redis wants a password", func(w *world) { w.redis.RequireAuth("secret") },
			"redis", doctor.Problem, `refuses with "NOAUTH"`, "password", nil,
		},
		{
			"no public address", func(w *world) {
				w.set(func(c *config.Config) { c.Server.PublicURL = "" })
			},
			"public_url", doctor.Skipped, "only the guide flow works", "https address", nil,
		},
		{
			"nobody at the public address", func(w *world) { w.gone = []string{hostOf(bridgeURL)} },
			"public_url", doctor.Problem, "cannot be reached: dial tcp: lookup signin.ours.test: no such host",
			"--skip public_url", nil,
		},
		{
			"the proxy does not reach the bridge", func(w *world) { w.overBridge = always(502, "Server", "Caddy") },
			"public_url", doctor.Problem, "(through Caddy) answers with status 502", "server.listen", nil,
		},
		{
			"somebody else at the public address", func(w *world) { w.overBridge = always(200, "Server", "nginx/1.29.0") },
			"public_url", doctor.Problem,
			"Something other than a bridge answers at https://signin.ours.test (through nginx/1.29.0)",
			"all paths", nil,
		},
		{
			"a redirect at the public address", func(w *world) {
				w.overBridge = always(
					301, "Location", "https://www.ours.test/healthz",
				)
			},
			"public_url", doctor.Problem, "redirects to https://www.ours.test", "register its callback URL", nil,
		},
		{
			"a bridge at another address", func(w *world) {
				w.running = append(w.running, func(c *config.Config) { c.Server.PublicURL = "https://old.ours.test" })
			},
			"public_url", doctor.Problem, "its server.public_url differs", "Restart", nil,
		},
		{
			"a bridge with another app", func(w *world) {
				w.running = append(w.running, func(c *config.Config) { c.TikTok.ClientKey = "awotherkey" })
			},
			"public_url", doctor.Problem, "its tiktok.client_key differs", "Restart", nil,
		},
		{
			"a bridge with another secret", func(w *world) {
				w.running = append(w.running, func(c *config.Config) { c.TikTok.ClientSecret = "an-older-secret" })
			},
			"public_url", doctor.Problem, "seals with other keys", "Restart", nil,
		},
		{
			"a bridge without a public address", func(w *world) {
				w.running = append(w.running, func(c *config.Config) { c.Server.PublicURL = "" })
			},
			"public_url", doctor.Problem, "refuses to start a sign-in (invalid_request)", "Restart",
			[]string{"public_url"},
		},
		{
			"a proxy that is not listed", func(w *world) {
				w.set(func(c *config.Config) { c.Server.TrustedProxies = nil })
			},
			"proxies", doctor.Warning, "a proxy is in front of the bridge", "Set server.trusted_proxies", nil,
		},
		{
			"another proxy than the one listed", func(w *world) {
				w.set(func(c *config.Config) { c.Server.TrustedProxies = []string{"192.0.2.7"} })
			},
			"public_url", doctor.Warning, "did not accept the X-Request-Id", "server.trusted_proxies", nil,
		},
		{
			"everybody is trusted", func(w *world) {
				w.set(func(c *config.Config) { c.Server.TrustedProxies = []string{"0.0.0.0/0"} })
			},
			"proxies", doctor.Warning, "which is everybody", "only the addresses of your proxy", nil,
		},
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
				says := strings.Contains(f.Seen, tt.seen) && strings.Contains(f.Fix, tt.fix)
				if f.Check == tt.check && f.Status == tt.status && says {
					found = true
					continue
				}
				if (f.Status == doctor.Problem || f.Status == doctor.Warning) && !slices.Contains(tt.also, f.Check) {
					t.Errorf("also found: %+v", f)
				}
			}
			if !found {
				t.Errorf("%s does not say %s %q, %q; findings:\n%s", tt.check, tt.status, tt.seen, tt.fix, text(t, r))
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
	return func(w *world) { w.set(func(c *config.Config) { c.App.DeeplinkSchemes = list }) }
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
