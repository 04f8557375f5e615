package doctor

import (
	"context"
	"slices"
)

var (
	// foreignSchemes open other people's apps.
	foreignSchemes = []string{
		"aweme", "despia", "fb", "instagram", "musically", "snssdk1128", "snssdk1180", "snssdk1233",
		"spotify", "tiktok", "twitter", "whatsapp", "youtube",
	}
	// commonSchemes are words that several apps may have chosen.
	commonSchemes = []string{
		"app", "auth", "demo", "exp", "login", "mobile", "oauth", "test", "web", "webapp",
	}
)

// guideScheme is the placeholder of Despia's guide.
const guideScheme = "myapp"

// deeplinks checks the schemes that open the app. config.Load already refuses bad spellings, and schemes
// of browsers and systems.
func deeplinks(_ context.Context, o Options) []Finding {
	const where = "Despia shows your app's scheme under Publish > Deeplink."
	schemes := o.Config.App.DeeplinkSchemes
	if len(schemes) == 0 {
		return []Finding{{
			Status: Skipped, Seen: "app.deeplink_schemes is empty, so people cannot sign in to a wrapped app.",
			Fix: "If you have one, set app.deeplink_schemes. " + where,
		}}
	}
	var findings []Finding
	for _, scheme := range schemes {
		switch {
		case scheme == guideScheme && !isSimulated(o.Config):
			findings = append(findings, warning(
				"The deeplink scheme myapp is the placeholder of Despia's guide.",
				"Set app.deeplink_schemes to your own. "+where))
		case slices.Contains(foreignSchemes, scheme):
			findings = append(findings, warning(
				"The deeplink scheme "+scheme+" opens somebody else's app.",
				"Set app.deeplink_schemes to your own. "+where))
		case slices.Contains(commonSchemes, scheme):
			findings = append(findings, warning(
				"The deeplink scheme "+scheme+" is a common word, so the phone may open another app that uses it too.",
				"Choose one that nobody else would use, in Despia and in app.deeplink_schemes."))
		}
	}
	return orWell(findings, "Deeplinks begin with "+schemes[0]+"://oauth"+o.Config.App.AuthPath+".")
}
