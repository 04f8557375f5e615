package signin_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// codesInSource returns the constants of type Code in the order in which errors.go declares them.
func codesInSource(t *testing.T) []signin.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []signin.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return false
		}
		for _, v := range spec.Values {
			lit, ok := v.(*ast.BasicLit)
			if !ok {
				t.Fatalf("%v is no literal", spec.Names)
			}
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, signin.Code(s))
		}
		return false
	})
	return codes
}

func TestCodes(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(codesInSource(t), signin.Codes()); diff != "" {
		t.Errorf("codes (-source +Codes):\n%s", diff)
	}
	seen := map[signin.Code]bool{}
	for _, c := range signin.Codes() {
		if seen[c] || !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(string(c)) {
			t.Errorf("got %q; want it once and in snake case", c)
		}
		seen[c] = true
	}
}

func TestAsError(t *testing.T) {
	t.Parallel()
	known := &signin.Error{Code: signin.UserBanned, Message: "banned"}
	plain := errors.New("dial 10.0.0.7: " + canary)
	tests := []struct {
		name string
		err  error
		code signin.Code
		same bool
	}{
		{"nil", nil, "", false},
		{"ours", known, signin.UserBanned, true},
		{"ours, wrapped", fmt.Errorf("sign in: %w", known), signin.UserBanned, true},
		{"ours, joined", errors.Join(plain, known), signin.UserBanned, true},
		{"foreign", plain, signin.Internal, false},
		{"context", context.Canceled, signin.Internal, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := signin.CodeOf(tt.err); got != tt.code {
				t.Errorf("got code %q; want %q", got, tt.code)
			}
			if tt.err == nil {
				return
			}
			e := signin.AsError(tt.err)
			if (e == known) != tt.same {
				t.Errorf("got %v; want the error itself: %t", e, tt.same)
			}
			if strings.Contains(e.Message, canary) || e.Message == "" {
				t.Errorf("got message %q; want one that gives nothing away", e.Message)
			}
			if !tt.same && !errors.Is(e, tt.err) {
				t.Errorf("got %v; want the cause kept for the log", e)
			}
		})
	}
}

func TestError_LogAttrs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  *signin.Error
		want []slog.Attr
	}{
		{
			"code alone", &signin.Error{Code: signin.Internal, Message: "for people"},
			[]slog.Attr{slog.String("error", "internal")},
		},
		{
			"everything",
			&signin.Error{
				Code: signin.TikTokUnavailable, Message: "for people", RetryAfter: time.Second, Call: "token",
				Upstream: signin.Upstream{Service: "tiktok", Status: 500, Code: "server_error", LogID: "2026AB"},
				Err:      errors.New("reports a fault"),
			},
			[]slog.Attr{
				slog.String("error", "tiktok_unavailable"), slog.String("call", "token"),
				slog.String("upstream", "tiktok"), slog.Int("upstream_status", 500),
				slog.String("upstream_code", "server_error"), slog.String("tiktok_log_id", "2026AB"),
				slog.String("cause", "reports a fault"),
			},
		},
		{
			"a cause that somebody can fix",
			signin.NewError(signin.CauseNoPublicURL),
			[]slog.Attr{slog.String("error", "invalid_request"), slog.String("fix", signin.CauseNoPublicURL.Fix())},
		},
		{
			"no answer",
			&signin.Error{Code: signin.SupabaseUnavailable, Upstream: signin.Upstream{Service: "supabase"}},
			[]slog.Attr{slog.String("error", "supabase_unavailable"), slog.String("upstream", "supabase")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(fmt.Sprint(tt.want), fmt.Sprint(tt.err.LogAttrs())); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}
