package supabase

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Bounds of a sign-in, which also ends with its context.
const (
	// maxSuccessors is how often one person's account may have been soft-deleted.
	maxSuccessors = 20
	// maxSuperseded is how often a link is made again after another replica superseded it.
	maxSuperseded = 12
	// maxRounds bounds how often a sign-in is tried that GoTrue fails: a trigger that raises, a broken hook or
	// an anchor that does not stick fails the same way every time.
	maxRounds = 2
)

// SignIn implements signin.Accounts.
func (c *Client) SignIn(
	ctx context.Context, id signin.Identity, clientIP netip.Addr, profile func() signin.Profile,
) (signin.SignedIn, error) {
	if c.opts.Provider != "" {
		return c.signInByIDToken(ctx, id, clientIP, profile)
	}
	p := newPerson(id.OpenID, c.opts.EmailDomain)
	signin.ReportFrom(ctx).SetUser(p.id.String())
	release, err := c.people.acquire(ctx, p.address)
	if err != nil {
		return signin.SignedIn{}, failure("", err)
	}
	defer release()

	s := &search{client: c, person: p, id: p.id, profile: profile}
	for superseded, rounds := 0, 1; ; {
		in, err := s.signIn(ctx, clientIP)
		var reason string
		switch {
		case err == nil:
			return in, nil
		case hasCode(err, "otp_expired"):
			reason = "superseded_link"
			superseded++
		case isPassing(err):
			reason = "fault"
			rounds++
		default:
			return signin.SignedIn{}, err
		}
		if superseded == maxSuperseded || rounds > maxRounds || !pause(ctx, superseded+rounds) {
			return signin.SignedIn{}, err
		}
		c.opts.Observer.Retried(ctx, service, reason)
	}
}

