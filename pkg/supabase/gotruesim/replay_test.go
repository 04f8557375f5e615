package gotruesim_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// capture is a request to a real GoTrue with its answer.
type capture struct {
	Name    string `json:"name"`
	Request struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    any               `json:"body"` // nil: not recorded
	} `json:"response"`
	// Upstream is what the OpenID Provider was asked meanwhile; recorded for "oidc/" alone.
	Upstream []upstream `json:"upstream"`
}

// leftOut lists the recordings that the emulator does not answer, by the reason.
var leftOut = map[string][]string{
	"custom access token hooks": {
		"hook: verify with custom access token hook",
	},
	"other ways of an id_token than custom providers": {
		"id_token grant: keycloak provider slot pointing at own issuer",
		"id_token grant: arbitrary allowed issuer (GOTRUE_EXTERNAL_ALLOWED_ID_TOKEN_ISSUERS)",
		"id_token grant: arbitrary allowed issuer, no email",
	},
	"its provider was written into the database": {
		"custom-providers list",
	},
	"the database was changed by hand": {
		"oidc/redirect: old verifier, callback",
	},
	"one of many at once, see TestFirstSignInsRace": {
		"oidc/races: id_token, loser",
		"oidc/races: id_token, loser, old format",
		"oidc/races: redirect, loser",
	},
}

// whyLeftOut gives the reason, or "" for a recording that is replayed.
func whyLeftOut(name string) string {
	for reason, names := range leftOut {
		if slices.Contains(names, name) {
			return reason
		}
	}
	return ""
}

// scene is a run of recordings against one project, from the one named first up to the next scene.
type scene struct {
	first   string
	options gotruesim.Options
	// bubble makes the scene's one recording run in fake time, beside another request.
	bubble bool
}

const idTokenGrants = "id_token grant: custom:tiktok, no email, first"

var oidcRedirects = []string{"https://app.example.com/**", "myapp://oauth/auth"}

var redirects = []string{"https://app.example.com/**"}

var scenes = []scene{
	{first: "admin create: new user"},
	{first: "generate_link: existing confirmed user, with data"},
	{first: "signup-disabled: admin create", options: gotruesim.Options{DisableSignup: true}},
	{
		first:   "email-provider-disabled: admin create",
		options: gotruesim.Options{DisableEmail: true},
	},
	{
		first:   "public POST /otp right after admin generate_link, MAX_FREQUENCY=60s",
		options: gotruesim.Options{EmailMaxFrequency: time.Minute},
	},
	{first: "verify: expired (OTP_EXP passed)"},
	{first: "generate_link: bad type", options: gotruesim.Options{RedirectURLs: redirects}},
	{
		first:   "verify: 429 (2024-01-01)",
		options: gotruesim.Options{RateLimitHeader: "X-Forwarded-For"},
	},
	{
		first:   "verify: user with a verified TOTP factor",
		options: gotruesim.Options{RedirectURLs: redirects},
	},
	{first: "hijack/autoconfirm on: attacker signup"},
	{
		first:   "hijack/autoconfirm off: attacker signup",
		options: gotruesim.Options{RequireConfirmation: true},
	},
	{first: "user PUT: app_metadata by normal user"},
	{
		first:   "hijack/email change, autoconfirm off: PUT /user",
		options: gotruesim.Options{RequireConfirmation: true},
	},
	{first: "user PUT: tiktok user sets a password"},
	{first: "admin update: metadata merge"},
	{first: "hook: admin create", options: gotruesim.Options{BeforeUserCreated: rejectingHook}},
	{first: idTokenGrants, options: gotruesim.Options{AllowInsecureIssuers: true}},
	{first: "custom-providers create: http issuer refused"},
	{first: "public signup: id in the body is ignored"},
	{first: raceEmail, bubble: true, options: gotruesim.Options{WriteDelay: time.Second}},
	{first: raceMagicLink, bubble: true, options: gotruesim.Options{WriteDelay: time.Second}},
	{first: "settings (public)"},
	{
		first:   "oidc/admin: create without a token",
		options: gotruesim.Options{RequirePhoneConfirmation: true},
	},
	{first: "oidc/redirect: no provider there, authorize", options: gotruesim.Options{RedirectURLs: oidcRedirects}},
	{first: "oidc/pkce grant: create", options: gotruesim.Options{RedirectURLs: oidcRedirects}},
	{first: "oidc/id_token: no provider there"},
	{
		first:   "oidc/linking: create",
		options: gotruesim.Options{RedirectURLs: oidcRedirects, ManualLinking: true},
	},
	{first: "oidc/linking off: create"},
	{
		first:   "oidc/confirmation: create",
		options: gotruesim.Options{RedirectURLs: oidcRedirects, RequireConfirmation: true},
	},
	{first: "oidc/autoconfirm: create", options: gotruesim.Options{RedirectURLs: oidcRedirects}},
	{
		first:   "oidc/signup closed: create",
		options: gotruesim.Options{RedirectURLs: oidcRedirects, DisableSignup: true},
	},
	{
		first: "oidc/hook: create",
		options: gotruesim.Options{RedirectURLs: oidcRedirects, BeforeUserCreated: func(u map[string]any) (int, string) {
			if u["user_metadata"].(map[string]any)["name"] == "Reject" {
				return 403, "rejected by hook"
			}
			return 0, ""
		}},
	},
	{first: "oidc/races: create"},
	{
		first: "oidc/slow: create",
		options: gotruesim.Options{
			RedirectURLs: oidcRedirects, MaxRequestDuration: 100 * time.Millisecond,
		},
	},
	{
		first:   "more 000: create minimal v=True",
		options: gotruesim.Options{EmailMaxFrequency: time.Second},
	},
}

