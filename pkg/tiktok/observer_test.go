package tiktok_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jarcoal/httpmock"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// observed writes down what an observer is told.
type observed struct{ lines []string }

type begunKey struct{}

// Begin implements upstream.Observer.
func (o *observed) Begin(ctx context.Context, service, call string) (context.Context, func(upstream.Result)) {
	return context.WithValue(ctx, begunKey{}, call), func(r upstream.Result) {
		o.lines = append(o.lines, fmt.Sprintf("%s %s %s %d %s", service, call, r.Outcome(), r.Status, r.Code))
	}
}

// Retried implements upstream.Observer.
func (*observed) Retried(context.Context, string, string) {}

func TestObserver(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer httpmock.Responder
		want   string
	}{
		{"success", response(http.StatusOK, tokenOK), "tiktok token ok 200 "},
		{
			"error with status 200", response(http.StatusOK, `{"error":"invalid_grant","log_id":"1"}`),
			"tiktok token refused 200 invalid_grant",
		},
		{"throttled", response(http.StatusTooManyRequests, "slow down"), "tiktok token rate_limited 429 "},
		{"fault", response(http.StatusBadGateway, "<html>"), "tiktok token fault 502 "},
		{"no answer", httpmock.NewErrorResponder(errors.New("broken")), "tiktok token no_answer 0 "},
		// What is no code is nobody's business.
		{
			"text for a code", response(http.StatusBadRequest, `{"error":"the code `+code+` is bad"}`),
			"tiktok token refused 400 other",
		},
		{
			"text for a code with status 200", response(http.StatusOK, `{"error":"the code `+code+` is bad"}`),
			"tiktok token refused 200 other",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := &observed{}
			m := httpmock.NewMockTransport()
			m.RegisterResponder(http.MethodPost, tokenURL, func(req *http.Request) (*http.Response, error) {
				if req.Context().Value(begunKey{}) != "token" {
					t.Error("the call goes on without the observer's context")
				}
				return tt.answer(req)
			})
			c := newClient(m, func(opts *tiktok.Options) { opts.Observer = o })
			report := new(signin.Report)
			_, _ = c.Exchange(signin.WithReport(t.Context(), report), grant)
			if got := fmt.Sprint(report.LogAttrs()); !strings.Contains(got, "calls_ms=[token=") {
				t.Errorf("report is %s; want the time of the call", got)
			}
			if diff := cmp.Diff([]string{tt.want}, o.lines); diff != "" {
				t.Errorf("what the observer was told (-want +got):\n%s", diff)
			}
		})
	}
}
