package doctor

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// isSimulated tells whether the settings stand in for TikTok on this machine.
func isSimulated(c config.Config) bool { return isLocal(c.TikTok.APIURL) }

// isLocal tells whether an address is of this machine alone.
func isLocal(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Hostname() == "localhost" || strings.HasPrefix(u.Hostname(), "127.") || u.Hostname() == "::1")
}

// tiktokApp looks at what the settings say of the TikTok app.
func tiktokApp(_ context.Context, o Options) []Finding {
	c, ours := o.Config.TikTok, config.Default().TikTok
	var findings []Finding
	authorizes, exchanges := isLocal(c.AuthorizeURL), isLocal(c.APIURL)
	switch {
	case o.CallbackURL != "" && authorizes != exchanges:
		findings = append(findings, problem(
			"Of tiktok.authorize_url and tiktok.api_url, one is on this machine and the other is not: a code of one is unknown to the other.",
			"Set both for a simulator, and neither for TikTok."))
	case exchanges:
		findings = append(findings, well("A simulator on this machine stands in for TikTok."))
	case c.APIURL != ours.APIURL || c.AuthorizeURL != ours.AuthorizeURL:
		findings = append(findings, warning(
			"tiktok.authorize_url or tiktok.api_url is not TikTok's own. Whoever is there gets the client secret and says who people are.",
			"Remove both settings, unless you know who answers there."))
	}
	// Sandbox keys begin so, as implementers report; TikTok does not document it.
	if strings.HasPrefix(c.ClientKey, "sbaw") {
		findings = append(findings, warning(
			"tiktok.client_key looks like one of a sandbox: only the accounts listed as its target users can sign in, and everybody has another open_id than in production, so these users do not carry over.",
			"For testing this is right. Before you go live, set key and secret of production."))
	}
	if others := slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return s == "user.info.basic" }); len(others) > 0 {
		findings = append(findings, warning(
			"tiktok.scopes asks for "+strings.Join(others, ", ")+". TikTok refuses the whole sign-in if the app has no approval for one of them.",
			"Keep them only if TikTok has approved them for this app; signing in needs user.info.basic alone."))
	}
	if c.PKCE != ours.PKCE && !exchanges {
		findings = append(findings, warning(
			fmt.Sprintf("tiktok.pkce is %s. TikTok documents no PKCE for the platform Web.", c.PKCE),
			"Sign in once and keep it if that works: it protects a code that leaks before it is used. Set it to off if sign-ins fail."))
	}
	return orWell(findings, "Addresses, scopes and PKCE are as TikTok documents them for the web.")
}

const (
	// maxRedirectURIs is how many TikTok registers for an app (TikTok docs: Login Kit for Web).
	maxRedirectURIs = 10
	consoleRules    = "TikTok takes https addresses of the internet only for the platform Web."
)

// redirectURIs holds the addresses that TikTok may return to against TikTok's rules. Those that
// config.Load refuses already are not repeated.
func redirectURIs(_ context.Context, o Options) []Finding {
	simulated := isSimulated(o.Config)
	var findings []Finding
	if o.CallbackURL != "" && !simulated && !isPublic(o.CallbackURL) {
		findings = append(findings, problem(
			"TikTok does not register "+o.CallbackURL+", and so never returns to this bridge.",
			"Set server.public_url to the https address at which people reach the bridge. "+consoleRules))
	}
	documented := documentedURIs(o.Config)
	var local []string
	for _, uri := range documented {
		if !isPublic(uri) {
			local = append(local, uri)
		}
	}
	if len(local) > 0 && !simulated {
		findings = append(findings, warning(
			"TikTok does not register "+list(local)+".",
			"For tests on your machine use the simulator (tikbridge dev), or a tunnel with an https address. "+consoleRules))
	}
	if n := pages(registered(o)); n > maxRedirectURIs {
		findings = append(findings, warning(
			fmt.Sprintf("Redirect URIs of %d pages are allowed here, and TikTok registers ten for an app.", n),
			"List the ones that your apps use in app.redirect_uris. If no app was built from Despia's guide, set security.guide_flow to false: then there is one."))
	}
	uris := registered(o)
	if len(uris) == 0 {
		return append(findings, skipped("There is no redirect URI: server.public_url is not set, and app.redirect_uris is empty."))
	}
	return orWell(findings, fmt.Sprintf("TikTok's rules allow all redirect URIs (%d).", len(uris)))
}

// documentedURIs are the redirect URIs of the documented flow.
func documentedURIs(c config.Config) []string {
	if !c.Security.GuideFlow {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.App.RedirectURIs), func(uri string) bool { return strings.HasSuffix(uri, "/*") })
}

// registered are all redirect URIs that may be used at TikTok.
func registered(o Options) []string {
	var uris []string
	if o.CallbackURL != "" {
		uris = append(uris, o.CallbackURL)
	}
	return append(uris, documentedURIs(o.Config)...)
}

// pages counts what uris are at least if all are in use: by default a page is allowed with and without
// .html, and an app has one of the two.
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

// list names a few, and how many more there are.
func list(all []string) string {
	const few = 3
	if len(all) <= few {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:few], ", "), len(all)-few)
}

// tiktokCredentials asks TikTok whether key and secret belong together.
func tiktokCredentials(ctx context.Context, o Options) []Finding {
	err := o.TikTok.CheckCredentials(ctx)
	if err == nil {
		return []Finding{well("TikTok takes key and secret.")}
	}
	e := signin.AsError(err)
	answered := describe(e)
	switch {
	case e.Upstream.Code == "invalid_client":
		return []Finding{problem(
			"TikTok refuses key and secret ("+answered+").",
			"Copy both again, from the same app, and both of production or both of the sandbox: developers.tiktok.com > Manage apps > your app > Credentials. A secret that was renewed there must be set here.")}
	case e.Code == signin.TikTokUnavailable && e.Upstream.Status == 0:
		return []Finding{problem(
			"TikTok cannot be reached: "+answered+".",
			"The machine of the bridge must reach "+o.Config.TikTok.APIURL+". Check its firewall, name server and proxy settings.")}
	case e.Code == signin.TikTokUnavailable && e.Upstream.Code == "" && e.Upstream.Status < 500:
		return []Finding{problem(
			"At "+o.Config.TikTok.APIURL+" something answers that is not TikTok ("+answered+").",
			"Leave out tiktok.api_url, and let no proxy on the way out answer in TikTok's place.")}
	case e.Code == signin.TikTokUnavailable, e.Code == signin.RateLimited:
		return []Finding{warning(
			"TikTok answers, but not as it should ("+answered+"), so key and secret are not proven.",
			"Run this again in a minute.")}
	}
	return []Finding{skipped(
		"TikTok neither takes nor refuses key and secret (" + answered + "): it gives no token of its own to this app, which signing in does not need. A sign-in will tell.")}
}

// describe tells what an upstream answered, or why it did not.
func describe(e *signin.Error) string {
	u := e.Upstream
	switch {
	case u.Status == 0 && e.Err != nil:
		return e.Err.Error()
	case u.Code != "":
		return fmt.Sprintf("status %d, %s", u.Status, u.Code)
	case u.Status != 0:
		return fmt.Sprintf("status %d", u.Status)
	}
	return string(e.Code)
}
