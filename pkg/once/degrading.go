package once

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Degrading uses one store that all replicas share, and one of its own while the shared one fails:
// sign-ins go on, and single use holds per replica only. It logs the change to and from this state
// once each. Whatever else uses the server of the shared one asks through [Degrading.Do]. Safe for
// concurrent use.
type Degrading struct {
	primary, fallback Store
	log               *slog.Logger

	mu       sync.Mutex
	since    time.Time // zero while primary works
	failures int64
	probing  bool // while degraded: a call is finding out whether primary is back
	epoch    int  // how often primary came back
}

// NewDegrading returns a store over primary, usually a [Redis], and fallback, usually a [Memory].
// Closing either is the caller's.
func NewDegrading(primary, fallback Store, log *slog.Logger) *Degrading {
	return &Degrading{primary: primary, fallback: fallback, log: log}
}

// First implements [Store]. Every mark is made in the fallback first and then in primary, so what was
// marked while primary was down stays marked on this replica when it is back.
//
// While primary is down one call at a time finds out whether it is back; the others do not wait for
// that. A caller that has gone says nothing about primary, and neither does a deadline of the caller
// that is shorter than the time-outs of primary.
func (d *Degrading) First(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if err := check(ctx, ttl); err != nil {
		return false, err
	}
	if first, err := d.fallback.First(ctx, key, ttl); err != nil || !first {
		return false, err
	}
	var first bool
	asked, err := d.Do(ctx, func() (err error) {
		first, err = d.primary.First(ctx, key, ttl)
		return err
	})
	return err == nil && (first || !asked), err
}

// Do calls f, which asks what is behind primary, unless that is down and somebody else is finding out
// whether it is back. It returns false where f was not called or failed: then the caller goes on
// without. The only errors are those of a context that is over.
func (d *Degrading) Do(ctx context.Context, f func() error) (asked bool, err error) {
	a, ok := d.enter()
	if !ok {
		return false, nil
	}
	err = f()
	if err == nil {
		d.succeeded(ctx, a)
		return true, nil
	}
	if gone := over(ctx); gone != nil {
		d.leave(a)
		return false, gone
	}
	if errors.Is(err, ErrScript) { // that says nothing about marks
		d.leave(a)
		return false, nil
	}
	d.failed(ctx, a, err)
	return false, nil
}

// Degraded tells whether the last word of primary was a failure, and since when.
func (d *Degrading) Degraded() (since time.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.since, !d.since.IsZero()
}

// Failures returns how many calls of primary failed.
func (d *Degrading) Failures() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failures
}

// attempt is one call of primary.
type attempt struct {
	epoch int  // of its begin
	probe bool // it finds out whether primary is back
}

// enter tells whether this call shall ask primary. Each attempt ends by succeeded, failed or leave.
func (d *Degrading) enter() (a attempt, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a = attempt{epoch: d.epoch, probe: !d.since.IsZero()}
	if a.probe && d.probing {
		return a, false
	}
	d.probing = d.probing || a.probe
	return a, true
}

// leave ends an attempt that learned nothing.
func (d *Degrading) leave(a attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(a)
}

func (d *Degrading) end(a attempt) {
	if a.probe {
		d.probing = false
	}
}

func (d *Degrading) succeeded(ctx context.Context, a attempt) {
	d.mu.Lock()
	d.end(a)
	since := d.since
	if !since.IsZero() {
		d.since = time.Time{}
		d.epoch++
	}
	d.mu.Unlock()
	// Logging may be slow and is nobody's reason to wait.
	if !since.IsZero() {
		d.log.InfoContext(ctx, "store is back: single use and rate limits hold for all replicas again",
			slog.Duration("degraded_for", time.Since(since)))
	}
}

func (d *Degrading) failed(ctx context.Context, a attempt, err error) {
	d.mu.Lock()
	d.end(a)
	d.failures++
	// A time-out of a call that began before primary came back is old news.
	change := d.since.IsZero() && a.epoch == d.epoch
	if change {
		d.since = time.Now()
	}
	d.mu.Unlock()
	if change {
		d.log.WarnContext(ctx, "store fails: single use and rate limits hold per replica only",
			slog.String("cause", err.Error()))
	}
}
