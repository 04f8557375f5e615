package doctor

import (
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
)

// byHand lists what to look at in the consoles of others, and what only browsers and phones show.
func byHand(o Options) []string {
	if isSimulated(o.Config) {
		return []string{}
	}
	c := o.Config
	notes := []string{}
	if uris := toRegister(o); uris != "" {
		notes = append(notes, "TikTok's console lists, under Login Kit for the platform Web, character by character: "+
			uris+". TikTok asks you to prove that these addresses are yours.")
	}
	notes = append(notes, "TikTok may sign in the last account again without asking. To let people choose another, "+
		"start with select_account=1 (in the guide flow: disable_auto_auth=1).")
	if len(c.App.DeeplinkSchemes) > 0 {
		notes = append(notes,
			"Despia > Publish > Deeplink shows the scheme "+c.App.DeeplinkSchemes[0]+". A deeplink without oauth/ "+
				"after :// does not close the secure browser.",
			"Some browsers, such as Chrome on Android, open an app only after a tap: keep the button of the page that "+
				"leads back. On Android, leave the callback's path out of assetlinks.json, or it opens in the app instead "+
				"of the secure browser.")
	}
	forwards := strings.EqualFold(c.Supabase.ForwardHeader(), config.ForwardSBForwardedFor)
	if withSupabase(c) && forwards && c.Supabase.Project() != "" {
		notes = append(notes, "Supabase > Authentication > Rate Limits has IP address forwarding switched on.")
	}
	if withSupabase(c) { // the project's public settings do not tell
		notes = append(notes, "Supabase > Authentication > Sign In / Providers > Email has Secure email change switched "+
			"off, if people may replace their made-up address: with it on, Supabase also wants a confirmation from the "+
			"old one, whose mailbox does not exist. Or change addresses on your server, with the secret key.")
	}
	if c.Store.RedisURL == "" {
		note := "Only one replica of the bridge runs. For several, set store.redis_url."
		if c.OIDC.Enabled() {
			note += " Without it, each replica takes a code of the provider flow once."
		}
		notes = append(notes, note)
	}
	return append(notes, providerByHand(o)...)
}

// toRegister says which redirect URIs TikTok must have.
func toRegister(o Options) string {
	const guide = "the addresses of the guide's pages that your app uses (app.redirect_uris)"
	switch {
	case o.CallbackURL == "":
		return guide
	case len(guideURIs(o.Config)) == 0:
		return o.CallbackURL
	}
	return o.CallbackURL + ", and for an app built from Despia's guide " + guide
}
