package supabase_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jarcoal/httpmock"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

const providerName = "custom:tiktok"

// userID is of an account that GoTrue made, which chooses ids itself.
const userID = "0c6e1e5f-6c0e-4f0e-9a53-7a3d0d9c5b11"

// byIDToken are options for sessions by id_token. The token says who it is for, unsigned.
func byIDToken() supabase.Options {
	return supabase.Options{
		Provider: providerName,
		IDToken: func(_ context.Context, id signin.Identity, p signin.Profile) (string, error) {
			return "id_token of " + id.OpenID + " " + p.DisplayName, nil
		},
	}
}

// tokenAnswer is GoTrue's answer to an id_token.
func tokenAnswer(identity, lastSignIn string) map[string]any {
	return map[string]any{
		"access_token": "a.b.c", "token_type": "bearer", "expires_in": 3600, "refresh_token": "canary-refresh",
		"user": map[string]any{
			"id": userID, "email": "", "created_at": "2026-01-01T00:00:00.120Z", "last_sign_in_at": lastSignIn,
			"identities": []any{
				map[string]any{"provider": "email", "id": userID},
				map[string]any{"provider": providerName, "id": identity, "identity_data": map[string]any{"sub": openID}},
			},
		},
	}
}

const (
	atOnce = "2026-01-01T00:00:00.128407Z"
	later  = "2026-02-01T00:00:00.000001Z"
	before = "2025-12-31T23:00:00.000001Z"
)

func newMockedIDToken(t *testing.T, opts supabase.Options) *mocked {
	t.Helper()
	m := newMocked(t, opts)
	m.answer(http.MethodPost, "/token", http.StatusOK, tokenAnswer(openID, later))
	return m
}

// TestIDTokenRequest fixes what goes over the wire: one call with the publishable key, for everybody.
func TestIDTokenRequest(t *testing.T) {
	opts := byIDToken()
	opts.PublishableKey, opts.SecretKey = "sb_publishable_p", "sb_secret_s"
	m := newMockedIDToken(t, opts)
	in, err := m.SignIn(t.Context(), someone, device, func() signin.Profile { return signin.Profile{DisplayName: "Ada"} })
	if err != nil {
		t.Fatal(err)
	}
	if in.Session.RefreshToken != "canary-refresh" || in.Account.ID != userID || in.Account.OpenID != openID {
		t.Errorf("signed in as %s, %s; want %s, %s", in.Account.ID, in.Account.OpenID, userID, openID)
	}
	if len(m.seen) != 1 || m.seen[0].URL.String() != authURL+"/token?grant_type=id_token" {
		t.Fatalf("calls are %v; want one to /token", m.seen)
	}
	if got := m.seen[0].Header.Get("Apikey"); got != "sb_publishable_p" {
		t.Errorf("the key is %q; want the publishable one", got)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(m.bodies[0]), &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"provider": providerName, "id_token": "id_token of " + openID + " Ada"}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// TestIDTokenForwardsClientIP: GoTrue limits id_tokens by IP. Supabase believes a forwarded one only with the
// secret key; a GoTrue of one's own needs none.
func TestIDTokenForwardsClientIP(t *testing.T) {
	for _, tt := range []struct{ header, secret, key string }{
		{supabase.SBForwardedFor, "sb_secret_s", "sb_secret_s"},
		{"X-Real-Ip", "", "sb_publishable_p"},
	} {
		t.Run(tt.header, func(t *testing.T) {
			opts := byIDToken()
			opts.PublishableKey, opts.SecretKey = "sb_publishable_p", signin.Secret(tt.secret)
			opts.ForwardClientIP = tt.header
			m := newMockedIDToken(t, opts)
			if _, err := m.signIn(t); err != nil {
				t.Fatal(err)
			}
			h := m.seen[0].Header
			if h.Get("Apikey") != tt.key || h.Get(tt.header) != device.String() {
				t.Errorf("headers are %v; want the key %s and %s", h, tt.key, device)
			}
		})
	}
}

// TestIDTokenFirstSignIn: GoTrue makes account and session in one transaction, by which a first sign-in is told.
func TestIDTokenFirstSignIn(t *testing.T) {
	for name, tt := range map[string]struct {
		lastSignIn string
		created    bool
	}{"first": {atOnce, true}, "second": {later, false}, "imported with a time to come": {before, false}} {
		t.Run(name, func(t *testing.T) {
			m := newMockedIDToken(t, byIDToken())
			m.answer(http.MethodPost, "/token", http.StatusOK, tokenAnswer(openID, tt.lastSignIn))
			in, err := m.signIn(t)
			if err != nil || in.Created != tt.created {
				t.Errorf("created is %v (%v); want %v", in.Created, err, tt.created)
			}
		})
	}
}

// TestIDTokenVetting: no session leaves that is not of the person in the id_token.
func TestIDTokenVetting(t *testing.T) {
	withUser := func(user any) map[string]any {
		answer := tokenAnswer(openID, later)
		answer["user"] = user
		return answer
	}
	identities := func(list any) map[string]any {
		return withUser(map[string]any{"id": userID, "identities": list})
	}
	tests := []struct {
		name   string
		answer map[string]any
		want   signin.Cause
	}{
		{"another person", tokenAnswer("-000SomebodyElse", later), signin.CauseOtherIdentity},
		{"another case of letters", tokenAnswer(strings.ToUpper(openID), later), signin.CauseOtherIdentity},
		{"longer", tokenAnswer(openID+" ", later), signin.CauseOtherIdentity},
		{"no identities", withUser(map[string]any{"id": userID}), signin.CauseOtherIdentity},
		{
			"the open_id at another provider",
			identities([]any{map[string]any{"provider": "custom:other", "id": openID}}), signin.CauseOtherIdentity,
		},
		{
			"the open_id in what users may change",
			withUser(map[string]any{"id": userID, "user_metadata": map[string]any{"sub": openID}}),
			signin.CauseOtherIdentity,
		},
		{
			"the open_id in the data of another identity",
			identities([]any{map[string]any{
				"provider": providerName, "id": "-000Other", "identity_data": map[string]any{"sub": openID},
			}}), signin.CauseOtherIdentity,
		},
		{"no user", withUser(nil), signin.CauseSupabaseFails},
		{"identities of another kind", identities("all"), signin.CauseSupabaseFails},
		{"user without an id", withUser(map[string]any{
			"identities": []any{map[string]any{"provider": providerName, "id": openID}},
		}), signin.CauseSupabaseFails},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMockedIDToken(t, byIDToken())
				m.answer(http.MethodPost, "/token", http.StatusOK, tt.answer)
				in, err := m.signIn(t)
				if e := signin.AsError(err); e.Cause != tt.want {
					t.Errorf("cause is %q (%v); want %q", e.Cause, err, tt.want)
				}
				if in.Session.AccessToken != "" || in.Account.ID != "" {
					t.Error("a session left")
				}
			})
		})
	}
}

