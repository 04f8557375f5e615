package gotruesim

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// halfConfirmed is the answer to the first of two confirmations.
const halfConfirmed = "Confirmation link accepted. " +
	"Please proceed to confirm link sent to the other email"

// verifyParams are the parameters of /verify (verify.go).
type verifyParams struct {
	Type       string `json:"type"`
	Token      string `json:"token"`
	TokenHash  string `json:"token_hash"`
	Email      string `json:"email"`
	Phone      string `json:"phone"`
	RedirectTo string `json:"redirect_to"`

	aud string
}

// verifyPost is POST /verify. It is public, whatever the Authorization header says.
func (s *Server) verifyPost(w http.ResponseWriter, r *http.Request) error {
	var p verifyParams
	if err := readJSON(r, &p, "VerifyParams"); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	p.aud = requestAud(r)
	answer, err := s.verify(w.Header(), r, &p)
	if err != nil {
		return err
	}
	if answer == nil {
		sendJSON(w, http.StatusOK, map[string]string{"msg": halfConfirmed, "code": "200"})
		return nil
	}
	sendJSON(w, http.StatusOK, answer)
	return nil
}

// check validates a POST and hashes an OTP, so that both forms look for a hash from here on.
func (p *verifyParams) check() error {
	if p.Type == "" {
		return invalid("Verify requires a verification type")
	}
	if (p.Token == "") == (p.TokenHash == "") {
		return invalid("Verify requires either a token or a token hash")
	}
	if p.TokenHash != "" {
		if p.Email != "" || p.Phone != "" || p.RedirectTo != "" {
			return invalid("Only the token_hash and type should be provided")
		}
		return nil
	}
	var err error
	switch {
	case p.Phone != "" && p.Email == "":
		if p.Phone, err = validPhone(p.Phone); err != nil {
			return err
		}
		p.TokenHash = tokenHash(p.Phone, p.Token)
	case p.Phone == "" && p.Email != "":
		if p.Email, err = validEmail(p.Email); err != nil {
			return fail(http.StatusUnprocessableEntity, codeValidation, "Invalid email format")
		}
		p.TokenHash = tokenHash(p.Email, p.Token)
	default:
		return invalid("Only an email address or phone number should be provided on verify")
	}
	return nil
}

// verifyGet is GET /verify, what the link in a mail opens. Once its parameters parse it always
// redirects, with the tokens or the error in the fragment.
func (s *Server) verifyGet(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	p := verifyParams{
		Type: q.Get("type"), TokenHash: q.Get("token"),
		RedirectTo: s.allowList.destination(r, ""),
	}
	if p.Type == "" {
		return invalid("Verify requires a verification type")
	}
	if p.TokenHash == "" {
		return invalid("Verify requires a token or a token hash")
	}
	answer, err := s.verify(w.Header(), r, &p)
	bare, _, _ := strings.Cut(p.RedirectTo, "#") // alone with tokens a fragment is kept
	if e, ok := errors.AsType[*apiError](err); ok && e.code == "" {
		return err // a panic is no redirect
	} else if ok {
		redirect(w, r, bare, errorFragment(e))
		return nil
	}
	if answer == nil {
		redirect(w, r, bare, url.Values{"message": {halfConfirmed}})
		return nil
	}
	redirect(w, r, p.RedirectTo, url.Values{
		"type":          {p.Type},
		"access_token":  {answer.AccessToken},
		"token_type":    {answer.TokenType},
		"expires_in":    {strconv.Itoa(answer.ExpiresIn)},
		"expires_at":    {strconv.FormatInt(answer.ExpiresAt, 10)},
		"refresh_token": {answer.RefreshToken},
	})
	return nil
}

// redirect puts values in the fragment. The empty sb tells client libraries whose fragment it is.
func redirect(w http.ResponseWriter, r *http.Request, to string, values url.Values) {
	values.Set("sb", "")
	http.Redirect(w, r, to+"#"+values.Encode(), http.StatusSeeOther)
}

// oauthErrors name a status in the terms of RFC 6749, section 4.1.2.1.
var oauthErrors = map[int]string{
	http.StatusBadRequest:          "invalid_request",
	http.StatusUnauthorized:        "unauthorized_client",
	http.StatusForbidden:           "access_denied",
	http.StatusInternalServerError: "server_error",
}

func errorFragment(e *apiError) url.Values {
	values := url.Values{"error_code": {e.code}, "error_description": {e.msg}}
	if name, ok := oauthErrors[e.status]; ok {
		values.Set("error", name)
	}
	return values
}

