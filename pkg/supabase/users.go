package supabase

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// user looks an account up by its id; soft-deleted ones are found too.
func (c *Client) user(ctx context.Context, id uuid.UUID) (account, error) {
	var found account
	_, err := c.api(ctx, c.adminCall(callGetUser), &found).AdminGetUser(
		types.AdminGetUserRequest{UserID: id})
	if err == nil && found.ID != id {
		err = errOtherAccount
	}
	return found, failure(callGetUser, err)
}

// createUser creates a person's account, confirmed and with the anchor. It sends a hash that no password
// has: without one GoTrue makes up a password and spends 70 ms hashing it.
func (c *Client) createUser(
	ctx context.Context, id uuid.UUID, openID, address string, profile signin.Profile,
) error {
	var created struct {
		ID uuid.UUID `json:"id"`
	}
	err := c.do(ctx, c.adminCall(callCreateUser), http.MethodPost, "/admin/users", map[string]any{
		"id":            id,
		"email":         address,
		"email_confirm": true,
		"password_hash": unusableHash(),
		"app_metadata":  newAnchor(openID, profile.UnionID),
		"user_metadata": profileMetadata(openID, profile),
	}, &created)
	if err == nil && created.ID != id {
		return failure(callCreateUser, errNoAccount)
	}
	return err
}

// updateUser changes an account as an admin and returns it as changed. With errUnreadable it was changed all
// the same.
func (c *Client) updateUser(ctx context.Context, update types.AdminUpdateUserRequest) (account, error) {
	var changed account
	_, err := c.api(ctx, c.adminCall(callUpdateUser), &changed).AdminUpdateUser(update)
	if err == nil && changed.ID != update.UserID {
		err = errNoAccount
	}
	return changed, failure(callUpdateUser, err)
}

// UpdateProfile implements signin.Accounts. GoTrue merges metadata at the top level, so only the
// bridge's own keys are sent and all others stay. With Options.Provider it changes nothing: GoTrue takes the
// profile from the id_token, and what came too late is in that of the next sign-in.
func (c *Client) UpdateProfile(ctx context.Context, owned signin.Account, p signin.Profile) error {
	if c.opts.Provider != "" {
		return nil
	}
	id, err := uuid.Parse(owned.ID)
	if err != nil {
		return failure(callUpdateUser, err)
	}
	update := types.AdminUpdateUserRequest{UserID: id, UserMetadata: profileMetadata(owned.OpenID, p)}
	if p.UnionID != "" && p.UnionID != owned.Profile.UnionID {
		update.AppMetadata = newAnchor(owned.OpenID, p.UnionID)
	}
	_, err = c.updateUser(ctx, update)
	return err
}

// listUsers returns one page of the accounts with an address of ours, oldest first. The filter is a
// substring search that older servers ignore (GoTrue internal/models/user.go, FindUsersInAudience). A
// list shows neither identities nor factors.
func (c *Client) listUsers(ctx context.Context, page, size int) ([]account, error) {
	q := url.Values{
		"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(size)},
		"filter": {"@" + c.opts.EmailDomain}, "sort": {"created_at asc"},
	}
	var list struct {
		Users []account `json:"users"`
	}
	k := c.adminCall(callListUsers)
	err := c.do(ctx, k, http.MethodGet, "/admin/users?"+q.Encode(), nil, &list)
	return list.Users, err
}

// hasPasskey asks for the one way in that the user object does not show. An older GoTrue has no such route.
func (c *Client) hasPasskey(ctx context.Context, id uuid.UUID) (bool, error) {
	var passkeys []json.RawMessage
	k := c.adminCall(callListPasskeys)
	err := c.do(ctx, k, http.MethodGet, "/admin/users/"+id.String()+"/passkeys", nil, &passkeys)
	var e *apiError
	if errors.As(err, &e) && e.status == http.StatusNotFound {
		return false, nil
	}
	return len(passkeys) > 0, err
}

// unknownPassword returns a password that nobody knows. It meets any rule a project may set: letters of both
// cases, a digit and a symbol, in the 72 bytes that bcrypt reads.
func unknownPassword() string { return rand.Text() + rand.Text() + "aA0!_" }

// unusableHash returns a bcrypt hash (cost 10) of random characters, which no password matches.
func unusableHash() string {
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 53) // 22 characters of salt, 31 of hash
	_, _ = rand.Read(b)   // never fails: crypto/rand ends the program first
	for i := range b {
		b[i] = alphabet[b[i]%64]
	}
	return "$2a$10$" + string(b)
}
