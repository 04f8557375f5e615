package tiktok

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// WebhookHeader carries the signature of a webhook (TikTok docs: Check the signature).
const WebhookHeader = "Tiktok-Signature"

// EventAuthorizationRemoved is the name of the event that ends a person's grant to the app.
const EventAuthorizationRemoved = "authorization.removed"

// TikTok repeats an event for 72 hours until it gets a 200 (TikTok docs: Webhooks Overview), and does not
// say whether it signs again for that. So a signature counts for as long, and a claim on [Event.Key] is what
// stops replays.
const (
	maxEventAge   = 72*time.Hour + 10*time.Minute
	maxEventAhead = 5 * time.Minute

	// EventTTL is how long a claim on [Event.Key] must last: until the signature counts no more.
	EventTTL = maxEventAge + maxEventAhead
)

// Reason says why a grant is over (TikTok docs: Webhook Events). A number that TikTok adds later is
// ReasonUnknown.
type Reason int

// The reasons, with TikTok's numbers.
const (
	ReasonUnknown Reason = iota
	ReasonDisconnected
	ReasonDeleted
	ReasonAge
	ReasonBanned
	ReasonRevoked
)

var reasonNames = [...]string{"unknown", "disconnected", "deleted", "age", "banned", "revoked"}

// String implements fmt.Stringer: a word for logs and metrics.
func (r Reason) String() string {
	if r < 0 || int(r) >= len(reasonNames) {
		r = ReasonUnknown
	}
	return reasonNames[r]
}

// Event is what TikTok tells by webhook.
type Event struct {
	ClientKey string
	// Name is one of TikTok's, such as authorization.removed or video.publish.completed, or one it adds later.
	Name string
	// CreateTime is when it happened, in whole seconds.
	CreateTime time.Time
	// OpenID is whom it is about. Only an authorization.removed is sure to have it.
	OpenID string
	// Content is the JSON inside the event's content, in compact form; nil if there is none. Text that is no
	// JSON stays a JSON string.
	Content json.RawMessage
	// Reason is that of an authorization.removed.
	Reason Reason
}

// Key is the same for every delivery of one event, whenever and however often it is signed, and different
// for different events. Claim it for [EventTTL].
func (e Event) Key() string {
	h := sha256.New()
	for _, part := range []string{
		e.ClientKey, e.Name, e.OpenID, strconv.FormatInt(e.CreateTime.Unix(), 10), string(e.Content),
	} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return "tiktok_event:" + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// ParseWebhook returns the event in the body of a webhook, if one of the secrets signed it; an empty secret
// signs nothing. The header is that named [WebhookHeader], the body must be as it arrived, and clientKey is
// that of our app. While a client secret is being replaced, pass the new and the old one, since it is also
// the key of the signature. Errors are of the kind [signin.Error].
func ParseWebhook(
	header string, body []byte, clientKey string, secrets []signin.Secret, now time.Time,
) (Event, error) {
	if err := checkSignature(header, body, secrets, now); err != nil {
		return Event{}, err
	}
	e, err := readEvent(body)
	if err == nil && e.ClientKey != clientKey {
		err = errors.New("event is for another client key")
	}
	if err != nil {
		return Event{}, &signin.Error{
			Code: signin.InvalidRequest, Message: "This is not an event for this app.", Err: err,
		}
	}
	return e, nil
}

// checkSignature follows "Check the signature" in TikTok's docs: hex HMAC-SHA256 of time, dot and body.
func checkSignature(header string, body []byte, secrets []signin.Secret, now time.Time) error {
	sentAt, signatures, err := parseSignature(header)
	if err != nil {
		return webhookError(signin.CauseWebhookSignature, err)
	}
	if !anySigned(sentAt, body, signatures, secrets) {
		return webhookError(signin.CauseWebhookSignature, errors.New("no secret of ours made the signature"))
	}
	seconds, err := strconv.ParseInt(sentAt, 10, 64)
	if err != nil {
		return webhookError(signin.CauseWebhookTime, errors.New("signature has no time"))
	}
	at := time.Unix(seconds, 0)
	if at.Before(now.Add(-maxEventAge)) || at.After(now.Add(maxEventAhead)) {
		return webhookError(signin.CauseWebhookTime, fmt.Errorf("signed at %s", at.UTC().Format(time.RFC3339)))
	}
	return nil
}

func webhookError(because signin.Cause, err error) error {
	e := signin.NewError(because)
	e.Err = err
	return e
}

// parseSignature splits "t=1633174587,s=18494715…". A second s is the place for a second key, so any one will
// do; a second t has no meaning.
func parseSignature(header string) (sentAt string, signatures [][]byte, err error) {
	const maxHeader = 1024
	if len(header) > maxHeader {
		return "", nil, errors.New("signature is too long")
	}
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if sentAt != "" {
				return "", nil, errors.New("signature has two times")
			}
			sentAt = value
		case "s":
			if mac, err := hex.DecodeString(value); err == nil && len(mac) == sha256.Size {
				signatures = append(signatures, mac)
			}
		}
	}
	if sentAt == "" || len(signatures) == 0 {
		return "", nil, errors.New("signature is missing or has another form")
	}
	return sentAt, signatures, nil
}

func anySigned(sentAt string, body []byte, signatures [][]byte, secrets []signin.Secret) bool {
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		h := hmac.New(sha256.New, []byte(secret.Reveal()))
		h.Write([]byte(sentAt + "."))
		h.Write(body)
		want := h.Sum(nil)
		for _, mac := range signatures {
			if hmac.Equal(mac, want) {
				return true
			}
		}
	}
	return false
}

// readEvent reads the body (TikTok docs: Webhook Events). What it does not need may be missing.
func readEvent(body []byte) (Event, error) {
	var r reply
	if json.Unmarshal(body, &r) != nil {
		return Event{}, errors.New("body is not a JSON object")
	}
	at, err := strconv.ParseInt(r.code("create_time"), 10, 64)
	if err != nil {
		return Event{}, errors.New("create_time is not a number")
	}
	e := Event{
		ClientKey:  r.text("client_key"),
		Name:       r.text("event"),
		CreateTime: time.Unix(at, 0),
		OpenID:     r.text("user_openid"),
		Content:    r.content(),
	}
	removed := e.Name == EventAuthorizationRemoved
	switch {
	case e.Name == "":
		return Event{}, errors.New("event has no name")
	case (removed || e.OpenID != "") && !signin.IsOpenID(e.OpenID):
		return Event{}, errors.New("user_openid is missing or has broken or control characters")
	}
	if removed {
		e.Reason = reasonIn(e.Content)
	}
	return e, nil
}

// content returns the JSON in the string content; TikTok's other APIs would nest it, so that is read as well.
func (r reply) content() json.RawMessage {
	raw := r["content"]
	if inner := []byte(r.text("content")); json.Valid(inner) {
		raw = inner
	}
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return nil
	}
	switch out.String() {
	case "null", `""`:
		return nil
	}
	return out.Bytes()
}

func reasonIn(content json.RawMessage) Reason {
	var r reply
	_ = json.Unmarshal(content, &r) // nothing in it: unknown
	n, err := strconv.Atoi(r.code("reason"))
	if err != nil || n < 0 || n >= len(reasonNames) {
		return ReasonUnknown
	}
	return Reason(n)
}
