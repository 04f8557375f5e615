package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// TestBackend_attacks has an own backend that does what the worst one would. People read that the app does not
// answer, whoever comes next signs in, and nothing that the backend wrote or must not tell gets anywhere.
func TestBackend_attacks(t *testing.T) {
	t.Parallel()
	const redirect, openID = "https://app.example/auth", "-000AbCdEfGhIjKlMnOpQrStUvWxYz012345"
	const key = "canary-key-of-the-messages-32-by"
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(key))
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	write := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	good := write(200, "application/json", `{"access_token":"songbird"}`)
	nested := strings.Repeat("[", 12_000) + strings.Repeat("]", 12_000)

	var handler atomic.Value
	handler.Store(good)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(backend.Close)
	tt := tiktoksim.New(tiktoksim.Options{ClientKey: "awkey", ClientSecret: canaryClientSecret})
	tiktok := httptest.NewServer(tt)
	t.Cleanup(tiktok.Close)
	bridge, out, stop := startServe(t, tiktok.URL,
		"SUPABASE_URL=", "SUPABASE_PUBLISHABLE_KEY=", "SUPABASE_SECRET_KEY=", "TIKBRIDGE_ACCOUNTS=backend",
		"TIKBRIDGE_BACKEND_URL="+backend.URL+"/canary-path?canary=1", "TIKBRIDGE_BACKEND_SECRET="+secret,
		"TIKBRIDGE_BACKEND_TIMEOUT=500ms", "TIKBRIDGE_TIKTOK_RETURN_TOKENS=true",
	)
	exchange := func(t *testing.T) (int, string) {
		t.Helper()
		resp, err := client.Post(bridge+"/api/auth/tiktok-callback", "application/json", bytes.NewReader(
			fmt.Appendf(nil, `{"code":%q,"redirect_uri":%q}`, codeFor(t, tt, openID, redirect), redirect)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for name, attack := range map[string]http.HandlerFunc{
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
		"drips": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, `{"access_token":"canary`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"hangs up":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"garbage":          write(200, "application/json", "canary\x00\xff{{{"),
		"10 MB":            write(200, "application/json", `{"access_token":"`+strings.Repeat("canary", 10<<20/6)+`"}`),
		"redirect":         http.RedirectHandler(other.URL, http.StatusTemporaryRedirect).ServeHTTP,
		"redirect to self": http.RedirectHandler("/canary", http.StatusPermanentRedirect).ServeHTTP,
		"HTML":             write(500, "text/html", "<h1>canary</h1>"),
		"HTML with 200":    write(200, "text/html", "<h1>canary</h1>"),
		"no access_token":  write(200, "application/json", `{"refresh_token":"canary"}`),
		"nested":           write(200, "application/json", `{"access_token":"canary","x":`+nested+`}`),
		"repeats it all": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprintf(w, "canary %s %v", body, r.Header)
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler.Store(attack)
			status, body := exchange(t)
			var failed struct{ Error, Fix string }
			if err := json.Unmarshal([]byte(body), &failed); err != nil || status != http.StatusServiceUnavailable ||
				failed.Error != "backend_unavailable" || strings.Contains(body, "canary") {
				t.Errorf("status %d: %s", status, body)
			}
			handler.Store(good)
			status, body = exchange(t)
			if status != http.StatusOK || !strings.Contains(body, `"access_token":"songbird"`) {
				t.Errorf("the next one gets %d: %s", status, body)
			}
		})
	}
	t.Run("a refusal in words", func(t *testing.T) {
		handler.Store(write(403, "application/json", `{"error":"canary, Mira may not"}`))
		if status, body := exchange(t); status != http.StatusForbidden || !strings.Contains(body, `"sign_in_refused"`) ||
			strings.Contains(body, "canary") {
			t.Errorf("status %d: %s", status, body)
		}
	})
	handler.Store(good)
	stop()
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
	log := out.String()
	for _, hidden := range []string{"canary", "songbird", secret, key, "Sommer", openID} {
		if strings.Contains(log, hidden) {
			t.Errorf("the log has %q:\n%s", hidden, log)
		}
	}
	for _, want := range []string{
		`"accounts":"backend"`, `"upstream":"backend"`, `"fix":"Set backend.url`, `"call":"sign_in"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
}
