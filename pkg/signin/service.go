package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strings"
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
	// Profile reads how the person wants to be shown, as far as the granted scopes allow.
	Profile(ctx context.Context, id Identity) (Profile, error)
}

// Accounts mints sessions. pkg/supabase implements it.
type Accounts interface {
	// SignIn finds or creates the account of the person and returns a new session for it. The
	// account is vetted before a session exists: the person who owns id.OpenID reaches their own
	// account or none. profile waits for the person's profile and is called only when an account is
	// created. Safe for concurrent use, also for one person. Errors are *Error.
	SignIn(ctx context.Context, id Identity, client netip.Addr, profile func() Profile) (SignedIn, error)
	// UpdateProfile stores p with the account, and keeps everything else that is stored there.
	UpdateProfile(ctx context.Context, account Account, p Profile) error
}

// Account points at a user of the Supabase project.
type Account struct {
	// ID is the user's UUID.
	ID string
	// OpenID is the TikTok open_id the account is tied to.
	OpenID string
	// Profile is what the account held before this sign-in.
	Profile Profile
}

// differs tells whether a profile is there to be stored.
func (a Account) differs(p Profile) bool { return !p.IsZero() && p != a.Profile }

// SignedIn is what Accounts.SignIn returns.
type SignedIn struct {
	Session Session
	Account Account
	// Created tells a first sign-in.
	Created bool
}

// Policy answers what the operator allows. pkg/allow implements it.
type Policy interface {
	// RedirectURI tells whether uri is allowed, compared byte for byte.
	RedirectURI(uri string) bool
	// Scheme tells whether the deeplink scheme is allowed.
	Scheme(scheme string) bool
	// ReturnTo tells whether a person may be sent to this page of the app.
	ReturnTo(uri string) bool
}

// AuthorizeRequest is what differs from one authorize URL to the next.
type AuthorizeRequest struct {
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
	Code         string
	RedirectURI  string
	CodeVerifier string // RFC 7636; empty without PKCE
}

// Format keeps the code out of anything that prints a grant.
func (Grant) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps it out of logs.
func (Grant) LogValue() slog.Value { return slog.StringValue(redacted) }

// Options configure a Service.
type Options struct {
	Authenticator Authenticator
	Accounts      Accounts
	Policy        Policy
	// Sealer and Once serve the bridge-led flow.
	Sealer Sealer
	Once   Once
	// CallbackURL is the redirect URI of the bridge itself, as registered with TikTok; empty switches
	// the bridge-led flow off.
	CallbackURL string
	// DefaultScheme and DefaultRedirect stand in for what an app does not say.
	DefaultScheme   string
	DefaultRedirect string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// ReturnTokens puts TikTok's tokens into the session, as provider_token.
	ReturnTokens bool
	// ProfileTimeout bounds the profile call, which runs beside the sign-in. Default:
	// DefaultProfileTimeout.
	ProfileTimeout time.Duration
	// Logger takes what happens after an answer was given. Default: discarded.
	Logger *slog.Logger
}

// DefaultProfileTimeout is how long a new account waits for its profile at most.
const DefaultProfileTimeout = 5 * time.Second

// Service signs people in.
type Service struct {
	opts       Options
	background sync.WaitGroup
	// ending is closed by Close: work that nobody waits for ends then.
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
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{opts: opts}
	s.ending, s.end = context.WithCancel(context.Background())
	return s
}

// Close waits for work that goes on after an answer (profiles on their way to Supabase) until ctx
// is done, then ends it.
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

// ExchangeRequest is what a page of the documented flow sends.
type ExchangeRequest struct {
	Code         string
	RedirectURI  string
	State        string
	CodeVerifier string
	// Client is the address of the person's device, as far as proxies can be trusted; it may be
	// invalid, which means unknown.
	Client netip.Addr
}

// Format keeps the code out of anything that prints a request.
func (ExchangeRequest) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue keeps it out of logs.
func (ExchangeRequest) LogValue() slog.Value { return slog.StringValue(redacted) }

// Limits of what TikTok or a guide's app ever sends, with room to spare. They keep junk away from
// the upstreams.
const (
	maxCode        = 4096
	maxRedirectURI = 512 // TikTok docs: Login Kit for Web
	maxState       = 4096
	minVerifier    = 43 // RFC 7636, section 4.1
	maxVerifier    = 128
)

// Exchange is the documented flow: the app built TikTok's authorize URL itself, with a state of
// "uuid" or "uuid|scheme", and the page TikTok redirected to brings the code.
func (s *Service) Exchange(ctx context.Context, r ExchangeRequest) (Session, error) {
	if err := s.check(r); err != nil {
		return Session{}, err
	}
	done := ReportFrom(ctx).Time(StageExchange)
	id, err := s.opts.Authenticator.Exchange(ctx, Grant{r.Code, r.RedirectURI, r.CodeVerifier})
	done()
	if err != nil {
		return Session{}, err
	}
	return s.mint(ctx, id, r.Client)
}