// TestIDTokenFailures maps what GoTrue answers to an id_token (internal/api/token_oidc.go, external.go).
func TestIDTokenFailures(t *testing.T) {
	coded := func(status int, code, text string) httpmock.Responder {
		return httpmock.NewJsonResponderOrPanic(status, map[string]any{"code": code, "message": text})
	}
	oauth := func(code, text string) httpmock.Responder {
		return httpmock.NewJsonResponderOrPanic(400, map[string]any{"error": code, "error_description": text})
	}
	tests := []struct {
		name      string
		respond   httpmock.Responder
		want      signin.Cause
		wantCalls int
	}{
		{
			"no such provider", coded(400, "validation_failed", `Custom provider "custom:tiktok" not found`),
			signin.CauseProviderMissing, 1,
		},
		{
			"provider disabled", coded(400, "provider_disabled", `Custom provider "custom:tiktok" is disabled`),
			signin.CauseProviderMissing, 1,
		},
		{
			"provider of plain OAuth", coded(400, "validation_failed", `Provider "custom:tiktok" is not an OIDC provider`),
			signin.CauseProviderMissing, 1,
		},
		{
			"providers switched off", coded(400, "validation_failed", "Custom OAuth providers are disabled"),
			signin.CauseNoCustomProviders, 1,
		},
		{
			"GoTrue without custom providers",
			coded(400, "validation_failed", `Custom OIDC provider "custom:tiktok" not allowed`),
			signin.CauseNoCustomProviders, 1,
		},
		{"token refused", oauth("invalid request", "Bad ID token"), signin.CauseIDTokenRefused, 1},
		{
			"other audience", oauth("invalid request", "Unacceptable audience in id_token: [canary]"),
			signin.CauseIDTokenAudience, 1,
		},
		{
			"sign-ups are off", coded(422, "signup_disabled", "Signups not allowed for this instance"),
			signin.CauseSettingRefuses, 1,
		},
		{"hook says no", coded(403, "unknown", "Bad ID token, says canary"), signin.CauseHookRefuses, 1},
		{"hook raises", coded(500, "unexpected_failure", "canary"), signin.CauseHookFails, 2},
		{"banned", coded(403, "user_banned", "User is banned"), signin.CauseBanned, 1},
		{"throttled", coded(429, "over_request_rate_limit", "Request rate limit reached"), signin.CauseSupabaseLimit, 1},
		{
			"e-mail demanded", coded(422, "provider_email_needs_verification", "Unverified email with custom:tiktok"),
			signin.CauseEmailNeeded, 1,
		},
		{"trigger raises", coded(500, "unexpected_failure", "Database error saving new user"), signin.CauseCreateFails, 2},
		{"identity not made", coded(500, "unexpected_failure", "Error creating identity"), signin.CauseCreateFails, 2},
		{
			"no discovery document",
			coded(500, "unexpected_failure", "Unexpected failure, please check server logs for more information"),
			signin.CauseDiscoveryFails, 2,
		},
		{"fault of the database", oauth("server_error", "Internal Server Error"), signin.CauseDatabaseFails, 2},
		{"fault of a proxy", httpmock.NewStringResponder(502, "<html>canary</html>"), signin.CauseSupabaseFails, 2},
		{
			"three faults in turn", coded(500, "unexpected_failure", "Error creating identity").
				Then(httpmock.NewStringResponder(502, "")).Then(httpmock.NewStringResponder(503, "")),
			signin.CauseSupabaseFails, 3,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // pauses between attempts take no time here
				m := newMockedIDToken(t, byIDToken())
				m.transport.RegisterResponder(http.MethodPost, authURL+"/token", tt.respond)
				_, err := m.signIn(t)
				e := signin.AsError(err)
				if e.Cause != tt.want || e.Call != "id_token" {
					t.Errorf("cause is %q at %q (%v); want %q", e.Cause, e.Call, err, tt.want)
				}
				if len(m.seen) != tt.wantCalls {
					t.Errorf("%d calls; want %d", len(m.seen), tt.wantCalls)
				}
				if all := fmt.Sprint(err, e.Message, e.LogAttrs()); strings.Contains(all, "canary") {
					t.Errorf("GoTrue's own words got out: %s", all)
				}
			})
		})
	}
}

