package server

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// exchangeBody is what the pages of Despia's guide POST. Fields that other pages add are ignored.
type exchangeBody struct {
	Code         string `json:"code"`
	RedirectURI  string `json:"redirect_uri"`
	State        string `json:"state"`
	CodeVerifier string `json:"code_verifier"`
}

// exchange is the guide flow: a code in, a session out.
func (s *Server) exchange(c echo.Context) error {
	if !s.opts.GuideFlow {
		return signin.NewError(signin.CauseGuideFlowOff)
	}
	var body exchangeBody
	if err := decode(c.Request().Body, &body, "code and redirect_uri"); err != nil {
		return err
	}
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	session, err := s.opts.Service.Exchange(c.Request().Context(), signin.ExchangeRequest{
		Code:         body.Code,
		RedirectURI:  body.RedirectURI,
		State:        body.State,
		CodeVerifier: body.CodeVerifier,
		ClientIP:     clientIP(c),
	})
	if err != nil {
		return s.refusedReturn(err, "redirect_uri", body.RedirectURI)
	}
	return c.JSON(http.StatusOK, session.Reveal())
}