// verify turns a link or OTP into a session; a nil answer means that a second confirmation is
// needed. Nothing locks the link between the reading and the consuming, so several requests at once
// may all pass with it (gotrue facts, "one hash posted 3x in parallel").
func (s *Server) verify(
	h http.Header, r *http.Request, p *verifyParams,
) (answer *tokenResponse, err error) {
	var u *user
	if p.Token == "" {
		u, err = s.findByHash(p)
	} else {
		u, err = s.findByOTP(p)
	}
	if err != nil {
		return nil, err
	}
	if err := s.beforeWrite(r, s.opts.WriteDelay/2); err != nil {
		return nil, err
	}
	err = s.db.tx(func(tx *tx) error {
		if err := s.askTokenHook(u); err != nil { // before anything is written, as there is no rollback
			return err
		}
		again, err := s.consume(tx, u, p)
		if err != nil || again {
			return err
		}
		// GoTrue reads the row again here, but not the identities.
		fresh := tx.userByID(u.ID)
		if fresh == nil {
			return internal("Database error granting user", nil)
		}
		fresh.Identities = u.Identities
		answer, err = s.issue(tx, h, fresh, "otp")
		return err
	})
	return answer, err
}

// tokenTypes says which tokens a verification type accepts: a link made for an existing user is a
// recovery token, one made for a new user a confirmation token.
var tokenTypes = map[string][]tokenType{
	typeEmail:       {confirmationToken, recoveryToken},
	typeSignup:      {confirmationToken},
	typeInvite:      {confirmationToken},
	typeRecovery:    {recoveryToken},
	typeMagicLink:   {recoveryToken},
	typeEmailChange: {emailChangeCurrentToken, emailChangeNewToken},
}

// findByHash finds the user of a link. The token is read first and the user after it, and in
// between another link may replace this one: then type email takes it for a sign-up link, and for a
// user who never got such a link GoTrue panics (verify.go, verifyTokenHash; capture "verify: token
// row present but users.recovery_token newer (simulated race), type=email").
func (s *Server) findByHash(p *verifyParams) (*user, error) {
	types, ok := tokenTypes[p.Type]
	if !ok {
		return nil, invalid("Invalid email verification type")
	}
	id := get(s.db, func(tx *tx) string { return tx.tokens.find(p.TokenHash, types...) })
	if id == "" {
		return nil, expiredLink()
	}
	s.pause(s.opts.WriteDelay / 2)
	u := s.db.userByID(id)
	if u == nil {
		return nil, expiredLink()
	}
	if err := s.refuseBanned(u); err != nil {
		return nil, err
	}
	sentAt := p.resolve(u)
	if sentAt == nil {
		return nil, panicked()
	}
	if s.expired(*sentAt) {
		return nil, expiredLink()
	}
	return u, nil
}

// resolve replaces the type email by what the link is, and returns when the link was sent.
func (p *verifyParams) resolve(u *user) *time.Time {
	if p.Type == typeEmail {
		p.Type = typeSignup
		if u.RecoveryToken == p.TokenHash {
			p.Type = typeMagicLink
		}
	}
	switch p.Type {
	case typeSignup, typeInvite:
		return u.ConfirmationSentAt
	case typeRecovery, typeMagicLink:
		return u.RecoverySentAt
	}
	return u.EmailChangeSentAt
}

// findByOTP finds the user of an address and checks the code against the user's own columns.
func (s *Server) findByOTP(p *verifyParams) (*user, error) {
	u := get(s.db, func(tx *tx) *user {
		if p.Type == typeEmailChange {
			return tx.userByID(tx.tokens.find(p.TokenHash, tokenTypes[typeEmailChange]...))
		}
		return tx.userByEmail(p.Email, p.aud)
	})
	if u == nil {
		return nil, expiredOTP()
	}
	if err := s.refuseBanned(u); err != nil {
		return nil, err
	}
	confirms := s.fits(p.TokenHash, u.ConfirmationToken, u.ConfirmationSentAt)
	recovers := s.fits(p.TokenHash, u.RecoveryToken, u.RecoverySentAt)
	valid := false
	switch p.Type {
	case typeEmail:
		valid = confirms || recovers
		p.Type = typeMagicLink
		if confirms {
			p.Type = typeSignup
		}
	case typeSignup, typeInvite:
		valid = confirms
	case typeRecovery, typeMagicLink:
		valid = recovers
	case typeEmailChange:
		valid = s.fits(p.TokenHash, u.EmailChangeCurrent, u.EmailChangeSentAt) ||
			s.fits(p.TokenHash, u.EmailChangeNew, u.EmailChangeSentAt)
	}
	if !valid {
		return nil, expiredOTP()
	}
	return u, nil
}

