package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestPanics(t *testing.T) {
	t.Parallel()
	tests := map[string]func(){
		"text":         func() { panic("panic-value") },
		"error":        func() { panic(errors.New("panic-value")) },
		"domain error": func() { panic(&signin.Error{Code: signin.AccessDenied, Message: "panic-value"}) },
		"runtime": func() {
			list := signin.Codes()
			_ = list[len(list)]
		},
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{exchange: func(_ context.Context, g signin.Grant) (signin.Identity, error) {
				if g.CodeVerifier == "" {
					fail()
				}
				return signin.Identity{OpenID: "-000open"}, nil
			}})
			resp := b.post(t, goodBody, "Origin", appOrigin)
			wantGrant(t, resp, appOrigin, true)
			description := wantError(t, resp, http.StatusInternalServerError, signin.Internal)
			for _, part := range []string{"panic", "goroutine", ".go", "out of range"} {
				if strings.Contains(description, part) {
					t.Errorf("error_description is %q; want nothing about the panic", description)
				}
			}
			line := b.log.last(t)
			cause, _ := line["cause"].(string)
			if line["level"] != "ERROR" || line["error"] != "internal" || !strings.HasPrefix(cause, "panic: ") ||
				!strings.Contains(cause, "requestlog_test.go") {
				t.Errorf("log is %v; want an error with the panic and where it was", line)
			}
			wantStatus(
				t, b.post(t, `{"code":"x","redirect_uri":"https://app.example/auth","code_verifier":"v"}`),
				http.StatusOK,
			)
		})
	}
}

func keysOf(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	plain := []string{"duration_ms", "level", "method", "msg", "request_id", "route", "status", "time"}
	with := func(more ...string) []string {
		all := append(slices.Clone(plain), more...)
		slices.Sort(all)
		return all
	}
	tests := []struct {
		name, method, target, body string
		want                       map[string]any // part of the line
		keys                       []string
	}{
		{
			"session", "POST", exchangePath, goodBody,
			map[string]any{
				"level": "INFO", "msg": "request", "method": "POST", "route": exchangePath, "status": 200.0,
				"flow": "guide", "step": "exchange", "outcome": "signed_in", "user_id": userID,
			},
			with("flow", "step", "outcome", "user_id", "calls_ms"),
		},
		{
			"other path", "POST", functionPath, goodBody,
			map[string]any{"level": "INFO", "route": functionPath, "status": 200.0},
			with("flow", "step", "outcome", "user_id", "calls_ms"),
		},
		{
			"refused", "POST", exchangePath, "{}",
			map[string]any{"level": "INFO", "status": 400.0, "flow": "guide", "error": "invalid_request"},
			with("flow", "step", "error"),
		},
		{
			"no JSON", "POST", exchangePath, "{",
			map[string]any{"level": "INFO", "status": 400.0, "flow": "guide", "error": "invalid_request"},
			with("flow", "step", "error"),
		},
		{
			"page", "GET", "/auth?code=x", "",
			map[string]any{"level": "INFO", "method": "GET", "route": "/auth", "status": 200.0},
			plain,
		},
		{
			"preflight", "OPTIONS", exchangePath, "",
			map[string]any{"level": "INFO", "method": "OPTIONS", "route": exchangePath, "status": 204.0},
			plain,
		},
		{
			"no route", "GET", "/wp-login.php", "",
			map[string]any{"level": "INFO", "route": "(none)", "status": 404.0, "error": "invalid_request"},
			with("error"),
		},
		{
			"no method", "BREW", exchangePath, "",
			map[string]any{"level": "INFO", "method": "(other)", "status": 405.0, "error": "invalid_request"},
			with("error"),
		},
		{"alive", "GET", "/healthz", "", map[string]any{"level": "DEBUG", "route": "/healthz", "status": 200.0}, plain},
		{"ready", "GET", "/readyz", "", map[string]any{"level": "DEBUG", "route": "/readyz", "status": 200.0}, plain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{})
			_ = b.do(t, tt.method, tt.target, tt.body)
			line := b.log.last(t)
			if diff := cmp.Diff(tt.keys, keysOf(line)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			for key, want := range tt.want {
				if line[key] != want {
					t.Errorf("%s is %v; want %v", key, line[key], want)
				}
			}
			if lines := strings.Count(b.log.String(), "\n"); lines != 1 {
				t.Errorf("the request left %d lines; want 1:\n%s", lines, b.log)
			}
		})
	}
}

