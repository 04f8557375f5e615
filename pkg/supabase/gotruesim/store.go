package gotruesim

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// store is the emulated database: the rows, their unique indexes, and one lock. A handler reads
// under the lock, lets go of it, and writes under it again, so requests interleave as they do when
// each talks to PostgreSQL at the default isolation level.
type store struct {
	mu       sync.Mutex
	now      func() time.Time
	trigger  func(Write) error
	users    map[string]*user
	emails   map[string]string // unique: e-mail to user id
	phones   map[string]string // unique: phone to user id
	tokens   tokens
	sessions map[string]*session
	signedIn map[string][]*session // by user id
	refresh  map[string]*refreshToken
	seq      int64

	identities   map[identityKey]string // unique: provider and sub to user id
	providers    map[string]*customProvider
	flows        map[string]*flowState
	clientStates map[string]clientState
}

// identityKey is how a provider names a person.
type identityKey struct{ provider, id string }

func newStore(now func() time.Time, trigger func(Write) error) *store {
	s := &store{now: now, trigger: trigger}
	s.reset()
	return s
}

func (s *store) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = map[string]*user{}
	s.emails, s.phones = map[string]string{}, map[string]string{}
	s.tokens = tokens{byHash: map[tokenKey]string{}, byUser: map[string]map[tokenType]string{}}
	s.sessions, s.signedIn = map[string]*session{}, map[string][]*session{}
	s.refresh = map[string]*refreshToken{}
	s.identities, s.providers = map[identityKey]string{}, map[string]*customProvider{}
	s.flows, s.clientStates = map[string]*flowState{}, map[string]clientState{}
}

// tx runs fn as one transaction. There is no rollback: fn does what may fail first.
func (s *store) tx(fn func(tx *tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fn(&tx{s})
}

// get reads one value in a transaction of its own.
func get[T any](s *store, fn func(tx *tx) T) (out T) {
	_ = s.tx(func(tx *tx) error {
		out = fn(tx)
		return nil
	})
	return out
}

func (s *store) userByID(id string) *user {
	return get(s, func(tx *tx) *user { return tx.userByID(id) })
}

func (s *store) userByEmail(email, aud string) *user {
	return get(s, func(tx *tx) *user { return tx.userByEmail(email, aud) })
}

// tx gives access to the rows; it exists only while the lock is held.
type tx struct{ *store }

// userByID reads an account, or nil. What PostgreSQL generates or defaults shows up here first:
// confirmed_at is absent from a reply that creates the account, and metadata that was stored as
// null reads as {}.
func (tx *tx) userByID(id string) *user {
	row, ok := tx.users[id]
	if !ok {
		return nil
	}
	u := row.clone()
	u.ConfirmedAt = cmp.Or(u.EmailConfirmedAt, u.PhoneConfirmedAt)
	if u.UserMetadata == nil {
		u.UserMetadata = map[string]any{}
	}
	u.read = u.clone()
	return u
}

func (tx *tx) userByEmail(email, aud string) *user {
	if u := tx.userByID(tx.emails[email]); u != nil && u.Aud == aud {
		return u
	}
	return nil
}

func (tx *tx) userByPhone(phone, aud string) *user {
	if u := tx.userByID(tx.phones[phone]); u != nil && u.Aud == aud {
		return u
	}
	return nil
}

// duplicateOf finds another account than self that holds the address, be it in an identity only
// (models/user.go, IsDuplicatedEmail).
func (tx *tx) duplicateOf(email, aud, self string) *user {
	for id, row := range tx.users {
		if id == self || row.Aud != aud {
			continue
		}
		if slices.ContainsFunc(row.Identities, func(i identity) bool { return i.Email == email }) {
			return tx.userByID(id)
		}
	}
	return tx.userByEmail(email, aud)
}

// insert stores a new account, unless a unique index forbids it.
func (tx *tx) insert(u *user) error {
	if _, taken := tx.users[u.ID]; taken {
		return uniqueViolation("users_pkey", "id", u.ID)
	}
	written := u.clone()
	if err := tx.fire(true, written); err != nil {
		return err
	}
	if err := tx.claimKeys(&user{}, u); err != nil {
		return err
	}
	tx.seq++
	u.seq = tx.seq
	u.CreatedAt = tx.now().UTC().Truncate(time.Microsecond)
	u.UpdatedAt = u.CreatedAt
	row := u.clone()
	row.AppMetadata = written.AppMetadata
	row.truncateTimes()
	tx.users[u.ID] = row
	u.read = u.clone()
	return nil
}

// save writes the columns of u that changed since it was read, over whatever is there by now. Writing
// to an account that has been deleted meanwhile changes no row and is no error, as in SQL.
func (tx *tx) save(u *user) error {
	row, ok := tx.users[u.ID]
	if !ok {
		return nil
	}
	next := row.clone()
	u.applyTo(next)
	if err := tx.fire(false, next); err != nil {
		return err
	}
	if err := tx.claimKeys(row, next); err != nil {
		return err
	}
	u.UpdatedAt = tx.now().UTC().Truncate(time.Microsecond)
	next.UpdatedAt = u.UpdatedAt
	next.truncateTimes()
	tx.users[u.ID] = next
	u.read, u.written = u.clone(), nil
	return nil
}

// reloadIdentities reads the user's identities again: they are rows of their own, which GoTrue looks
// up in the transaction that changes them (models/identity.go, FindIdentityByIdAndProvider).
func (tx *tx) reloadIdentities(u *user) {
	if row := tx.userByID(u.ID); row != nil {
		u.Identities, u.read.Identities = row.Identities, row.read.Identities
	}
}

// claimKeys moves the entries of the unique indexes from an account's old e-mail, phone and identities to
// the new ones.
func (tx *tx) claimKeys(was, u *user) error {
	if owner, taken := tx.emails[u.Email]; taken && owner != u.ID {
		return uniqueViolation("users_email_partial_key", "email", u.Email)
	}
	if owner, taken := tx.phones[u.Phone]; taken && owner != u.ID {
		return uniqueViolation("users_phone_key", "phone", u.Phone)
	}
	for _, i := range u.Identities {
		if owner, taken := tx.identities[i.key()]; taken && owner != u.ID {
			return uniqueViolation("identities_provider_id_provider_unique", "provider_id, provider",
				i.ProviderID+", "+i.Provider)
		}
	}
	for _, i := range was.Identities {
		delete(tx.identities, i.key())
	}
	for _, i := range u.Identities {
		tx.identities[i.key()] = u.ID
	}
	moveKey(tx.emails, was.Email, u.Email, u.ID)
	moveKey(tx.phones, was.Phone, u.Phone, u.ID)
	return nil
}

// moveKey updates one unique index; empty values are stored as NULL and so never indexed.
func moveKey(index map[string]string, was, is, owner string) {
	if was == is {
		return
	}
	if index[was] == owner {
		delete(index, was)
	}
	if is != "" {
		index[is] = owner
	}
}

// remove deletes the account and all that hangs on it.
func (tx *tx) remove(id string) {
	row, ok := tx.users[id]
	if !ok {
		return
	}
	delete(tx.emails, row.Email)
	delete(tx.phones, row.Phone)
	for _, i := range row.Identities {
		delete(tx.identities, i.key())
	}
	delete(tx.users, id)
	tx.tokens.clear(id)
	tx.endSessions(id, everySession)
	delete(tx.signedIn, id)
}

// newestFirst lists accounts of an audience as the admin list sorts them.
func (tx *tx) newestFirst(aud string, keep func(*user) bool) []*user {
	var list []*user
	for _, row := range tx.users {
		if row.Aud == aud && keep(row) {
			list = append(list, tx.userByID(row.ID))
		}
	}
	slices.SortFunc(list, func(a, b *user) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.seq, a.seq))
	})
	return list
}

