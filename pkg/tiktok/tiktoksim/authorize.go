package tiktoksim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxRedirectURI is the first length TikTok refuses (TikTok docs: Login Kit for Web).
const maxRedirectURI = 512

// authRequest is an authorize request that has passed every check.
type authRequest struct {
	params      url.Values
	redirectURI string
	scopes      []string
	state       string
	challenge   string
}

// badRequest says which parameter of an authorize request to correct. TikTok's error page names no
// more than Field; Hint is the simulator's help.
type badRequest struct {
	Code  string
	Field string
	Hint  string
}

// authorize is GET /v2/auth/authorize/: an error page, an immediate redirect, or the consent page.
func (s *Server) authorize(r *http.Request, _ []byte) answer {
	req, bad := s.parseAuthRequest(r.URL.RawQuery)
	if bad != nil {
		return s.errorPage(*bad)
	}
	if n, ok := s.takeNext(); ok {
		return s.answerNext(r, req, n)
	}
	p, granted, signedIn := s.session(sessionID(r))
	if signedIn && req.params.Get("disable_auto_auth") != "1" && covers(granted, req.scopes) {
		return s.sendBack(req, grant{p, req.scopes})
	}
	if !signedIn {
		p = people[0]
	}
	return s.consentPage(r, req, http.StatusOK, draft{person: p})
}

// parseAuthRequest checks an authorize request in the order that serves a developer best: who asks,
// where the answer would go, then what is asked for.
func (s *Server) parseAuthRequest(rawQuery string) (authRequest, *badRequest) {
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return authRequest{}, &badRequest{
			"invalid_request", "query",
			"The query string is malformed: " + err.Error() + ".",
		}
	}
	for _, check := range []func(url.Values) *badRequest{
		checkShape, s.checkClient, s.checkRedirect, checkKind, s.checkPKCE,
	} {
		if bad := check(q); bad != nil {
			return authRequest{}, bad
		}
	}
	scopes, unknown := parseScopes(q.Get("scope"))
	if scopes == nil {
		return authRequest{}, &badRequest{"invalid_scope", "scope", scopeHint(unknown)}
	}
	return authRequest{
		params:      q,
		redirectURI: q.Get("redirect_uri"),
		scopes:      scopes,
		state:       q.Get("state"),
		challenge:   q.Get("code_challenge"),
	}, nil
}

func checkShape(q url.Values) *badRequest {
	for _, name := range []string{
		"client_key", "response_type", "scope", "redirect_uri", "state", "disable_auto_auth",
		"code_challenge", "code_challenge_method",
	} {
		if len(q[name]) > 1 {
			return &badRequest{"invalid_request", name, "The parameter is sent more than once."}
		}
	}
	if q.Has("client_secret") {
		return &badRequest{
			"invalid_request", "client_secret",
			"The secret must never be in a URL that a browser opens. Treat it as leaked: " +
				"take it out of the request and, on a real app, replace it.",
		}
	}
	return nil
}

func (s *Server) checkClient(q url.Values) *badRequest {
	switch {
	case !q.Has("client_key") && q.Has("client_id"):
		return &badRequest{
			"invalid_request", "client_key",
			"TikTok calls it client_key, where other providers say client_id.",
		}
	case q.Get("client_key") == "":
		return &badRequest{"invalid_request", "client_key", "The parameter is missing."}
	case q.Get("client_key") != s.opts.ClientKey:
		return &badRequest{
			"unauthorized_client", "client_key",
			"No app has this client key. This simulator knows one only: " + s.opts.ClientKey + ".",
		}
	}
	return nil
}

func (s *Server) checkRedirect(q url.Values) *badRequest {
	if hint := s.badRedirectURI(q.Get("redirect_uri")); hint != "" {
		return &badRequest{"invalid_request", "redirect_uri", hint}
	}
	return nil
}

