package gotruesim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// DefaultJWTSecret is the local development secret of the Supabase CLI.
const DefaultJWTSecret = "super-secret-jwt-token-with-at-least-32-characters-long"

// maxBody is GoTrue's limit of a request body.
const maxBody = 1 << 20

// Options configure the emulated project. The zero value is a project as `supabase start` makes it.
type Options struct {
	// JWTSecret signs access tokens and legacy API keys (GOTRUE_JWT_SECRET).
	JWTSecret string
	// ExternalURL is the issuer of access tokens and the base of action links
	// (API_EXTERNAL_URL). Default http://127.0.0.1:54321/auth/v1.
	ExternalURL string
	// SiteURL is where links lead that name no other allowed address. Default
	// http://127.0.0.1:3000.
	SiteURL string
	// RedirectURLs are addresses that links may lead to beside SiteURL, as globs
	// (GOTRUE_URI_ALLOW_LIST).
	RedirectURLs []string
	// DisableSignup closes public sign-up; admin routes still make users.
	DisableSignup bool
	// RequireConfirmation turns the mailer's autoconfirm off. With autoconfirm, the default,
	// whoever signs up with an address owns it at once.
	RequireConfirmation bool
	// RequirePhoneConfirmation turns the autoconfirm of phones off, which `supabase start` has on.
	// There is no provider to send a code, so that nobody can add a phone then, as on a hosted
	// project that has not set one up.
	RequirePhoneConfirmation bool
	// DisableEmail switches the e-mail provider off for public routes.
	DisableEmail bool
	// ManualLinking lets users link identities by redirect, and unlink them
	// (GOTRUE_SECURITY_MANUAL_LINKING_ENABLED). Linking by id_token needs no permission.
	ManualLinking bool
	// AllowInsecureIssuers lets issuers of custom providers be plain http, on loopback and in private
	// networks. A real server refuses them all; this is for development, where everything runs on one
	// machine.
	AllowInsecureIssuers bool
	// Transport reaches OpenID Providers. Default http.DefaultTransport.
	Transport http.RoundTripper
	// LookupIP resolves the host of an issuer, for the check of its addresses. Default net.LookupIP.
	LookupIP func(host string) ([]net.IP, error)
	// BannedKeepAccess lets access tokens of banned users pass, as before v2.195.0.
	BannedKeepAccess bool
	// MaxRequestDuration is how long after its start a request may still commit
	// (GOTRUE_API_MAX_REQUEST_DURATION). Default 10 s; negative is no limit. A real server answers
	// 504 when the time is up, this one when the request goes on.
	MaxRequestDuration time.Duration
	// RateLimitVerify is how many /verify requests a key may make per 5 minutes, beside a burst of
	// 30. It only matters with SBForwardedFor or RateLimitHeader. Default 30 (GOTRUE_RATE_LIMIT_VERIFY).
	RateLimitVerify int
	// RateLimitToken is the same for /token (GOTRUE_RATE_LIMIT_TOKEN_REFRESH). Default 150.
	RateLimitToken int
	// RateLimitHeader names the header that holds the client's address
	// (GOTRUE_RATE_LIMIT_HEADER).
	RateLimitHeader string
	// SBForwardedFor makes Sb-Forwarded-For name the client's address
	// (GOTRUE_SECURITY_SB_FORWARDED_FOR_ENABLED).
	SBForwardedFor bool
	// EmailMaxFrequency is the least time between two mails of a kind to one user; an admin's
	// generate_link counts as a mail sent. Default 1 s, as in `supabase start`; negative is none.
	EmailMaxFrequency time.Duration
	// AccessTokenTTL and OTPTTL are how long an access token and a link are good. Default 3600 s.
	AccessTokenTTL, OTPTTL time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// WriteDelay is how long the emulated database takes between the check and the write of a
	// create, between reading and consuming a link, and between the read and the write of an
	// admin update. It opens the race windows of the real server.
	WriteDelay time.Duration
	// BeforeUserCreated is the hook of that name: a status other than 0 refuses the user.
	// Creating a user by POST /admin/users does not call it, as on the real server.
	BeforeUserCreated func(user map[string]any) (status int, message string)
	// CustomAccessToken is the hook of that name, which is asked before every access token. An error is a
	// HookRefusal, ErrHookTimeout, ErrHookUnreachable, or anything else for a function that raises. What it
	// makes of the claims is left out.
	CustomAccessToken func(user map[string]any) error
	// UserTrigger is a trigger before insert or update on auth.users. An error is an exception it raises. It
	// is called while the row is locked, and must not call the server.
	UserTrigger func(Write) error
}

