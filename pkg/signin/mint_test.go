package signin_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// The profile call and the search for the account wait for each other here: one after the other,
// they would wait for ever.
func TestService_profileBesideSearch(t *testing.T) {
	t.Parallel()
	w := newWorld()
	profileStarted, searchStarted := make(chan struct{}), make(chan struct{})
	w.tiktok.profile = func(ctx context.Context, _ signin.Identity) (signin.Profile, error) {
		close(profileStarted)
		select {
		case <-searchStarted:
			return miraToday, nil
		case <-ctx.Done():
			return signin.Profile{}, ctx.Err()
		}
	}
	var given signin.Profile
	w.supabase.signIn = func(
		ctx context.Context, _ signin.Identity, _ netip.Addr, profile func() signin.Profile,
	) (signin.SignedIn, error) {
		close(searchStarted)
		select {
		case <-profileStarted:
		case <-ctx.Done():
			return signin.SignedIn{}, ctx.Err()
		}
		given = profile()
		return signin.SignedIn{Session: session, Account: account, Created: true}, nil
	}
	s := w.start(t)
	if _, err := s.Exchange(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	closeService(t, s)
	if diff := cmp.Diff(miraToday, given); diff != "" {
		t.Errorf("profile of the new account (-want +got):\n%s", diff)
	}
}

// However the profile call ends, the person is signed in; only a new account waits for it, and not
// for long.
func TestService_profileTrouble(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, _ signin.Identity) (signin.Profile, error) {
		<-ctx.Done()
		return signin.Profile{}, ctx.Err()
	}
	fail := func(context.Context, signin.Identity) (signin.Profile, error) {
		return signin.Profile{}, &signin.Error{
			Code: signin.RateLimited, Call: "user_info",
			Upstream: signin.Upstream{Service: "tiktok", Status: 429, LogID: "2026AB"},
		}
	}
	slow := func(ctx context.Context, _ signin.Identity) (signin.Profile, error) {
		time.Sleep(2 * time.Second)
		return miraToday, ctx.Err()
	}
	tests := []struct {
		name    string
		profile func(context.Context, signin.Identity) (signin.Profile, error)
		timeout time.Duration
		created bool
		took    time.Duration
		given   signin.Profile
		updates int
		log     string
	}{
		{name: "fails, known person", profile: fail, log: `"profile not read"`},
		{name: "fails, new person", profile: fail, created: true, log: `"tiktok_log_id":"2026AB"`},
		{name: "slow, known person", profile: slow, updates: 1},
		{name: "slow, new person", profile: slow, created: true, took: 2 * time.Second, given: miraToday, updates: 1},
		{name: "hangs, known person", profile: hang, log: `"profile not read"`},
		{name: "hangs, new person", profile: hang, created: true, took: 5 * time.Second, log: `"profile not read"`},
		{
			name: "hangs, new person, less patience", profile: hang, timeout: time.Second, created: true,
			took: time.Second, log: `"profile not read"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.opts.ProfileTimeout = tt.timeout
				w.tiktok.profile = tt.profile
				var given signin.Profile
				w.supabase.signIn = func(
					_ context.Context, _ signin.Identity, _ netip.Addr, profile func() signin.Profile,
				) (signin.SignedIn, error) {
					if tt.created {
						given = profile()
					}
					return signin.SignedIn{
						Session: session, Account: signin.Account{ID: userID}, Created: tt.created,
					}, nil
				}
				s := w.start(t)
				start := time.Now()
				got, err := s.Exchange(t.Context(), request)
				took := time.Since(start)
				closeService(t, s)
				if err != nil {
					t.Fatalf("got %v; want a sign-in", err)
				}
				if diff := cmp.Diff(session, got); diff != "" {
					t.Errorf("session (-want +got):\n%s", diff)
				}
				if took != tt.took {
					t.Errorf("took %v; want %v", took, tt.took)
				}
				if diff := cmp.Diff(tt.given, given); diff != "" {
					t.Errorf("profile (-want +got):\n%s", diff)
				}
				if n := w.calls.count("update"); n != tt.updates {
					t.Errorf("got %d updates; want %d", n, tt.updates)
				}
				if out := w.logged(); !strings.Contains(out, tt.log) || (tt.log == "") != (out == "") ||
					strings.Contains(out, canary) {
					t.Errorf("got log %q; want one about %q and no token", out, tt.log)
				}
			})
		})
	}
}

func TestService_profileStored(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before signin.Profile
		today  signin.Profile
		want   int
	}{
		{
			"new avatar",
			signin.Profile{UnionID: "u-1", DisplayName: "Mira", AvatarURL: "https://cdn.example/old.jpeg"},
			miraToday,
			1,
		},
		{"first profile", signin.Profile{}, miraToday, 1},
		{"unchanged", miraToday, miraToday, 0},
		{"nothing to show", miraToday, signin.Profile{}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			answered := make(chan struct{})
			w.tiktok.profile = func(context.Context, signin.Identity) (signin.Profile, error) { return tt.today, nil }
			account := signin.Account{ID: userID, OpenID: mira.OpenID, Profile: tt.before}
			w.supabase.signIn = func(
				context.Context, signin.Identity, netip.Addr, func() signin.Profile,
			) (signin.SignedIn, error) {
				return signin.SignedIn{Session: session, Account: account}, nil
			}
			var stored signin.Profile
			var of signin.Account
			var cause error
			w.supabase.update = func(ctx context.Context, a signin.Account, p signin.Profile) error {
				<-answered // were the answer to wait for this, neither would come
				of, stored, cause = a, p, ctx.Err()
				return nil
			}
			s := w.start(t)
			ctx, cancel := context.WithCancel(t.Context())
			_, err := s.Exchange(ctx, request)
			cancel() // as net/http does once the answer is written
			close(answered)
			if err != nil {
				t.Fatal(err)
			}
			closeService(t, s)
			if n := w.calls.count("update"); n != tt.want {
				t.Fatalf("got %d updates; want %d", n, tt.want)
			}
			if tt.want == 0 {
				return
			}
			if cause != nil {
				t.Errorf("got %v; want the update to outlive the request", cause)
			}
			if diff := cmp.Diff(tt.today, stored); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(account, of); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
		})
	}
}

func TestService_profileNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tiktok.profile = func(context.Context, signin.Identity) (signin.Profile, error) {
		return signin.Profile{DisplayName: "new " + canary}, nil
	}
	w.supabase.update = func(context.Context, signin.Account, signin.Profile) error {
		return &signin.Error{Code: signin.SupabaseUnavailable, Message: "m", Call: "update_user"}
	}
	s := w.start(t)
	if _, err := s.Exchange(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	closeService(t, s)
	out := w.logged()
	for _, want := range []string{
		`"profile not stored"`, `"level":"WARN"`, `"call":"update_user"`, `"supabase_unavailable"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got log %s; want %s in it", out, want)
		}
	}
	wantHidden(t, "log", out)
}

