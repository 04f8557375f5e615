package doctor

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// supabaseProject asks whether the project is there, accepts both keys, and keeps squatters out.
func supabaseProject(ctx context.Context, o Options) []Finding {
	version, err := o.Supabase.Version(ctx)
	if err != nil {
		return []Finding{supabaseRefusal(o, err, "supabase.publishable_key")}
	}
	findings := []Finding{supabaseVersion(o, version)}
	if err := o.Supabase.CheckSecretKey(ctx); err != nil {
		findings = append(findings, supabaseRefusal(o, err, "supabase.secret_key"))
	} else {
		findings = append(findings, well("The secret key may manage users."))
	}
	settings, err := o.Supabase.CheckSettings(ctx)
	if err != nil {
		return append(findings, supabaseRefusal(o, err, "supabase.publishable_key"))
	}
	for _, w := range settings {
		findings = append(findings, warning(w.Text, w.Fix))
	}
	if len(settings) == 0 {
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

// The versions of GoTrue that have what the bridge relies on (supabase/auth, CHANGELOG.md).
var (
	// withIDs lets an admin choose a user's id and password hash.
	withIDs = [3]int{2, 155, 0}
	// withForwarding knows Sb-Forwarded-For.
	withForwarding = [3]int{2, 185, 0}
)

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
	forwards := strings.EqualFold(o.Config.Supabase.ForwardHeader(), config.ForwardSBForwardedFor)
	switch {
	case older(numbers, withIDs):
		return problem(
			"GoTrue is "+version+". The bridge needs 2.155.0 or newer, which lets it choose a user's id.",
			"Update Supabase Auth (the image supabase/auth, or the Supabase CLI).")
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
	case u.Status == 0 && e.Code == signin.SupabaseUnavailable:
		return problem("Supabase cannot be reached at "+address+": "+answered+".",
			"Check supabase.url letter by letter. A paused or deleted project has no address; wake it in the dashboard. "+
				"This machine must be able to reach it.")
	case u.Status == 404:
		return problem("There is no Supabase Auth at "+address+" (status 404).",
			"Set supabase.url to the project's address with nothing after it. If GoTrue is not at /auth/v1 there, set "+
				"supabase.auth_url.")
	case needsGateway(o, u.Code):
		return problem("Supabase refuses "+key+" ("+answered+"): without Supabase's gateway, GoTrue accepts only JWTs.",
			"Set supabase.secret_key and supabase.publishable_key to the legacy service_role and anon keys, or "+
				"supabase.auth_url to the gateway's address, which ends in /auth/v1.")
	case u.Code == "not_admin":
		return problem("The key in "+key+" may not manage users ("+answered+").",
			"Set "+key+" to a secret key (sb_secret_...) or the legacy service_role key, from "+keyPage+".")
	case u.Status == 401, u.Status == 403:
		return problem("Supabase refuses "+key+" ("+answered+").",
			"Copy the address and both keys again from the same project ("+keyPage+"); a deleted or rotated key does not "+
				"come back.")
	case u.Status == 429, u.Status >= 500:
		return warning("Supabase is having trouble ("+answered+").",
			"Try again in a minute. If it persists, check the project's status in the Supabase dashboard.")
	}
	return problem("Supabase refuses what the bridge asks ("+answered+").",
		"Check supabase.url, supabase.auth_url and both keys.")
}

// needsGateway tells whether a new key, which only Supabase's gateway understands, reached GoTrue itself.
func needsGateway(o Options, code string) bool {
	isNew := strings.HasPrefix(o.Config.Supabase.SecretKey.Reveal(), "sb_")
	return isNew && (code == "bad_jwt" || code == "no_authorization")
}