// Server is the emulator. Under /auth/v1 it is GoTrue behind Supabase's gateway, elsewhere it is
// GoTrue itself. It is safe for concurrent use.
type Server struct {
	opts        Options
	now         func() time.Time
	db          *store
	verifyLimit *limiter
	tokenLimit  *limiter
	issuers     issuers
	outbox      outbox
	allowList   allowList
	holds       holds
	public      map[string]methods
}

// New makes an empty project.
func New(o Options) *Server {
	o.JWTSecret = cmp.Or(o.JWTSecret, DefaultJWTSecret)
	o.ExternalURL = strings.TrimSuffix(cmp.Or(o.ExternalURL, "http://127.0.0.1:54321/auth/v1"), "/")
	o.SiteURL = cmp.Or(o.SiteURL, "http://127.0.0.1:3000")
	o.RateLimitVerify = cmp.Or(o.RateLimitVerify, 30)
	o.EmailMaxFrequency = cmp.Or(o.EmailMaxFrequency, time.Second)
	o.AccessTokenTTL = cmp.Or(o.AccessTokenTTL, time.Hour)
	o.OTPTTL = cmp.Or(o.OTPTTL, time.Hour)
	o.MaxRequestDuration = cmp.Or(o.MaxRequestDuration, 10*time.Second)
	o.RateLimitToken = cmp.Or(o.RateLimitToken, 150)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.LookupIP == nil {
		o.LookupIP = net.LookupIP
	}
	s := &Server{
		opts: o, now: o.Now, db: newStore(o.Now, o.UserTrigger),
		verifyLimit: newLimiter(o.RateLimitVerify, o.Now),
		tokenLimit:  newLimiter(o.RateLimitToken, o.Now),
		allowList:   newAllowList(o.SiteURL, o.RedirectURLs),
	}
	s.public = s.publicRoutes()
	return s
}

// ServiceRoleKey is the legacy admin key, a JWT.
func (s *Server) ServiceRoleKey() string { return s.apiKey("service_role") }

// AnonKey is the legacy public key, a JWT.
func (s *Server) AnonKey() string { return s.apiKey("anon") }

// Reset forgets all users, sessions, links, flows, custom providers, mails and spent rate limits.
func (s *Server) Reset() {
	s.db.reset()
	s.verifyLimit.reset()
	s.tokenLimit.reset()
	s.issuers.reset()
	s.outbox.reset()
}

// Users counts the accounts, soft-deleted ones included.
func (s *Server) Users() int { return get(s.db, func(tx *tx) int { return len(tx.users) }) }

// Sessions counts a user's sessions.
func (s *Server) Sessions(userID string) int {
	return get(s.db, func(tx *tx) int { return len(tx.signedIn[userID]) })
}

// Links counts the outstanding one-time tokens.
func (s *Server) Links() int { return get(s.db, func(tx *tx) int { return len(tx.tokens.byHash) }) }

// AddIdentity gives a user another identity, as linking an external provider does. email is what the
// provider says of the user's address, "" if it says nothing.
func (s *Server) AddIdentity(userID, provider, providerID, email string) error {
	claims := map[string]any{"sub": providerID}
	if email != "" {
		claims["email"] = email
	}
	return s.change(userID, func(u *user) { u.addIdentity(provider, claims, nil, s.now().UTC()) })
}

// UnlinkEmail takes the e-mail identity from a user who has another one, as DELETE
// /user/identities/{id} does.
func (s *Server) UnlinkEmail(userID string) error {
	return s.db.tx(func(tx *tx) error {
		u := tx.userByID(userID)
		if u == nil || u.identityOf(emailProvider) == nil || len(u.Identities) < 2 {
			return fmt.Errorf("gotruesim: nothing to unlink from user %q", userID)
		}
		return s.unlink(tx, u, *u.identityOf(emailProvider))
	})
}

