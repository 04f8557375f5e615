package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

var installOIDCClients = shared(func() (string, error) { return npmInstallInto("oidc-clients", "oidc-clients") })

// TestProvider_npm signs people in through OpenID clients of the JavaScript world.
func TestProvider_npm(t *testing.T) {
	t.Parallel()
	needTools(t, "node", "npm")
	dir := installOIDCClients(t)
	s := startProvider(t, 1, "")
	input, err := json.Marshal(map[string]any{
		"issuer": s.issuer, "browser": startBrowser(t), "secret": clientSecret,
		"openID": tiktoksim.OpenIDMira, "name": "Mira Sommer",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"openid-client", "auth-core", "better-auth"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			script := filepath.Join(dir, client+".mjs") // Node.js looks for packages beside it
			if err := os.WriteFile(script, readFile(t, "oidc-clients/"+client+".mjs"), 0o600); err != nil {
				t.Fatal(err)
			}
			node := exec.CommandContext(t.Context(), "node", script)
			node.Stdin = bytes.NewReader(input)
			var complaints bytes.Buffer
			node.Stderr = &complaints
			out, err := node.Output()
			if err != nil || string(out) != "ok\n" {
				t.Errorf("node %s.mjs: %v, %q; want ok\n%s\nlog:\n%s", client, err, out, &complaints, s.replicas[0].log)
			}
		})
	}
}

// TestProvider_goOIDC signs people in with go-oidc and golang.org/x/oauth2, which GoTrue and oauth2-proxy use.
// Without an AuthStyle x/oauth2 tries Basic first and, if that fails, sends the same code again with the secret in
// the form. So it does with a public client, whose Basic header cannot be right.
func TestProvider_goOIDC(t *testing.T) {
	s := startProvider(t, 1, "")
	for _, id := range []string{"RS256", "ES256", "public-RS256", "public-ES256"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			rp, err := s.discover(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			in, err := rp.signIn(t.Context(), newPerson())
			if err != nil {
				t.Fatal(err)
			}
			alg := headerOf(t, in.raw).Alg
			if wantAlg := id[len(id)-5:]; alg != wantAlg {
				t.Errorf("the id_token is signed with %s; want %s", alg, wantAlg)
			}
			if in.claims.Name != "Mira Sommer" || in.claims.Picture == "" || in.claims.Email != "" {
				t.Errorf("the id_token has name %q, picture %q and e-mail %q; want the first two",
					in.claims.Name, in.claims.Picture, in.claims.Email)
			}
			wantRefused(t, in.again(t.Context(), rp.config))
		})
	}
	t.Run("a wrong secret spends nothing", func(t *testing.T) {
		t.Parallel()
		rp, err := s.discover(t.Context(), "RS256")
		if err != nil {
			t.Fatal(err)
		}
		back, verifier, err := rp.begin(t.Context(), newPerson())
		if err != nil {
			t.Fatal(err)
		}
		wrong := *rp.config
		wrong.ClientSecret = "not the secret of this client, only as long"
		var refused *oauth2.RetrieveError
		if _, err := wrong.Exchange(t.Context(), back, oauth2.VerifierOption(verifier)); !errors.As(err, &refused) ||
			refused.ErrorCode != "invalid_client" || refused.Response.StatusCode != http.StatusUnauthorized {
			t.Errorf("with a wrong secret: %v; want invalid_client", err)
		}
		if _, err := rp.finish(t.Context(), back, verifier); err != nil {
			t.Errorf("after that, with the right one: %v", err)
		}
	})
}

// goClient is a client made of go-oidc and golang.org/x/oauth2.
type goClient struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	config   *oauth2.Config
}

// discover sets a client up as its users do, from the issuer alone.
func (s *providerStack) discover(ctx context.Context, id string) (*goClient, error) {
	provider, err := oidc.NewProvider(ctx, s.issuer)
	if err != nil {
		return nil, err
	}
	rp := &goClient{
		provider: provider, verifier: provider.Verifier(&oidc.Config{ClientID: id}), config: s.clientOf(id),
	}
	rp.config.Endpoint = provider.Endpoint() // whose AuthStyle is to be found out
	return rp, nil
}

// goSignIn is a sign-in that a goClient has verified.
type goSignIn struct {
	raw            string // the id_token
	code, verifier string
	claims         struct {
		Name, Picture, Email string
	}
}

// signIn goes through the whole flow and checks all that a client can check.
func (c *goClient) signIn(ctx context.Context, p *person) (goSignIn, error) {
	code, verifier, err := c.begin(ctx, p)
	if err != nil {
		return goSignIn{}, err
	}
	return c.finish(ctx, code, verifier)
}

// What a goClient wants to get back. A real one makes them up for each sign-in.
const (
	goState = "the client's state, with signs: +/=&"
	goNonce = "the client's nonce"
)

// begin sends the person to TikTok, and returns the code with which they come back.
func (c *goClient) begin(ctx context.Context, p *person) (code, verifier string, err error) {
	verifier = oauth2.GenerateVerifier()
	address := c.config.AuthCodeURL(goState, oauth2.S256ChallengeOption(verifier), oidc.Nonce(goNonce))
	back, err := p.visit(ctx, address, "continue")
	if err != nil {
		return "", "", err
	}
	if q := back.Query(); q.Get("state") != goState || q.Get("code") == "" {
		return "", "", fmt.Errorf("the browser comes back with error %q, state %q", q.Get("error"), q.Get("state"))
	}
	return back.Query().Get("code"), verifier, nil
}

// finish sends the code, and verifies what comes for it.
func (c *goClient) finish(ctx context.Context, code, verifier string) (goSignIn, error) {
	in := goSignIn{code: code, verifier: verifier}
	token, err := c.config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return in, fmt.Errorf("token: %w", err)
	}
	in.raw, _ = token.Extra("id_token").(string)
	verified, err := c.verifier.Verify(ctx, in.raw)
	if err != nil {
		return in, fmt.Errorf("id_token: %w", err)
	}
	if err := verified.VerifyAccessToken(token.AccessToken); err != nil {
		return in, fmt.Errorf("access token: %w", err)
	}
	if verified.Nonce != goNonce || verified.Subject != tiktoksim.OpenIDMira {
		return in, fmt.Errorf("the id_token has the nonce %q and is about %q", verified.Nonce, verified.Subject)
	}
	if err := verified.Claims(&in.claims); err != nil {
		return in, err
	}
	info, err := c.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return in, fmt.Errorf("userinfo: %w", err)
	}
	if info.Subject != verified.Subject {
		return in, fmt.Errorf("userinfo is about %q", info.Subject)
	}
	return in, nil
}

// again sends the code of a sign-in once more.
func (in goSignIn) again(ctx context.Context, config *oauth2.Config) error {
	_, err := config.Exchange(ctx, in.code, oauth2.VerifierOption(in.verifier))
	return err
}

// wantRefused wants err to be that of a used code.
func wantRefused(t *testing.T, err error) {
	t.Helper()
	if refused := (*oauth2.RetrieveError)(nil); !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
		t.Errorf("a code that was used: %v; want invalid_grant", err)
	}
}

// header is what a JWT says of its signature.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
}

func headerOf(t *testing.T, token string) header {
	t.Helper()
	encoded, _, _ := strings.Cut(token, ".")
	content, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var h header
	if err := json.Unmarshal(content, &h); err != nil {
		t.Fatal(err)
	}
	return h
}
