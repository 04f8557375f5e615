package supabase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// maxTries is how often an id_token is sent. Of several first sign-ins of one person at once, GoTrue answers
// all but one with 500, and the next try finds the account (internal/api/external.go, createNewIdentity).
const maxTries = 3

// signInByIDToken is SignIn with Options.Provider: one call, which creates the account if there is none, and
// stores name and picture. So it waits for the profile, also for somebody who comes back.
func (c *Client) signInByIDToken(
	ctx context.Context, id signin.Identity, clientIP netip.Addr, profile func() signin.Profile,
) (signin.SignedIn, error) {
	p := profile()
	token, err := c.opts.IDToken(ctx, id, p)
	if err != nil {
		return signin.SignedIn{}, fmt.Errorf("sign id_token: %w", err)
	}
	var last *signin.Error
	for tries := 1; ; tries++ {
		in, err := c.redeemIDToken(ctx, token, id.OpenID, clientIP)
		if err == nil {
			in.Account.Profile = p
			in.Created = in.Created && tries == 1 // others were lost to whoever made the account
			return in, nil
		}
		e := signin.AsError(err)
		if !isPassing(err) || tries == maxTries || isSame(e, last) || !pause(ctx, tries) {
			return signin.SignedIn{}, err
		}
		last = e
		c.opts.Observer.Retried(ctx, service, "fault")
	}
}

// isSame reports whether two attempts failed in the same way, which a third would do too.
func isSame(e, last *signin.Error) bool {
	if last == nil || e.Cause != last.Cause || e.Upstream != last.Upstream {
		return false
	}
	var now, before *apiError
	return !errors.As(e, &now) || !errors.As(last, &before) || now.reason == before.reason
}

// redeemIDToken turns an id_token into a session, and vets it: the user must have the identity that the
// id_token names.
func (c *Client) redeemIDToken(
	ctx context.Context, token, openID string, clientIP netip.Addr,
) (signin.SignedIn, error) {
	body := struct {
		Provider string `json:"provider"`
		IDToken  string `json:"id_token"`
	}{c.providerName(), token}
	var user providerUser
	accept := func(session signin.Session) error {
		switch {
		case json.Unmarshal(session.User, &user) != nil || user.ID == uuid.Nil:
			return errNoSession
		case !user.has(c.providerName(), openID):
			return errOtherIdentity
		}
		return nil
	}
	k := c.sessionCall(callIDToken, clientIP)
	session, err := c.newSession(ctx, k, "/token?grant_type=id_token", body, accept)
	if err != nil {
		return signin.SignedIn{}, err
	}
	return signin.SignedIn{
		Session: session, Account: signin.Account{ID: user.ID.String(), OpenID: openID}, Created: user.isNew(),
	}, nil
}

// providerUser is what the bridge reads of the user in a session by id_token.
type providerUser struct {
	ID           uuid.UUID  `json:"id"`
	CreatedAt    time.Time  `json:"created_at"`
	LastSignInAt time.Time  `json:"last_sign_in_at"`
	Identities   []identity `json:"identities"`
}

func (u providerUser) has(provider, id string) bool {
	for _, i := range u.Identities {
		if i.Provider == provider && i.ID == id {
			return true
		}
	}
	return false
}

// isNew reports whether this sign-in made the account. GoTrue does not say it, but it makes account and session
// in one transaction. Somebody who signs in twice within the first second of their account counts twice, so
// there is no audit event of it.
func (u providerUser) isNew() bool {
	age := u.LastSignInAt.Sub(u.CreatedAt)
	return age >= 0 && age < time.Second // an import may have written a time that is yet to come
}

// idTokenCause says why GoTrue refuses an id_token, where the reason is particular to it; "" otherwise.
func idTokenCause(e *apiError) signin.Cause {
	switch e.code {
	case "provider_disabled":
		return signin.CauseProviderMissing
	case "provider_email_needs_verification":
		return signin.CauseEmailNeeded
	}
	if isUnexpected(e) {
		switch e.reason {
		case reasonNewUser:
			return signin.CauseCreateFails
		case reasonUnforeseen: // such as that of oidc.NewProvider, which fetches the discovery document
			return signin.CauseDiscoveryFails
		}
		return ""
	}
	if e.code != "" && e.code != "validation_failed" { // the text is a hook's
		return ""
	}
	switch e.reason {
	case reasonNoProvider, reasonNotOIDC:
		return signin.CauseProviderMissing
	case reasonNoCustomProviders:
		return signin.CauseNoCustomProviders
	case reasonBadIDToken:
		return signin.CauseIDTokenRefused
	case reasonAudience:
		return signin.CauseIDTokenAudience
	}
	return ""
}
