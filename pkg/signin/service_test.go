package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	callback = "https://app.example/native-callback"
	userID   = "6f0d8a3e-0000-5000-8000-000000000001"
)

// calls remembers in what order the fakes were called.
type calls struct {
	mu   sync.Mutex
	list []string
}

func (c *calls) add(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, call)
}

func (c *calls) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

func (c *calls) count(call string) int {
	n := 0
	for _, got := range c.all() {
		if got == call {
			n++
		}
	}
	return n
}

// tiktok is an Authenticator.
type tiktok struct {
	*calls
	asked    signin.AuthorizeRequest
	exchange func(context.Context, signin.Grant) (signin.Identity, error)
	profile  func(context.Context, signin.Identity) (signin.Profile, error)
}

func (f *tiktok) AuthorizeURL(r signin.AuthorizeRequest) string {
	f.asked = r
	return "https://tiktok.example/authorize?state=" + r.State
}

func (f *tiktok) CodeVerifier(verifier string) string { return verifier }

func (f *tiktok) Exchange(ctx context.Context, g signin.Grant) (signin.Identity, error) {
	f.add("exchange")
	return f.exchange(ctx, g)
}

func (f *tiktok) Profile(ctx context.Context, id signin.Identity) (signin.Profile, error) {
	f.add("profile")
	return f.profile(ctx, id)
}

// supabase is an Accounts.
type supabase struct {
	*calls
	signIn func(context.Context, signin.Identity, netip.Addr, func() signin.Profile) (signin.SignedIn, error)
	update func(context.Context, signin.Account, signin.Profile) error
}

func (f *supabase) SignIn(ctx context.Context, id signin.Identity, client netip.Addr, profile func() signin.Profile) (signin.SignedIn, error) {
	f.add("sign in")
	return f.signIn(ctx, id, client, profile)
}

func (f *supabase) UpdateProfile(ctx context.Context, a signin.Account, p signin.Profile) error {
	f.add("update")
	return f.update(ctx, a, p)
}

// policy allows one redirect URI and two schemes.
type policy struct{ *calls }

func (p policy) RedirectURI(uri string) bool {
	p.add("policy")
	return uri == callback || strings.HasPrefix(uri, "https://long.example/")
}

func (p policy) Scheme(scheme string) bool {
	return scheme == "myapp" || scheme == "com.example.other"
}

func (p policy) ReturnTo(uri string) bool { return strings.HasPrefix(uri, "https://app.example/") }

var (
	mira = signin.Identity{
		OpenID: "-000M1ra", Scopes: []string{"user.info.basic"},
		AccessToken: "act." + canary, RefreshToken: "rft." + canary,
	}
	miraToday = signin.Profile{UnionID: "u-1", DisplayName: "Mira", AvatarURL: "https://cdn.example/today.jpeg"}
	session   = signin.Session{
		AccessToken: "at", TokenType: "bearer", ExpiresIn: 3600, ExpiresAt: 1800000000, RefreshToken: "rt",
		User: json.RawMessage(`{"id":"` + userID + `"}`),
	}
	account = signin.Account{ID: userID, OpenID: mira.OpenID, Profile: miraToday}
	phone   = netip.MustParseAddr("203.0.113.7")
	request = signin.ExchangeRequest{
		Code: "code*0!6410.va", RedirectURI: callback, State: "uuid|myapp", CodeVerifier: "verifier", Client: phone,
	}
)

// world is a service between two upstreams that do as they should, until a test says otherwise.
type world struct {
	calls    *calls
	tiktok   *tiktok
	supabase *supabase
	opts     signin.Options
	log      *bytes.Buffer
	logMu    sync.Mutex
}

