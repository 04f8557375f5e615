// Package once answers one question: is this seen for the first time? A state and a handoff are
// sealed and live for minutes; their mark here makes them single use within that time.
//
// [Memory] keeps the marks of one replica, [Redis] those of all, and [Degrading] is Redis with memory
// to fall back on, because people who cannot sign in while Redis restarts are worse than a token that
// two replicas would take within its few minutes. All of them pass the tests of oncetest.
package once

import (
	"context"
	"errors"
	"time"
)

// Store tells whether a key is seen for the first time. Over all callers exactly one gets true until
// ttl is over.
//
// After an error the key may or may not be marked, and the caller must not go on as if it were the
// first. The error of a context that is over is that context's; [ErrTTL] is returned for a ttl that
// is not positive. Keys are any bytes, better short, and no secrets: a store may show them to whoever
// can look into it.
type Store interface {
	First(ctx context.Context, key string, ttl time.Duration) (bool, error)
}

// ErrTTL is returned for a mark that would be gone at once.
var ErrTTL = errors.New("a mark needs a ttl above zero")

// check is what every store does before anything else.
func check(ctx context.Context, ttl time.Duration) error {
	if ttl <= 0 {
		return ErrTTL
	}
	return over(ctx)
}

// over returns the error of a context that is over. A read that ends at the deadline of the context
// may be back before the timer of the context fires, so the clock counts too.
func over(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}
