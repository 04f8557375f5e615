package tiktoksim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Webhooks of TikTok (TikTok docs: Webhooks Overview, Webhook Events, Check the signature): one POST per
// event, signed with the client secret, repeated until a 200 arrives or 72 hours are over.
const (
	authorizationRemoved = "authorization.removed"
	reasonDisconnected   = 1
	reasonRevoked        = 5 // the last

	webhookTimeout = 10 * time.Second
	retryFor       = 72 * time.Hour
	// firstRetry doubles with each attempt; TikTok says "exponential backoff" and names no number.
	firstRetry = time.Minute
)

// event is a webhook, and how often it was sent.
type event struct {
	id       string
	name     string
	openID   string
	content  json.RawMessage
	created  time.Time
	attempts int
	// late is how long ago TikTok would have made the first attempt.
	late time.Duration
}

// newEvent returns an event that happened age ago.
func (s *Server) newEvent(name, openID string, content json.RawMessage, age time.Duration) *event {
	return &event{
		id: randomHex(8), name: name, openID: openID, content: content, created: s.opts.Now().Add(-age), late: age,
	}
}

func reasonContent(reason int) json.RawMessage { return fmt.Appendf(nil, `{"reason":%d}`, reason) }

// eventBody is the body of a webhook; content is JSON inside a string.
type eventBody struct {
	ClientKey  string `json:"client_key"`
	Event      string `json:"event"`
	CreateTime int64  `json:"create_time"`
	UserOpenID string `json:"user_openid"`
	Content    any    `json:"content"`
}

// shipment is one request to the webhook, before it is sent.
type shipment struct {
	body     eventBody
	raw      []byte // sent instead of body, if any
	secret   string
	signedAt time.Time
	unsigned bool
	altered  bool
	again    time.Duration // what a second request's signature is later by
	twice    bool
}

// webhookFaults are what the faults of the endpoint webhook do.
var webhookFaults = map[string]func(*shipment){
	"wrong_signature":  func(m *shipment) { m.secret = "not-" + m.secret },
	"no_signature":     func(m *shipment) { m.unsigned = true },
	"altered":          func(m *shipment) { m.altered = true },
	"old_signature":    func(m *shipment) { m.signedAt = m.signedAt.Add(-80 * time.Hour) },
	"future_signature": func(m *shipment) { m.signedAt = m.signedAt.Add(time.Hour) },
	"replay":           func(m *shipment) { m.twice = true },
	"duplicate":        func(m *shipment) { m.twice, m.again = true, time.Second },
	"unknown_event":    func(m *shipment) { m.body.Event = "simulator.unknown" },
	"other_client_key": func(m *shipment) { m.body.ClientKey = "another_client_key" },
	"content_object": func(m *shipment) {
		if text, ok := m.body.Content.(string); ok {
			m.body.Content = json.RawMessage(text)
		}
	},
	"event_not_json": func(m *shipment) { m.raw = []byte("an event of the simulator\n") },
}

// delivery is how one attempt went.
type delivery struct {
	ID      string `json:"id"`
	Event   string `json:"event"`
	Attempt int    `json:"attempt"`
	// LateSeconds is how long ago TikTok would have made the first attempt.
	LateSeconds int64 `json:"late_seconds"`
	// Statuses are the answers, two of them after the faults replay and duplicate; 0 is none.
	Statuses []int `json:"statuses"`
	// Delivered is whether TikTok is content; if not, it tries again, unless GivenUp.
	Delivered bool `json:"delivered"`
	GivenUp   bool `json:"given_up"`
}

