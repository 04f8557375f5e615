package tiktoksim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

const (
	sessionCookie = "tiktok_sim_session"
	otherAccount  = "other" // the value of the consent form's "Use another account"
	maxTyped      = 256
)

// passedOn are the authorize parameters that the consent form carries along.
var passedOn = []string{
	"client_key", "response_type", "scope", "redirect_uri", "state", "disable_auto_auth",
	"code_challenge", "code_challenge_method",
}

// draft is a consent form as far as it is filled in.
type draft struct {
	person              Person
	displayName, openID string
	refused             []string
	problem             string
}

type consentView struct {
	App      string
	Client   string
	Redirect string
	Problem  string
	Hidden   []hiddenField
	Accounts []accountView
	Other    otherView
	Scopes   []scopeView
}

type hiddenField struct{ Name, Value string }

type accountView struct {
	Person
	AvatarURL string
	Checked   bool
}

type otherView struct {
	DisplayName, OpenID string
	Checked             bool
}

type scopeView struct {
	scope
	Required bool
	Checked  bool
}

func (s *Server) consentPage(r *http.Request, req authRequest, status int, d draft) answer {
	v := consentView{
		App: hostOf(req.redirectURI), Client: s.opts.ClientKey, Redirect: req.redirectURI,
		Problem: d.problem,
	}
	for _, name := range passedOn {
		if req.params.Has(name) {
			v.Hidden = append(v.Hidden, hiddenField{name, req.params.Get(name)})
		}
	}
	chosen, known := personByOpenID(d.person.OpenID)
	for _, p := range people {
		checked := known && p.OpenID == chosen.OpenID
		v.Accounts = append(v.Accounts, accountView{p, s.avatarURL(r, p), checked})
	}
	v.Other = otherView{d.displayName, d.openID, !known}
	if !known && d.person.OpenID != "" {
		v.Other.DisplayName, v.Other.OpenID = d.person.DisplayName, d.person.OpenID
	}
	for _, name := range req.scopes {
		sc, _ := findScope(name)
		v.Scopes = append(v.Scopes, scopeView{
			sc, name == basicScope, !slices.Contains(d.refused, name),
		})
	}
	return page(status, "consent.html", v)
}

// consent is GET /sim/consent, where the consent form leads. It is a GET, as TikTok's own page
// leaves by a plain navigation: the callback then sees what it sees in production, without an
// Origin header.
func (s *Server) consent(r *http.Request, _ []byte) answer {
	req, bad := s.parseAuthRequest(r.URL.RawQuery)
	if bad != nil {
		return s.errorPage(*bad)
	}
	q := req.params
	if q.Get("decision") != "continue" {
		return sendError(req, "access_denied", textCancelled)
	}
	granted := narrow(req.scopes, q["grant"])
	p, problem := chosenPerson(q)
	if problem != "" {
		return s.consentPage(r, req, http.StatusBadRequest, draft{
			displayName: q.Get("display_name"), openID: q.Get("open_id"), problem: problem,
			refused: slices.DeleteFunc(slices.Clone(req.scopes), func(name string) bool {
				return slices.Contains(granted, name)
			}),
		})
	}
	return s.consented(r, req, grant{p, granted})
}

// consented sends a person back who has agreed, and remembers both.
func (s *Server) consented(r *http.Request, req authRequest, g grant) answer {
	a := s.sendBack(req, g)
	a.header.Add("Set-Cookie", s.cookie(r, s.startSession(g), 0).String())
	return a
}

// chosenPerson reads the account part of the consent form.
func chosenPerson(q url.Values) (p Person, problem string) {
	if q.Get("account") != otherAccount {
		p, ok := personBySlug(q.Get("account"))
		if !ok {
			return Person{}, "Choose an account."
		}
		return p, ""
	}
	openID, name := strings.TrimSpace(q.Get("open_id")), q.Get("display_name")
	switch {
	case openID == "" && name == "":
		return Person{}, "Type a display name, an open_id or both."
	case len(openID) > maxTyped || len(name) > maxTyped*4:
		return Person{}, "That is too long."
	case strings.ContainsFunc(openID, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return Person{}, "An open_id has printable characters only."
	}
	return guest(openID, name), ""
}

// logout is GET /sim/logout. It ends the browser's session, which makes the consent page appear
// again.
func (s *Server) logout(r *http.Request, _ []byte) answer {
	s.endSession(sessionID(r))
	a := newAnswer(http.StatusOK, textType, []byte("Signed out of the TikTok simulator.\n"))
	a.header.Add("Set-Cookie", s.cookie(r, "", -1).String())
	return a
}

func (s *Server) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	//nolint:gosec // not Secure over plain http, where a simulator usually runs
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
	}
}

func sessionID(r *http.Request) string {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Host
}
