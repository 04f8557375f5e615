package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// purposeCode is the purpose of sealed codes.
const purposeCode = "oidc-code"

// grant is what a code stands for.
type grant struct {
	signin.Redacted
	grantData
}

type grantData struct {
	ID       string   `json:"i"`
	Request  request  `json:"q"`
	OpenID   string   `json:"u"`
	Scopes   []string `json:"g,omitempty"` // that the person granted at TikTok
	Token    string   `json:"a,omitempty"` // TikTok's, for the profile
	Refresh  string   `json:"f,omitempty"` // TikTok's, only for clients with TikTokTokens
	Expires  int64    `json:"e,omitempty"` // when TikTok's access token does, only for clients with TikTokTokens
	IssuedAt int64    `json:"t"`           // also when the person came back from TikTok
}

// sealGrant makes a code.
func (p *Provider) sealGrant(client *Client, r request, id signin.Identity) (string, error) {
	r.State = "" // it went to the client
	g := grantData{
		ID: rand.Text(), Request: r, OpenID: id.OpenID, Scopes: id.Scopes, Token: id.AccessToken,
		IssuedAt: p.opts.Now().Unix(),
	}
	if client.TikTokTokens {
		g.Refresh, g.Expires = id.RefreshToken, p.opts.Now().Add(id.ExpiresIn).Unix()
	}
	return p.seal(purposeCode, g)
}

// TokenRequest is a request to the token endpoint (RFC 6749, section 4.1.3).
type TokenRequest struct {
	signin.Redacted
	// Form is the body. Parameters in the address do not count (RFC 6749, section 2.3.1).
	Form url.Values
	// Authorization is the header, "" if there is none.
	Authorization string
}

// TokenResponse is what a client gets for a code (Core, section 3.1.3.3).
type TokenResponse struct {
	signin.Redacted
	AccessToken  string
	RefreshToken string // TikTok's, sealed; only for clients with TikTokTokens
	IDToken      string
	Scope        string
	ExpiresIn    int64 // seconds; 0 if TikTok did not say how long its token is good
}

// Reveal returns the response for encoding/json.
func (r TokenResponse) Reveal() any {
	return struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int64  `json:"expires_in,omitempty"`
		RefreshToken string `json:"refresh_token,omitempty"`
		Scope        string `json:"scope"`
		IDToken      string `json:"id_token"`
	}{r.AccessToken, "Bearer", r.ExpiresIn, r.RefreshToken, r.Scope, r.IDToken}
}

// Token exchanges a code for an id_token (Core, section 3.1.3). It claims the code last, so that a wrong attempt
// spends nothing: GoTrue sends every code a second time when the first attempt fails. Errors are *[Error].
func (p *Provider) Token(ctx context.Context, r TokenRequest) (TokenResponse, error) {
	client, err := p.authenticate(r)
	if err != nil {
		return TokenResponse{}, err
	}
	g, err := p.checkGrant(client, r.Form)
	if err != nil {
		return TokenResponse{}, err
	}
	claimed, claimErr := p.opts.Once.Claim(ctx, "code:"+g.ID, CodeLifetime+clockSkew)
	switch {
	case claimErr != nil:
		return TokenResponse{}, &Error{
			Code: codeServerError, Description: "The code could not be checked. Please sign in again.",
			Status: http.StatusInternalServerError, Err: claimErr,
		}
	case !claimed:
		return TokenResponse{}, refuse(codeInvalidGrant, "The code was already used.")
	}
	return p.issue(ctx, client, g)
}

// authenticate finds out which client asks: by Basic, by the form, or, if it is public, by its id alone (RFC 6749,
// section 2.3.1; Core, section 9).
func (p *Provider) authenticate(r TokenRequest) (*Client, error) {
	for name, values := range r.Form {
		if len(values) > 1 { // RFC 6749, section 3.2
			return nil, refuse(codeInvalidRequest, "A parameter is there more than once: "+printable(name)+".")
		}
	}
	id, secret := r.Form.Get("client_id"), r.Form.Get("client_secret")
	if r.Authorization != "" {
		basicID, basicSecret, ok := basic(r.Authorization)
		switch {
		case !ok:
			return nil, refuse(codeInvalidClient, "The Authorization header must be Basic, with id and secret of the client.")
		case secret != "" || id != "" && id != basicID:
			return nil, refuse(codeInvalidRequest, "The client authenticates in two ways. Use one.")
		}
		id, secret = basicID, basicSecret
	}
	client := p.clients[id]
	if client == nil {
		client = &Client{} // as much work as for a client that exists
	}
	if client.hasSecret(secret) || client.isPublic() && client.ID != "" && secret == "" && r.Authorization == "" {
		return client, nil
	}
	return nil, refuse(codeInvalidClient, "Nobody has this client_id and client_secret.")
}

