package signin

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"
)

// Authenticator proves who a person is. pkg/tiktok implements it.
type Authenticator interface {
	// AuthorizeURL returns where to send a person.
	AuthorizeURL(r AuthorizeRequest) string
	// CodeVerifier returns what to send with a code that was asked for with this verifier: itself, or
	// nothing where PKCE is off.
	CodeVerifier(verifier string) string
	// Exchange turns an authorization code into an identity. It sends the code at most once,
	// whatever happens: a code that may have reached TikTok is spent. The OpenID of an identity is
	// one by [IsOpenID]. Errors are *Error.
	Exchange(ctx context.Context, g Grant) (Identity, error)
	// Refresh turns a refresh token into new tokens. It sends the token at most once: TikTok replaces it, and
	// the old one stops working at once. The OpenID is whose tokens they are.
	Refresh(ctx context.Context, refreshToken string) (Identity, error)
	// Revoke ends the grant that an access token belongs to.
	Revoke(ctx context.Context, accessToken string) error
	// Profile reads how the person wants to be shown, as far as the granted scopes allow.
	Profile(ctx context.Context, id Identity) (Profile, error)
}

// Accounts mints sessions. pkg/supabase and pkg/backend implement it.
type Accounts interface {
	// SignIn finds or creates the person's account and returns a new session for it. It vets the account
	// before it returns: the owner of id.OpenID reaches their own account or none. profile waits for the
	// person's profile, at most for its deadline, and is called only where the profile is needed. Safe for
	// concurrent use, also for one person. Errors are *Error.
	SignIn(ctx context.Context, id Identity, clientIP netip.Addr, profile func() Profile) (SignedIn, error)
	// UpdateProfile stores p with the account, and keeps everything else that is stored there.
	UpdateProfile(ctx context.Context, account Account, p Profile) error
	// CheckOwner returns nil if the session with this access token is that of the owner of openID. It is an
	// *Error with [AccessDenied] if it is somebody else's, or over.
	CheckOwner(ctx context.Context, accessToken, openID string) error
}

// Account points at a user of the Supabase project. It is empty where the app's own backend keeps the users.
type Account struct {
	// ID is the user's UUID.
	ID string
	// OpenID is the TikTok open_id the account is tied to.
	OpenID string
	// Profile is what the account held before this sign-in.
	Profile Profile
}

// differs reports whether p has to be stored.
func (a Account) differs(p Profile) bool { return !p.IsZero() && p != a.Profile }

// SignedIn is what Accounts.SignIn returns.
type SignedIn struct {
	Session Session
	Account Account
	// Created is true for a first sign-in.
	Created bool
}

// Policy answers what the operator allows. pkg/allow implements it.
type Policy interface {
	// RedirectURI reports whether uri is allowed, compared byte for byte.
	RedirectURI(uri string) bool
	// Scheme reports whether the deeplink scheme is allowed.
	Scheme(scheme string) bool
	// ReturnTo reports whether a person may be sent to this page of the app.
	ReturnTo(uri string) bool
}

// Sealer makes tokens that only the bridge can make and read, each for one purpose. pkg/seal implements it.
type Sealer interface {
	Seal(purpose string, payload []byte) string
	// Open rejects tokens that were modified, made for another purpose or not made by the bridge.
	Open(purpose, token string) ([]byte, error)
}

// Once makes something single-use. pkg/once implements it.
type Once interface {
	// Claim returns true to exactly one caller with this key until ttl is over.
	Claim(ctx context.Context, key string, ttl time.Duration) (bool, error)
	// Release gives a claim back, so that somebody can claim the key again.
	Release(ctx context.Context, key string) error
}

// AuthorizeRequest is what differs from one authorize URL to the next.
type AuthorizeRequest struct {
	Redacted
	RedirectURI string
	State       string
	// Verifier is the PKCE verifier; ignored where PKCE is off.
	Verifier string
	// SelectAccount always shows TikTok's consent page, where another account can be chosen. Without
	// it TikTok silently signs the last account in again.
	SelectAccount bool
}

// Grant is an authorization code with all that its exchange needs (RFC 6749, section 4.1.3).
type Grant struct {
	Redacted
	Code         string
	RedirectURI  string
	CodeVerifier string // RFC 7636; empty without PKCE
}

// Options configure a Service.
type Options struct {
	Authenticator Authenticator
	// Accounts mints the sessions of the hosted and the guide flow; nil turns both off.
	Accounts Accounts
	Policy   Policy
	// Sealer and Once serve the hosted flow.
	Sealer Sealer
	Once   Once
	// Events claims what TikTok's webhooks deliver, for days. Default: Once.
	Events Once
	// CallbackURL is the bridge's own redirect URI, as registered with TikTok; empty turns the hosted
	// flow off.
	CallbackURL string
	// DefaultScheme and DefaultRedirect are used where an app sends none.
	DefaultScheme   string
	DefaultRedirect string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// ReturnTokens puts TikTok's tokens into the session, as provider_token, and refreshes and revokes them.
	ReturnTokens bool
	// OnRemoved says what the end of a person's grant does to their account. Default: RemovalIgnore.
	OnRemoved Removal
	// Sessions does it; nil where there are none of ours to end.
	Sessions Sessions
	// WarmTikTok and WarmAccounts open a connection for calls that are about to come, to TikTok and to whoever keeps
	// the accounts, unless there is one. They are called in the background; their context ends with the service.
	// Nil: nothing is opened ahead.
	WarmTikTok, WarmAccounts func(ctx context.Context)
	// Forward passes TikTok's events on; nil if nobody wants them. It must not wait for the receiver, and returns
	// false if too many events wait already.
	Forward func(ctx context.Context, e Event) bool
	// ProfileTimeout bounds the profile call, which runs beside the sign-in. Default:
	// DefaultProfileTimeout.
	ProfileTimeout time.Duration
	// Logger receives what goes wrong beside a sign-in or after it. Default: discarded.
	Logger *slog.Logger
}

// DefaultProfileTimeout is how long a new account waits for its profile.
const DefaultProfileTimeout = 5 * time.Second

// Service signs people in.
type Service struct {
	opts       Options
	background sync.WaitGroup
	// ending ends with Close, and background work with it.
	ending context.Context
	end    context.CancelFunc
}

// New returns a Service. Close it when done.
func New(opts Options) *Service {
	if opts.ProfileTimeout <= 0 {
		opts.ProfileTimeout = DefaultProfileTimeout
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Events == nil {
		opts.Events = opts.Once
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{opts: opts}
	s.ending, s.end = context.WithCancel(context.Background())
	return s
}

// Close waits for background work (profiles on their way to Supabase) until ctx is done, then cancels it.
func (s *Service) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.background.Wait()
		close(done)
	}()
	defer s.end()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.end()
		<-done
		return ctx.Err()
	}
}

// work runs f in the background. A panic ends f and not the process: no sign-in depends on it.
func (s *Service) work(ctx context.Context, f func()) {
	s.background.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				s.opts.Logger.LogAttrs(ctx, slog.LevelError, "panic beside a sign-in",
					slog.String("stack", string(debug.Stack())))
			}
		}()
		f()
	})
}

// warm opens connections in the background: while the person is at TikTok, or another call is on its way.
func (s *Service) warm(open func(context.Context)) {
	if open != nil {
		s.work(s.ending, func() { open(s.ending) })
	}
}

// detach returns a context with the values of ctx (request id, trace) that outlives it: it ends after
// timeout or with the service.
func (s *Service) detach(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(s.ending, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