// setWebhook is POST /sim/webhooks.
func (s *Server) setWebhook(_ *http.Request, body []byte) answer {
	var in struct {
		URL *string `json:"url"`
	}
	if err := decodeStrict(body, &in); err != nil {
		return s.refuse(err.Error())
	}
	if in.URL == nil {
		return s.refuse("url is missing.")
	}
	u, err := url.Parse(*in.URL)
	if *in.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return s.refuse("url must be absolute; TikTok takes https only, the simulator http as well.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.webhook = *in.URL
	return jsonAnswer(http.StatusOK, map[string]string{"url": *in.URL})
}

// sendRequest is the body of POST /sim/webhooks/send.
type sendRequest struct {
	Event      string          `json:"event"`
	OpenID     string          `json:"open_id"`
	Reason     *int            `json:"reason"`
	Content    json.RawMessage `json:"content"`
	AgeSeconds int64           `json:"age_seconds"`
}

// sendWebhook is POST /sim/webhooks/send. When authorization.removed is sent, the tokens are dead already
// (TikTok docs: Webhook Events).
func (s *Server) sendWebhook(r *http.Request, body []byte) answer {
	in := sendRequest{Event: authorizationRemoved}
	if err := decodeStrict(body, &in); err != nil {
		return s.refuse(err.Error())
	}
	if problem := in.problem(); problem != "" {
		return s.refuse(problem)
	}
	if s.webhookURL() == "" {
		return s.refuse("There is no address yet: POST /sim/webhooks sets it.")
	}
	if in.Event == authorizationRemoved {
		s.revokePerson(in.OpenID)
	}
	e := s.newEvent(in.Event, in.OpenID, in.content(), time.Duration(in.AgeSeconds)*time.Second)
	return jsonAnswer(http.StatusOK, s.deliver(r.Context(), e))
}

func (in sendRequest) problem() string {
	const maxAge = 30 * 24 * 60 * 60
	switch {
	case in.OpenID == "":
		return "open_id is missing."
	case in.Reason != nil && (in.Event != authorizationRemoved || in.Content != nil):
		return "reason belongs to " + authorizationRemoved + ", without content."
	case in.Reason != nil && (*in.Reason < 0 || *in.Reason > reasonRevoked):
		return "reason is 0 to 5."
	case in.AgeSeconds < 0 || in.AgeSeconds > maxAge:
		return "age_seconds is 0 to 30 days."
	}
	return ""
}

func (in sendRequest) content() json.RawMessage {
	switch {
	case in.Content != nil:
		return in.Content
	case in.Event != authorizationRemoved:
		return json.RawMessage("{}")
	case in.Reason == nil:
		return reasonContent(reasonDisconnected)
	}
	return reasonContent(*in.Reason)
}

// retryWebhooks is POST /sim/webhooks/retry: the next attempt of every event that got no 200, at once. To be
// as old as TikTok's would be, it is signed as long ago.
func (s *Server) retryWebhooks(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	pending := s.state.pending
	s.state.pending = nil
	s.mu.Unlock()
	deliveries := []delivery{}
	for _, e := range pending {
		e.late += firstRetry << (e.attempts - 1)
		deliveries = append(deliveries, s.deliver(r.Context(), e))
	}
	return jsonAnswer(http.StatusOK, map[string][]delivery{"deliveries": deliveries})
}

func (s *Server) webhookURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.webhook
}

// deliver makes one attempt and keeps the event for a repetition unless it arrived. It goes on when the
// client that brought it about has left.
func (s *Server) deliver(ctx context.Context, e *event) delivery {
	address := s.webhookURL()
	if address == "" {
		return delivery{}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), webhookTimeout)
	defer cancel()
	f, _ := s.arrive(endpointWebhook)
	e.attempts++
	d := delivery{ID: e.id, Event: e.name, Attempt: e.attempts, LateSeconds: int64(e.late.Seconds())}
	d.Statuses = s.ship(ctx, address, s.pack(e, f.name))
	d.Delivered = d.Statuses[0] == http.StatusOK
	d.GivenUp = !d.Delivered && e.late+firstRetry<<(e.attempts-1) > retryFor
	if !d.Delivered && !d.GivenUp {
		s.mu.Lock()
		s.state.pending = append(s.state.pending, e)
		s.mu.Unlock()
	}
	return d
}

// pack makes a shipment of an event, as a fault wants it.
func (s *Server) pack(e *event, fault string) shipment {
	m := shipment{
		body: eventBody{
			ClientKey: s.opts.ClientKey, Event: e.name, CreateTime: e.created.Unix(), UserOpenID: e.openID,
			Content: string(e.content),
		},
		secret:   s.opts.ClientSecret,
		signedAt: s.opts.Now().Add(-e.late),
	}
	if spoil := webhookFaults[fault]; spoil != nil {
		spoil(&m)
	}
	return m
}

// ship sends a shipment and returns the status of each answer, 0 for none.
func (s *Server) ship(ctx context.Context, address string, m shipment) []int {
	body := m.raw
	if body == nil {
		body = bytes.TrimSpace(jsonAnswer(http.StatusOK, m.body).body)
	}
	sent := body
	if m.altered {
		sent = append(slices.Clone(body), ' ')
	}
	statuses := []int{post(ctx, address, sent, m.header(body))}
	if m.twice {
		m.signedAt = m.signedAt.Add(m.again)
		statuses = append(statuses, post(ctx, address, sent, m.header(body)))
	}
	return statuses
}

// header signs a body (TikTok docs: Check the signature).
func (m shipment) header(body []byte) string {
	if m.unsigned {
		return ""
	}
	t := strconv.FormatInt(m.signedAt.Unix(), 10)
	h := hmac.New(sha256.New, []byte(m.secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return "t=" + t + ",s=" + hex.EncodeToString(h.Sum(nil))
}

func post(ctx context.Context, address string, body []byte, signature string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	if signature != "" {
		req.Header.Set("Tiktok-Signature", signature)
	}
	resp, err := webhookTransport.RoundTrip(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode
}

// webhookTransport follows no redirect and keeps no connection: a simulator leaves nothing behind.
var webhookTransport = &http.Transport{DisableKeepAlives: true}
