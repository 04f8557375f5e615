package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// wire carries requests to a simulator in this process. Every answer takes the same time, so that,
// with the clock of synctest, the time of a sign-in counts its round trips one after another.
type wire struct {
	to    http.Handler
	calls *atomic.Int64
}

const roundTrip = time.Second

func (w wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.calls.Add(1)
	time.Sleep(roundTrip)
	rec := httptest.NewRecorder()
	in := req.Clone(req.Context())
	in.RequestURI, in.RemoteAddr = req.URL.RequestURI(), "192.0.2.1:1"
	w.to.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// TestRoundTrips proves the budget of upstream round trips one after another: three for somebody who
// comes back, five for a first sign-in and for somebody who changed their e-mail.
func TestRoundTrips(t *testing.T) {
	const redirect = "https://app.example/auth"
	person := tiktoksim.OpenIDMira
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		tt, gotrue := tiktoksim.New(tiktoksim.Options{}), gotruesim.New(gotruesim.Options{})
		service := signin.New(signin.Options{
			Authenticator: tiktok.New(tiktok.Options{
				ClientKey: tiktoksim.DefaultClientKey, ClientSecret: tiktoksim.DefaultClientSecret,
				APIURL: "https://tiktok.example", Transport: wire{tt, &calls},
			}),
			Accounts: supabase.New(supabase.Options{
				AuthURL: "https://project.example/auth/v1", SecretKey: gotruesim.SecretKey,
				PublishableKey: gotruesim.PublishableKey, Transport: wire{gotrue, &calls},
			}),
			Policy: allowAll{},
		})
		signIn := func(what string, wantTrips, wantCalls int) signin.Session {
			code := newCode(t, tt, person, redirect)
			calls.Store(0)
			start := time.Now()
			session, err := service.Exchange(t.Context(), signin.ExchangeRequest{Code: code, RedirectURI: redirect})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := int(time.Since(start) / roundTrip); got != wantTrips {
				t.Errorf("%s takes %d round trips; want %d", what, got, wantTrips)
			}
			synctest.Wait() // the profile goes on its way at once
			time.Sleep(5 * roundTrip)
			if got := int(calls.Load()); got != wantCalls {
				t.Errorf("%s makes %d calls in all; want %d", what, got, wantCalls)
			}
			return session
		}
		// token, [link beside user info], [look up beside create], link, verify.
		first := signIn("a first sign-in", 5, 7)
		// token, [link beside user info], verify; then, beside the answer, the new avatar URL.
		signIn("coming back", 3, 5)

		changeEmail(t, gotrue, first)
		signIn("coming back with another e-mail", 5, 8)
		if err := service.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

type allowAll struct{}

func (allowAll) RedirectURI(string) bool { return true }
func (allowAll) Scheme(string) bool      { return true }
func (allowAll) ReturnTo(string) bool    { return true }

func newCode(t *testing.T, tt http.Handler, openID, redirect string) string {
	t.Helper()
	var answer struct {
		Code string `json:"code"`
	}
	call(
		t, tt, http.MethodPost, "/sim/codes", nil, map[string]string{"open_id": openID, "redirect_uri": redirect},
		&answer,
	)
	return answer.Code
}

func changeEmail(t *testing.T, gotrue http.Handler, s signin.Session) {
	t.Helper()
	var user struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(s.User, &user); err != nil {
		t.Fatal(err)
	}
	key := http.Header{"Apikey": {gotruesim.SecretKey}}
	call(
		t, gotrue, http.MethodPut, "/auth/v1/admin/users/"+user.ID, key, map[string]string{"email": "mira@example.com"},
		&user,
	)
}

// call sends a request to a simulator without the wire.
func call(t *testing.T, to http.Handler, method, path string, header http.Header, body, into any) {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(payload))
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	to.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		t.Fatalf("%s %s: status %d: %s", method, path, rec.Code, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
		t.Fatal(err)
	}
}
