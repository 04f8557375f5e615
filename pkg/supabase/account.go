package supabase

import (
	"crypto/rand"
	"regexp"
	"strings"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Namespace is the UUIDv5 namespace (RFC 9562, section 5.5) of user ids: the account of a person has
// the id UUIDv5(Namespace, open_id), over the exact bytes of the open_id. It must never change.
var Namespace = uuid.MustParse("191737d6-e148-436d-ab83-aefb79890fa2")

// UserID returns the id of the account of a person.
func UserID(openID string) uuid.UUID { return uuid.NewSHA1(Namespace, []byte(openID)) }

// successorID returns the id that follows id when the account with id was soft-deleted: its row
// stays in the project and keeps the id for good.
func successorID(id uuid.UUID) uuid.UUID { return uuid.NewSHA1(id, []byte("successor")) }

// person is somebody who proved to TikTok who they are.
type person struct {
	openID string
	id     uuid.UUID
	// address is where their account is looked for first: <open_id, lower case>@<domain>, as apps
	// built from the Despia guide have it. GoTrue lower-cases addresses, open_ids are
	// case-sensitive, so it may be somebody else's.
	address string
	// ownAddress is the address of their account when address is somebody else's.
	ownAddress string
}

// spareAddress returns an address that nobody can have taken before.
func (p person) spareAddress() string {
	_, domain, _ := strings.Cut(p.ownAddress, "@")
	return strings.ToLower(rand.Text()) + "@" + domain
}

var localPart = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// isLocalPart tells what every open_id seen so far looks like, and what an address takes as it is.
func isLocalPart(openID string) bool { return len(openID) <= 64 && localPart.MatchString(openID) }

func newPerson(openID, domain string) person {
	p := person{openID: openID, id: UserID(openID)}
	p.ownAddress = p.id.String() + "@" + domain
	p.address = p.ownAddress
	if isLocalPart(openID) {
		p.address = strings.ToLower(openID) + "@" + domain
	}
	return p
}

// markKey is the key of the mark in app_metadata. GoTrue rewrites the keys provider and providers at
// every sign-in, so the mark has one of its own.
const markKey = "tiktok"

// mark ties an account to a person. It lives in app_metadata, which only an admin can write.
func mark(openID, unionID string) map[string]any {
	m := map[string]any{"open_id": openID}
	if unionID != "" {
		m["union_id"] = unionID
	}
	return map[string]any{markKey: m}
}

// metadata is what an app shows of the person, under the guide's names and under those that
// Supabase's own providers use. The user may change all of it, so nothing here is ever trusted.
func metadata(openID string, p signin.Profile) map[string]any {
	m := map[string]any{"tiktok_open_id": openID}
	if p.IsZero() {
		return m
	}
	name := strings.ReplaceAll(p.DisplayName, "\x00", "") // Postgres takes every character but this one
	m["display_name"], m["name"], m["full_name"] = name, name, name
	m["avatar_url"], m["picture"] = p.AvatarURL, p.AvatarURL
	return m
}

// ownership is the result of vetting an account.
type ownership int

const (
	unmarked ownership = iota // made by another recipe, or by a squatter: nothing tells them apart
	mine                      // carries the mark of this open_id
	foreign                   // carries the mark of another open_id
)

// vet tells whose account u is. Only the mark counts, byte for byte.
func (p person) vet(u types.User) ownership {
	openID, _ := markOf(u)["open_id"].(string)
	switch openID {
	case "":
		return unmarked
	case p.openID:
		return mine
	}
	return foreign
}

func markOf(u types.User) map[string]any {
	m, _ := u.AppMetadata[markKey].(map[string]any)
	return m
}

// accountOf turns a vetted user into what the domain knows of it.
func accountOf(p person, u types.User) signin.Account {
	text := func(m map[string]any, key string) string {
		s, _ := m[key].(string)
		return s
	}
	return signin.Account{
		ID:     u.ID.String(),
		OpenID: p.openID,
		Profile: signin.Profile{
			UnionID:     text(markOf(u), "union_id"),
			DisplayName: text(u.UserMetadata, "display_name"),
			AvatarURL:   text(u.UserMetadata, "avatar_url"),
		},
	}
}
