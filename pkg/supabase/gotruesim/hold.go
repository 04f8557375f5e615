package gotruesim

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Hold keeps one request from committing. See Server.Hold.
type Hold struct {
	match             func(*http.Request) bool
	arrived, released chan struct{}
	release           func()
}

// Arrived is closed once the request has been authenticated, has read what it works on and is about
// to write.
func (h *Hold) Arrived() <-chan struct{} { return h.arrived }

// Release lets the request go on. It may be called at any time and more than once.
func (h *Hold) Release() { h.release() }

// Hold stops the next request that match accepts between its authentication and its commit, where
// a request to a real GoTrue may be for as long as Options.MaxRequestDuration. What the request has
// read by then it believes to the end: see testdata/in-flight.md. match sees the path without the
// gateway's prefix and no body; Route makes one. Call Release before the server stops.
//
// Every request that writes can be held, but for logout and the deletion of a factor, and so can
// GET /admin/users/{id}. A sign-up is held between making the account and signing in to it, and so
// not at all where addresses must be confirmed.
//
// A body that the client holds back needs no Hold: GoTrue authenticates before it reads the body,
// and sends "100 Continue" in between to a client that expects it.
func (s *Server) Hold(match func(*http.Request) bool) *Hold {
	h := &Hold{match: match, arrived: make(chan struct{}), released: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.released) })
	s.holds.add(h)
	return h
}

// Route matches requests by their first line, as in "POST /token?grant_type=password".
func Route(line string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method+" "+r.URL.RequestURI() == line }
}

// holds are those that no request has reached yet.
type holds struct {
	mu   sync.Mutex
	list []*Hold
}

func (hs *holds) add(h *Hold) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.list = append(hs.list, h)
}

func (hs *holds) take(r *http.Request) *Hold {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for i, h := range hs.list {
		if h.match(r) {
			hs.list = append(hs.list[:i:i], hs.list[i+1:]...)
			return h
		}
	}
	return nil
}

type startedKey struct{}

// start notes when a request began.
func (s *Server) start(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), startedKey{}, s.now()))
}

// beforeWrite is the moment between what a request has read and what it writes. delay stretches it,
// a Hold stops the request in it. Whoever outlives its time, or whose client has hung up, commits
// nothing any more (middleware.go:543, timeoutMiddleware: the database works under that context).
func (s *Server) beforeWrite(r *http.Request, delay time.Duration) error {
	s.pause(delay)
	if h := s.holds.take(r); h != nil {
		close(h.arrived)
		select {
		case <-h.released:
		case <-r.Context().Done():
		}
	}
	limit := s.opts.MaxRequestDuration
	late := limit > 0 && s.now().Sub(r.Context().Value(startedKey{}).(time.Time)) > limit
	if late || r.Context().Err() != nil {
		return fail(http.StatusGatewayTimeout, codeTimeout,
			"Processing this request timed out, please retry after a moment.")
	}
	return nil
}
