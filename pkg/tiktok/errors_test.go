package tiktok_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jarcoal/httpmock"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// verdict is what of an error decides something.
type verdict struct {
	Code       signin.Code
	Call       string
	RetryAfter time.Duration
	Upstream   signin.Upstream
}

func tiktokAnswer(status int, code, logID string) signin.Upstream {
	return signin.Upstream{Service: "tiktok", Status: status, Code: code, LogID: logID}
}

func wantVerdict(t *testing.T, err error, want verdict) {
	t.Helper()
	var e *signin.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v; want a *signin.Error", err)
	}
	if diff := cmp.Diff(want, verdict{e.Code, e.Call, e.RetryAfter, e.Upstream}); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if e.Message == "" {
		t.Error("got no message; want one for the person")
	}
}

// printed returns v in every way that a program may print it.
func printed(v any) []string {
	var text, js bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&js, nil)} {
		slog.New(h).Error("failed", "v", v) //nolint:sloglint // a test of what a careless line prints
		var e *signin.Error
		if err, ok := v.(error); ok && errors.As(err, &e) {
			slog.New(h).LogAttrs(nil, slog.LevelError, "failed", e.LogAttrs()...) //nolint:staticcheck // no context matters
		}
	}
	out := []string{text.String(), js.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		out = append(out, fmt.Sprintf(verb, v))
	}
	b, _ := json.Marshal(v)
	return append(out, string(b))
}

// wantQuiet asserts that nothing of what was sent or answered can be read from err or its causes.
func wantQuiet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("got no error")
	}
	for ; err != nil; err = errors.Unwrap(err) {
		for _, out := range printed(err) {
			for _, canary := range []string{"canary", url.QueryEscape(code), hex.EncodeToString([]byte("canary"))} {
				if strings.Contains(strings.ToLower(out), strings.ToLower(canary)) {
					t.Errorf("got %s; want nothing of the request or the answer", out)
				}
			}
		}
	}
}

// logID is that of flat and nested.
const logID = "20261122AB"

// echo is what a careless upstream writes back.
const echo = "canary " + secret + " " + code + " " + verifier + " " + accessToken

func flat(errorCode, description string) string {
	b, _ := json.Marshal(map[string]string{
		"error": errorCode, "error_description": description + " " + echo, "log_id": logID,
	})
	return string(b)
}

func nested(errorCode, message string) string {
	b, _ := json.Marshal(map[string]any{
		"data":  map[string]any{},
		"error": map[string]string{"code": errorCode, "message": message + " " + echo, "log_id": logID},
	})
	return string(b)
}

// failure is an answer without a sign-in in it.
type failure struct {
	name    string
	status  int
	body    string
	header  []string
	verdict verdict
}

// fails is an answer of the token endpoint.
func fails(status int, errorCode, description string, want signin.Code) failure {
	name := strings.TrimSpace(fmt.Sprint(status, " ", errorCode, " ", description))
	up := tiktokAnswer(status, errorCode, logID)
	return failure{name, status, flat(errorCode, description), nil, verdict{want, "", 0, up}}
}

// failsNested is an answer of the other endpoints.
func failsNested(status int, errorCode, message string, want signin.Code) failure {
	f := fails(status, errorCode, message, want)
	f.name, f.body = "nested "+f.name, nested(errorCode, message)
	return f
}

// broken is an answer that nobody can read.
func broken(name string, status int, body string) failure {
	up := tiktokAnswer(status, "", "")
	return failure{name, status, body, nil, verdict{signin.TikTokUnavailable, "", 0, up}}
}

// limited adds what the answer says of waiting, and how long people are told to wait.
func (f failure) limited(retryAfter string, want time.Duration) failure {
	if retryAfter != "" {
		f.name += " with Retry-After " + retryAfter
		f.header = []string{"Retry-After", retryAfter}
	}
	if f.status == http.StatusTooManyRequests {
		f.verdict.Code = signin.RateLimited
	}
	f.verdict.RetryAfter = want
	return f
}

// at is the verdict on the answer at a call.
func (f failure) at(call string) verdict {
	f.verdict.Call = call
	return f.verdict
}

