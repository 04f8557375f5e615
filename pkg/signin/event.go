package signin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"
)

// Event is something that happened at TikTok, as its webhook tells.
type Event struct {
	// Key is the same for every delivery of one event. A claim on it must last KeyTTL, for as long as TikTok may
	// deliver it again.
	Key    string
	KeyTTL time.Duration
	Name   string
	OpenID string
	// Removed is true if the person or TikTok ended the person's grant to the app, not the app itself. Reason says
	// why, in one word.
	Removed bool
	Reason  string
	At      time.Time
	Content json.RawMessage
}

// Removal says what the end of a grant does to the person's account.
type Removal string

// The removals, by their names in the configuration.
const (
	RemovalIgnore  Removal = "ignore"
	RemovalSignOut Removal = "sign_out" // ends every session
	RemovalBan     Removal = "ban"      // ends every session, and lets nobody sign in until an admin lifts it
)

// Sessions ends sessions. pkg/supabase implements it.
type Sessions interface {
	// SignOut ends every session of the person, however they signed in. Nobody with this open_id is no error.
	SignOut(ctx context.Context, openID string) error
	// Ban is SignOut, and keeps the person out from then on.
	Ban(ctx context.Context, openID string) error
}

// eventTimeout is longer than the handling of an event takes.
const eventTimeout = time.Minute

// TakeEvent does what an event asks for, once. Its errors ask TikTok to deliver the event again, which it does for
// 72 hours (TikTok docs: Webhooks Overview).
func (s *Service) TakeEvent(ctx context.Context, e Event) error {
	// TikTok may tell of it again while it is handled. That must not count as done, since it may yet fail.
	underWay := e.Key + ":under_way"
	alone, err := s.opts.Events.Claim(ctx, underWay, eventTimeout)
	switch {
	case err != nil:
		return AsError(err)
	case !alone:
		return NewError(CauseBusy)
	}
	defer func() { _ = s.opts.Events.Release(context.WithoutCancel(ctx), underWay) }()

	claimed, err := s.opts.Events.Claim(ctx, e.Key, e.KeyTTL)
	if err != nil {
		return AsError(err)
	}
	if !claimed {
		return nil // delivered before
	}
	if err := s.handle(ctx, e); err != nil {
		return errors.Join(err, s.opts.Events.Release(context.WithoutCancel(ctx), e.Key))
	}
	return nil
}

func (s *Service) handle(ctx context.Context, e Event) error {
	if e.Removed {
		if err := s.endGrant(ctx, e); err != nil {
			return err
		}
	}
	if s.opts.Forward != nil && !s.opts.Forward(ctx, e) {
		return NewError(CauseBusy)
	}
	return nil
}

// endGrant does what the operator wants done when a person takes the app's access away.
func (s *Service) endGrant(ctx context.Context, e Event) error {
	removal := s.opts.OnRemoved
	if s.opts.Sessions == nil {
		removal = RemovalIgnore
	}
	var err error
	switch removal {
	case RemovalSignOut:
		err = s.opts.Sessions.SignOut(ctx, e.OpenID)
	case RemovalBan:
		err = s.opts.Sessions.Ban(ctx, e.OpenID)
	}
	if err == nil {
		s.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "audit", slog.String("event", "authorization_removed"),
			slog.String("reason", e.Reason), slog.String("did", string(removal)))
	}
	return err
}
