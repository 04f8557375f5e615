package gotruesim

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// external is a person as a provider tells of them (provider/provider.go, UserProvidedData).
type external struct {
	provider string
	noEmail  bool // email_optional
	claims   profileClaims
	email    string
	verified bool
}

func newExternal(c profileClaims, email string, verified bool) *external {
	c.EmailVerified = false
	if email != "" {
		c.Email, c.EmailVerified = email, verified
	}
	return &external{claims: c, email: email, verified: verified}
}

func (x *external) sub() string { return x.claims.Subject }

// identity makes the row of a new identity.
func (x *external) identity(userID string, now time.Time) identity {
	created := now.Truncate(time.Microsecond)
	return identity{
		IdentityID: uuid.NewString(), ProviderID: x.sub(), UserID: userID, Data: lowerEmail(x.claims.data()),
		Provider: x.provider, LastSignInAt: &now, CreatedAt: created, UpdatedAt: created,
		Email: strings.ToLower(x.claims.Email),
	}
}

func lowerEmail(data map[string]any) map[string]any {
	if email, ok := data["email"].(string); ok {
		data["email"] = strings.ToLower(email)
	}
	return data
}

// decision says which account a person gets (models/linking.go).
type decision struct {
	kind decisionKind
	user *user
	// candidate is the address the account has or will have.
	candidate string
	aud       string
}

type decisionKind int

const (
	accountExists decisionKind = iota
	createAccount
	linkAccount
	linkToCaller
	severalAccounts
)

// decide reads what settle writes. Nothing locks what it has read, so that of several first sign-ins at once all
// but one fail. The hook is asked here, for new accounts.
func (s *Server) decide(r *http.Request, x *external, target *user) (*decision, error) {
	if target != nil {
		return &decision{kind: linkToCaller, user: target, aud: target.Aud}, nil
	}
	aud := requestAud(r)
	d := get(s.db, func(tx *tx) *decision { return tx.decide(x, aud, !s.opts.RequireConfirmation) })
	if s.opts.BeforeUserCreated == nil || d.kind != createAccount {
		return d, nil
	}
	if s.opts.DisableSignup {
		return nil, signupDisabled()
	}
	if err := s.askHook(x.newUser(d)); err != nil {
		return nil, err
	}
	return get(s.db, func(tx *tx) *decision { return tx.decide(x, aud, !s.opts.RequireConfirmation) }), nil
}

func signupDisabled() error {
	return fail(http.StatusUnprocessableEntity, codeSignupDisabled, "Signups not allowed for this instance")
}

// decide follows the identity if there is one; else a verified address, which autoconfirm makes of any.
func (tx *tx) decide(x *external, aud string, autoconfirm bool) *decision {
	d := &decision{kind: createAccount, candidate: strings.ToLower(x.email), aud: aud}
	if owner := tx.identities[identityKey{x.provider, x.sub()}]; owner != "" {
		d.kind, d.user = accountExists, tx.userByID(owner)
		d.candidate = d.user.Email
		return d
	}
	if d.candidate == "" {
		return d
	}
	if !x.verified && !autoconfirm {
		if tx.duplicateOf(d.candidate, aud, "") != nil {
			d.candidate = "" // somebody has it
		}
		return d
	}
	owners := tx.ownersOf(d.candidate)
	switch len(owners) {
	case 0:
		if id, ok := tx.emails[d.candidate]; ok {
			owners = []string{id}
		} else {
			return d
		}
	case 1:
	default:
		d.kind = severalAccounts
		return d
	}
	d.kind, d.user = linkAccount, tx.userByID(owners[0])
	return d
}

