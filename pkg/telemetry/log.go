// Package telemetry sets up what the bridge tells its operator.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger for format "json" or "text" and a level by name. Records carry the
// request id of their context, and the id of its trace.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: %w", level, err)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(contextIDs{slog.NewJSONHandler(w, opts)}), nil
	case "text":
		return slog.New(contextIDs{slog.NewTextHandler(w, opts)}), nil
	}
	return nil, fmt.Errorf("log format %q is neither json nor text", format)
}

type requestIDKey struct{}

// WithRequestID returns a context whose log records carry id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the request id in ctx, "" if there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// contextIDs adds the ids in the context to every record.
type contextIDs struct{ slog.Handler }

// Handle implements slog.Handler.
func (h contextIDs) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	if id := traceID(ctx); id != "" {
		r.AddAttrs(slog.String("trace_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h contextIDs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextIDs{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h contextIDs) WithGroup(name string) slog.Handler {
	return contextIDs{h.Handler.WithGroup(name)}
}
