// Package once makes states and handoffs single-use. Both are sealed and live for minutes; a claim on one
// keeps everybody else from using it within that time.
//
// [Memory] keeps the claims of one replica, [Redis] those of all, and [Fallback] uses Redis while it is up
// and memory while it is down: people who cannot sign in while Redis restarts are worse than a token that two
// replicas would accept within its few minutes. All of them pass the tests of oncetest.
package once

import (
	"context"
	"errors"
	"time"
)

// Store keeps claims.
type Store interface {
	// Claim returns true to exactly one caller with this key until ttl is over.
	//
	// After an error the key may or may not be claimed, and the caller must not go on as if it were theirs.
	// The error of a context that is over is that context's; [ErrTTL] is returned for a ttl that is not
	// positive. Keys are any bytes, better short, and no secrets: a store may show them to whoever can look
	// into it.
	Claim(ctx context.Context, key string, ttl time.Duration) (bool, error)
	// Release gives a claim back, so that somebody can claim the key again: what it stood for was not done.
	// Nothing happens if there is none.
	Release(ctx context.Context, key string) error
}

// ErrTTL is returned for a claim that would be over at once.
var ErrTTL = errors.New("a claim needs a ttl above zero")
