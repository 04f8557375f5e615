package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/output"
)

// grants is a bridge that hands TikTok's tokens on, with a TikTok and a Supabase that has it as a provider.
type grants struct {
	t                        *testing.T
	app                      *App
	bridge, tiktok, supabase string // base URLs
	log                      output.Buffer
	down                     atomic.Bool  // Supabase
	ahead                    atomic.Int64 // how far Supabase's clock is, in nanoseconds
}

func newGrants(t *testing.T, adjust ...func(*config.Config)) *grants {
	t.Helper()
	g := &grants{t: t}
	tiktok := httptest.NewServer(tiktoksim.New(tiktoksim.Options{}))
	t.Cleanup(tiktok.Close)
	project, bridge := httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	g.tiktok, g.supabase = tiktok.URL, "http://"+project.Listener.Addr().String()
	g.bridge = "http://" + bridge.Listener.Addr().String()
	gotrue := gotruesim.New(gotruesim.Options{
		ExternalURL: g.supabase + "/auth/v1",
		SiteURL:     "https://app.example", RedirectURLs: []string{"https://app.example/**"},
		AllowInsecureIssuers: true,
		Now:                  func() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) },
	})
	project.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		gotrue.ServeHTTP(w, r)
	})
	project.Start()
	t.Cleanup(project.Close)

	cfg, err := config.Load("", append([]func(*config.Config){func(c *config.Config) {
		c.Server.PublicURL = g.bridge
		c.TikTok.ClientKey, c.TikTok.ClientSecret = tiktoksim.DefaultClientKey, tiktoksim.DefaultClientSecret
		c.TikTok.APIURL, c.TikTok.AuthorizeURL = g.tiktok, g.tiktok+"/v2/auth/authorize/"
		c.TikTok.Scopes, c.TikTok.ReturnTokens = []string{"user.info.basic", "video.list"}, true
		c.Supabase.URL = g.supabase
		c.Supabase.PublishableKey, c.Supabase.SecretKey = gotruesim.PublishableKey, gotruesim.SecretKey
		c.OIDC.SupabaseSecret = "a-secret-of-the-client-supabase-for-tests"
		c.Seal.Keys = []signin.Secret{"a key of the tests, with 32 characters or more"}
		c.App.Origins = []string{"https://app.example"}
		c.RateLimit.Enabled = false
	}}, adjust...)...)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if g.app, err = NewApp(cfg, AppOptions{Logger: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.app.Close(t.Context()) })
	bridge.Config.Handler = g.app.server
	bridge.Start()
	t.Cleanup(bridge.Close)
	_, err = supabase.New(supabaseOptions(cfg)).SetupProvider(t.Context(), providerSettings(cfg), false)
	if err != nil {
		t.Fatal(err)
	}
	g.post(g.tiktok+"/sim/webhooks", "", map[string]any{"url": g.bridge + "/api/auth/tiktok/webhook"}, nil)
	return g
}

// grantSession is what an app gets.
type grantSession struct {
	AccessToken     string   `json:"access_token"`
	RefreshToken    string   `json:"refresh_token"`
	ProviderToken   string   `json:"provider_token"`
	ProviderRefresh string   `json:"provider_refresh_token"`
	ProviderExpires int64    `json:"provider_expires_in"`
	ProviderScopes  []string `json:"provider_scopes"`
	Error           string   `json:"error"`
	User            struct{ ID string }
}

// post sends JSON, with an access token if there is one, and reads the answer into into. It returns the status.
func (g *grants) post(address, accessToken string, body, into any) int {
	g.t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		g.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, address, bytes.NewReader(payload))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Apikey", gotruesim.PublishableKey)
	if accessToken != "" {
		req.Header.Set("Authorization", "Bearer "+accessToken)
	}
	return g.do(http.DefaultClient, req, into)
}

func (g *grants) do(c *http.Client, req *http.Request, into any) int {
	g.t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if into != nil && len(answer) > 0 {
		if err := json.Unmarshal(answer, into); err != nil {
			g.t.Fatalf("%s answers %d: %s", req.URL.Path, resp.StatusCode, answer)
		}
	}
	return resp.StatusCode
}

// grantPerson is somebody with a browser.
type grantPerson struct {
	g       *grants
	openID  string
	browser *http.Client
}

