package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// TestRoundTrips_provider proves the budget of the provider flow: one round trip to TikTok when the person comes
// back and one when the client sends the code, first sign-in or not, and none to Supabase.
func TestRoundTrips_provider(t *testing.T) {
	const issuer, verifier = "https://signin.example", "a-verifier-of-the-client-that-is-long-enough"
	ring, err := seal.New(firstKey)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := provider.DeriveKeys(firstKey)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var toTikTok, toSupabase atomic.Int64
		tt := tiktoksim.New(tiktoksim.Options{})
		person := tiktok.New(tiktok.Options{
			ClientKey: tiktoksim.DefaultClientKey, ClientSecret: tiktoksim.DefaultClientSecret,
			AuthorizeURL: "https://tiktok.example/v2/auth/authorize/", APIURL: "https://tiktok.example",
			Transport: wire{tt, &toTikTok},
		})
		claims := once.NewMemory(100)
		service := signin.New(signin.Options{
			Authenticator: person,
			Accounts: supabase.New(supabase.Options{
				AuthURL: "https://project.example/auth/v1", SecretKey: gotruesim.SecretKey,
				PublishableKey: gotruesim.PublishableKey, Transport: wire{gotruesim.New(gotruesim.Options{}), &toSupabase},
			}),
			Policy: allowAll{}, Sealer: ring, Once: claims, CallbackURL: issuer + "/api/auth/tiktok/callback",
		})
		p, err := provider.New(provider.Options{
			Issuer: issuer, Keys: keys, SignIns: service, Profiles: person, Sealer: ring, Once: claims,
			Clients: []provider.Client{{ID: "app", Secret: clientSecret, RedirectURIs: []string{clientCallback}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		// trips counts the round trips that step makes one after another, and all of its calls.
		trips := func(what string, want int, step func()) {
			t.Helper()
			toTikTok.Store(0)
			start := time.Now()
			step()
			took := int(time.Since(start) / roundTrip)
			synctest.Wait()
			if calls := int(toTikTok.Load()); took != want || calls != want {
				t.Errorf("%s takes %d round trips and %d calls; want %d", what, took, calls, want)
			}
		}
		for range 2 { // the second time they return
			var begun signin.Begun
			var redirect string
			trips("authorize", 0, func() {
				sum := sha256.Sum256([]byte(verifier))
				begun, err = p.Authorize(t.Context(), url.Values{
					"client_id": {"app"}, "redirect_uri": {clientCallback}, "response_type": {"code"}, "scope": {"openid"},
					"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			_, query, _ := strings.Cut(begun.AuthorizeURL, "?")
			asked, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			code := newCode(t, tt, tiktoksim.OpenIDMira, asked.Get("redirect_uri"))
			trips("the callback", 1, func() {
				var back *signin.Return
				back, err = service.Callback(t.Context(), signin.CallbackRequest{
					State: asked.Get("state"), Code: code, Cookie: func(string) string { return begun.Binder },
				})
				if err == nil {
					redirect, err = p.Finish(back)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			back, err := url.Parse(redirect)
			if err != nil {
				t.Fatal(err)
			}
			var tokens provider.TokenResponse
			trips("the token endpoint", 1, func() {
				tokens, err = p.Token(t.Context(), provider.TokenRequest{Form: url.Values{
					"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "code_verifier": {verifier},
					"redirect_uri": {clientCallback}, "client_id": {"app"}, "client_secret": {clientSecret},
				}})
			})
			if err != nil {
				t.Fatal(err)
			}
			trips("userinfo", 0, func() { _, err = p.UserInfo("Bearer "+tokens.AccessToken, nil) })
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := service.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := toSupabase.Load(); n != 0 {
			t.Errorf("there are %d calls to Supabase; want none", n)
		}
	})
}
