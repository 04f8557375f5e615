package telemetry

import (
	"context"
	"time"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Calls returns what counts and traces the calls to upstreams.
func Calls(m *Metrics) upstream.Observer { return calls{m} }

type calls struct{ metrics *Metrics }

// Begin implements upstream.Observer.
func (c calls) Begin(ctx context.Context, service, call string) (context.Context, func(upstream.Result)) {
	start := time.Now()
	return ctx, func(r upstream.Result) {
		c.metrics.CallEnded(service, call, r, time.Since(start))
	}
}

// Retried implements upstream.Observer.
func (c calls) Retried(_ context.Context, service, reason string) { c.metrics.Retried(service, reason) }