// errNoUserRow is the violated foreign key of a row that belongs to a user.
var errNoUserRow = &dbError{Code: "23503", Message: "insert or update violates foreign key constraint"}

// tokenType is a column of its own in GoTrue's one_time_tokens: a user has one token of each type.
type tokenType int

const (
	confirmationToken tokenType = iota
	recoveryToken
	emailChangeNewToken
	emailChangeCurrentToken
)

type tokenKey struct {
	typ  tokenType
	hash string
}

// tokens are the outstanding one-time tokens.
type tokens struct {
	byHash map[tokenKey]string // to user id
	byUser map[string]map[tokenType]string
}

// addToken stores a one-time token, unless its user has been deleted meanwhile.
func (tx *tx) addToken(u *user, typ tokenType, hash string) error {
	if _, ok := tx.users[u.ID]; !ok {
		return errNoUserRow
	}
	tx.tokens.put(u.ID, typ, hash)
	return nil
}

// put stores a token and thereby supersedes the user's earlier one of that type
// (one_time_token.go; capture "verify: superseded by second generate_link").
func (t tokens) put(userID string, typ tokenType, hash string) {
	t.drop(userID, typ)
	if t.byUser[userID] == nil {
		t.byUser[userID] = map[tokenType]string{}
	}
	t.byUser[userID][typ] = hash
	t.byHash[tokenKey{typ, hash}] = userID
}

// find tells whose token it is, if it is of one of the types; "" means nobody's.
func (t tokens) find(hash string, types ...tokenType) (userID string) {
	for _, typ := range types {
		if userID = t.byHash[tokenKey{typ, hash}]; userID != "" {
			break
		}
	}
	return userID
}

func (t tokens) drop(userID string, typ tokenType) {
	key := tokenKey{typ, t.byUser[userID][typ]}
	if t.byHash[key] == userID {
		delete(t.byHash, key)
	}
	delete(t.byUser[userID], typ)
}

// clear drops all tokens of a user: every successful verify and every confirmation does it.
func (t tokens) clear(userID string) {
	for typ := range t.byUser[userID] {
		t.drop(userID, typ)
	}
	delete(t.byUser, userID)
}
