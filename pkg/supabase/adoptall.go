package supabase

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Verdict is what becomes of an account in AdoptAll.
type Verdict string

// The verdicts.
const (
	// VerdictOther: no account of a TikTok user.
	VerdictOther Verdict = "other"
	// VerdictMarked: marked already.
	VerdictMarked Verdict = "marked"
	// VerdictAdopted: reset and marked, or it would be.
	VerdictAdopted Verdict = "adopted"
	// VerdictRefused: cannot be proven safe; Review.Reason says why.
	VerdictRefused Verdict = "refused"
)

// Review is the verdict on one account.
type Review struct {
	UserID  string
	Verdict Verdict
	Reason  string
}

// AdoptAll walks all accounts of the project and adopts those that the Edge Function of Despia's
// guide made, as a sign-in under AdoptReset would: each gets a password nobody knows, which signs it
// out everywhere, and the mark. With dryRun nothing is changed. each hears of every account.
//
// An account is adopted only if nothing but the password and the sessions, which end, could let
// somebody in, and if its open_id is known exactly: the claim in user_metadata, which proves nothing
// by itself, must be the address in other letters' case. A wrong claim thus costs the claimant the
// account and gives nobody another one. AdoptAll may be stopped and run again: what is marked stays.
func (c *Client) AdoptAll(ctx context.Context, dryRun bool, each func(Review)) error {
	// A page has an even share of the accounts seen so far, so that it can be halved without losing
	// the place: users may hold a megabyte of metadata each.
	const most = 128
	for seen, size := 0, most; ; {
		users, err := c.listUsers(ctx, seen/size+1, size)
		switch {
		case errors.Is(err, upstream.ErrTooLarge) && size > 1:
			size /= 2
			continue
		case err != nil:
			return err
		case len(users) == 0:
			return nil
		}
		for _, u := range users {
			r, err := c.review(ctx, u, dryRun)
			if err != nil {
				return fmt.Errorf("account %s: %w", u.ID, err)
			}
			each(r)
		}
		if seen += size; size < most && seen%most == 0 {
			size = most
		}
	}
}

// listUsers returns one page. The filter is a substring search that older servers ignore, so what
// comes back is looked at all the same (GoTrue internal/models/user.go, FindUsersInAudience).
func (c *Client) listUsers(ctx context.Context, page, size int) ([]types.User, error) {
	q := url.Values{
		"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(size)}, "filter": {"@" + c.opts.EmailDomain},
	}
	var list struct {
		Users []types.User `json:"users"`
	}
	err := c.call(ctx, "list_users", netip.Addr{}).do(http.MethodGet, "/admin/users?"+q.Encode(), nil, &list)
	return list.Users, failure(signin.StageAdopt, err)
}

// review decides on one account of a list, and adopts it if it may be.
func (c *Client) review(ctx context.Context, u types.User, dryRun bool) (Review, error) {
	local, isOurs := strings.CutSuffix(u.Email, "@"+c.opts.EmailDomain)
	openID, _ := u.UserMetadata["tiktok_open_id"].(string)
	verdict := func(v Verdict, reason string) (Review, error) { return Review{u.ID.String(), v, reason}, nil }
	switch {
	case !isOurs, isEvicted(u.ID, local):
		return verdict(VerdictOther, "")
	case markOf(u) != nil:
		return verdict(VerdictMarked, "")
	case !isLocalPart(openID) || strings.ToLower(openID) != local:
		return verdict(VerdictRefused, "its open_id is not known exactly")
	}
	p := newPerson(openID, c.opts.EmailDomain)
	release, err := c.people.acquire(ctx, p.address)
	if err != nil {
		return Review{}, failure(signin.StageAdopt, err)
	}
	defer release()

	// A list shows neither identities nor factors, and the person may have signed in since it was
	// read: a reset would end that session.
	if u, err = c.user(ctx, u.ID); err != nil {
		return Review{}, err
	}
	if markOf(u) != nil {
		return verdict(VerdictMarked, "")
	}
	reason, err := c.otherWayIn(ctx, u)
	if err != nil {
		return Review{}, err
	}
	if reason == "" {
		reason = signedUp(u)
	}
	if reason != "" {
		return verdict(VerdictRefused, reason)
	}
	if !dryRun {
		if err := c.reset(ctx, p, u); err != nil {
			return Review{}, err
		}
	}
	return verdict(VerdictAdopted, "")
}