func newWorld() *world {
	c := &calls{}
	w := &world{calls: c, log: new(bytes.Buffer)}
	w.tiktok = &tiktok{
		calls:    c,
		exchange: func(context.Context, signin.Grant) (signin.Identity, error) { return mira, nil },
		profile:  func(context.Context, signin.Identity) (signin.Profile, error) { return miraToday, nil },
	}
	w.supabase = &supabase{
		calls: c,
		signIn: func(context.Context, signin.Identity, netip.Addr, func() signin.Profile) (signin.SignedIn, error) {
			return signin.SignedIn{Session: session, Account: account}, nil
		},
		update: func(context.Context, signin.Account, signin.Profile) error { return nil },
	}
	w.opts = signin.Options{
		Authenticator: w.tiktok, Accounts: w.supabase, Policy: policy{c},
		Logger: slog.New(slog.NewJSONHandler(w, nil)),
	}
	return w
}

// Write takes log lines.
func (w *world) Write(p []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.String()
}

// start returns the service; everything it left behind is over when the test is.
func (w *world) start(t *testing.T) *signin.Service {
	t.Helper()
	s := signin.New(w.opts)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx)
	})
	return s
}

func closeService(t *testing.T, s *signin.Service) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func TestService_Exchange(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var grant signin.Grant
	var id signin.Identity
	var client netip.Addr
	w.tiktok.exchange = func(_ context.Context, g signin.Grant) (signin.Identity, error) { grant = g; return mira, nil }
	w.supabase.signIn = func(_ context.Context, i signin.Identity, c netip.Addr, _ func() signin.Profile) (signin.SignedIn, error) {
		id, client = i, c
		return signin.SignedIn{Session: session, Account: account}, nil
	}
	s := w.start(t)
	got, err := s.Exchange(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	closeService(t, s)
	if diff := cmp.Diff(session, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	want := signin.Grant{Code: request.Code, RedirectURI: request.RedirectURI, CodeVerifier: request.CodeVerifier}
	if diff := cmp.Diff(want, grant); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(mira, id); diff != "" || client != phone {
		t.Errorf("got client %v, identity (-want +got):\n%s", client, diff)
	}
	if got := w.calls.all(); got[0] != "policy" || got[1] != "exchange" || w.calls.count("exchange") != 1 || w.calls.count("sign in") != 1 {
		t.Errorf("got calls %v; want policy first, then one exchange and one sign-in", got)
	}
}

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
		{"code too long", edit(func(r *signin.ExchangeRequest) { r.Code = strings.Repeat("c", 4097) }), signin.InvalidRequest},
		{"code still encoded", edit(func(r *signin.ExchangeRequest) { r.Code = "BELY%2A0%216410.va" }), signin.InvalidRequest},
		{"no redirect_uri", edit(func(r *signin.ExchangeRequest) { r.RedirectURI = "" }), signin.InvalidRequest},
		{"redirect_uri at the limit", edit(func(r *signin.ExchangeRequest) { r.RedirectURI = long + strings.Repeat("r", 512-len(long)) }), ""},
		{"redirect_uri too long", edit(func(r *signin.ExchangeRequest) { r.RedirectURI = long + strings.Repeat("r", 513-len(long)) }), signin.InvalidRequest},
		{"foreign redirect_uri", edit(func(r *signin.ExchangeRequest) { r.RedirectURI = "https://evil.example/native-callback" }), signin.RedirectURIMismatch},
		{"redirect_uri with a slash more", edit(func(r *signin.ExchangeRequest) { r.RedirectURI += "/" }), signin.RedirectURIMismatch},
		{"redirect_uri in capitals", edit(func(r *signin.ExchangeRequest) { r.RedirectURI = strings.ToUpper(r.RedirectURI) }), signin.RedirectURIMismatch},
		{"verifier at the limit", edit(func(r *signin.ExchangeRequest) { r.CodeVerifier = strings.Repeat("v", 128) }), ""},
		{"verifier too long", edit(func(r *signin.ExchangeRequest) { r.CodeVerifier = strings.Repeat("v", 129) }), signin.InvalidRequest},
		{"no verifier", edit(func(r *signin.ExchangeRequest) { r.CodeVerifier = "" }), ""},
		{"unknown address", edit(func(r *signin.ExchangeRequest) { r.Client = netip.Addr{} }), ""},

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
	refused := &signin.Error{Code: signin.InvalidGrant, Message: "sign in again", Stage: signin.StageExchange}
	conflict := &signin.Error{Code: signin.AccountConflict, Message: "ask the operator", Stage: signin.StageFind}
	t.Run("TikTok", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		w.tiktok.exchange = func(context.Context, signin.Grant) (signin.Identity, error) { return signin.Identity{}, refused }
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
		w.supabase.signIn = func(context.Context, signin.Identity, netip.Addr, func() signin.Profile) (signin.SignedIn, error) {
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
	w.supabase.signIn = func(ctx context.Context, _ signin.Identity, _ netip.Addr, profile func() signin.Profile) (signin.SignedIn, error) {
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
			Code: signin.RateLimited, Stage: signin.StageProfile,
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
		{name: "hangs, new person, less patience", profile: hang, timeout: time.Second, created: true, took: time.Second, log: `"profile not read"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.opts.ProfileTimeout = tt.timeout
				w.tiktok.profile = tt.profile
				var given signin.Profile
				w.supabase.signIn = func(_ context.Context, _ signin.Identity, _ netip.Addr, profile func() signin.Profile) (signin.SignedIn, error) {
					if tt.created {
						given = profile()
					}
					return signin.SignedIn{Session: session, Account: signin.Account{ID: userID}, Created: tt.created}, nil
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
				if out := w.logged(); !strings.Contains(out, tt.log) || (tt.log == "") != (out == "") || strings.Contains(out, canary) {
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
		{"new avatar", signin.Profile{UnionID: "u-1", DisplayName: "Mira", AvatarURL: "https://cdn.example/old.jpeg"}, miraToday, 1},
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
			w.supabase.signIn = func(context.Context, signin.Identity, netip.Addr, func() signin.Profile) (signin.SignedIn, error) {
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
		return &signin.Error{Code: signin.SupabaseUnavailable, Message: "m", Stage: signin.StageRefresh}
	}
	s := w.start(t)
	if _, err := s.Exchange(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	closeService(t, s)
	out := w.logged()
	for _, want := range []string{`"profile not stored"`, `"level":"WARN"`, `"stage":"refresh"`, `"supabase_unavailable"`} {
		if !strings.Contains(out, want) {
			t.Errorf("got log %s; want %s in it", out, want)
		}
	}
	wantHidden(t, "log", out)
}

func TestService_Close(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		update   time.Duration // how long the write-back takes
		patience time.Duration // how long Close may wait
		took     time.Duration
		want     error
		ended    error // what the write-back saw
	}{
		{"nothing to wait for", 0, time.Second, 0, nil, nil},
		{"waits", 3 * time.Second, 5 * time.Second, 3 * time.Second, nil, nil},
		{"waits no longer than it may", 8 * time.Second, time.Second, time.Second, context.DeadlineExceeded, context.Canceled},
		{"a write-back ends by itself", time.Hour, time.Minute, 10 * time.Second, nil, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				var ended error
				w.supabase.signIn = func(context.Context, signin.Identity, netip.Addr, func() signin.Profile) (signin.SignedIn, error) {
					return signin.SignedIn{Session: session, Account: signin.Account{ID: userID}}, nil
				}
				w.supabase.update = func(ctx context.Context, _ signin.Account, _ signin.Profile) error {
					select {
					case <-time.After(tt.update):
					case <-ctx.Done():
					}
					ended = ctx.Err()
					return ctx.Err()
				}
				s := signin.New(w.opts)
				if _, err := s.Exchange(t.Context(), request); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
				defer cancel()
				start := time.Now()
				err := s.Close(ctx)
				if got := time.Since(start); got != tt.took {
					t.Errorf("took %v; want %v", got, tt.took)
				}
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("got %v; want %v", err, tt.want)
				}
				if !errors.Is(ended, tt.ended) || (ended == nil) != (tt.ended == nil) {
					t.Errorf("write-back saw %v; want %v", ended, tt.ended)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Errorf("second close: got %v; want nothing left to do", err)
				}
			})
		})
	}
}

// The defaults are enough to work, and a logger is no must.
func TestNew_defaults(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.opts.Logger = nil
	w.tiktok.profile = func(context.Context, signin.Identity) (signin.Profile, error) {
		return signin.Profile{}, errors.New("broken")
	}
	s := w.start(t)
	if _, err := s.Exchange(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	closeService(t, s)
}

func TestService_ReturnTokens(t *testing.T) {
	t.Parallel()
	withTokens := session
	withTokens.ProviderToken, withTokens.ProviderRefreshToken = mira.AccessToken, mira.RefreshToken
	tests := []struct {
		name string
		on   bool
		want signin.Session
	}{
		{"off", false, session},
		{"on", true, withTokens},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.opts.ReturnTokens = tt.on
			s := w.start(t)
			got, err := s.Exchange(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			closeService(t, s)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
		})
	}
}

func TestService_report(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		in      signin.ExchangeRequest
		created bool
		want    map[string]string
		stages  bool
	}{
		{"known person", request, false, map[string]string{"outcome": "signed_in", "user_id": userID}, true},
		{"new person", request, true, map[string]string{"outcome": "created", "user_id": userID}, true},
		{"refused", signin.ExchangeRequest{}, false, map[string]string{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.supabase.signIn = func(ctx context.Context, _ signin.Identity, _ netip.Addr, _ func() signin.Profile) (signin.SignedIn, error) {
				if signin.ReportFrom(ctx) == nil {
					return signin.SignedIn{}, errors.New("the report did not reach the adapter")
				}
				return signin.SignedIn{Session: session, Account: account, Created: tt.created}, nil
			}
			s := w.start(t)
			r := new(signin.Report)
			_, _ = s.Exchange(signin.WithReport(t.Context(), r), tt.in)
			closeService(t, s)
			got, stages := map[string]string{}, ""
			for _, a := range r.LogAttrs() {
				if a.Key == "stages_ms" {
					stages = a.Value.String()
					continue
				}
				got[a.Key] = a.Value.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if has := strings.Contains(stages, "exchange") && strings.Contains(stages, "profile"); has != tt.stages {
				t.Errorf("got stages %q; want the two of TikTok: %t", stages, tt.stages)
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
	w.supabase.signIn = func(_ context.Context, id signin.Identity, _ netip.Addr, profile func() signin.Profile) (signin.SignedIn, error) {
		if got := profile().DisplayName; got != id.OpenID {
			return signin.SignedIn{}, fmt.Errorf("got the profile of %s; want %s", got, id.OpenID)
		}
		return signin.SignedIn{Session: signin.Session{AccessToken: id.OpenID}, Account: signin.Account{ID: id.OpenID}}, nil
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
				err = fmt.Errorf("got the session of %s and the token of %s; want %s", got.AccessToken, got.ProviderToken, r.Code)
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
			l := newLed(t)
			l.tiktok.exchange = func(context.Context, signin.Grant) (signin.Identity, error) {
				return signin.Identity{OpenID: openID, AccessToken: "act." + canary}, nil
			}
			_, err := l.Exchange(t.Context(), signin.ExchangeRequest{Code: "code", RedirectURI: callback})
			wantCode(t, err, signin.TikTokUnavailable)
			back, err := l.callback(t, l.begin(t, web))
			if err != nil {
				t.Fatal(err)
			}
			_, err = l.redeem(t, back.Handoff, verifier)
			wantCode(t, err, signin.TikTokUnavailable)
			if got := l.calls.all(); slices.Contains(got, "sign in") || slices.Contains(got, "profile") {
				t.Errorf("calls are %v; want none about the person", got)
			}
		})
	}
}
