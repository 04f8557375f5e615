package supabase_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/upstream"
	"github.com/tikbridge/tikbridge/test/output"
)

// The contract suite: what pkg/supabase promises, tried against a GoTrue. It always runs against the
// emulator behind its gateway. It also runs against a real one when
//
//	TIKBRIDGE_CONTRACT_URL          where GoTrue answers, such as http://127.0.0.1:54321/auth/v1
//	TIKBRIDGE_CONTRACT_SERVICE_KEY  the secret key, or the service_role JWT
//	TIKBRIDGE_CONTRACT_ANON_KEY     the publishable key, or the anon JWT
//
// are set. That server needs e-mail sign-up open and autoconfirm on, as supabase start has it: the
// suite plays the attacker too. With autoconfirm off, only what needs it off runs. The suite makes
// users and leaves them there. Some tests prepare what no route offers, and
// need the database as well:
//
//	TIKBRIDGE_CONTRACT_DATABASE_URL a postgres:// URL of a superuser, for psql
func contract(t *testing.T, test func(*testing.T, project)) {
	t.Helper()
	contractWith(t, gotruesim.Options{}, test)
}

// contractBothWays is contract, and also tries a GoTrue without its gateway, which takes other keys. One
// place in the client sets the keys, so the tests that between them make every call are enough.
func contractBothWays(t *testing.T, test func(*testing.T, project)) {
	t.Helper()
	contract(t, test)
	t.Run("emulator direct", func(t *testing.T) {
		t.Parallel() // each has a project of its own
		sim := newEmulator(t, gotruesim.Options{})
		test(t, sim.at("", sim.ServiceRoleKey(), sim.AnonKey()))
	})
}

// contractWith is contract for a project with other settings. A real one that has not got them is
// skipped.
func contractWith(t *testing.T, settings gotruesim.Options, test func(*testing.T, project)) {
	t.Helper()
	t.Run("emulator behind its gateway", func(t *testing.T) {
		t.Parallel() // each has a project of its own
		sim := newEmulator(t, settings)
		test(t, sim.at("/auth/v1", gotruesim.SecretKey, gotruesim.PublishableKey))
	})
	t.Run("real GoTrue", func(t *testing.T) {
		p := realProject(t)
		if autoconfirm := p.must(
			t, http.MethodGet, "/settings", "", nil,
		)["mailer_autoconfirm"]; autoconfirm == settings.RequireConfirmation {
			t.Skipf("the real GoTrue has mailer_autoconfirm %v", autoconfirm)
		}
		test(t, p)
	})
}

func realProject(t *testing.T) project {
	t.Helper()
	p := project{
		url:      os.Getenv("TIKBRIDGE_CONTRACT_URL"),
		secret:   os.Getenv("TIKBRIDGE_CONTRACT_SERVICE_KEY"),
		public:   os.Getenv("TIKBRIDGE_CONTRACT_ANON_KEY"),
		database: os.Getenv("TIKBRIDGE_CONTRACT_DATABASE_URL"),
		openIDs:  &counter{prefix: uuid.NewString()[:8]},
	}
	if p.url == "" || p.secret == "" || p.public == "" {
		t.Skip("TIKBRIDGE_CONTRACT_URL, _SERVICE_KEY and _ANON_KEY are not set")
	}
	return p
}

// emulator is a running emulator.
type emulator struct {
	*gotruesim.Server
	url string
}

func newEmulator(t *testing.T, opts gotruesim.Options) emulator {
	t.Helper()
	opts.EmailMaxFrequency = -1 // attackers of these tests do not wait
	if opts.WriteDelay == 0 {
		opts.WriteDelay = time.Millisecond // opens the windows in which races are lost
	}
	sim := gotruesim.New(opts)
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	return emulator{sim, srv.URL}
}

func (e emulator) at(path, secret, public string) project {
	return project{
		url: e.url + path, secret: secret, public: public, sim: e.Server, openIDs: &counter{prefix: "emulated"},
	}
}

// project is a GoTrue to test against.
type project struct {
	url, secret, public string
	database            string            // of a real one, if it is known
	sim                 *gotruesim.Server // nil for a real one
	openIDs             *counter
}

// counter makes names that were not used before.
type counter struct {
	prefix string
	mu     sync.Mutex
	n      int
}

func (c *counter) next() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return fmt.Sprintf("%s-%d", c.prefix, c.n)
}

// person returns somebody who never signed in. The open_id has TikTok's form.
func (p project) person() signin.Identity {
	id := "-000Ab_" + p.openIDs.next()
	return signin.Identity{OpenID: id + strings.Repeat("xY", 18)[:max(0, 36-len(id))]}
}

