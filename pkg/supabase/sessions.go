package supabase

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// DefaultProvider is the custom provider that `tikbridge supabase setup` makes.
const DefaultProvider = "custom:tiktok"

var _ signin.Sessions = (*Client)(nil)

// providerName returns the name under which the project has TikTok as a provider, if it has.
func (c *Client) providerName() string { return cmp.Or(c.opts.Provider, DefaultProvider) }

// CheckOwner implements signin.Accounts. GoTrue says whose session it is; the account is the person's by its anchor
// or by its identity of the provider.
func (c *Client) CheckOwner(ctx context.Context, accessToken, openID string) error {
	var user account
	err := c.do(ctx, c.personCall(callUser, accessToken), http.MethodGet, "/user", nil, &user)
	switch {
	case hasCode(err, "bad_jwt", "no_authorization", "session_not_found", "session_expired",
		"user_not_found", "user_banned"):
		return signin.NewError(signin.CauseSignedOut)
	case err != nil:
		return err
	case openID == "", user.owner() != openID && !user.hasIdentity(c.providerName(), openID):
		return signin.NewError(signin.CauseNotOwner)
	}
	return nil
}

// hasIdentity reports whether the account has this identity of a provider, letter for letter.
func (a account) hasIdentity(provider, id string) bool {
	return slices.ContainsFunc(a.Identities, func(i identity) bool { return i.Provider == provider && i.ID == id })
}

// forGood is how long a ban lasts that only an admin lifts: a hundred years, as GoTrue's own dashboard writes it.
const forGood = 876000 * 60 * 60 * 1e9

// SignOut implements signin.Sessions.
func (c *Client) SignOut(ctx context.Context, openID string) error {
	return c.endSessions(ctx, openID, types.AdminUpdateUserRequest{Password: unknownPassword()})
}

// Ban implements signin.Sessions.
func (c *Client) Ban(ctx context.Context, openID string) error {
	ban := types.BanDurationTime(forGood)
	return c.endSessions(ctx, openID, types.AdminUpdateUserRequest{Password: unknownPassword(), BanDuration: &ban})
}

// endSessions makes a change that ends every session (GoTrue internal/models/user.go: a new password does) to each
// account that the person has: the one of the link path, and the one of the provider.
func (c *Client) endSessions(ctx context.Context, openID string, change types.AdminUpdateUserRequest) error {
	if c.opts.SecretKey != "" { // without it nobody signs in by link
		if err := c.endLinkSessions(ctx, openID, change); err != nil {
			return err
		}
	}
	if c.opts.IDToken == nil {
		return nil
	}
	return c.endProviderSessions(ctx, openID, change)
}

func (c *Client) endLinkSessions(ctx context.Context, openID string, change types.AdminUpdateUserRequest) error {
	s := search{client: c, person: newPerson(openID, c.opts.EmailDomain), id: UserID(openID)}
	own, err := s.lookUp(ctx)
	if errors.Is(err, errUnreadable) { // its owner filled it; only admins and we choose ids
		return c.change(ctx, s.id, change)
	}
	if hasCode(err, "user_not_found") || err == nil && own.owner() != openID {
		// An adopted account keeps the id it had, and is found by its address. The link is not used.
		var l link
		l, err = c.generateLink(ctx, s.person.address)
		own = l.account
	}
	switch {
	case hasCode(err, "user_not_found"), errors.Is(err, errUnreadable):
		return nil
	case err != nil:
		return err
	case own.owner() != openID:
		return nil
	}
	return c.change(ctx, own.ID, change)
}

// endProviderSessions finds the person's account by signing in to it, since the admin API cannot look an identity
// up, and ends its sessions. An account that this made is deleted again, unless its ban is to keep the person out.
// One with other ways in, such as an e-mail address that TikTok was linked to, is more than TikTok's: it keeps its
// password and is not banned.
func (c *Client) endProviderSessions(ctx context.Context, openID string, change types.AdminUpdateUserRequest) error {
	token, err := c.opts.IDToken(ctx, signin.Identity{OpenID: openID}, signin.Profile{})
	if err != nil {
		return err
	}
	in, err := c.redeemIDToken(ctx, token, openID, netip.Addr{})
	switch e := signin.AsError(err); {
	case err == nil:
	case e.Code == signin.UserBanned, e.Code == signin.SignInRefused,
		e.Cause == signin.CauseProviderMissing, e.Cause == signin.CauseNoCustomProviders:
		return nil // nobody is in, or can be
	default:
		return err
	}
	id, err := uuid.Parse(in.Account.ID)
	if err != nil {
		return err
	}
	if c.opts.SecretKey == "" {
		return c.logOut(ctx, in.Session)
	}
	found, err := c.user(ctx, id) // the session shows identities as they were before
	switch {
	case hasCode(err, "user_not_found"):
		return nil // deleted meanwhile
	case err != nil && !errors.Is(err, errUnreadable):
		return err
	case in.Created && change.BanDuration == nil && found.isUnused(c.providerName(), openID):
		return c.deleteUser(ctx, id)
	case change.BanDuration != nil && found.hasOnly(c.providerName(), openID):
		return c.change(ctx, id, change)
	}
	if err := c.logOut(ctx, in.Session); err != nil {
		return err
	}
	c.audit(ctx, "sessions_ended", id)
	return nil
}

// hasOnly reports whether an identity is the one way in to the account.
func (a account) hasOnly(provider, id string) bool {
	return len(a.Identities) == 1 && a.hasIdentity(provider, id) && a.Email == "" && a.Phone == ""
}

// isUnused reports whether nobody but us has signed in to an account: GoTrue touches an identity at each sign-in but
// the one that makes it (internal/api/external.go). Whoever signs in between this look and what follows it has an
// account that is milliseconds old, and gets another.
func (a account) isUnused(provider, id string) bool {
	return a.hasOnly(provider, id) && a.Identities[0].CreatedAt != "" &&
		a.Identities[0].UpdatedAt == a.Identities[0].CreatedAt
}

// logOut ends every session of the account that a session is of (GoTrue internal/api/logout.go).
func (c *Client) logOut(ctx context.Context, session signin.Session) error {
	return c.do(ctx, c.personCall(callLogOut, session.AccessToken), http.MethodPost, "/logout?scope=global", nil, nil)
}

// change changes an account, also one that cannot be read.
func (c *Client) change(ctx context.Context, id uuid.UUID, change types.AdminUpdateUserRequest) error {
	change.UserID = id
	_, err := c.updateUser(ctx, change)
	if hasCode(err, "user_not_found") || errors.Is(err, errUnreadable) {
		err = nil
	}
	if err == nil {
		c.audit(ctx, "sessions_ended", id)
	}
	return err
}

func (c *Client) deleteUser(ctx context.Context, id uuid.UUID) error {
	return c.do(ctx, c.adminCall(callDeleteUser), http.MethodDelete, "/admin/users/"+id.String(), nil, &struct{}{})
}
