package supabase

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Adopt says what a sign-in does with an unclaimed account, which has a person's address and no anchor.
// It may be theirs, made by the Edge Function of Despia's guide, or a squatter's, and nothing the API
// shows tells them apart. So no sign-in ever ends in it: GoTrue authenticates a request before it works
// on it and does not look again when it commits, so whoever is in an account may still be in after any
// change to it. AdoptAll takes such accounts over, with the time that this needs.
type Adopt string

// The ways.
const (
	// AdoptHold evicts an account that shows a public sign-up. Any other one is left alone and the
	// person is refused, until AdoptAll was run.
	AdoptHold Adopt = "hold"
	// AdoptEvict evicts every unclaimed account: for projects whose accounts are all the bridge's.
	AdoptEvict Adopt = "evict"
)

// mayEvict returns nil if an unclaimed account may be moved out of a person's way.
func (c *Client) mayEvict(ctx context.Context, unclaimed account) error {
	note := unclaimed.adoption()
	switch {
	case note != nil:
		err := c.conflict(ctx, unclaimed, signin.CauseBeingAdopted, "is being adopted")
		err.RetryAfter = note.remaining(time.Now())
		return err
	case c.opts.Adopt == AdoptEvict, unclaimed.publicSignUp() != "":
		return nil
	}
	return c.conflict(ctx, unclaimed, signin.CauseUnclaimedAccount,
		"has no anchor and shows no public sign-up; run tikbridge users adopt")
}

func (c *Client) conflict(ctx context.Context, a account, because signin.Cause, reason string) *signin.Error {
	c.audit(ctx, "account_refused", a.ID, slog.String("reason", reason))
	err := signin.NewError(because)
	err.Call = callGenerateLink // its answer had the account
	err.Upstream = signin.Upstream{Service: service}
	err.Err = fmt.Errorf("account %s %s", a.ID, reason)
	return err
}

// evict changes an account's address to one that says so, and nothing else. GoTrue's answer need not be
// readable.
func (c *Client) evict(ctx context.Context, id uuid.UUID) error {
	_, err := c.updateUser(ctx, types.AdminUpdateUserRequest{
		UserID: id,
		Email:  evictedLocal(id) + "@" + c.opts.EmailDomain,
	})
	if err != nil && !errors.Is(err, errUnreadable) {
		return err
	}
	c.audit(ctx, "account_evicted", id)
	return nil
}

const evictedPrefix = "evicted-"

// evictedLocal returns the local part of an evicted account's address. It ends in random characters: whoever
// made the account knows its id, and could otherwise take the address first to keep the account in place.
func evictedLocal(id uuid.UUID) string {
	return evictedPrefix + id.String() + "-" + strings.ToLower(rand.Text()[:13]) // 65 bits
}

// isEvicted reports whether local is what evictedLocal returned for this account.
func isEvicted(id uuid.UUID, local string) bool {
	return strings.HasPrefix(local, evictedPrefix+id.String())
}
