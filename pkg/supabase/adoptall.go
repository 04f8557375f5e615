package supabase

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"
	"golang.org/x/sync/semaphore"
)

// An account made by the Edge Function of Despia's guide can be its owner's or a squatter's. It is taken
// over in two passes with a quarantine between them, so that each way in is dead before the next one is
// judged:
//
//  1. The first pass sets a password that nobody knows, which ends every session and voids every
//     one-time token (GoTrue internal/models/user.go, UpdatePassword), and a ban, which lets no new
//     session begin (internal/api/token.go, verify.go).
//  2. In the quarantine everything expires that was under way: requests that were authenticated before
//     (ten seconds, GOTRUE_API_MAX_REQUEST_DURATION), PKCE codes and link flows (five minutes), codes of
//     the OAuth server (ten minutes).
//  3. The second pass looks whether anybody got in meanwhile. Every new session moves last_sign_in_at
//     (internal/models/refresh_token.go). If it did not move, nobody has a session, so nobody can have a
//     request under way. One update sets another password, in case one landed in the quarantine, and the
//     anchor, and lifts the ban.
const (
	// DefaultQuarantine is how long an account stays in quarantine unless told.
	DefaultQuarantine = 20 * time.Minute
	// MinQuarantine is longer than anything lives that may be under way.
	MinQuarantine = 15 * time.Minute
	// DefaultPerMinute is how many accounts enter quarantine a minute unless told. GoTrue spends some
	// 150 ms of CPU time on each, on two passwords.
	DefaultPerMinute = 120
	// banMargin is how much longer than the quarantine the ban lasts, so that a second pass that is
	// late finds it in force. One that is later than half of it, by this machine's clock, gives up.
	banMargin = time.Hour
	// atOnce is how many accounts are worked on at the same time.
	atOnce = 4
	// maxFailures is how many accounts may fail in a row before the run asks whether the project works.
	maxFailures = 5
	// tries is how often a pass is tried that GoTrue fails. Somebody who refreshes their session all the
	// time can make the new password deadlock.
	tries = 4
)

// adoptionNote is app_metadata.tikbridge_adoption: what the first pass saw, for the second one.
type adoptionNote struct {
	OpenID       string    `json:"open_id"`
	LastSignInAt string    `json:"last_sign_in_at"`
	Run          string    `json:"run"` // tells runs apart that meet
	Until        time.Time `json:"until"`
}

// remaining returns how long the quarantine lasts, some minutes if that is not known.
func (n *adoptionNote) remaining(now time.Time) time.Duration {
	const unknown, longest = 5 * time.Minute, time.Hour
	if left := n.Until.Sub(now); left > 0 && left <= longest {
		return left
	}
	return unknown
}

// Verdict is what AdoptAll says of an account.
type Verdict string

// The verdicts.
const (
	// VerdictOther: not an account of a TikTok user.
	VerdictOther Verdict = "other"
	// VerdictOwned: it has an anchor.
	VerdictOwned Verdict = "owned"
	// VerdictQuarantined: the first pass is done. Another verdict follows, unless the run is stopped.
	VerdictQuarantined Verdict = "quarantined"
	// VerdictAdopted: it is the person's now; in a dry run, it would be tried.
	VerdictAdopted Verdict = "adopted"
	// VerdictLeft: it cannot be proven safe and is as before, without its old sessions and password.
	VerdictLeft Verdict = "left"
	// VerdictReleased: it was in quarantine and is not any more.
	VerdictReleased Verdict = "released"
	// VerdictFailed: GoTrue failed. If it was in quarantine, it still is.
	VerdictFailed Verdict = "failed"
)

// Review is the verdict on one account.
type Review struct {
	// UserID is empty for a row that cannot be read.
	UserID  string
	Verdict Verdict
	// Reason says why an account was left or failed.
	Reason string
}

// AdoptOptions configure AdoptAll.
type AdoptOptions struct {
	// DryRun says what would be tried and changes nothing.
	DryRun bool
	// Quarantine is how long each account is locked, at least. It should be MinQuarantine or more.
	// Default: DefaultQuarantine.
	Quarantine time.Duration
	// PerMinute bounds how many accounts enter quarantine a minute. Default: DefaultPerMinute.
	PerMinute int
}

