package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/telemetry"
)

// newLogger returns a logger and what it writes.
func newLogger(t *testing.T, format, level string) (*slog.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, format, level)
	if err != nil {
		t.Fatal(err)
	}
	return log, &out
}

func TestNewLoggerFormats(t *testing.T) {
	t.Run("json", func(t *testing.T) {
		log, out := newLogger(t, "json", "info")
		log.Info("signed in", slog.Int("n", 1))
		want := map[string]any{"level": "INFO", "msg": "signed in", "n": float64(1)}
		if diff := cmp.Diff(want, record(t, out)); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	})
	t.Run("text", func(t *testing.T) {
		log, out := newLogger(t, "text", "info")
		log.Info("signed in", slog.Int("n", 1))
		if _, got, _ := strings.Cut(out.String(), " "); got != "level=INFO msg=\"signed in\" n=1\n" {
			t.Errorf("line = %q", got)
		}
	})
}

// record reads the one JSON record in out, without its time.
func record(t *testing.T, out *bytes.Buffer) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if m["time"] == nil {
		t.Errorf("no time in %s", out)
	}
	delete(m, "time")
	return m
}

func TestNewLoggerLevels(t *testing.T) {
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for i, level := range []string{"debug", "info", "warn", "error"} {
		t.Run(level, func(t *testing.T) {
			log, out := newLogger(t, "text", level)
			for _, l := range levels {
				log.Log(t.Context(), l, "said")
				if got, want := log.Enabled(t.Context(), l), l >= levels[i]; got != want {
					t.Errorf("Enabled(%v) = %v, want %v", l, got, want)
				}
			}
			if got, want := strings.Count(out.String(), "msg=said"), len(levels)-i; got != want {
				t.Errorf("%d records, want %d:\n%s", got, want, out)
			}
		})
	}
}

func TestNewLoggerRefuses(t *testing.T) {
	tests := []struct{ name, format, level, want string }{
		{"level", "json", "loud", `log level "loud"`},
		{"no level", "json", "", `log level ""`},
		{"format", "xml", "info", `log format "xml" is neither json nor text`},
		{"no format", "", "info", `log format "" is neither json nor text`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log, err := telemetry.NewLogger(&bytes.Buffer{}, tt.format, tt.level)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one that says %s", err, tt.want)
			}
			if log != nil {
				t.Error("a logger came with the error")
			}
		})
	}
}

func TestRequestIDInRecords(t *testing.T) {
	with := telemetry.WithRequestID(context.Background(), "r1")
	tests := []struct {
		name string
		ctx  context.Context
		log  func(*slog.Logger) *slog.Logger
		want map[string]any
	}{
		{"plain", with, func(l *slog.Logger) *slog.Logger { return l }, map[string]any{"a": "b", "request_id": "r1"}},
		{"none", context.Background(), func(l *slog.Logger) *slog.Logger { return l }, map[string]any{"a": "b"}},
		{
			"empty", telemetry.WithRequestID(with, ""), func(l *slog.Logger) *slog.Logger { return l },
			map[string]any{"a": "b"},
		},
		{
			"innermost", telemetry.WithRequestID(with, "r2"), func(l *slog.Logger) *slog.Logger { return l },
			map[string]any{"a": "b", "request_id": "r2"},
		},
		{
			"WithAttrs", with, func(l *slog.Logger) *slog.Logger { return l.With(slog.String("c", "d")) },
			map[string]any{"a": "b", "c": "d", "request_id": "r1"},
		},
		// An attribute that is added to a record belongs to the open group, as slog has it.
		{
			"WithGroup", with, func(l *slog.Logger) *slog.Logger { return l.WithGroup("g") },
			map[string]any{"g": map[string]any{"a": "b", "request_id": "r1"}},
		},
		{
			"WithGroup and WithAttrs", with, func(l *slog.Logger) *slog.Logger {
				return l.With(slog.Int("n", 1)).WithGroup("g").With(slog.String("c", "d"))
			},
			map[string]any{"n": float64(1), "g": map[string]any{"a": "b", "c": "d", "request_id": "r1"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log, out := newLogger(t, "json", "info")
			tt.log(log).InfoContext(tt.ctx, "said", slog.String("a", "b"))
			got := record(t, out)
			delete(got, "level")
			delete(got, "msg")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}

// A record is the caller's: a handler that adds to it must not be seen by the next handler.
func TestRequestIDDoesNotAccumulate(t *testing.T) {
	log, out := newLogger(t, "text", "info")
	ctx := telemetry.WithRequestID(t.Context(), "r1")
	for range 2 {
		out.Reset()
		log.InfoContext(
			ctx, "said", slog.Int("a", 1), slog.Int("b", 2), slog.Int("c", 3), slog.Int("d", 4), slog.Int("e", 5),
			slog.Int("f", 6),
		)
		if got := strings.Count(out.String(), "request_id=r1"); got != 1 {
			t.Errorf("%d request ids in %s", got, out)
		}
	}
}
