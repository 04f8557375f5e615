package tiktoksim

import (
	"crypto/subtle"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Texts of the OAuth endpoints, as TikTok docs and implementers record them.
const (
	textMalformed   = "The request parameters are malformed."
	textContentType = "Only application/x-www-form-urlencoded is accepted as Content-Type."
	textClient      = "Client key or secret is incorrect."
	textGrantType   = "The grant type is not supported."
	textCode        = "Authorization code is expired."
	textRedirect    = "Redirect_uri is not matched with the uri when requesting code."
	textPKCE        = "Code verifier or code challenge is invalid."
	textRefresh     = "Refresh token is invalid or expired."
	textAccess      = "Access token is invalid or expired."
	textCancelled   = "User cancelled the authorization"
	textServer      = "Something went wrong on the server. Please try again later."
	textRate        = "Rate limit is exceeded. Please try again later."
)

const formType = "application/x-www-form-urlencoded"

// userTokens is the answer to a user grant (TikTok docs: User Access Token Management).
type userTokens struct {
	AccessToken      string `json:"access_token"`
	ExpiresIn        int64  `json:"expires_in"`
	OpenID           string `json:"open_id"`
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
	RefreshToken     string `json:"refresh_token"`
	Scope            string `json:"scope"`
	TokenType        string `json:"token_type"`
}

// clientToken is the answer to client_credentials (TikTok docs: Client Access Token Management).
type clientToken struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	TokenType   string `json:"token_type"`
}

// token is POST /v2/oauth/token/.
func (s *Server) token(r *http.Request, body []byte) answer {
	form, problem := s.oauthForm(r, body)
	if problem != nil {
		return *problem
	}
	switch form.Get("grant_type") {
	case "authorization_code":
		return s.grantCode(form)
	case "refresh_token":
		return s.grantRefresh(form)
	case "client_credentials":
		return s.grantClient(form)
	case "":
		return s.oauthError("invalid_request", textMalformed)
	}
	return s.oauthError("unsupported_grant_type", textGrantType)
}

func (s *Server) grantCode(form url.Values) answer {
	if form.Get("code") == "" || form.Get("redirect_uri") == "" {
		return s.oauthError("invalid_request", textMalformed)
	}
	c, ok := s.spendCode(form.Get("code"))
	switch {
	case !ok:
		return s.oauthError("invalid_grant", textCode)
	case form.Get("redirect_uri") != c.redirectURI:
		return s.oauthError("invalid_request", textRedirect)
	case !verifies(s.opts.PKCE, c.challenge, form.Get("code_verifier")):
		return s.oauthError("invalid_request", textPKCE)
	}
	return s.tokensFor(c.grant)
}

func (s *Server) grantRefresh(form url.Values) answer {
	if form.Get("refresh_token") == "" {
		return s.oauthError("invalid_request", textMalformed)
	}
	g, ok := s.spendRefresh(form.Get("refresh_token"))
	if !ok {
		return s.oauthError("invalid_grant", textRefresh)
	}
	return s.tokensFor(g)
}

func (s *Server) grantClient(url.Values) answer {
	return jsonAnswer(http.StatusOK, clientToken{
		AccessToken: "clt." + randomText(48) + "!5196.va",
		ExpiresIn:   int64(clientTokenTTL.Seconds()),
		TokenType:   "Bearer",
	})
}

func (s *Server) tokensFor(g grant) answer {
	p := s.issueTokens(g)
	return jsonAnswer(http.StatusOK, userTokens{
		AccessToken:      p.access,
		ExpiresIn:        int64(s.opts.AccessTokenTTL.Seconds()),
		OpenID:           g.person.OpenID,
		RefreshExpiresIn: int64(s.opts.RefreshTokenTTL.Seconds()),
		RefreshToken:     p.refresh,
		Scope:            strings.Join(g.scopes, ","),
		TokenType:        "Bearer",
	})
}

// revoke is POST /v2/oauth/revoke/. Success is an empty body (TikTok docs: User Access Token Management), and
// the webhook hears of it with reason 5 (TikTok docs: Webhook Events).
func (s *Server) revoke(r *http.Request, body []byte) answer {
	form, problem := s.oauthForm(r, body)
	if problem != nil {
		return *problem
	}
	if form.Get("token") == "" {
		return s.oauthError("invalid_request", textMalformed)
	}
	g, ok := s.accessGrant(form.Get("token"))
	if !ok {
		return s.oauthError("invalid_grant", textAccess)
	}
	s.revokePerson(g.person.OpenID)
	a := newAnswer(http.StatusOK, "", nil)
	if s.webhookURL() != "" {
		a.event = s.newEvent(authorizationRemoved, g.person.OpenID, reasonContent(reasonRevoked), 0)
	}
	return a
}

// oauthForm parses and authenticates a request of the OAuth endpoints. Credentials count only in
// the body: TikTok documents neither Basic authentication nor query parameters.
func (s *Server) oauthForm(r *http.Request, body []byte) (url.Values, *answer) {
	refuse := func(code, text string) (url.Values, *answer) {
		a := s.oauthError(code, text)
		return nil, &a
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != formType {
		return refuse("invalid_request", textContentType)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || repeated(form) != "" {
		return refuse("invalid_request", textMalformed)
	}
	if form.Get("client_key") == "" || form.Get("client_secret") == "" {
		return refuse("invalid_request", textMalformed)
	}
	if !same(form.Get("client_key"), s.opts.ClientKey) ||
		!same(form.Get("client_secret"), s.opts.ClientSecret) {
		return refuse("invalid_client", textClient)
	}
	return form, nil
}

// repeated names a parameter sent more than once, which RFC 6749 section 3.2 forbids.
func repeated(v url.Values) string {
	for name, values := range v {
		if len(values) > 1 {
			return name
		}
	}
	return ""
}

func same(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