// TestIDTokenNotSigned: without an id_token nobody asks Supabase.
func TestIDTokenNotSigned(t *testing.T) {
	opts := byIDToken()
	opts.IDToken = func(context.Context, signin.Identity, signin.Profile) (string, error) {
		return "", errors.New("no key")
	}
	m := newMockedIDToken(t, opts)
	if _, err := m.signIn(t); signin.CodeOf(err) != signin.Internal || len(m.seen) > 0 {
		t.Errorf("the sign-in ends with %v after %d calls; want a fault of the bridge and no call", err, len(m.seen))
	}
}

// TestIDTokenProfile: name and picture travel in the id_token, so that nothing is stored afterwards.
func TestIDTokenProfile(t *testing.T) {
	m := newMockedIDToken(t, byIDToken())
	ada := signin.Profile{DisplayName: "Ada", AvatarURL: "https://cdn.example/a.jpg"}
	in, err := m.SignIn(t.Context(), someone, device, func() signin.Profile { return ada })
	if err != nil {
		t.Fatal(err)
	}
	if in.Account.Profile != ada {
		t.Errorf("the account holds %+v; want what was sent", in.Account.Profile)
	}
	err = m.UpdateProfile(t.Context(), in.Account, signin.Profile{DisplayName: "Bea"})
	if err != nil || len(m.seen) != 1 {
		t.Errorf("a late profile ends with %v and %d calls; want it left to the next sign-in", err, len(m.seen))
	}
}

// TestIDTokenGivesUp: a sign-in ends with its request, also between two attempts.
func TestIDTokenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMockedIDToken(t, byIDToken())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		m.transport.RegisterResponder(http.MethodPost, authURL+"/token",
			func(*http.Request) (*http.Response, error) {
				cancel()
				return httpmock.NewStringResponse(502, ""), nil
			})
		if _, err := m.SignIn(ctx, someone, device, noProfile); err == nil || len(m.seen) != 1 {
			t.Errorf("the sign-in ends with %v after %d calls; want an error after 1", err, len(m.seen))
		}
	})
}

// TestIDTokenLargeAndUseless: a large answer that is no session does not stand in the way of the next attempt.
func TestIDTokenLargeAndUseless(t *testing.T) {
	m := newMockedIDToken(t, byIDToken())
	large := strings.Repeat("x", 100<<10)
	good := tokenAnswer(openID, later)
	good["padding"] = large
	m.transport.RegisterResponder(http.MethodPost, authURL+"/token",
		httpmock.NewJsonResponderOrPanic(http.StatusOK, map[string]any{"padding": large}).Then(
			httpmock.NewJsonResponderOrPanic(http.StatusOK, good)))
	if _, err := m.signIn(t); err != nil {
		t.Errorf("the sign-in fails: %v", err)
	}
}
