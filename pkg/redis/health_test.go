package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/redis"
)

var errDown = errors.New("down for the test")

func fails() error { return errDown }
func works() error { return nil }

// health is a Health and its log.
type health struct {
	*redis.Health
	log *bytes.Buffer
}

func newHealth() health {
	log := &bytes.Buffer{} // a handler writes one line at a time
	return health{redis.NewHealth(slog.New(slog.NewTextHandler(log, nil))), log}
}

// do makes a call and compares whether it was made and came through.
func (h health) do(t *testing.T, call func() error, want bool) {
	t.Helper()
	if done, err := h.Do(t.Context(), call); done != want || err != nil {
		t.Errorf("got %t, %v; want %t", done, err, want)
	}
}

func (h health) wantDown(t *testing.T, want bool) {
	t.Helper()
	if since, down := h.Down(); down != want || since.IsZero() == want {
		t.Errorf("got down: %t since %v; want %t", down, since, want)
	}
}

// wantLog compares how often each change was logged, and that nothing else was.
func (h health) wantLog(t *testing.T, down, back int) {
	t.Helper()
	text := h.log.String()
	gotDown := strings.Count(text, `level=WARN msg="Redis is down`)
	gotBack := strings.Count(text, `level=INFO msg="Redis is back`)
	if gotDown != down || gotBack != back || strings.Count(text, "\n") != down+back {
		t.Errorf("the log is\n%s\nwant %d lines of being down, %d of being back", text, down, back)
	}
}

// The first call after an outage finds out that it is over, however soon it comes.
func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHealth()
		h.do(t, works, true)
		h.wantDown(t, false)

		began := time.Now()
		for range 2 {
			h.do(t, fails, false)
			time.Sleep(time.Minute)
		}
		h.wantDown(t, true)
		if since, _ := h.Down(); !since.Equal(began) {
			t.Errorf("down since %v; want %v", since, began)
		}
		h.wantLog(t, 1, 0)

		h.do(t, works, true)
		h.wantDown(t, false)
		h.wantLog(t, 1, 1)
		for _, want := range []string{errDown.Error(), "down_for=2m0s"} {
			if text := h.log.String(); !strings.Contains(text, want) {
				t.Errorf("the log is\n%s\nwant %s", text, want)
			}
		}

		h.do(t, fails, false)
		time.Sleep(time.Microsecond)
		h.do(t, works, true)
		h.wantLog(t, 2, 2)
		if got := h.Failures(); got != 3 {
			t.Errorf("got %d failures; want 3", got)
		}
	})
}

func TestHealth_concurrentFailures(t *testing.T) {
	t.Parallel()
	h := newHealth()
	var calls atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			h.do(t, func() error {
				calls.Add(1)
				return errDown
			}, false)
		})
	}
	wg.Wait()
	if got := h.Failures(); got != calls.Load() {
		t.Errorf("got %d failures of %d calls; want all", got, calls.Load())
	}
	h.wantLog(t, 1, 0)
}

// While the server hangs, one call at a time waits to find out whether it is back.
func TestHealth_oneProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHealth()
		hangs := func() error {
			time.Sleep(2 * time.Second)
			return errDown
		}
		h.do(t, hangs, false)
		time.Sleep(time.Second)

		var probe sync.WaitGroup
		probe.Go(func() { h.do(t, hangs, false) })
		synctest.Wait()
		start := time.Now()
		for range 10 {
			h.do(t, func() error {
				t.Error("the server is asked while another call is finding out")
				return nil
			}, false)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v for the probe of another call", took)
		}
		probe.Wait()
		time.Sleep(time.Second)
		h.do(t, works, true)
		h.wantDown(t, false)
		h.wantLog(t, 1, 1)
		if got := h.Failures(); got != 2 {
			t.Errorf("got %d failures; want 2", got)
		}
	})
}

// A call that began before the last change is no news: neither a failure that comes in after the server is
// back, nor an answer that comes in after it went down.
func TestHealth_late(t *testing.T) {
	t.Parallel()
	for _, outcome := range []error{errDown, nil} {
		synctest.Test(t, func(t *testing.T) {
			h := newHealth()
			var late sync.WaitGroup
			late.Go(func() {
				h.do(t, func() error {
					time.Sleep(time.Minute)
					return outcome
				}, outcome == nil)
			})
			synctest.Wait()
			h.do(t, fails, false)
			back := 0
			if outcome != nil {
				time.Sleep(time.Second)
				h.do(t, works, true)
				back = 1
			}
			late.Wait()
			h.wantDown(t, outcome == nil)
			h.wantLog(t, 1, back)
		})
	}
}

// What says nothing about the server changes nothing, and the next call finds out.
func TestHealth_inconclusive(t *testing.T) {
	t.Parallel()
	gone := func(ctx context.Context) func() error {
		return func() error {
			<-ctx.Done()
			return errDown
		}
	}
	refused := func(context.Context) func() error {
		return func() error { return fmt.Errorf("%w with %q", redis.ErrScript, "NOPERM") }
	}
	for _, tt := range []struct {
		name string
		call func(context.Context) func() error
		want error
	}{
		{"the caller has gone", gone, context.Canceled},
		{"the server refuses a script", refused, nil},
	} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", down: ", down), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := newHealth()
					failures := 0
					if down {
						h.do(t, fails, false)
						failures = 1
						time.Sleep(time.Second)
					}
					for range 3 {
						ctx, cancel := context.WithCancel(t.Context())
						time.AfterFunc(time.Second, cancel)
						if done, err := h.Do(ctx, tt.call(ctx)); done || !errors.Is(err, tt.want) {
							t.Errorf("got %t, %v; want %v", done, err, tt.want)
						}
						cancel()
					}
					h.wantDown(t, down)
					h.wantLog(t, failures, 0)
					if got := h.Failures(); got != int64(failures) {
						t.Errorf("got %d failures; want %d", got, failures)
					}
					// While the server is up, a call does not wait for another; while it is down, one finds out.
					h.do(t, func() error {
						h.do(t, works, !down)
						return nil
					}, true)
					h.wantDown(t, false)
				})
			})
		}
	}
}
