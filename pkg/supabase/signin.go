package supabase

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Bounds of a sign-in, which also ends with its context.
const (
	// maxSteps bounds the way to an account. The longest honest one takes five: somebody else's
	// address, one's own address squatted, evicted, created, found.
	maxSteps = 8
	// maxSuccessors bounds how often one person's account may have been soft-deleted.
	maxSuccessors = 20
	// maxSuperseded bounds how often a link that another replica superseded is made again.
	maxSuperseded = 12
	// maxFaults bounds how often a fault of GoTrue is met with another attempt.
	maxFaults = 3
)

// SignIn implements signin.Accounts.
func (c *Client) SignIn(ctx context.Context, id signin.Identity, device netip.Addr, profile func() signin.Profile) (signin.SignedIn, error) {
	p := newPerson(id.OpenID, c.opts.EmailDomain)
	signin.ReportFrom(ctx).SetUser(p.id.String())
	release, err := c.people.acquire(ctx, p.address)
	if err != nil {
		return signin.SignedIn{}, failure(signin.StageFind, err)
	}
	defer release()

	s := &search{client: c, person: p, id: p.id, profile: profile}
	for superseded, faults := 0, 0; ; {
		in, err := s.attempt(ctx, device)
		var reason string
		switch {
		case err == nil:
			return in, nil
		case hasCode(err, "otp_expired"):
			reason = "superseded_link"
			superseded++
		case hasCode(err, "session_not_found"):
			reason = "session_ended"
			superseded++
		case isPassing(err):
			reason = "fault"
			faults++
		default:
			return signin.SignedIn{}, err
		}
		if superseded == maxSuperseded || faults == maxFaults || !pause(ctx, superseded+faults) {
			return signin.SignedIn{}, err
		}
		c.opts.Observer.Retried(ctx, service, reason)
	}
}

// pause waits a random time that grows with n, so that replicas that met do not meet again. It
// returns false when ctx ended first.
func pause(ctx context.Context, n int) bool {
	const longest = time.Second
	limit := min(20*time.Millisecond<<n, longest)
	t := time.NewTimer(rand.N(limit)) // #nosec G404 -- spreads load, guards nothing
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
	id      uuid.UUID // of the account to look up or create
	profile func() signin.Profile
	created bool
	adopted bool // just now
	// successors counts the soft-deleted accounts that were met.
	successors int
	// held is an address that could not be had although no account has it.
	held string
}

// attempt is one go at the pair of calls that makes a session: a link to a vetted account, and its
// use.
func (s *search) attempt(ctx context.Context, device netip.Addr) (signin.SignedIn, error) {
	l, err := s.find(ctx)
	if err != nil {
		return signin.SignedIn{}, err
	}
	signin.ReportFrom(ctx).SetUser(l.user.ID.String())
	session, err := s.client.verify(ctx, l, device)
	if err == nil && s.adopted {
		err = s.outlast(ctx, session)
	}
	if hasCode(err, "user_banned") {
		s.client.audit(ctx, "account_banned", l.user)
	}
	if err != nil {
		return signin.SignedIn{}, err
	}
	return signin.SignedIn{Session: session, Account: accountOf(s.person, l.user), Created: s.created}, nil
}

// outlast checks that a session outlives an adoption. Another replica may have begun to adopt the same
// account a moment before it was marked, and its password, once GoTrue has hashed it, ends all
// sessions. It happens once in the life of an account, so it may take its time.
func (s *search) outlast(ctx context.Context, session signin.Session) error {
	const hashing = 500 * time.Millisecond // several times what bcrypt takes GoTrue
	t := time.NewTimer(hashing)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	s.adopted = false
	return s.client.alive(ctx, session)
}

// find returns a fresh link to the person's own account, which it makes if there is none. Each step
// asks for a link, vets the account that came with it, and if it is not theirs goes on to another
// address.
func (s *search) find(ctx context.Context) (link, error) {
	address := s.person.address
	for range maxSteps {
		l, err := s.client.generateLink(ctx, address)
		switch {
		case hasCode(err, "user_not_found"):
			address, err = s.own(ctx, address)
		case err != nil:
			return link{}, err
		default:
			switch s.person.vet(l.user) {
			case mine:
				return l, nil
			case foreign:
				address, err = s.own(ctx, s.freeAddress(address))
			case unmarked:
				address, err = s.unmarked(ctx, l)
			}
		}
		if err != nil {
			return link{}, err
		}
	}
	return link{}, failure(signin.StageFind, errNoWay)
}

