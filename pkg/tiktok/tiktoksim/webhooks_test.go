package tiktoksim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// receiver is an address that events are sent to.
type receiver struct {
	url    string
	status chan int // the next answers; 200 when empty
	got    chan hook
	hold   chan struct{} // if set, closing it lets events in
}

type hook struct{ signature, contentType, body string }

func receive(t *testing.T) *receiver {
	t.Helper()
	rec := &receiver{status: make(chan int, 100), got: make(chan hook, 100)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if rec.hold != nil {
			select {
			case <-rec.hold:
			case <-r.Context().Done():
				t.Error("the sender waits for the receiver before it answers others")
			}
		}
		rec.got <- hook{r.Header.Get("Tiktok-Signature"), r.Header.Get("Content-Type"), string(body)}
		select {
		case status := <-rec.status:
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		default:
		}
	}))
	t.Cleanup(srv.Close)
	rec.url = srv.URL + "/hook"
	return rec
}

// wantSigned checks a signature as TikTok's docs say, and when it was made.
func wantSigned(t *testing.T, h hook, at time.Time) {
	t.Helper()
	stamp, signature, _ := strings.Cut(strings.TrimPrefix(h.signature, "t="), ",s=")
	m := hmac.New(sha256.New, []byte(tiktoksim.DefaultClientSecret))
	_, _ = io.WriteString(m, stamp+"."+h.body)
	if want := hex.EncodeToString(m.Sum(nil)); signature != want {
		t.Errorf("got signature %q for %s; want %s", h.signature, h.body, want)
	}
	if want := strconv.FormatInt(at.Unix(), 10); stamp != want {
		t.Errorf("signed at %s; want %s", stamp, want)
	}
}

func (s *sim) hook(url string) {
	s.t.Helper()
	if got := s.postJSON("/sim/webhooks", map[string]string{"url": url}); got.status != 200 {
		s.t.Fatalf("POST /sim/webhooks: %d %s", got.status, got.body)
	}
}

func TestWebhook_send(t *testing.T) {
	tests := []struct {
		name, in, event, content string
		age                      time.Duration
	}{
		{"disconnected", `{"open_id":"-000X"}`, "authorization.removed", `{"reason":1}`, 0},
		{"banned", `{"open_id":"-000X","reason":4}`, "authorization.removed", `{"reason":4}`, 0},
		{
			"another event", `{"event":"video.publish.completed","open_id":"-000X","content":{"share_id":"v<1>"}}`,
			"video.publish.completed", `{"share_id":"v<1>"}`, 0,
		},
		{"no content", `{"event":"portability.download.ready","open_id":"-000X"}`, "portability.download.ready", `{}`, 0},
		{"late", `{"open_id":"-000X","age_seconds":255600}`, "authorization.removed", `{"reason":1}`, 71 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, rec := start(t, tiktoksim.Options{}), receive(t)
			s.hook(rec.url)
			got := s.must(s.request("POST", "/sim/webhooks/send", "application/json", tt.in))
			if got.status != 200 || decode(t, got)["delivered"] != true {
				t.Fatalf("got %d %s; want it delivered", got.status, got.body)
			}
			h := <-rec.got
			at := s.clock.Now().Add(-tt.age)
			wantSigned(t, h, at)
			want := map[string]any{
				"client_key": tiktoksim.DefaultClientKey, "event": tt.event, "user_openid": "-000X",
				"create_time": float64(at.Unix()), "content": tt.content,
			}
			var body map[string]any
			if err := json.Unmarshal([]byte(h.body), &body); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, body); diff != "" || h.contentType != "application/json" {
				t.Errorf("%s (-want +got):\n%s", h.contentType, diff)
			}
		})
	}
}

// TestWebhook_revoke: whoever revokes has an answer before the event comes, and the grant is over.
func TestWebhook_revoke(t *testing.T) {
	for _, fault := range []string{"none", "reset_after"} {
		t.Run(fault, func(t *testing.T) {
			s, rec := start(t, tiktoksim.Options{}), receive(t)
			s.hook(rec.url)
			if fault == "none" {
				rec.hold = make(chan struct{})
			}
			access, refresh := s.tokens(tiktoksim.OpenIDMira)
			s.fault("revoke", fault)
			r := s.request("POST", "/v2/oauth/revoke/", form, credentials("token", access).Encode())
			if got, err := s.do(r); (err == nil) != (fault == "none") || got.body != "" {
				t.Errorf("got %q, %v", got.body, err)
			}
			if rec.hold != nil {
				close(rec.hold)
			}
			h := <-rec.got
			wantSigned(t, h, s.clock.Now())
			if !strings.Contains(h.body, tiktoksim.OpenIDMira) || !strings.Contains(h.body, `"{\"reason\":5}"`) {
				t.Errorf("got %s; want reason 5", h.body)
			}
			wantError(t, s.refresh(refresh), 200, "invalid_grant")
		})
	}
}

