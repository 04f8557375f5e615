package server

import (
	"math"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// The routes for TikTok's tokens after the sign-in.
const (
	pathToken  = "/api/auth/tiktok/token" //nolint:gosec // a path
	pathRevoke = "/api/auth/tiktok/revoke"
)

// tokens returns fresh tokens of TikTok.
func (s *Server) tokens(c echo.Context) error {
	r, err := tokensRequest(c)
	if err != nil {
		return err
	}
	fresh, err := s.opts.Service.Refresh(c.Request().Context(), r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		Token        string   `json:"provider_token"`
		RefreshToken string   `json:"provider_refresh_token"`
		ExpiresIn    int64    `json:"provider_expires_in"` // seconds
		Scopes       []string `json:"provider_scopes"`
	}{fresh.AccessToken, fresh.RefreshToken, int64(math.Floor(fresh.ExpiresIn.Seconds())), fresh.Scopes})
}

// revoke ends a person's grant at TikTok.
func (s *Server) revoke(c echo.Context) error {
	r, err := tokensRequest(c)
	if err != nil {
		return err
	}
	if err := s.opts.Service.Revoke(c.Request().Context(), r); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// tokensRequest reads a request for the person's tokens, with the access token of their session in its header.
func tokensRequest(c echo.Context) (signin.TokensRequest, error) {
	var body struct {
		RefreshToken string `json:"provider_refresh_token"`
	}
	if err := decode(c.Request().Body, &body, "provider_refresh_token"); err != nil {
		return signin.TokensRequest{}, err
	}
	scheme, token, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	return signin.TokensRequest{RefreshToken: body.RefreshToken, AccessToken: strings.TrimSpace(token)}, nil
}