// flatFailures have the shape of the token endpoint (TikTok docs: OAuth Error Handling), with the
// status that RFC 6749 asks for and with 200.
var flatFailures = []failure{
	fails(400, "invalid_grant", "Authorization code is expired.", signin.InvalidGrant),
	fails(200, "invalid_grant", "Authorization code is expired.", signin.InvalidGrant),
	fails(400, "invalid_grant", redirectMismatch, signin.RedirectURIMismatch),
	fails(400, "invalid_grant", "Client key or secret is incorrect.", signin.TikTokMisconfigured),
	fails(200, "invalid_grant", "Code verifier or code challenge is invalid.", signin.InvalidGrant),
	fails(200, "invalid_request", redirectMismatch, signin.RedirectURIMismatch),
	fails(400, "invalid_request", "The redirect URI is wrong.", signin.RedirectURIMismatch),
	fails(200, "invalid_request", "Client key or secret is incorrect.", signin.TikTokMisconfigured),
	fails(401, "invalid_client", "Client key or secret is incorrect.", signin.TikTokMisconfigured),
	fails(401, "unauthorized_client", "", signin.TikTokMisconfigured),
	fails(400, "invalid_scope", "", signin.TikTokMisconfigured),
	fails(400, "unsupported_grant_type", "", signin.TikTokMisconfigured),
	fails(400, "unsupported_response_type", "", signin.TikTokMisconfigured),
	fails(200, "access_denied", "", signin.AccessDenied),
	fails(500, "server_error", "", signin.TikTokUnavailable),
	fails(200, "server_error", "", signin.TikTokUnavailable),
	fails(503, "temporarily_unavailable", "", signin.TikTokUnavailable).limited("3", 3*time.Second),
	fails(418, "code_of_tomorrow", "", signin.TikTokUnavailable),
	fails(200, "rate_limit_exceeded", "", signin.RateLimited).limited("", time.Minute),
	fails(429, "code_of_tomorrow", "", signin.RateLimited).limited("", time.Minute),
	broken("an echo for a code", 400, `{"error":"`+echo+`","log_id":"`+echo+`"}`),
}

const redirectMismatch = "Redirect_uri is not matched with the uri when requesting code."

// failures may come from any endpoint.
var failures = []failure{
	// TikTok docs: API v2 Error Handling.
	failsNested(200, "invalid_grant", "", signin.InvalidGrant),
	failsNested(400, "invalid_params", "redirect_uri mismatch", signin.RedirectURIMismatch),
	failsNested(401, "scope_not_authorized", "", signin.TikTokMisconfigured),
	failsNested(400, "scope_permission_missed", "", signin.TikTokMisconfigured),
	failsNested(500, "internal_error", "", signin.TikTokUnavailable),
	failsNested(401, "access_token_invalid", "", signin.TikTokUnavailable),
	failsNested(429, "rate_limit_exceeded", "", signin.RateLimited).limited("", time.Minute),
	failsNested(429, "rate_limit_exceeded", "", signin.RateLimited).limited("17", 17*time.Second),
	failsNested(429, "rate_limit_exceeded", "", signin.RateLimited).limited("9223372036854775807", time.Hour),
	broken("429 without JSON", 429, "<html>"+echo).limited("5", 5*time.Second),
	broken("429 without anything", 429, "").limited("", time.Minute),
	broken("500 empty", 500, ""),
	broken("502 HTML", 502, "<html>502 "+echo+"</html>"),
	broken("503 HTML", 503, "<html>"+echo).limited("30", 30*time.Second),
	broken("504 JSON without error", 504, "{}"),
	broken("HTML with 200", 200, "<html>"+echo+"</html>"),
	broken("empty with 200", 200, ""),
	broken("204", 204, ""),
	broken("truncated JSON", 200, tokenOK[:len(tokenOK)-1]),
	broken("two JSON values", 200, tokenOK+tokenOK),
	broken("JSON array", 200, "["+tokenOK+"]"),
	broken("JSON null", 200, "null"),
	broken("JSON string", 200, `"`+echo+`"`),
	broken("error of an odd type", 200, `{"error":["`+echo+`"]}`),
	broken("error of a nested odd type", 200, `{"error":{"code":true,"message":"`+echo+`"}}`),
	broken("2 MB", 200, `{"padding":"`+strings.Repeat("canary", 2<<20/6)+`"}`),
	broken("empty object", 200, "{}"),
	broken("v1 envelope", 200, `{"data":{"error_code":10007,"description":"`+echo+`"},"message":"error"}`),
	{
		"numbers", 200, `{"error":{"code":2190008,"message":"` + echo + `","log_id":7}}`, nil,
		verdict{signin.TikTokUnavailable, "", 0, tiktokAnswer(200, "2190008", "7")},
	},
}