func TestService_report(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		in      signin.ExchangeRequest
		created bool
		want    map[string]string
	}{
		{
			"known person", request, false,
			map[string]string{"outcome": "signed_in", "user_id": userID, "calls_ms": "verify"},
		},
		{"new person", request, true, map[string]string{"outcome": "created", "user_id": userID, "calls_ms": "verify"}},
		{"refused", signin.ExchangeRequest{}, false, map[string]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.supabase.signIn = func(
				ctx context.Context, _ signin.Identity, _ netip.Addr, _ func() signin.Profile,
			) (signin.SignedIn, error) {
				signin.ReportFrom(ctx).Time("verify")()
				return signin.SignedIn{Session: session, Account: account, Created: tt.created}, nil
			}
			s := w.start(t)
			r := new(signin.Report)
			_, _ = s.Exchange(signin.WithReport(t.Context(), r), tt.in)
			closeService(t, s)
			got := map[string]string{}
			for _, a := range r.LogAttrs() {
				if a.Key == "calls_ms" {
					got[a.Key] = a.Value.Group()[0].Key
					continue
				}
				got[a.Key] = a.Value.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			wantHidden(t, "report", fmt.Sprint(r.LogAttrs()))
		})
	}
}

// Each of many sign-ins at once gets its own session.
func TestService_concurrent(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.opts.ReturnTokens = true
	w.tiktok.exchange = func(_ context.Context, g signin.Grant) (signin.Identity, error) {
		return signin.Identity{OpenID: g.Code, AccessToken: g.Code}, nil
	}
	w.tiktok.profile = func(_ context.Context, id signin.Identity) (signin.Profile, error) {
		return signin.Profile{DisplayName: id.OpenID}, nil
	}
	w.supabase.signIn = func(
		_ context.Context, id signin.Identity, _ netip.Addr, profile func() signin.Profile,
	) (signin.SignedIn, error) {
		if got := profile().DisplayName; got != id.OpenID {
			return signin.SignedIn{}, fmt.Errorf("got the profile of %s; want %s", got, id.OpenID)
		}
		return signin.SignedIn{
			Session: signin.Session{AccessToken: id.OpenID}, Account: signin.Account{ID: id.OpenID},
		}, nil
	}
	w.supabase.update = func(_ context.Context, a signin.Account, p signin.Profile) error {
		if a.ID != p.DisplayName {
			return fmt.Errorf("profile of %s for %s", p.DisplayName, a.ID)
		}
		return nil
	}
	s := w.start(t)
	const people = 100
	errs := make(chan error, people)
	for i := range people {
		go func() {
			r := request
			r.Code = fmt.Sprintf("person-%d", i)
			got, err := s.Exchange(t.Context(), r)
			if err == nil && (got.AccessToken != r.Code || got.ProviderToken != r.Code) {
				err = fmt.Errorf("got the session of %s and the token of %s; want %s",
					got.AccessToken, got.ProviderToken, r.Code)
			}
			errs <- err
		}()
	}
	for range people {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	closeService(t, s)
	if n := w.calls.count("update"); n != people {
		t.Errorf("got %d profiles stored; want %d", n, people)
	}
	if out := w.logged(); out != "" {
		t.Errorf("got log %s; want none", out)
	}
}

// TestOpenID: whatever an Authenticator says, in either flow, nobody whose open_id may be that of others
// gets to an account.
func TestOpenID(t *testing.T) {
	for name, openID := range map[string]string{
		"empty": "", "no UTF-8": "-000M1ra\xff", "replacement character": "-000M1ra\uFFFD", "zero": "-000M1ra\x00",
		"line break": "-000\nM1ra", "control of Latin-1": "-000M1ra\u0085",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHosted(t)
			h.tiktok.exchange = func(context.Context, signin.Grant) (signin.Identity, error) {
				return signin.Identity{OpenID: openID, AccessToken: "act." + canary}, nil
			}
			_, err := h.Exchange(t.Context(), signin.ExchangeRequest{Code: "code", RedirectURI: callback})
			wantCode(t, err, signin.TikTokUnavailable)
			back, err := h.callback(t, h.begin(t, web))
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.redeem(t, back.Handoff, verifier)
			wantCode(t, err, signin.TikTokUnavailable)
			if got := h.calls.all(); slices.Contains(got, "sign in") || slices.Contains(got, "profile") {
				t.Errorf("calls are %v; want none about the person", got)
			}
		})
	}
}