func address(id signin.Identity) string { return strings.ToLower(id.OpenID) + "@tiktok.oauth" }

// bridge is a client under test, with what it wrote to the audit log.
type bridge struct {
	*supabase.Client
	audit *output.Buffer
}

// client returns a bridge; every call makes another one, as a replica would be.
func (p project) client(t *testing.T, adjust ...func(*supabase.Options)) bridge {
	t.Helper()
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	var audit output.Buffer
	opts := supabase.Options{
		AuthURL: p.url, SecretKey: signin.Secret(p.secret), PublishableKey: p.public,
		Transport: transport, Logger: slog.New(slog.NewTextHandler(&audit, nil)),
	}
	for _, f := range adjust {
		f(&opts)
	}
	return bridge{supabase.New(opts), &audit}
}

func adopt(a supabase.Adopt) func(*supabase.Options) {
	return func(o *supabase.Options) { o.Adopt = a }
}

func noProfile() signin.Profile { return signin.Profile{} }

// signIn signs a person in, or fails the test.
func (b bridge) signIn(t *testing.T, id signin.Identity) signin.SignedIn {
	t.Helper()
	in, err := b.SignIn(t.Context(), id, netip.Addr{}, noProfile)
	if err != nil {
		t.Fatalf("sign in: %v", err)
	}
	return in
}

// refuse wants a sign-in to fail with a code.
func (b bridge) refuse(t *testing.T, id signin.Identity, want signin.Code) {
	t.Helper()
	_, err := b.SignIn(t.Context(), id, netip.Addr{}, noProfile)
	if got := signin.CodeOf(err); got != want {
		t.Fatalf("sign in gives %q (%v); want %q", got, err, want)
	}
}

// reply is an answer of GoTrue to the test itself.
type reply struct {
	status int
	body   map[string]any
}

// send calls GoTrue as anybody may, or with token as its holder. Not a word of the code under test.
func (p project) send(ctx context.Context, method, path, token string, body any) (reply, error) {
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return reply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, &payload)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Supabase-Api-Version", "2024-01-01")
	key := p.public
	if token == p.secret {
		key, token = p.secret, ""
	}
	req.Header.Set("Apikey", key)
	switch {
	case token != "":
		req.Header.Set("Authorization", "Bearer "+token)
	case !strings.HasPrefix(key, "sb_"):
		req.Header.Set("Authorization", "Bearer "+key)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: resp.StatusCode}
	_ = json.Unmarshal(content, &r.body) // logout has no body
	return r, nil
}

// must is send for calls that have to succeed.
func (p project) must(t *testing.T, method, path, token string, body any) map[string]any {
	t.Helper()
	r, err := p.send(t.Context(), method, path, token, body)
	if err != nil {
		t.Fatal(err)
	}
	if r.status >= http.StatusBadRequest {
		t.Fatalf("%s %s: status %d: %v", method, path, r.status, r.body)
	}
	return r.body
}

// status is send for calls whose status is the point.
func (p project) status(t *testing.T, method, path, token string, body any) int {
	t.Helper()
	r, err := p.send(t.Context(), method, path, token, body)
	if err != nil {
		t.Fatal(err)
	}
	return r.status
}

// user returns an account as an admin sees it.
func (p project) user(t *testing.T, id string) map[string]any {
	t.Helper()
	return p.must(t, http.MethodGet, "/admin/users/"+id, p.secret, nil)
}

// wantAlive checks that a session is one of the given user: GoTrue knows its access token, and its
// refresh token gives another.
func (p project) wantAlive(t *testing.T, s signin.Session, userID string) {
	t.Helper()
	if got := p.must(t, http.MethodGet, "/user", s.AccessToken, nil)["id"]; got != userID {
		t.Errorf("the access token is of user %v; want %s", got, userID)
	}
	fresh := p.must(
		t, http.MethodPost, "/token?grant_type=refresh_token", "", map[string]string{"refresh_token": s.RefreshToken},
	)
	if got := fresh["user"].(map[string]any)["id"]; got != userID {
		t.Errorf("the refresh token is of user %v; want %s", got, userID)
	}
}

// wantLockedOut checks that what an attacker has opens nothing any more, or at most an account that
// is not the victim's.
func (p project) wantLockedOut(t *testing.T, a attacker, victimID string) {
	t.Helper()
	for name, try := range map[string]struct {
		method, path, token string
		body                any
	}{
		"password": {
			http.MethodPost, "/token?grant_type=password", "",
			map[string]string{"email": a.email, "password": a.password},
		},
		"refresh token": {
			http.MethodPost, "/token?grant_type=refresh_token", "", map[string]string{"refresh_token": a.refresh},
		},
		"access token": {http.MethodGet, "/user", a.access, nil},
	} {
		if try.token == "" && try.method == http.MethodGet || a.refresh == "" && name == "refresh token" {
			continue // an unconfirmed account has no tokens
		}
		r, err := p.send(t.Context(), try.method, try.path, try.token, try.body)
		if err != nil {
			t.Fatal(err)
		}
		if r.status == http.StatusOK && reachedUser(r.body) == victimID {
			t.Errorf("the attacker's %s still opens the victim's account", name)
		}
	}
}

