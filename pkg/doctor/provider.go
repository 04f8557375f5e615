package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

const runSetup = "Run tikbridge supabase setup."

// provider checks the provider flow: that clients can read the discovery document, and that the project knows
// the bridge as it is configured.
func provider(ctx context.Context, o Options) []Finding {
	if !o.Config.OIDC.Enabled() {
		return []Finding{well("The provider flow is off: oidc.clients is empty.")}
	}
	findings := []Finding{discovery(ctx, o)}
	client, ok := o.Config.SupabaseClient()
	if ok && !client.AlwaysConsents() {
		findings = append(findings, warning(
			fmt.Sprintf("oidc.clients lets people in from Supabase (%q) without asking them. What Supabase has in ", client.ID)+
				"authorization_params does not help: whoever sends somebody a link can change it. With manual linking on, "+
				"that person can lose their TikTok account to the sender's.",
			"Set prompt: consent on the client."))
	}
	switch {
	case !ok && !withSupabase(o.Config):
		return findings
	case !ok:
		return append(findings, well("No client of oidc.clients is this Supabase project, so there is nothing to compare."))
	case o.Config.Supabase.SecretKey == "":
		return append(findings, skipped(
			"Without supabase.secret_key there is no way to see how Supabase has the provider set up."))
	}
	return append(findings, providerRow(ctx, o)...)
}

// discovery reads the discovery document as a client would.
func discovery(ctx context.Context, o Options) Finding {
	issuer := o.Config.OIDC.Issuer
	address := issuer + supabase.DiscoveryPath
	answered, err := get(ctx, o, address, http.Header{})
	if err != nil {
		return problem(address+" cannot be reached: "+err.Error()+".",
			"Start the bridge first. Supabase reads this document from the internet, so the address must be public, with "+
				"a valid certificate.")
	}
	var document struct {
		Issuer string   `json:"issuer"`
		Keys   string   `json:"jwks_uri"`
		Algs   []string `json:"id_token_signing_alg_values_supported"`
	}
	switch {
	case answered.status != http.StatusOK:
		return problem(fmt.Sprintf("%s%s answers with status %d.", address, through(answered), answered.status), allPaths)
	case json.Unmarshal(answered.body, &document) != nil || document.Keys == "" || len(document.Algs) == 0:
		return problem("Something other than a bridge answers at "+address+through(answered)+".", allPaths)
	case document.Issuer != issuer:
		return problem(
			"The bridge at "+issuer+" calls itself by another address, so no client accepts its id_tokens.",
			"Restart the bridge with this configuration, or run the doctor with the bridge's: server.public_url, and "+
				"oidc.issuer if it is set.")
	case isLocal(issuer):
		return well("The discovery document is at " + address + ", which works on this machine only.")
	}
	return well("The discovery document is at " + address + ".")
}

// providerRow compares the provider in Supabase with the configuration.
func providerRow(ctx context.Context, o Options) []Finding {
	name := o.Provider.Identifier
	row, err := o.Supabase.FindProvider(ctx, name)
	u := signin.AsError(err).Upstream
	switch {
	case supabase.IsNoProvider(err):
		if o.Config.Supabase.Provider == "" {
			return []Finding{warning("Supabase has no provider "+name+", so it cannot send anybody here yet.", runSetup)}
		}
		return []Finding{problem("Supabase has no provider "+name+", so nobody can sign in (supabase.provider).", runSetup)}
	case err != nil && u.Status == http.StatusNotFound:
		return []Finding{problem("This Supabase Auth has no custom providers ("+describe(signin.AsError(err))+").",
			signin.CauseNoCustomProviders.Fix())}
	case err != nil:
		return []Finding{supabaseRefusal(o, err, "supabase.secret_key")}
	case row.Type != "oidc":
		return []Finding{problem("In Supabase, "+name+" is not an OpenID provider, and can never become one.",
			"Delete it in the Supabase dashboard and run tikbridge supabase setup, or set supabase.provider to another name.")}
	}
	var findings []Finding
	for _, d := range row.Differences(o.Provider) {
		findings = append(findings, providerDifference(name, d))
	}
	isOwn := func(id string) bool { return id == o.Provider.ClientID }
	others := slices.DeleteFunc(slices.Clone(row.OtherClientIDs), isOwn)
	if len(others) > 0 {
		findings = append(findings, warning(
			"In Supabase, "+name+" also takes the id_tokens of other clients (acceptable_client_ids: "+
				strings.Join(others, ", ")+"). Whoever runs one of these can sign in here as everybody who signs in there.",
			"Take those out that are not this app's own: PUT acceptable_client_ids to /admin/custom-providers/"+name+"."))
	}
	if mapsTo(row, "sub") {
		findings = append(findings, problem(
			"In Supabase, "+name+" takes the person's id from another claim (attribute_mapping). Whoever has the right name "+
				"could sign in as somebody else.",
			"Take sub out of the attribute mapping of the provider, in the Supabase dashboard."))
	}
	if mapsTo(row, "email") {
		findings = append(findings, problem(
			"In Supabase, "+name+" takes an e-mail address from a claim (attribute_mapping). Supabase links accounts by "+
				"e-mail: people could end up in accounts of others.",
			"Take email out of the attribute mapping of the provider, in the Supabase dashboard."))
	}
	if o.Config.Supabase.Provider == "" {
		findings = append(findings, warning(
			"Supabase has the provider "+name+", but the hosted and the guide flow still sign in by link: people who use "+
				"both get two accounts.",
			"Follow \"From link accounts to the provider\" in docs/accounts.md: run the SQL of tikbridge supabase migrate, "+
				"then set supabase.provider to "+name+"."))
	}
	return orWell(findings, "Supabase has the provider "+name+" as it should be. Its client secret cannot be seen.")
}

