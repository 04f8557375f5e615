package upstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// callTimeout is what callers of a service give a call.
const callTimeout = 4 * time.Second

// service is an upstream in memory that can be made to fail.
type service struct {
	answer func(*http.Request) (*http.Response, error)

	mu     sync.Mutex
	calls  int
	states []string
}

func (s *service) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	return s.answer(req)
}

func (s *service) breaker(adjust ...func(*upstream.BreakerOptions)) *upstream.Breaker {
	opts := upstream.BreakerOptions{
		Service: "tiktok", Timeout: callTimeout,
		Changed: func(service, from, to string) { s.states = append(s.states, service+" "+from+" "+to) },
	}
	for _, f := range adjust {
		f(&opts)
	}
	return upstream.NewBreaker(s, opts)
}

func status(code int) func(*http.Request) (*http.Response, error) {
	return text(code, strings.NewReader("{}"))
}

func text(code int, body io.Reader) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
	}
}

func failing(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// hang answers when the caller gives up.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// hangingBody sends headers and no body.
func hangingBody(r *http.Request) (*http.Response, error) {
	return text(200, readerFunc(func([]byte) (int, error) {
		<-r.Context().Done()
		return 0, r.Context().Err()
	}))(r)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// send makes a call as the clients do, and reads its answer.
func send(ctx context.Context, t *testing.T, b *upstream.Breaker) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(
		ctx, http.MethodPost, "https://upstream.example/", strings.NewReader("secret"),
	)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = upstream.ReadBody(resp, 1<<10)
	return err
}

// wantOpen checks that a call is refused at once and not made.
func wantOpen(t *testing.T, s *service, b *upstream.Breaker, retry time.Duration) {
	t.Helper()
	before, start := s.calls, time.Now()
	err := send(t.Context(), t, b)
	var open *upstream.OpenError
	if !errors.As(err, &open) || open.RetryAfter != retry {
		t.Errorf("got %v (%+v); want a refusal with %v to wait", err, open, retry)
	}
	if s.calls != before || time.Since(start) != 0 {
		t.Errorf("a refused call was made, or took %v", time.Since(start))
	}
}

// TestBreaker_opens says what is a failure of the upstream and what is not.
func TestBreaker_opens(t *testing.T) {
	t.Parallel()
	gotrue := func(o *upstream.BreakerOptions) {
		o.IsFault = func(r *http.Response) bool { return r.StatusCode > 500 }
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		ctx    func(context.Context) (context.Context, context.CancelFunc)
		adjust func(*upstream.BreakerOptions)
		opens  bool
	}{
		{"refused", failing(errors.New("connection refused")), nil, nil, true},
		{"reset", failing(io.ErrUnexpectedEOF), nil, nil, true},
		{"hangs", hang, nil, nil, true},
		{"hangs in its answer", hangingBody, nil, nil, true},
		{"breaks off", text(200, errorReader{io.ErrUnexpectedEOF}), nil, nil, true},
		{"500", status(500), nil, nil, true},
		{"502", status(502), nil, nil, true},
		{"503", status(503), nil, nil, true},
		{"a fault by the service's own rule", status(502), nil, gotrue, true},
		{"no fault by the service's own rule", status(500), nil, gotrue, false},
		{"200", status(200), nil, nil, false},
		{"302", status(302), nil, nil, false},
		{"400", status(400), nil, nil, false},
		{"404", status(404), nil, nil, false},
		{"429", status(429), nil, nil, false},
		{"answer too long to read", text(200, zeros{}), nil, nil, false},
		{
			"caller has gone", hang,
			func(context.Context) (context.Context, context.CancelFunc) { return gone, func() {} }, nil, false,
		},
		{
			"caller has gone during the answer", hangingBody,
			func(context.Context) (context.Context, context.CancelFunc) { return gone, func() {} }, nil, false,
		},
		{"caller has no time", hang, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, callTimeout/2-1)
		}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &service{answer: tt.answer}
				b := s.breaker()
				if tt.adjust != nil {
					b = s.breaker(tt.adjust)
				}
				for range 10 {
					if _, opened := errorOf(t, b, tt.ctx); opened {
						t.Fatal("open before ten failures in a row")
					}
				}
				if tt.opens {
					wantOpen(t, s, b, 5*time.Second)
					return
				}
				for range 20 {
					_, _ = errorOf(t, b, tt.ctx)
				}
				if s.calls != 30 || len(s.states) != 0 {
					t.Errorf("%d calls and states %q; want 30 calls, always closed", s.calls, s.states)
				}
			})
		})
	}
}

func errorOf(
	t *testing.T, b *upstream.Breaker, in func(context.Context) (context.Context, context.CancelFunc),
) (err error, opened bool) {
	t.Helper()
	ctx := t.Context()
	if in != nil {
		var cancel context.CancelFunc
		ctx, cancel = in(ctx)
		defer cancel()
	}
	err = send(ctx, t, b)
	var open *upstream.OpenError
	return err, errors.As(err, &open)
}

// TestBreaker_recovers: one call finds out whether the upstream is back, the others do not wait for
// it, and all go through again when it is.
func TestBreaker_recovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{answer: status(503)}
		b := s.breaker()
		for range 10 {
			_ = send(t.Context(), t, b)
		}
		wantOpen(t, s, b, 5*time.Second)
		time.Sleep(2 * time.Second)
		wantOpen(t, s, b, 3*time.Second)
		time.Sleep(3*time.Second + 1)

		s.answer = hang
		probe := make(chan error)
		go func() { probe <- send(t.Context(), t, b) }()
		synctest.Wait()
		if s.calls != 11 {
			t.Fatalf("%d calls; want one to find out", s.calls)
		}
		wantOpen(t, s, b, time.Second)
		if err := <-probe; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call that finds out: %v", err)
		}
		wantOpen(t, s, b, 5*time.Second)

		time.Sleep(5*time.Second + 1)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_ = send(gone, t, b) // learns nothing, so the next one asks
		s.answer = status(200)
		for range 20 {
			if err := send(t.Context(), t, b); err != nil {
				t.Errorf("after it is back: %v", err)
			}
		}
		want := []string{
			"tiktok closed open", "tiktok open half-open", "tiktok half-open open", "tiktok open half-open",
			"tiktok half-open closed",
		}
		if diff := cmp.Diff(want, s.states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
}

// TestBreaker_half: as long as some calls succeed, nobody is refused.
func TestBreaker_half(t *testing.T) {
	t.Parallel()
	s := &service{}
	b := s.breaker()
	for i := range 100 {
		s.answer = status(503)
		if i%10 == 9 {
			s.answer = status(200)
		}
		_ = send(t.Context(), t, b)
	}
	if s.calls != 100 {
		t.Errorf("%d calls; want all 100", s.calls)
	}
}

// TestBreaker_noRetry: whatever becomes of a call, it is made once.
func TestBreaker_noRetry(t *testing.T) {
	t.Parallel()
	for _, answer := range []func(*http.Request) (*http.Response, error){
		failing(io.ErrUnexpectedEOF), status(500), status(503), text(200, errorReader{io.ErrUnexpectedEOF}),
	} {
		s := &service{answer: answer}
		_ = send(t.Context(), t, s.breaker())
		if s.calls != 1 {
			t.Errorf("%d calls; want 1", s.calls)
		}
	}
}
