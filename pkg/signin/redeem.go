package signin

import (
	"context"
	"net/netip"
	"time"
)

// RedeemRequest is what an app sends to get its session.
type RedeemRequest struct {
	Redacted
	Handoff  string
	Verifier string
	// Cookie returns the value of a flow's cookie, "" if the browser has none.
	Cookie func(flowID string) string
	// ClientIP is the address of the person's device; invalid if unknown.
	ClientIP netip.Addr
}

// Redeem turns a handoff into a session. Nothing was created at Supabase until now, so a handoff that is
// never redeemed leaves nothing behind.
func (s *Service) Redeem(ctx context.Context, r RedeemRequest) (Session, error) {
	switch {
	case s.opts.Accounts == nil:
		return Session{}, NewError(CauseNoAccounts)
	case r.Handoff == "":
		return Session{}, invalid("The field handoff is missing: send the one from the address of your page.")
	case r.Verifier != "" && !isVerifier(r.Verifier):
		return Session{}, invalid("The field verifier must be 43 to 128 letters, digits, -, ., _ and ~, " +
			"as RFC 7636 says.")
	}
	h, err := s.openHandoff(r)
	if err != nil {
		return Session{}, err
	}
	// Only now: whoever caught the handoff but lacks the verifier cannot use it up.
	if err := s.claimHandoff(ctx, h); err != nil {
		return Session{}, err
	}
	id := Identity{
		OpenID: h.OpenID, Scopes: h.Scopes, AccessToken: h.AccessToken, RefreshToken: h.RefreshToken,
		ExpiresIn: time.Duration(h.ExpiresIn) * time.Second,
	}
	return s.mint(ctx, id, s.opts.Now().Sub(time.Unix(h.IssuedAt, 0)), r.ClientIP)
}
