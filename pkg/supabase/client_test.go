package supabase_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jarcoal/httpmock"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

const (
	authURL = "https://abc.supabase.co/auth/v1"
	openID  = "-000AbCdEfGhIjKlMnOpQrStUvWxYz012345"
)

var (
	someone = signin.Identity{OpenID: openID}
	device  = netip.MustParseAddr("203.0.113.7")
)

// userJSON is an account as GoTrue shows it.
func userJSON(extra map[string]any) map[string]any {
	user := map[string]any{
		"id": supabase.UserID(openID).String(), "email": strings.ToLower(openID) + "@tiktok.oauth",
		"app_metadata":  map[string]any{"provider": "email", "tiktok": map[string]any{"open_id": openID}},
		"user_metadata": map[string]any{}, "identities": []any{},
		"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
	}
	for k, v := range extra {
		user[k] = v
	}
	return user
}

// mocked is a client whose GoTrue is a table of answers.
type mocked struct {
	*supabase.Client
	transport *httpmock.MockTransport
	mu        sync.Mutex
	seen      []*http.Request
	bodies    []string
}

func newMocked(t *testing.T, opts supabase.Options) *mocked {
	t.Helper()
	m := &mocked{transport: httpmock.NewMockTransport()}
	opts.AuthURL = authURL
	if opts.PublishableKey == "" {
		opts.SecretKey, opts.PublishableKey = "sb_secret_canary", "sb_publishable_x"
	}
	opts.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		var body []byte
		if req.Body != nil {
			body, _ = io.ReadAll(req.Body)
		}
		m.mu.Lock() // an account is looked up and created side by side
		m.seen, m.bodies = append(m.seen, req), append(m.bodies, string(body))
		m.mu.Unlock()
		return m.transport.RoundTrip(req)
	})
	m.Client = supabase.New(opts)
	m.answer(http.MethodPost, "/admin/generate_link", http.StatusOK, userJSON(map[string]any{
		"hashed_token": "canary-hash", "verification_type": "recovery", "action_link": "x", "email_otp": "123456",
	}))
	m.answer(http.MethodPost, "/verify", http.StatusOK, map[string]any{
		"access_token": "a.b.c", "token_type": "bearer", "expires_in": 3600, "expires_at": 1795361512,
		"refresh_token": "canary-refresh", "user": userJSON(nil),
	})
	return m
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (m *mocked) answer(method, path string, status int, body any) {
	m.transport.RegisterResponder(method, authURL+path, httpmock.NewJsonResponderOrPanic(status, body))
}

func (m *mocked) signIn(t *testing.T) (signin.SignedIn, error) {
	t.Helper()
	return m.SignIn(t.Context(), someone, device, noProfile)
}

// TestRequests fixes what goes over the wire for somebody who comes back, for each kind of key.
func TestRequests(t *testing.T) {
	jwt := func(role string) string { return "eyJh." + role + ".sig" }
	tests := []struct {
		name             string
		opts             supabase.Options
		wantFind, wantIn map[string]string // header → value
	}{
		{
			name:     "new keys go into apikey alone",
			opts:     supabase.Options{SecretKey: "sb_secret_s", PublishableKey: "sb_publishable_p"},
			wantFind: map[string]string{"Apikey": "sb_secret_s", "Authorization": ""},
			wantIn:   map[string]string{"Apikey": "sb_publishable_p", "Authorization": "", supabase.SBForwardedFor: ""},
		},
		{
			name:     "legacy keys go into both",
			opts:     supabase.Options{SecretKey: signin.Secret(jwt("service")), PublishableKey: jwt("anon")},
			wantFind: map[string]string{"Apikey": jwt("service"), "Authorization": "Bearer " + jwt("service")},
			wantIn:   map[string]string{"Apikey": jwt("anon"), "Authorization": "Bearer " + jwt("anon")},
		},
		{
			name: "a forwarded address needs the secret key",
			opts: supabase.Options{
				SecretKey: "sb_secret_s", PublishableKey: "sb_publishable_p", ForwardClientIP: supabase.SBForwardedFor,
			},
			wantFind: map[string]string{"Apikey": "sb_secret_s", supabase.SBForwardedFor: ""},
			wantIn:   map[string]string{"Apikey": "sb_secret_s", supabase.SBForwardedFor: "203.0.113.7"},
		},
		{
			name: "a self-hosted GoTrue reads another header",
			opts: supabase.Options{
				SecretKey: "sb_secret_s", PublishableKey: "sb_publishable_p", ForwardClientIP: "X-Forwarded-For",
			},
			wantFind: map[string]string{"X-Forwarded-For": ""},
			wantIn:   map[string]string{"X-Forwarded-For": "203.0.113.7", supabase.SBForwardedFor: ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMocked(t, tt.opts)
			in, err := m.signIn(t)
			if err != nil {
				t.Fatal(err)
			}
			if in.Session.RefreshToken != "canary-refresh" || in.Session.ExpiresIn != 3600 ||
				in.Session.ExpiresAt != 1795361512 || in.Session.TokenType != "bearer" {
				t.Error("the session is not what GoTrue answered")
			}
			if len(m.seen) != 2 {
				t.Fatalf("%d calls; want 2", len(m.seen))
			}
			for i, want := range []map[string]string{tt.wantFind, tt.wantIn} {
				h := m.seen[i].Header
				for name, value := range want {
					if got := h.Get(name); got != value {
						t.Errorf("call %d: %s is %q; want %q", i+1, name, got, value)
					}
				}
				if got := h.Get("X-Supabase-Api-Version"); got != "2024-01-01" {
					t.Errorf("call %d: API version is %q", i+1, got)
				}
				if got := h.Get("User-Agent"); got != "tikbridge" {
					t.Errorf("call %d: User-Agent is %q", i+1, got)
				}
			}
			wantBodies := []map[string]any{
				{
					"type": "recovery", "email": strings.ToLower(openID) + "@tiktok.oauth", "new_email": "",
					"password": "", "data": nil, "redirect_to": "",
				},
				{"type": "recovery", "token_hash": "canary-hash"},
			}
			for i, want := range wantBodies {
				var got map[string]any
				if err := json.Unmarshal([]byte(m.bodies[i]), &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("call %d (-want +got):\n%s", i+1, diff)
				}
			}
		})
	}
}

