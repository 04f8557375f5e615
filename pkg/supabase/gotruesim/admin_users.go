package gotruesim

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// adminUserParams is the body of POST and PUT /admin/users (admin.go).
type adminUserParams struct {
	ID           string         `json:"id"`
	Aud          string         `json:"aud"`
	Role         string         `json:"role"`
	Email        string         `json:"email"`
	Phone        string         `json:"phone"`
	Password     *string        `json:"password"`
	PasswordHash string         `json:"password_hash"`
	EmailConfirm bool           `json:"email_confirm"`
	PhoneConfirm bool           `json:"phone_confirm"`
	UserMetadata map[string]any `json:"user_metadata"`
	AppMetadata  map[string]any `json:"app_metadata"`
	BanDuration  string         `json:"ban_duration"`
}

// normalize checks and lower-cases the addresses that are given.
func (p *adminUserParams) normalize() (err error) {
	if p.Email != "" {
		if p.Email, err = validEmail(p.Email); err != nil {
			return err
		}
	}
	if p.Phone != "" {
		p.Phone, err = validPhone(p.Phone)
	}
	return err
}

// ban parses ban_duration: a Go duration or "none". ok is false if there is none to apply.
func (p *adminUserParams) ban() (d time.Duration, ok bool, err error) {
	switch p.BanDuration {
	case "":
		return 0, false, nil
	case "none":
		return 0, true, nil
	}
	if d, err = time.ParseDuration(p.BanDuration); err != nil {
		return 0, false, invalid("invalid format for ban duration: %v", err)
	}
	return d, true, nil
}

// createUser is POST /admin/users. Neither DisableSignup nor DisableEmail nor the hook applies.
// The address is checked long before the row is written, so the losers of a race get 500 and not
// 422 (gotrue facts, "parallel requests").
func (s *Server) createUser(w http.ResponseWriter, r *http.Request) error {
	var p adminUserParams
	if err := readJSON(r, &p, "AdminUserParams"); err != nil {
		return err
	}
	aud := requestAud(r)
	if p.Aud != "" {
		aud = p.Aud
	}
	if p.Email == "" && p.Phone == "" {
		return invalid("Cannot create a user without either an email or phone")
	}
	if err := p.normalize(); err != nil {
		return err
	}
	if err := s.checkFree(p, aud); err != nil {
		return err
	}
	u, err := p.newUser(aud)
	if err != nil {
		return err
	}
	if err := p.complete(u, s.now().UTC()); err != nil {
		return err
	}
	if err := s.beforeWrite(r, s.opts.WriteDelay); err != nil {
		return err
	}
	if err := s.db.tx(func(tx *tx) error { return tx.insert(u) }); err != nil {
		return internal("Database error creating new user", err)
	}
	sendJSON(w, http.StatusOK, u)
	return nil
}

func (s *Server) checkFree(p adminUserParams, aud string) error {
	return s.db.tx(func(tx *tx) error {
		if p.Email != "" && tx.duplicateOf(p.Email, aud, "") != nil {
			return emailExists()
		}
		if p.Phone != "" && tx.userByPhone(p.Phone, aud) != nil {
			return fail(http.StatusUnprocessableEntity, codePhoneExists,
				"Phone number already registered by another user")
		}
		return nil
	})
}

func emailExists() error {
	return fail(http.StatusUnprocessableEntity, codeEmailExists, duplicateEmail)
}

