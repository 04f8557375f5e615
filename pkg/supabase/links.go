package supabase

import (
	"context"
	"encoding/json"
	"net/netip"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// link is a one-time link to an account: whoever holds its hash can sign in as that account, and the
// hash is little more than six digits. It never leaves the bridge and is used up at once.
type link struct {
	account account
	hash    signin.Secret
	kind    string
}

// generateLink makes a link to the account with this address, and so finds the account. For an unknown
// address it is user_not_found (GoTrue internal/api/mail.go; type magiclink would create an account).
func (c *Client) generateLink(ctx context.Context, address string) (link, error) {
	var found struct {
		account
		Hash string `json:"hashed_token"`
		Kind string `json:"verification_type"`
	}
	_, err := c.api(ctx, c.adminCall(callGenerateLink), &found).AdminGenerateLink(
		types.AdminGenerateLinkRequest{Type: types.LinkTypeRecovery, Email: address})
	if err == nil && (found.ID == uuid.Nil || found.Hash == "") {
		err = errNoLink // and no account that could be taken for an unclaimed one
	}
	if err != nil {
		return link{}, failure(callGenerateLink, err)
	}
	return link{account: found.account, hash: signin.Secret(found.Hash), kind: found.Kind}, nil
}

// verify turns a link into a session. It sends the type that came with the link: with another one GoTrue may
// fail on a link that was superseded meanwhile (internal/api/verify.go).
func (c *Client) verify(ctx context.Context, l link, clientIP netip.Addr) (signin.Session, error) {
	k := c.sessionCall(callVerify, clientIP)
	body := struct {
		Type string `json:"type"`
		Hash string `json:"token_hash"`
	}{l.kind, l.hash.Reveal()}
	return c.newSession(ctx, k, "/verify", body, func(session signin.Session) error {
		var user struct {
			ID uuid.UUID `json:"id"`
		}
		if json.Unmarshal(session.User, &user) != nil || user.ID != l.account.ID {
			return errNoSession
		}
		return nil
	})
}