// ownersOf are the accounts that have an identity with the address.
func (tx *tx) ownersOf(email string) (ids []string) {
	for id, row := range tx.users {
		if slices.ContainsFunc(row.Identities, func(i identity) bool { return i.Email == email }) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (x *external) newUser(d *decision) *user {
	u := newUser(d.candidate, "", "", d.aud, x.claims.data())
	u.setProviders([]string{x.provider})
	u.Identities = []identity{}
	return u
}

// issueError is an error from making the session, which the redirect flow words in its own way.
type issueError struct{ cause error }

func (e *issueError) Error() string { return e.cause.Error() }

// settle does what was decided, and returns the account as the answer shows it: with the identities as they were
// read before (captures "oidc/id_token: again", "oidc/linking: by token"). A session follows if issuing is true,
// and then the token hook is asked, before anything is written, as there is no rollback.
func (s *Server) settle(tx *tx, r *http.Request, x *external, d *decision, issuing bool) (*user, error) {
	if err := s.refuse(tx, x, d); err != nil {
		return nil, err
	}
	u := d.user
	if d.kind == createAccount {
		u = x.newUser(d)
	}
	if d.kind == linkToCaller {
		return s.link(tx, r, x, u, issuing)
	}
	proves := (!x.noEmail || d.candidate != "") && !u.confirmed()
	trusted := (x.email != "" && x.verified) || !s.opts.RequireConfirmation
	if proves && !trusted && d.candidate != "" {
		if err := s.checkFrequency(u.ConfirmationSentAt); err != nil {
			return nil, err
		}
	}
	if issuing && (!proves || trusted) {
		if err := s.askTokenHook(u); err != nil {
			return nil, &issueError{err}
		}
	}
	own, err := s.write(tx, x, d, u)
	if err != nil || !proves {
		return u, err
	}
	if err := s.dropUnproven(tx, u, own); err != nil {
		return nil, err
	}
	if !trusted {
		return nil, s.askForProof(tx, r, x, d, u)
	}
	u.confirm(s.now().UTC())
	tx.tokens.clear(u.ID)
	if d.kind == createAccount {
		u.Identities[0].Data = u.UserMetadata // one map in GoTrue; the row says otherwise
		u.read.Identities = u.Identities
	}
	return u, tx.save(u)
}

// refuse finds what stands against it.
func (s *Server) refuse(tx *tx, x *external, d *decision) error {
	taken := tx.identities[identityKey{x.provider, x.sub()}]
	switch {
	case d.kind == severalAccounts:
		return internal("Multiple accounts with the same email address in the same linking domain detected: default",
			nil)
	case d.kind == createAccount && s.opts.DisableSignup:
		return signupDisabled()
	case d.kind == linkToCaller && taken == d.user.ID:
		return fail(http.StatusUnprocessableEntity, codeIdentityExists, "Identity is already linked")
	case d.kind == linkToCaller && taken != "":
		return fail(http.StatusUnprocessableEntity, codeIdentityExists,
			"Identity is already linked to another user")
	case d.kind == createAccount && d.candidate != "" && tx.emails[d.candidate] != "":
		return internal("Database error saving new user",
			uniqueViolation("users_email_partial_key", "email", d.candidate))
	case d.kind == accountExists:
	case x.sub() == "":
		return errors.New("error missing provider id")
	case taken != "":
		return internal("Error creating identity", uniqueViolation("identities_provider_id_provider_unique",
			"provider_id, provider", x.sub()+", "+x.provider))
	case d.user != nil && tx.users[d.user.ID] == nil:
		return internal("Error creating identity", errNoUserRow)
	}
	if d.kind != linkToCaller && d.user != nil && d.user.banned(s.now()) {
		return fail(http.StatusForbidden, codeUserBanned, "User is banned")
	}
	return nil
}

// write stores identity and metadata, and returns the identity's id.
func (s *Server) write(tx *tx, x *external, d *decision, u *user) (own string, err error) {
	now := s.now().UTC()
	if d.kind == createAccount {
		u.Role = userRole
		if err := tx.insert(u); err != nil {
			return "", internal("Database error saving new user", err)
		}
		u.Identities = []identity{x.identity(u.ID, now)}
		if err := tx.save(u); err != nil {
			return "", err
		}
		u.Identities[0].Email = x.claims.Email // as the provider wrote it, until it is read again
		u.show(u.Identities)
		return u.Identities[0].IdentityID, nil
	}
	shown := u.Identities
	tx.reloadIdentities(u)
	if d.kind == linkAccount {
		u.Identities = append(u.Identities, x.identity(u.ID, now))
		own = u.Identities[len(u.Identities)-1].IdentityID
	} else {
		own = u.refreshIdentity(x, now)
	}
	u.UserMetadata = merged(u.UserMetadata, lowerEmail(x.claims.data()))
	u.write("UserMetadata")
	u.recomputeProviders()
	if err := tx.save(u); err != nil {
		return "", err
	}
	u.show(shown)
	return own, nil
}

// refreshIdentity replaces what the identity says of the person. last_sign_in_at does not move.
func (u *user) refreshIdentity(x *external, now time.Time) string {
	for i := range u.Identities {
		if id := &u.Identities[i]; id.Provider == x.provider && id.ProviderID == x.sub() {
			id.Data, id.UpdatedAt = lowerEmail(x.claims.data()), now.Truncate(time.Microsecond)
			id.Email, _ = id.Data["email"].(string)
			return id.IdentityID
		}
	}
	return ""
}

// show puts identities into the answer that no save writes.
func (u *user) show(identities []identity) {
	u.Identities, u.read.Identities = identities, identities
}

// dropUnproven takes password and other identities from an account that nobody has confirmed: whoever made it
// may be a stranger (models/user.go, RemoveUnconfirmedIdentities).
func (s *Server) dropUnproven(tx *tx, u *user, own string) error {
	shown := u.Identities
	tx.reloadIdentities(u)
	u.Identities = slices.DeleteFunc(u.Identities, func(i identity) bool {
		return i.IdentityID != own && slices.ContainsFunc(shown, func(o identity) bool {
			return o.IdentityID == i.IdentityID
		})
	})
	for _, i := range u.Identities {
		if i.IdentityID == own {
			u.UserMetadata = cloneMap(i.Data)
		}
	}
	u.PasswordHash = ""
	u.write("PasswordHash", "UserMetadata")
	u.recomputeProviders()
	if err := tx.save(u); err != nil {
		return internal("Error updating user", err)
	}
	u.show(shown)
	return nil
}

// askForProof mails a confirmation to an address that the provider does not vouch for. The account stays.
func (s *Server) askForProof(tx *tx, r *http.Request, x *external, d *decision, u *user) error {
	if d.candidate == "" {
		return fail(http.StatusUnprocessableEntity, codeProviderEmail,
			"Unverified email with %v. Verify the email with %v in order to sign in", x.provider, x.provider)
	}
	l := newLink(u.Email)
	if err := tx.saveConfirmation(u, l.hash, s.now().UTC()); err != nil {
		return internal("Error sending confirmation email", err)
	}
	s.mail(r, u.Email, l, typeSignup)
	return fail(http.StatusUnprocessableEntity, codeProviderEmail,
		"Unverified email with %v. A confirmation email has been sent to your %v email", x.provider, x.provider)
}

// link adds the identity to the caller's account (identity.go, linkIdentityToUser). An account without an address
// cannot be linked to unless the provider vouches for one, which even then only marks the missing address as
// confirmed (captures "oidc/linking: by token, one without e-mail", "... gets one").
func (s *Server) link(tx *tx, r *http.Request, x *external, u *user, issuing bool) (*user, error) {
	now := s.now().UTC()
	shown, bare := u.Identities, u.Email == ""
	tx.reloadIdentities(u)
	u.Identities = append(u.Identities, x.identity(u.ID, now))
	if bare {
		if err := s.emailFromIdentities(tx, u); err != nil {
			return nil, fail(http.StatusBadRequest, codeEmailExists, duplicateEmail)
		}
	}
	switch {
	case bare && !x.claims.EmailVerified && u.Email == "":
		return nil, internal("Error sending confirmation email", nil)
	case bare && !x.claims.EmailVerified:
		l := newLink(u.Email)
		if err := tx.saveConfirmation(u, l.hash, now); err != nil {
			return nil, internal("Error sending confirmation email", err)
		}
		s.mail(r, u.Email, l, typeSignup)
		return nil, fail(http.StatusUnprocessableEntity, codeEmailNotConfirmed,
			"Unverified email with %v. A confirmation email has been sent to your %v email", x.provider, x.provider)
	case bare:
		u.confirm(now)
		tx.tokens.clear(u.ID)
	}
	u.recomputeProviders()
	if issuing {
		if err := s.askTokenHook(u); err != nil {
			return nil, &issueError{err}
		}
	}
	if err := tx.save(u); err != nil {
		return nil, err
	}
	u.show(shown)
	return u, nil
}

// linkIdentity is GET /user/identities/authorize. Nothing ties the flow to the browser that started it: whoever
// comes back from the provider is linked to the caller's account.
func (s *Server) linkIdentity(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.deadline(r)
	defer cancel()
	address, err := s.startFlow(ctx, r, callerOf(r).user.ID)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("skip_http_redirect") == "true" {
		sendJSON(w, http.StatusOK, map[string]string{"url": address})
		return nil
	}
	found(w, r, address)
	return nil
}

// routeIdentity is what lies below /user/identities, which is off by default (identity.go). Linking by an
// id_token is not.
func (s *Server) routeIdentity(id string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch {
		case !s.opts.ManualLinking:
			return fail(http.StatusNotFound, codeLinkingDisabled, "Manual linking is disabled")
		case id == "authorize":
			return methods{"GET": s.linkIdentity}.serve(w, r)
		}
		return methods{"DELETE": func(w http.ResponseWriter, r *http.Request) error {
			return s.deleteIdentity(w, r, id)
		}}.serve(w, r)
	}
}

func (s *Server) deleteIdentity(w http.ResponseWriter, r *http.Request, id string) error {
	if _, err := uuid.Parse(id); err != nil {
		return fail(http.StatusNotFound, codeValidation, "identity_id must be an UUID")
	}
	u := callerOf(r).user
	i := slices.IndexFunc(u.Identities, func(i identity) bool { return i.IdentityID == id })
	switch {
	case len(u.Identities) < 2:
		return fail(http.StatusUnprocessableEntity, codeSingleIdentity,
			"User must have at least 1 identity after unlinking")
	case i < 0:
		return fail(http.StatusUnprocessableEntity, codeIdentityNotFound, "Identity doesn't exist")
	}
	if err := s.beforeWrite(r, 0); err != nil {
		return err
	}
	err := s.db.tx(func(tx *tx) error { return s.unlink(tx, u, u.Identities[i]) })
	if err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, struct{}{})
	return nil
}