// newUser makes the account with its password, which someone always knows or nobody does: there is
// no way to create a user without one.
func (p *adminUserParams) newUser(aud string) (*user, error) {
	if p.Password != nil && p.PasswordHash != "" {
		return nil, invalid("Only a password or a password hash should be provided")
	}
	if p.PasswordHash != "" {
		if err := checkHash(p.PasswordHash); err != nil {
			return nil, internal("Error creating user", err)
		}
		// Alone on this path absent metadata is stored as null.
		return newUser(p.Email, p.Phone, p.PasswordHash, aud, p.UserMetadata), nil
	}
	hash := ""
	if p.Password == nil || *p.Password == "" {
		hash = unknownPassword()
	} else {
		var err error
		if hash, err = hashPassword(*p.Password); err != nil {
			return nil, err
		}
	}
	return newUser(p.Email, p.Phone, hash, aud, orEmpty(p.UserMetadata)), nil
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// complete sets the rest of a new account's columns.
func (p *adminUserParams) complete(u *user, now time.Time) error {
	if p.ID != "" {
		id, err := uuid.Parse(p.ID)
		if err != nil {
			return invalid("ID must conform to the uuid v4 format")
		}
		if id == uuid.Nil {
			return invalid("ID cannot be a nil uuid")
		}
		u.ID = id.String()
	}
	d, banned, err := p.ban()
	if err != nil {
		return err
	}
	var providers []string
	if p.Email != "" {
		providers = append(providers, emailProvider)
		u.addIdentity(emailProvider, map[string]any{"email": u.Email}, nil, now)
	}
	if p.Phone != "" {
		providers = append(providers, phoneProvider)
		u.addIdentity(phoneProvider, map[string]any{"phone": u.Phone}, nil, now)
	}
	u.setProviders(providers)
	u.Role = userRole
	p.apply(u, now)
	if banned {
		u.ban(d, now)
	}
	return nil
}

// apply sets what creating and updating have in common.
func (p *adminUserParams) apply(u *user, now time.Time) {
	if role := strings.TrimSpace(p.Role); role != "" {
		u.Role = role
		u.write("Role")
	}
	if p.AppMetadata != nil {
		u.AppMetadata = merged(u.AppMetadata, p.AppMetadata)
		u.write("AppMetadata")
	}
	if p.EmailConfirm {
		u.confirm(now)
	}
	if p.PhoneConfirm {
		u.ConfirmationToken = ""
		u.PhoneConfirmedAt = &now
		u.write("ConfirmationToken")
	}
}

// updateUser is PUT /admin/users/{id}. It writes what it read earlier, changed: of two updates at
// once the later may undo the earlier (gotrue facts, "read-modify-write without a lock").
func (s *Server) updateUser(w http.ResponseWriter, r *http.Request, u *user) error {
	var p adminUserParams
	if err := readJSON(r, &p, "AdminUserParams"); err != nil {
		return err
	}
	if err := p.normalize(); err != nil {
		return err
	}
	d, banned, err := p.ban()
	if err != nil {
		return err
	}
	if p.Password != nil {
		if err := u.setPassword(*p.Password); err != nil {
			return err
		}
	}
	if err := s.beforeWrite(r, s.opts.WriteDelay); err != nil {
		return err
	}
	now := s.now().UTC()
	p.apply(u, now)
	if p.UserMetadata != nil {
		u.UserMetadata = merged(u.UserMetadata, p.UserMetadata)
		u.write("UserMetadata")
	}
	if banned {
		u.ban(d, now)
	}
	shown := u.clone().Identities
	err = s.db.tx(func(tx *tx) error {
		tx.reloadIdentities(u)
		shown = append(shown, p.applyAddresses(u, now)...)
		if err := tx.save(u); err != nil {
			return internal("Error updating user", err)
		}
		if p.EmailConfirm || p.PhoneConfirm || p.Password != nil {
			tx.tokens.clear(u.ID)
		}
		if p.Password != nil {
			tx.endSessions(u.ID, everySession)
		}
		return nil
	})
	if err != nil {
		return err
	}
	u.Identities = shown
	sendJSON(w, http.StatusOK, u)
	return nil
}

// setPassword replaces the password and distrusts every link sent before.
func (u *user) setPassword(password string) error {
	if err := checkStrength(password); err != nil {
		return err
	}
	hash, err := hashPassword(password)
	if err != nil {
		return err
	}
	u.PasswordHash = hash
	u.forgetPending()
	return nil
}

// applyAddresses changes e-mail and phone with their identities. It returns the new identities alone:
// GoTrue changes an existing one in the database only and answers with what it had read before
// (admin.go, adminUserUpdate).
func (p *adminUserParams) applyAddresses(u *user, now time.Time) (added []identity) {
	for _, change := range []struct {
		provider, value string
		confirmed       bool
		field           *string
		column          string
	}{
		{emailProvider, p.Email, p.EmailConfirm, &u.Email, "Email"},
		{phoneProvider, p.Phone, p.PhoneConfirm, &u.Phone, "Phone"},
	} {
		if change.value == "" {
			continue
		}
		*change.field = change.value
		u.write(change.column)
		data := map[string]any{
			change.provider: change.value, change.provider + "_verified": change.confirmed,
		}
		if existing := u.identityOf(change.provider); existing != nil {
			existing.update(data)
			continue
		}
		u.addIdentity(change.provider, data, nil, now)
		added = append(added, u.Identities[len(u.Identities)-1])
	}
	return added
}

// deleteUser is DELETE /admin/users/{id}.
func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request, u *user) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var p struct {
		Soft bool `json:"should_soft_delete"`
	}
	if len(body) > 0 {
		if err := parseJSON(body, &p, "adminUserDeleteParams"); err != nil {
			return err
		}
	}
	if err := s.beforeWrite(r, 0); err != nil {
		return err
	}
	err = s.db.tx(func(tx *tx) error {
		switch {
		case !p.Soft:
			tx.remove(u.ID)
		case u.DeletedAt == nil:
			u.softDelete(s.now().UTC())
			if err := tx.save(u); err != nil {
				return internal("Error soft deleting user", err)
			}
			tx.tokens.clear(u.ID)
			tx.endSessions(u.ID, everySession)
		}
		return nil
	})
	if err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, struct{}{})
	return nil
}

