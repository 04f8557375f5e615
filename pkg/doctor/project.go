package doctor

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

// supabaseProject asks whether the project is there, accepts both keys, and keeps squatters out.
func supabaseProject(ctx context.Context, o Options) []Finding {
	version, err := o.Supabase.Version(ctx)
	if err != nil {
		return []Finding{supabaseRefusal(o, err, "supabase.publishable_key")}
	}
	findings := []Finding{supabaseVersion(o, version)}
	if o.Config.Supabase.SecretKey != "" {
		findings = append(findings, supabaseSecretKey(ctx, o))
	}
	settings, err := o.Supabase.CheckSettings(ctx)
	if err != nil {
		return append(findings, supabaseRefusal(o, err, "supabase.publishable_key"))
	}
	for _, w := range settings {
		findings = append(findings, warning(w.Text, w.Fix))
	}
	switch {
	case o.Config.Supabase.Provider != "":
		if len(settings) == 0 {
			findings = append(findings, well("Sign-ups are on, so people can sign in for the first time."))
		}
		return findings // no address and no anchor matters
	case len(settings) == 0:
		findings = append(findings, well("Public sign-ups are off, so nobody can register a TikTok user's address."))
	}
	accounts, err := o.Supabase.CheckAccounts(ctx)
	if err != nil {
		return append(findings, supabaseRefusal(o, err, "supabase.secret_key"))
	}
	for _, w := range accounts {
		findings = append(findings, warning(w.Text, w.Fix))
	}
	return findings
}

// supabaseSecretKey tries the secret key as a sign-in does, without changing anything.
func supabaseSecretKey(ctx context.Context, o Options) Finding {
	if err := o.Supabase.CheckSecretKey(ctx); err != nil {
		return supabaseRefusal(o, err, "supabase.secret_key")
	}
	err := o.Supabase.CheckLinks(ctx)
	if err == nil {
		return well("The secret key may manage users.")
	}
	if e := signin.AsError(err); e.Upstream.Status == 401 || e.Upstream.Status == 403 {
		return problem(
			"Supabase lets supabase.secret_key read users, but refuses to make a sign-in link with it ("+describe(e)+"), "+
				"so every sign-in fails.",
			"Set supabase.secret_key to the legacy service_role key, or to another secret key from "+keyPage+". If "+
				"Supabase refuses that too, tell its support: reading works and writing does not.")
	}
	return supabaseRefusal(o, err, "supabase.secret_key")
}

// The versions of GoTrue that have what the bridge relies on (supabase/auth, CHANGELOG.md).
var (
	// withIDs lets an admin choose a user's id and password hash; supabase.MinVersion is the same.
	withIDs = [3]int{2, 155, 0}
	// withForwarding knows Sb-Forwarded-For.
	withForwarding = [3]int{2, 185, 0}
	// withProviders has custom providers; supabase.MinProviderVersion is the same. What the bridge was tried with
	// is withAllOfProviders: before it, they lack settings or are switched off by default.
	withProviders      = [3]int{2, 187, 0}
	withAllOfProviders = [3]int{2, 196, 0}
)

const update = "Update Supabase Auth (the image supabase/auth, or the Supabase CLI)."

var versionPattern = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)`)

// supabaseVersion judges the version of GoTrue.
func supabaseVersion(o Options, version string) Finding {
	m := versionPattern.FindStringSubmatch(version)
	if m == nil {
		return well("GoTrue answers, without saying which version it is.")
	}
	var numbers [3]int
	for i := range numbers {
		numbers[i], _ = strconv.Atoi(m[i+1])
	}
	_, provides := o.Config.SupabaseClient()
	forwards := strings.EqualFold(o.Config.Supabase.ForwardHeader(), config.ForwardSBForwardedFor)
	switch {
	case older(numbers, withIDs):
		return problem(
			"GoTrue is "+version+". The bridge needs "+supabase.MinVersion+" or newer, which lets it choose a user's id.",
			update)
	case older(numbers, withProviders) && provides:
		return problem(
			"GoTrue is "+version+". The provider flow needs custom providers, which came with "+
				supabase.MinProviderVersion+".",
			signin.CauseNoCustomProviders.Fix())
	case older(numbers, withAllOfProviders) && provides && o.Config.Supabase.Project() == "":
		return warning(
			"GoTrue is "+version+", whose custom providers lack settings that the bridge uses, or are switched off by "+
				"default.",
			signin.CauseNoCustomProviders.Fix())
	case older(numbers, withForwarding) && forwards:
		return warning(
			"GoTrue is "+version+", which ignores Sb-Forwarded-For (2.185.0 is the first to read it), so everybody shares "+
				"the limit of one address.",
			"Update Supabase Auth, or set supabase.forward_client_ip to the header named in its "+
				"GOTRUE_RATE_LIMIT_HEADER.")
	}
	return well("GoTrue " + version + " answers and accepts the publishable key.")
}

func older(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// supabaseRefusal explains why the project refused a call that was made with the key of that name.
func supabaseRefusal(o Options, err error, key string) Finding {
	e := signin.AsError(err)
	answered := describe(e)
	address := o.Config.Supabase.AuthURL
	switch u := e.Upstream; {
	case errors.Is(err, supabase.ErrOldGoTrue):
		return problem("The GoTrue at "+address+" is older than "+supabase.MinVersion+", which the bridge needs.", update)
	case u.Status == 0 && e.Code == signin.SupabaseUnavailable:
		return problem("Supabase cannot be reached at "+address+": "+answered+".",
			signin.CauseSupabaseUnreachable.Fix())
	case e.Code == signin.SupabaseRestricted:
		return problem("Supabase serves nobody in this project ("+answered+").", e.Cause.Fix())
	case u.Status == 404:
		return problem("There is no Supabase Auth at "+address+" (status 404).",
			signin.CauseSupabaseNotFound.Fix())
	case needsGateway(o, u.Code):
		return problem("Supabase refuses "+key+" ("+answered+"): without Supabase's gateway, GoTrue accepts only JWTs.",
			"Set supabase.secret_key and supabase.publishable_key to the legacy service_role and anon keys, or "+
				"supabase.auth_url to the gateway's address, which ends in /auth/v1.")
	case u.Code == "not_admin":
		return problem("The key in "+key+" may not manage users ("+answered+").", signin.CauseSupabaseNotAdmin.Fix())
	case u.Status == 401, u.Status == 403:
		return problem("Supabase refuses "+key+" ("+answered+").", signin.CauseSupabaseKeys.Fix())
	case u.Status == 429, u.Status >= 500:
		return warning("Supabase is having trouble ("+answered+").", signin.CauseSupabaseFails.Fix())
	}
	return problem("Supabase refuses what the bridge asks ("+answered+").",
		cmp.Or(e.Cause.Fix(), signin.CauseSupabaseRefuses.Fix()))
}

// needsGateway tells whether a new key, which only Supabase's gateway understands, reached GoTrue itself.
func needsGateway(o Options, code string) bool {
	isNew := strings.HasPrefix(o.Config.Supabase.SecretKey.Reveal(), "sb_")
	return isNew && (code == "bad_jwt" || code == "no_authorization")
}
