package signin

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Tokens are TikTok's for one person, on their way to the app.
type Tokens struct {
	Redacted
	AccessToken string
	// RefreshToken is sealed: it is worth nothing without the bridge, and the bridge asks for the person's own
	// session beside it.
	RefreshToken string
	ExpiresIn    time.Duration // of the access token; 0 if TikTok did not say
	Scopes       []string      // that the person granted
}

// TokensRequest is what an app sends to get fresh tokens, or to end the grant.
type TokensRequest struct {
	Redacted
	// RefreshToken is the sealed one.
	RefreshToken string
	// AccessToken is that of the person's session.
	AccessToken string
}

// purposeRefresh is the purpose of sealed refresh tokens.
const purposeRefresh = "refresh"

// maxRefresh is longer than any sealed refresh token.
const maxRefresh = 8192

// refreshData is what a sealed refresh token holds. It ties TikTok's token to a person, so that a stolen one
// helps nobody else.
type refreshData struct {
	OpenID string `json:"o"`
	Token  string `json:"t"`
}

// SealRefreshToken returns TikTok's refresh token as an app gets it; "" for none.
func SealRefreshToken(s Sealer, id Identity) string {
	if id.RefreshToken == "" {
		return ""
	}
	payload, err := json.Marshal(refreshData{id.OpenID, id.RefreshToken}) //nolint:gosec // sealed before it goes anywhere
	if err != nil {
		return "" // texts always encode
	}
	return s.Seal(purposeRefresh, payload)
}

// Refresh returns fresh tokens of TikTok (TikTok docs: Refresh a user access token). TikTok replaces the refresh
// token each time and the old one stops working at once: if the answer is lost on its way to the app, the app has
// to let the person sign in again.
func (s *Service) Refresh(ctx context.Context, r TokensRequest) (Tokens, error) {
	id, err := s.refresh(ctx, r)
	if err != nil {
		return Tokens{}, err
	}
	return s.tokensOf(id, 0), nil
}

// Revoke ends the person's grant: TikTok forgets that they agreed, and asks again at the next sign-in. Their session
// stays.
func (s *Service) Revoke(ctx context.Context, r TokensRequest) error {
	id, err := s.refresh(ctx, r) // TikTok revokes by access token, and the app's may have expired
	if err != nil {
		return err
	}
	begun := s.opts.Now()
	err = s.opts.Authenticator.Revoke(ctx, id.AccessToken)
	if err == nil || AsError(err).Cause != CauseTikTokFails || s.opts.Now().Sub(begun) > revokeAgain {
		return err
	}
	// The app cannot try again: its refresh token is spent.
	err = s.opts.Authenticator.Revoke(ctx, id.AccessToken)
	if err != nil && AsError(err).Cause == CauseGrantEnded {
		return nil // the answer to the first attempt got lost
	}
	return err
}

// revokeAgain is how soon an attempt must have failed for another one.
const revokeAgain = time.Second

// refresh checks that the token belongs to whoever sends it, and uses it.
func (s *Service) refresh(ctx context.Context, r TokensRequest) (Identity, error) {
	switch {
	case s.opts.Accounts == nil:
		return Identity{}, NewError(CauseNoAccounts)
	case !s.opts.ReturnTokens:
		return Identity{}, NewError(CauseTokensOff)
	case r.RefreshToken == "":
		return Identity{}, invalid("The field provider_refresh_token is missing: send the one from the session.")
	case r.AccessToken == "":
		return Identity{}, NewError(CauseSignedOut)
	}
	if len(r.RefreshToken) > maxRefresh {
		return Identity{}, NewError(CauseTokenUnreadable)
	}
	var sealed refreshData
	payload, err := s.opts.Sealer.Open(purposeRefresh, r.RefreshToken)
	if err != nil || json.Unmarshal(payload, &sealed) != nil {
		return Identity{}, NewError(CauseTokenUnreadable)
	}
	if err := s.opts.Accounts.CheckOwner(ctx, r.AccessToken, sealed.OpenID); err != nil {
		return Identity{}, err
	}
	id, err := s.opts.Authenticator.Refresh(ctx, sealed.Token)
	if err == nil && id.OpenID != sealed.OpenID {
		wrong := NewError(CauseTikTokFails)
		wrong.Call, wrong.Err = "refresh", errors.New("tokens of another person")
		err = wrong
	}
	return id, err
}

// tokensOf returns the tokens of an identity as an app gets them, some time after TikTok gave them.
func (s *Service) tokensOf(id Identity, since time.Duration) Tokens {
	return Tokens{
		AccessToken: id.AccessToken, RefreshToken: SealRefreshToken(s.opts.Sealer, id),
		ExpiresIn: max(0, id.ExpiresIn-since), Scopes: id.Scopes,
	}
}