func (s *Server) showUser(w http.ResponseWriter, r *http.Request, u *user) error {
	if err := s.beforeWrite(r, 0); err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, u)
	return nil
}

func showFactors(w http.ResponseWriter, _ *http.Request, u *user) error {
	factors := u.Factors
	if factors == nil {
		factors = []factor{}
	}
	sendJSON(w, http.StatusOK, factors)
	return nil
}

// showPasskeys lists passkeys; there is a list also where passkeys are switched off
// (internal/api/api.go; tried on v2.196).
func showPasskeys(w http.ResponseWriter, _ *http.Request, u *user) error {
	passkeys := u.Passkeys
	if passkeys == nil {
		passkeys = []passkey{}
	}
	sendJSON(w, http.StatusOK, passkeys)
	return nil
}

// routeFactor deletes one factor; renaming one is left out.
func (s *Server) routeFactor(w http.ResponseWriter, r *http.Request, u *user, id string) error {
	if _, err := uuid.Parse(id); err != nil {
		return fail(http.StatusNotFound, codeValidation, "factor_id must be an UUID")
	}
	i := slices.IndexFunc(u.Factors, func(f factor) bool { return f.ID == id })
	if i < 0 {
		return fail(http.StatusNotFound, codeFactorNotFound, "Factor not found")
	}
	return methods{"PUT": leftOut, "DELETE": func(w http.ResponseWriter, _ *http.Request) error {
		gone := u.Factors[i]
		u.Factors = slices.Delete(slices.Clone(u.Factors), i, i+1)
		if err := s.db.tx(func(tx *tx) error { return tx.save(u) }); err != nil {
			return internal("Database error deleting factor", err)
		}
		sendJSON(w, http.StatusOK, gone)
		return nil
	}}.serve(w, r)
}

// defaultPerPage is the page size without per_page.
const defaultPerPage = 50

// listUsers is GET /admin/users. The list does not load identities, so they are null in it
// (capture "admin list: page 1").
func (s *Server) listUsers(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page, err := pageParam(q, "page", 1)
	if err != nil {
		return err
	}
	perPage, err := pageParam(q, "per_page", defaultPerPage)
	if err != nil {
		return err
	}
	if perPage == 0 {
		return panicked() // GoTrue divides by it
	}
	aud := requestAud(r)
	matches := userFilter(q.Get("filter"))
	all := get(s.db, func(tx *tx) []*user { return tx.newestFirst(aud, matches) })
	total := uint64(len(all))
	w.Header().Set("Link", pageLinks(r.URL, page, (total+perPage-1)/perPage))
	w.Header().Set("X-Total-Count", strconv.FormatUint(total, 10))

	from := min(total, (max(page, 1)-1)*perPage)
	users := append([]*user{}, all[from:min(total, from+perPage)]...)
	for _, u := range users {
		u.Identities, u.Factors = nil, nil
	}
	sendJSON(w, http.StatusOK, map[string]any{"users": users, "aud": aud})
	return nil
}

func pageParam(q url.Values, name string, missing uint64) (uint64, error) {
	if q.Get(name) == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil {
		return 0, invalid("Bad Pagination Parameters: %v", err)
	}
	return n, nil
}

// pageLinks is the Link header. The last page of an empty list is 0.
func pageLinks(u *url.URL, page, pages uint64) string {
	to := func(n uint64, rel string) string {
		q := u.Query()
		q.Set("page", strconv.FormatUint(n, 10))
		return fmt.Sprintf("<%s?%s>; rel=%q", u.Path, q.Encode(), rel)
	}
	last := to(pages, "last")
	if pages > page {
		return to(page+1, "next") + ", " + last
	}
	return last
}

// userFilter is the undocumented filter of the list: a LIKE on the e-mail, which respects case and
// takes % and _ as wildcards, or an ILIKE on full_name (models/user.go, FindUsersInAudience).
func userFilter(filter string) func(*user) bool {
	if filter == "" {
		return func(*user) bool { return true }
	}
	pattern := likePattern("%" + filter + "%")
	email := regexp.MustCompile("(?s)^" + pattern + "$")
	name := regexp.MustCompile("(?si)^" + pattern + "$")
	return func(u *user) bool {
		fullName, _ := u.UserMetadata["full_name"].(string)
		return email.MatchString(u.Email) || name.MatchString(fullName)
	}
}

// likePattern translates an SQL LIKE pattern into a regular expression.
func likePattern(like string) string {
	var b strings.Builder
	escaped := false
	for _, c := range like {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(c)))
			escaped = false
		case c == '\\':
			escaped = true
		case c == '%':
			b.WriteString(".*")
		case c == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String()
}