func (g *grants) person(openID string) grantPerson {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it has no options
	}
	return grantPerson{g, openID, &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Hostname() == "app.example" { // nobody is there
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// The flows by which people sign in.
var grantFlows = []string{"hosted", "guide", "provider"}

const (
	grantVerifier = "verifier-of-the-app-0123456789-0123456789-01"
	grantPage     = "https://app.example/auth"
)

// signIn leads a person through a flow; at TikTok they leave those scopes ticked.
func (p grantPerson) signIn(flow, scopes string) grantSession {
	p.g.t.Helper()
	g := p.g
	var in grantSession
	if flow == "guide" {
		var made struct{ Code string }
		g.post(g.tiktok+"/sim/codes", "",
			map[string]string{"open_id": p.openID, "redirect_uri": grantPage, "scope": scopes}, &made)
		g.post(g.bridge+"/api/auth/tiktok-callback", "",
			map[string]string{"code": made.Code, "redirect_uri": grantPage}, &in)
		return in
	}
	g.post(g.tiktok+"/sim/next", "", map[string]string{"result": "grant", "open_id": p.openID, "scopes": scopes}, nil)
	query, asked := p.visit(flow)
	if asked {
		g.t.Fatal("TikTok shows its page although the next answer is planned")
	}
	if code := query.Get("code"); code != "" {
		g.post(g.supabase+"/auth/v1/token?grant_type=pkce", "",
			map[string]string{"auth_code": code, "code_verifier": grantVerifier}, &in)
		return in
	}
	if handoff := query.Get("tikbridge_handoff"); handoff != "" {
		g.post(g.bridge+"/api/auth/tiktok/redeem", "",
			map[string]string{"handoff": handoff, "verifier": grantVerifier}, &in)
		return in
	}
	in.Error = query.Get("tikbridge_error") + query.Get("error_code")
	return in
}

// visit starts a sign-in and returns the query of the app's page at its end, or whether TikTok's page came up.
func (p grantPerson) visit(flow string) (query url.Values, asked bool) {
	p.g.t.Helper()
	sum := sha256.Sum256([]byte(grantVerifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	address := p.g.bridge + "/api/auth/tiktok/start?" + url.Values{
		"platform": {"web"}, "redirect_to": {grantPage}, "challenge": {challenge},
	}.Encode()
	if flow == "provider" {
		address = p.g.supabase + "/auth/v1/authorize?" + url.Values{
			"provider": {"custom:tiktok"}, "redirect_to": {grantPage},
			"code_challenge": {challenge}, "code_challenge_method": {"s256"},
		}.Encode()
	}
	req, err := http.NewRequestWithContext(p.g.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		p.g.t.Fatal(err)
	}
	resp, err := p.browser.Do(req)
	if err != nil {
		p.g.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.Request.URL.Path == "/v2/auth/authorize/" && resp.StatusCode == http.StatusOK {
		return nil, true
	}
	at, err := resp.Location()
	if err != nil {
		p.g.t.Fatalf("%s answers %d", resp.Request.URL.Path, resp.StatusCode)
	}
	return at.Query(), false
}

// use sends a sealed refresh token to a route of the bridge, and returns "" or the error.
func (g *grants) use(route, sealed, accessToken string) (fresh grantSession, code string) {
	g.t.Helper()
	status := g.post(g.bridge+"/api/auth/tiktok/"+route, accessToken,
		map[string]string{"provider_refresh_token": sealed}, &fresh)
	if status >= http.StatusBadRequest && fresh.Error == "" {
		g.t.Errorf("%s answers %d without an error", route, status)
	}
	return fresh, fresh.Error
}

// videos asks TikTok for a person's videos, and returns the status.
func (g *grants) videos(token string) int {
	return g.post(g.tiktok+"/v2/video/list/?fields=id", token, map[string]any{}, nil)
}

// tokenCalls returns how often TikTok was asked for tokens.
func (g *grants) tokenCalls() int {
	var stats map[string]int
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.tiktok+"/sim/stats", http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	g.do(http.DefaultClient, req, &stats)
	return stats["token"]
}

const (
	basicOnly = "user.info.basic"
	withVideo = "user.info.basic,video.list"
)

// TestGrants has TikTok's tokens after every flow: with what the person granted, refreshed with their session, each
// refresh token once.
func TestGrants(t *testing.T) {
	t.Parallel()
	g := newGrants(t)
	for _, flow := range grantFlows {
		for _, scopes := range []string{basicOnly, withVideo} { // unticked, and not
			t.Run(flow+" "+scopes, func(t *testing.T) {
				in := g.person(openID).signIn(flow, scopes)
				if in.AccessToken == "" || in.ProviderToken == "" || strings.HasPrefix(in.ProviderRefresh, "rft.") {
					t.Fatalf("no session with tokens, or an unsealed one: %q", in.Error)
				}
				want := strings.Split(scopes, ",")
				if flow != "provider" { // GoTrue has no place for these
					if diff := cmp.Diff(want, in.ProviderScopes); diff != "" || in.ProviderExpires < 3600 {
						t.Errorf("a token for %d s; scopes (-want +got):\n%s", in.ProviderExpires, diff)
					}
				}
				fresh, code := g.use("token", in.ProviderRefresh, in.AccessToken)
				if diff := cmp.Diff(want, fresh.ProviderScopes); code != "" || diff != "" || fresh.ProviderExpires < 3600 {
					t.Errorf("the refresh: %q, a token for %d s; scopes (-want +got):\n%s", code, fresh.ProviderExpires, diff)
				}
				status := map[string]int{basicOnly: http.StatusUnauthorized, withVideo: http.StatusOK}[scopes]
				for _, token := range []string{in.ProviderToken, fresh.ProviderToken} {
					if got := g.videos(token); got != status {
						t.Errorf("TikTok answers %d to a call for videos; want %d", got, status)
					}
				}
				if _, code := g.use("token", fresh.ProviderRefresh, in.AccessToken); code != "" {
					t.Errorf("the next refresh: %s", code)
				}
				if _, code := g.use("token", in.ProviderRefresh, in.AccessToken); code != string(signin.InvalidGrant) {
					t.Errorf("a used refresh token: %q; want invalid_grant", code)
				}
			})
		}
	}
	g.wantNoTokens()
}

// wantNoTokens looks for TikTok's tokens, which have its prefixes, in the log.
func (g *grants) wantNoTokens() {
	g.t.Helper()
	for _, prefix := range []string{"act.", "rft."} {
		if strings.Contains(g.log.String(), prefix) {
			g.t.Errorf("the log holds a token of TikTok: %s…", prefix)
		}
	}
}

// TestGrants_lost loses the answer to a refresh, which TikTok has acted on: it costs the person a sign-in.
func TestGrants_lost(t *testing.T) {
	t.Parallel()
	g := newGrants(t)
	in := g.person(openID).signIn("hosted", withVideo)
	g.post(g.tiktok+"/sim/faults", "", map[string]any{"endpoint": "token", "fault": "reset_after"}, nil)
	for _, want := range []signin.Code{signin.TikTokUnavailable, signin.InvalidGrant} {
		if _, code := g.use("token", in.ProviderRefresh, in.AccessToken); code != string(want) {
			t.Errorf("got %q; want %s", code, want)
		}
	}
	in = g.person(openID).signIn("hosted", withVideo)
	if _, code := g.use("token", in.ProviderRefresh, in.AccessToken); code != "" {
		t.Errorf("after a new sign-in: %s", code)
	}
}

// TestGrants_revoke ends the grant: TikTok's tokens are dead, and it asks anew. TikTok also sends a webhook, but the
// person is not signed out.
func TestGrants_revoke(t *testing.T) {
	t.Parallel()
	for _, flow := range []string{"hosted", "provider"} {
		t.Run(flow, func(t *testing.T) {
			t.Parallel()
			g := newGrants(t)
			p := g.person(openID)
			in := p.signIn(flow, withVideo)
			if flow == "hosted" {
				if _, asked := p.visit(flow); asked {
					t.Fatal("TikTok asks anew without a reason, so that this proves little")
				}
			}
			if _, code := g.use("revoke", in.ProviderRefresh, in.AccessToken); code != "" {
				t.Fatalf("revoke: %s", code)
			}
			if got := g.videos(in.ProviderToken); got != http.StatusUnauthorized {
				t.Errorf("TikTok answers %d to the old token", got)
			}
			if _, asked := p.visit(flow); !asked {
				t.Error("TikTok does not ask the person again")
			}
			for _, route := range []string{"token", "revoke"} {
				if _, code := g.use(route, in.ProviderRefresh, in.AccessToken); code != string(signin.InvalidGrant) {
					t.Errorf("%s afterwards: %q; want invalid_grant", route, code)
				}
			}
			if !g.isSignedIn(in) {
				t.Error("the person is signed out")
			}
		})
	}
}

// TestGrants_attacks uses what was stolen or made up. None of it makes the bridge ask TikTok.
func TestGrants_attacks(t *testing.T) {
	t.Parallel()
	g := newGrants(t)
	mine := g.person(openID).signIn("hosted", withVideo)
	theirs := g.person(tiktoksim.OpenIDTwinA).signIn("provider", withVideo)
	almost := g.person(tiktoksim.OpenIDTwinB).signIn("provider", withVideo) // differs from theirs in case alone
	before := g.tokenCalls()

	head, body, _ := strings.Cut(mine.AccessToken, ".")
	body, _, _ = strings.Cut(body, ".")
	mac := hmac.New(sha256.New, []byte("the JWT secret of another project, also 32 characters"))
	_, _ = io.WriteString(mac, head+"."+body)
	otherProject := head + "." + body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	sealedByAnother := newGrants(t, func(c *config.Config) {
		c.Seal.Keys = []signin.Secret{"a key of another bridge, with 32 characters or more"}
	}).person(openID).signIn("hosted", withVideo).ProviderRefresh
	begun, err := url.Parse(g.begin())
	if err != nil {
		t.Fatal(err)
	}
	tenTimes := strings.Repeat(mine.ProviderRefresh, 10)
	for name, attack := range map[string]struct {
		sealed, accessToken string
		want                signin.Code
	}{
		"another person's refresh token":         {theirs.ProviderRefresh, mine.AccessToken, signin.AccessDenied},
		"my refresh token, another's session":    {mine.ProviderRefresh, theirs.AccessToken, signin.AccessDenied},
		"of a person that differs in case alone": {theirs.ProviderRefresh, almost.AccessToken, signin.AccessDenied},
		"a session of another project":           {mine.ProviderRefresh, otherProject, signin.AccessDenied},
		"the key of the project":                 {mine.ProviderRefresh, gotruesim.PublishableKey, signin.AccessDenied},
		"its secret key":                         {mine.ProviderRefresh, gotruesim.SecretKey, signin.AccessDenied},
		"no session":                             {mine.ProviderRefresh, "", signin.AccessDenied},
		"an unsealed token":                      {"rft.0123456789!5195.va", mine.AccessToken, signin.InvalidGrant},
		"an access token":                        {mine.ProviderToken, mine.AccessToken, signin.InvalidGrant},
		"sealed by another bridge":               {sealedByAnother, mine.AccessToken, signin.InvalidGrant},
		"sealed for something else":              {begun.Query().Get("state"), mine.AccessToken, signin.InvalidGrant},
		"a changed seal":                         {mine.ProviderRefresh + "A", mine.AccessToken, signin.InvalidGrant},
		"ten of them":                            {tenTimes, mine.AccessToken, signin.InvalidGrant},
		"nothing":                                {"", mine.AccessToken, signin.InvalidRequest},
	} {
		for _, route := range []string{"token", "revoke"} {
			if fresh, code := g.use(route, attack.sealed, attack.accessToken); code != string(attack.want) ||
				fresh.ProviderToken != "" {
				t.Errorf("%s at %s: %q; want %s", name, route, code, attack.want)
			}
		}
	}
	if n := g.tokenCalls() - before; n != 0 {
		t.Errorf("TikTok was asked for tokens %d times; want never", n)
	}
	for _, in := range []grantSession{mine, theirs} {
		if _, code := g.use("token", in.ProviderRefresh, in.AccessToken); code != "" {
			t.Errorf("the owner's own refresh: %s", code)
		}
	}
	g.wantNoTokens()
}

// begin returns the address of TikTok's page for a sign-in, which has a sealed state.
func (g *grants) begin() string {
	g.t.Helper()
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, "/api/auth/tiktok/start?platform=web&redirect_to="+grantPage, http.NoBody)
	g.app.server.ServeHTTP(rec, req)
	if rec.Code != http.StatusFound {
		g.t.Fatalf("start answers %d", rec.Code)
	}
	return rec.Header().Get("Location")
}

// isSignedIn reports whether a session lives: both of its tokens do, or neither.
func (g *grants) isSignedIn(in grantSession) bool {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.supabase+"/auth/v1/user", http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Apikey", gotruesim.PublishableKey)
	req.Header.Set("Authorization", "Bearer "+in.AccessToken)
	access := g.do(http.DefaultClient, req, nil)
	refresh := g.post(g.supabase+"/auth/v1/token?grant_type=refresh_token", "",
		map[string]string{"refresh_token": in.RefreshToken}, nil)
	if (access == http.StatusOK) != (refresh == http.StatusOK) {
		g.t.Errorf("half of a session lives: access token %d, refresh token %d", access, refresh)
	}
	return access == http.StatusOK
}

// grantDelivery is what TikTok says of a webhook it sent.
type grantDelivery struct{ Statuses []int }

// removed is TikTok's webhook about a person who took the app's access away.
func (g *grants) removed(openID string) []int {
	g.t.Helper()
	var d grantDelivery
	g.post(g.tiktok+"/sim/webhooks/send", "", map[string]any{"open_id": openID}, &d)
	return d.Statuses
}

// link adds the identity of the provider to the account of a session, which is what `supabase migrate` does in SQL.
func (g *grants) link(openID string, in grantSession) grantSession {
	g.t.Helper()
	client, _ := g.app.cfg.SupabaseClient()
	token, err := g.app.provider.IDToken(client.ID, signin.Identity{OpenID: openID}, signin.Profile{})
	if err != nil {
		g.t.Fatal(err)
	}
	var linked grantSession
	status := g.post(g.supabase+"/auth/v1/token?grant_type=id_token", in.AccessToken,
		map[string]any{"provider": "custom:tiktok", "id_token": token, "link_identity": true}, &linked)
	if status != http.StatusOK || linked.User.ID != in.User.ID {
		g.t.Fatalf("linking answers %d; user %q, was %q", status, linked.User.ID, in.User.ID)
	}
	return linked
}

// TestGrants_removed: who takes the app's access away at TikTok is signed out everywhere, by whatever way they came
// in. Nobody else is.
func TestGrants_removed(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", supabase.DefaultProvider} { // hosted sign-ins by link, and by the provider
		for _, removal := range []signin.Removal{signin.RemovalSignOut, signin.RemovalBan, signin.RemovalIgnore} {
			t.Run(string(removal)+" "+mode, func(t *testing.T) {
				t.Parallel()
				g := newGrants(t, func(c *config.Config) {
					c.Supabase.Provider, c.TikTok.OnRemoved = mode, string(removal)
				})
				people := map[string][]string{ // by who they are, the flows by which they sign in
					"-000OnlyHosted": {"hosted", "hosted"}, "-000OnlyGuide": {"guide"},
					"-000OnlyProvider": {"provider", "provider"}, "-000Both": {"hosted", "provider"},
				}
				sessions := map[string][]grantSession{}
				for who, flows := range people {
					for _, flow := range flows {
						sessions[who] = append(sessions[who], g.person(who).signIn(flow, withVideo))
					}
				}
				if mode == "" {
					first := g.person("-000Migrated").signIn("hosted", withVideo)
					people["-000Migrated"] = []string{"hosted", "provider"}
					sessions["-000Migrated"] = []grantSession{
						first, g.link("-000Migrated", first), g.person("-000Migrated").signIn("provider", withVideo),
					}
					if first.User.ID != sessions["-000Migrated"][2].User.ID {
						t.Fatal("the migrated person has two accounts")
					}
				}
				bystander := g.person("-000onlyhosted").signIn("hosted", withVideo)
				if removal == signin.RemovalBan { // also at a door that they have not used yet
					people["-000OnlyHosted"] = append(people["-000OnlyHosted"], "provider")
				}
				g.ahead.Store(int64(time.Minute)) // in its first second an account counts as new
				for _, who := range slices.Sorted(maps.Keys(people)) {
					if got := g.removed(who); !slices.Equal(got, []int{http.StatusOK}) {
						t.Errorf("%s: the webhook gets %v; want 200", who, got)
					}
					for i, in := range sessions[who] {
						if lives := g.isSignedIn(in); lives != (removal == signin.RemovalIgnore) {
							t.Errorf("%s: session %d lives: %v", who, i+1, lives)
						}
					}
					for _, flow := range people[who] {
						in := g.person(who).signIn(flow, withVideo)
						if banned := in.Error == "user_banned"; banned != (removal == signin.RemovalBan) ||
							!banned && in.AccessToken == "" {
							t.Errorf("%s signs in again by %s: %q, a session: %v", who, flow, in.Error, in.AccessToken != "")
						}
					}
				}
				if !g.isSignedIn(bystander) {
					t.Error("somebody else was signed out")
				}
				if n := strings.Count(g.log.String(), `"event":"authorization_removed"`); n != len(people) {
					t.Errorf("the audit log tells of %d removals; want %d", n, len(people))
				}
				g.wantNoTokens()
			})
		}
	}
}

// TestGrants_webhook gets what TikTok may send, and what others would. Only TikTok's own word counts, and once.
func TestGrants_webhook(t *testing.T) {
	t.Parallel()
	g := newGrants(t)
	for fault, want := range map[string][]int{
		"unknown_event": {200}, "content_object": {200}, "replay": {200, 200}, "duplicate": {200, 200},
		"wrong_signature": {400}, "no_signature": {400}, "altered": {400}, "old_signature": {400},
		"future_signature": {400}, "other_client_key": {400}, "event_not_json": {400},
	} {
		who := "-000Of_" + fault
		in := g.person(who).signIn("hosted", withVideo)
		audited := strings.Count(g.log.String(), `"event":"authorization_removed"`)
		g.post(g.tiktok+"/sim/faults", "", map[string]any{"endpoint": "webhook", "fault": fault}, nil)
		if got := g.removed(who); !slices.Equal(got, want) {
			t.Errorf("%s: the webhook answers %v; want %v", fault, got, want)
		}
		counts := want[0] == http.StatusOK && fault != "unknown_event"
		if lives := g.isSignedIn(in); lives == counts {
			t.Errorf("%s: the session lives: %v", fault, lives)
		}
		if n := strings.Count(g.log.String(), `"event":"authorization_removed"`) - audited; (n == 1) != counts {
			t.Errorf("%s: the audit log tells of %d removals", fault, n)
		}
	}
	g.wantNoTokens()
}

// TestGrants_webhookSecrets takes what the secret before signed, for as long as the configuration has it.
func TestGrants_webhookSecrets(t *testing.T) {
	t.Parallel()
	for previous, want := range map[signin.Secret]int{
		tiktoksim.DefaultClientSecret: http.StatusOK, "": http.StatusBadRequest, "another": http.StatusBadRequest,
	} {
		g := newGrants(t, func(c *config.Config) {
			c.TikTok.ClientSecret, c.TikTok.PreviousClientSecret = "secret-after-the-former", previous
		})
		if got := g.removed(openID); !slices.Equal(got, []int{want}) {
			t.Errorf("with the previous secret %q the webhook answers %v; want %d", previous.Reveal(), got, want)
		}
	}
}

// TestGrants_webhookAgain: while Supabase is down nobody can be signed out, so TikTok is asked to come again.
func TestGrants_webhookAgain(t *testing.T) {
	t.Parallel()
	g := newGrants(t)
	in := g.person(openID).signIn("provider", withVideo)
	g.ahead.Store(int64(time.Minute))
	g.down.Store(true)
	if got := g.removed(openID); !slices.Equal(got, []int{http.StatusServiceUnavailable}) {
		t.Errorf("the webhook answers %v; want 503", got)
	}
	g.down.Store(false)
	var again struct{ Deliveries []grantDelivery }
	g.post(g.tiktok+"/sim/webhooks/retry", "", map[string]any{}, &again)
	if len(again.Deliveries) != 1 || !slices.Equal(again.Deliveries[0].Statuses, []int{http.StatusOK}) {
		t.Errorf("the second attempt gets %v; want one 200", again.Deliveries)
	}
	if g.isSignedIn(in) {
		t.Error("the person is still signed in")
	}
	if n := strings.Count(g.log.String(), `"event":"authorization_removed"`); n != 1 {
		t.Errorf("the audit log tells of %d removals; want one", n)
	}
}