// pause waits a random time that grows with n, so that replicas that collided do not collide again. It
// returns false if ctx ended first.
func pause(ctx context.Context, n int) bool {
	const longest = time.Second
	limit := min(20*time.Millisecond<<n, longest)
	return sleep(ctx, rand.N(limit)) // #nosec G404 -- spreads load, guards nothing
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// search is the way to the account of one person.
type search struct {
	client  *Client
	person  person
	id      uuid.UUID // of the account: the person's, or a successor's
	profile func() signin.Profile
	created bool
}

// signIn makes the two calls that give a session: one for a link to the person's account, one to use it.
func (s *search) signIn(ctx context.Context, clientIP netip.Addr) (signin.SignedIn, error) {
	l, err := s.link(ctx)
	if err != nil {
		return signin.SignedIn{}, err
	}
	signin.ReportFrom(ctx).SetUser(l.account.ID.String())
	session, err := s.client.verify(ctx, l, clientIP)
	if hasCode(err, "user_banned") {
		s.client.audit(ctx, "account_banned", l.account.ID)
	}
	if err != nil {
		return signin.SignedIn{}, err
	}
	return signin.SignedIn{Session: session, Account: l.account.domain(s.person), Created: s.created}, nil
}

// link returns a new link to the person's own account, and creates the account if there is none. The address
// is only where to look first: whatever is there, the account is then looked up by its id.
func (s *search) link(ctx context.Context) (link, error) {
	l, err := s.client.generateLink(ctx, s.person.address)
	var address string
	switch {
	case hasCode(err, "user_not_found"):
		address, err = s.findOrCreate(ctx)
	case err == nil && l.account.owner() == s.person.openID:
		return l, nil
	case err == nil && l.account.owner() == "":
		address, err = s.findOrReplace(ctx, &l.account)
	case err == nil, errors.Is(err, errUnreadable):
		address, err = s.findOrReplace(ctx, nil)
	}
	if err != nil {
		return link{}, err
	}
	l, err = s.client.generateLink(ctx, address)
	switch {
	case hasCode(err, "user_not_found"): // its address just changed
		return link{}, failure(callGenerateLink, errNotOwned)
	case err != nil:
		return link{}, err
	}
	if l.account.ID == s.id && l.account.owner() == "" {
		if l, err = s.restoreAnchor(ctx, address); err != nil {
			return link{}, err
		}
		if l.account.ID == s.id && l.account.owner() == "" {
			return link{}, failure(callGenerateLink, errAnchorLost)
		}
	}
	if l.account.owner() != s.person.openID {
		return link{}, failure(callGenerateLink, errNotOwned)
	}
	return l, nil
}

// findOrCreate returns the address of the person's account when nobody has the address tried first. Usually
// there is no account yet, so it looks up and creates at the same time: creating an existing id changes nothing.
func (s *search) findOrCreate(ctx context.Context) (string, error) {
	looking, enough := context.WithCancel(ctx)
	defer enough()
	created := make(chan error, 1)
	go func(id uuid.UUID) {
		err := s.create(ctx, id, s.person.address)
		if err == nil {
			enough() // no need to wait for a look-up that finds nothing
		}
		created <- err
	}(s.id)
	own, lookupErr := s.lookUp(looking)
	createErr := <-created
	switch {
	case createErr == nil:
		return s.person.address, nil
	case lookupErr == nil:
		return s.ensureAddress(ctx, own)
	case !hasCode(lookupErr, "user_not_found"):
		return "", lookupErr
	}
	return s.afterCreate(ctx, createErr)
}

// findOrReplace returns the address of the person's account when another account has the address tried
// first. unclaimed is that account if it can be read and has no anchor. If the person has no account yet and
// the operator consents, it evicts an unclaimed one; it leaves any other alone.
func (s *search) findOrReplace(ctx context.Context, unclaimed *account) (string, error) {
	own, err := s.lookUp(ctx)
	switch {
	case err == nil:
		return s.ensureAddress(ctx, own)
	case !hasCode(err, "user_not_found"):
		return "", err
	}
	address := s.person.spareAddress()
	if unclaimed != nil {
		if err := s.client.mayEvict(ctx, *unclaimed); err != nil {
			return "", err
		}
		if s.client.evict(ctx, unclaimed.ID) == nil {
			address = s.person.address
		}
	}
	if err := s.create(ctx, s.id, address); err != nil {
		return s.afterCreate(ctx, err)
	}
	return address, nil
}

// afterCreate returns the address of the person's account after creating it failed: another replica was
// faster, which is a 422 or a 500 (GoTrue internal/api/admin.go), or somebody has the address.
func (s *search) afterCreate(ctx context.Context, createErr error) (string, error) {
	own, err := s.lookUp(ctx)
	switch {
	case err == nil:
		return s.ensureAddress(ctx, own)
	case !hasCode(err, "user_not_found"):
		return "", err
	case !hasCode(createErr, "email_exists"):
		return "", createErr
	}
	address := s.person.spareAddress()
	return address, s.create(ctx, s.id, address)
}

// create makes the person's account.
func (s *search) create(ctx context.Context, id uuid.UUID, address string) error {
	if err := s.client.createUser(ctx, id, s.person.openID, address, s.profile()); err != nil {
		return err
	}
	s.created = true
	s.client.audit(ctx, "account_created", id)
	return nil
}

// lookUp finds the person's account by its id, which no public route can choose. It skips soft-deleted
// accounts.
func (s *search) lookUp(ctx context.Context) (account, error) {
	for range maxSuccessors {
		own, err := s.client.user(ctx, s.id)
		if err != nil || !own.isSoftDeleted() {
			return own, err
		}
		s.id = successorID(s.id)
	}
	return account{}, failure(callGetUser, errNotOwned)
}

// ensureAddress returns the address of the person's account. It sets one where the owner unlinked the
// e-mail, since a link needs an address.
func (s *search) ensureAddress(ctx context.Context, own account) (string, error) {
	if own.Email != "" {
		return own.Email, nil
	}
	address := s.person.spareAddress()
	_, err := s.client.updateUser(ctx, types.AdminUpdateUserRequest{
		UserID: own.ID, Email: address, EmailConfirm: true,
	})
	return address, err
}

// restoreAnchor sets the anchor again on the account with the person's id, once, and returns a new link. Only
// an admin can have removed it.
func (s *search) restoreAnchor(ctx context.Context, address string) (link, error) {
	_, err := s.client.updateUser(ctx, types.AdminUpdateUserRequest{
		UserID: s.id, AppMetadata: newAnchor(s.person.openID, ""),
	})
	if err != nil {
		return link{}, err
	}
	s.client.audit(ctx, "account_anchored_again", s.id)
	return s.client.generateLink(ctx, address)
}

// audit logs an event about an account: its id, but no name and no address.
func (c *Client) audit(ctx context.Context, event string, id uuid.UUID, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("event", event), slog.String("user_id", id.String())}, attrs...)
	c.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "audit", attrs...)
}
