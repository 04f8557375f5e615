package once_test

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

	"github.com/alicebob/miniredis/v2"

	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/once/oncetest"
)

// storeFunc is a store made of a function.
type storeFunc func(ctx context.Context, key string, ttl time.Duration) (bool, error)

func (f storeFunc) First(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return f(ctx, key, ttl)
}

// inTurn sends each call to the next of several replicas.
type inTurn struct {
	stores []once.Store
	calls  atomic.Int64
}

func (s *inTurn) First(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return s.stores[int(s.calls.Add(1))%len(s.stores)].First(ctx, key, ttl)
}

var errDown = errors.New("down for the test")

// flaky is a store in memory that can be turned off.
type flaky struct {
	once.Store
	off   atomic.Bool
	calls atomic.Int64
}

func newFlaky() *flaky { return &flaky{Store: once.NewMemory(1000)} }

func (f *flaky) First(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	f.calls.Add(1)
	if f.off.Load() {
		return false, errDown
	}
	return f.Store.First(ctx, key, ttl)
}

// lines is a log to look into.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// want compares how often each change was logged, and that nothing else was.
func (l *lines) want(t *testing.T, down, up int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.buf.String()
	gotDown, gotUp := strings.Count(text, "level=WARN msg=\"store fails"), strings.Count(text, "level=INFO msg=\"store is back")
	if gotDown != down || gotUp != up || strings.Count(text, "\n") != down+up {
		t.Errorf("got %d lines of failing, %d of being back; want %d, %d in\n%s", gotDown, gotUp, down, up, text)
	}
}

func wantDegraded(t *testing.T, d *once.Degrading, want bool) {
	t.Helper()
	if since, got := d.Degraded(); got != want || since.IsZero() == want {
		t.Errorf("degraded: got %t since %v; want %t", got, since, want)
	}
}

func TestDegrading(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		newStore func(t *testing.T) once.Store
	}{
		{"memory", func(*testing.T) once.Store {
			return once.NewDegrading(once.NewMemory(1000), once.NewMemory(1000), slog.New(slog.DiscardHandler))
		}},
		{"primary is down", func(*testing.T) once.Store {
			primary := newFlaky()
			primary.off.Store(true)
			return once.NewDegrading(primary, once.NewMemory(1000), slog.New(slog.DiscardHandler))
		}},
		{"redis", func(t *testing.T) once.Store {
			return newMovable(t, miniredis.RunT(t))
		}},
		{"redis is down", func(t *testing.T) once.Store {
			server := miniredis.RunT(t)
			d := newMovable(t, server)
			server.Close()
			return d
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			oncetest.Run(t, tt.newStore)
		})
	}
}

// newMovable returns a store over server whose memory follows the time of it.
func newMovable(t *testing.T, server *miniredis.Miniredis) once.Store {
	t.Helper()
	var moved atomic.Int64
	memory := once.NewMemory(1000)
	memory.SetClock(func() time.Time { return time.Now().Add(time.Duration(moved.Load())) })
	d := once.NewDegrading(mustRedis(t, server.Addr()), memory, slog.New(slog.DiscardHandler))
	return movable{d, func(by time.Duration) {
		moved.Add(int64(by))
		server.FastForward(by)
	}}
}

func TestDegrading_downAndBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		primary := newFlaky()
		d := once.NewDegrading(primary, once.NewMemory(1000), log.logger())
		wantFirst(t, d, "before", time.Hour, true)
		wantDegraded(t, d, false)

		primary.off.Store(true)
		down := time.Now()
		wantFirst(t, d, "during", time.Hour, true)
		time.Sleep(time.Minute)
		wantFirst(t, d, "during, too", time.Hour, true)
		wantFirst(t, d, "during", time.Hour, false)
		wantFirst(t, d, "before", time.Hour, false)
		wantDegraded(t, d, true)
		if since, _ := d.Degraded(); !since.Equal(down) {
			t.Errorf("degraded since %v; want %v", since, down)
		}
		log.want(t, 1, 0)

		primary.off.Store(false)
		time.Sleep(time.Minute)
		wantFirst(t, d, "during", time.Hour, false) // known here; primary is not asked
		wantFirst(t, d, "after", time.Hour, true)
		wantDegraded(t, d, false)
		wantFirst(t, d, "during", time.Hour, false)
		wantFirst(t, d, "before", time.Hour, false)
		log.want(t, 1, 1)
		if text := log.buf.String(); !strings.Contains(text, errDown.Error()) || !strings.Contains(text, "degraded_for=2m0s") {
			t.Errorf("got\n%s\nwant the cause and how long it took", text)
		}
		if got := d.Failures(); got != 2 {
			t.Errorf("got %d failures; want 2", got)
		}

		primary.off.Store(true)
		wantFirst(t, d, "down again", time.Hour, true)
		primary.off.Store(false)
		wantFirst(t, d, "back again", time.Hour, true)
		log.want(t, 2, 2)
	})
}