const (
	raceEmail = "verify: token row present but users.recovery_token newer (simulated race), " +
		"type=email"
	raceMagicLink = "verify: token row present but users.recovery_token newer (simulated race), " +
		"type=magiclink"
	racer = "panic9017577@tiktok.oauth"
)

func rejectingHook(user map[string]any) (int, string) {
	if email, _ := user["email"].(string); strings.HasPrefix(email, "reject") {
		return 403, "rejected by hook"
	}
	return 0, ""
}

// setup does what was done on the real server before a recording without being recorded itself.
// Strings of the recording are bound to what the emulator has in their place.
var setup = map[string]func(w *world){
	"generate_link: existing confirmed user, with data": func(w *world) {
		w.user("u7930135@tiktok.oauth", fields{
			"user_metadata": fields{"name": "orig", "keep": 1},
			"app_metadata":  fields{"tiktok": fields{"open_id": "o"}},
		})
	},
	"verify: type=signup on a magiclink hash": func(w *world) {
		w.bindLink("u7930135@tiktok.oauth",
			"e7e919c1feddad3963e85441f78f1ea60d4096273c1f373fa6cc9061")
	},
	"verify: type=recovery on magiclink hash": func(w *world) {
		w.bindLink("u7930135@tiktok.oauth",
			"266c289af26183b436420eb35effc586e04229ae8732232549fa3acd")
	},
	"verify: email + token (OTP) instead of token_hash": func(w *world) {
		w.bind("702332", w.link("u7930135@tiktok.oauth").str("email_otp"))
	},
	"verify: token_hash plus email": func(w *world) {
		w.bindLink("u7930135@tiktok.oauth",
			"57ca76ad9968ee915c16b65afdc99a61448ffcf43301fc60ab01ad0f")
	},
	"verify: superseded by second generate_link": func(w *world) {
		w.bindLink("u7930135@tiktok.oauth",
			"2a2563fab8592cdb3b53664e9f9be931d05d72919e3b3d08665e83c5")
		w.bindLink("u7930135@tiktok.oauth",
			"5c69db7ece3f8d09c0561244a62ef078d60e8253ce5e49c289dab435")
	},
	"public POST /otp for the same address": func(w *world) {
		w.bindLink("u7930135@tiktok.oauth",
			"bf6b412014a3179e4dc3c324ee1d039491c66a46c95a0db42fab0a6f")
	},
	"verify: type=signup on auto-created": func(w *world) {
		w.bindLink("new7930137@tiktok.oauth",
			"02e58526012db3a4a3fad41c7aaf9e5fc87a40eb8528251307cbc32f")
	},
	"generate_link: second call before first verify of auto-created user": func(w *world) {
		w.bindLink("new7930138@tiktok.oauth",
			"367894a33e9579c7e8201ffc9ab362e673028f71d57558753f7a66d8")
	},
	"generate_link: unconfirmed existing user": func(w *world) {
		w.must("POST", "/admin/users", fields{"email": "unc7930139@tiktok.oauth"})
	},
	"generate_link: banned user": func(w *world) {
		w.user("u7930140@tiktok.oauth", fields{"ban_duration": "24h"})
	},
	"admin delete: soft": func(w *world) {
		w.bind("7bea2146-b5d5-4249-9088-d6b7589ce932", w.user("u7930141@tiktok.oauth"))
	},
	"admin create: same email and same id after soft delete": func(w *world) {
		id := w.user("u7930142@tiktok.oauth", fields{"id": "57c69b35-909d-4ffd-99cc-44b6fc6224e5"})
		w.must("DELETE", "/admin/users/"+id, fields{"should_soft_delete": true})
	},
	"admin delete: hard": func(w *world) {
		w.user("u7930143@tiktok.oauth", fields{"id": "1a0d763b-9758-4682-b436-d67316edd218"})
	},
	"verify: user deleted after generate_link": func(w *world) {
		id := w.user("u7930144@tiktok.oauth")
		w.bindLink("u7930144@tiktok.oauth",
			"57f5d94762f8ade20adc8b227ae92035d1203bcd5be08083df9e7da1")
		w.must("DELETE", "/admin/users/"+id, nil)
	},
	"public POST /otp right after admin generate_link, MAX_FREQUENCY=60s": func(w *world) {
		w.user("u7930151@tiktok.oauth")
		w.link("u7930151@tiktok.oauth")
		w.clock.advance(500 * time.Millisecond)
	},
	"verify: expired (OTP_EXP passed)": func(w *world) {
		w.user("u@tiktok.oauth")
		w.bindLink("u@tiktok.oauth",
			"001baa5306ad2542af9f4e42a6fe9861c5fdccb87276a83ee7b9a133")
		w.clock.advance(time.Hour + time.Second)
	},
	"generate_link: bad type": func(w *world) {
		w.user("u7930135@tiktok.oauth", fields{
			"user_metadata": fields{"name": "orig", "keep": 1},
			"app_metadata":  fields{"tiktok": fields{"open_id": "o"}},
		})
		w.signIn("u7930135@tiktok.oauth")
	},
	"verify: 429 (2024-01-01)": func(w *world) {
		for range 30 {
			w.do("POST", "/verify", fields{}, "X-Forwarded-For", "203.0.113.1")
		}
	},
	"verify: user with a verified TOTP factor": func(w *world) {
		if err := w.AddVerifiedFactor(w.user("u8039866@tiktok.oauth")); err != nil {
			w.t.Fatal(err)
		}
		w.bindLink("u8039866@tiktok.oauth",
			"a22dda47e41b1d5c08da174c25777ab470abec2ea48be268d6adc4a0")
	},
	"verify GET: success": func(w *world) {
		w.user("u8039867@tiktok.oauth")
		w.bindLink("u8039867@tiktok.oauth",
			"c42bd36996ae1e85562cb21720271ad482755bbd9f98b17b779c7eb8")
	},
	"verify GET: disallowed redirect_to falls back to SITE_URL": func(w *world) {
		w.bindLink("u8039867@tiktok.oauth",
			"0b471abe0d5e3cfb1f562d131d6b1edeb352bcc72dd9853f9da64dc8")
	},
	"verify GET: type=email": func(w *world) {
		w.bindLink("u8039867@tiktok.oauth",
			"830243300d051080a94a72d2a94dd705024196b2d21ae11afa0f67af")
	},
	"verify GET: magiclink type on auto-created user": func(w *world) {
		w.bindLink("getnew8039868@tiktok.oauth",
			"3229286adcfb5e14e7966c706957c8c855b2d0ff87bc2f336bb780a2")
	},
	"user PUT: app_metadata by normal user": func(w *world) {
		w.token = w.signup("att8047630@tiktok.oauth", "Attacker1!").str("access_token")
	},
	"hijack/email change, autoconfirm on: PUT /user": func(w *world) {
		w.token = w.signup("att8047632@tiktok.oauth", "Attacker1!").str("access_token")
	},
	"hijack/email change: confirm token(s) after target address was taken (1)": func(w *world) {
		mails := w.Outbox()
		w.bind("5be0ad1b74b267fed3d6e2c45446040c8dfd09c88fdac0fdfc9e4e35", mails[0].TokenHash)
		w.bind("38f7431a8ccdfddd605e61dc5b8870235e4fc4051576ba636d9d7be6", mails[1].TokenHash)
	},
	"hijack/email changed: admin create": func(w *world) {
		attacker := w.signup("att8047634@tiktok.oauth", "Attacker1!").str("access_token")
		w.as(attacker, "PUT", "/user", fields{"email": "victim8047633@tiktok.oauth"})
		own := w.Outbox()[len(w.Outbox())-2]
		if r := w.verify("email_change", own.TokenHash); r.status != 200 {
			w.t.Fatalf("complete the e-mail change: got %d %s", r.status, r.text)
		}
	},
	"hijack/email change, autoconfirm off: PUT /user": func(w *world) {
		w.user("att8047634@tiktok.oauth", fields{"password": "Attacker1!"})
		w.token = w.login("att8047634@tiktok.oauth", "Attacker1!").str("access_token")
	},
	"user PUT: tiktok user sets a password": func(w *world) {
		w.user("tt8047636@tiktok.oauth")
		w.token = w.signIn("tt8047636@tiktok.oauth").str("access_token")
	},
	"admin update: metadata merge": func(w *world) {
		w.user("u7823420@tiktok.oauth", fields{"password_hash": bcryptHash})
		for i := range 40 {
			w.user(fmt.Sprintf("filler%d@example.com", i), fields{"password_hash": bcryptHash})
		}
		w.link("tt8047636@tiktok.oauth")
		w.must("POST", "/otp", fields{
			"email": "otpnew8047638@tiktok.oauth", "data": fields{"evil": 1},
		})
		w.bind("1b711865-b521-467a-97b1-9e20767fe747", w.user("merge8109822@tiktok.oauth", fields{
			"user_metadata": fields{"a": 1, "b": fields{"x": 1, "y": 2}, "c": 3},
			"app_metadata":  fields{"tiktok": fields{"open_id": "o", "union_id": "u"}, "z": 1},
		}))
	},
	"admin update: ban_duration none": func(w *world) { w.signIn("merge8109822@tiktok.oauth") },
	raceEmail: func(w *world) {
		w.user(racer)
		w.bindLink(racer, "c58d802ee4b14b64d3b329aa6ce3e6267ba9b7e0f588f6b38177b93b")
	},
	raceMagicLink: func(w *world) {
		w.user(racer)
		w.bindLink(racer, "666f359265711986012fdf90918a733a2691f8e5a8fbfbb162411ede")
	},
	idTokenGrants: func(w *world) {
		wantStatus(w.t, w.call("POST", "/admin/custom-providers", fields{
			"provider_type": "oidc", "identifier": "custom:tiktok", "name": "TikTok", "client_id": "bridge",
			"client_secret": "x", "issuer": "http://127.0.0.1:9555", "email_optional": true,
		}), 201)
	},
	"id_token grant: verified email that an unconfirmed squatter holds": func(w *world) {
		w.must("POST", "/admin/generate_link", fields{
			"type": "signup", "email": "sq8322911@tiktok.oauth", "password": "Attacker1!",
		})
	},
	"id_token grant: verified email that a confirmed squatter holds": func(w *world) {
		w.signup("sq8322912@tiktok.oauth", "Attacker1!")
	},
	"oidc/redirect: expired state, callback": func(w *world) { w.clock.advance(301 * time.Second) },
	"oidc/pkce grant: late":                  func(w *world) { w.clock.advance(301 * time.Second) },
}

