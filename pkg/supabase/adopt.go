package supabase

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Adopt says what becomes of an account that has a person's address and no mark. It may be theirs,
// made by the Edge Function of Despia's guide, or a squatter's; nothing the API shows tells.
type Adopt string

// The ways.
const (
	// AdoptReset takes the account over and locks everybody else out first: a password nobody knows,
	// which ends every session, then the mark. The data of migrated people stays theirs. An account
	// with another way in (identity, phone, second factor, passkey) is refused, and one that somebody
	// signed up for is evicted.
	AdoptReset Adopt = "reset"
	// AdoptEvict moves the account's address out of the way and makes the person a new account.
	AdoptEvict Adopt = "evict"
	// AdoptNever refuses.
	AdoptNever Adopt = "never"
)

// ParseAdopt reads a setting; "" is AdoptReset.
func ParseAdopt(s string) (Adopt, error) {
	switch a := Adopt(s); a {
	case "":
		return AdoptReset, nil
	case AdoptReset, AdoptEvict, AdoptNever:
		return a, nil
	}
	return "", fmt.Errorf("%q is none of reset, evict, never", s)
}

// settle deals with an unmarked account at the address of p, as the operator chose.
func (c *Client) settle(ctx context.Context, p person, u types.User) error {
	switch c.opts.Adopt {
	case AdoptEvict:
		return c.evict(ctx, u)
	case AdoptReset:
		reason, err := c.otherWayIn(ctx, u)
		switch {
		case err != nil:
			return err
		case reason != "":
			return c.conflict(ctx, u, reason)
		case signedUp(u) != "":
			return c.evict(ctx, u)
		}
		return c.reset(ctx, p, u)
	}
	return c.conflict(ctx, u, "adopt is never")
}

// signedUp tells by what an account shows that somebody made it, or moved to its address, by a public
// route; "" if nothing shows. No honest person does: the address is nobody's mailbox. It matters
// because a reset does not take everything from somebody who had a session a moment ago: a PKCE code
// from a change of e-mail, or a link to an external provider that was begun, stays good for five
// minutes (GoTrue internal/api/token.go, external.go). So their account is left to them.
//
// identity_data is GoTrue's own to write, and says email_verified once an address was confirmed or
// changed, never after an admin's create. A sign-up leaves sub in user_metadata, which its user can
// take out again: its absence proves nothing (see SECURITY.md for what remains).
func signedUp(u types.User) string {
	if u.EmailConfirmedAt == nil {
		return "its e-mail is not confirmed"
	}
	for _, i := range u.Identities {
		if verified, _ := i.IdentityData["email_verified"].(bool); verified {
			return "somebody confirmed its e-mail"
		}
	}
	if _, ok := u.UserMetadata["sub"]; ok {
		return "somebody signed up for it"
	}
	return ""
}

// reset makes an account the person's own, in steps of which each may be repeated. Setting a password
// ends every session and voids every link and token that is out, an e-mail change under way among
// them (GoTrue internal/models/user.go, UpdatePassword). Nobody can change the account from then on,
// so what is seen of it after that still holds when the mark is written.
func (c *Client) reset(ctx context.Context, p person, u types.User) error {
	before, err := c.user(ctx, u.ID)
	if err != nil || p.vet(before) != unmarked {
		return err // another replica was faster: a second password would end the session it gave
	}
	err = c.updateUser(ctx, signin.StageAdopt, types.AdminUpdateUserRequest{UserID: u.ID, Password: unknownPassword()})
	if err != nil {
		return err
	}
	after, err := c.user(ctx, u.ID)
	if err != nil {
		return err
	}
	reason, err := c.otherWayIn(ctx, after)
	switch {
	case err != nil:
		return err
	case reason == "" && after.Email != u.Email:
		reason = "changed its address meanwhile"
	case reason == "":
		reason = signedUp(after)
	}
	if reason != "" {
		return c.conflict(ctx, after, reason)
	}
	err = c.updateUser(ctx, signin.StageAdopt, types.AdminUpdateUserRequest{UserID: u.ID, AppMetadata: mark(p.openID, "")})
	if err != nil {
		return err
	}
	c.audit(ctx, "account_adopted", u, slog.String("adopt", string(AdoptReset)))
	return nil
}

