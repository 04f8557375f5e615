package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// The failure rule of a breaker. Half of the answers being bad is no reason to refuse the other half, so only
// failures without one success between them count.
const (
	// failuresInARow open a breaker.
	failuresInARow = 10
	// openFor is how long it refuses until it lets one call through to see.
	openFor = 5 * time.Second
)

// OpenError is returned for a call that was not made, since those before it all failed.
type OpenError struct {
	// RetryAfter is how long it takes until a call is tried again.
	RetryAfter time.Duration
}

// Error implements error.
func (e *OpenError) Error() string { return "not asked: the last calls all failed" }

// BreakerOptions configure a Breaker.
type BreakerOptions struct {
	// Service is the name that Changed is called with.
	Service string
	// Timeout is how long a call may take. A call that its caller gives less than half of it, and cuts
	// off, says nothing about the upstream.
	Timeout time.Duration
	// IsFault tells whether an answer is a failure of the upstream as a whole, which others would meet
	// too. Default: every status from 500.
	IsFault func(*http.Response) bool
	// Changed is called when the state changes between "closed" (as usual), "open" (nothing is sent)
	// and "half-open" (one call finds out). It must not make calls.
	Changed func(service, from, to string)
}

// Breaker is a transport that makes no calls while all of them fail: nobody waits for a time-out then,
// and an upstream that is coming back is not overrun. It recovers by itself. A call that fails is
// never repeated. What counts is whether the whole answer arrives and is no fault, so bodies must be
// read to the end or closed. Safe for concurrent use.
type Breaker struct {
	next    http.RoundTripper
	opts    BreakerOptions
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu    sync.Mutex
	until time.Time // when the next call is let through
}

// NewBreaker returns a transport over next.
func NewBreaker(next http.RoundTripper, opts BreakerOptions) *Breaker {
	if opts.IsFault == nil {
		opts.IsFault = func(resp *http.Response) bool { return resp.StatusCode >= http.StatusInternalServerError }
	}
	if opts.Changed == nil {
		opts.Changed = func(string, string, string) {}
	}
	b := &Breaker{next: next, opts: opts}
	b.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:          opts.Service,
		MaxRequests:   1,
		Timeout:       openFor,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failuresInARow },
		IsExcluded:    func(err error) bool { return errors.Is(err, errNoWord) },
		OnStateChange: b.changed,
	})
	return b
}

// errNoWord ends a call that says nothing about the upstream.
var errNoWord = errors.New("call says nothing about the upstream")

// errFault ends a call whose answer was a fault.
var errFault = errors.New("upstream reports a fault")

func (b *Breaker) changed(service string, from, to gobreaker.State) {
	if to == gobreaker.StateOpen {
		b.mu.Lock()
		b.until = time.Now().Add(openFor)
		b.mu.Unlock()
	}
	b.opts.Changed(service, from.String(), to.String())
}

// RoundTrip implements http.RoundTripper.
func (b *Breaker) RoundTrip(req *http.Request) (*http.Response, error) {
	end, err := b.breaker.Allow()
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, b.open()
	}
	granted := b.granted(req.Context())
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		end(b.judge(granted, err))
		return nil, err
	}
	var fault error
	if b.opts.IsFault(resp) {
		fault = errFault
	}
	resp.Body = &judged{
		ReadCloser: resp.Body, fault: fault, end: end, judge: func(err error) error { return b.judge(granted, err) },
	}
	return resp, nil
}

// granted tells whether a call has time enough for its time-out to be the upstream's fault.
func (b *Breaker) granted(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= b.opts.Timeout/2
}

// judge turns the error of a call into one that the breaker counts, or does not.
func (b *Breaker) judge(granted bool, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !granted {
		return fmt.Errorf("%w: %w", errNoWord, err)
	}
	return err
}

func (b *Breaker) open() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &OpenError{RetryAfter: max(time.Until(b.until), time.Second)}
}

// judged is a body that tells the breaker, once, how the call ended.
type judged struct {
	io.ReadCloser
	fault error // of the answer as such
	judge func(error) error
	end   func(error)
	once  sync.Once
}

// Read implements io.Reader.
func (j *judged) Read(p []byte) (int, error) {
	n, err := j.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		j.once.Do(func() { j.end(j.fault) })
	case err != nil:
		j.once.Do(func() { j.end(j.judge(err)) })
	}
	return n, err
}

// Close implements io.Closer. An answer that is closed before its end was too long for its reader,
// which is between the two of them.
func (j *judged) Close() error {
	j.once.Do(func() { j.end(j.fault) })
	return j.ReadCloser.Close()
}