const bcryptHash = "$2a$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

// otherTokens are the tokens behind "<user/other token>" that are no access token.
var otherTokens = map[string]func(w *world) string{
	"admin: garbage JWT": func(*world) string { return "garbage" },
	"admin: sb_secret key sent as Bearer directly to GoTrue": func(*world) string {
		return gotruesim.SecretKey
	},
	"admin: JWT wrong secret": func(w *world) string {
		return w.forge("another secret", time.Hour)
	},
	"admin: expired JWT": func(w *world) string {
		return w.forge(gotruesim.DefaultJWTSecret, -time.Hour)
	},
}

// world is a project with the recorded strings that stand for something in it.
type world struct {
	*project
	op    *op
	bound map[string]string
	token string
}

func newWorld(t testing.TB, o gotruesim.Options) *world {
	w := &world{op: newOP(t), bound: map[string]string{}}
	o.Transport = w.op
	if o.LookupIP == nil {
		o.LookupIP = func(string) ([]net.IP, error) { return nil, errors.New("no such host") }
	}
	w.project = newProject(t, o)
	return w
}

func (w *world) bind(recorded, actual string) { w.bound[recorded] = actual }

func (w *world) bindLink(email, recordedHash string) {
	w.t.Helper()
	w.bind(recordedHash, w.link(email).str("hashed_token"))
}