// freeAddress returns an address to make the person's account at when taken is somebody else's. Even
// their own one may be, since it follows from the open_id; then any will do: their account is found
// by its id.
func (s *search) freeAddress(taken string) string {
	if taken != s.person.ownAddress {
		return s.person.ownAddress
	}
	return s.person.spareAddress()
}

// own returns the address of the person's account, wherever they moved it. Most often there is none
// yet, so it is looked up and created at once: creating an id that exists changes nothing.
func (s *search) own(ctx context.Context, address string) (string, error) {
	looking, enough := context.WithCancel(ctx)
	defer enough()
	created := make(chan error, 1)
	go func() {
		err := s.client.createUser(ctx, s.id, s.person.openID, address, s.profile())
		if err == nil {
			enough() // nobody waits for a look-up that found nothing
		}
		created <- err
	}()
	existing, lookupErr := s.client.user(looking, s.id)
	createErr := <-created

	switch {
	case createErr == nil:
		s.created = true
		s.client.audit(ctx, "account_created", types.User{ID: s.id})
		return address, nil
	case lookupErr == nil:
		return s.addressOf(ctx, existing, address)
	case hasCode(createErr, "email_exists") && s.held != address:
		s.held = address
		return address, nil // somebody was faster; the next step vets them
	case hasCode(createErr, "email_exists"):
		// Again, and no link leads there: an identity holds the address, and no account has it
		// (GoTrue internal/models/user.go, IsDuplicatedEmail).
		return s.freeAddress(address), nil
	case isFault(createErr) && hasCode(lookupErr, "user_not_found"):
		return s.afterLostRace(ctx, address, createErr)
	case isFault(createErr):
		// Most likely the account is there, at another address, and only the look-up would tell.
		return "", lookupErr
	}
	return "", createErr
}

// afterLostRace deals with the 500 that GoTrue answers when another sign-in of the same person
// created the account between its check and its insert.
func (s *search) afterLostRace(ctx context.Context, address string, createErr error) (string, error) {
	existing, err := s.client.user(ctx, s.id)
	if err != nil {
		return "", createErr // perhaps no race but a fault, so that SignIn begins again
	}
	return s.addressOf(ctx, existing, address)
}

// addressOf returns the address under which an account that was found by its id can be signed in. One
// whose owner took the e-mail out (GoTrue lets people unlink it once they have another identity) gets
// free, since there are links to addresses alone.
func (s *search) addressOf(ctx context.Context, u types.User, free string) (string, error) {
	switch {
	case isSoftDeleted(u):
		if err := s.succeed(); err != nil {
			return "", err
		}
		return s.own(ctx, s.person.address)
	case u.Email == "":
		return free, s.client.setEmail(ctx, u, free)
	}
	return u.Email, nil
}

// succeed goes on to the id that follows a soft-deleted account.
func (s *search) succeed() error {
	if s.successors++; s.successors > maxSuccessors {
		return failure(signin.StageFind, errNoWay)
	}
	s.id = successorID(s.id)
	return nil
}

// isSoftDeleted tells an account that an admin deleted but whose row was kept: GoTrue replaces its
// address by a hash (internal/models/user.go).
func isSoftDeleted(u types.User) bool { return u.Email != "" && !strings.Contains(u.Email, "@") }

// unmarked deals with an account at the person's address that carries no mark. Before it is settled
// by the operator's choice, the person's own account is looked for: they may have moved it away and
// somebody else taken the address.
func (s *search) unmarked(ctx context.Context, l link) (string, error) {
	u, err := l.account()
	if err != nil {
		return "", err
	}
	for {
		existing, err := s.client.user(ctx, s.id)
		switch {
		case hasCode(err, "user_not_found"):
			s.adopted = s.client.opts.Adopt == AdoptReset
			return u.Email, s.client.settle(ctx, s.person, u)
		case err != nil:
			return "", err
		case isSoftDeleted(existing):
			if err := s.succeed(); err != nil {
				return "", err
			}
		case existing.ID == u.ID:
			// No public route can choose an id: this account was made by the bridge, and an admin
			// removed the mark.
			return u.Email, s.client.remark(ctx, s.person, u)
		default:
			return s.addressOf(ctx, existing, s.freeAddress(u.Email))
		}
	}
}
