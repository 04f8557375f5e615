package supabase

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Warning is a setting of the project that makes squatting possible or easy.
type Warning struct {
	// Setting is GoTrue's name of it.
	Setting string
	// Text says what it means and where to change it.
	Text string
}

// CheckSettings reads the project's public settings and warns of those that let anybody sign up with
// a person's address before the person does.
func (c *Client) CheckSettings(ctx context.Context) ([]Warning, error) {
	k := c.call(ctx, netip.Addr{})
	k.key = c.opts.PublishableKey
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
			"that belongs to a TikTok user. Such accounts are never trusted (see supabase.adopt). If nobody signs up " +
			"by e-mail, switch off \"Allow new users to sign up\" or the e-mail provider in Authentication > Sign In / " +
			"Providers; the bridge does not need them. If people do, install supabase/before_user_created.sql."})
	}
	if settings.MailerAutoconfirm {
		warnings = append(warnings, Warning{"mailer_autoconfirm", "E-mail addresses are taken as confirmed without a " +
			"mail, so users can change theirs to that of a TikTok user. Switch on \"Confirm email\" in Authentication > " +
			"Sign In / Providers > Email. Where it must stay off and users may link other providers, set supabase.adopt to evict."})
	}
	return warnings, nil
}
