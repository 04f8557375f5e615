package gotruesim

import (
	"net/http"
	"time"
)

// Verification types (mailer.go).
const (
	typeEmail              = "email"
	typeSignup             = "signup"
	typeInvite             = "invite"
	typeMagicLink          = "magiclink"
	typeRecovery           = "recovery"
	typeEmailChange        = "email_change"
	typeEmailChangeCurrent = "email_change_current"
	typeEmailChangeNew     = "email_change_new"
)

// generateLinkParams is the body of POST /admin/generate_link (mail.go).
type generateLinkParams struct {
	Type       string         `json:"type"`
	Email      string         `json:"email"`
	NewEmail   string         `json:"new_email"`
	Password   string         `json:"password"`
	Data       map[string]any `json:"data"`
	RedirectTo string         `json:"redirect_to"`
}

// generatedLink is the answer: the user with the link beside it.
type generatedLink struct {
	*user
	ActionLink       string `json:"action_link"`
	EmailOTP         string `json:"email_otp"`
	HashedToken      string `json:"hashed_token"`
	VerificationType string `json:"verification_type"`
	RedirectTo       string `json:"redirect_to"`
}

// generateLink is POST /admin/generate_link. A banned or unconfirmed user gets a link like any
// other, and a magic link for an unknown address makes an account (gotrue facts, section 3).
func (s *Server) generateLink(w http.ResponseWriter, r *http.Request) error {
	var p generateLinkParams
	if err := readJSON(r, &p, "GenerateLinkParams"); err != nil {
		return err
	}
	var err error
	if p.Email, err = validEmail(p.Email); err != nil {
		return err
	}
	aud := requestAud(r)
	u := s.db.userByEmail(p.Email, aud)
	if u == nil {
		if u, err = s.userForLink(&p, aud); err != nil {
			return err
		}
		s.pause(s.opts.WriteDelay)
	}
	if err := s.beforeWrite(r, 0); err != nil {
		return err
	}
	l := newLink(p.Email)
	verifyType := p.Type
	err = s.db.tx(func(tx *tx) error {
		switch p.Type {
		case typeMagicLink, typeRecovery:
			return s.setRecovery(tx, u, l.hash)
		case typeSignup, typeInvite:
			return s.setConfirmation(tx, u, l.hash, p.Type, p.Data)
		case typeEmailChangeCurrent, typeEmailChangeNew:
			l, verifyType = p.emailChangeLink(l), typeEmailChange
			return s.setEmailChange(tx, u, p.Type, p.NewEmail, l.hash)
		}
		return invalid("Invalid email action link type requested: %v", p.Type)
	})
	if err != nil {
		return err
	}
	destination := s.allowList.destination(r, p.RedirectTo)
	// hashed_token is always that of the present address, even when the link is for a new one and
	// carries another hash (mail.go, adminGenerateLink).
	sendJSON(w, http.StatusOK, generatedLink{
		user: u, ActionLink: s.actionLink(l, verifyType, destination), EmailOTP: l.otp,
		HashedToken: tokenHash(p.Email, l.otp), VerificationType: p.Type, RedirectTo: destination,
	})
	return nil
}

// userForLink makes the account that a link for an unknown address brings about, or refuses. It is
// not stored yet. A magic link turns into a sign-up with a password nobody knows.
func (s *Server) userForLink(p *generateLinkParams, aud string) (*user, error) {
	hash := ""
	switch p.Type {
	case typeMagicLink:
		p.Type = typeSignup
		hash = unknownPassword()
	case typeSignup:
		var err error
		if hash, err = signupPassword(p.Password); err != nil {
			return nil, err
		}
	case typeInvite: // has no password until it is accepted
	case typeRecovery, typeEmailChangeCurrent, typeEmailChangeNew:
		return nil, fail(http.StatusNotFound, codeUserNotFound, "User with this email not found")
	default:
		return nil, invalid("Invalid email action link type requested: %v", p.Type)
	}
	return s.emailUser(p.Email, hash, aud, p.Data)
}

