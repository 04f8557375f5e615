package gotruesim

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// audience is the `aud` of users unless a caller names another one.
	audience = "authenticated"
	// userRole is the role that GoTrue gives to every user it makes.
	userRole = "authenticated"

	emailProvider = "email"
	phoneProvider = "phone"
)

// user is one account. A value outside the store is a private copy, like a row GoTrue has read:
// handlers change the copy, and tx.save writes the changed columns back. So two requests that read
// before either has written lose one another's updates, as they do on the real server.
//
// The tags follow GoTrue's models/user.go: which fields are omitted when empty is part of the
// contract that the replay test checks.
type user struct {
	ID                  string         `json:"id"`
	Aud                 string         `json:"aud"`
	Role                string         `json:"role"`
	Email               string         `json:"email"`
	EmailConfirmedAt    *time.Time     `json:"email_confirmed_at,omitempty"`
	InvitedAt           *time.Time     `json:"invited_at,omitempty"`
	Phone               string         `json:"phone"`
	PhoneConfirmedAt    *time.Time     `json:"phone_confirmed_at,omitempty"`
	ConfirmationSentAt  *time.Time     `json:"confirmation_sent_at,omitempty"`
	ConfirmedAt         *time.Time     `json:"confirmed_at,omitempty"`
	RecoverySentAt      *time.Time     `json:"recovery_sent_at,omitempty"`
	EmailChange         string         `json:"new_email,omitempty"`
	EmailChangeSentAt   *time.Time     `json:"email_change_sent_at,omitempty"`
	PhoneChange         string         `json:"new_phone,omitempty"`
	LastSignInAt        *time.Time     `json:"last_sign_in_at,omitempty"`
	AppMetadata         map[string]any `json:"app_metadata"`
	UserMetadata        map[string]any `json:"user_metadata"`
	Factors             []factor       `json:"factors,omitempty"`
	Identities          []identity     `json:"identities"`
	CreatedAt           time.Time      `json:"created_at"`
	UpdatedAt           time.Time      `json:"updated_at"`
	BannedUntil         *time.Time     `json:"banned_until,omitempty"`
	DeletedAt           *time.Time     `json:"deleted_at,omitempty"`
	IsAnonymous         bool           `json:"is_anonymous"`
	PasswordHash        string         `json:"-"`
	ConfirmationToken   string         `json:"-"`
	RecoveryToken       string         `json:"-"`
	EmailChangeCurrent  string         `json:"-"`
	EmailChangeNew      string         `json:"-"`
	EmailChangeAccepted bool           `json:"-"`
	// Passkeys are rows of their own on the real server, and no user object shows them.
	Passkeys []passkey `json:"-"`

	// read is the row as it was read; nil for an account that is not stored yet.
	read *user
	// written are the columns that tx.save writes even if they equal what was read.
	written []string
	// seq orders accounts made within one tick of the clock.
	seq int64
}

// identity is one way a user can be recognised, as in models/identity.go.
type identity struct {
	IdentityID   string         `json:"identity_id"`
	ProviderID   string         `json:"id"`
	UserID       string         `json:"user_id"`
	Data         map[string]any `json:"identity_data,omitempty"`
	Provider     string         `json:"provider"`
	LastSignInAt *time.Time     `json:"last_sign_in_at,omitempty"`
	CreatedAt    time.Time      `json:"created_at"`
	UpdatedAt    time.Time      `json:"updated_at"`
	Email        string         `json:"email,omitempty"`
}

func (i *identity) key() identityKey { return identityKey{i.Provider, i.ProviderID} }

// passkey is a passwordless way in, as GoTrue lists it (internal/api/passkey_manage.go).
type passkey struct {
	ID           string     `json:"id"`
	FriendlyName string     `json:"friendly_name,omitempty"`
	CreatedAt    time.Time  `json:"created_at"`
	LastUsedAt   *time.Time `json:"last_used_at,omitempty"`
}

// factor is an MFA factor, as in models/factor.go.
type factor struct {
	ID               string     `json:"id"`
	CreatedAt        time.Time  `json:"created_at"`
	UpdatedAt        time.Time  `json:"updated_at"`
	Status           string     `json:"status"`
	FriendlyName     string     `json:"friendly_name,omitempty"`
	FactorType       string     `json:"factor_type"`
	Phone            string     `json:"phone"`
	LastChallengedAt *time.Time `json:"last_challenged_at"`
}