// What TikTok writes beside a code, and in which type, does not change what the code says.
func TestClient_Exchange_oddLogID(t *testing.T) {
	t.Parallel()
	for logID, want := range map[string]string{
		`"202211221200000123456789ABCDEF01"`:     "202211221200000123456789ABCDEF01",
		`"021718000000123fdbddc0100fff0010a3cd"`: "021718000000123fdbddc0100fff0010a3cd",
		`20221122120000`:                         "20221122120000", `7`: "7", `""`: "", `null`: "", `true`: "",
		`{}`: "", `["x"]`: "", `-7`: "", `1e30`: "",
		`"` + code + `"`: "", `"` + accessToken + `"`: "", `"` + openID + `"`: "", `"mira@example.com"`: "",
		`"7\n8"`: "",
		// A secret that happens to be of hexadecimal digits, or of letters.
		`"4f0c9d2b7e5a41c38d6f0a1b2c3d4e5f"`: "", `"canary"`: "", `"2022canary"`: "",
		`"` + strings.Repeat("7", 65) + `"`: "",
	} {
		t.Run(logID, func(t *testing.T) {
			t.Parallel()
			for _, body := range []string{
				`{"error":"invalid_grant","error_description":"Authorization code is expired.","log_id":` + logID + `}`,
				`{"error":{"code":"invalid_grant","message":7,"log_id":` + logID + `}}`,
				`{"error":"invalid_grant","error_description":{"text":"` + echo + `"},"log_id":` + logID + `}`,
			} {
				_, err := newClient(answering(
					http.MethodPost, tokenURL, response(400, body),
				)).Exchange(t.Context(), grant)
				wantVerdict(t, err, verdict{signin.InvalidGrant, "token", 0, tiktokAnswer(400, "invalid_grant", want)})
				wantQuiet(t, err)
			}
		})
	}
}

func TestClient_Exchange_fails(t *testing.T) {
	t.Parallel()
	for _, tt := range slices.Concat(flatFailures, failures) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := answering(http.MethodPost, tokenURL, response(tt.status, tt.body, tt.header...))
			id, err := newClient(m).Exchange(t.Context(), grant)
			wantVerdict(t, err, tt.at("token"))
			wantQuiet(t, err)
			if diff := cmp.Diff(signin.Identity{}, id); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			wantCalls(t, m, map[string]int{"POST " + tokenURL: 1})
		})
	}
}

func TestClient_Profile_fails(t *testing.T) {
	t.Parallel()
	for _, tt := range failures {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := answering(http.MethodGet, infoURL, response(tt.status, tt.body, tt.header...))
			p, err := newClient(m).Profile(t.Context(), identity)
			wantVerdict(t, err, tt.at("user_info"))
			wantQuiet(t, err)
			if !p.IsZero() {
				t.Errorf("got profile %+v; want none", p)
			}
			if n := m.GetTotalCallCount(); n != 1 {
				t.Errorf("got %d calls; want 1", n)
			}
		})
	}
}

