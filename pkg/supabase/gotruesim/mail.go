package gotruesim

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// outboxSize bounds the memory of a long-running emulator.
const outboxSize = 1000

// Mail is a message GoTrue would have sent. The emulator sends none.
type Mail struct {
	// To is the mailbox.
	To string
	// Type is the verification type of the link: signup, magiclink, recovery, invite or
	// email_change.
	Type string
	// OTP is the six-digit code, TokenHash what the link carries.
	OTP, TokenHash string
	// Link is the address behind the button.
	Link string
}

type outbox struct {
	mu    sync.Mutex
	mails []Mail
}

func (o *outbox) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mails = nil
}

// Outbox lists the latest mails, oldest first: it is the mailbox of every user.
func (s *Server) Outbox() []Mail {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	return slices.Clone(s.outbox.mails)
}

func (s *Server) send(m Mail) {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	s.outbox.mails = append(s.outbox.mails, m)
	if extra := len(s.outbox.mails) - outboxSize; extra > 0 {
		s.outbox.mails = slices.Delete(s.outbox.mails, 0, extra)
	}
}

// link is a fresh one-time password with its hash.
type link struct{ otp, hash string }

// newLink makes a link for a mailbox. The hash is no more secret than the six digits: whoever knows
// the address has a million candidates (crypto.go, GenerateTokenHash).
func newLink(mailbox string) link {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	otp := fmt.Sprintf("%06d", n)
	return link{otp, tokenHash(mailbox, otp)}
}

// tokenHash is the hash of an OTP, which a link carries in its place.
func tokenHash(mailbox, otp string) string {
	return fmt.Sprintf("%x", sha256.Sum224([]byte(mailbox+otp)))
}

// actionLink is the address in a mail. GoTrue encodes redirect_to only if it looks unencoded.
func (s *Server) actionLink(l link, typ, redirectTo string) string {
	if strings.ContainsAny(redirectTo, "&=#") {
		redirectTo = url.QueryEscape(redirectTo)
	}
	return fmt.Sprintf("%s/verify?token=%s&type=%s&redirect_to=%s",
		s.opts.ExternalURL, l.hash, typ, redirectTo)
}

func (s *Server) mail(r *http.Request, to string, l link, typ string) {
	s.send(Mail{
		To: to, Type: typ, OTP: l.otp, TokenHash: l.hash,
		Link: s.actionLink(l, typ, s.allowList.destination(r, "")),
	})
}

// checkFrequency keeps public routes from mailing one user too often. An admin's generate_link
// sends nothing and yet counts as the last mail (capture "public POST /otp right after admin
// generate_link, MAX_FREQUENCY=60s").
func (s *Server) checkFrequency(last *time.Time) error {
	if last == nil {
		return nil
	}
	wait := last.Add(s.opts.EmailMaxFrequency).Sub(s.now())
	if wait <= 0 {
		return nil
	}
	return fail(http.StatusTooManyRequests, codeOverEmailRate,
		"For security purposes, you can only request this after %d seconds.", wait/time.Second)
}