// newUser makes an account that is not stored yet. GoTrue keeps whatever metadata the caller gave,
// null values included; merging starts with the first update.
func newUser(email, phone, hash, aud string, metadata map[string]any) *user {
	return &user{
		ID:           uuid.NewString(),
		Aud:          aud,
		Email:        strings.ToLower(email),
		Phone:        phone,
		PasswordHash: hash,
		UserMetadata: metadata,
	}
}

// write makes the next save write columns whatever they hold: GoTrue's updates name their columns,
// so a request that was under way for long puts back what it read (pop's UpdateOnly).
func (u *user) write(columns ...string) { u.written = append(u.written, columns...) }

// setProviders fills the two keys of app_metadata that GoTrue keeps for itself.
func (u *user) setProviders(providers []string) {
	u.AppMetadata = merged(u.AppMetadata, map[string]any{
		"provider":  providers[0],
		"providers": anySlice(providers),
	})
	u.write("AppMetadata")
}

// recomputeProviders derives provider and providers from the identities. Every verify does it,
// which is why an admin's own value for them lasts until the first sign-in only (user.go,
// UpdateAppMetaDataProviders; gotrue facts on "verify overwrites").
func (u *user) recomputeProviders() {
	var providers []string
	for _, i := range u.Identities {
		if !slices.Contains(providers, i.Provider) {
			providers = append(providers, i.Provider)
		}
	}
	if len(providers) > 0 {
		u.setProviders(providers)
	}
}

// addIdentity records how the user signs in. The claims that GoTrue always writes come first; data
// may add to them but never replace them, so a stranger who signs up cannot forge sub or email.
func (u *user) addIdentity(provider string, claims, data map[string]any, now time.Time) {
	all := map[string]any{"sub": u.ID, "email_verified": false, "phone_verified": false}
	maps.Copy(all, claims)
	for k, v := range data {
		if _, taken := all[k]; !taken {
			all[k] = v
		}
	}
	email, _ := all["email"].(string)
	u.Identities = append(u.Identities, identity{
		IdentityID: uuid.NewString(), ProviderID: all["sub"].(string), UserID: u.ID, Data: all,
		Provider: provider, LastSignInAt: &now, CreatedAt: now, UpdatedAt: now, Email: email,
	})
}

// identityOf finds the identity of a provider, or nil.
func (u *user) identityOf(provider string) *identity {
	i := slices.IndexFunc(u.Identities, func(i identity) bool { return i.Provider == provider })
	if i < 0 {
		return nil
	}
	return &u.Identities[i]
}

// update merges into the identity's data; its email column is generated from that data.
func (i *identity) update(changes map[string]any) {
	i.Data = merged(i.Data, changes)
	email, _ := i.Data["email"].(string)
	i.Email = strings.ToLower(email)
}

// confirm marks the e-mail address as proven. The caller also clears the one-time tokens.
func (u *user) confirm(now time.Time) {
	u.ConfirmationToken = ""
	u.EmailConfirmedAt = &now
	u.UserMetadata = merged(u.UserMetadata, map[string]any{"email_verified": true})
	u.write("ConfirmationToken", "UserMetadata")
}

func (u *user) confirmed() bool { return u.EmailConfirmedAt != nil }

func (u *user) banned(now time.Time) bool {
	return u.BannedUntil != nil && now.Before(*u.BannedUntil)
}

// ban locks the user out for d; zero lifts the ban.
func (u *user) ban(d time.Duration, now time.Time) {
	u.BannedUntil = nil
	if d != 0 {
		u.BannedUntil = new(now.Add(d))
	}
	u.write("BannedUntil")
}

func (u *user) hasMFA() bool {
	return slices.ContainsFunc(u.Factors, func(f factor) bool { return f.Status == "verified" })
}

// forgetPending drops every link and pending change: after a password change none is trusted
// (models/user.go, UpdatePassword). The pending new address itself stays. The caller also clears the
// one-time tokens.
func (u *user) forgetPending() {
	u.ConfirmationToken, u.RecoveryToken = "", ""
	u.EmailChangeCurrent, u.EmailChangeNew = "", ""
	u.ConfirmationSentAt, u.RecoverySentAt, u.EmailChangeSentAt = nil, nil, nil
	u.write("ConfirmationToken", "RecoveryToken", "EmailChangeCurrent", "EmailChangeNew",
		"ConfirmationSentAt", "RecoverySentAt", "EmailChangeSentAt")
}

