package gotruesim

import (
	"net/http"
	"time"
)

// account is GET /user.
func (s *Server) account(w http.ResponseWriter, r *http.Request) error {
	who := callerOf(r)
	if requested := r.Header.Get("X-JWT-AUD"); requested != "" && requested != who.user.Aud {
		return invalid("Token audience doesn't match request audience")
	}
	sendJSON(w, http.StatusOK, who.user)
	return nil
}

// userUpdateParams is the body of PUT /user (user.go).
type userUpdateParams struct {
	Email    string         `json:"email"`
	Phone    string         `json:"phone"`
	Password *string        `json:"password"`
	Data     map[string]any `json:"data"`
	AppData  map[string]any `json:"app_metadata"`
}

// updateAccount is PUT /user: what users may change about themselves. That includes the metadata
// and the address, and a second way in by password, but not app_metadata.
func (s *Server) updateAccount(w http.ResponseWriter, r *http.Request) error {
	var p userUpdateParams
	if err := readJSON(r, &p, "UserUpdateParams"); err != nil {
		return err
	}
	who := callerOf(r)
	u := who.user
	if err := p.check(u); err != nil {
		return err
	}
	newEmail := ""
	if p.Email != u.Email {
		newEmail = p.Email
	}
	if err := s.checkNewAddresses(u, newEmail, p.Phone); err != nil {
		return err
	}
	if p.Password != nil {
		if u.matches(*p.Password) {
			return fail(http.StatusUnprocessableEntity, codeSamePassword,
				"New password should be different from the old password.")
		}
		if err := u.setPassword(*p.Password); err != nil {
			return err
		}
	}
	if p.Data != nil {
		u.UserMetadata = merged(u.UserMetadata, p.Data)
		u.write("UserMetadata")
	}
	newPhone := p.Phone != "" && p.Phone != u.Phone
	if newPhone && s.opts.RequirePhoneConfirmation {
		return internal("Unable to get SMS provider", nil)
	}
	if err := s.beforeWrite(r, 0); err != nil {
		return err
	}
	err := s.db.tx(func(tx *tx) error {
		if newPhone {
			tx.reloadIdentities(u)
			u.setPhone(p.Phone, s.now().UTC())
		}
		if err := tx.save(u); err != nil {
			return err
		}
		if p.Password != nil || newPhone {
			tx.tokens.clear(u.ID)
		}
		if p.Password != nil {
			tx.endSessions(u.ID, func(ses *session) bool { return ses != who.session })
		}
		return nil
	})
	if err != nil {
		return internal("Error confirming user", err) // only a phone can be taken
	}
	if newEmail != "" {
		if err := s.startEmailChange(r, u, newEmail); err != nil {
			return err
		}
	}
	sendJSON(w, http.StatusOK, u)
	return nil
}

// check validates the parameters in GoTrue's order.
func (p *userUpdateParams) check(u *user) (err error) {
	if p.Email != "" {
		if p.Email, err = validEmail(p.Email); err != nil {
			return err
		}
	}
	if p.Phone != "" {
		if p.Phone, err = validPhone(p.Phone); err != nil {
			return err
		}
	}
	if p.Password != nil {
		if err := checkStrength(*p.Password); err != nil {
			return err
		}
	}
	if p.AppData != nil {
		return fail(http.StatusForbidden, codeNotAdmin,
			"Updating app_metadata requires admin privileges")
	}
	if u.hasMFA() && p.changesAccess(u) {
		// Every session here is aal1: stepping up is left out.
		return fail(http.StatusUnauthorized, codeInsufficientAAL,
			"AAL2 session is required to update email or password when MFA is enabled.")
	}
	return nil
}

// changesAccess says whether the update touches a way to sign in.
func (p *userUpdateParams) changesAccess(u *user) bool {
	return p.Password != nil || (p.Email != "" && p.Email != u.Email) ||
		(p.Phone != "" && p.Phone != u.Phone)
}

// checkNewAddresses refuses addresses that are taken, and one more mail too soon.
func (s *Server) checkNewAddresses(u *user, email, phone string) error {
	err := s.db.tx(func(tx *tx) error {
		if email != "" && tx.duplicateOf(email, u.Aud, u.ID) != nil {
			return emailExists()
		}
		if other := tx.userByPhone(phone, u.Aud); other != nil && other.ID != u.ID {
			return fail(http.StatusUnprocessableEntity, codePhoneExists,
				"A user with this phone number has already been registered")
		}
		return nil
	})
	if err != nil || email == "" {
		return err
	}
	return s.checkFrequency(u.EmailChangeSentAt)
}

// setPhone takes a new number without any proof: `supabase start` has autoconfirm on for phones,
// though it has no phone provider (settings: phone_autoconfirm; verify.go, smsVerify).
func (u *user) setPhone(phone string, now time.Time) {
	data := map[string]any{"phone": phone, "phone_verified": true}
	if id := u.identityOf(phoneProvider); id != nil {
		id.update(data)
	} else {
		u.addIdentity(phoneProvider, data, nil, now)
	}
	u.Phone, u.PhoneChange, u.PhoneConfirmedAt = phone, "", &now
	u.write("PhoneChange")
}

// startEmailChange mails a link to both mailboxes. The address is not reserved meanwhile
// (capture "hijack/email change pending: admin create of the target address").
func (s *Server) startEmailChange(r *http.Request, u *user, email string) error {
	next := newLink(email)
	u.EmailChange, u.EmailChangeSentAt, u.EmailChangeAccepted = email, new(s.now().UTC()), false
	u.EmailChangeNew = next.hash
	var current link
	if u.Email != "" {
		current = newLink(u.Email)
		u.EmailChangeCurrent = current.hash
	}
	if err := s.db.tx(func(tx *tx) error { return tx.saveEmailChange(u) }); err != nil {
		return internal("Error sending email change email", err)
	}
	if u.Email != "" {
		s.mail(r, u.Email, current, typeEmailChange)
	}
	s.mail(r, email, next, typeEmailChange)
	return nil
}