// TestCreateRequest fixes how an account is made.
func TestCreateRequest(t *testing.T) {
	m := newMocked(t, supabase.Options{})
	found := httpmock.NewJsonResponderOrPanic(
		http.StatusOK, userJSON(map[string]any{"hashed_token": "h", "verification_type": "recovery"}),
	)
	m.transport.RegisterResponder(http.MethodPost, authURL+"/admin/generate_link",
		httpmock.NewJsonResponderOrPanic(http.StatusNotFound, map[string]any{"code": "user_not_found"}).Then(found))
	m.answer(
		http.MethodGet, "/admin/users/"+supabase.UserID(openID).String(), http.StatusNotFound,
		map[string]any{"code": "user_not_found"},
	)
	m.answer(http.MethodPost, "/admin/users", http.StatusOK, userJSON(nil))
	if _, err := m.signIn(t); err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	for i, req := range m.seen {
		if req.URL.Path == "/auth/v1/admin/users" {
			if err := json.Unmarshal([]byte(m.bodies[i]), &body); err != nil {
				t.Fatal(err)
			}
		}
	}
	hash, _ := body["password_hash"].(string)
	delete(body, "password_hash")
	want := map[string]any{
		"id": supabase.UserID(openID).String(), "email": strings.ToLower(openID) + "@tiktok.oauth",
		"email_confirm": true,
		"app_metadata":  map[string]any{"tiktok": map[string]any{"open_id": openID}},
		"user_metadata": map[string]any{"tiktok_open_id": openID},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("create (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(hash, "$2a$10$") || len(hash) != 60 {
		t.Errorf("password_hash is %q; want a bcrypt hash", hash)
	}
}

// TestFailures maps what GoTrue, its gateway or the network can answer.
func TestFailures(t *testing.T) {
	code := func(status int, code string) httpmock.Responder {
		return httpmock.NewJsonResponderOrPanic(status, map[string]any{"code": code, "message": "canary text"})
	}
	text := func(status int, body string) httpmock.Responder { return httpmock.NewStringResponder(status, body) }
	const link, verify = "/admin/generate_link", "/verify"
	type failure struct {
		name, path string
		respond    httpmock.Responder
		want       signin.Code
		wantCalls  int
		wantCode   string // GoTrue's, in the log
		wantRetry  time.Duration
	}
	fails := func(
		name, path string, respond httpmock.Responder, want signin.Code, calls int, code string, retry time.Duration,
	) failure {
		return failure{name, path, respond, want, calls, code, retry}
	}
	tests := []failure{
		fails("no authorization", link, code(401, "no_authorization"),
			signin.SupabaseMisconfigured, 1, "no_authorization", 0),
		fails("bad key", link, code(403, "bad_jwt"), signin.SupabaseMisconfigured, 1, "bad_jwt", 0),
		fails("anon key for secret key", link, code(403, "not_admin"),
			signin.SupabaseMisconfigured, 1, "not_admin", 0),
		fails("gateway knows no such key", link, text(401, `{"message":"Invalid API key"}`),
			signin.SupabaseMisconfigured, 1, "", 0),
		fails("no GoTrue at this address", link, text(404, "404 page not found\n"),
			signin.SupabaseMisconfigured, 1, "", 0),
		fails("redirect", link, text(301, ""), signin.SupabaseMisconfigured, 1, "", 0),
		fails("old shape of errors", link,
			httpmock.NewJsonResponderOrPanic(403, map[string]any{"code": 403, "error_code": "not_admin"}),
			signin.SupabaseMisconfigured, 1, "not_admin", 0),
		fails("throttled", verify, code(429, "over_request_rate_limit"),
			signin.RateLimited, 1, "over_request_rate_limit", 10*time.Second),
		fails("throttled by a proxy that says how long", verify,
			code(429, "").HeaderSet(http.Header{"Retry-After": {"42"}}),
			signin.RateLimited, 1, "", 42*time.Second),
		fails("banned", verify, code(403, "user_banned"), signin.UserBanned, 1, "user_banned", 0),
		fails("hook says no", verify, code(403, "unknown"), signin.SignInRefused, 1, "unknown", 0),
		fails("hook is slow", verify, code(422, "hook_timeout"), signin.SupabaseUnavailable, 1, "hook_timeout", 0),
		fails("hook is gone", verify, code(422, "hook_timeout_after_retry"),
			signin.SupabaseUnavailable, 1, "hook_timeout_after_retry", 0),
		fails("hook answers no JSON", verify, code(400, "hook_payload_invalid_content_type"),
			signin.SupabaseMisconfigured, 1, "hook_payload_invalid_content_type", 0),
		fails("hook raises", verify, code(500, "unexpected_failure"),
			signin.SupabaseMisconfigured, 2, "unexpected_failure", 0),
		fails("sign-ups are off", verify, code(422, "signup_disabled"),
			signin.SignInRefused, 1, "signup_disabled", 0),
		fails("captcha", verify, code(400, "captcha_failed"), signin.SignInRefused, 1, "captcha_failed", 0),
		fails("over quota", link, text(402, `{"message":"Service for this project is restricted (canary)"}`),
			signin.SupabaseRestricted, 1, "", 0),
		fails("over quota meanwhile", verify, text(402, ""), signin.SupabaseRestricted, 1, "", 0),
		fails("paused", link, text(540, "<html>canary</html>"), signin.SupabaseRestricted, 1, "", 0),
		fails("GoTrue without error codes", link, text(404, `{"code":404,"msg":"User not found"}`),
			signin.SupabaseMisconfigured, 1, "", 0),
		fails("fault", link, code(500, "unexpected_failure"), signin.SupabaseUnavailable, 2, "unexpected_failure", 0),
		fails("fault of a proxy", verify, text(502, "<html>canary</html>"), signin.SupabaseUnavailable, 2, "", 0),
		fails("closed for maintenance", verify, text(503, "").HeaderSet(http.Header{"Retry-After": {"7"}}),
			signin.SupabaseUnavailable, 2, "", 7*time.Second),
		fails("superseded for ever", verify, code(403, "otp_expired"),
			signin.SupabaseUnavailable, 12, "otp_expired", 0),
		fails("connection refused", verify, httpmock.NewErrorResponder(errors.New("connection refused")),
			signin.SupabaseUnavailable, 2, "", 0),
		fails("no JSON", verify, text(200, "<html>canary</html>"), signin.SupabaseUnavailable, 2, "", 0),
		fails("no JSON from gotrue-go", link, text(200, "<html>canary</html>"), signin.SupabaseUnavailable, 2, "", 0),
		fails("no link", link, text(200, `{"message":"ok"}`), signin.SupabaseUnavailable, 2, "", 0),
		fails("half a JSON", verify, text(200, `{"access_token":"canary`), signin.SupabaseUnavailable, 2, "", 0),
		fails("too much", verify, text(200, strings.Repeat("x", 21<<20)), signin.SupabaseUnavailable, 2, "", 0),
		fails("no session", verify, text(200, `{}`), signin.SupabaseUnavailable, 2, "", 0),
		fails("no user", verify, text(200, `{"access_token":"a","refresh_token":"r","user":null}`),
			signin.SupabaseUnavailable, 2, "", 0),
		fails("no user's id", verify,
			text(200, `{"access_token":"a","refresh_token":"r","user":{"email":"x","identities":[{"id":"x"}]}}`),
			signin.SupabaseUnavailable, 2, "", 0),
		fails("a list for a user", verify, text(200, `{"access_token":"a","refresh_token":"r","user":["id"]}`),
			signin.SupabaseUnavailable, 2, "", 0),
		fails("an id that is none", verify, text(200, `{"access_token":"a","refresh_token":"r","user":{"id":7}}`),
			signin.SupabaseUnavailable, 2, "", 0),
		fails("session of somebody else", verify,
			text(200, `{"access_token":"a","refresh_token":"b","user":{"id":"6a1c1b1e-0000-4000-8000-000000000000"}}`),
			signin.SupabaseUnavailable, 2, "", 0),
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // pauses between attempts take no time here
				m := newMocked(t, supabase.Options{})
				m.transport.RegisterResponder(http.MethodPost, authURL+tt.path, tt.respond)
				_, err := m.signIn(t)
				e := signin.AsError(err)
				if e.Code != tt.want {
					t.Fatalf("code is %s (%v); want %s", e.Code, err, tt.want)
				}
				if e.RetryAfter != tt.wantRetry {
					t.Errorf("RetryAfter is %v; want %v", e.RetryAfter, tt.wantRetry)
				}
				if e.Upstream.Code != tt.wantCode || e.Upstream.Service != "supabase" {
					t.Errorf("upstream is %+v; want code %q", e.Upstream, tt.wantCode)
				}
				if got := m.transport.GetCallCountInfo()["POST "+authURL+tt.path]; got != tt.wantCalls {
					t.Errorf("%d calls; want %d", got, tt.wantCalls)
				}
				if strings.Contains(err.Error(), "canary") || strings.Contains(e.Message, "canary") {
					t.Errorf("the error shows what must stay inside: %v", err)
				}
			})
		})
	}
}