func reachedUser(body map[string]any) any {
	if user, ok := body["user"].(map[string]any); ok {
		return user["id"]
	}
	return body["id"]
}

// attacker holds everything about an account they made.
type attacker struct {
	id, email, password, access, refresh string
}

// squat signs up with an address, as anybody may on a project with open sign-up.
func (p project) squat(t *testing.T, email string) attacker {
	t.Helper()
	const password = "Attacker-1!"
	body := p.must(t, http.MethodPost, "/signup", "", map[string]any{
		"email": email, "password": password, "data": map[string]any{"tiktok_open_id": "claimed", "role": "admin"},
	})
	a := attacker{email: email, password: password}
	if user, ok := body["user"].(map[string]any); ok {
		a.id, _ = user["id"].(string)
		a.access, _ = body["access_token"].(string)
		a.refresh, _ = body["refresh_token"].(string)
	} else {
		a.id, _ = body["id"].(string)
	}
	if a.id == "" {
		t.Fatalf("sign-up gave no account: %v", slices.Sorted(maps.Keys(body)))
	}
	return a
}

// sql runs a statement in the database of a real project.
func (p project) sql(t *testing.T, statement string) string {
	t.Helper()
	if p.database == "" {
		t.Skip("TIKBRIDGE_CONTRACT_DATABASE_URL is not set")
	}
	out, err := exec.CommandContext(
		t.Context(), "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, p.database,
	).CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// addIdentity links an external provider to an account; email is what the provider says of its address.
func (p project) addIdentity(t *testing.T, userID, email string) {
	t.Helper()
	if p.sim != nil {
		if err := p.sim.AddIdentity(userID, "google", "g-"+userID, email); err != nil {
			t.Fatal(err)
		}
		return
	}
	p.sql(t, fmt.Sprintf(`insert into auth.identities
		(provider_id, user_id, identity_data, provider, created_at, updated_at)
		values ('g-%[1]s', '%[1]s',
			jsonb_strip_nulls(jsonb_build_object('sub', 'g-%[1]s', 'email', nullif('%[2]s', ''))),
			'google', now(), now())`, userID, email))
}

// unlinkEmail takes the e-mail identity from an account that has another one.
func (p project) unlinkEmail(t *testing.T, s signin.SignedIn) {
	t.Helper()
	if p.sim != nil {
		if err := p.sim.UnlinkEmail(s.Account.ID); err != nil {
			t.Fatal(err)
		}
		return
	}
	var user struct {
		Identities []struct {
			ID       string `json:"identity_id"`
			Provider string `json:"provider"`
		} `json:"identities"`
	}
	if err := json.Unmarshal(s.Session.User, &user); err != nil {
		t.Fatal(err)
	}
	for _, i := range user.Identities {
		if i.Provider != "email" {
			continue
		}
		if got := p.status(
			t, http.MethodDelete, "/user/identities/"+i.ID, s.Session.AccessToken, nil,
		); got == http.StatusNotFound {
			t.Skip("the real GoTrue has manual linking off")
		} else if got != http.StatusOK {
			t.Fatalf("unlink: status %d", got)
		}
	}
}

// addFactor enrols an authenticator app.
func (p project) addFactor(t *testing.T, userID string) {
	t.Helper()
	if p.sim != nil {
		if err := p.sim.AddVerifiedFactor(userID); err != nil {
			t.Fatal(err)
		}
		return
	}
	p.sql(t, fmt.Sprintf(`insert into auth.mfa_factors
		(id, user_id, friendly_name, factor_type, status, secret, created_at, updated_at)
		values (gen_random_uuid(), '%s', 'phone', 'totp', 'verified', 'JBSWY3DPEHPK3PXP', now(), now())`, userID))
}

// addPasskey registers a passkey.
func (p project) addPasskey(t *testing.T, userID string) {
	t.Helper()
	if p.sim != nil {
		if err := p.sim.AddPasskey(userID); err != nil {
			t.Fatal(err)
		}
		return
	}
	p.sql(t, fmt.Sprintf(`insert into auth.webauthn_credentials (user_id, credential_id, public_key)
		values ('%[1]s', '%[1]s'::text::bytea, '\x00')`, userID))
}