// basic reads a Basic header, whose parts are form-encoded before they are joined (RFC 6749, section 2.3.1).
func basic(header string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	joined, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	rawID, rawSecret, colon := strings.Cut(string(joined), ":")
	id, idErr := url.QueryUnescape(rawID)
	secret, secretErr := url.QueryUnescape(rawSecret)
	return id, secret, colon && idErr == nil && secretErr == nil
}

// verifierPattern is the form of a verifier (RFC 7636, section 4.1).
var verifierPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// checkGrant checks all that a code was issued with.
func (p *Provider) checkGrant(client *Client, form url.Values) (grant, error) {
	var g grant
	switch form.Get("grant_type") {
	case "":
		return g, refuse(codeInvalidRequest, "The parameter grant_type is missing. It must be authorization_code.")
	case "authorization_code":
	default:
		return g, refuse("unsupported_grant_type", "The grant_type must be authorization_code.")
	}
	code, verifier := form.Get("code"), form.Get("code_verifier")
	if code == "" {
		return g, refuse(codeInvalidRequest, "The parameter code is missing.")
	}
	if p.open(purposeCode, code, &g.grantData) != nil {
		return grant{}, refuse(codeInvalidGrant, "The code is not one of this provider.")
	}
	challenge := g.Request.Challenge
	switch {
	case g.Request.ClientID != client.ID:
		return grant{}, refuse(codeInvalidGrant, "The code was issued to another client.")
	case !p.isFresh(g.IssuedAt, CodeLifetime):
		return grant{}, refuse(codeInvalidGrant, "The code has expired: it is good for a minute.")
	case form.Get("redirect_uri") != g.Request.RedirectURI: // RFC 6749, section 4.1.3
		return grant{}, refuse(codeInvalidGrant, "The redirect_uri is not the one of the authorization request.")
	case challenge == "" && verifier != "": // somebody took the challenge out (RFC 9700, section 4.8.2)
		return grant{}, refuse(codeInvalidGrant, "The authorization request had no code_challenge.")
	case challenge != "" && (!verifierPattern.MatchString(verifier) || !isHash(challenge, verifier)):
		return grant{}, refuse(codeInvalidGrant, "The code_verifier does not match the code_challenge.")
	}
	return g, nil
}

func isHash(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64url(sum[:])), []byte(challenge)) == 1
}

// issue makes the tokens.
func (p *Provider) issue(ctx context.Context, client *Client, g grant) (TokenResponse, error) {
	id := signin.Identity{OpenID: g.OpenID, Scopes: g.Scopes, AccessToken: g.Token, RefreshToken: g.Refresh}
	person := newPerson(id, p.readProfile(ctx, id))
	resp := TokenResponse{ExpiresIn: int64(TokenLifetime.Seconds()), Scope: g.Request.Scope}
	var err error
	if client.TikTokTokens {
		resp.AccessToken, resp.RefreshToken = g.Token, signin.SealRefreshToken(p.opts.Sealer, id)
		resp.ExpiresIn = max(0, g.Expires-p.opts.Now().Unix())
	} else if resp.AccessToken, err = p.sealAccess(client, person); err != nil {
		return TokenResponse{}, internal(err)
	}
	resp.IDToken, err = p.signIDToken(client, idToken{
		AuthTime: g.IssuedAt, Nonce: g.Request.Nonce, ATHash: atHash(resp.AccessToken), person: person,
	})
	if err != nil {
		return TokenResponse{}, internal(err)
	}
	signin.ReportFrom(ctx).SetOutcome(signin.OutcomeSignedIn)
	return resp, nil
}

// grantedScope returns the scopes of a request that mean something here (RFC 6749, section 3.3).
func grantedScope(asked string) string {
	var granted []string
	for _, scope := range words(asked) {
		if scope == "openid" || scope == "profile" {
			granted = append(granted, scope)
		}
	}
	return strings.Join(granted, " ")
}

func internal(err error) *Error {
	return &Error{
		Code: codeServerError, Description: "Something went wrong on our side. Please try again.",
		Status: http.StatusInternalServerError, Err: err,
	}
}