// emailUser makes an account for an address, if the hook accepts it.
func (s *Server) emailUser(email, hash, aud string, data map[string]any) (*user, error) {
	u := newUser(email, "", hash, aud, orEmpty(data))
	u.setProviders([]string{emailProvider})
	if err := s.askHook(u); err != nil {
		return nil, err
	}
	u.Role = userRole
	return u, nil
}

// setRecovery stores a link that signs an existing user in.
func (s *Server) setRecovery(tx *tx, u *user, hash string) error {
	u.RecoveryToken, u.RecoverySentAt = hash, new(s.now().UTC())
	if err := tx.save(u); err != nil {
		return err
	}
	return tx.addToken(u, recoveryToken, hash)
}

// setConfirmation stores a link that confirms an address, and the account if it is new.
func (s *Server) setConfirmation(tx *tx, u *user, hash, typ string, data map[string]any) error {
	now := s.now().UTC()
	switch {
	case u.confirmed():
		return emailExists()
	case u.read == nil:
		u.addIdentity(emailProvider, map[string]any{"email": u.Email}, nil, now)
		if err := tx.insertNew(u); err != nil {
			return err
		}
	case typ == typeSignup:
		u.UserMetadata = merged(u.UserMetadata, data)
	}
	if typ == typeInvite {
		u.InvitedAt = &now
	}
	return tx.saveConfirmation(u, hash, now)
}

func (tx *tx) saveConfirmation(u *user, hash string, now time.Time) error {
	u.ConfirmationToken, u.ConfirmationSentAt = hash, &now
	if err := tx.save(u); err != nil {
		return err
	}
	return tx.addToken(u, confirmationToken, hash)
}

// emailChangeLink makes the link of the new mailbox hash the new address.
func (p *generateLinkParams) emailChangeLink(l link) link {
	if p.Type == typeEmailChangeNew {
		l.hash = tokenHash(p.NewEmail, l.otp)
	}
	return l
}

// setEmailChange stores one of the two links that a change of address takes.
func (s *Server) setEmailChange(tx *tx, u *user, typ, newEmail, hash string) error {
	newEmail, err := validEmail(newEmail)
	if err != nil {
		return err
	}
	if tx.duplicateOf(newEmail, u.Aud, u.ID) != nil {
		return emailExists()
	}
	u.EmailChange, u.EmailChangeSentAt, u.EmailChangeAccepted = newEmail, new(s.now().UTC()), false
	if typ == typeEmailChangeCurrent {
		u.EmailChangeCurrent = hash
	} else {
		u.EmailChangeNew = hash
	}
	return tx.saveEmailChange(u)
}

func (tx *tx) saveEmailChange(u *user) error {
	u.write("EmailChange", "EmailChangeCurrent", "EmailChangeNew", "EmailChangeAccepted")
	if err := tx.save(u); err != nil {
		return err
	}
	if u.EmailChangeCurrent != "" {
		if err := tx.addToken(u, emailChangeCurrentToken, u.EmailChangeCurrent); err != nil {
			return err
		}
	}
	if u.EmailChangeNew == "" {
		return nil
	}
	return tx.addToken(u, emailChangeNewToken, u.EmailChangeNew)
}

// invite is POST /invite: an account without a password, and a mail to it.
func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	var p struct {
		Email string         `json:"email"`
		Data  map[string]any `json:"data"`
	}
	if err := readJSON(r, &p, "InviteParams"); err != nil {
		return err
	}
	email, err := validEmail(p.Email)
	if err != nil {
		return err
	}
	aud := requestAud(r)
	u := s.db.userByEmail(email, aud)
	if u == nil {
		if u, err = s.emailUser(email, "", aud, p.Data); err != nil {
			return err
		}
		s.pause(s.opts.WriteDelay)
	}
	if err := s.beforeWrite(r, 0); err != nil {
		return err
	}
	l := newLink(email)
	if err := s.db.tx(func(tx *tx) error {
		return s.setConfirmation(tx, u, l.hash, typeInvite, nil)
	}); err != nil {
		return err
	}
	s.mail(r, email, l, typeInvite)
	sendJSON(w, http.StatusOK, u)
	return nil
}