// AddVerifiedFactor gives a user a verified TOTP factor, as enrolling an authenticator app does.
func (s *Server) AddVerifiedFactor(userID string) error {
	return s.change(userID, func(u *user) {
		now := s.now().UTC()
		u.Factors = append(u.Factors, factor{
			ID: uuid.NewString(), CreatedAt: now, UpdatedAt: now, Status: "verified",
			FriendlyName: "Authenticator", FactorType: "totp", LastChallengedAt: &now,
		})
	})
}

// AddPasskey gives a user a passkey, as registering one does. The user object does not show it.
func (s *Server) AddPasskey(userID string) error {
	return s.change(userID, func(u *user) {
		u.Passkeys = append(u.Passkeys, passkey{ID: uuid.NewString(), CreatedAt: s.now().UTC()})
	})
}

func (s *Server) change(userID string, fn func(*user)) error {
	return s.db.tx(func(tx *tx) error {
		u := tx.userByID(userID)
		if u == nil {
			return fmt.Errorf("gotruesim: no user %q", userID)
		}
		fn(u)
		return tx.save(u)
	})
}

// pause is the time the database takes.
func (s *Server) pause(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, gatewayPrefix+"/") {
		s.gateway(w, r)
		return
	}
	s.gotrue(w, r)
}

// gotrue is GoTrue without a gateway.
func (s *Server) gotrue(w http.ResponseWriter, r *http.Request) {
	if isPreflight(r) {
		preflight(w, r)
		return
	}
	allowOrigin(w, r)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := s.route(w, s.start(r)); err != nil {
		writeError(w, r, err)
	}
}

// handler answers a request or returns the error to answer with.
type handler func(w http.ResponseWriter, r *http.Request) error

// methods are the handlers of one path.
type methods map[string]handler

func (m methods) serve(w http.ResponseWriter, r *http.Request) error {
	if h, ok := m[r.Method]; ok {
		return h(w, r)
	}
	return &methodError{slices.Sorted(maps.Keys(m))}
}

// route finds the handler. What guards a path is checked before its method or the rest of the path
// is looked at, as in GoTrue's nested routers: an unknown admin route is 401 without a token.
func (s *Server) route(w http.ResponseWriter, r *http.Request) error {
	head, tail, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch head {
	case "admin":
		if err := s.requireAdmin(r); err != nil {
			return err
		}
		return s.routeAdmin(w, r, tail)
	case "user":
		if id, ok := strings.CutPrefix(tail, "identities/"); ok {
			return s.signedIn(s.routeIdentity(id))(w, r)
		}
		return s.signedIn(below(tail, methods{"GET": s.account, "PUT": s.updateAccount}))(w, r)
	case "factors", "reauthenticate":
		return s.signedIn(leftOut)(w, r)
	case "verify":
		if err := s.limit(s.verifyLimit, r); err != nil {
			return err
		}
		return below(tail, methods{"GET": s.verifyGet, "POST": s.verifyPost})(w, r)
	}
	m, ok := s.public[r.URL.Path]
	if !ok {
		return errNoRoute
	}
	return m.serve(w, r)
}

// below serves m if nothing but a slash follows its path.
func below(tail string, m methods) handler {
	if tail != "" {
		return func(http.ResponseWriter, *http.Request) error { return errNoRoute }
	}
	return m.serve
}

func (s *Server) publicRoutes() map[string]methods {
	return map[string]methods{
		"/health":                {"GET": health},
		"/settings":              {"GET": s.settings},
		"/.well-known/jwks.json": {"GET": jwks},
		"/signup":                {"POST": s.signup},
		"/signup/":               {"POST": s.signup},
		"/otp":                   {"POST": s.otp},
		"/magiclink":             {"POST": s.magicLink},
		"/recover":               {"POST": s.recoverPassword},
		"/token":                 {"POST": s.token},
		"/logout":                {"POST": s.signedIn(s.logout)},
		"/invite":                {"POST": s.admin(s.invite)},
		"/resend":                {"POST": leftOut},
		"/authorize":             {"GET": s.startSignIn},
		"/callback":              {"GET": s.callback, "POST": s.callback},
		"/callback/":             {"GET": s.callback, "POST": s.callback},
		"/sso":                   {"POST": leftOut},
	}
}