func (w *world) forge(secret string, ttl time.Duration) string {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"role": "service_role", "exp": w.clock.now().Add(ttl).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// translate puts the emulator's strings in place of the recorded ones.
func (w *world) translate(s string) string {
	for recorded, actual := range w.bound {
		s = strings.ReplaceAll(s, recorded, actual)
	}
	return s
}

func (w *world) send(c capture) reply {
	var headers []string
	for name, value := range c.Request.Headers {
		switch value {
		case "Bearer <service_role JWT>":
			value = "Bearer " + w.ServiceRoleKey()
		case "Bearer <anon JWT>":
			value = "Bearer " + w.AnonKey()
		case "Bearer <user/other token>":
			value = "Bearer " + w.token
			if other, ok := otherTokens[c.Name]; ok {
				value = "Bearer " + other(w)
			}
		}
		headers = append(headers, name, w.translate(value))
	}
	w.clock.advance(time.Millisecond)
	w.op.take()
	body := w.resign(c)
	var raw string
	if json.Unmarshal(c.Request.Body, &raw) == nil {
		body = raw // a body that was no JSON is recorded as a string
	}
	if body == "null" {
		body = ""
	}
	return w.do(c.Request.Method, w.translate(c.Request.Path), w.translate(body), headers...)
}

// resign puts a token of the tests' own provider in place of a recorded id_token: the recorded keys are gone.
func (w *world) resign(c capture) string {
	var body fields
	if json.Unmarshal(c.Request.Body, &body) != nil || strings.Contains(c.Name, "forged") {
		return string(c.Request.Body)
	}
	recorded, _ := body["id_token"].(string)
	token, _, err := jwt.NewParser().ParseUnverified(recorded, jwt.MapClaims{})
	if err != nil {
		return string(c.Request.Body)
	}
	header := map[string]any{"kid": token.Header["kid"]}
	if header["kid"] == "k1" {
		header = nil // of the first recordings, which had one key
	}
	body["id_token"] = w.op.sign(token.Method.Alg(), header, token.Claims.(jwt.MapClaims))
	data, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// TestReplay feeds every recording to the emulator and compares the answers: status, headers and
// body, values included unless they are random or times. A recording builds on those before it in
// its scene, so it cannot be run alone.
func TestReplay(t *testing.T) {
	captures := load(t)
	var w *world
	var current scene
	next := 0
	for _, c := range captures {
		if next < len(scenes) && scenes[next].first == c.Name {
			current = scenes[next]
			next++
			w = newWorld(t, current.options)
		}
		t.Run(c.Name, func(t *testing.T) {
			if why := whyLeftOut(c.Name); why != "" {
				t.Skip("left out: " + why)
			}
			if current.bubble {
				synctest.Test(t, func(t *testing.T) { replayRace(t, current, c) })
				return
			}
			w.t, w.op.t = t, t
			if prepare, ok := setup[c.Name]; ok {
				prepare(w)
			}
			w.compare(c, w.send(c))
		})
	}
	if next != len(scenes) {
		t.Errorf("scene %q was never reached", scenes[next].first)
	}
}

// replayRace lets another link supersede the one under verification, between the reading of the
// token and the reading of its user.
func replayRace(t *testing.T, s scene, c capture) {
	w := newWorld(t, s.options)
	setup[c.Name](w)
	done := make(chan reply)
	go func() { done <- w.send(c) }()
	synctest.Wait()
	w.link(racer)
	w.compare(c, <-done)
}

// TestReplayIsComplete keeps the tables of this file true to the recordings.
func TestReplayIsComplete(t *testing.T) {
	names := map[string]bool{}
	for _, c := range load(t) {
		if names[c.Name] {
			t.Errorf("two recordings are called %q", c.Name)
		}
		names[c.Name] = true
	}
	for _, name := range slices.Concat(slices.Collect(maps.Values(leftOut))...) {
		if !names[name] {
			t.Errorf("left out, but not recorded: %q", name)
		}
	}
	for name := range setup {
		if !names[name] || whyLeftOut(name) != "" {
			t.Errorf("setup without a replayed recording: %q", name)
		}
	}
}

func load(t *testing.T) []capture {
	t.Helper()
	var all []capture
	for _, name := range []string{
		"gotrue-captures.json", "gotrue-captures-oidc.json", "gotrue-captures-more.json",
	} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var captures []capture
		if err := json.Unmarshal(data, &captures); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, captures...)
	}
	return all
}

