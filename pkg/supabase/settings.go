package supabase

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/google/uuid"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Warning is a setting of the project that makes squatting possible or easy.
type Warning struct {
	// Setting is GoTrue's name of it.
	Setting string
	// Text says what it means.
	Text string
	// Fix says where to change it, and what else helps.
	Fix string
}

// CheckSettings reads the project's public settings and warns of those that let anybody sign up with
// a person's address before the person does.
func (c *Client) CheckSettings(ctx context.Context) ([]Warning, error) {
	k := c.call(ctx, "settings", netip.Addr{})
	k.headers = c.public
	var settings struct {
		DisableSignup     bool            `json:"disable_signup"`
		MailerAutoconfirm bool            `json:"mailer_autoconfirm"`
		External          map[string]bool `json:"external"`
	}
	if err := k.do(http.MethodGet, "/settings", nil, &settings); err != nil {
		return nil, failure(signin.StageFind, err)
	}
	var warnings []Warning
	if !settings.DisableSignup && settings.External["email"] {
		warnings = append(warnings, Warning{"disable_signup", "Anybody can sign up by e-mail, also with an address " +
			"that belongs to a TikTok user. Such accounts are never trusted (see supabase.adopt).", "If nobody signs up " +
			"by e-mail, switch off \"Allow new users to sign up\" or the e-mail provider in Authentication > Sign In / " +
			"Providers; the bridge does not need them. If people do, install supabase/before_user_created.sql."})
	}
	if settings.MailerAutoconfirm {
		warnings = append(warnings, Warning{"mailer_autoconfirm", "E-mail addresses are taken as confirmed without a " +
			"mail, so users can change theirs to that of a TikTok user.", "Switch on \"Confirm email\" in Authentication > " +
			"Sign In / Providers > Email. Where it must stay off and users may link other providers, set supabase.adopt to evict."})
	}
	return warnings, nil
}

// Version asks which version of GoTrue answers, such as "v2.196.0"; "" is one that does not say.
func (c *Client) Version(ctx context.Context) (string, error) {
	k := c.call(ctx, "health", netip.Addr{})
	k.headers = c.public
	var health struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if err := k.do(http.MethodGet, "/health", nil, &health); err != nil {
		return "", failure(signin.StageFind, err)
	}
	if health.Name != "GoTrue" { // GoTrue internal/api/api.go, HealthCheck
		return "", failure(signin.StageFind, errNoGoTrue)
	}
	return upstream.Version(health.Version), nil
}

// CheckSecretKey looks an account up that cannot exist. Nil says that the secret key may manage users.
func (c *Client) CheckSecretKey(ctx context.Context) error {
	_, err := c.user(ctx, uuid.Nil)
	if hasCode(err, "user_not_found") {
		return nil
	}
	return err
}