// unknownPassword returns a password that nobody knows. It has what a project may demand of one:
// letters of both cases, a digit and a symbol, in no more than the 72 bytes that bcrypt reads.
func unknownPassword() string { return rand.Text() + rand.Text() + "aA0!_" }

// remark puts the mark back on an account that has the person's id.
func (c *Client) remark(ctx context.Context, p person, u types.User) error {
	err := c.updateUser(ctx, signin.StageAdopt, types.AdminUpdateUserRequest{UserID: u.ID, AppMetadata: mark(p.openID, "")})
	if err != nil {
		return err
	}
	c.audit(ctx, "account_marked_again", u)
	return nil
}

// evict gives the account an address that says what it was, and leaves it otherwise alone.
func (c *Client) evict(ctx context.Context, u types.User) error {
	err := c.updateUser(ctx, signin.StageAdopt, types.AdminUpdateUserRequest{
		UserID: u.ID,
		Email:  evictedLocal(u.ID) + "@" + c.opts.EmailDomain,
	})
	if err != nil {
		return err
	}
	c.audit(ctx, "account_evicted", u, slog.String("adopt", string(AdoptEvict)))
	return nil
}

const evictedPrefix = "evicted-"

// evictedLocal returns the local part of an evicted account's address. Its end is random: whoever made
// the account knows its id, and could take the address first to keep the account where it is.
func evictedLocal(id uuid.UUID) string {
	return evictedPrefix + id.String() + "-" + strings.ToLower(rand.Text()[:13]) // 65 bits
}

// isEvicted tells whether local is what evictedLocal returned for this account.
func isEvicted(id uuid.UUID, local string) bool {
	return strings.HasPrefix(local, evictedPrefix+id.String())
}

// otherWayIn names what lets somebody into an account besides its password and sessions; "" if
// there is nothing. u must come from a link or a look-up: lists leave out half of it.
func (c *Client) otherWayIn(ctx context.Context, u types.User) (string, error) {
	switch {
	case u.Phone != "": // before identities: a phone is one too
		return "has a phone number", nil
	case len(u.Factors) > 0:
		return "has a second factor", nil
	}
	for _, i := range u.Identities {
		if i.Provider != "email" {
			return "linked to another identity provider", nil
		}
	}
	passkey, err := c.hasPasskey(ctx, u)
	if passkey {
		return "has a passkey", nil
	}
	return "", err
}

// hasPasskey asks for the one way in that the user object does not show. A GoTrue from before
// passkeys has no such route.
func (c *Client) hasPasskey(ctx context.Context, u types.User) (bool, error) {
	defer signin.ReportFrom(ctx).Time(signin.StageAdopt)()
	var passkeys []json.RawMessage
	err := c.call(ctx, "list_passkeys", netip.Addr{}).do(http.MethodGet, "/admin/users/"+u.ID.String()+"/passkeys", nil, &passkeys)
	var e *apiError
	if errors.As(err, &e) && e.status == http.StatusNotFound {
		return false, nil
	}
	return len(passkeys) > 0, failure(signin.StageAdopt, err)
}

func (c *Client) conflict(ctx context.Context, u types.User, reason string) error {
	c.audit(ctx, "account_refused", u, slog.String("reason", reason))
	return &signin.Error{
		Code:     signin.AccountConflict,
		Message:  "An account with this address exists, and it cannot be proven to be yours. Please contact the app's support.",
		Stage:    signin.StageAdopt,
		Upstream: signin.Upstream{Service: service},
		Err:      fmt.Errorf("account %s %s", u.ID, reason),
	}
}

// audit writes an event about an account: its id, no name and no address.
func (c *Client) audit(ctx context.Context, event string, u types.User, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("event", event), slog.String("user_id", u.ID.String())}, attrs...)
	c.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "audit", attrs...)
}

// unusableHash returns a bcrypt hash (cost 10) made of random characters instead of from a password,
// so that no password fits.
func unusableHash() string {
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 53) // 22 characters of salt, 31 of hash
	_, _ = rand.Read(b)   // never fails: crypto/rand ends the program first
	for i := range b {
		b[i] = alphabet[b[i]%64]
	}
	return "$2a$10$" + string(b)
}