// AdoptAll takes over the accounts that the Edge Function of Despia's guide made: see the constants for
// how. An account is adopted only if its open_id is known exactly: the claim in user_metadata, which
// proves nothing by itself, must be the address in another letter case. A wrong claim costs the claimant
// the account and gives nobody another one.
//
// each is called with every account, one at a time. A run may be stopped at any point and run again, on
// any machine: accounts in quarantine go through it anew.
func (c *Client) AdoptAll(ctx context.Context, opts AdoptOptions, each func(Review)) error {
	if opts.Quarantine <= 0 {
		opts.Quarantine = DefaultQuarantine
	}
	if opts.PerMinute <= 0 {
		opts.PerMinute = DefaultPerMinute
	}
	r := &adoptRun{client: c, opts: opts, id: rand.Text(), each: each, places: semaphore.NewWeighted(atOnce)}
	pace := time.NewTicker(time.Minute / time.Duration(opts.PerMinute))
	defer pace.Stop()
	err := c.walk(ctx, r.report, func(listed account) error {
		switch review := c.classify(listed); {
		case review.Verdict == VerdictLeft:
			r.report(r.leave(ctx, listed, review.Reason))
			return nil
		case review.Verdict != VerdictAdopted:
			r.report(review)
			return nil
		}
		if err := r.checkProject(ctx); err != nil {
			return err
		}
		if !opts.DryRun {
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
		if err := r.places.Acquire(ctx, 1); err != nil {
			return err
		}
		r.accounts.Go(func() { r.adopt(ctx, listed.ID) })
		return nil
	})
	r.accounts.Wait()
	return err
}

// classify says what a list shows of an account: VerdictAdopted for one to be looked at.
func (c *Client) classify(listed account) Review {
	local, isOurs := strings.CutSuffix(listed.Email, "@"+c.opts.EmailDomain)
	openID := text(listed.UserMetadata.OpenID)
	review := Review{UserID: listed.ID.String(), Verdict: VerdictAdopted}
	switch {
	case !isOurs, isEvicted(listed.ID, local):
		review.Verdict = VerdictOther
	case listed.owner() != "":
		review.Verdict = VerdictOwned
	case !isLocalPart(openID) || strings.ToLower(openID) != local:
		review.Verdict, review.Reason = VerdictLeft, "its open_id is not known exactly"
	}
	return review
}

// adoptRun is one run of AdoptAll.
type adoptRun struct {
	client   *Client
	opts     AdoptOptions
	id       string
	places   *semaphore.Weighted
	accounts sync.WaitGroup

	mu       sync.Mutex
	each     func(Review)
	failures int // in a row
}

func (r *adoptRun) report(review Review) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch review.Verdict {
	case VerdictFailed:
		r.failures++
	case VerdictQuarantined, VerdictAdopted, VerdictLeft:
		r.failures = 0
	}
	r.each(review)
}