// Success without the two members that make one is none, whatever the status says.
func TestClient_Exchange_incomplete(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
	}{
		{"no open_id", 200, `{"access_token":"` + accessToken + `"}`},
		{"empty open_id", 200, `{"access_token":"` + accessToken + `","open_id":""}`},
		{"null open_id", 200, `{"access_token":"` + accessToken + `","open_id":null}`},
		{"number as open_id", 200, `{"access_token":"` + accessToken + `","open_id":7}`},
		{"open_id in capitals", 200, `{"access_token":"` + accessToken + `","OPEN_ID":"` + openID + `"}`},
		{"odd error", 200, `{"error":7,` + tokenOK[1:]},
		{"odd error code", 200, `{"error":{"code":["ok"]},` + tokenOK[1:]},
		{"no access_token", 200, `{"open_id":"` + openID + `"}`},
		{"token beside an error that is a number", 200, `{"error":10007,` + tokenOK[1:]},
		{"token beside an error that is a list", 200, `{"error":["x"],` + tokenOK[1:]},
		{"token beside a nested error that is a list", 200, `{"error":{"code":["x"]},` + tokenOK[1:]},
		{"token beside an error", 200, `{"error":"server_error",` + tokenOK[1:]},
		{"token with 500", 500, tokenOK},
		{"token in data, as v1 had it", 200, `{"data":` + tokenOK + `,"message":"success"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := answering(http.MethodPost, tokenURL, response(tt.status, tt.body))
			id, err := newClient(m).Exchange(t.Context(), grant)
			if signin.CodeOf(err) != signin.TikTokUnavailable {
				t.Errorf("got %v, %v; want %s", id.OpenID, err, signin.TikTokUnavailable)
			}
			wantQuiet(t, err)
			wantCalls(t, m, map[string]int{"POST " + tokenURL: 1})
		})
	}
}

// A profile belongs to the person of the token or to nobody.
func TestClient_Profile_otherPerson(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, members string }{
		{"another", `"open_id":"-000other","display_name":"Mallory"`},
		{"other case", `"open_id":"` + strings.ToLower(openID) + `","display_name":"Mallory"`},
		{"none", `"display_name":"Mallory"`},
		{"open_id in capitals", `"OPEN_ID":"` + openID + `","display_name":"Mallory"`},
		{"empty", `"open_id":"","display_name":"Mallory"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := answering(http.MethodGet, infoURL, response(200, userInfo(tt.members)))
			p, err := newClient(m).Profile(t.Context(), identity)
			if signin.CodeOf(err) != signin.TikTokUnavailable || !p.IsZero() {
				t.Errorf("got %+v, %v; want no profile and %s", p, err, signin.TikTokUnavailable)
			}
			wantQuiet(t, err)
		})
	}
}

// Each refusal has its cause, whose fix tells the operator what to do.
func TestClient_causes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       signin.Cause
	}{
		{"expired code", flat("invalid_grant", "Authorization code is expired."), signin.CauseCodeSpent},
		{"verifier", flat("invalid_request", "Code verifier or code challenge is invalid."), signin.CauseVerifierRefused},
		{"redirect_uri", flat("invalid_request", "Redirect_uri is not matched."), signin.CauseTikTokRedirectURI},
		{"malformed", flat("invalid_request", "The request parameters are malformed."), signin.CauseCodeMalformed},
		{"secret", flat("invalid_client", "Client key or secret is incorrect."), signin.CauseTikTokCredentials},
		{"secret, as a request", flat("invalid_request", "Client secret is missing."), signin.CauseTikTokCredentials},
		{"scope", flat("scope_not_authorized", ""), signin.CauseTikTokScopes},
		{"person", flat("access_denied", ""), signin.CauseTikTokDenies},
		{"throttled", flat("rate_limit_exceeded", ""), signin.CauseTikTokLimit},
		{"fault", flat("server_error", ""), signin.CauseTikTokFails},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(answering(http.MethodPost, tokenURL, response(200, tt.body))).Exchange(t.Context(), grant)
			if e := signin.AsError(err); e.Cause != tt.want || e.Message != tt.want.Message() || e.Code != tt.want.Code() {
				t.Errorf("got cause %q and message %q; want cause %q", e.Cause, e.Message, tt.want)
			}
		})
	}
}

// Errors of the connection may quote what they choked on.
func TestClient_Exchange_noAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
	}{
		{"quotes the answer", fmt.Errorf("malformed HTTP response %q", echo)},
		{"quotes the request", errors.New("cannot send " + echo)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := answering(http.MethodPost, tokenURL, httpmock.NewErrorResponder(tt.err))
			_, err := newClient(m).Exchange(t.Context(), grant)
			wantVerdict(t, err, verdict{signin.TikTokUnavailable, "token", 0, tiktokAnswer(0, "", "")})
			wantQuiet(t, err)
			wantCalls(t, m, map[string]int{"POST " + tokenURL: 1})
		})
	}
}