// TestRecovers: a fault that passes is not noticed.
func TestRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMocked(t, supabase.Options{})
		good := httpmock.NewJsonResponderOrPanic(http.StatusOK, map[string]any{
			"access_token": "a.b.c", "refresh_token": "r", "user": userJSON(nil),
		})
		m.transport.RegisterResponder(http.MethodPost, authURL+"/verify",
			httpmock.NewStringResponder(http.StatusBadGateway, "").
				Then(httpmock.NewJsonResponderOrPanic(http.StatusForbidden, map[string]any{"code": "otp_expired"})).Then(good))
		if _, err := m.signIn(t); err != nil {
			t.Fatal(err)
		}
		// Each attempt has a link of its own: a used one may have been used up.
		calls := m.transport.GetCallCountInfo()
		links, verifies := calls["POST "+authURL+"/admin/generate_link"], calls["POST "+authURL+"/verify"]
		if links != 3 || verifies != 3 {
			t.Errorf("%d links and %d verifies; want 3 of each", links, verifies)
		}
	})
}

// TestNoAccount: an answer with status 200 that names no account is none of a created one, and nothing
// is built on it.
func TestNoAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMocked(t, supabase.Options{})
		gone := map[string]any{"code": "user_not_found"}
		m.answer(http.MethodPost, "/admin/generate_link", http.StatusNotFound, gone)
		m.answer(http.MethodGet, "/admin/users/"+supabase.UserID(openID).String(), http.StatusNotFound, gone)
		m.answer(http.MethodPost, "/admin/users", http.StatusOK, map[string]any{"message": "ok"})
		_, err := m.signIn(t)
		if code := signin.CodeOf(err); code != signin.SupabaseUnavailable {
			t.Errorf("code is %q; want %s", code, signin.SupabaseUnavailable)
		}
		if got := m.transport.GetCallCountInfo()["POST "+authURL+"/admin/users"]; got != 2 {
			t.Errorf("%d accounts were created; want 2 attempts", got)
		}
	})
}