// comparedHeaders must be absent where none was recorded.
var comparedHeaders = []string{
	"content-type", "x-sb-error-code", "x-supabase-api-version", "location", "link",
	"x-total-count",
}

func (w *world) compare(c capture, got reply) {
	w.t.Helper()
	if got.status != c.Response.Status {
		w.t.Fatalf("status: got %d %s; want %d", got.status, got.text, c.Response.Status)
	}
	w.bindURL(c.Response.Headers["location"], got.header.Get("Location"))
	names := slices.AppendSeq(slices.Clone(comparedHeaders), maps.Keys(c.Response.Headers))
	for _, name := range names {
		diff := cmp.Diff(blur(w.translate(c.Response.Headers[name])), blur(got.header.Get(name)))
		if diff != "" {
			w.t.Errorf("header %s (-want +got):\n%s", name, diff)
		}
	}
	if strings.HasPrefix(c.Name, "oidc/") {
		w.compareUpstream(c.Upstream, w.op.take())
	}
	if c.Response.Body == nil {
		return
	}
	var body any
	if json.Unmarshal([]byte(got.text), &body) != nil {
		body = got.text
	}
	w.match("body", c.Response.Body, body)
}

func (w *world) compareUpstream(want, got []upstream) {
	w.t.Helper()
	if len(want) != len(got) {
		w.t.Errorf("the provider was asked %v; want %v", got, want)
		return
	}
	for i, u := range got {
		if _, ok := want[i].Form["code"]; ok {
			u.Form["code"] = "<code>"
		}
		for name, value := range want[i].Form {
			w.matchString(fmt.Sprintf("upstream[%d].%s", i, name), name, value, u.Form[name])
		}
		u.Form, want[i].Form = nil, nil
		if diff := cmp.Diff(want[i], u); diff != "" {
			w.t.Errorf("upstream[%d] (-want +got):\n%s", i, diff)
		}
	}
}

