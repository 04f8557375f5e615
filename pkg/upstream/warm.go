package upstream

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Bounds of warming. They keep it to six requests a minute, three unless connections are dead.
const (
	// warmFor is how long a connection is trusted after an answer came over it. Servers and the firewalls before
	// them close idle ones after a minute or more.
	warmFor = 20 * time.Second
	// reuseTimeout is how long an open connection may take to answer before it is replaced.
	reuseTimeout = 2 * time.Second
	// dialTimeout is how long a new one may take.
	dialTimeout = 8 * time.Second
	// settle is how long net/http may take to end a request of HTTP/2 that timed out.
	settle = 50 * time.Millisecond
)

// maxWarm is how much of the answer to a warming request is read, so that its connection can be used again.
const maxWarm = 64 << 10

// Warmer is a transport that can open its connection before somebody waits for it: a handshake costs two round
// trips. net/http opens no connection without a request, so Warm sends a cheap one. Safe for concurrent use.
type Warmer struct {
	next    http.RoundTripper
	request *http.Request

	mu   sync.Mutex
	warm time.Time // until then nothing needs to be sent
}

// NewWarmer returns a transport over next. Warm sends request, which has no body and changes nothing.
func NewWarmer(next http.RoundTripper, request *http.Request) *Warmer {
	return &Warmer{next: next, request: request}
}

// RoundTrip implements http.RoundTripper.
func (w *Warmer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err == nil {
		w.mu.Lock()
		w.warm = time.Now().Add(warmFor)
		w.mu.Unlock()
	}
	return resp, err
}

// Warm makes sure that the next call finds a connection that works, unless an answer came a moment ago. Whatever
// the upstream answers will do. It returns when it is done, at the latest after some ten seconds; that it failed is
// for the next call to find out.
func (w *Warmer) Warm(ctx context.Context) {
	if !w.begin() {
		return
	}
	if w.send(ctx, reuseTimeout) == nil || ctx.Err() != nil {
		return
	}
	// The connection may have died without a word. A call would wait for it in vain, so it has to go, as soon as
	// net/http has taken the request off it.
	time.Sleep(settle)
	(&http.Client{Transport: w.next}).CloseIdleConnections()
	_ = w.send(ctx, dialTimeout)
}

// begin reports whether a request is needed. If so, no other is for a while.
func (w *Warmer) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Before(w.warm) {
		return false
	}
	w.warm = now.Add(warmFor)
	return true
}

func (w *Warmer) send(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, _, err := Send(w.next, w.request.Clone(ctx), maxWarm) //nolint:bodyclose // it does
	if resp != nil {
		return nil // it answered
	}
	return err
}
