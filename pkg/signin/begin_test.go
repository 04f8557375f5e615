package signin_test

import (
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestBegin(t *testing.T) {
	native := func(scheme, challenge string) signin.BeginRequest {
		return signin.BeginRequest{Platform: signin.PlatformNative, Scheme: scheme, Challenge: challenge}
	}
	tests := []struct {
		name string
		in   signin.BeginRequest
		want signin.Code
	}{
		{"web", web, ""},
		{"web, default page", signin.BeginRequest{Platform: signin.PlatformWeb, Challenge: s256("v")}, ""},
		{"web without challenge", signin.BeginRequest{Platform: signin.PlatformWeb}, ""},
		{
			"web, foreign page",
			signin.BeginRequest{
				Platform: signin.PlatformWeb, RedirectTo: "https://evil.example/", Challenge: s256("v"),
			},
			signin.RedirectURIMismatch,
		},
		{"native", native("myapp", s256("v")), ""},
		{"native, default scheme", native("", s256("v")), ""},
		{"native, foreign scheme", native("evil", s256("v")), signin.SchemeNotAllowed},
		{"native, script", native("javascript", s256("v")), signin.SchemeNotAllowed},
		{"native without challenge", native("myapp", ""), signin.InvalidRequest},
		{"challenge too short", native("myapp", "abc"), signin.InvalidRequest},
		{"challenge padded", native("myapp", s256("v")+"="), signin.InvalidRequest},
		{"challenge in hex", native("myapp", strings.Repeat("a", 64)), signin.InvalidRequest},
		{"challenge of an empty verifier, native", native("myapp", s256("")), signin.InvalidRequest},
		{
			"challenge of an empty verifier, web",
			signin.BeginRequest{Platform: signin.PlatformWeb, Challenge: s256("")},
			signin.InvalidRequest,
		},
		{"challenge not canonical", native("myapp", s256("v")[:42]+"_"), signin.InvalidRequest},
		{"no platform", signin.BeginRequest{Challenge: s256("v")}, signin.InvalidRequest},
		{"odd platform", signin.BeginRequest{Platform: "ios", Challenge: s256("v")}, signin.InvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newHosted(t).Begin(t.Context(), tt.in)
			wantCode(t, err, tt.want)
		})
	}
	t.Run("no public URL", func(t *testing.T) {
		_, err := newHosted(t, func(h *hosted) { h.opts.CallbackURL = "" }).Begin(t.Context(), web)
		wantCode(t, err, signin.InvalidRequest)
	})
	t.Run("no native app", func(t *testing.T) {
		_, err := newHosted(t, func(h *hosted) { h.opts.DefaultScheme = "" }).Begin(t.Context(), native("", s256("v")))
		wantCode(t, err, signin.SchemeNotAllowed)
	})
}
