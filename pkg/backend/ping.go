package backend

import (
	"context"
	"errors"
	"net/http"
)

// Ping asks whether the backend is there and accepts the signature.
func (c *Client) Ping(ctx context.Context) error { return c.endpoint.ping(ctx) }

// CheckSignature returns ErrUnsigned if anybody can send the backend messages, and so become anybody.
func (c *Client) CheckSignature(ctx context.Context) error { return c.endpoint.checkSignature(ctx) }

// Ping asks whether the receiver is there and accepts the signature.
func (n *Notifier) Ping(ctx context.Context) error { return n.endpoint.ping(ctx) }

// CheckSignature returns ErrUnsigned if anybody can send the receiver events.
func (n *Notifier) CheckSignature(ctx context.Context) error { return n.endpoint.checkSignature(ctx) }

// ErrUnsigned says that a backend takes messages that nobody signed.
var ErrUnsigned = errors.New("messages without a signature are accepted")

// ping returns nil if the receiver takes a signed ping, or refuses it for another reason than its signature: it
// need not know pings.
func (e *endpoint) ping(ctx context.Context) error {
	a, err := e.tryPing(ctx, true)
	return e.judge(typePing, a, err)
}

func (e *endpoint) checkSignature(ctx context.Context) error {
	a, err := e.tryPing(ctx, false)
	if err == nil && a.status < http.StatusMultipleChoices {
		return ErrUnsigned
	}
	return nil
}

func (e *endpoint) tryPing(ctx context.Context, sign bool) (answer, error) {
	m, err := newMessage("", typePing, e.opts.now(), struct{}{})
	if err != nil {
		return answer{}, err
	}
	return e.post(ctx, typePing, m, sign)
}
