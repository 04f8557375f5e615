package gotruesim

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"
)

// signupParams is the body of POST /signup. An id in it is ignored: no public route lets anyone
// choose one (capture "public signup: id in the body is ignored").
type signupParams struct {
	Email    string         `json:"email"`
	Phone    string         `json:"phone"`
	Password string         `json:"password"`
	Data     map[string]any `json:"data"`
}

// signup is POST /signup (signup.go).
func (s *Server) signup(w http.ResponseWriter, r *http.Request) error {
	var p signupParams
	if err := readJSON(r, &p, "SignupParams"); err != nil {
		return err
	}
	u, err := s.register(r, p)
	if err != nil {
		return err
	}
	if !u.confirmed() {
		if u.InvitedAt != nil {
			u.UserMetadata, u.Identities = map[string]any{}, []identity{}
		}
		sendJSON(w, http.StatusOK, u)
		return nil
	}
	answer, err := s.signIn(w.Header(), r, u)
	if err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, answer)
	return nil
}

// register makes the account of a sign-up, or sends another confirmation to one that exists but is
// unconfirmed. With autoconfirm it confirms even the latter, whoever made it.
func (s *Server) register(r *http.Request, p signupParams) (*user, error) {
	if err := s.checkSignup(&p); err != nil {
		return nil, err
	}
	aud := requestAud(r)
	u := get(s.db, func(tx *tx) *user { return tx.duplicateOf(p.Email, aud, "") })
	if u == nil {
		hash, err := hashPassword(p.Password)
		if err != nil {
			return nil, err
		}
		if u, err = s.emailUser(p.Email, hash, aud, p.Data); err != nil {
			return nil, err
		}
		s.pause(s.opts.WriteDelay)
	}
	if u.confirmed() {
		return nil, fail(http.StatusUnprocessableEntity, codeUserExists, "User already registered")
	}
	return u, s.confirmOrMail(r, u, p.Data)
}

func (s *Server) checkSignup(p *signupParams) error {
	switch {
	case p.Email == "" && p.Phone == "":
		return fail(http.StatusUnprocessableEntity, codeAnonymousDisabled,
			"Anonymous sign-ins are disabled")
	case s.opts.DisableSignup:
		return fail(http.StatusUnprocessableEntity, codeSignupDisabled,
			"Signups not allowed for this instance")
	}
	if err := checkNewPassword(p.Password); err != nil {
		return err
	}
	switch {
	case p.Email != "" && p.Phone != "":
		return invalid("Only an email address or phone number should be provided on signup.")
	case p.Phone != "":
		return fail(http.StatusBadRequest, codePhoneDisabled, "Phone signups are disabled")
	case s.opts.DisableEmail:
		return fail(http.StatusBadRequest, codeEmailDisabled, "Email signups are disabled")
	}
	var err error
	p.Email, err = validEmail(p.Email)
	return err
}

func checkNewPassword(password string) error {
	if password == "" {
		return invalid("Signup requires a valid password")
	}
	return checkStrength(password)
}

// signupPassword checks and hashes the password of a new account.
func signupPassword(password string) (string, error) {
	if err := checkNewPassword(password); err != nil {
		return "", err
	}
	return hashPassword(password)
}

// confirmOrMail stores what register decided on.
func (s *Server) confirmOrMail(r *http.Request, u *user, data map[string]any) error {
	now := s.now().UTC()
	fresh := u.read == nil
	if fresh {
		// The metadata of a sign-up is its identity's data: claims with the caller's data added.
		u.addIdentity(emailProvider, map[string]any{"email": u.Email}, data, now)
		u.UserMetadata = merged(map[string]any{}, u.Identities[0].Data)
	}
	var err error
	if s.opts.RequireConfirmation {
		err = s.mailConfirmation(r, u, now)
	} else {
		err = s.autoconfirm(u, now)
	}
	if err == nil && fresh {
		// In GoTrue the two share one map, and so this answer alone shows the identity as
		// verified; the row says otherwise (captures "hijack/autoconfirm on: attacker signup" and
		// "hijack/autoconfirm on: attacker password login afterwards").
		u.Identities[0].Data = u.UserMetadata
		u.read.Identities[0].Data = u.UserMetadata
	}
	return err
}

func (s *Server) autoconfirm(u *user, now time.Time) error {
	return s.db.tx(func(tx *tx) error {
		if err := tx.insertNew(u); err != nil {
			return err
		}
		u.confirm(now)
		tx.tokens.clear(u.ID)
		return tx.save(u)
	})
}

// insertNew stores an account that is not stored yet.
func (tx *tx) insertNew(u *user) error {
	if u.read != nil {
		return nil
	}
	if err := tx.insert(u); err != nil {
		return internal("Database error saving new user", err)
	}
	return nil
}

func (s *Server) mailConfirmation(r *http.Request, u *user, now time.Time) error {
	if err := s.checkFrequency(u.ConfirmationSentAt); err != nil {
		return err
	}
	l := newLink(u.Email)
	err := s.db.tx(func(tx *tx) error {
		if err := tx.insertNew(u); err != nil {
			return err
		}
		return tx.saveConfirmation(u, l.hash, now)
	})
	if err == nil {
		s.mail(r, u.Email, l, typeSignup)
	}
	return err
}

