package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	refresh  func(token string) (signin.Identity, error)
	revoke   func(token string) error
}

func (f *tiktok) Refresh(_ context.Context, token string) (signin.Identity, error) {
	f.add("refresh " + token)
	return f.refresh(token)
}

func (f *tiktok) Revoke(_ context.Context, token string) error {
	f.add("revoke " + token)
	return f.revoke(token)
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
	owner  func(accessToken, openID string) error
}

func (f *supabase) CheckOwner(_ context.Context, accessToken, openID string) error {
	f.add("check owner")
	return f.owner(accessToken, openID)
}

func (f *supabase) SignIn(
	ctx context.Context, id signin.Identity, client netip.Addr, profile func() signin.Profile,
) (signin.SignedIn, error) {
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
		AccessToken: "act." + canary, RefreshToken: "rft." + canary, ExpiresIn: 2 * time.Hour,
	}
	miraToday = signin.Profile{UnionID: "u-1", DisplayName: "Mira", AvatarURL: "https://cdn.example/today.jpeg"}
	session   = signin.Session{
		AccessToken: "at", TokenType: "bearer", ExpiresIn: 3600, ExpiresAt: 1800000000, RefreshToken: "rt",
		User: json.RawMessage(`{"id":"` + userID + `"}`),
	}
	account = signin.Account{ID: userID, OpenID: mira.OpenID, Profile: miraToday}
	phone   = netip.MustParseAddr("203.0.113.7")
	request = signin.ExchangeRequest{
		Code: "code*0!6410.va", RedirectURI: callback, State: "uuid|myapp", CodeVerifier: "verifier", ClientIP: phone,
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
		refresh: func(string) (signin.Identity, error) {
			fresh := mira
			fresh.AccessToken, fresh.RefreshToken = "act.fresh", "rft.fresh"
			return fresh, nil
		},
		revoke: func(string) error { return nil },
	}
	w.supabase = &supabase{
		calls: c,
		signIn: func(context.Context, signin.Identity, netip.Addr, func() signin.Profile) (signin.SignedIn, error) {
			return signin.SignedIn{Session: session, Account: account}, nil
		},
		update: func(context.Context, signin.Account, signin.Profile) error { return nil },
		owner: func(accessToken, openID string) error {
			if accessToken != session.AccessToken || openID != mira.OpenID {
				return signin.NewError(signin.CauseNotOwner)
			}
			return nil
		},
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
