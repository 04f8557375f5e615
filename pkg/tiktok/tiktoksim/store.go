package tiktoksim

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"time"
)

// state is everything a simulator remembers. Server.mu guards it.
type state struct {
	codes    map[string]code
	access   map[string]token
	refresh  map[string]token
	sessions map[string]Person
	consents map[string][]string // open_id to the scopes that person has granted
	nexts    []next
	plans    map[endpoint][]plan
	counts   map[endpoint]int
	issued   int
	webhook  string // where events go; empty: nowhere
	pending  []*event
	ended    chan struct{} // closed by Reset
}

func newState(webhook string) state {
	return state{
		webhook:  webhook,
		codes:    map[string]code{},
		access:   map[string]token{},
		refresh:  map[string]token{},
		sessions: map[string]Person{},
		consents: map[string][]string{},
		plans:    map[endpoint][]plan{},
		counts:   map[endpoint]int{},
		ended:    make(chan struct{}),
	}
}

// grant is what a person allowed the app.
type grant struct {
	person Person
	scopes []string
}

// code is an authorization code and what its exchange must match.
type code struct {
	grant
	redirectURI string
	challenge   string
	expires     time.Time
}

// token is an access or refresh token.
type token struct {
	grant
	expires time.Time
}

// tokenPair is what a successful grant hands out.
type tokenPair struct {
	grant
	access, refresh string
}

// issueCode stores a new code and returns it. Its tail has the "*" and "!" of TikTok's codes, both
// of which a form encodes: a client that decodes too seldom or too often fails here, not in
// production.
func (s *Server) issueCode(g grant, redirectURI, challenge string) string {
	v := randomText(48) + "*0!6410.va"
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.codes[v] = code{g, redirectURI, challenge, s.opts.Now().Add(s.opts.CodeTTL)}
	s.sweep()
	return v
}

// spendCode returns the code at most once over all callers, and never after its expiry.
func (s *Server) spendCode(v string) (code, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.state.codes[v]
	delete(s.state.codes, v)
	return c, ok && s.opts.Now().Before(c.expires)
}

// issueTokens stores a new pair of tokens.
func (s *Server) issueTokens(g grant) tokenPair {
	p := tokenPair{g, "act." + randomText(48) + "!5194.va", "rft." + randomText(48) + "!5195.va"}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	s.state.access[p.access] = token{g, now.Add(s.opts.AccessTokenTTL)}
	s.state.refresh[p.refresh] = token{g, now.Add(s.opts.RefreshTokenTTL)}
	s.sweep()
	return p
}

// spendRefresh returns the grant behind a refresh token at most once: TikTok rotates always, and
// the previous token stops working at once.
func (s *Server) spendRefresh(v string) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.state.refresh[v]
	delete(s.state.refresh, v)
	return t.grant, ok && s.opts.Now().Before(t.expires)
}

// accessGrant returns the grant behind a live access token.
func (s *Server) accessGrant(v string) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.state.access[v]
	return t.grant, ok && s.opts.Now().Before(t.expires)
}

// revokePerson ends all tokens and the consent of one person: revoking removes the app from the
// person's list of connected apps, so the next sign-in shows the page again.
func (s *Server) revokePerson(openID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tokens := range []map[string]token{s.state.access, s.state.refresh} {
		for v, t := range tokens {
			if t.person.OpenID == openID {
				delete(tokens, v)
			}
		}
	}
	delete(s.state.consents, openID)
}

// startSession remembers a consent and returns the id of a new browser session.
func (s *Server) startSession(g grant) string {
	id := randomText(24)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.sessions[id] = g.person
	s.state.consents[g.person.OpenID] = slices.Clone(g.scopes)
	return id
}

func (s *Server) endSession(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.state.sessions, id)
}

// session returns the person of a browser session and the scopes that person has granted.
func (s *Server) session(id string) (p Person, granted []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok = s.state.sessions[id]
	return p, slices.Clone(s.state.consents[p.OpenID]), ok
}

// sweepEvery bounds the memory of a simulator under load: expired entries go after this many
// issues.
const sweepEvery = 4096

func (s *Server) sweep() {
	s.state.issued++
	if s.state.issued%sweepEvery != 0 {
		return
	}
	now := s.opts.Now()
	for v, c := range s.state.codes {
		if !now.Before(c.expires) {
			delete(s.state.codes, v)
		}
	}
	for _, tokens := range []map[string]token{s.state.access, s.state.refresh} {
		for v, t := range tokens {
			if !now.Before(t.expires) {
				delete(tokens, v)
			}
		}
	}
}

// randomText returns base64url text of n random bytes.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}