// TestWebhook_removedEndsTheGrant: when the event arrives, the tokens are dead and consent is asked again.
func TestWebhook_removedEndsTheGrant(t *testing.T) {
	s, rec := start(t, tiktoksim.Options{}), receive(t)
	s.hook(rec.url)
	q := s.consent(authorizeQuery(), "account", "mira", "decision", "continue")
	tokens := s.token(exchangeOf(q.Get("code")))
	s.postJSON("/sim/webhooks/send", map[string]string{"open_id": tiktoksim.OpenIDMira})
	wantAPIError(t, s.userInfo(field(t, tokens, "access_token"), "open_id"), 401, "access_token_invalid")
	wantError(t, s.refresh(field(t, tokens, "refresh_token")), 200, "invalid_grant")
	if got := s.get("/v2/auth/authorize/?" + authorizeQuery()); got.status != 200 {
		t.Errorf("got %d; want the consent page", got.status)
	}
}

type deliveries struct {
	Deliveries []struct {
		Attempt     int   `json:"attempt"`
		LateSeconds int64 `json:"late_seconds"`
		Statuses    []int `json:"statuses"`
		Delivered   bool  `json:"delivered"`
		GivenUp     bool  `json:"given_up"`
	} `json:"deliveries"`
}

func (s *sim) retry() deliveries {
	s.t.Helper()
	var out deliveries
	if err := json.Unmarshal([]byte(s.postJSON("/sim/webhooks/retry", nil).body), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// TestWebhook_retries: an event comes again, older each time, until it gets a 200.
func TestWebhook_retries(t *testing.T) {
	s, rec := start(t, tiktoksim.Options{}), receive(t)
	s.hook(rec.url)
	for _, status := range []int{500, 302, 204} {
		rec.status <- status
	}
	s.postJSON("/sim/webhooks/send", map[string]string{"open_id": "-000X"})
	first := <-rec.got
	for i, late := range []time.Duration{time.Minute, 3 * time.Minute, 7 * time.Minute} {
		d := s.retry().Deliveries
		if len(d) != 1 || d[0].Attempt != i+2 || d[0].LateSeconds != int64(late.Seconds()) || d[0].Delivered != (i == 2) {
			t.Fatalf("retry %d: got %+v", i+1, d)
		}
		h := <-rec.got
		wantSigned(t, h, s.clock.Now().Add(-late))
		if h.body != first.body {
			t.Errorf("retry %d: got %s; want %s", i+1, h.body, first.body)
		}
	}
	if d := s.retry().Deliveries; len(d) != 0 || s.Webhooks() != 4 {
		t.Errorf("got %+v and %d webhooks; want no more than 4", d, s.Webhooks())
	}
}

// TestWebhook_givesUp: after 72 hours there are no more attempts, and nobody listening is as bad as a 500.
func TestWebhook_givesUp(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	s.hook("http://127.0.0.1:1/hook")
	s.postJSON("/sim/webhooks/send", map[string]string{"open_id": "-000X"})
	attempts := 1
	for {
		d := s.retry().Deliveries
		if len(d) == 0 {
			break
		}
		attempts++
		if late := time.Duration(d[0].LateSeconds) * time.Second; late > 72*time.Hour || d[0].Statuses[0] != 0 {
			t.Fatalf("got attempt %+v", d[0])
		}
	}
	if attempts != 13 { // 2^12 - 1 minutes are 68 hours
		t.Errorf("got %d attempts; want 13", attempts)
	}
}

func TestWebhook_reset(t *testing.T) {
	standing, other := receive(t), receive(t)
	s := start(t, tiktoksim.Options{WebhookURL: standing.url})
	s.hook(other.url)
	other.status <- 500
	s.postJSON("/sim/webhooks/send", map[string]string{"open_id": "-000X"})
	<-other.got
	s.Reset()
	if d := s.retry().Deliveries; len(d) != 0 {
		t.Errorf("got %+v; want nothing to repeat", d)
	}
	s.postJSON("/sim/webhooks/send", map[string]string{"open_id": "-000Y"})
	if h := <-standing.got; !strings.Contains(h.body, "-000Y") {
		t.Errorf("got %s", h.body)
	}
}
