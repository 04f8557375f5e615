package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"
)

// smallAnswer is how large an answer may be without a place in the budget, in bytes. Ordinary ones have
// some 2 KB.
const smallAnswer = 64 << 10

// ErrBusy is returned for a large answer that found no place in the budget in time.
var ErrBusy = errors.New("too many large answers at once")

// Budget bounds how many bytes of large answers are held at once. An answer that does not fit waits on
// its connection until others are released; small answers never wait. Safe for concurrent use.
type Budget struct {
	free  *semaphore.Weighted
	total int64
}

// NewBudget returns a budget of total bytes. It takes one answer at a time that may be larger.
func NewBudget(total int64) *Budget { return &Budget{semaphore.NewWeighted(total), total} }

// Send is [Send] within the budget. An answer that turns out to be large takes a place for limit bytes;
// release gives it back when the answer, and what was read from it, is no longer held. release is never
// nil and may be called more than once.
func (b *Budget) Send(t http.RoundTripper, req *http.Request, limit int64) (
	resp *http.Response, body []byte, release func(), err error,
) {
	place := min(limit, b.total)
	taken := false
	release = sync.OnceFunc(func() {
		if taken {
			b.free.Release(place)
		}
	})
	take := func() error {
		if err := b.free.Acquire(req.Context(), place); err != nil {
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
		taken = true
		runtime.GC() // what the last ones left would add up
		return nil
	}
	resp, body, err = Send(metered{t, take}, req, limit)
	if err != nil {
		release()
	}
	return resp, body, release, err
}

// metered is a transport that calls take before more than a small answer is read.
type metered struct {
	http.RoundTripper
	take func() error
}

// RoundTrip implements http.RoundTripper.
func (m metered) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := m.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = &meteredBody{resp.Body, m.take, smallAnswer}
	}
	return resp, err
}

type meteredBody struct {
	io.ReadCloser
	take func() error
	left int // until take is called
}

// Read implements io.Reader.
func (b *meteredBody) Read(p []byte) (int, error) {
	if b.take == nil {
		return b.ReadCloser.Read(p)
	}
	if b.left == 0 {
		if err := b.take(); err != nil {
			return 0, err
		}
		b.take = nil
		return b.ReadCloser.Read(p)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
