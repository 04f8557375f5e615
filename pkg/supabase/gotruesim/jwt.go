package gotruesim

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// adminRoles are GoTrue's default GOTRUE_JWT_ADMIN_ROLES.
var adminRoles = []string{"service_role", "supabase_admin"}

// keyExpiry is the expiry of the demonstration keys that the Supabase CLI prints. With the default
// secret the emulator's keys therefore are those well-known ones.
var keyExpiry = time.Unix(1983812996, 0)

// claims are the claims of an access token (tokens/service.go). App and user metadata go in whole,
// whatever their size.
type claims struct {
	jwt.RegisteredClaims
	Email        string         `json:"email"`
	Phone        string         `json:"phone"`
	AppMetadata  map[string]any `json:"app_metadata"`
	UserMetadata map[string]any `json:"user_metadata"`
	Role         string         `json:"role"`
	AAL          string         `json:"aal,omitempty"`
	AMR          []amr          `json:"amr,omitempty"`
	SessionID    string         `json:"session_id,omitempty"`
	IsAnonymous  bool           `json:"is_anonymous"`
}

// oneAudience writes aud as a string, as GoTrue does, without touching the library's global
// switch for it.
type oneAudience struct {
	claims
	Audience string `json:"aud"`
}

// amr says how the session was signed in.
type amr struct {
	Method    string `json:"method"`
	Timestamp int64  `json:"timestamp"`
}

// apiKey signs a legacy API key, which is a JWT that holds little more than a role.
func (s *Server) apiKey(role string) string {
	return s.sign(struct {
		jwt.RegisteredClaims
		Role string `json:"role"`
	}{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: "supabase-demo", ExpiresAt: jwt.NewNumericDate(keyExpiry),
		},
		Role: role,
	})
}

// accessToken signs an access token for a session.
func (s *Server) accessToken(u *user, ses *session) (token string, expiresAt time.Time) {
	now := s.now()
	expiresAt = now.Add(s.opts.AccessTokenTTL)
	return s.sign(oneAudience{Audience: u.Aud, claims: claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.opts.ExternalURL, Subject: u.ID,
			ExpiresAt: jwt.NewNumericDate(expiresAt), IssuedAt: jwt.NewNumericDate(now),
		},
		Email: u.Email, Phone: u.Phone, AppMetadata: u.AppMetadata, UserMetadata: u.UserMetadata,
		Role: u.Role, AAL: "aal1", AMR: ses.amr, SessionID: ses.id, IsAnonymous: u.IsAnonymous,
	}}), expiresAt
}

func (s *Server) sign(c jwt.Claims) string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	signed, err := token.SignedString([]byte(s.opts.JWTSecret))
	if err != nil {
		panic("gotruesim: sign: " + err.Error()) // HMAC signing of plain data cannot fail
	}
	return signed
}

// parse checks signature and expiry of a JWT and nothing else, like GoTrue.
func (s *Server) parse(token string) (*claims, error) {
	c := &claims{}
	_, err := jwt.ParseWithClaims(token, c,
		func(*jwt.Token) (any, error) { return []byte(s.opts.JWTSecret), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}), jwt.WithTimeFunc(s.now))
	if err != nil {
		return nil, fail(http.StatusForbidden, codeBadJWT,
			"invalid JWT: unable to parse or verify signature, %v", err)
	}
	return c, nil
}

var bearerFormat = regexp.MustCompile(`(?i)^bearer (\S+$)`)

// bearer authenticates by the Authorization header, which is the only one GoTrue reads; an apikey
// header means nothing to it (captures "admin: no Authorization", "admin: apikey header only,
// straight to GoTrue").
func (s *Server) bearer(r *http.Request) (*claims, error) {
	match := bearerFormat.FindStringSubmatch(r.Header.Get("Authorization"))
	if match == nil {
		return nil, fail(http.StatusUnauthorized, codeNoAuthorization,
			"This endpoint requires a valid Bearer token")
	}
	return s.parse(match[1])
}

// caller is the signed-in user behind a request.
type caller struct {
	user    *user
	session *session // nil for a token without a session
}

// caller loads the user and the session that a token names. It is what makes a token worthless here
// as soon as its session ends, though its signature is good until it expires (auth.go).
func (s *Server) caller(c *claims) (*caller, error) {
	if c.Subject == "" {
		return nil, fail(http.StatusForbidden, codeBadJWT, "invalid claim: missing sub claim")
	}
	id, err := uuid.Parse(c.Subject)
	if err != nil {
		return nil, fail(http.StatusBadRequest, codeBadJWT,
			"invalid claim: sub claim must be a UUID")
	}
	who := &caller{user: s.db.userByID(id.String())}
	if who.user == nil {
		return nil, fail(http.StatusForbidden, codeUserNotFound,
			"User from sub claim in JWT does not exist")
	}
	if c.SessionID == "" || c.SessionID == uuid.Nil.String() {
		return who, nil
	}
	sessionID, err := uuid.Parse(c.SessionID)
	if err != nil {
		return nil, fail(http.StatusForbidden, codeBadJWT,
			"invalid claim: session_id claim must be a UUID")
	}
	who.session = get(s.db, func(tx *tx) *session { return tx.sessions[sessionID.String()] })
	if who.session == nil {
		return nil, fail(http.StatusForbidden, codeSessionNotFound,
			"Session from session_id claim in JWT does not exist")
	}
	return who, nil
}

type callerKey struct{}

// requireUser lets only signed-in users pass; since v2.195.0 a ban works at once (auth.go:37).
func (s *Server) requireUser(r *http.Request) (*http.Request, error) {
	c, err := s.bearer(r)
	if err != nil {
		return nil, err
	}
	who, err := s.caller(c)
	if err != nil {
		return nil, err
	}
	if !s.opts.BannedKeepAccess && who.user.banned(s.now()) {
		return nil, fail(http.StatusForbidden, codeUserBanned, "User is banned")
	}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, who)), nil
}

// callerOf is for handlers behind requireUser.
func callerOf(r *http.Request) *caller { return r.Context().Value(callerKey{}).(*caller) }

// requireAdmin lets only tokens with an admin role pass.
func (s *Server) requireAdmin(r *http.Request) error {
	c, err := s.bearer(r)
	if err != nil {
		return err
	}
	if c.SessionID != "" && c.SessionID != uuid.Nil.String() {
		if _, err := s.caller(c); err != nil {
			return err
		}
	}
	if !slices.Contains(adminRoles, c.Role) {
		return fail(http.StatusForbidden, codeNotAdmin, "User not allowed")
	}
	return nil
}

// requestAud is the audience a request works in: the X-JWT-AUD header, or else the default one.
// A user's own token names an audience too, but only /user reads it.
func requestAud(r *http.Request) string {
	if aud := r.Header.Get("X-JWT-AUD"); aud != "" {
		return aud
	}
	return audience
}