// softDelete makes the account anonymous but keeps its row and id (models/user.go,
// SoftDeleteUser; capture "admin get: soft-deleted").
func (u *user) softDelete(now time.Time) {
	u.Email = u.obfuscate(u.Email)
	u.Phone = u.obfuscate(u.Phone)[:15]
	u.EmailChange = u.obfuscate(u.EmailChange)
	u.PhoneChange = u.obfuscate(u.PhoneChange)[:15]
	u.PasswordHash, u.ConfirmationToken, u.RecoveryToken = "", "", ""
	u.EmailChangeCurrent, u.EmailChangeNew = "", ""
	u.DeletedAt = &now
	u.UserMetadata, u.AppMetadata = map[string]any{}, map[string]any{}
	u.write("UserMetadata", "AppMetadata")
	u.Factors = nil
	for i := range u.Identities {
		id := &u.Identities[i]
		id.ProviderID = u.obfuscate(id.Provider + ":" + id.ProviderID)
		id.Data, id.Email = nil, ""
	}
}

func (u *user) obfuscate(value string) string {
	sum := sha256.Sum256([]byte(u.ID + value))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// clone copies the row so that no map or slice is shared.
func (u *user) clone() *user {
	c := *u
	c.read, c.written = nil, nil
	c.AppMetadata, c.UserMetadata = cloneMap(u.AppMetadata), cloneMap(u.UserMetadata)
	c.Factors = slices.Clone(u.Factors)
	c.Passkeys = slices.Clone(u.Passkeys)
	c.Identities = slices.Clone(u.Identities)
	for i := range c.Identities {
		c.Identities[i].Data = cloneMap(c.Identities[i].Data)
	}
	return &c
}

// generated are the fields that no update writes.
var generated = []string{"ID", "ConfirmedAt", "CreatedAt", "UpdatedAt"}

// truncateTimes keeps microseconds, as PostgreSQL does. So the answer to the request that sets
// last_sign_in_at or banned_until says it to the nanosecond, and every later one does not.
func (u *user) truncateTimes() {
	v := reflect.ValueOf(u).Elem()
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		if t, ok := v.Field(i).Interface().(*time.Time); ok && t != nil {
			v.Field(i).Set(reflect.ValueOf(new(t.Truncate(time.Microsecond))))
		}
	}
}

// applyTo writes the columns into row that changed since u was read, and those that write names.
func (u *user) applyTo(row *user) {
	from, was, to := reflect.ValueOf(u.clone()).Elem(), reflect.ValueOf(u.read).Elem(),
		reflect.ValueOf(row).Elem()
	for i := range from.NumField() {
		field := from.Type().Field(i)
		if !field.IsExported() || slices.Contains(generated, field.Name) {
			continue
		}
		if slices.Contains(u.written, field.Name) ||
			!reflect.DeepEqual(from.Field(i).Interface(), was.Field(i).Interface()) {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// merged applies updates at the top level only: nested objects are replaced whole and null deletes
// the key (capture "admin update: metadata merge"). A map that does not exist yet takes the updates
// as they are.
func merged(data, updates map[string]any) map[string]any {
	if data == nil {
		return cloneMap(updates)
	}
	out := maps.Clone(data)
	for k, v := range updates {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

// cloneMap copies decoded JSON in depth.
func cloneMap(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = cloneValue(v)
	}
	return out
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return cloneMap(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = cloneValue(v[i])
		}
		return out
	}
	return v
}

func anySlice(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// emailFormat is the HTML living standard's pattern, which is all that GoTrue checks: any length of
// local part passes, no DNS is asked (mail.go, validateEmail).
var emailFormat = regexp.MustCompile("^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@" + hostLabel + `(?:\.` + hostLabel + ")*$")

const hostLabel = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"

// validEmail checks an address and lower-cases it.
func validEmail(email string) (string, error) {
	switch {
	case email == "":
		return "", invalid("An email address is required")
	case len(email) > 255:
		return "", invalid("An email address is too long")
	case !emailFormat.MatchString(email):
		return "", invalid("Unable to validate email address: invalid format")
	}
	return strings.ToLower(email), nil
}

var phoneFormat = regexp.MustCompile("^[1-9][0-9]{1,14}$")

func validPhone(phone string) (string, error) {
	phone = strings.ReplaceAll(strings.TrimPrefix(phone, "+"), " ", "")
	if !phoneFormat.MatchString(phone) {
		return "", invalid("Invalid phone number format (E.164 required)")
	}
	return phone, nil
}