// checkProject ends the run if accounts failed in a row because the project is down. A few that fail by
// themselves must not keep the others out.
func (r *adoptRun) checkProject(ctx context.Context) error {
	r.mu.Lock()
	failures := r.failures
	r.mu.Unlock()
	if failures < maxFailures {
		return nil
	}
	if err := r.client.CheckSecretKey(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	r.failures = 0
	r.mu.Unlock()
	return nil
}

// adopt takes one account through both passes. It begins with a place and gives it back while it waits.
func (r *adoptRun) adopt(ctx context.Context, id uuid.UUID) {
	// A pass that has begun is finished also when the run is stopped: what became of it must be known.
	pass := context.WithoutCancel(ctx)
	var held account
	review := insist(ctx, func() (review Review) {
		held, review = r.firstPass(pass, id)
		return review
	})
	r.places.Release(1)
	r.report(review)
	if review.Verdict != VerdictQuarantined || !sleep(ctx, r.opts.Quarantine) || r.places.Acquire(ctx, 1) != nil {
		return
	}
	review = insist(ctx, func() Review { return r.secondPass(pass, held) })
	r.places.Release(1)
	r.report(review)
}

// insist repeats a pass that fails.
func insist(ctx context.Context, pass func() Review) Review {
	review := pass()
	for n := 1; n < tries && review.Verdict == VerdictFailed && sleep(ctx, 200*time.Millisecond<<n); n++ {
		review = pass()
	}
	return review
}

// firstPass looks at an account and puts it into quarantine. held is the account as it is then.
func (r *adoptRun) firstPass(ctx context.Context, id uuid.UUID) (held account, _ Review) {
	a, err := r.client.user(ctx, id)
	if err != nil {
		return a, r.failure(id, err)
	}
	review := r.client.classify(a)
	if review.Verdict != VerdictAdopted && review.Verdict != VerdictLeft {
		return a, review
	}
	reason := review.Reason
	if reason == "" {
		reason, err = r.client.otherWayIn(ctx, a)
	}
	switch {
	case err != nil:
		return a, r.failure(id, err)
	case reason == "" && a.adoption() == nil && a.isBanned(time.Now()):
		reason = "is banned"
	case reason == "" && r.opts.DryRun:
		return a, review
	}
	if reason != "" {
		return a, r.leave(ctx, a, reason)
	}
	ban := types.BanDurationTime(r.opts.Quarantine + banMargin)
	held, err = r.client.updateUser(ctx, types.AdminUpdateUserRequest{
		UserID: id, Password: unknownPassword(), BanDuration: &ban,
		AppMetadata: map[string]any{adoptionKey: adoptionNote{
			OpenID: text(a.UserMetadata.OpenID), LastSignInAt: a.LastSignInAt,
			Run: r.id, Until: time.Now().Add(r.opts.Quarantine).UTC().Truncate(time.Second),
		}},
	})
	if err != nil {
		return a, r.failure(id, err)
	}
	r.client.audit(ctx, "account_quarantined", id)
	return held, Review{UserID: id.String(), Verdict: VerdictQuarantined}
}

// secondPass looks whether an account is as the first pass left it, and adopts it or lets it go.
func (r *adoptRun) secondPass(ctx context.Context, held account) Review {
	a, err := r.client.user(ctx, held.ID)
	if err != nil {
		return r.failure(held.ID, err)
	}
	note := a.adoption()
	switch {
	case a.owner() != "":
		return Review{UserID: held.ID.String(), Verdict: VerdictOwned}
	case note != nil && note.Run != r.id:
		return Review{held.ID.String(), VerdictLeft, "another run has taken it"}
	}
	reason, err := r.client.moved(ctx, held, a, note)
	if err != nil {
		return r.failure(held.ID, err)
	}
	if reason != "" {
		return r.leave(ctx, a, reason)
	}
	none := types.BanDurationNone()
	metadata := newAnchor(note.OpenID, "")
	metadata[adoptionKey] = nil // GoTrue takes the key out
	_, err = r.client.updateUser(ctx, types.AdminUpdateUserRequest{
		UserID: held.ID, Password: unknownPassword(), BanDuration: &none, AppMetadata: metadata,
	})
	if err != nil {
		return r.failure(held.ID, err)
	}
	r.client.audit(ctx, "account_adopted", held.ID)
	return Review{UserID: held.ID.String(), Verdict: VerdictAdopted}
}

// moved says what changed in an account since the first pass left it as held; "" for nothing.
func (c *Client) moved(ctx context.Context, held, now account, note *adoptionNote) (string, error) {
	switch {
	case note == nil:
		return "was released", nil
	case !sameTime(now.BannedUntil, held.BannedUntil):
		return "was banned or released by somebody else", nil
	case !now.isBanned(time.Now().Add(banMargin / 2)):
		return "was looked at too late, when its ban was nearly over", nil
	case now.LastSignInAt != note.LastSignInAt:
		return "was signed in to", nil
	case now.Email != held.Email:
		return "changed its e-mail", nil
	case text(now.UserMetadata.OpenID) != note.OpenID:
		return "changed its open_id", nil
	}
	return c.otherWayIn(ctx, now)
}

// leave reports an account that is not adopted, and takes it out of quarantine if it is there.
func (r *adoptRun) leave(ctx context.Context, a account, reason string) Review {
	if a.adoption() != nil && !r.opts.DryRun {
		if err := r.client.release(ctx, a.ID); err != nil {
			return r.failure(a.ID, err)
		}
	}
	return Review{a.ID.String(), VerdictLeft, reason}
}

func (r *adoptRun) failure(id uuid.UUID, err error) Review {
	return Review{id.String(), VerdictFailed, err.Error()}
}

// isBanned reports whether an account is banned at a point in time.
func (a account) isBanned(at time.Time) bool {
	until, err := time.Parse(time.RFC3339, a.BannedUntil)
	return err == nil && until.After(at)
}

// sameTime compares times of GoTrue, which shows more digits of one that was not stored yet.
func sameTime(a, b string) bool {
	one, err := time.Parse(time.RFC3339, a)
	other, otherErr := time.Parse(time.RFC3339, b)
	return err == nil && otherErr == nil && one.Sub(other).Abs() < time.Second
}

// otherWayIn names what shows that somebody other than the Edge Function had a hand in an account, or
// could enter it without its password; "" if there is nothing. a must come from a look-up: lists leave
// out half of it.
func (c *Client) otherWayIn(ctx context.Context, a account) (string, error) {
	switch {
	case a.Phone != "" || a.NewPhone != "": // before identities: a phone is one too
		return "has a phone number", nil
	case a.NewEmail != "":
		return "has a change of e-mail pending", nil
	case len(a.Factors) > 0:
		return "has a second factor", nil
	}
	for _, i := range a.Identities {
		if i.Provider != "email" {
			return "is linked to another identity provider", nil
		}
	}
	if reason := a.publicSignUp(); reason != "" {
		return reason, nil
	}
	passkey, err := c.hasPasskey(ctx, a.ID)
	if passkey {
		return "has a passkey", nil
	}
	return "", err
}

// ReleaseAll takes every account out of quarantine that a run of AdoptAll left there. It is then as
// before, without its old sessions and password.
func (c *Client) ReleaseAll(ctx context.Context, each func(Review)) error {
	return c.walk(ctx, each, func(listed account) error {
		review := Review{UserID: listed.ID.String(), Verdict: VerdictOther}
		if listed.adoption() != nil {
			review.Verdict = VerdictReleased
			if err := c.release(ctx, listed.ID); err != nil {
				review.Verdict, review.Reason = VerdictFailed, err.Error()
			}
		}
		each(review)
		return nil
	})
}

// release lifts the ban of a quarantine and takes the note away.
func (c *Client) release(ctx context.Context, id uuid.UUID) error {
	none := types.BanDurationNone()
	_, err := c.updateUser(ctx, types.AdminUpdateUserRequest{
		UserID: id, BanDuration: &none, AppMetadata: map[string]any{adoptionKey: nil},
	})
	if err != nil && !errors.Is(err, errUnreadable) {
		return err
	}
	c.audit(ctx, "account_released", id)
	return nil
}

// Waiting counts accounts that cannot be signed in to until they are adopted.
type Waiting struct {
	// Unclaimed look as the Edge Function leaves them. Quarantined are being adopted, or were left
	// behind by a run that was stopped.
	Unclaimed, Quarantined int
	// More says that the count ended early: there may be others.
	More bool
}

// CountWaiting looks at the oldest accounts, at most limit if that is positive, and counts those that
// wait for AdoptAll.
func (c *Client) CountWaiting(ctx context.Context, limit int) (Waiting, error) {
	var w Waiting
	enough := errors.New("enough")
	seen := 0
	err := c.walk(ctx, func(Review) {}, func(listed account) error {
		if seen++; limit > 0 && seen > limit {
			return enough
		}
		switch {
		case listed.adoption() != nil:
			w.Quarantined++
		case c.classify(listed).Verdict == VerdictAdopted && listed.publicSignUp() == "":
			w.Unclaimed++
		}
		return nil
	})
	if errors.Is(err, enough) {
		w.More, err = true, nil
	}
	return w, err
}

// walk visits all accounts with an address of ours, as a list shows them. Rows that cannot be read are
// reported and passed over.
func (c *Client) walk(ctx context.Context, report func(Review), visit func(account) error) error {
	// A page that cannot be read is halved until it is one row. Its start is always a multiple of its
	// size, as page numbers demand.
	const most = 128
	for seen, size := 0, most; ; {
		listed, err := c.listUsers(ctx, seen/size+1, size)
		switch {
		case errors.Is(err, errUnreadable) && size > 1:
			size /= 2
			continue
		case errors.Is(err, errUnreadable):
			report(Review{Verdict: VerdictLeft, Reason: fmt.Sprintf("row %d of the users cannot be read", seen+1)})
		case err != nil:
			return err
		case len(listed) == 0:
			return nil
		}
		for _, a := range listed {
			if err := visit(a); err != nil {
				return err
			}
		}
		for seen += size; size < most && seen%(2*size) == 0; {
			size *= 2
		}
	}
}