func TestRequestLog_duration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) {
			time.Sleep(1234567 * time.Microsecond)
			return signin.Identity{OpenID: "-000open"}, nil
		}})
		_ = b.post(t, goodBody)
		line := b.log.last(t)
		if got := line["duration_ms"]; got != 1234.57 {
			t.Errorf("duration_ms is %v; want 1234.57", got)
		}
		calls, _ := line["calls_ms"].(map[string]any)
		if got := calls["token"]; got != 1234.57 {
			t.Errorf("calls_ms.token is %v; want 1234.57", got)
		}
	})
}

// TestRequestLog_upstream: the line of a sign-in that failed says where, and what TikTok's or Supabase's
// support asks for.
func TestRequestLog_upstream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		p    people
		want map[string]any
	}{
		{
			"TikTok", failing(&signin.Error{
				Code: signin.InvalidGrant, Call: "token",
				Upstream: signin.Upstream{Service: "tiktok", Status: 400, Code: "invalid_grant", LogID: "2026112508"},
				Err:      errors.New("code is expired"),
			}),
			map[string]any{
				"level": "INFO", "msg": "request", "method": "POST", "route": exchangePath, "status": 400.0,
				"flow": "guide", "step": "exchange",
				"error": "invalid_grant", "call": "token", "upstream": "tiktok", "upstream_status": 400.0,
				"upstream_code": "invalid_grant",
				"tiktok_log_id": "2026112508", "cause": "code is expired",
			},
		},
		{
			"Supabase",
			people{signIn: func(ctx context.Context, _ netip.Addr) (signin.SignedIn, error) {
				signin.ReportFrom(ctx).SetUser(userID)
				return signin.SignedIn{}, &signin.Error{
					Code: signin.SupabaseUnavailable, Call: "verify",
					Upstream: signin.Upstream{Service: "supabase", Status: 503, Code: "unexpected_failure"},
				}
			}},
			map[string]any{
				"level": "ERROR", "msg": "request", "method": "POST", "route": exchangePath, "status": 503.0,
				"flow": "guide", "step": "exchange",
				"error": "supabase_unavailable", "call": "verify", "upstream": "supabase", "upstream_status": 503.0,
				"upstream_code": "unexpected_failure", "user_id": userID,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, tt.p)
			_ = b.post(t, goodBody)
			line := b.log.last(t)
			if _, ok := line["calls_ms"].(map[string]any)["token"]; !ok {
				t.Errorf("calls_ms is %v; want the time of the exchange", line["calls_ms"])
			}
			for _, key := range []string{"time", "duration_ms", "request_id", "calls_ms"} {
				delete(line, key)
			}
			if diff := cmp.Diff(tt.want, line); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRequestLog_foreign puts a word wherever a client can write, and looks for it in the log.
func TestRequestLog_foreign(t *testing.T) {
	t.Parallel()
	const word = "XYZZY"
	b := newBridge(t, people{})
	bodies := []string{
		goodBody, word, `"` + word + `"`, `{"` + word + `":1}`, `{"code":{"` + word + `":1}}`,
		`{"code":"` + word + `"}`,
		`{"code":"` + word + `","redirect_uri":"https://app.example/` + word + `"}`,
		`{"code":"` + word + `","redirect_uri":"https://app.example/auth","state":"u|` + word + `"}`,
		`{"code":"` + word + `","redirect_uri":"https://app.example/auth","code_verifier":"` + word + `"}`,
	}
	for _, body := range bodies {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", word} {
			for _, target := range []string{
				exchangePath + "?code=" + word, functionPath + "?" + word, "/" + word,
				"/auth?code=" + word + "&state=" + word,
				"/sdk/" + word, "/native-callback.html?" + word, "/%58YZZY/" + word, exchangePath + "/" + word,
				"http://" + word + "/readyz",
			} {
				for _, origin := range []string{"", "https://" + word + "/"} { // no origin has a path; see TestRefusedOrigin
					req := httptest.NewRequest(method, target, strings.NewReader(body))
					req.Host = word
					if origin != "" {
						req.Header.Set("Origin", origin)
					}
					for _, name := range []string{
						"User-Agent", "Referer", "Cookie", "Authorization", "Apikey", "X-Forwarded-For", "X-Request-Id",
						"Traceparent", "Accept", "Content-Type", word,
					} {
						req.Header.Set(name, word+"12345678")
					}
					_ = b.serve(req)
				}
			}
		}
	}
	for _, line := range strings.Split(b.log.String(), "\n") {
		if strings.Contains(strings.ToUpper(line), word) {
			t.Errorf("the log holds what a client wrote: %s", line)
		}
	}
}