// TestCancelled: nobody waits for an answer, so no call follows.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMocked(t, supabase.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		leave := func(*http.Request) (*http.Response, error) {
			cancel()
			return nil, context.Canceled
		}
		m.transport.RegisterResponder(http.MethodPost, authURL+"/admin/generate_link", leave)
		if _, err := m.SignIn(ctx, someone, device, noProfile); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v; want that the caller has gone", err)
		}
		if len(m.seen) != 1 {
			t.Errorf("%d calls; want 1", len(m.seen))
		}
	})
}

// People may write what they like into user_metadata; it must not keep them out.
func TestStrangeMetadata(t *testing.T) {
	t.Parallel()
	for _, metadata := range []any{
		nil,
		map[string]any{"display_name": 7, "avatar_url": []any{"x"}},
		map[string]any{"display_name": map[string]any{"display_name": "x"}, "avatar_url": nil},
	} {
		m := newMocked(t, supabase.Options{})
		m.answer(http.MethodPost, "/admin/generate_link", http.StatusOK, userJSON(map[string]any{
			"hashed_token": "canary-hash", "verification_type": "recovery", "user_metadata": metadata,
		}))
		in, err := m.signIn(t)
		if err != nil {
			t.Errorf("%v: %v", metadata, err)
		}
		if got := in.Account.Profile; got.DisplayName != "" || got.AvatarURL != "" {
			t.Errorf("%v: got profile %+v; want none", metadata, got)
		}
	}
}

