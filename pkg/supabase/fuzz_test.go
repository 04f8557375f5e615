package supabase_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

// recorded returns the answers that were recorded from a real GoTrue.
func recorded(f *testing.F) (statuses []int, bodies []string) {
	f.Helper()
	names, err := filepath.Glob("gotruesim/testdata/*.json")
	if err != nil || len(names) == 0 {
		f.Fatalf("no recordings: %v", err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var captures []struct {
			Response struct {
				Status int             `json:"status"`
				Body   json.RawMessage `json:"body"`
			} `json:"response"`
		}
		if err := json.Unmarshal(content, &captures); err != nil {
			f.Fatal(err)
		}
		for _, c := range captures {
			statuses, bodies = append(statuses, c.Response.Status), append(bodies, string(c.Response.Body))
		}
	}
	return statuses, bodies
}

// FuzzAnswer lets GoTrue answer every call of a sign-in with the same thing, whatever it is: the
// sign-in ends, with an error of ours or with a session of the vetted account.
func FuzzAnswer(f *testing.F) {
	const planted = "sb_secret_canary" // the key of newClient below
	statuses, bodies := recorded(f)
	for i := range statuses {
		f.Add(statuses[i], bodies[i], "", "")
	}
	for _, body := range []string{
		"", "{}", "null", "[]", "7", `"x"`, "{", "<html>502</html>",
		`{"code":429,"error_code":"over_request_rate_limit","msg":"x"}`,
		`{"code":"user_banned"}`, `{"code":"otp_expired"}`, `{"code":"user_not_found"}`, `{"code":["x"]}`,
		`{"code":{"a":1},"error_code":7}`,
		`{"code":null,"error_code":"bad_jwt"}`, `{"code":"` + planted + `","message":"` + planted + `"}`,
		"{\"code\":\"\xff\"}",
		`{"message":"Invalid API key","hint":"Double check"}`, `{"error_code":"email_exists"}`,
		strings.Repeat("[", 20_000),
	} {
		for _, status := range []int{200, 301, 400, 401, 403, 404, 422, 429, 500, 503} {
			f.Add(status, body, "", "7")
		}
	}
	f.Add(403, "{}", "user_banned", "")
	f.Add(429, "{}", "<b>", "-7")
	f.Fuzz(func(t *testing.T, status int, body, header, retryAfter string) {
		if status < 100 || status > 999 {
			return // net/http reads no such answer
		}
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int32 // some go out side by side
			c := supabase.New(supabase.Options{
				AuthURL: authURL, SecretKey: planted, PublishableKey: "sb_publishable_x",
				Transport: roundTripper(func(*http.Request) (*http.Response, error) {
					calls.Add(1)
					return &http.Response{
						StatusCode: status, Body: io.NopCloser(strings.NewReader(body)),
						Header: http.Header{"X-Sb-Error-Code": {header}, "Retry-After": {retryAfter}},
					}, nil
				}),
			})
			if _, err := c.CheckSettings(t.Context()); err != nil {
				wantOwnError(t, err, planted)
			}
			in, err := c.SignIn(t.Context(), someone, device, func() signin.Profile { return signin.Profile{} })
			if n := calls.Load(); n > 100 {
				t.Errorf("a sign-in makes %d calls", n)
			}
			if err != nil {
				wantOwnError(t, err, planted)
				return
			}
			if in.Account.OpenID != openID || in.Session.AccessToken == "" || in.Account.ID == "" {
				t.Errorf("status %d and %q are the session of nobody", status, body)
			}
		})
	})
}

// wantOwnError states what holds for every error: it has a code of ours, and what it tells people has
// nothing of an answer.
func wantOwnError(t *testing.T, err error, planted string) {
	t.Helper()
	var e *signin.Error
	if !errors.As(err, &e) || e.Message == "" {
		t.Fatalf("error is %v (%T); want one of ours", err, err)
	}
	switch e.Code {
	case signin.SupabaseUnavailable, signin.SupabaseMisconfigured, signin.SupabaseRestricted, signin.RateLimited,
		signin.UserBanned, signin.SignInRefused, signin.AccountConflict:
	default:
		t.Errorf("code is %q", e.Code)
	}
	if e.Cause.Message() != e.Message {
		t.Errorf("message is %q, of cause %q", e.Message, e.Cause)
	}
	if strings.Contains(e.Message, planted) || e.RetryAfter < 0 || len(e.Upstream.Code) > 64 {
		t.Errorf("error is %+v; want its parts bounded, and nothing of the answer", e.LogAttrs())
	}
}
