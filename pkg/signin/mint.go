package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// mint is the core of every flow: an identity in, a session out. It reads the profile while it looks for
// the account, since only a new account needs it.
// The identity is from a moment ago, or as old as a handoff may be.
func (s *Service) mint(
	ctx context.Context, id Identity, age time.Duration, clientIP netip.Addr,
) (Session, error) {
	if err := checkIdentity(id); err != nil {
		return Session{}, err
	}
	profile := s.readProfile(ctx, id)
	in, err := s.opts.Accounts.SignIn(ctx, id, clientIP, profile.wait)
	if err != nil {
		profile.cancel()
		return Session{}, err
	}
	outcome := OutcomeSignedIn
	if in.Created {
		outcome = OutcomeCreated
	}
	ReportFrom(ctx).SetUser(in.Account.ID)
	ReportFrom(ctx).SetOutcome(outcome)
	s.storeProfile(ctx, in.Account, profile)
	if s.opts.ReturnTokens {
		tokens := s.tokensOf(id, age)
		in.Session.ProviderToken = tokens.AccessToken
		in.Session.ProviderRefreshToken = tokens.RefreshToken
		in.Session.ProviderExpiresIn = int64(tokens.ExpiresIn.Seconds())
		in.Session.ProviderScopes = tokens.Scopes
	}
	return in.Session, nil
}

// checkIdentity guards what an Authenticator promises: two people must never share an account.
func checkIdentity(id Identity) error {
	if IsOpenID(id.OpenID) {
		return nil
	}
	err := NewError(CauseTikTokFails)
	err.Call, err.Err = "token", errors.New("open_id cannot be told from that of another person")
	return err
}

// pendingProfile is a profile on its way from TikTok.
type pendingProfile struct {
	ready   chan struct{} // closed when profile is set
	profile Profile
	cancel  context.CancelFunc
}

// wait returns the profile, or an empty one if TikTok did not send it in time.
func (p *pendingProfile) wait() Profile {
	<-p.ready
	return p.profile
}

// isReady reports whether wait would return at once.
func (p *pendingProfile) isReady() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// readProfile starts reading the profile. That may outlive the request, since the profile is stored after
// the answer, but not the service or its own deadline.
func (s *Service) readProfile(ctx context.Context, id Identity) *pendingProfile {
	ctx, cancel := s.detach(ctx, s.opts.ProfileTimeout)
	p := &pendingProfile{ready: make(chan struct{}), cancel: cancel}
	s.work(ctx, func() {
		defer cancel()
		defer close(p.ready)
		profile, err := s.opts.Authenticator.Profile(ctx, id)
		switch {
		case err == nil:
			p.profile = profile
		case !errors.Is(err, context.Canceled):
			s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "profile not read", AsError(err).LogAttrs()...)
		}
	})
	return p
}

// storeProfile stores the profile if the account held another one. The answer does not wait for it.
func (s *Service) storeProfile(ctx context.Context, account Account, pending *pendingProfile) {
	if pending.isReady() && !account.differs(pending.profile) {
		return // the usual case: the profile came before the session
	}
	ctx, cancel := s.detach(ctx, 2*s.opts.ProfileTimeout)
	s.work(ctx, func() {
		defer cancel()
		profile := pending.wait()
		if !account.differs(profile) {
			return
		}
		if err := s.opts.Accounts.UpdateProfile(ctx, account, profile); err != nil {
			s.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "profile not stored", AsError(err).LogAttrs()...)
		}
	})
}
