package signin_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// What is refused here never reaches TikTok, so the code stays good.
func TestService_Exchange_vetted(t *testing.T) {
	t.Parallel()
	edit := func(f func(*signin.ExchangeRequest)) signin.ExchangeRequest {
		r := request
		f(&r)
		return r
	}
	state := func(s string) signin.ExchangeRequest {
		return edit(func(r *signin.ExchangeRequest) { r.State = s })
	}
	const long = "https://long.example/"
	tests := []struct {
		name string
		in   signin.ExchangeRequest
		want signin.Code
	}{
		{"nothing", signin.ExchangeRequest{}, signin.InvalidRequest},
		{"no code", edit(func(r *signin.ExchangeRequest) { r.Code = "" }), signin.InvalidRequest},
		{"code at the limit", edit(func(r *signin.ExchangeRequest) { r.Code = strings.Repeat("c", 4096) }), ""},
		{
			"code too long", edit(func(r *signin.ExchangeRequest) { r.Code = strings.Repeat("c", 4097) }),
			signin.InvalidRequest,
		},
		{"no redirect_uri", edit(func(r *signin.ExchangeRequest) { r.RedirectURI = "" }), signin.InvalidRequest},
		{
			"redirect_uri at the limit",
			edit(func(r *signin.ExchangeRequest) { r.RedirectURI = long + strings.Repeat("r", 512-len(long)) }), "",
		},
		{
			"redirect_uri too long",
			edit(func(r *signin.ExchangeRequest) { r.RedirectURI = long + strings.Repeat("r", 513-len(long)) }),
			signin.InvalidRequest,
		},
		{
			"foreign redirect_uri",
			edit(func(r *signin.ExchangeRequest) { r.RedirectURI = "https://evil.example/native-callback" }),
			signin.RedirectURIMismatch,
		},
		{
			"redirect_uri with a slash more", edit(func(r *signin.ExchangeRequest) { r.RedirectURI += "/" }),
			signin.RedirectURIMismatch,
		},
		{
			"redirect_uri in capitals",
			edit(func(r *signin.ExchangeRequest) { r.RedirectURI = strings.ToUpper(r.RedirectURI) }),
			signin.RedirectURIMismatch,
		},
		{
			"verifier at the limit",
			edit(func(r *signin.ExchangeRequest) { r.CodeVerifier = strings.Repeat("v", 128) }), "",
		},
		{
			"verifier too long", edit(func(r *signin.ExchangeRequest) { r.CodeVerifier = strings.Repeat("v", 129) }),
			signin.InvalidRequest,
		},
		{"no verifier", edit(func(r *signin.ExchangeRequest) { r.CodeVerifier = "" }), ""},
		{"unknown address", edit(func(r *signin.ExchangeRequest) { r.ClientIP = netip.Addr{} }), ""},

		{"no state", state(""), ""},
		{"state at the limit", state(strings.Repeat("s", 4096)), ""},
		{"state too long", state(strings.Repeat("s", 4097)), signin.InvalidRequest},
		{"uuid", state("0b0e7c52-52b8-4f52-9d5e-2f3f4a5b6c7d"), ""},
		{"uuid and scheme", state("uuid|myapp"), ""},
		{"uuid and another allowed scheme", state("uuid|com.example.other"), ""},
		{"csrf, scheme and more", state("csrf|myapp|eyJsb2MiOiIvIn0"), ""},
		{"csrf, scheme and junk", state("csrf|myapp|evil|https://evil.example"), ""},
		{"scheme without csrf", state("|myapp"), ""},
		{"foreign scheme", state("uuid|evil"), signin.SchemeNotAllowed},
		{"foreign scheme before an allowed one", state("uuid|evil|myapp"), signin.SchemeNotAllowed},
		{"script", state("uuid|javascript"), signin.SchemeNotAllowed},
		{"the web", state("uuid|https"), signin.SchemeNotAllowed},
		{"empty scheme", state("uuid|"), ""},
		{"empty scheme and more", state("uuid||myapp"), ""},
		{"bar alone", state("|"), ""},
		{"scheme in capitals", state("uuid|MyApp"), signin.SchemeNotAllowed},
		{"scheme with space", state("uuid| myapp"), signin.SchemeNotAllowed},
		{"scheme with slashes", state("uuid|myapp://"), signin.SchemeNotAllowed},
		{"scheme with line break", state("uuid|myapp\n"), signin.SchemeNotAllowed},
		{"encoded bar is no bar", state("uuid%7Cevil"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			s := w.start(t)
			got, err := s.Exchange(t.Context(), tt.in)
			closeService(t, s)
			if signin.CodeOf(err) != tt.want {
				t.Fatalf("got %v; want %q", err, tt.want)
			}
			if tt.want == "" {
				return
			}
			if diff := cmp.Diff(signin.Session{}, got); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
			for _, call := range w.calls.all() {
				if call != "policy" {
					t.Errorf("got a call of %s; want no upstream to hear of it", call)
				}
			}
			if m := signin.AsError(err).Message; m == "" || strings.Contains(m, "evil") {
				t.Errorf("got message %q; want one that repeats nothing", m)
			}
		})
	}
}

func TestService_Exchange_upstreamFails(t *testing.T) {
	t.Parallel()
	refused := &signin.Error{Code: signin.InvalidGrant, Message: "sign in again", Call: "token"}
	conflict := &signin.Error{Code: signin.AccountConflict, Message: "ask the operator", Call: "generate_link"}
	t.Run("TikTok", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		w.tiktok.exchange = func(context.Context, signin.Grant) (signin.Identity, error) {
			return signin.Identity{}, refused
		}
		s := w.start(t)
		_, err := s.Exchange(t.Context(), request)
		closeService(t, s)
		if !errors.Is(err, refused) {
			t.Errorf("got %v; want %v", err, refused)
		}
		if diff := cmp.Diff([]string{"policy", "exchange"}, w.calls.all()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
	t.Run("Supabase", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		cancelled := make(chan struct{})
		w.tiktok.profile = func(ctx context.Context, _ signin.Identity) (signin.Profile, error) {
			<-ctx.Done()
			close(cancelled)
			return signin.Profile{}, ctx.Err()
		}
		w.supabase.signIn = func(
			context.Context, signin.Identity, netip.Addr, func() signin.Profile,
		) (signin.SignedIn, error) {
			return signin.SignedIn{Session: session}, conflict
		}
		s := w.start(t)
		got, err := s.Exchange(t.Context(), request)
		if !errors.Is(err, conflict) {
			t.Errorf("got %v; want %v", err, conflict)
		}
		if diff := cmp.Diff(signin.Session{}, got); diff != "" {
			t.Errorf("session (-want +got):\n%s", diff)
		}
		<-cancelled // nobody needs the profile any more
		closeService(t, s)
		if w.calls.count("update") != 0 || w.calls.count("exchange") != 1 {
			t.Errorf("got calls %v; want one exchange and nothing stored", w.calls.all())
		}
		if out := w.logged(); out != "" {
			t.Errorf("got log %s; want no line about a profile nobody waits for", out)
		}
	})
}
