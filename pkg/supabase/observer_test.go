package supabase_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/jarcoal/httpmock"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// observed writes down what an observer is told.
type observed struct {
	mu    sync.Mutex
	lines []string
}

func (o *observed) add(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, fmt.Sprintf(format, args...))
}

type begunKey struct{}

// Begin implements upstream.Observer.
func (o *observed) Begin(ctx context.Context, service, call string) (context.Context, func(upstream.Result)) {
	return context.WithValue(ctx, begunKey{}, call), func(r upstream.Result) {
		o.add("%s %s %s %d %s", service, call, r.Outcome(), r.Status, r.Code)
	}
}

// Retried implements upstream.Observer.
func (o *observed) Retried(_ context.Context, service, reason string) {
	o.add("%s retried: %s", service, reason)
}

func TestObserver(t *testing.T) {
	t.Parallel()
	ok := func(calls ...string) (lines []string) {
		for _, c := range calls {
			lines = append(lines, "supabase "+c+" ok 200 ")
		}
		return lines
	}
	tests := []struct {
		name   string
		answer func(m *mocked)
		want   []string
	}{
		{"known person", func(*mocked) {}, ok("generate_link", "verify")},
		{
			"superseded link",
			func(m *mocked) { m.once("/verify", http.StatusForbidden, "otp_expired") },
			slices.Concat(
				ok("generate_link"),
				[]string{"supabase verify refused 403 otp_expired", "supabase retried: superseded_link"},
				ok("generate_link", "verify"),
			),
		},
		{
			"fault",
			func(m *mocked) { m.once("/admin/generate_link", http.StatusBadGateway, "") },
			slices.Concat(
				[]string{"supabase generate_link fault 502 ", "supabase retried: fault"}, ok("generate_link", "verify"),
			),
		},
		{
			"banned", func(m *mocked) {
				m.answer(http.MethodPost, "/verify", http.StatusForbidden, map[string]any{"code": "user_banned"})
			},
			slices.Concat(ok("generate_link"), []string{"supabase verify refused 403 user_banned"}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // pauses take no time here
				o := &observed{}
				m := newMocked(t, supabase.Options{Observer: o})
				tt.answer(m)
				report := new(signin.Report)
				_, _ = m.SignIn(signin.WithReport(t.Context(), report), someone, netip.Addr{}, noProfile)
				if got := fmt.Sprint(report.LogAttrs()); !strings.Contains(got, "calls_ms=[generate_link=") {
					t.Errorf("report is %s; want the time of the calls by name", got)
				}
				if diff := cmp.Diff(tt.want, o.lines); diff != "" {
					t.Errorf("what the observer was told (-want +got):\n%s", diff)
				}
				for _, req := range m.seen {
					if req.Context().Value(begunKey{}) == nil {
						t.Errorf("%s goes on without the observer's context", req.URL.Path)
					}
				}
			})
		})
	}
}

// once makes the first answer at a path an error; the next ones are good, the body as of newMocked.
func (m *mocked) once(path string, status int, code string) {
	good := map[string]any{
		"hashed_token": "canary-hash", "verification_type": "recovery",
		"access_token": "a.b.c", "refresh_token": "canary-refresh", "user": userJSON(nil),
	}
	bad := httpmock.NewJsonResponderOrPanic(status, map[string]any{"code": code})
	m.transport.RegisterResponder(http.MethodPost, authURL+path,
		bad.Then(httpmock.NewJsonResponderOrPanic(http.StatusOK, userJSON(good))))
}

// A sign-in that fails is told apart by the user's id as well, and a banned user leaves an audit event.
func TestBanned_log(t *testing.T) {
	t.Parallel()
	var audit bytes.Buffer
	m := newMocked(t, supabase.Options{Logger: slog.New(slog.NewTextHandler(&audit, nil))})
	m.answer(http.MethodPost, "/verify", http.StatusForbidden, map[string]any{"code": "user_banned"})
	report := new(signin.Report)
	_, err := m.SignIn(signin.WithReport(t.Context(), report), someone, netip.Addr{}, noProfile)
	if got := signin.CodeOf(err); got != signin.UserBanned {
		t.Fatalf("got %v; want user_banned", err)
	}
	id := "user_id=" + supabase.UserID(openID).String()
	if got := audit.String(); !strings.Contains(got, "event=account_banned "+id) || strings.Contains(got, "@") {
		t.Errorf("audit log is %q; want the event with the user's id and no address", got)
	}
	if got := fmt.Sprint(report.LogAttrs()); !strings.Contains(got, id) {
		t.Errorf("report is %s; want %s", got, id)
	}
}
