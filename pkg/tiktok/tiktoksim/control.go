package tiktoksim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const textType = "text/plain; charset=utf-8"

// codeRequest is the body of POST /sim/codes. Pointers tell "absent" from "empty": a person without
// a display name is a case worth testing.
type codeRequest struct {
	OpenID              string  `json:"open_id"`
	DisplayName         *string `json:"display_name"`
	AvatarURL           *string `json:"avatar_url"`
	UnionID             *string `json:"union_id"`
	Scope               string  `json:"scope"`
	RedirectURI         string  `json:"redirect_uri"`
	CodeChallenge       string  `json:"code_challenge"`
	CodeChallengeMethod string  `json:"code_challenge_method"`
}

// createCode is POST /sim/codes: a code without a browser.
func (s *Server) createCode(_ *http.Request, body []byte) answer {
	in := codeRequest{Scope: basicScope, CodeChallengeMethod: "S256"}
	if err := decodeStrict(body, &in); err != nil {
		return s.refuse(err.Error())
	}
	if in.OpenID == "" {
		return s.refuse("open_id is missing.")
	}
	if hint := s.badRedirectURI(in.RedirectURI); hint != "" {
		return s.refuse("redirect_uri: " + hint)
	}
	bad := s.checkPKCE(url.Values{
		"code_challenge": {in.CodeChallenge}, "code_challenge_method": {in.CodeChallengeMethod},
	})
	if bad != nil {
		return s.refuse(bad.Field + ": " + bad.Hint)
	}
	names, unknown := parseScopes(in.Scope)
	if names == nil {
		return s.refuse("scope: " + scopeHint(unknown))
	}
	v := s.issueCode(grant{in.person(), names}, in.RedirectURI, in.CodeChallenge)
	return jsonAnswer(http.StatusOK, map[string]string{"code": v})
}

// person completes a request with what a built-in person has, or with plain defaults.
func (in codeRequest) person() Person {
	p, ok := personByOpenID(in.OpenID)
	if !ok {
		p = Person{OpenID: in.OpenID, DisplayName: "Test Person", Avatar: "guest.svg"}
	}
	if in.DisplayName != nil {
		p.DisplayName = *in.DisplayName
	}
	if in.AvatarURL != nil {
		p.Avatar = *in.AvatarURL
	}
	if in.UnionID != nil {
		p.UnionID = *in.UnionID
	}
	return p
}

// faultRequest is the body of POST /sim/faults.
type faultRequest struct {
	Endpoint endpoint `json:"endpoint"`
	Fault    string   `json:"fault"`
	Count    *int     `json:"count"`
}

// createFault is POST /sim/faults.
func (s *Server) createFault(_ *http.Request, body []byte) answer {
	var in faultRequest
	if err := decodeStrict(body, &in); err != nil {
		return s.refuse(err.Error())
	}
	count := 1
	if in.Count != nil {
		count = *in.Count
	}
	if err := s.plan(in.Endpoint, in.Fault, count); err != nil {
		return s.refuse(err.Error())
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"endpoint": in.Endpoint, "fault": in.Fault, "count": count,
	})
}

// reset is POST /sim/reset.
func (s *Server) reset(*http.Request, []byte) answer {
	s.Reset()
	return jsonAnswer(http.StatusOK, map[string]bool{"reset": true})
}

// stats is GET /sim/stats: the counters, for tests that run outside this process.
func (s *Server) stats(*http.Request, []byte) answer {
	return jsonAnswer(http.StatusOK, map[endpoint]int{
		endpointAuthorize: s.Authorizations(),
		endpointToken:     s.Exchanges(),
		endpointUserInfo:  s.UserInfos(),
		endpointVideoList: s.VideoLists(),
		endpointWebhook:   s.Webhooks(),
		endpointRevoke:    s.Revocations(),
		endpointElsewhere: s.Elsewhere(),
	})
}

// elsewhere is where the fault "redirect" leads. It answers with tokens, so that a client careless
// enough to follow also believes them, and a test can tell.
func (s *Server) elsewhere(*http.Request, []byte) answer {
	return jsonAnswer(http.StatusOK, userTokens{
		AccessToken: "act.elsewhere!5194.va", ExpiresIn: 7200, OpenID: "-000" + elsewhereID,
		RefreshToken: "rft.elsewhere!5195.va", RefreshExpiresIn: 7200,
		Scope: basicScope, TokenType: "Bearer",
	})
}

const elsewhereID = "eLsEwHeRe_0123456789-AbCdEfGhIjK"

// index is GET /sim/.
func (s *Server) index(*http.Request, []byte) answer {
	var b strings.Builder
	fmt.Fprintf(&b, indexText, s.opts.ClientKey)
	for _, e := range faulty {
		fmt.Fprintf(&b, "\n%s\n", e)
		for _, f := range faultsOf(e) {
			fmt.Fprintf(&b, "  %-26s %s\n", f.name, f.about)
		}
	}
	b.WriteString("\nBuilt-in people\n")
	for _, p := range people {
		fmt.Fprintf(&b, "  %-8s %s  %s\n", p.Slug, p.OpenID, p.About)
	}
	return newAnswer(http.StatusOK, textType, []byte(b.String()))
}

const indexText = `TikTok simulator - no real account

Client key: %s

TikTok's routes
  GET  /v2/auth/authorize/   consent page
  POST /v2/oauth/token/      authorization_code, refresh_token, client_credentials
  GET  /v2/user/info/        ?fields=open_id,display_name,...
  POST /v2/video/list/       ?fields=id,title,...  {"max_count"?, "cursor"?}
  POST /v2/oauth/revoke/

Routes for tests
  POST /sim/codes   {"open_id", "redirect_uri", "display_name"?, "avatar_url"?, "union_id"?,
                     "scope"?, "code_challenge"?, "code_challenge_method"?}  ->  {"code"}
  POST /sim/next    {"result", "open_id"?, "scopes"?}  with result "grant" or "deny": the next
                    authorize request is answered without a click
  POST /sim/faults  {"endpoint", "fault", "count"?}
                    count: requests to spoil, 1 if absent, -1 until reset; faults of one endpoint
                    queue up; the fault "none" empties the queue
  POST /sim/webhooks        {"url"}  where events go; "" for nowhere
  POST /sim/webhooks/send   {"event"?, "open_id", "reason"?, "content"?, "age_seconds"?}
                            an event, by default authorization.removed, which ends the grant
  POST /sim/webhooks/retry  repeats what got no 200, as TikTok does for 72 hours
  POST /sim/reset   forget codes, tokens, sessions, events, faults and counters
  GET  /sim/stats   requests seen, by endpoint
  GET  /sim/logout  end this browser's session, so that the consent page appears again

Faults, by endpoint
`

func (s *Server) refuse(description string) answer {
	return s.simError(http.StatusBadRequest, "invalid_request", description)
}

// decodeStrict reads one JSON object and nothing else. A misspelt field is an error: ignored, it
// would make a test pass for the wrong reason.
func decodeStrict(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("read JSON body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read JSON body: more than one value")
	}
	return nil
}
