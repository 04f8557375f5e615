package supabase

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// account is a user of the project: what the bridge needs of GoTrue's user object
// (internal/models/user.go). Times stay text, since they are only compared.
type account struct {
	ID               uuid.UUID `json:"id"`
	Email            string    `json:"email"`
	NewEmail         string    `json:"new_email"`
	Phone            string    `json:"phone"`
	NewPhone         string    `json:"new_phone"`
	EmailConfirmedAt string    `json:"email_confirmed_at"`
	LastSignInAt     string    `json:"last_sign_in_at"`
	BannedUntil      string    `json:"banned_until"`
	// AppMetadata can be written by admins alone.
	AppMetadata map[string]json.RawMessage `json:"app_metadata"`
	// UserMetadata can be written by the user and by whoever signed up, so it proves nothing.
	UserMetadata struct {
		OpenID      json.RawMessage `json:"tiktok_open_id"`
		DisplayName json.RawMessage `json:"display_name"`
		AvatarURL   json.RawMessage `json:"avatar_url"`
		Sub         json.RawMessage `json:"sub"`
	} `json:"user_metadata"`
	Identities []identity        `json:"identities"`
	Factors    []json.RawMessage `json:"factors"`
}

// identity is a way to sign in to an account.
type identity struct {
	Provider string `json:"provider"`
	ID       string `json:"id"` // as the provider says it, letter for letter
	// Times stay text, since they are only compared.
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
	Data      struct {
		EmailVerified json.RawMessage `json:"email_verified"`
	} `json:"identity_data"`
}

// Keys in app_metadata. GoTrue rewrites its own (provider, providers) at every sign-in.
const (
	anchorKey   = "tiktok"
	adoptionKey = "tikbridge_adoption"
)

// anchor ties an account to a person: app_metadata.tiktok. Names of members must be exact, which
// encoding/json does not demand of a struct.
type anchor map[string]json.RawMessage

func (a account) anchor() anchor {
	var found anchor
	_ = json.Unmarshal(a.AppMetadata[anchorKey], &found) // anything else is no anchor
	return found
}

func newAnchor(openID, unionID string) map[string]any {
	m := map[string]any{"open_id": openID}
	if unionID != "" {
		m["union_id"] = unionID
	}
	return map[string]any{anchorKey: m}
}

// owner returns the open_id of the person whose account it is, byte for byte; "" for an account without
// an anchor.
func (a account) owner() string { return text(a.anchor()["open_id"]) }

// adoption returns the note that users adopt leaves on an account, nil if there is none.
func (a account) adoption() *adoptionNote {
	raw, ok := a.AppMetadata[adoptionKey]
	if !ok {
		return nil
	}
	var note adoptionNote
	_ = json.Unmarshal(raw, &note) // a damaged note still says that the account is held
	return &note
}

// isSoftDeleted reports an account that an admin deleted but whose row was kept: GoTrue replaces its
// address with a hash (internal/models/user.go).
func (a account) isSoftDeleted() bool { return a.Email != "" && !strings.Contains(a.Email, "@") }

// publicSignUp says what shows that somebody made the account, or moved to its address, by a public
// route; "" if nothing shows. It is never the person's own then: the address is nobody's mailbox.
//
// identity_data is GoTrue's to write, and says email_verified once an address was confirmed or changed,
// but not after an admin's create. A sign-up leaves sub in user_metadata. Its user can take that out,
// so an account that shows nothing may still be a squatter's.
func (a account) publicSignUp() string {
	if a.EmailConfirmedAt == "" {
		return "its e-mail is not confirmed"
	}
	for _, i := range a.Identities {
		if string(i.Data.EmailVerified) == "true" {
			return "somebody confirmed its e-mail"
		}
	}
	if a.UserMetadata.Sub != nil {
		return "somebody signed up for it"
	}
	return ""
}

// domain returns what pkg/signin needs of an account that p owns.
func (a account) domain(p person) signin.Account {
	return signin.Account{
		ID:     a.ID.String(),
		OpenID: p.openID,
		Profile: signin.Profile{
			UnionID:     text(a.anchor()["union_id"]),
			DisplayName: text(a.UserMetadata.DisplayName),
			AvatarURL:   text(a.UserMetadata.AvatarURL),
		},
	}
}

// text returns a JSON string, and "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// profileMetadata is what an app shows of the person, under the guide's names and under those that
// Supabase's own providers use. The user may change all of it, so nothing here is ever trusted.
func profileMetadata(openID string, p signin.Profile) map[string]any {
	m := map[string]any{"tiktok_open_id": openID}
	if p.IsZero() {
		return m
	}
	name := strings.ReplaceAll(p.DisplayName, "\x00", "") // the one character PostgreSQL refuses
	m["display_name"], m["name"], m["full_name"] = name, name, name
	m["avatar_url"], m["picture"] = p.AvatarURL, p.AvatarURL
	return m
}
