package telemetry

import (
	"context"
	"time"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Calls returns an observer that counts and traces the calls to upstreams.
func Calls(m *Metrics, t *Tracing) upstream.Observer { return calls{m, t} }

type calls struct {
	metrics *Metrics
	tracing *Tracing
}

// Begin implements upstream.Observer.
func (c calls) Begin(ctx context.Context, service, call string) (context.Context, func(upstream.Result)) {
	start := time.Now()
	ctx, end := c.tracing.beginCall(ctx, service, call)
	return ctx, func(r upstream.Result) {
		c.metrics.CallEnded(service, call, r, time.Since(start))
		end(r)
	}
}

// Retried implements upstream.Observer.
func (c calls) Retried(ctx context.Context, service, reason string) {
	c.metrics.Retried(service, reason)
	c.tracing.retried(ctx, service, reason)
}