// bindURL binds what is random in the query and the fragment of an address.
func (w *world) bindURL(want, got string) {
	recorded, err := url.Parse(want)
	if err != nil {
		w.t.Errorf("recorded address %q: %v", want, err)
		return
	}
	actual, err := url.Parse(got)
	if err != nil {
		w.t.Errorf("address %q: %v", got, err)
		return
	}
	for name := range recorded.Query() {
		w.bindShape(recorded.Query().Get(name), actual.Query().Get(name))
	}
	fragment, err := url.ParseQuery(recorded.EscapedFragment())
	if err != nil || !fragment.Has("access_token") {
		return
	}
	actualFragment, err := url.ParseQuery(actual.EscapedFragment())
	if err != nil {
		w.t.Errorf("fragment of %q: %v", got, err)
		return
	}
	w.match("fragment<claims>", claims(w.t, fragment.Get("access_token")), claims(w.t, actualFragment.Get("access_token")))
}

// bindShape binds two strings of one volatile shape, if the first means nothing yet.
func (w *world) bindShape(want, got string) bool {
	for _, shape := range volatile {
		if _, taken := w.bound[want]; !taken && shape.MatchString(want) && shape.MatchString(got) {
			w.bind(want, got)
			return true
		}
	}
	return false
}

// volatile are the shapes of strings that differ from run to run. A recorded one is bound to the
// emulator's where it first appears, and must mean the same ever after.
var volatile = []*regexp.Regexp{
	regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`), // ids
	regexp.MustCompile(`^[0-9a-f]{56}$`),                              // link hashes
	regexp.MustCompile(`^[0-9]{6}$`),                                  // OTPs
	regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`),                         // soft-deleted addresses
	regexp.MustCompile(`^[A-Za-z0-9_-]{15}$`),                         // soft-deleted numbers
}

