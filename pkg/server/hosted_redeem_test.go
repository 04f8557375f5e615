package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

func redeemBody(t *testing.T, handoff, verifier string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"handoff": handoff, "verifier": verifier})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	s := b.begin(t, "platform", "web", "challenge", challenge())
	body := redeemBody(t, b.handoffOf(t, s), appVerifier)
	want := map[string]any{
		"access_token": "a.b.c", "token_type": "bearer", "expires_in": 3600.0, "expires_at": 2e9,
		"refresh_token": "refresh", "user": map[string]any{"id": userID},
	}
	resp := b.do(t, http.MethodPost, redeemPath, body, "Origin", appOrigin)
	if diff := cmp.Diff(want, readJSON(t, resp)); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	wantError(t, b.do(t, http.MethodPost, redeemPath, body), http.StatusBadRequest, signin.HandoffInvalid)

	// On the same site, by the cookie alone.
	s = b.begin(t, "platform", "web")
	body = redeemBody(t, b.handoffOf(t, s), "")
	wantError(t, b.do(t, http.MethodPost, redeemPath, body), http.StatusBadRequest, signin.HandoffInvalid)
	wantError(
		t, b.do(t, http.MethodPost, redeemPath, body, "Cookie", s.cookie+"x"), http.StatusBadRequest,
		signin.HandoffInvalid,
	)
	// A page of another origin that somehow got the handoff has no use of the browser's cookie.
	wantError(
		t, b.do(t, http.MethodPost, redeemPath, body, "Cookie", s.cookie, "Origin", "https://evil.example"),
		http.StatusForbidden, signin.OriginNotAllowed,
	)
	wantStatus(
		t, b.do(t, http.MethodPost, redeemPath, body, "Cookie", "a=b; "+s.cookie, "Origin", publicURL), http.StatusOK,
	)
}

// TestRedeem_bodies has what is redeem's own; TestExchange_bodies has the rest, which is read in the same place.
func TestRedeem_bodies(t *testing.T) {
	t.Parallel()
	const (
		missing = "handoff is missing"
		foreign = "cannot be finished here"
	)
	tests := []struct {
		name, body string
		status     int
		code       signin.Code
		want       string // part of the description
	}{
		{"nothing", "", 400, signin.InvalidRequest, "is empty; it must be a JSON object with handoff and verifier"},
		{"list", `[]`, 400, signin.InvalidRequest, "must be a JSON object"},
		{"null", `null`, 400, signin.InvalidRequest, missing},
		{"handoff of null", `{"handoff":null,"verifier":"v"}`, 400, signin.InvalidRequest, missing},
		{"empty handoff", `{"handoff":"","verifier":"v"}`, 400, signin.InvalidRequest, missing},
		{"handoff is a number", `{"handoff":7}`, 400, signin.InvalidRequest, "handoff must be a string"},
		{
			"verifier is an object", `{"handoff":"x","verifier":{}}`, 400, signin.InvalidRequest,
			"verifier must be a string",
		},
		{"verifier of null", `{"handoff":"x","verifier":null}`, 400, signin.HandoffInvalid, foreign},
		{"foreign", `{"handoff":"x","verifier":"` + appVerifier + `"}`, 400, signin.HandoffInvalid, foreign},
		{"short verifier", `{"handoff":"x","verifier":"v"}`, 400, signin.InvalidRequest, "43 to 128"},
		{
			"zero bytes", `{"handoff":"x","verifier":"` + strings.Repeat(`\u0000`, 43) + `"}`, 400,
			signin.InvalidRequest, "43 to 128",
		},
		{
			"endless verifier", `{"handoff":"x","verifier":"` + strings.Repeat("v", 129) + `"}`, 400,
			signin.InvalidRequest, "43 to 128",
		},
		{"too large", `{"handoff":"` + strings.Repeat("x", 64<<10) + `"}`, 413, signin.InvalidRequest, "64 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newHosted(t)
			sized := b.do(t, http.MethodPost, redeemPath, tt.body, "Origin", appOrigin)
			unknown := httptest.NewRequest(http.MethodPost, redeemPath, unsized{strings.NewReader(tt.body)})
			unknown.Header.Set("Accept", forPeople) // never a page: nobody navigates by POST
			for _, resp := range []*http.Response{sized, b.serve(unknown)} {
				if got := wantError(t, resp, tt.status, tt.code); !strings.Contains(got, tt.want) {
					t.Errorf("error_description is %q; want %q in it", got, tt.want)
				}
			}
		})
	}
}
