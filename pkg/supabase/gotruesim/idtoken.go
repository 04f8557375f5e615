package gotruesim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// builtIn are GoTrue's own providers, which are all off here.
var builtIn = []string{
	"apple", "azure", "bitbucket", "discord", "facebook", "figma", "fly", "github", "gitlab", "google", "kakao",
	"keycloak", "linkedin", "linkedin_oidc", "notion", "slack", "slack_oidc", "snapchat", "spotify", "twitch",
	"twitter", "vercel_marketplace", "workos", "x", "zoom",
}

// idTokenSlots are those of them that take an id_token. What they answer is left out.
var idTokenSlots = []string{
	"apple", "azure", "facebook", "google", "kakao", "keycloak", "snapchat", "vercel_marketplace",
}

// idTokenParams is the body of the id_token grant (token_oidc.go).
type idTokenParams struct {
	IDToken     string `json:"id_token"`
	AccessToken string `json:"access_token"`
	Nonce       string `json:"nonce"`
	Provider    string `json:"provider"`
	ClientID    string `json:"client_id"`
	Issuer      string `json:"issuer"`
	Link        bool   `json:"link_identity"`
}

// idTokenGrant signs in by an id_token of a custom provider, or with link_identity adds its identity to the
// caller's account, whether manual linking is on or not. The same token works again until it expires.
func (s *Server) idTokenGrant(w http.ResponseWriter, r *http.Request) error {
	var p idTokenParams
	if err := readJSON(r, &p, "IdTokenGrantParams"); err != nil {
		return err
	}
	switch {
	case p.IDToken == "":
		return &oauthError{"invalid request", "id_token required"}
	case p.Provider == "" && (p.ClientID == "" || p.Issuer == ""):
		return &oauthError{"invalid request", "provider or client_id and issuer required"}
	}
	var target *user
	if p.Link {
		if r.Header.Get("Authorization") == "" {
			return &oauthError{"invalid request", "Linking requires a valid user access token in Authorization"}
		}
		authenticated, err := s.requireUser(r)
		if err != nil {
			return err
		}
		target = callerOf(authenticated).user
	}
	ctx, cancel := s.deadline(r)
	defer cancel()
	x, err := s.readIDToken(ctx, r, &p)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return timedOut()
	}
	if err != nil {
		return err
	}
	d, err := s.decide(r, x, target)
	if err != nil {
		return err
	}
	if err := s.beforeWrite(r, s.opts.WriteDelay); err != nil {
		return err
	}
	var session *tokenResponse
	err = s.db.tx(func(tx *tx) error {
		u, err := s.settle(tx, r, x, d, true)
		if err != nil {
			return err
		}
		session, err = s.issue(tx, w.Header(), u, "oauth")
		return err
	})
	if refused, ok := errors.AsType[*issueError](err); ok {
		return refused.cause
	}
	if err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, session)
	return nil
}

// readIDToken finds the provider and checks the token: first what go-oidc checks, then sub, audience and nonce.
// The provider's attribute_mapping and custom_claims_allowlist do not count here.
func (s *Server) readIDToken(ctx context.Context, r *http.Request, p *idTokenParams) (*external, error) {
	row, err := s.idTokenProvider(r, p)
	if err != nil {
		return nil, err
	}
	iss, err := s.issuer(row.Issuer, func() (*discovery, error) { return s.bareDiscovery(ctx, row.Issuer) })
	if err != nil {
		return nil, err
	}
	t, err := s.verifyIDToken(ctx, iss, p.IDToken)
	if err != nil || (p.AccessToken != "" && t.AccessHash != "" && !t.fits(p.AccessToken)) {
		return nil, &oauthError{"invalid request", "Bad ID token"}
	}
	switch {
	case t.Subject == "":
		return nil, &oauthError{"invalid request", "Missing sub claim in id_token"}
	case !row.accepts(t.Audience):
		return nil, &oauthError{
			"invalid request", fmt.Sprintf("Unacceptable audience in id_token: %v", []string(t.Audience)),
		}
	}
	if !row.SkipNonce {
		if err := t.checkNonce(p.Nonce); err != nil {
			return nil, err
		}
	}
	x := newExternal(t.claims, t.claims.Email, t.claims.EmailVerified)
	x.provider, x.noEmail = p.Provider, row.NoEmail
	return x, nil
}

func (t *idToken) checkNonce(nonce string) error {
	switch {
	case (t.Nonce == "") != (nonce == ""):
		return &oauthError{
			"invalid request", "Passed nonce and nonce in id_token should either both exist or not.",
		}
	case nonce != "" && fmt.Sprintf("%x", sha256.Sum256([]byte(nonce))) != t.Nonce:
		return &oauthError{"invalid nonce", "Nonces mismatch"}
	}
	return nil
}

func (s *Server) idTokenProvider(r *http.Request, p *idTokenParams) (*customProvider, error) {
	switch {
	case slices.Contains(idTokenSlots, p.Provider):
		return nil, leftOut(nil, r)
	case !strings.HasPrefix(p.Provider, customPrefix):
		return nil, invalid("Custom OIDC provider %q not allowed", p.Provider)
	}
	row := s.customProvider(p.Provider)
	if row == nil {
		return nil, invalid("Custom provider %q not found", p.Provider)
	}
	if !row.Enabled {
		return nil, fail(http.StatusBadRequest, codeProviderDisabled, "Custom provider %q is disabled", p.Provider)
	}
	return row, nil
}