var (
	refreshToken = regexp.MustCompile(`^[a-z0-9]{12}$`)
	accessToken  = regexp.MustCompile(`^eyJ[\w-]+\.[\w-]+\.[\w-]+$`)
)

// times are keys whose numbers are points in time.
var times = []string{"expires_at", "exp", "iat", "timestamp"}

// match compares a recorded value with the emulator's.
func (w *world) match(path string, want, got any) {
	w.t.Helper()
	if reflect.TypeOf(want) != reflect.TypeOf(got) {
		w.t.Errorf("%s: got %v; want %v", path, got, want)
		return
	}
	key := path[strings.LastIndex(path, ".")+1:]
	switch want := want.(type) {
	case map[string]any:
		w.matchObject(path, want, got.(map[string]any))
	case []any:
		if len(want) != len(got.([]any)) {
			w.t.Errorf("%s: got %d elements; want %d", path, len(got.([]any)), len(want))
			return
		}
		for i := range want {
			w.match(fmt.Sprintf("%s[%d]", path, i), want[i], got.([]any)[i])
		}
	case string:
		if key != "friendly_name" {
			w.matchString(path, key, want, got.(string))
		}
	default:
		if !slices.Contains(times, key) && want != got {
			w.t.Errorf("%s: got %v; want %v", path, got, want)
		}
	}
}

func (w *world) matchObject(path string, want, got map[string]any) {
	w.t.Helper()
	for k := range want {
		if _, ok := got[k]; !ok {
			w.t.Errorf("%s.%s is missing", path, k)
			continue
		}
		w.match(path+"."+k, want[k], got[k])
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			w.t.Errorf("%s.%s should not be there: %v", path, k, got[k])
		}
	}
}

func (w *world) matchString(path, key, want, got string) {
	w.t.Helper()
	if known, ok := w.bound[want]; ok && known == got {
		return
	}
	switch {
	case accessToken.MatchString(want):
		w.match(path+"<claims>", claims(w.t, want), claims(w.t, got))
		w.bind(want, got)
		return
	case key == "refresh_token" && refreshToken.MatchString(want) && refreshToken.MatchString(got):
		w.bind(want, got)
		return
	case isTime(want) && isTime(got):
		return
	}
	if w.bindShape(want, got) {
		return
	}
	if key == "url" {
		w.bindURL(want, got)
	}
	if diff := cmp.Diff(blur(w.translate(want)), blur(got)); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil && strings.HasSuffix(s, "Z")
}

func claims(t testing.TB, token string) any {
	t.Helper()
	var out any
	parts := strings.Split(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil {
		t.Fatalf("token %q: %v", token, err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("token %q: %v", token, err)
	}
	return out
}

// blurs hide the volatile parts within longer strings, such as links. The recorded server had
// another address for its links than the emulator's default.
var blurs = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`http://127\.0\.0\.1:(9999|(54321|55421)/auth/v1)`), "<server>"},
	{regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`), "<access token>"},
	{regexp.MustCompile(`refresh_token=[a-z0-9]{12}`), "refresh_token=<refresh token>"},
	{regexp.MustCompile(`expires_at=[0-9]+`), "expires_at=<time>"},
	{regexp.MustCompile(`token=[0-9a-f]{56}`), "token=<hash>"},
	{regexp.MustCompile(`Failing row contains \([0-9a-f-]{36}`), "Failing row contains (<id>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00`), "<time>"},
}

func blur(s string) string {
	for _, b := range blurs {
		s = b.pattern.ReplaceAllString(s, b.with)
	}
	return s
}