// What another replica marked counts, unless primary is down.
func TestDegrading_replicas(t *testing.T) {
	t.Parallel()
	primary := newFlaky()
	var log lines
	one := once.NewDegrading(primary, once.NewMemory(10), log.logger())
	two := once.NewDegrading(primary, once.NewMemory(10), log.logger())
	wantFirst(t, one, "a", time.Hour, true)
	wantFirst(t, two, "a", time.Hour, false)
	primary.off.Store(true)
	wantFirst(t, one, "b", time.Hour, true)
	wantFirst(t, two, "b", time.Hour, true)
	wantFirst(t, one, "b", time.Hour, false)
	wantFirst(t, two, "b", time.Hour, false)
}

func TestDegrading_concurrentFailures(t *testing.T) {
	t.Parallel()
	var log lines
	primary := newFlaky()
	primary.off.Store(true)
	d := once.NewDegrading(primary, once.NewMemory(1000), log.logger())
	var first atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if ok, err := d.First(t.Context(), "a", time.Minute); err != nil {
				t.Error(err)
			} else if ok {
				first.Add(1)
			}
			_, _ = d.First(t.Context(), time.Now().String(), time.Minute)
		})
	}
	wg.Wait()
	if first.Load() != 1 {
		t.Errorf("%d were first; want 1", first.Load())
	}
	if got := d.Failures(); got != primary.calls.Load() {
		t.Errorf("got %d failures of %d calls; want all", got, primary.calls.Load())
	}
	log.want(t, 1, 0)
}

// While primary hangs, one call at a time pays for finding out whether it is back.
func TestDegrading_oneProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		primary := newFlaky()
		primary.off.Store(true)
		slow := storeFunc(func(ctx context.Context, key string, ttl time.Duration) (bool, error) {
			time.Sleep(2 * time.Second)
			return primary.First(ctx, key, ttl)
		})
		d := once.NewDegrading(slow, once.NewMemory(1000), slog.New(slog.DiscardHandler))
		wantFirst(t, d, "a", time.Hour, true)

		probe := make(chan bool)
		go func() {
			first, _ := d.First(t.Context(), "b", time.Hour)
			probe <- first
		}()
		synctest.Wait()
		start := time.Now()
		wantFirst(t, d, "c", time.Hour, true)
		wantFirst(t, d, "c", time.Hour, false)
		wantFirst(t, d, "b", time.Hour, false)
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v for the probe of another call", took)
		}
		if !<-probe || !d.ProbingStopped() {
			t.Error("got the probing call refused, or never ended; want it first by the fallback")
		}
		primary.off.Store(false)
		wantFirst(t, d, "d", time.Hour, true)
		wantDegraded(t, d, false)
		if got := d.Failures(); got != 2 {
			t.Errorf("got %d failures; want 2", got)
		}
	})
}

// A time-out that comes in after primary is back is no news.
func TestDegrading_lateFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		primary := newFlaky()
		mixed := storeFunc(func(ctx context.Context, key string, ttl time.Duration) (bool, error) {
			if key == "slow" {
				time.Sleep(2 * time.Second)
				return false, errDown
			}
			return primary.First(ctx, key, ttl)
		})
		d := once.NewDegrading(mixed, once.NewMemory(1000), log.logger())
		done := make(chan bool)
		go func() {
			first, _ := d.First(t.Context(), "slow", time.Hour)
			done <- first
		}()
		synctest.Wait()
		primary.off.Store(true)
		wantFirst(t, d, "a", time.Hour, true)
		primary.off.Store(false)
		wantFirst(t, d, "b", time.Hour, true)
		if !<-done {
			t.Error("got the slow call refused; want it first by the fallback")
		}
		wantDegraded(t, d, false)
		log.want(t, 1, 1)
		if got := d.Failures(); got != 2 {
			t.Errorf("got %d failures; want both counted", got)
		}
	})
}

