package supabase

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Warning is something in the project that the operator should know.
type Warning struct {
	// Setting is GoTrue's name of a setting, or the bridge's.
	Setting string
	// Text says what it means.
	Text string
	// Fix says where to change it, and what else helps.
	Fix string
}

// CheckSettings reads the project's public settings and warns of those that let anybody sign up with
// a person's address before the person does. With Options.Provider no address matters, but Supabase makes the
// accounts, and may be told not to.
func (c *Client) CheckSettings(ctx context.Context) ([]Warning, error) {
	var settings types.SettingsResponse
	_, err := c.api(ctx, c.publicCall(callSettings), &settings).GetSettings()
	if err != nil {
		return nil, failure(callSettings, err)
	}
	if c.opts.Provider != "" {
		return providerWarnings(settings), nil
	}
	var warnings []Warning
	if !settings.DisableSignup && settings.External.Email {
		warnings = append(warnings, Warning{
			Setting: "disable_signup",
			Text: "Anybody can sign up by e-mail, also with an address that belongs to a TikTok user. " +
				"Such accounts are never handed to anybody (see supabase.adopt).",
			Fix: "If nobody signs up by e-mail, switch off \"Allow new users to sign up\" or the e-mail provider in " +
				"Authentication > Sign In / Providers; the bridge does not need them. " +
				"If people do, install supabase/before_user_created.sql.",
		})
	}
	if settings.MailerAutoconfirm {
		warnings = append(warnings, Warning{
			Setting: "mailer_autoconfirm",
			Text: "E-mail addresses are taken as confirmed without a mail, " +
				"so users can change theirs to that of a TikTok user.",
			Fix: "Switch on \"Confirm email\" in Authentication > Sign In / Providers > Email.",
		})
	}
	return warnings, nil
}

func providerWarnings(settings types.SettingsResponse) []Warning {
	if !settings.DisableSignup {
		return nil
	}
	return []Warning{{
		Setting: "disable_signup",
		Text:    "Sign-ups are off, so nobody can sign in with TikTok for the first time (supabase.provider).",
		Fix: "Switch on \"Allow new users to sign up\" in Authentication > Sign In / Providers. To keep out sign-ups by " +
			"e-mail, switch off the e-mail provider there.",
	}}
}

// CheckAccounts warns of accounts whose owners cannot sign in until they are adopted. It looks at the
// oldest few thousand: the Edge Function's are older than the bridge's.
func (c *Client) CheckAccounts(ctx context.Context) ([]Warning, error) {
	const enough = 2000
	w, err := c.CountWaiting(ctx, enough)
	if err != nil {
		return nil, err
	}
	atLeast := ""
	if w.More {
		atLeast = "at least "
	}
	var warnings []Warning
	if w.Unclaimed > 0 {
		text, fix := "Their owners cannot sign in.", "Run tikbridge users adopt, then set supabase.adopt to evict."
		if c.opts.Adopt == AdoptEvict {
			text = "At their next sign-in their owners get a new, empty account, since supabase.adopt is evict."
			fix = "Set supabase.adopt to hold, run tikbridge users adopt, then set it to evict again."
		}
		warnings = append(warnings, Warning{
			Setting: "supabase.adopt",
			Text: fmt.Sprintf("Accounts that look like those of Despia's Edge Function wait to be adopted: %s%d. %s",
				atLeast, w.Unclaimed, text),
			Fix: fix,
		})
	}
	if w.Quarantined > 0 {
		warnings = append(warnings, Warning{
			Setting: "supabase.adopt",
			Text:    fmt.Sprintf("Accounts in quarantine, whose owners cannot sign in: %s%d.", atLeast, w.Quarantined),
			Fix: "If tikbridge users adopt is not running, run it to finish them, " +
				"or with --release to let go of them.",
		})
	}
	return warnings, nil
}

// Version asks which version of GoTrue answers, such as "v2.196.0"; "" is one that does not say.
func (c *Client) Version(ctx context.Context) (string, error) {
	var health types.HealthCheckResponse
	_, err := c.api(ctx, c.publicCall(callHealth), &health).HealthCheck()
	if err != nil {
		return "", failure(callHealth, err)
	}
	if health.Name != "GoTrue" { // GoTrue internal/api/api.go, HealthCheck
		return "", failure(callHealth, errNotGoTrue)
	}
	return upstream.Version(health.Version), nil
}

// CheckLinks asks for a link to an account that cannot exist, which creates none. Nil says that the secret
// key may make links. There are gateways that let it read and not write (supabase/supabase#48288).
func (c *Client) CheckLinks(ctx context.Context) error {
	_, err := c.generateLink(ctx, "nobody-"+uuid.NewString()+"@"+c.opts.EmailDomain)
	if hasCode(err, "user_not_found") {
		return nil
	}
	return err
}

// CheckSecretKey looks up an account that cannot exist. Nil says that the secret key may read users.
func (c *Client) CheckSecretKey(ctx context.Context) error {
	_, err := c.user(ctx, uuid.Nil)
	if hasCode(err, "user_not_found") {
		return nil
	}
	return err
}