// check refuses what must not reach TikTok. A code that is refused here is not spent.
func (s *Service) check(r ExchangeRequest) error {
	switch {
	case r.Code == "":
		return &Error{Code: InvalidRequest, Message: "The field code is missing: send the code that TikTok put into the redirect."}
	case len(r.Code) > maxCode:
		return &Error{Code: InvalidRequest, Message: "The field code is too long to be a code of TikTok."}
	case isEncoded(r.Code):
		return &Error{Code: InvalidRequest, Message: encodedCode}
	case r.RedirectURI == "":
		return &Error{Code: InvalidRequest, Message: "The field redirect_uri is missing: send the same redirect_uri that the authorize URL had."}
	case len(r.RedirectURI) > maxRedirectURI:
		return &Error{Code: InvalidRequest, Message: "The field redirect_uri is longer than the 512 characters TikTok allows."}
	case isEncodedURL(r.RedirectURI):
		return &Error{Code: RedirectURIMismatch, Message: encodedRedirectURI}
	case len(r.State) > maxState:
		return &Error{Code: InvalidRequest, Message: "The field state is too long."}
	case len(r.CodeVerifier) > maxVerifier:
		return &Error{Code: InvalidRequest, Message: "The field code_verifier is longer than the 128 characters RFC 7636 allows."}
	// A code of the bridge-led flow is never for sale here: whoever saw it would need no verifier.
	case r.RedirectURI == s.opts.CallbackURL, !s.opts.Policy.RedirectURI(r.RedirectURI):
		return &Error{Code: RedirectURIMismatch, Message: "This redirect_uri is not allowed here. The operator must list it in app.redirect_uris, character for character."}
	}
	if scheme, ok := schemeOf(r.State); ok && !s.opts.Policy.Scheme(scheme) {
		return &Error{Code: SchemeNotAllowed, Message: "The deeplink scheme in the state is not allowed here. The operator must list it in app.deeplink_schemes."}
	}
	return nil
}

// schemeOf returns the deeplink scheme of a documented-flow state, if it names one. Despia's guide
// sends "uuid|scheme", its own helper "csrf|scheme|more".
func schemeOf(state string) (scheme string, ok bool) {
	_, rest, _ := strings.Cut(state, "|")
	scheme, _, _ = strings.Cut(rest, "|")
	return scheme, scheme != ""
}

// mint is the core of every flow: identity, account, session. The profile is read beside the search
// for the account, since nothing but a new account needs it.
func (s *Service) mint(ctx context.Context, id Identity, client netip.Addr) (Session, error) {
	if !IsOpenID(id.OpenID) { // no Authenticator should let it get here; two people must never share an account
		err := Errorf(TikTokUnavailable, "TikTok does not answer as it should. Please try again in a moment.",
			"open_id cannot be told from that of another person")
		err.Stage = StageExchange
		return Session{}, err
	}
	profile := s.readProfile(ctx, id)
	in, err := s.opts.Accounts.SignIn(ctx, id, client, profile.wait)
	if err != nil {
		profile.cancel()
		return Session{}, err
	}
	outcome := OutcomeSignedIn
	if in.Created {
		outcome = OutcomeCreated
	}
	ReportFrom(ctx).SetUser(in.Account.ID)
	ReportFrom(ctx).SetOutcome(outcome)
	s.refreshProfile(ctx, in.Account, profile)
	if s.opts.ReturnTokens {
		in.Session.ProviderToken = id.AccessToken
		in.Session.ProviderRefreshToken = id.RefreshToken
	}
	return in.Session, nil
}

// pendingProfile is a profile on its way from TikTok.
type pendingProfile struct {
	ready   chan struct{} // closed when profile is set
	profile Profile
	cancel  context.CancelFunc
}

// wait returns the profile, or none when TikTok did not give it in time.
func (p *pendingProfile) wait() Profile {
	<-p.ready
	return p.profile
}

// isReady tells whether wait would not wait.
func (p *pendingProfile) isReady() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// readProfile starts the profile call. It outlives the request that started it, because what it
// brings is stored after the answer was given, but never the service, nor its own deadline.
func (s *Service) readProfile(ctx context.Context, id Identity) *pendingProfile {
	ctx, cancel := s.detach(ctx, s.opts.ProfileTimeout)
	p := &pendingProfile{ready: make(chan struct{}), cancel: cancel}
	done := ReportFrom(ctx).Time(StageProfile)
	s.work(ctx, func() {
		defer cancel()
		defer close(p.ready)
		profile, err := s.opts.Authenticator.Profile(ctx, id)
		done()
		switch {
		case err == nil:
			p.profile = profile
		case !errors.Is(err, context.Canceled):
			s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "profile not read", AsError(err).LogAttrs()...)
		}
	})
	return p
}

// refreshProfile stores what TikTok says today, if it differs from what the account held. Nobody
// waits for it: the sign-in is over.
func (s *Service) refreshProfile(ctx context.Context, account Account, pending *pendingProfile) {
	if pending.isReady() && !account.differs(pending.profile) {
		return // as most often: the profile came before the session
	}
	ctx, cancel := s.detach(ctx, 2*s.opts.ProfileTimeout)
	s.work(ctx, func() {
		defer cancel()
		profile := pending.wait()
		if !account.differs(profile) {
			return
		}
		if err := s.opts.Accounts.UpdateProfile(ctx, account, profile); err != nil {
			s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "profile not stored", AsError(err).LogAttrs()...)
		}
	})
}

// work runs f beside the request. A panic in it ends f and not the process: nobody's sign-in depends
// on it.
func (s *Service) work(ctx context.Context, f func()) {
	s.background.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				s.opts.Logger.LogAttrs(ctx, slog.LevelError, "panic beside a sign-in", slog.String("stack", string(debug.Stack())))
			}
		}()
		f()
	})
}

// detach returns a context that keeps the values of ctx (request id, trace) but not its end: it ends
// after timeout or with the service.
func (s *Service) detach(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(s.ending, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