// TestBreaker: a GoTrue that is down is asked ten times, by whomever, and then not at all; who comes
// next is told at once, and once it is back all is well again within seconds.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMocked(t, supabase.Options{})
		guarded := supabase.New(supabase.Options{
			AuthURL: authURL, SecretKey: "sb_secret_x", PublishableKey: "sb_publishable_x",
			Transport: upstream.NewBreaker(
				m.transport,
				upstream.BreakerOptions{Service: "supabase", Timeout: 10 * time.Second, IsFault: supabase.IsFault},
			),
		})
		signIn := func() *signin.Error {
			if _, err := guarded.SignIn(t.Context(), someone, device, noProfile); err != nil {
				return signin.AsError(err)
			}
			return nil
		}
		links := func() int { return m.transport.GetCallCountInfo()["POST "+authURL+"/admin/generate_link"] }
		m.transport.RegisterResponder(
			http.MethodPost, authURL+"/admin/generate_link",
			httpmock.NewStringResponder(http.StatusBadGateway, "<html>"),
		)
		for range 5 { // of two attempts each
			_ = signIn()
		}
		if links() != 10 {
			t.Errorf("GoTrue was asked %d times; want 10", links())
		}
		start := time.Now()
		e := signIn()
		if e == nil || e.Code != signin.SupabaseUnavailable || e.RetryAfter <= 0 || e.RetryAfter > 5*time.Second ||
			time.Since(start) != 0 {
			t.Errorf("got %+v after %v; want supabase_unavailable with a time to wait, at once", e, time.Since(start))
		}
		if links() != 10 {
			t.Error("GoTrue was asked although it is known to be down")
		}
		m.answer(
			http.MethodPost, "/admin/generate_link", http.StatusOK,
			userJSON(map[string]any{"hashed_token": "h", "verification_type": "recovery"}),
		)
		time.Sleep(6 * time.Second)
		for range 3 {
			if e := signIn(); e != nil {
				t.Errorf("GoTrue is back: %v", e)
			}
		}
	})
}

// TestBreaker_lostRace: GoTrue's own 500, a lost race for one, is about one request, however often it
// comes; and so is all that is said to one caller.
func TestBreaker_lostRace(t *testing.T) {
	for _, tt := range []struct {
		status int
		header http.Header
		want   bool
	}{
		{500, http.Header{"X-Sb-Error-Code": {"unexpected_failure"}}, false},
		{500, nil, true},  // of a proxy
		{540, nil, false}, // paused: everybody should be told so, and not that Supabase is down
		{502, nil, true},
		{503, http.Header{"X-Sb-Error-Code": {"hook_timeout"}}, true},
		{504, http.Header{"X-Sb-Error-Code": {"request_timeout"}}, true},
		{429, nil, false},
		{404, nil, false},
		{403, nil, false},
		{200, nil, false},
	} {
		if got := supabase.IsFault(&http.Response{StatusCode: tt.status, Header: tt.header}); got != tt.want {
			t.Errorf("%d %v: got %t; want %t", tt.status, tt.header, got, tt.want)
		}
	}
}

// TestLargeAndUseless: a large answer that is no session of theirs does not stand in the way of the next attempt.
func TestLargeAndUseless(t *testing.T) {
	large := strings.Repeat("x", 100<<10)
	session := func(user map[string]any) map[string]any {
		return map[string]any{"access_token": "a.b.c", "refresh_token": "canary-refresh", "user": user, "padding": large}
	}
	for name, first := range map[string]map[string]any{
		"no session":      {"padding": large},
		"another account": session(userJSON(map[string]any{"id": supabase.UserID("another").String()})),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMocked(t, supabase.Options{})
			m.transport.RegisterResponder(http.MethodPost, authURL+"/verify",
				httpmock.NewJsonResponderOrPanic(http.StatusOK, first).Then(
					httpmock.NewJsonResponderOrPanic(http.StatusOK, session(userJSON(nil)))))
			if _, err := m.signIn(t); err != nil {
				t.Errorf("the sign-in fails: %v", err)
			}
		})
	}
}