// A person who closes the browser while we wait for primary says nothing about primary.
func TestDegrading_callerHasGone(t *testing.T) {
	t.Parallel()
	for _, degraded := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log lines
			primary := newFlaky()
			waiting := storeFunc(func(ctx context.Context, key string, ttl time.Duration) (bool, error) {
				if key == "wait" {
					<-ctx.Done()
					return false, errDown
				}
				return primary.First(ctx, key, ttl)
			})
			d := once.NewDegrading(waiting, once.NewMemory(1000), log.logger())
			failures := 0
			if degraded {
				primary.off.Store(true)
				wantFirst(t, d, "a", time.Hour, true)
				failures = 1
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if first, err := d.First(ctx, "wait", time.Hour); first || !errors.Is(err, context.Canceled) {
				t.Errorf("got %t, %v; want cancelled", first, err)
			}
			wantDegraded(t, d, degraded)
			if got := d.Failures(); got != int64(failures) {
				t.Errorf("got %d failures; want %d", got, failures)
			}
			log.want(t, failures, 0)
			primary.off.Store(false)
			wantFirst(t, d, "b", time.Hour, true) // probes go on
			wantDegraded(t, d, false)
		})
	}
}

// A fallback that fails is nothing to go on with.
func TestDegrading_fallbackFails(t *testing.T) {
	t.Parallel()
	fallback := newFlaky()
	fallback.off.Store(true)
	primary := newFlaky()
	d := once.NewDegrading(primary, fallback, slog.New(slog.DiscardHandler))
	if first, err := d.First(t.Context(), "a", time.Minute); first || !errors.Is(err, errDown) {
		t.Errorf("got %t, %v; want the error of the fallback", first, err)
	}
	if primary.calls.Load() != 0 {
		t.Error("primary was asked; want the key left for a later try")
	}
}

func TestDegrading_redisRestarts(t *testing.T) {
	t.Parallel()
	var log lines
	server := miniredis.RunT(t)
	d := once.NewDegrading(mustRedis(t, server.Addr()), once.NewMemory(1000), log.logger())
	other := mustRedis(t, server.Addr())
	wantFirst(t, d, "before", time.Hour, true)

	server.Close()
	wantFirst(t, d, "during", time.Hour, true)
	wantFirst(t, d, "during", time.Hour, false)
	wantFirst(t, d, "before", time.Hour, false)
	wantDegraded(t, d, true)

	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// A connection of the pool may still have to find out.
	for i, degraded := 0, true; degraded && ctx.Err() == nil; i++ {
		wantFirst(t, d, fmt.Sprint("after", i), time.Hour, true)
		_, degraded = d.Degraded()
	}
	wantDegraded(t, d, false)
	wantFirst(t, d, "during", time.Hour, false)
	wantFirst(t, d, "shared", time.Hour, true)
	wantFirst(t, other, "shared", time.Hour, false)
	wantFirst(t, other, "before", time.Hour, false)
	log.want(t, 1, 1)
	if d.Failures() == 0 {
		t.Error("got no failure; want them counted")
	}
}

func TestDegrading_redisHangs(t *testing.T) {
	t.Parallel()
	var log lines
	redis := mustRedis(t, listen(t).Addr().String(), once.WithTimeouts(time.Second, 20*time.Millisecond))
	d := once.NewDegrading(redis, once.NewMemory(1000), log.logger())
	start := time.Now()
	wantFirst(t, d, "a", time.Hour, true)
	wantFirst(t, d, "a", time.Hour, false)
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v; want it bounded by the time-outs", took)
	}
	wantDegraded(t, d, true)
	log.want(t, 1, 0)
}