func checkKind(q url.Values) *badRequest {
	switch {
	case q.Get("response_type") != "code":
		return &badRequest{"unsupported_response_type", "response_type", "It is always code."}
	case q.Get("scope") == "":
		return &badRequest{"invalid_scope", "scope", "Ask at least for " + basicScope + "."}
	case q.Get("state") == "":
		return &badRequest{
			"invalid_request", "state",
			"Send an unguessable state and compare it on return; it stops forged sign-ins.",
		}
	case !slices.Contains([]string{"", "0", "1"}, q.Get("disable_auto_auth")):
		return &badRequest{"invalid_request", "disable_auto_auth", "It is 0 or 1."}
	}
	return nil
}

func (s *Server) checkPKCE(q url.Values) *badRequest {
	challenge, method := q.Get("code_challenge"), q.Get("code_challenge_method")
	switch field := badChallenge(s.opts.PKCE, challenge, method); field {
	case "":
		return nil
	case "code_challenge_method":
		return &badRequest{"invalid_request", field, "It is S256."}
	default:
		return &badRequest{"invalid_request", field, challengeHint(s.opts.PKCE)}
	}
}

func challengeHint(mode string) string {
	switch mode {
	case pkceHex:
		return "This app wants PKCE as TikTok's Desktop platform does: the lower-case hex of the " +
			"verifier's SHA-256. With a real app it often means that the redirect URI is " +
			"registered for the wrong platform."
	case pkceBase64URL:
		return "This app wants PKCE as RFC 7636 has it: base64url of the verifier's SHA-256."
	default:
		return "It is neither 64 hex digits nor 43 base64url characters."
	}
}

func scopeHint(unknown string) string {
	if strings.ContainsAny(unknown, " +") {
		return "Scopes are separated by commas, not by spaces."
	}
	return "Unknown scope " + unknown + "."
}

// badRedirectURI says why a redirect URI is refused, or "".
func (s *Server) badRedirectURI(raw string) string {
	if raw == "" {
		return "The parameter is missing."
	}
	if len(s.opts.RedirectURIs) > 0 {
		for _, registered := range s.opts.RedirectURIs {
			if matchesRegistered(registered, raw) {
				return ""
			}
		}
		return "It is not registered. It must equal a registered URI byte by byte, up to the last " +
			"slash: " + strings.Join(s.opts.RedirectURIs, " or ") + "."
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil:
		return "It must be an absolute https URL; TikTok takes no custom schemes."
	case strings.ContainsAny(raw, "?#"):
		return "It must be static: no query and no fragment."
	case len(raw) >= maxRedirectURI:
		return "It must be shorter than 512 characters."
	}
	return ""
}

// matchesRegistered compares byte by byte; ":*" in a registered URI stands for any port (TikTok
// docs: Login Kit for Desktop).
func matchesRegistered(registered, raw string) bool {
	before, after, wildcard := strings.Cut(registered, ":*")
	if !wildcard {
		return registered == raw
	}
	port, ok := strings.CutPrefix(raw, before+":")
	if !ok {
		return false
	}
	port, ok = strings.CutSuffix(port, after)
	return ok && port != "" && strings.Trim(port, "0123456789") == ""
}

func covers(granted, requested []string) bool {
	return !slices.ContainsFunc(requested, func(name string) bool {
		return !slices.Contains(granted, name)
	})
}

// errorPage imitates the page on which TikTok names the parameter at fault. There is no redirect:
// a request that is not trusted must not send a browser anywhere (RFC 6749 section 4.1.2.1).
func (s *Server) errorPage(bad badRequest) answer {
	return page(http.StatusBadRequest, "error.html", struct {
		badRequest
		LogID string
	}{bad, s.logID()})
}

// sendBack ends an authorization well. url.Values encodes as a form does: "*" and "!" of the code
// arrive as %2A and %21.
func (s *Server) sendBack(req authRequest, g grant) answer {
	challenge := req.challenge
	if s.opts.PKCE == pkceOff {
		challenge = ""
	}
	return redirectTo(req.redirectURI + "?" + url.Values{
		"code":   {s.issueCode(g, req.redirectURI, challenge)},
		"scopes": {strings.Join(g.scopes, ",")},
		"state":  {req.state},
	}.Encode())
}

// sendError ends an authorization without a code.
func sendError(req authRequest, code, description string) answer {
	return redirectTo(req.redirectURI + "?" + url.Values{
		"error":             {code},
		"error_description": {description},
		"state":             {req.state},
	}.Encode())
}
