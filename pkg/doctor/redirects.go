package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
)

// maxRedirectURIs is how many TikTok registers for an app (TikTok docs: Login Kit for Web).
const maxRedirectURIs = 10

// redirectURIs holds the addresses that TikTok may return to against TikTok's rules, beyond those that
// config.Load knows.
func redirectURIs(_ context.Context, o Options) []Finding {
	const httpsOnly = "For the platform Web, TikTok accepts only public https addresses."
	simulated := isSimulated(o.Config)
	var findings []Finding
	if o.CallbackURL != "" && !simulated && !isPublic(o.CallbackURL) {
		findings = append(findings, problem(
			"TikTok does not register "+o.CallbackURL+", so it never returns to this bridge.",
			"Set server.public_url to the https address at which people reach the bridge. "+httpsOnly))
	}
	local := slices.DeleteFunc(guideURIs(o.Config), isPublic)
	if len(local) > 0 && !simulated {
		findings = append(findings, warning(
			"TikTok does not register "+list(local)+".",
			"To test on your machine, use the simulator (tikbridge dev) or a tunnel with an https address. "+httpsOnly))
	}
	uris := guideURIs(o.Config)
	if o.CallbackURL != "" {
		uris = append(uris, o.CallbackURL)
	}
	if n := pages(uris); n > maxRedirectURIs {
		findings = append(findings, warning(
			fmt.Sprintf("The settings allow redirect URIs of %d pages, but TikTok registers only ten for an app.", n),
			"List those that your apps use in app.redirect_uris. If no app was built from Despia's guide, set "+
				"security.guide_flow to false: then there is one."))
	}
	if len(uris) == 0 {
		return append(findings, skipped(
			"There is no redirect URI: server.public_url is not set, and app.redirect_uris is empty."))
	}
	return orWell(findings, fmt.Sprintf("TikTok's rules allow all redirect URIs (%d).", len(uris)))
}

// guideURIs are the redirect URIs of the guide flow.
func guideURIs(c config.Config) []string {
	if !c.Security.GuideFlow {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.App.RedirectURIs), func(uri string) bool {
		return strings.HasSuffix(uri, "/*")
	})
}

// pages counts the fewest pages that the URIs can stand for: a page is allowed with and without .html by
// default, and an app has one of the two.
func pages(uris []string) int {
	distinct := map[string]bool{}
	for _, uri := range uris {
		distinct[strings.TrimSuffix(uri, ".html")] = true
	}
	return len(distinct)
}

// isPublic tells whether TikTok would register an address for the platform Web.
func isPublic(address string) bool {
	return strings.HasPrefix(address, "https://") && !isLocal(address)
}
