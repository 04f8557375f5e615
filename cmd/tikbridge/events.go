package main

import (
	"net/http"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
)

// tiktokEvents reads webhooks with the secrets of the TikTok app.
type tiktokEvents struct {
	clientKey string
	secrets   []signin.Secret // the present one, and the one before it while that is being replaced
}

// ReadEvent implements server.Events.
func (t tiktokEvents) ReadEvent(h http.Header, body []byte) (signin.Event, error) {
	e, err := tiktok.ParseWebhook(h.Get(tiktok.WebhookHeader), body, t.clientKey, t.secrets, time.Now())
	if err != nil {
		return signin.Event{}, err
	}
	return signin.Event{
		Key: e.Key(), KeyTTL: tiktok.EventTTL, Name: e.Name, OpenID: e.OpenID, At: e.CreateTime, Content: e.Content,
		// By the last reason TikTok repeats what the app itself asked for, while the person stays signed in.
		Removed: e.Name == tiktok.EventAuthorizationRemoved && e.Reason != tiktok.ReasonRevoked,
		Reason:  e.Reason.String(),
	}, nil
}