// unlink removes an identity, and with it the phone, or the address if no other identity has it.
func (s *Server) unlink(tx *tx, u *user, gone identity) error {
	tx.reloadIdentities(u)
	u.Identities = slices.DeleteFunc(u.Identities, func(i identity) bool {
		return i.IdentityID == gone.IdentityID
	})
	if gone.Provider == phoneProvider {
		u.Phone, u.PhoneConfirmedAt = "", nil
		u.write("Phone", "PhoneConfirmedAt")
	} else if err := s.emailFromIdentities(tx, u); err != nil {
		return err
	}
	u.recomputeProviders()
	return tx.save(u)
}

// emailFromIdentities gives u the address of another identity when the one it has belongs to none,
// or leaves it without (models/user.go, UpdateUserEmailFromIdentities).
func (s *Server) emailFromIdentities(tx *tx, u *user) error {
	if slices.ContainsFunc(u.Identities, func(i identity) bool { return i.Email == u.Email }) {
		return nil
	}
	rank := func(i identity) int {
		switch {
		case i.Email == "":
			return 2
		case i.Data["email_verified"] != true:
			return 1
		}
		return 0
	}
	ranked := slices.SortedStableFunc(slices.Values(u.Identities), func(a, b identity) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.CreatedAt.Compare(b.CreatedAt),
			cmp.Compare(a.IdentityID, b.IdentityID))
	})
	i := slices.IndexFunc(ranked, func(i identity) bool { return tx.userByEmail(i.Email, u.Aud) == nil })
	if i < 0 {
		return fail(http.StatusUnprocessableEntity, codeIdentityConflict,
			"Unable to unlink identity due to email conflict")
	}
	u.Email, u.EmailChange, u.EmailChangeAccepted, u.PhoneChange = ranked[i].Email, "", false, ""
	u.write("Email", "EmailChange", "EmailChangeAccepted", "PhoneChange")
	u.forgetPending()
	tx.tokens.clear(u.ID)
	if rank(ranked[i]) == 2 || (rank(ranked[i]) == 1 && s.opts.RequireConfirmation) {
		u.EmailConfirmedAt = nil
		u.UserMetadata = merged(u.UserMetadata, map[string]any{"email_verified": false})
		u.write("EmailConfirmedAt", "UserMetadata")
	}
	return nil
}
