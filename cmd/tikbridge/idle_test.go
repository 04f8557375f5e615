package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/test/faulty"
)

// What the bridge sends to open connections.
const (
	warmTikTok   faulty.Call = "/"
	warmSupabase faulty.Call = "/health"
)

const (
	appVerifier = "verifier-of-the-app-0123456789-0123456789-01"
	hostedPath  = "/api/auth/tiktok/"
)

// begin starts the hosted flow and returns the state that comes back from TikTok.
func (w *world) begin() string {
	w.t.Helper()
	challenge := sha256.Sum256([]byte(appVerifier))
	q := url.Values{
		"platform": {"web"}, "redirect_to": {"https://app.example/in"},
		"challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	return w.redirected(hostedPath + "start?" + q.Encode()).Get("state")
}

// finish is what happens after the person agreed: the callback, and redeeming.
func (w *world) finish(state string) {
	w.t.Helper()
	code := w.codeFor("https://signin.example" + hostedPath + "callback")
	q := url.Values{"code": {code}, "state": {state}}
	handoff := w.redirected(hostedPath + "callback?" + q.Encode()).Get("tikbridge_handoff")
	body := fmt.Sprintf(`{"handoff":%q,"verifier":%q}`, handoff, appVerifier)
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, hostedPath+"redeem", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", "https://app.example")
	rec := httptest.NewRecorder()
	w.app.server.ServeHTTP(rec, req)
	var session struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(rec.Body.Bytes(), &session) != nil || session.AccessToken == "" {
		w.t.Fatalf("no session, status %d: %s", rec.Code, rec.Body)
	}
}

// redirected returns the query of where a GET leads to.
func (w *world) redirected(path string) url.Values {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.app.server.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, path, http.NoBody))
	to, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || to.Host == "" {
		w.t.Fatalf("GET %s leads nowhere: status %d, %s", path, rec.Code, rec.Body)
	}
	return to.Query()
}

// TestIdleBridge: however long nobody signed in, the connections of a hosted sign-in are open when the person comes
// back from TikTok. Between sign-ins the bridge lets go of everything.
func TestIdleBridge(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.wantSignedIn("first of all")
		for _, pause := range []time.Duration{30 * time.Second, 10 * time.Minute, 24 * time.Hour} {
			time.Sleep(pause)
			if n := w.network.Open(); n != 0 && pause > time.Minute {
				t.Errorf("%d connections are open after %v without a sign-in", n, pause)
			}
			tiktok, supabase := w.upstream.Seen(warmTikTok), w.upstream.Seen(warmSupabase)
			state := w.begin()
			time.Sleep(2 * time.Second) // the person agrees
			dialled := w.dialled.Load()
			w.finish(state)
			if n := w.dialled.Load() - dialled; n != 0 {
				t.Errorf("after %v without a sign-in, %d connections were opened after the person came back", pause, n)
			}
			w.settle()
			tiktok, supabase = w.upstream.Seen(warmTikTok)-tiktok, w.upstream.Seen(warmSupabase)-supabase
			if tiktok != 1 || supabase != 1 {
				t.Errorf("%d and %d requests to open connections; want one each", tiktok, supabase)
			}
		}
	})
}

// TestIdleBridge_guide: in the guide flow the bridge hears of a sign-in with its code. Supabase's connection is opened
// beside TikTok's answer.
func TestIdleBridge_guide(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.wantSignedIn("first of all")
		time.Sleep(time.Hour)
		var opened int
		w.plan(faulty.Token, kind{fault: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			time.Sleep(150 * time.Millisecond) // TikTok is far
			opened = w.network.Open()
			next.ServeHTTP(rw, r)
		}}, 1)
		w.wantSignedIn("after an hour")
		if opened != 2 {
			t.Errorf("%d connections were open when TikTok answered; want those to TikTok and Supabase", opened)
		}
	})
}

// TestProfileLimit is the minute in which more people sign in than TikTok lets the bridge read profiles of (TikTok
// docs: API Rate Limits: 600 a minute, sliding; status 429 beyond). Nobody notices: a profile is left as it was, and
// follows at a later sign-in.
func TestProfileLimit(t *testing.T) {
	t.Parallel()
	const limit = 600
	inWorld(t, func(w *world) {
		var mu sync.Mutex
		var answered []time.Time
		refused := 0
		w.plan(faulty.UserInfo, kind{fault: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
			mu.Lock()
			defer mu.Unlock()
			if n := len(answered); n >= limit && time.Since(answered[n-limit]) < time.Minute {
				refused++
				rw.Header().Set("Content-Type", "application/json")
				rw.WriteHeader(http.StatusTooManyRequests)
				_, _ = fmt.Fprint(rw, `{"error":{"code":"rate_limit_exceeded","message":"","log_id":"20261128AB"}}`)
				return
			}
			answered = append(answered, time.Now())
			next.ServeHTTP(rw, r)
		}}, -1)
		for n := range limit {
			w.wantSignedIn(fmt.Sprintf("sign-in %d of the minute", n+1))
		}
		w.name = "New Name"
		for n := range 20 {
			w.wantSignedIn(fmt.Sprintf("sign-in %d of the minute", limit+n+1))
		}
		if refused != 20 {
			t.Fatalf("TikTok refused %d profiles; want 20", refused)
		}
		w.settle()
		if w.shown != "Old Name" {
			t.Errorf("the person's name is %q; want it left as it was", w.shown)
		}
		if strings.Contains(w.log.String(), breakerOpened) {
			t.Error("a breaker opened")
		}
		time.Sleep(time.Minute)
		w.wantSignedIn("a minute later")
		w.settle()
		w.wantSignedIn("once more")
		if w.shown != "New Name" {
			t.Errorf("the person's name is %q a minute later; want the new one", w.shown)
		}
	})
}
