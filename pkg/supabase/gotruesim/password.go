package gotruesim

import (
	"crypto/rand"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Limits of a password (password.go; the minimum is the Supabase CLI's).
const (
	minPassword = 6
	maxPassword = 72
)

// hashPassword hashes at the lowest cost. GoTrue hashes at cost 10, which takes it about 70 ms; the
// emulator is for tests and does not copy that.
func hashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", panicked() // more than 72 bytes: GoTrue's hashing panics
	}
	return string(hash), nil
}

// unknownPassword is the hash of a password nobody knows: GoTrue gives one to users made without.
func unknownPassword() string {
	hash, err := hashPassword(rand.Text())
	if err != nil {
		panic(err) // rand.Text is 26 characters
	}
	return hash
}

// checkStrength refuses passwords that are too short or too long.
func checkStrength(password string) error {
	if len(password) > maxPassword {
		return invalid("Password cannot be longer than %v characters", maxPassword)
	}
	if len(password) >= minPassword {
		return nil
	}
	e := fail(http.StatusUnprocessableEntity, codeWeakPassword,
		"Password should be at least %d characters.", minPassword)
	e.weak = []string{"length"}
	return e
}

// Hashes that GoTrue takes beside bcrypt.
var (
	argon2Format = regexp.MustCompile(
		`^\$argon2(?:i|id)\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$`)
	scryptFormat = regexp.MustCompile(
		`^\$fbscrypt\$v=1,n=[0-9]+,r=[0-9]+,p=[0-9]+(,ss=[^,]+)?(,sk=[^$]+)?\$[^$]+\$.+$`)
)

// checkHash tells whether GoTrue would take a password_hash. A wrong one is its 500
// (capture "admin create: bad password_hash").
func checkHash(hash string) error {
	var known bool
	switch {
	case strings.HasPrefix(hash, "$argon2"):
		known = affordableArgon2(hash)
	case strings.HasPrefix(hash, "$fbscrypt"):
		known = scryptFormat.MatchString(hash)
	default:
		_, err := bcrypt.Cost([]byte(hash))
		return err
	}
	if !known {
		return errors.New("incorrect hash format")
	}
	return nil
}

// argon2Limits bound memory in KiB, time and threads.
var argon2Limits = []uint64{1 << 20, 20, 16}

func affordableArgon2(hash string) bool {
	parts := argon2Format.FindStringSubmatch(hash)
	if parts == nil {
		return false
	}
	for i, limit := range argon2Limits {
		if n, err := strconv.ParseUint(parts[i+1], 10, 32); err != nil || n > limit {
			return false
		}
	}
	return true
}

// matches checks a password. Only bcrypt hashes ever match here.
func (u *user) matches(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(u.PasswordHash), []byte(password)) == nil
}

// token is the endpoint of all grants, which share a rate limit.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	grant, ok := map[string]handler{
		"password": s.passwordGrant, "refresh_token": s.refreshGrant, "id_token": s.idTokenGrant,
		"pkce": s.pkceGrant, "web3": leftOut,
	}[r.URL.Query().Get("grant_type")]
	if !ok {
		return fail(http.StatusBadRequest, codeInvalidCredentials, "unsupported_grant_type")
	}
	if err := s.limit(s.tokenLimit, r); err != nil {
		return err
	}
	return grant(w, r)
}

// passwordGrant signs in by password (token.go, ResourceOwnerPasswordGrant).
func (s *Server) passwordGrant(w http.ResponseWriter, r *http.Request) error {
	var p struct{ Email, Phone, Password string }
	if err := readJSON(r, &p, "PasswordGrantParams"); err != nil {
		return err
	}
	switch {
	case p.Email != "" && p.Phone != "":
		return invalid("Only an email address or phone number should be provided on login.")
	case p.Email == "" && p.Phone == "":
		return invalid("missing email or phone")
	case p.Email == "":
		return fail(http.StatusUnprocessableEntity, codePhoneDisabled, "Phone logins are disabled")
	case s.opts.DisableEmail:
		return emailLoginsDisabled(http.StatusUnprocessableEntity)
	}
	u := s.db.userByEmail(strings.ToLower(p.Email), requestAud(r))
	if u == nil || u.PasswordHash == "" {
		return invalidCredentials()
	}
	if u.banned(s.now()) {
		return fail(http.StatusBadRequest, codeUserBanned, "User is banned")
	}
	if !u.matches(p.Password) {
		return invalidCredentials()
	}
	if !u.confirmed() {
		return fail(http.StatusBadRequest, codeEmailNotConfirmed, "Email not confirmed")
	}
	answer, err := s.signIn(w.Header(), r, u)
	if err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, passwordResponse{answer, weakness(p.Password)})
	return nil
}

// signIn issues tokens, in a transaction of its own, to someone who knew the password. Neither the
// password nor a ban is looked at again.
func (s *Server) signIn(h http.Header, r *http.Request, u *user) (answer *tokenResponse, err error) {
	if err := s.beforeWrite(r, 0); err != nil {
		return nil, err
	}
	err = s.db.tx(func(tx *tx) error {
		if err := s.askTokenHook(u); err != nil {
			return err
		}
		answer, err = s.issue(tx, h, u, "password")
		return err
	})
	return answer, err
}

// passwordResponse has weak_password always, null for a good one
// (capture "hijack/autoconfirm on: attacker password login afterwards").
type passwordResponse struct {
	*tokenResponse
	Weak *weakPassword `json:"weak_password"`
}

type weakPassword struct {
	Message string   `json:"message,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
}

func weakness(password string) *weakPassword {
	e, ok := errors.AsType[*apiError](checkStrength(password))
	if !ok || e.weak == nil {
		return nil
	}
	return &weakPassword{e.msg, e.weak}
}

func invalidCredentials() error {
	return fail(http.StatusBadRequest, codeInvalidCredentials, "Invalid login credentials")
}

func emailLoginsDisabled(status int) error {
	return fail(status, codeEmailDisabled, "Email logins are disabled")
}