func (s *Server) routeAdmin(w http.ResponseWriter, r *http.Request, path string) error {
	head, tail, _ := strings.Cut(path, "/")
	switch head {
	case "users":
		if tail == "" {
			return methods{"GET": s.listUsers, "POST": s.createUser}.serve(w, r)
		}
		return s.routeUser(w, r, tail)
	case "generate_link":
		if path == head {
			return methods{"POST": s.generateLink}.serve(w, r)
		}
	case "custom-providers":
		return s.routeProvider(w, r, tail)
	case "audit", "sso", "oauth":
		return leftOut(w, r)
	}
	return errNoRoute
}

// routeUser loads the user before anything else, so even an unknown path below a user that does
// not exist is user_not_found.
func (s *Server) routeUser(w http.ResponseWriter, r *http.Request, path string) error {
	head, tail, _ := strings.Cut(path, "/")
	id, err := uuid.Parse(head)
	if err != nil {
		return fail(http.StatusNotFound, codeValidation, "user_id must be an UUID")
	}
	u := s.db.userByID(id.String())
	if u == nil {
		return fail(http.StatusNotFound, codeUserNotFound, "User not found")
	}
	with := func(fn func(http.ResponseWriter, *http.Request, *user) error) handler {
		return func(w http.ResponseWriter, r *http.Request) error { return fn(w, r, u) }
	}
	head, tail, _ = strings.Cut(tail, "/")
	switch {
	case head == "":
		return methods{
			"GET": with(s.showUser), "PUT": with(s.updateUser), "DELETE": with(s.deleteUser),
		}.serve(w, r)
	case head == "factors" && tail == "":
		return methods{"GET": with(showFactors)}.serve(w, r)
	case head == "passkeys" && tail == "":
		return methods{"GET": with(showPasskeys)}.serve(w, r)
	case head == "passkeys":
		return leftOut(w, r)
	case head == "factors":
		return s.routeFactor(w, r, u, strings.TrimSuffix(tail, "/"))
	}
	return errNoRoute
}

// signedIn guards a handler with requireUser.
func (s *Server) signedIn(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		r, err := s.requireUser(r)
		if err != nil {
			return err
		}
		return h(w, r)
	}
}

// admin guards a handler with requireAdmin.
func (s *Server) admin(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := s.requireAdmin(r); err != nil {
			return err
		}
		return h(w, r)
	}
}

// leftOut answers for routes that exist on a real server but not here, so that nobody takes the
// emulator's silence for GoTrue's answer.
func leftOut(_ http.ResponseWriter, r *http.Request) error {
	return fail(http.StatusNotImplemented, "", "gotruesim does not emulate %s %s",
		r.Method, r.URL.Path)
}

// readJSON decodes the whole body. Unknown fields and the Content-Type are ignored. name is what
// GoTrue calls the parameters: Go's decoder puts it in its messages, and GoTrue in its answers.
func readJSON(r *http.Request, into any, name string) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return parseJSON(body, into, name)
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fail(http.StatusRequestEntityTooLarge, codeTooLarge,
			"Request body too large (max %d bytes)", tooLarge.Limit)
	}
	if err != nil {
		return nil, internal("Could not read body into byte slice", err)
	}
	return body, nil
}

func parseJSON(body []byte, into any, name string) error {
	if err := json.Unmarshal(body, into); err != nil {
		return badJSON("Could not parse request body as JSON", err, name)
	}
	return nil
}

// badJSON puts GoTrue's own names of its parameters into the decoder's message.
func badJSON(what string, err error, name string) error {
	text := err.Error()
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if mismatch.Field == "" {
			text = fmt.Sprintf("json: cannot unmarshal %s into Go value of type api.%s",
				mismatch.Value, name)
		} else {
			mismatch.Struct = name
			text = mismatch.Error()
		}
	}
	return fail(http.StatusBadRequest, codeBadJSON, "%s: %s", what, text)
}
