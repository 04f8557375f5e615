package backend

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Types of messages that are not named by TikTok.
const (
	typeSignIn  = "sign_in"
	typeSession = "session"
	typePing    = "ping"
)

// message is what is signed and sent. Sent again, it keeps its id and its body, so that the receiver can tell.
type message struct {
	id   string
	body []byte
}

// newMessage encodes a message. An empty id is replaced by a random one.
func newMessage(id, kind string, at time.Time, data any) (message, error) {
	if id == "" {
		id = "msg_" + rand.Text()
	}
	body, err := json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      any       `json:"data"`
	}{kind, at.UTC().Truncate(time.Millisecond), data})
	if err != nil {
		return message{}, fmt.Errorf("encode message: %w", err)
	}
	return message{id, body}, nil
}

// CheckSecret says what is wrong with a secret. Every library of Standard Webhooks reads secrets as base64,
// with or without whsec_ in front, so that is the only form; the specification wants 24 bytes or more.
func CheckSecret(secret signin.Secret) error {
	_, err := newSigner(secret)
	return err
}

// minKey is how many bytes a secret must have.
const minKey = 24

func newSigner(secret signin.Secret) (*standardwebhooks.Webhook, error) {
	key, err := decodeSecret(secret.Reveal())
	if err != nil {
		return nil, err
	}
	return standardwebhooks.NewWebhookRaw(key)
}

// endpoint is where messages go.
type endpoint struct {
	url    string
	signer *standardwebhooks.Webhook
	opts   endpointOptions
}

type endpointOptions struct {
	// service is the name of the receiver in logs, metrics and traces.
	service   string
	timeout   time.Duration
	transport http.RoundTripper
	observer  upstream.Observer
	now       func() time.Time
}

func newEndpoint(url string, secret signin.Secret, opts endpointOptions) (*endpoint, error) {
	signer, err := newSigner(secret)
	if err != nil {
		return nil, err
	}
	if opts.transport == nil {
		opts.transport = upstream.NewTransport()
	}
	if opts.observer == nil {
		opts.observer = upstream.Unobserved{}
	}
	if opts.now == nil {
		opts.now = time.Now
	}
	return &endpoint{url: url, signer: signer, opts: opts}, nil
}

// Format keeps the secret out of anything that prints an endpoint.
func (*endpoint) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("backend.endpoint")) }

// answer is what the receiver said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// post sends a message and reads the answer. This is the one place where calls to a backend are timed, counted
// and traced.
func (e *endpoint) post(ctx context.Context, call string, m message, sign bool) (answer, error) {
	defer signin.ReportFrom(ctx).Time(call)()
	ctx, done := e.opts.observer.Begin(ctx, e.opts.service, call)
	ctx, cancel := context.WithTimeout(ctx, e.opts.timeout)
	defer cancel()
	a, err := e.send(ctx, m, sign)
	done(upstream.Result{Status: a.status, Code: a.errorCode(), Err: err})
	return a, err
}

func (e *endpoint) send(ctx context.Context, m message, sign bool) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(m.body))
	if err != nil {
		return answer{}, errors.New("address cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "tikbridge")
	if sign {
		now := e.opts.now()
		signature, err := e.signer.Sign(m.id, now, m.body)
		if err != nil {
			return answer{}, fmt.Errorf("sign message: %w", err)
		}
		req.Header.Set(standardwebhooks.HeaderWebhookID, m.id)
		req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
		req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	resp, body, err := upstream.Send(e.opts.transport, req, maxAnswer) //nolint:bodyclose // it does
	if resp == nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header, body}, err
}

// errorCode is the error in a refusal, if it looks like a code; nothing else of an answer gets into a log.
func (a answer) errorCode() string {
	code, _ := a.refusal()
	return code
}

// refusal reads {"error": "…"}. Some frameworks write an object or a text for people in its place.
func (a answer) refusal() (code string, ok bool) {
	if a.status < http.StatusBadRequest {
		return "", false
	}
	var refused struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(a.body, &refused) != nil || refused.Error == nil || string(refused.Error) == "null" {
		return "", false
	}
	_ = json.Unmarshal(refused.Error, &code)
	return upstream.Code(code), true
}
