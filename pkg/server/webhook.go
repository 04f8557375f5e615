package server

import (
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

const pathWebhook = "/api/auth/tiktok/webhook"

// Events reads TikTok's webhooks. pkg/tiktok has what it takes.
type Events interface {
	// ReadEvent checks the signature over the body as it arrived and returns the event.
	ReadEvent(h http.Header, body []byte) (signin.Event, error)
}

// webhook takes an event from TikTok. Anything but 200 makes TikTok deliver it again.
func (s *Server) webhook(c echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	event, err := s.opts.Events.ReadEvent(c.Request().Header, body)
	if err != nil {
		return err
	}
	if err := s.opts.Service.TakeEvent(c.Request().Context(), event); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}
