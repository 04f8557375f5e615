package supabase

import (
	"crypto/rand"
	"regexp"
	"strings"

	"github.com/google/uuid"
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
	domain string
	// address is where their account is looked for first: <open_id, lower case>@<domain>, as apps
	// built from the Despia guide have it. GoTrue lower-cases addresses and open_ids are
	// case-sensitive, so it may be somebody else's.
	address string
}

func newPerson(openID, domain string) person {
	p := person{openID: openID, id: UserID(openID), domain: domain}
	p.address = p.id.String() + "@" + domain
	if isLocalPart(openID) {
		p.address = strings.ToLower(openID) + "@" + domain
	}
	return p
}

// spareAddress returns an address for somebody whose own is taken. It is random, because whoever knows
// the open_id could have signed up with any address that follows from it.
func (p person) spareAddress() string { return strings.ToLower(rand.Text()) + "@" + p.domain }

var localPart = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// isLocalPart reports whether an open_id fits into an address as it is. All seen so far do.
func isLocalPart(openID string) bool { return len(openID) <= 64 && localPart.MatchString(openID) }
