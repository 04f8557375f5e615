package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Health knows whether the server is up, from the calls that go through [Health.Do]. It logs each change
// once. Safe for concurrent use.
type Health struct {
	log      *slog.Logger
	breaker  *gobreaker.TwoStepCircuitBreaker[struct{}]
	failures atomic.Int64

	mu    sync.Mutex
	since time.Time // zero while the server is up
}

// NewHealth returns the health of a server that is taken to be up.
func NewHealth(log *slog.Logger) *Health {
	return &Health{log: log, breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        "redis",
		ReadyToTrip: func(gobreaker.Counts) bool { return true },
		// The next call finds out whether the server is back: one call at a time, so that a server that
		// hangs holds up one person and no others.
		Timeout:     time.Nanosecond,
		MaxRequests: 1,
		IsExcluded:  func(err error) bool { return errors.Is(err, errInconclusive) },
	})}
}

// errInconclusive ends a call that says nothing about the server.
var errInconclusive = errors.New("call says nothing about the server")

// Do runs call, which asks the server. It returns false if the call failed, or was not made because the
// server is down and another call is finding out whether it is back: then the caller goes on without Redis.
// The only errors are those of a context that is over.
//
// A caller who has gone says nothing about the server, and neither does [ErrScript] or a call that began
// before the last change.
func (h *Health) Do(ctx context.Context, call func() error) (done bool, err error) {
	end, _ := h.breaker.Allow()
	if end == nil { // refused
		return false, nil
	}
	failure := call()
	if failure != nil {
		if over := contextError(ctx); over != nil {
			end(errInconclusive)
			return false, over
		}
		if errors.Is(failure, ErrScript) {
			end(errInconclusive)
			return false, nil
		}
		h.failures.Add(1)
	}
	h.learn(ctx, end, failure)
	return failure == nil, nil
}

// learn ends a call with its outcome, and logs it if that changes whether the server is up.
func (h *Health) learn(ctx context.Context, end func(error), failure error) {
	h.mu.Lock()
	end(failure)
	since, up := h.since, h.breaker.State() == gobreaker.StateClosed
	switch {
	case up:
		h.since = time.Time{}
	case since.IsZero():
		h.since = time.Now()
	}
	h.mu.Unlock()
	// Logging may be slow, and nobody should wait for it.
	switch {
	case !up && since.IsZero():
		h.log.WarnContext(ctx, "Redis is down: single use and rate limits hold per replica until it is back",
			slog.String("cause", failure.Error()))
	case up && !since.IsZero():
		h.log.InfoContext(ctx, "Redis is back: single use and rate limits hold across replicas again",
			slog.Duration("down_for", time.Since(since)))
	}
}

// Down returns since when the server has been down; false while it is up.
func (h *Health) Down() (since time.Time, down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since, !h.since.IsZero()
}

// Failures returns how many calls failed.
func (h *Health) Failures() int64 { return h.failures.Load() }
