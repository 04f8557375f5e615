package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/test/faulty"
)

// TestCanaries_tokens does the same for TikTok's tokens after the sign-in and for its webhook: an app gets the tokens
// in the answers that hand them out, and they are nowhere else, sealed or not.
func TestCanaries_tokens(t *testing.T) {
	t.Parallel()
	t.Run("by link", func(t *testing.T) {
		part := plantAt(faulty.User, faulty.Refresh, faulty.Revoke, faulty.EndSessions)
		apart(t, part, func(t *testing.T, part []planted, timeouts ...string) {
			grantAll(t, "supabase verify", part, timeouts...)
		})
	})
	t.Run("by the provider, without a secret key", func(t *testing.T) {
		part := plantAt(faulty.IDToken, faulty.LogOut)
		apart(t, part, func(t *testing.T, part []planted, timeouts ...string) {
			grantAll(t, "supabase id_token", part, append(timeouts,
				"TIKBRIDGE_SERVER_PUBLIC_URL=https://signin.app.example", "TIKBRIDGE_SUPABASE_PROVIDER=custom:tiktok",
				"TIKBRIDGE_OIDC_SUPABASE_SECRET="+canarySupabaseSecret, "SUPABASE_SECRET_KEY=",
			)...)
		})
	})
}

func grantAll(t *testing.T, call string, part []planted, environ ...string) {
	t.Helper()
	u := newUpstreams(part)
	watched := watch(t)
	watched.call = call
	bridge, out, stop := startServe(t, u.listen(t), slices.Concat(watched.environ(), environ, []string{
		"TIKBRIDGE_TIKTOK_RETURN_TOKENS=true", "TIKBRIDGE_SEAL_KEYS=canarySealKey0123456789abcdefghijklmnop",
	})...)
	var made seen
	watched.during(t, func() {
		signInAll(t, part, func(t *testing.T, p planted) { u.useGrant(t, bridge, p, &made) })
		if meetsStrangers(part) {
			t.Run("requests", func(t *testing.T) { strangeTokenRequests(t, bridge, &made) })
		}
	})
	stop()
	log := out.String()
	u.wantClean(t, log)
	watched.wantClean(t, log)
	wants := []string{`"event":"authorization_removed"`, `"level":"ERROR"`, `"msg":"stopped"`}
	if meetsStrangers(part) {
		wants = append(wants, "signature is missing or has another form")
	}
	wantLogged(t, log, wants...)
	if len(made.values) < len(part) {
		t.Errorf("only %d values were made on the way", len(made.values))
	}
	everywhere := log + watched.collector.Text()
	for _, text := range watched.shown {
		everywhere += text
	}
	for _, value := range made.values {
		if piece := middle(value); strings.Contains(everywhere, piece) {
			t.Fatalf("the output, a trace, a metric or a profile holds %q of %q", piece, value)
		}
	}
}

// useGrant signs in, refreshes TikTok's tokens, revokes them and is removed by TikTok, and looks at every answer.
func (u *upstreams) useGrant(t *testing.T, bridge string, p planted, made *seen) {
	t.Helper()
	call := func(path string, body map[string]string, headers ...string) (int, string) {
		t.Helper()
		payload, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		status, whole := askJSON(t, bridge+path, string(payload), headers...)
		if status >= http.StatusBadRequest {
			wantNone(t, path, whole, hiddenWord, personsWord)
		}
		return status, whole
	}
	expect := func(what string, status int, good bool) {
		t.Helper()
		if got := status < http.StatusBadRequest; got != good && !slices.Contains(ambiguous, p.fault) {
			t.Errorf("%s answers %d; want it to work: %v", what, status, good)
		}
	}
	at := func(calls ...faulty.Call) bool { return slices.Contains(calls, p.at) && p.fault != "none" }

	status, answer := call("/api/auth/tiktok-callback", map[string]string{"code": p.code(), "redirect_uri": p.redirect()})
	expect("the sign-in", status, !at(faulty.IDToken))
	bearer := "Bearer " + p.goAccess()
	sealed := sealedIn(answer)
	use := func(route string) (int, string) {
		t.Helper()
		return call("/api/auth/tiktok/"+route, map[string]string{"provider_refresh_token": sealed}, "Authorization", bearer)
	}
	if sealed != "" {
		made.add(sealed)
		status, answer = use("token")
		wantNoPart(t, "the refresh", answer, sealed)
		expect("the refresh", status, !at(faulty.User, faulty.Refresh))
		if next := sealedIn(answer); next != "" {
			made.add(next)
			sealed = next
		}
		status, answer = use("revoke")
		wantNoPart(t, "the revocation", answer, sealed)
		if !at(faulty.Revoke) { // which is tried twice, and whose success may say anything
			expect("the revocation", status, !at(faulty.User, faulty.Refresh))
		}
	}
	status, answer = removedByTikTok(t, bridge, p)
	wantNone(t, "the webhook", answer, hiddenWord, personsWord)
	if !at(faulty.EndSessions, faulty.LogOut) { // whose success may say anything
		expect("the webhook", status, !at(faulty.IDToken))
	}
}

// sealedIn returns the refresh token that an answer hands out.
func sealedIn(answer string) string {
	_, rest, _ := strings.Cut(answer, `"provider_refresh_token":"`)
	sealed, _, _ := strings.Cut(rest, `"`)
	return sealed
}

// removedByTikTok delivers the event, which is another one each time.
func removedByTikTok(t *testing.T, bridge string, p planted) (status int, answer string) {
	t.Helper()
	body := fmt.Sprintf(`{"client_key":"awkey","event":"authorization.removed","create_time":%d,"user_openid":%q,`+
		`"content":"{\"reason\":1,\"canary\":%d}"}`, time.Now().Unix(), p.openID(), time.Now().UnixNano())
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(canaryClientSecret))
	_, _ = fmt.Fprintf(mac, "%s.%s", at, body)
	return askJSON(t, bridge+"/api/auth/tiktok/webhook", body,
		"Tiktok-Signature", "t="+at+",s="+hex.EncodeToString(mac.Sum(nil)))
}

// askJSON posts JSON and returns the whole answer.
func askJSON(t *testing.T, address, body string, headers ...string) (status int, whole string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	dump, err := httputil.DumpResponse(resp, true)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(dump)
}

// strangeTokenRequests put what is secret into wrong places.
func strangeTokenRequests(t *testing.T, bridge string, made *seen) {
	t.Helper()
	p := planted{number: "000"}
	for _, v := range append(p.all(), made.values[:min(9, len(made.values))]...) {
		quoted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, route := range []string{"token", "revoke", "webhook"} {
			for _, body := range []string{
				string(quoted), `{"provider_refresh_token":` + string(quoted) + `}`,
				`{"provider_refresh_token":[` + string(quoted) + `]}`, `{` + string(quoted) + `:1}`,
			} {
				for _, header := range []string{"Bearer " + v, v, "t=" + v + ",s=" + v} {
					if !isHeader(header) {
						continue
					}
					address := bridge + "/api/auth/tiktok/" + route + "?provider_refresh_token=" + url.QueryEscape(v)
					status, answer := askJSON(t, address, body, "Authorization", header, "Tiktok-Signature", header)
					if status < http.StatusBadRequest {
						t.Errorf("%s answers %d", route, status)
					}
					wantNone(t, route, answer, hiddenWord, personsWord)
					wantNoPart(t, route, answer, v)
				}
			}
		}
	}
}
