package tiktoksim

import (
	"net/http"
	"slices"
)

// nextRequest is the body of POST /sim/next.
type nextRequest struct {
	Result string  `json:"result"`
	OpenID *string `json:"open_id"`
	Scopes *string `json:"scopes"`
}

// next answers an authorize request without a click.
type next struct {
	deny bool
	// person is nil for whoever is signed in, or the first of the built-in people.
	person *Person
	// allowed are the scopes that stay ticked; nil for all that are asked for.
	allowed []string
}

// planNext is POST /sim/next: the next authorize request is answered at once, as if the person had clicked.
func (s *Server) planNext(_ *http.Request, body []byte) answer {
	var in nextRequest
	if err := decodeStrict(body, &in); err != nil {
		return s.refuse(err.Error())
	}
	n := next{deny: in.Result == "deny"}
	switch {
	case in.Result != "grant" && in.Result != "deny":
		return s.refuse("result is grant or deny.")
	case n.deny && (in.OpenID != nil || in.Scopes != nil):
		return s.refuse("Whoever denies names neither themselves nor scopes.")
	case in.OpenID != nil && *in.OpenID == "":
		return s.refuse("open_id is empty.")
	}
	if in.OpenID != nil {
		p := codeRequest{OpenID: *in.OpenID}.person()
		n.person = &p
	}
	if in.Scopes != nil {
		n.allowed = []string{basicScope}
		if *in.Scopes != "" {
			names, unknown := parseScopes(*in.Scopes)
			if names == nil {
				return s.refuse("scopes: " + scopeHint(unknown))
			}
			n.allowed = names
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.nexts = append(s.state.nexts, n)
	return jsonAnswer(http.StatusOK, map[string]int{"planned": len(s.state.nexts)})
}

// takeNext returns the answer planned for this authorize request, if any.
func (s *Server) takeNext() (next, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.state.nexts) == 0 {
		return next{}, false
	}
	n := s.state.nexts[0]
	s.state.nexts = slices.Delete(s.state.nexts, 0, 1)
	return n, true
}

// answerNext does what the consent form would have done.
func (s *Server) answerNext(r *http.Request, req authRequest, n next) answer {
	if n.deny {
		return sendError(req, "access_denied", textCancelled)
	}
	p := people[0]
	if signedIn, _, ok := s.session(sessionID(r)); ok {
		p = signedIn
	}
	if n.person != nil {
		p = *n.person
	}
	granted := req.scopes
	if n.allowed != nil {
		granted = narrow(req.scopes, n.allowed)
	}
	return s.consented(r, req, grant{p, granted})
}
