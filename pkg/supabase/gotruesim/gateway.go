package gotruesim

import (
	"net/http"
	"slices"
	"strings"
)

// The development keys of the new kind, good under /auth/v1 only: GoTrue itself knows nothing but
// JWTs. They have the right prefix but not the right length, so that no secret scanner takes them
// for keys of a real project.
const (
	PublishableKey = "sb_publishable_development_only"
	SecretKey      = "sb_secret_development_only" //nolint:gosec // opens nothing but an emulator
)

// gatewayPrefix is where Supabase's gateway serves GoTrue.
const gatewayPrefix = "/auth/v1"

// openRoutes need no key at the gateway, since people open them from a mail or a provider's page
// (kong.yml of the Supabase CLI). Nothing rewrites their Authorization either.
var openRoutes = []string{"/verify", "/callback", "/authorize"}

// gatewayError is the gateway's own refusal, which looks unlike any of GoTrue's.
type gatewayError struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// gateway answers like Supabase's gateway and passes on what it lets through. Where the hosted
// gateway and the one of `supabase start` differ, it does what is stricter: a key must be there and
// must be valid, as hosted; a JWT in apikey alone is no Authorization, as in `supabase start`.
func (s *Server) gateway(w http.ResponseWriter, r *http.Request) {
	if isPreflight(r) {
		gatewayPreflight(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	inner := strip(r)
	if !isOpen(inner.URL.Path) {
		if refusal := s.checkKey(inner); refusal != nil {
			sendJSON(w, http.StatusUnauthorized, refusal)
			return
		}
		s.authorize(inner)
	}
	s.gotrue(w, inner)
}

func isOpen(path string) bool {
	return slices.ContainsFunc(openRoutes, func(open string) bool {
		return strings.HasPrefix(path, open)
	})
}

// strip clones the request without the gateway's prefix.
func strip(r *http.Request) *http.Request {
	inner := r.Clone(r.Context())
	u := *r.URL
	u.Path = strings.TrimPrefix(u.Path, gatewayPrefix)
	u.RawPath = strings.TrimPrefix(u.RawPath, gatewayPrefix)
	inner.URL = &u
	return inner
}

// checkKey tells what is wrong with the API key, or nil. The texts are those that users of hosted
// Supabase report; they are not among the recordings.
func (s *Server) checkKey(r *http.Request) *gatewayError {
	key := apiKeyOf(r)
	switch {
	case key == "":
		return &gatewayError{
			"No API key found in request", "No `apikey` request header or url param was found.",
		}
	case key == SecretKey && strings.HasPrefix(r.UserAgent(), "Mozilla/"):
		return &gatewayError{
			"Forbidden use of secret API key in browser",
			"Secret API keys can only be used in a protected environment and should never be " +
				"used in a browser. Delete this secret API key immediately.",
		}
	case key == SecretKey || key == PublishableKey:
		return nil
	}
	c, err := s.parse(key)
	if err != nil || !slices.Contains([]string{"anon", "service_role"}, c.Role) {
		return &gatewayError{
			"Invalid API key", "Double check your Supabase `anon` or `service_role` API key.",
		}
	}
	return nil
}

func apiKeyOf(r *http.Request) string {
	if key := r.Header.Get("Apikey"); key != "" {
		return key
	}
	return r.URL.Query().Get("apikey")
}

// authorize rewrites the Authorization header as `supabase start` does (start.go of the Supabase
// CLI). A header stays as it is unless it carries a key of the new kind. Without one, a key of the
// new kind turns into the JWT of its role, and any other key is copied without "Bearer ", which
// GoTrue then does not accept.
func (s *Server) authorize(r *http.Request) {
	given := r.Header.Get("Authorization")
	if given != "" && !strings.HasPrefix(given, "Bearer sb_") {
		return
	}
	switch key := apiKeyOf(r); key {
	case SecretKey:
		r.Header.Set("Authorization", "Bearer "+s.ServiceRoleKey())
	case PublishableKey:
		r.Header.Set("Authorization", "Bearer "+s.AnonKey())
	default:
		r.Header.Set("Authorization", key)
	}
}

// corsMethods are those that GoTrue lets other origins use; the gateway lets all pass.
var corsMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

// corsHeaders are the request headers GoTrue lets other origins send. apikey is not among them:
// browsers reach GoTrue through the gateway only (api.go).
var corsHeaders = []string{
	"accept", "authorization", "content-type", "x-client-ip", "x-client-info", "x-jwt-aud",
	"x-use-cookie", "x-supabase-api-version",
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// gatewayPreflight grants everything, like Kong's cors plugin with its default settings.
func gatewayPreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	w.WriteHeader(http.StatusOK)
}

// preflight answers as GoTrue's own CORS layer does. What it refuses gets the same 204, only
// without the headers that would grant it.
func preflight(w http.ResponseWriter, r *http.Request) {
	defer w.WriteHeader(http.StatusNoContent)
	h := w.Header()
	h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	method := r.Header.Get("Access-Control-Request-Method")
	headers := r.Header.Get("Access-Control-Request-Headers")
	known := slices.Contains(corsMethods, method) && allowsHeaders(headers)
	if r.Header.Get("Origin") == "" || !known {
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", method)
	if headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
	h.Set("Access-Control-Allow-Credentials", "true")
}

func allowsHeaders(list string) bool {
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name != "" && !slices.Contains(corsHeaders, name) {
			return false
		}
	}
	return true
}

// allowOrigin adds GoTrue's CORS headers to an answer.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	if r.Header.Get("Origin") == "" || !slices.Contains(corsMethods, r.Method) {
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "X-Total-Count, Link, X-Supabase-Api-Version")
	h.Set("Access-Control-Allow-Credentials", "true")
}
