package tiktoksim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The credentials a simulator accepts unless Options name others. Their form says at a glance, in
// any log or configuration, that no real TikTok app is behind them.
const (
	DefaultClientKey    = "sim_client_key"
	DefaultClientSecret = "sim_client_secret" //nolint:gosec // no secret: a published default
)

// Lifetimes used when Options leave them at zero.
const (
	// defaultCodeTTL is the ceiling RFC 6749 section 4.1.2 recommends; TikTok states none.
	defaultCodeTTL = 10 * time.Minute
	// TikTok docs: User Access Token Management, as of November 2026.
	defaultAccessTokenTTL  = 2 * time.Hour
	defaultRefreshTokenTTL = 180 * 24 * time.Hour
	// TikTok docs: Client Access Token Management.
	clientTokenTTL = 2 * time.Hour
)

// maxBody bounds what a request may carry; no request of the protocol comes near it.
const maxBody = 1 << 20

// Options configure a simulator. The zero value is a working one.
type Options struct {
	// ClientKey and ClientSecret are the credentials of the only app the simulator knows. Empty
	// means DefaultClientKey and DefaultClientSecret.
	ClientKey, ClientSecret string

	// PublicURL is where browsers reach the simulator, such as http://127.0.0.1:8081, and the beginning
	// of every avatar URL. When empty, it is the host that was asked; set it where a program asks under
	// a name that browsers do not know.
	PublicURL string

	// RedirectURIs are the registered redirect URIs, compared byte by byte. An entry with ":*" as
	// its port accepts any port (TikTok docs: Login Kit for Desktop). When empty, any absolute
	// http or https URI without query and fragment and shorter than 512 characters is accepted.
	RedirectURIs []string

	// PKCE says what a code challenge means:
	//
	//	""           tolerated; when one is sent, hex or base64url, the verifier is checked
	//	"off"        ignored, as TikTok documents for web apps
	//	"hex"        required: lower-case hex of SHA-256 (TikTok docs: Login Kit for Desktop)
	//	"base64url"  required: RFC 7636 S256
	PKCE string

	// CodeTTL, AccessTokenTTL and RefreshTokenTTL are lifetimes. Zero means ten minutes (TikTok
	// documents none), two hours and 180 days; until 2026 TikTok's were 24 hours and 365 days.
	CodeTTL, AccessTokenTTL, RefreshTokenTTL time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// WebhookURL is where events go; empty means nowhere. POST /sim/webhooks sets another until the next reset.
	WebhookURL string

	// Delay is added to every answer of the token, user info, video and revocation endpoints, after the
	// request has taken effect: a client that gives up early has still spent its code.
	Delay time.Duration
}

func (o Options) withDefaults() Options {
	if o.ClientKey == "" {
		o.ClientKey = DefaultClientKey
	}
	if o.ClientSecret == "" {
		o.ClientSecret = DefaultClientSecret
	}
	if o.CodeTTL == 0 {
		o.CodeTTL = defaultCodeTTL
	}
	if o.AccessTokenTTL == 0 {
		o.AccessTokenTTL = defaultAccessTokenTTL
	}
	if o.RefreshTokenTTL == 0 {
		o.RefreshTokenTTL = defaultRefreshTokenTTL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Server is a simulated TikTok. It is safe for concurrent use and keeps all state in memory.
type Server struct {
	opts   Options
	routes map[string]route

	mu    sync.Mutex
	state state // guarded by mu
}

// endpoint names a part of TikTok's surface that is counted and can be made to fail.
type endpoint string

const (
	endpointAuthorize endpoint = "authorize"
	endpointToken     endpoint = "token"
	endpointUserInfo  endpoint = "user_info"
	endpointRevoke    endpoint = "revoke"
	endpointVideoList endpoint = "video_list"
	endpointWebhook   endpoint = "webhook"   // one that the simulator calls
	endpointElsewhere endpoint = "elsewhere" // where the fault "redirect" leads; counted only
)

// route is one path. Handlers return their answer instead of writing it, so that a fault can keep
// the effect of a request and still spoil the answer.
type route struct {
	method   string // "" accepts any
	endpoint endpoint
	handle   func(*http.Request, []byte) answer
}

// New returns a simulator ready to serve. It panics on an unknown Options.PKCE, which only a
// programming error can bring about.
func New(o Options) *Server {
	if !knownPKCE(o.PKCE) {
		panic(fmt.Sprintf("tiktoksim: unknown Options.PKCE %q", o.PKCE))
	}
	s := &Server{opts: o.withDefaults(), state: newState(o.WebhookURL)}
	s.routes = map[string]route{
		"/v2/auth/authorize/": {http.MethodGet, endpointAuthorize, s.authorize},
		"/v2/oauth/token/":    {http.MethodPost, endpointToken, s.token},
		"/v2/oauth/revoke/":   {http.MethodPost, endpointRevoke, s.revoke},
		"/v2/user/info/":      {http.MethodGet, endpointUserInfo, s.userInfo},
		"/v2/video/list/":     {http.MethodPost, endpointVideoList, s.videoList},

		"/sim/":          {http.MethodGet, "", s.index},
		"/sim/consent":   {http.MethodGet, "", s.consent},
		"/sim/logout":    {http.MethodGet, "", s.logout},
		"/sim/stats":     {http.MethodGet, "", s.stats},
		"/sim/codes":     {http.MethodPost, "", s.createCode},
		"/sim/next":      {http.MethodPost, "", s.planNext},
		"/sim/faults":    {http.MethodPost, "", s.createFault},
		"/sim/reset":     {http.MethodPost, "", s.reset},
		"/sim/elsewhere": {"", endpointElsewhere, s.elsewhere},
		"/sim/style.css": {http.MethodGet, "", asset("style.css", "text/css; charset=utf-8")},
		"/sim/logo.svg":  {http.MethodGet, "", asset("logo.svg", "image/svg+xml")},

		"/sim/webhooks":       {http.MethodPost, "", s.setWebhook},
		"/sim/webhooks/send":  {http.MethodPost, "", s.sendWebhook},
		"/sim/webhooks/retry": {http.MethodPost, "", s.retryWebhooks},
	}
	return s
}

// ServeHTTP answers TikTok's routes and the simulator's own.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rt, ok := s.route(r.URL.Path)
	if !ok {
		s.notFound(r).write(w)
		return
	}
	if !rt.allows(r.Method) {
		s.methodNotAllowed(rt.method).write(w)
		return
	}
	// The body is read before anything else: net/http notices a client that leaves only after
	// the body's end, and the fault "hang" waits for just that.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.bodyError(err).write(w)
		return
	}
	if rt.endpoint == "" {
		rt.handle(r, body).write(w)
		return
	}
	s.serveEndpoint(w, r, rt, body)
}

