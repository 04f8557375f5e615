package provider

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// person is who signed in, in the claims of OpenID Connect (Core, section 5.1) and, beside them, in those that
// Supabase reads from its providers. There is no e-mail: TikTok has none, and a made-up one would be taken for
// theirs.
type person struct {
	// Subject is the exact open_id. It differs from app to app of TikTok.
	Subject string `json:"sub"`
	Name    string `json:"name,omitempty"`
	Picture string `json:"picture,omitempty"`
	// FullName and AvatarURL are Name and Picture for Supabase (GoTrue internal/api/provider/provider.go, Claims).
	FullName  string `json:"full_name,omitempty"`
	AvatarURL string `json:"avatar_url,omitempty"`
	// UnionID is the same over all apps of one TikTok developer.
	UnionID string `json:"union_id,omitempty"`
}

func newPerson(id signin.Identity, p signin.Profile) person {
	return person{
		Subject: id.OpenID, Name: p.DisplayName, Picture: p.AvatarURL,
		FullName: p.DisplayName, AvatarURL: p.AvatarURL, UnionID: p.UnionID,
	}
}

// claimNames is claims_supported of discovery.
var claimNames = []string{
	"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash",
	"name", "picture", "full_name", "avatar_url", "union_id",
}

// idToken is an id_token's claims (Core, section 2).
type idToken struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	// AuthTime is when the person came back from TikTok. TikTok may not have asked for a password.
	AuthTime int64  `json:"auth_time"`
	Nonce    string `json:"nonce,omitempty"`
	ATHash   string `json:"at_hash,omitempty"`
	person
}

// The rest implements jwt.Claims, which golang-jwt only asks when it verifies.

// GetExpirationTime implements jwt.Claims.
func (t idToken) GetExpirationTime() (*jwt.NumericDate, error) { return numericDate(t.Expires), nil }

// GetIssuedAt implements jwt.Claims.
func (t idToken) GetIssuedAt() (*jwt.NumericDate, error) { return numericDate(t.IssuedAt), nil }

// GetNotBefore implements jwt.Claims.
func (idToken) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil } //nolint:nilnil // it has none

// GetIssuer implements jwt.Claims.
func (t idToken) GetIssuer() (string, error) { return t.Issuer, nil }

// GetSubject implements jwt.Claims.
func (t idToken) GetSubject() (string, error) { return t.Subject, nil }

// GetAudience implements jwt.Claims.
func (t idToken) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings{t.Audience}, nil }

func numericDate(seconds int64) *jwt.NumericDate { return jwt.NewNumericDate(time.Unix(seconds, 0)) }

// signIDToken signs claims about a person, with what is the same for everybody.
func (p *Provider) signIDToken(client *Client, t idToken) (string, error) {
	now := p.opts.Now()
	t.Issuer, t.Audience = p.opts.Issuer, client.ID
	t.IssuedAt, t.Expires = now.Unix(), now.Add(TokenLifetime).Unix()
	return p.opts.Keys.sign(client.Alg, t)
}

// IDToken returns an id_token for a client, about a person who just signed in. The hosted and the guide flow mint
// with it by GoTrue's id_token grant.
func (p *Provider) IDToken(clientID string, id signin.Identity, profile signin.Profile) (string, error) {
	client := p.clients[clientID]
	if client == nil {
		return "", signin.NewError(signin.CauseClientUnknown)
	}
	return p.signIDToken(client, idToken{AuthTime: p.opts.Now().Unix(), person: newPerson(id, profile)})
}

// atHash ties the access token to the id_token: the left half of its hash (Core, section 3.1.3.6). Both algorithms
// use SHA-256.
func atHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64url(sum[:len(sum)/2])
}

// purposeAccess is the purpose of sealed access tokens.
const purposeAccess = "oidc-access"

// access is what an access token says: who signed in, for userinfo alone. TikTok's token is not in it.
type access struct {
	ClientID string `json:"c"`
	IssuedAt int64  `json:"t"`
	Person   person `json:"p"`
}

func (p *Provider) sealAccess(client *Client, who person) (string, error) {
	return p.seal(purposeAccess, access{ClientID: client.ID, IssuedAt: p.opts.Now().Unix(), Person: who})
}

// UserInfo returns the claims about the person an access token belongs to, for encoding/json (Core, section 5.3).
// authorization is the header; inForm are the access_token parameters of the body (RFC 6750, section 2). Errors are
// *[Error].
func (p *Provider) UserInfo(authorization string, inForm []string) (json.RawMessage, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case authorization == "" && len(inForm) == 0: // RFC 6750, section 3.1: no error code
		return nil, &Error{Status: http.StatusUnauthorized, Description: "An access token is missing."}
	case authorization != "" && len(inForm) > 0, len(inForm) > 1:
		return nil, refuse(codeInvalidRequest, "The access token is there more than once.")
	case authorization == "":
		token = inForm[0]
	case !strings.EqualFold(scheme, "Bearer"):
		return nil, refuse(codeInvalidToken, "The Authorization header must be Bearer with the access token.")
	}
	var a access
	if p.open(purposeAccess, strings.TrimSpace(token), &a) != nil || !p.isFresh(a.IssuedAt, TokenLifetime) ||
		p.clients[a.ClientID] == nil {
		return nil, refuse(codeInvalidToken, "The access token has expired, or is not one of this provider.")
	}
	body, err := json.Marshal(a.Person)
	if err != nil {
		return nil, internal(err)
	}
	return body, nil
}
