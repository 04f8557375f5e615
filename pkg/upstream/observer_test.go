package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

func TestResult_Outcome(t *testing.T) {
	t.Parallel()
	slow := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	tests := []struct {
		name   string
		result upstream.Result
		want   string
	}{
		{"success", upstream.Result{Status: http.StatusOK}, "ok"},
		{"error with 200", upstream.Result{Status: http.StatusOK, Code: "invalid_grant"}, "refused"},
		{"refused", upstream.Result{Status: http.StatusForbidden, Code: "otp_expired"}, "refused"},
		{"not found", upstream.Result{Status: http.StatusNotFound, Code: "user_not_found"}, "not_found"},
		{"throttled", upstream.Result{Status: http.StatusTooManyRequests}, "rate_limited"},
		{"fault", upstream.Result{Status: http.StatusBadGateway}, "fault"},
		{"deadline", upstream.Result{Err: &url.Error{Op: "POST", Err: context.DeadlineExceeded}}, "timeout"},
		{
			"deadline while reading", upstream.Result{Status: http.StatusOK, Err: fmt.Errorf("read answer: %w", slow)},
			"timeout",
		},
		{"client gone", upstream.Result{Err: &url.Error{Op: "POST", Err: context.Canceled}}, "canceled"},
		{"connection broke", upstream.Result{Err: &url.Error{Op: "POST", Err: io.ErrUnexpectedEOF}}, "no_answer"},
		{"something else", upstream.Result{Err: errors.New("odd")}, "no_answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.result.Outcome(); got != tt.want {
				t.Errorf("got %q; want %q", got, tt.want)
			}
		})
	}
}