// serveEndpoint counts the request, lets a planned fault have its way and answers.
func (s *Server) serveEndpoint(w http.ResponseWriter, r *http.Request, rt route, body []byte) {
	f, ended := s.arrive(rt.endpoint)
	x := exchange{w: w, r: r, endpoint: rt.endpoint, ended: ended}
	if f.instead != nil {
		if s.pause(r.Context(), rt.endpoint) {
			f.instead(s, x)
		}
		return
	}
	a := rt.handle(r, body)
	if a.event != nil { // the answer comes first, unless a fault keeps it
		a.header.Set("Connection", "close") // no other request waits behind this one
		defer s.deliver(r.Context(), a.event)
	}
	if !s.pause(r.Context(), rt.endpoint) {
		return
	}
	if f.spoil != nil {
		f.spoil(s, x, a)
		return
	}
	a.write(w)
	if a.event != nil {
		_ = http.NewResponseController(w).Flush()
	}
}

// pause waits for Options.Delay and reports whether the client is still there.
func (s *Server) pause(ctx context.Context, e endpoint) bool {
	if s.opts.Delay <= 0 || e == endpointAuthorize || e == endpointElsewhere {
		return true
	}
	return wait(ctx, s.opts.Delay)
}

func (s *Server) route(path string) (route, bool) {
	switch {
	case strings.HasPrefix(path, avatarPath):
		return route{method: http.MethodGet, handle: s.avatar}, true
	case strings.HasPrefix(path, coverPath):
		return route{method: http.MethodGet, handle: s.cover}, true
	}
	rt, ok := s.routes[path]
	return rt, ok
}

func (rt route) allows(method string) bool {
	return rt.method == "" || rt.method == method ||
		rt.method == http.MethodGet && method == http.MethodHead
}

func (s *Server) notFound(r *http.Request) answer {
	return s.simError(http.StatusNotFound, "not_found",
		fmt.Sprintf("No route %s; GET /sim/ lists them. TikTok's paths end in a slash.", r.URL.Path))
}

func (s *Server) methodNotAllowed(allowed string) answer {
	a := s.simError(http.StatusMethodNotAllowed, "method_not_allowed", "Use "+allowed+".")
	a.header.Set("Allow", allowed)
	return a
}

func (s *Server) bodyError(err error) answer {
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return s.simError(http.StatusRequestEntityTooLarge, "too_large", "The body is too large.")
	}
	return s.simError(http.StatusBadRequest, "invalid_request", "The body cannot be read.")
}

// Reset forgets codes, tokens, sessions, consents, faults and counters, and ends every answer that
// the fault "hang" is holding.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.state.ended)
	s.state = newState(s.opts.WebhookURL)
}

// Exchanges returns how many token requests have arrived since the start or the last Reset,
// whatever their grant and outcome. Tests use it to show that a code is exchanged exactly once.
func (s *Server) Exchanges() int { return s.count(endpointToken) }

// UserInfos returns how many user info requests have arrived, so that tests can show a profile
// failure neither fails nor repeats a sign-in.
func (s *Server) UserInfos() int { return s.count(endpointUserInfo) }

// Revocations returns how many revocation requests have arrived. A sign-in service that revokes
// would force people to consent every time.
func (s *Server) Revocations() int { return s.count(endpointRevoke) }

// VideoLists returns how many requests for videos have arrived.
func (s *Server) VideoLists() int { return s.count(endpointVideoList) }

// Webhooks returns how many webhooks were sent, repetitions included.
func (s *Server) Webhooks() int { return s.count(endpointWebhook) }

// Authorizations returns how many authorize requests have arrived, page views included.
func (s *Server) Authorizations() int { return s.count(endpointAuthorize) }

// Elsewhere returns how many clients followed the fault "redirect". A client that carries a secret
// should never do so.
func (s *Server) Elsewhere() int { return s.count(endpointElsewhere) }

func (s *Server) count(e endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.counts[e]
}