// mapsTo reports whether Supabase fills a claim from another one. To Go, which GoTrue is written in, Sub is sub.
func mapsTo(row supabase.Provider, claim string) bool {
	for target := range row.AttributeMapping {
		if strings.EqualFold(target, claim) {
			return true
		}
	}
	return false
}

// providerDifference says what comes of a field that is not as it should be.
func providerDifference(name string, d supabase.Difference) Finding {
	in := "In Supabase, " + name
	switch d.Field {
	case "enabled":
		return problem(in+" is disabled, so nobody can sign in with it.", runSetup)
	case "issuer", "discovery_url", "client_id":
		return problem(in+" has another "+d.Field+" than this configuration ("+d.Want+"), so sign-ins fail.", runSetup)
	case "email_optional":
		return problem(in+" asks for an e-mail address, which TikTok does not give.", runSetup)
	case "authorization_params":
		return warning(
			in+" lets TikTok sign people in without asking (authorization_params lacks prompt=consent). With manual "+
				"linking on, somebody who opens a link of a stranger can lose their TikTok account to the stranger's.",
			runSetup+" And leave manual linking off unless your app uses linkIdentity.")
	case "scopes":
		return warning(in+" asks for other scopes than "+d.Want+".", runSetup)
	case "pkce_enabled":
		return warning(in+" does not use PKCE, so a code that leaks is worth more.", runSetup)
	case "custom_claims_allowlist":
		return warning(in+" drops union_id (custom_claims_allowlist).", runSetup)
	}
	return warning(in+" has another "+d.Field+" than this configuration.", runSetup)
}

// providerByHand lists what neither GoTrue's settings nor its admin API shows.
func providerByHand(o Options) []string {
	var notes []string
	for _, client := range o.Config.OIDC.Clients {
		if client.Secret == "" {
			notes = append(notes, fmt.Sprintf("The client %q of oidc.clients has no secret on purpose: anybody can pose as a "+
				"public client. A client that runs on a server needs one.", client.ID))
		}
	}
	if _, ok := o.Config.SupabaseClient(); !ok {
		return notes
	}
	pages := slices.DeleteFunc(slices.Clone(o.Config.App.Origins), func(origin string) bool {
		return origin == o.Config.Server.PublicURL
	})
	for i := range pages {
		pages[i] += "/**"
	}
	for _, scheme := range o.Config.App.DeeplinkSchemes {
		pages = append(pages, scheme+"://oauth/auth")
	}
	return append(notes,
		"Supabase > Authentication > URL Configuration > Redirect URLs lists where people return to: "+
			cmp.Or(strings.Join(pages, ", "), "the pages of your app")+". Anything else ends at the Site URL, without an "+
			"error.",
		"Supabase > Authentication > Sign In / Providers has manual linking switched off, unless your app uses "+
			"linkIdentity.",
	)
}