func (s *Server) fits(hash, expected string, sentAt *time.Time) bool {
	return expected != "" && hash == expected && sentAt != nil && !s.expired(*sentAt)
}

func (s *Server) expired(sentAt time.Time) bool { return s.now().After(sentAt.Add(s.opts.OTPTTL)) }

// expiredLink is the one answer to a used, superseded, unknown, expired or mistyped link.
func expiredLink() error {
	return fail(http.StatusForbidden, codeOTPExpired, "Email link is invalid or has expired")
}

func expiredOTP() error {
	return fail(http.StatusForbidden, codeOTPExpired, "Token has expired or is invalid")
}

// refuseBanned leaves the link as it is: it works once the ban is over.
func (s *Server) refuseBanned(u *user) error {
	if !u.banned(s.now()) {
		return nil
	}
	return fail(http.StatusForbidden, codeUserBanned, "User is banned")
}

// consume writes what the link stands for. again means that only the first of two confirmations
// of a new address is done.
func (s *Server) consume(tx *tx, u *user, p *verifyParams) (again bool, err error) {
	now := s.now().UTC()
	tx.reloadIdentities(u)
	failed := "Database error updating user"
	switch p.Type {
	case typeSignup, typeInvite:
		failed = "Error confirming user"
		confirmSignup(tx, u, now)
	case typeRecovery, typeMagicLink:
		u.RecoveryToken = ""
		u.write("RecoveryToken")
		if !u.confirmed() {
			u.confirm(now)
		}
	case typeEmailChange:
		failed = "Error confirm email"
		if s.needsBoth(u) {
			return true, tx.acceptOne(u, p.TokenHash)
		}
		u.changeEmail(now)
	default:
		return false, invalid("Unsupported verification type")
	}
	u.recomputeProviders()
	if err := tx.save(u); err != nil {
		return false, internal(failed, err)
	}
	tx.tokens.clear(u.ID)
	return false, nil
}

// confirmSignup confirms the address, also on the identity. An invited user gets a password nobody
// knows.
func confirmSignup(tx *tx, u *user, now time.Time) {
	if u.PasswordHash == "" && u.InvitedAt != nil {
		u.PasswordHash = unknownPassword()
		u.forgetPending()
		tx.endSessions(u.ID, everySession)
	}
	u.confirm(now)
	for i := range u.Identities {
		if id := &u.Identities[i]; id.Email != "" && id.Email == u.Email {
			id.update(map[string]any{"email_verified": true})
		}
	}
}

// needsBoth says whether a change of address waits for the other mailbox. With autoconfirm one
// link suffices, though the project asks for both: GoTrue looks at autoconfirm first
// (gotrue facts, section 6; verify.go, emailChangeVerify).
func (s *Server) needsBoth(u *user) bool {
	return s.opts.RequireConfirmation && !u.EmailChangeAccepted && u.Email != ""
}

// acceptOne notes the first confirmation and spends its link only.
func (tx *tx) acceptOne(u *user, hash string) error {
	spent := emailChangeNewToken
	u.EmailChangeAccepted = true
	if hash == u.EmailChangeCurrent {
		u.EmailChangeCurrent, spent = "", emailChangeCurrentToken
	} else {
		u.EmailChangeNew = ""
	}
	if err := tx.save(u); err != nil {
		return err
	}
	tx.tokens.drop(u.ID, spent)
	return nil
}

// changeEmail completes a change of address.
func (u *user) changeEmail(now time.Time) {
	data := map[string]any{"email": u.EmailChange, "email_verified": true}
	if id := u.identityOf(emailProvider); id != nil {
		id.update(data)
	} else {
		u.addIdentity(emailProvider, data, nil, now)
	}
	u.Email = u.EmailChange
	u.EmailChange, u.EmailChangeCurrent, u.EmailChangeNew = "", "", ""
	u.EmailChangeAccepted = false
	u.write("Email", "EmailChange", "EmailChangeCurrent", "EmailChangeNew", "EmailChangeAccepted")
	if !u.confirmed() {
		u.confirm(now)
	}
}
