package upstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// sized answers every request with that many bytes.
func sized(n int) http.RoundTripper {
	return roundTripFunc(func(req *http.Request) (*http.Response, error) {
		body := io.NopCloser(strings.NewReader(strings.Repeat("x", n)))
		return &http.Response{StatusCode: http.StatusOK, Body: body, Request: req}, nil
	})
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

const large, limit = 100 << 10, 1 << 20

func sendWithin(
	ctx context.Context, t *testing.T, b *upstream.Budget, transport http.RoundTripper,
) (int, func(), error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://upstream.example/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_, body, release, err := b.Send(transport, req, limit)
	return len(body), release, err
}

// TestBudget: large answers wait until others are released, small ones do not.
func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := upstream.NewBudget(2 * limit)
		var releases []func()
		for range 2 {
			n, release, err := sendWithin(t.Context(), t, b, sized(large))
			if n != large || err != nil {
				t.Fatalf("read %d bytes, %v; want %d", n, err, large)
			}
			releases = append(releases, release)
		}
		third := make(chan error, 1)
		go func() {
			_, release, err := sendWithin(t.Context(), t, b, sized(large))
			release()
			third <- err
		}()
		synctest.Wait()
		if len(third) != 0 {
			t.Error("a third large answer did not wait for its turn")
		}
		if n, _, err := sendWithin(t.Context(), t, b, sized(2<<10)); n != 2<<10 || err != nil {
			t.Errorf("a small answer: %d bytes, %v", n, err)
		}
		releases[0]()
		releases[0]() // once is enough
		if err := <-third; err != nil {
			t.Errorf("after a release: %v", err)
		}
	})
}

// TestBudget_busy: whoever waits too long is told so, and that is no fault of the upstream.
func TestBudget_busy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := upstream.NewBudget(limit)
		if _, _, err := sendWithin(t.Context(), t, b, sized(large)); err != nil {
			t.Fatal(err)
		}
		opened := false
		guarded := upstream.NewBreaker(sized(large), upstream.BreakerOptions{
			Timeout: time.Second, Changed: func(string, string, string) { opened = true },
		})
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, _, err := sendWithin(ctx, t, b, guarded)
			cancel()
			if !errors.Is(err, upstream.ErrBusy) || !errors.Is(upstream.NoAnswer(err), upstream.ErrBusy) {
				t.Fatalf("got %v; want %v", err, upstream.ErrBusy)
			}
		}
		if opened {
			t.Error("the breaker opened")
		}
	})
}

// TestBudget_gone: an answer that could not be read gives its place back by itself.
func TestBudget_gone(t *testing.T) {
	t.Parallel()
	b := upstream.NewBudget(limit)
	for range 3 {
		if _, _, err := sendWithin(t.Context(), t, b, sized(limit+1)); !errors.Is(err, upstream.ErrTooLarge) {
			t.Fatalf("got %v; want %v", err, upstream.ErrTooLarge)
		}
	}
}
