package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// isSimulated tells whether a simulator on this machine replaces TikTok.
func isSimulated(c config.Config) bool { return isLocal(c.TikTok.APIURL) }

// tiktokApp checks what the settings say about the TikTok app.
func tiktokApp(_ context.Context, o Options) []Finding {
	c, defaults := o.Config.TikTok, config.Default().TikTok
	simulated := isSimulated(o.Config)
	var findings []Finding
	switch {
	case o.CallbackURL != "" && isLocal(c.AuthorizeURL) != simulated:
		findings = append(findings, problem(
			"One of tiktok.authorize_url and tiktok.api_url is on this machine and the other is not, so neither knows "+
				"the other's codes.",
			"Set both for a simulator, or remove both for TikTok."))
	case simulated:
		findings = append(findings, well("A simulator on this machine replaces TikTok."))
	case c.APIURL != defaults.APIURL || c.AuthorizeURL != defaults.AuthorizeURL:
		findings = append(findings, warning(
			"tiktok.authorize_url or tiktok.api_url is not TikTok's own. Whoever answers there gets the client secret "+
				"and decides who people are.",
			"Remove both settings, unless you know who answers there."))
	}
	// Sandbox keys begin like this, as implementers report; TikTok does not document it.
	if strings.HasPrefix(c.ClientKey, "sbaw") {
		findings = append(findings, warning(
			"tiktok.client_key looks like a sandbox key. Only the sandbox's target users can sign in, and everybody has "+
				"another open_id than in production, so these users do not carry over.",
			"This is fine for testing. Before you go live, set tiktok.client_key and tiktok.client_secret to those of "+
				"production."))
	}
	if others := slices.DeleteFunc(slices.Clone(c.Scopes), isBasic); len(others) > 0 {
		findings = append(findings, warning(
			"tiktok.scopes asks for "+strings.Join(others, ", ")+". TikTok refuses every sign-in if it has not approved "+
				"one of them for the app.",
			"Remove from tiktok.scopes what TikTok has not approved for this app; signing in needs only "+
				"user.info.basic."))
	}
	if c.PKCE != defaults.PKCE && !simulated {
		findings = append(findings, warning(
			"tiktok.pkce is "+c.PKCE+", but TikTok documents no PKCE for the platform Web.",
			"Sign in once, and keep it if that works: it protects a code that leaks before it is used. If sign-ins fail, "+
				"set tiktok.pkce to off."))
	}
	return orWell(findings, "Addresses, scopes and PKCE are as TikTok documents them for the web.")
}

func isBasic(scope string) bool { return scope == "user.info.basic" }

// tiktokCredentials asks TikTok whether key and secret belong together.
func tiktokCredentials(ctx context.Context, o Options) []Finding {
	err := o.TikTok.CheckCredentials(ctx)
	if err == nil {
		return []Finding{well("TikTok accepts the client key and secret.")}
	}
	e := signin.AsError(err)
	answered := describe(e)
	switch {
	case e.Upstream.Code == "invalid_client":
		return []Finding{problem(
			"TikTok refuses the client key and secret ("+answered+").",
			"Copy both again from developers.tiktok.com > Manage apps > your app > Credentials, both of production or "+
				"both of the sandbox, into tiktok.client_key and tiktok.client_secret. A secret that was renewed there "+
				"must be set here too.")}
	case e.Code == signin.TikTokUnavailable && e.Upstream.Status == 0:
		return []Finding{problem(
			"TikTok cannot be reached: "+answered+".",
			"This machine must reach "+o.Config.TikTok.APIURL+". Check its firewall, DNS and proxy settings.")}
	case e.Code == signin.TikTokUnavailable && e.Upstream.Code == "" && e.Upstream.Status < 500:
		return []Finding{problem(
			"Something other than TikTok answers at "+o.Config.TikTok.APIURL+" ("+answered+").",
			"Remove tiktok.api_url, and make sure that no outgoing proxy answers in TikTok's place.")}
	case e.Code == signin.TikTokUnavailable, e.Code == signin.RateLimited:
		return []Finding{warning(
			"TikTok is having trouble ("+answered+"), so the client key and secret could not be checked.",
			"Try again in a minute.")}
	}
	return []Finding{skipped(
		"TikTok neither accepts nor refuses the client key and secret (" + answered + "): it gives this app no token of " +
			"its own, which signing in does not need. The first sign-in will tell.")}
}

// describe says what an upstream answered, or why it did not.
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