// otp is POST /otp: a magic link, unless create_user is false and the address unknown.
func (s *Server) otp(w http.ResponseWriter, r *http.Request) error {
	p := struct {
		Email      string         `json:"email"`
		Phone      string         `json:"phone"`
		CreateUser bool           `json:"create_user"`
		Data       map[string]any `json:"data"`
		Channel    string         `json:"channel"`
	}{CreateUser: true}
	if err := readJSON(r, &p, "OtpParams"); err != nil {
		return err
	}
	switch {
	case p.Email != "" && p.Phone != "":
		return invalid("Only an email address or phone number should be provided")
	case p.Email != "" && p.Channel != "":
		return invalid("Channel should only be specified with Phone OTP")
	}
	if !p.CreateUser && (p.Phone != "" || (p.Email != "" && s.unknown(p.Email, r))) {
		return fail(http.StatusUnprocessableEntity, codeOTPDisabled, "Signups not allowed for otp")
	}
	switch {
	case p.Email != "":
		return s.sendMagicLink(w, r, p.Email, p.Data)
	case p.Phone != "":
		return fail(http.StatusBadRequest, codePhoneDisabled, "Unsupported phone provider")
	}
	return invalid("One of email or phone must be set")
}

func (s *Server) unknown(email string, r *http.Request) bool {
	email, err := validEmail(email)
	return err != nil || s.db.userByEmail(email, requestAud(r)) == nil
}

// magicLink is POST /magiclink.
func (s *Server) magicLink(w http.ResponseWriter, r *http.Request) error {
	if s.opts.DisableEmail {
		return emailLoginsDisabled(http.StatusUnprocessableEntity)
	}
	var p struct {
		Email string         `json:"email"`
		Data  map[string]any `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		return badJSON("Could not read verification params", err, "MagicLinkParams")
	}
	return s.sendMagicLink(w, r, p.Email, p.Data)
}

// sendMagicLink signs an unknown or unconfirmed address up first, with a password nobody knows. If
// that needs a confirmation, the mail about it takes the place of the magic link.
func (s *Server) sendMagicLink(
	w http.ResponseWriter, r *http.Request, email string, data map[string]any,
) error {
	if s.opts.DisableEmail {
		return emailLoginsDisabled(http.StatusUnprocessableEntity)
	}
	if email == "" {
		return fail(http.StatusUnprocessableEntity, codeValidation,
			"Password recovery requires an email")
	}
	email, err := validEmail(email)
	if err != nil {
		return err
	}
	aud := requestAud(r)
	u := s.db.userByEmail(email, aud)
	if u == nil || !u.confirmed() {
		if u, err = s.registerForLink(r, email, data); err != nil {
			return err
		}
		if !u.confirmed() {
			sendJSON(w, http.StatusOK, struct{}{})
			return nil
		}
		u = s.db.userByEmail(email, aud)
	}
	return s.mailRecovery(w, r, u, typeMagicLink)
}

// registerForLink signs up for a magic link. Confirmed users are also signed in by that, and though
// nobody sees the tokens, the session is there.
func (s *Server) registerForLink(
	r *http.Request, email string, data map[string]any,
) (*user, error) {
	u, err := s.register(r, signupParams{Email: email, Password: rand.Text(), Data: data})
	if err != nil || !u.confirmed() {
		return u, err
	}
	_, err = s.signIn(http.Header{}, r, u)
	return u, err
}

// recoverPassword is POST /recover. It does not tell whether the address is known.
func (s *Server) recoverPassword(w http.ResponseWriter, r *http.Request) error {
	if s.opts.DisableEmail {
		return emailLoginsDisabled(http.StatusBadRequest)
	}
	var p struct {
		Email string `json:"email"`
	}
	if err := readJSON(r, &p, "RecoverParams"); err != nil {
		return err
	}
	if p.Email == "" {
		return invalid("Password recovery requires an email")
	}
	email, err := validEmail(p.Email)
	if err != nil {
		return err
	}
	u := s.db.userByEmail(email, requestAud(r))
	if u == nil {
		sendJSON(w, http.StatusOK, struct{}{})
		return nil
	}
	return s.mailRecovery(w, r, u, typeRecovery)
}

// mailRecovery mails a link to an existing user. It supersedes the link an admin may have made a
// moment ago, so anyone who knows the address can spoil a sign-in (gotrue facts, "Supersession").
func (s *Server) mailRecovery(w http.ResponseWriter, r *http.Request, u *user, typ string) error {
	if err := s.checkFrequency(u.RecoverySentAt); err != nil {
		return err
	}
	if err := s.beforeWrite(r, 0); err != nil {
		return err
	}
	l := newLink(u.Email)
	if err := s.db.tx(func(tx *tx) error { return s.setRecovery(tx, u, l.hash) }); err != nil {
		return err
	}
	s.mail(r, u.Email, l, typ)
	sendJSON(w, http.StatusOK, struct{}{})
	return nil
}
