package gotruesim

import (
	"crypto/rand"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// reuseInterval is how long a spent refresh token may be used again
// (refresh_token_reuse_interval = 10 in the Supabase CLI).
const reuseInterval = 10 * time.Second

// session is one sign-in.
type session struct {
	id     string
	userID string
	amr    []amr
	chain  []*refreshToken // oldest first
}

// refreshToken is one link of a session's rotation chain.
type refreshToken struct {
	token     string
	parent    string
	session   *session
	revoked   bool
	updatedAt time.Time
}

// tokenResponse is what every sign-in answers (tokens/service.go, AccessTokenResponse).
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	ExpiresAt    int64  `json:"expires_at"`
	RefreshToken string `json:"refresh_token"`
	User         *user  `json:"user"`
	// What a provider gave, after its redirect flow only.
	ProviderToken   string `json:"provider_token,omitempty"`
	ProviderRefresh string `json:"provider_refresh_token,omitempty"`
}

// issue signs u in: a session row, its first refresh token, an access token.
func (s *Server) issue(
	tx *tx, h http.Header, u *user, method string,
) (*tokenResponse, error) {
	if _, ok := tx.users[u.ID]; !ok {
		// Deleted since it was read: the session's foreign key fails.
		return nil, internal("Database error granting user", nil)
	}
	now := s.now().UTC()
	if last := tx.users[u.ID].LastSignInAt; last != nil && !now.Truncate(time.Microsecond).After(*last) {
		now = last.Add(time.Microsecond) // a real clock never stands still between two sign-ins
	}
	u.LastSignInAt = &now
	if err := tx.save(u); err != nil {
		return nil, internal("Database error granting user", err)
	}
	ses := &session{
		id: uuid.NewString(), userID: u.ID, amr: []amr{{Method: method, Timestamp: now.Unix()}},
	}
	tx.sessions[ses.id] = ses
	tx.signedIn[u.ID] = append(tx.signedIn[u.ID], ses)
	return s.respond(h, u, ses, tx.newRefreshToken(ses, "")), nil
}

// respond makes the answer of a sign-in or refresh, with the headers GoTrue leaves for its gateway.
func (s *Server) respond(
	h http.Header, u *user, ses *session, refresh string,
) *tokenResponse {
	token, expiresAt := s.accessToken(u, ses)
	h.Set("Sb-Auth-User-Id", u.ID)
	h.Set("Sb-Auth-Session-Id", ses.id)
	h.Set("Sb-Auth-Refresh-Token-Prefix", refresh[:5])
	return &tokenResponse{
		AccessToken: token, TokenType: "bearer",
		ExpiresIn: int(expiresAt.Unix() - s.now().Unix()), ExpiresAt: expiresAt.Unix(),
		RefreshToken: refresh, User: u,
	}
}

// newRefreshToken adds a token to the session: twelve characters, as the CLI's GoTrue makes them.
func (tx *tx) newRefreshToken(ses *session, parent string) string {
	token := strings.ToLower(rand.Text()[:12])
	rt := &refreshToken{token: token, parent: parent, session: ses, updatedAt: tx.now()}
	tx.refresh[token] = rt
	ses.chain = append(ses.chain, rt)
	return token
}

// endSessions deletes those of the user's sessions that match, with their refresh tokens.
func (tx *tx) endSessions(userID string, match func(*session) bool) {
	tx.signedIn[userID] = slices.DeleteFunc(tx.signedIn[userID], func(ses *session) bool {
		if !match(ses) {
			return false
		}
		delete(tx.sessions, ses.id)
		for _, rt := range ses.chain {
			delete(tx.refresh, rt.token)
		}
		return true
	})
}

func everySession(*session) bool { return true }

// active is the newest token that has not been spent, or nil.
func (ses *session) active() *refreshToken {
	for _, rt := range slices.Backward(ses.chain) {
		if !rt.revoked {
			return rt
		}
	}
	return nil
}

func (rt *refreshToken) revoke(now time.Time) {
	rt.revoked, rt.updatedAt = true, now
}

var refreshTokenFormat = regexp.MustCompile("^[a-z0-9]{12}$")

// refreshGrant rotates a refresh token (token_refresh.go, tokens/service.go).
func (s *Server) refreshGrant(w http.ResponseWriter, r *http.Request) error {
	var p struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := readJSON(r, &p, "RefreshTokenGrantParams"); err != nil {
		return err
	}
	if !refreshTokenFormat.MatchString(p.RefreshToken) {
		return invalid("Refresh token is not valid")
	}
	var u *user
	err := s.db.tx(func(tx *tx) (err error) {
		_, u, err = tx.refreshToken(p.RefreshToken)
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Sb-Auth-User-Id", u.ID)
	if u.banned(s.now()) {
		return fail(http.StatusBadRequest, codeUserBanned, "Invalid Refresh Token: User Banned")
	}
	if err := s.beforeWrite(r, 0); err != nil {
		return err
	}
	var answer *tokenResponse
	err = s.db.tx(func(tx *tx) error {
		// GoTrue reads all of it again, locked, but does not ask about a ban again.
		rt, u, err := tx.refreshToken(p.RefreshToken)
		if err != nil {
			return err
		}
		if err := s.askTokenHook(u); err != nil {
			return err
		}
		next, fresh, err := tx.rotate(rt)
		if err != nil {
			return err
		}
		if fresh {
			w.Header().Set("Sb-Auth-Refresh-Token-Reuse", "false")
		}
		answer = s.respond(w.Header(), u, rt.session, next)
		return nil
	})
	if err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, answer)
	return nil
}

// refreshToken finds a refresh token and its user. Neither outlives the session.
func (tx *tx) refreshToken(token string) (*refreshToken, *user, error) {
	rt, ok := tx.refresh[token]
	if !ok {
		return nil, nil, fail(http.StatusBadRequest, codeRefreshNotFound,
			"Invalid Refresh Token: Refresh Token Not Found")
	}
	return rt, tx.userByID(rt.session.userID), nil
}

// rotate spends rt and returns the token that follows it. A spent one is still good when it is the
// parent of the active one, for then the client may have missed the answer and gets that one
// again, or within the reuse interval; otherwise the whole family is revoked as stolen.
func (tx *tx) rotate(rt *refreshToken) (next string, fresh bool, err error) {
	if rt.revoked {
		active := rt.session.active()
		if active != nil && active.parent == rt.token {
			return active.token, false, nil
		}
		if tx.now().After(rt.updatedAt.Add(reuseInterval)) {
			rt.session.revoke(tx.now())
			return "", false, fail(http.StatusBadRequest, codeRefreshUsed,
				"Invalid Refresh Token: Already Used")
		}
	}
	rt.revoke(tx.now())
	return tx.newRefreshToken(rt.session, rt.token), true, nil
}

// revoke spends every token of the session; the session itself and its access tokens live on.
func (ses *session) revoke(now time.Time) {
	for _, rt := range ses.chain {
		if !rt.revoked {
			rt.revoke(now)
		}
	}
}

// logout ends sessions: all of the user's, this one, or all but this one (logout.go).
func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	scope := r.URL.Query().Get("scope")
	if !slices.Contains([]string{"", "global", "local", "others"}, scope) {
		return invalid("Unsupported logout scope %q", scope)
	}
	who := callerOf(r)
	err := s.db.tx(func(tx *tx) error {
		tx.endSessions(who.user.ID, func(ses *session) bool {
			current := who.session != nil && ses.id == who.session.id
			switch {
			case who.session != nil && scope == "local":
				return current
			case who.session != nil && scope == "others":
				return !current
			}
			return true
		})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
