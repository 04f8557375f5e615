package tiktok_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
)

const (
	webhookKey = "bwo2m45353a6k85"
	oldSecret  = "canary-old-secret"
	removed    = `{"client_key":"` + webhookKey + `","event":"authorization.removed","create_time":1764331200,` +
		`"user_openid":"` + openID + `","content":"{\"reason\": 1 }"}`
)

var (
	webhookNow = time.Unix(1764331230, 0)
	webhooks   = []signin.Secret{secret, oldSecret}
)

// mac signs body as TikTok does.
func mac(key string, at time.Time, body string) string {
	h := hmac.New(sha256.New, []byte(key))
	_, _ = fmt.Fprintf(h, "%d.%s", at.Unix(), body)
	return hex.EncodeToString(h.Sum(nil))
}

func signed(key string, at time.Time, body string) string {
	return fmt.Sprintf("t=%d,s=%s", at.Unix(), mac(key, at, body))
}

func TestParseWebhook(t *testing.T) {
	t.Parallel()
	event := func(pairs ...string) string {
		m := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(removed), &m); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = json.RawMessage(pairs[i+1])
			if pairs[i+1] == "" {
				delete(m, pairs[i])
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := func(edit func(*tiktok.Event)) tiktok.Event {
		e := tiktok.Event{
			ClientKey: webhookKey, Name: tiktok.EventAuthorizationRemoved, OpenID: openID,
			CreateTime: time.Unix(1764331200, 0), Content: json.RawMessage(`{"reason":1}`), Reason: tiktok.ReasonDisconnected,
		}
		edit(&e)
		return e
	}
	reason := func(content string, r tiktok.Reason) tiktok.Event {
		return want(func(e *tiktok.Event) {
			e.Content, e.Reason = json.RawMessage(content), r
			if content == "" {
				e.Content = nil
			}
		})
	}
	other := func(name, id, content string) tiktok.Event {
		return want(func(e *tiktok.Event) {
			e.Name, e.OpenID, e.Content, e.Reason = name, id, json.RawMessage(content), 0
		})
	}
	tests := []struct {
		name, body string
		want       tiktok.Event
	}{
		{"TikTok's sample", removed, want(func(*tiktok.Event) {})},
		{"developer revoked", event("content", `"{\"reason\":5}"`), reason(`{"reason":5}`, tiktok.ReasonRevoked)},
		{"reason as text", event("content", `"{\"reason\":\"2\"}"`), reason(`{"reason":"2"}`, tiktok.ReasonDeleted)},
		{"reason of tomorrow", event("content", `"{\"reason\":6}"`), reason(`{"reason":6}`, tiktok.ReasonUnknown)},
		{"negative reason", event("content", `"{\"reason\":-1}"`), reason(`{"reason":-1}`, tiktok.ReasonUnknown)},
		{"content is an object", event("content", `{"reason":4}`), reason(`{"reason":4}`, tiktok.ReasonBanned)},
		{"content is text", event("content", `"banned"`), reason(`"banned"`, tiktok.ReasonUnknown)},
		{"content is a list", event("content", `"[4]"`), reason(`[4]`, tiktok.ReasonUnknown)},
		{"content is null", event("content", `null`), reason(``, tiktok.ReasonUnknown)},
		{"content is empty", event("content", `""`), reason(``, tiktok.ReasonUnknown)},
		{"no content", event("content", ``), reason(``, tiktok.ReasonUnknown)},
		{"time as text", event("create_time", `"1764331200"`), want(func(*tiktok.Event) {})},
		{
			"another event", event("event", `"video.publish.completed"`, "content", `"{\"share_id\":\"v\"}"`),
			other("video.publish.completed", openID, `{"share_id":"v"}`),
		},
		{
			"an event about nobody", event("event", `"app.reviewed"`, "user_openid", ``),
			other("app.reviewed", "", `{"reason":1}`),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := signed(secret, webhookNow, tt.body)
			got, err := tiktok.ParseWebhook(header, []byte(tt.body), webhookKey, webhooks, webhookNow)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
	for name, body := range map[string]string{
		"no JSON": "canary", "a list": "[]", "nothing": "", "null": "null",
		"no time": event("create_time", ""), "time in words": event("create_time", `"today"`),
		"no name": event("event", ""), "no open_id": event("user_openid", ""),
		"open_id is a number": event("user_openid", "7"), "half a character": event("user_openid", `"-000\ud83d"`),
		"another app": event("client_key", `"another"`), "no app": event("client_key", ""),
		"another app, ours in capitals": event("client_key", `"another"`, "CLIENT_KEY", `"`+webhookKey+`"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := signed(secret, webhookNow, body)
			_, err := tiktok.ParseWebhook(header, []byte(body), webhookKey, webhooks, webhookNow)
			if signin.CodeOf(err) != signin.InvalidRequest {
				t.Errorf("got %v; want %s", err, signin.InvalidRequest)
			}
			wantQuiet(t, err)
		})
	}
}

func TestParseWebhook_signature(t *testing.T) {
	t.Parallel()
	const bad, late = signin.CauseWebhookSignature, signin.CauseWebhookTime
	ago := func(d time.Duration) string { return signed(secret, webhookNow.Add(-d), removed) }
	good := ago(0)
	tests := []struct {
		name   string
		header string
		want   signin.Cause // empty: accepted
	}{
		{"new secret", good, ""},
		{"old secret", signed(oldSecret, webhookNow, removed), ""},
		{"blanks", strings.Replace(good, ",", " , ", 1), ""},
		{"other order", "s=" + mac(secret, webhookNow, removed) + fmt.Sprintf(",t=%d", webhookNow.Unix()), ""},
		{"a member of tomorrow", good + ",v=2", ""},
		{"two signatures", good + ",s=" + mac("another", webhookNow, removed), ""},
		{"72 hours old", ago(72 * time.Hour), ""},
		{"a clock that runs ahead", ago(-4 * time.Minute), ""},

		{"73 hours old", ago(73 * time.Hour), late},
		{"from the future", ago(-6 * time.Minute), late},
		{"from far away", signed(secret, time.Unix(1<<62, 0), removed), late},
		{"no header", "", bad},
		{"words", "canary", bad},
		{"no time", "s=" + mac(secret, webhookNow, removed), bad},
		{"no signature", fmt.Sprintf("t=%d", webhookNow.Unix()), bad},
		{"empty signature", fmt.Sprintf("t=%d,s=", webhookNow.Unix()), bad},
		{"short signature", good[:len(good)-2], bad},
		{"another secret", signed("another", webhookNow, removed), bad},
		{"the empty secret", signed("", webhookNow, removed), bad},
		{"another body", signed(secret, webhookNow, removed+" "), bad},
		{"another time", strings.Replace(good, "t=1", "t=2", 1), bad},
		{"a second time", good + ",t=1", bad},
		{"too long", good + "," + strings.Repeat("s=0,", 1000), bad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			secrets := append([]signin.Secret{""}, webhooks...)
			_, err := tiktok.ParseWebhook(tt.header, []byte(removed), webhookKey, secrets, webhookNow)
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v; want the event", err)
				}
				return
			}
			var e *signin.Error
			if !errors.As(err, &e) || e.Cause != tt.want {
				t.Errorf("got %v; want %s", err, tt.want)
			}
			wantQuiet(t, err)
		})
	}
	if _, err := tiktok.ParseWebhook(good, []byte(removed), webhookKey, nil, webhookNow); err == nil {
		t.Error("an event was accepted without a secret")
	}
}

// One event has one key, whenever it is signed and however its JSON is spaced; others have others.
func TestEvent_Key(t *testing.T) {
	t.Parallel()
	key := func(body string, at time.Time) string {
		t.Helper()
		e, err := tiktok.ParseWebhook(signed(secret, at, body), []byte(body), webhookKey, webhooks, webhookNow)
		if err != nil {
			t.Fatal(err)
		}
		return e.Key()
	}
	first := key(removed, webhookNow)
	if strings.Contains(first, openID) || len(first) > 64 {
		t.Errorf("got %s; want a short key that names nobody", first)
	}
	if again := key(removed, webhookNow.Add(-71*time.Hour)); again != first {
		t.Errorf("signed at another time it is %s; want %s", again, first)
	}
	if spaced := key(strings.Replace(removed, `\"reason\": 1 `, `\"reason\":1`, 1), webhookNow); spaced != first {
		t.Errorf("with other spaces it is %s; want %s", spaced, first)
	}
	seen := map[string]string{first: "the first"}
	for name, r := range map[string]*strings.Replacer{
		"person":        strings.NewReplacer("hXui", "hxui"),
		"event":         strings.NewReplacer("authorization.removed", "video.upload.failed"),
		"time":          strings.NewReplacer("1764331200", "1764331201"),
		"content":       strings.NewReplacer(`\"reason\": 1`, `\"reason\": 2`),
		"parts shifted": strings.NewReplacer(`.removed`, "", `"`+openID, `".removed`+openID),
	} {
		k := key(r.Replace(removed), webhookNow)
		if other, ok := seen[k]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[k] = name
	}
}

func TestReason_String(t *testing.T) {
	t.Parallel()
	var got []string
	for r := range tiktok.Reason(8) {
		got = append(got, (r - 1).String())
	}
	want := []string{"unknown", "unknown", "disconnected", "deleted", "age", "banned", "revoked", "unknown"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// FuzzWebhook: nothing unsigned is an event, and what is signed is read without surprises.
func FuzzWebhook(f *testing.F) {
	good := signed(secret, webhookNow, removed)
	for _, body := range []string{
		removed, "", "{}", "null", "[]", `{"event":7}`, strings.Replace(removed, `"{\"reason\": 1 }"`, `{"reason":[]}`, 1),
		strings.Replace(removed, openID, `\ud83d`, 1), strings.Repeat("[", 20_000),
	} {
		for _, header := range []string{good, "", "t=,s=", "t=1,t=2", "s=" + good, good + good, "=,=,"} {
			f.Add(header, body)
		}
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		own := signed(secret, webhookNow, body)
		_, err := tiktok.ParseWebhook(header, []byte(body), webhookKey, webhooks, webhookNow)
		if err == nil && !strings.Contains(header, mac(secret, webhookNow, body)) && (header != good || body != removed) {
			t.Errorf("%q signs %q", header, body)
		}
		e, err := tiktok.ParseWebhook(own, []byte(body), webhookKey, webhooks, webhookNow)
		if err != nil {
			if signin.CodeOf(err) != signin.InvalidRequest {
				t.Errorf("%q: got %v; want %s", body, err, signin.InvalidRequest)
			}
			return
		}
		switch {
		case e.Name == "" || e.ClientKey != webhookKey:
			t.Errorf("%q is %+v", body, e)
		case e.OpenID != "" && !signin.IsOpenID(e.OpenID):
			t.Errorf("%q is about %q", body, e.OpenID)
		case e.Content != nil && !json.Valid(e.Content):
			t.Errorf("%q has the content %q", body, e.Content)
		case e.Reason != 0 && e.Name != tiktok.EventAuthorizationRemoved:
			t.Errorf("%q has a reason", body)
		}
	})
}
