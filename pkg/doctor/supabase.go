package doctor

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// soon is how long before its end a key is worth a warning.
const soon = 30 * 24 * time.Hour

const newKeys = "Project Settings > API Keys"

// supabaseKeys looks at the keys themselves. Swapped ones and those of another project are refused by
// config.Load already.
func supabaseKeys(_ context.Context, o Options) []Finding {
	c := o.Config.Supabase
	public, secret := kindOf(c.PublishableKey), kindOf(c.SecretKey.Reveal())
	var findings []Finding
	for _, key := range []struct {
		name, kind string
		claims     config.LegacyKey
		wanted     string
	}{
		{"supabase.publishable_key", public, config.ReadLegacyKey(c.PublishableKey), "the publishable key (sb_publishable_...) or the legacy anon key"},
		{"supabase.secret_key", secret, config.ReadLegacyKey(c.SecretKey.Reveal()), "a secret key (sb_secret_...) or the legacy service_role key"},
	} {
		expires := time.Unix(key.claims.Expires, 0)
		switch {
		case key.kind == "":
			findings = append(findings, warning(
				key.name+" has none of the known forms.",
				"It should be "+key.wanted+", from "+newKeys+"."))
		case key.claims.Expires == 0:
		case !expires.After(o.Now()):
			findings = append(findings, problem(
				fmt.Sprintf("%s expired on %s.", key.name, day(expires)),
				"Set "+key.wanted+", from "+newKeys+"."))
		case expires.Before(o.Now().Add(soon)):
			findings = append(findings, warning(
				fmt.Sprintf("%s expires on %s.", key.name, day(expires)),
				"Replace it before, best by a new key (sb_...), which does not expire."))
		}
	}
	return orWell(findings, fmt.Sprintf("Each key is in its place (%s, %s).", public, secret))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// kindOf names what a key is by its form, "" if it has none that is known.
func kindOf(key string) string {
	switch {
	case strings.HasPrefix(key, "sb_publishable_"):
		return "publishable"
	case strings.HasPrefix(key, "sb_secret_"):
		return "secret"
	}
	switch role := config.ReadLegacyKey(key).Role; role {
	case "anon", "service_role":
		return "legacy " + role
	}
	return ""
}

// clientIP looks at whose address Supabase counts sign-ins by: without forwarding, everybody's are
// counted as the bridge's (Supabase docs: Auth rate limits; GoTrue internal/api/middleware.go).
func clientIP(_ context.Context, o Options) []Finding {
	c := o.Config.Supabase
	hosted := c.Project() != ""
	header := strings.ToLower(c.ForwardHeader())
	const fix = "Switch on IP address forwarding (Authentication > Rate Limits), use an sb_secret_... key, and set supabase.forward_client_ip to sb-forwarded-for."
	switch {
	case hosted && header == "":
		return []Finding{warning(
			"supabase.forward_client_ip is off. Supabase allows 30 sign-ins in five minutes from one address, and all of them come from the bridge's: six a minute for everybody together.", fix)}
	case hosted && header != config.ForwardSBForwardedFor:
		return []Finding{warning(
			"supabase.forward_client_ip names a header that hosted projects do not look at, so everybody shares the limit of one address: six sign-ins a minute.", fix)}
	case hosted:
		return []Finding{well("People's addresses are forwarded with a key that Supabase believes.")}
	case header == "" && isLocal(c.AuthURL):
		return []Finding{well("Addresses are not forwarded; the Supabase of a developer's machine does not limit by address.")}
	case header == "":
		return []Finding{{
			Status: Skipped, Seen: "supabase.forward_client_ip is off, and whether this Supabase limits sign-ins by address cannot be seen.",
			Fix: "A project that Supabase hosts under a domain of your own: " + fix + " A GoTrue of your own: name the header in its GOTRUE_RATE_LIMIT_HEADER; without that it has no such limit.",
		}}
	}
	return []Finding{well("People's addresses are forwarded in the header " + c.ForwardHeader() + ".")}
}

// The versions of GoTrue that have what the bridge relies on (supabase/auth, CHANGELOG.md).
var (
	// withIDs lets an admin choose a user's id and password hash.
	withIDs = [3]int{2, 155, 0}
	// withForwarding knows Sb-Forwarded-For.
	withForwarding = [3]int{2, 185, 0}
)

// supabaseProject asks the project whether it is there, takes both keys, and is set up against
// squatters.
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
	weak, err := o.Supabase.CheckSettings(ctx)
	if err != nil {
		return append(findings, supabaseRefusal(o, err, "supabase.publishable_key"))
	}
	for _, w := range weak {
		findings = append(findings, warning(w.Text, w.Fix))
	}
	if len(weak) == 0 {
		findings = append(findings, well("Public sign-ups by e-mail are off and addresses must be confirmed, so nobody can register a TikTok user's address."))
	}
	waiting, err := o.Supabase.CheckAccounts(ctx)
	if err != nil {
		return append(findings, supabaseRefusal(o, err, "supabase.secret_key"))
	}
	for _, w := range waiting {
		findings = append(findings, warning(w.Text, w.Fix))
	}
	return findings
}

var versionPattern = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)`)

// supabaseVersion judges the version of GoTrue.
func supabaseVersion(o Options, version string) Finding {
	m := versionPattern.FindStringSubmatch(version)
	if m == nil {
		return well("GoTrue answers; it does not say which version it is.")
	}
	var numbers [3]int
	for i := range numbers {
		numbers[i], _ = strconv.Atoi(m[i+1])
	}
	switch {
	case older(numbers, withIDs):
		return problem("GoTrue is "+version+". The bridge needs 2.155.0 or newer, in which an admin may choose the id of a user.",
			"Update Supabase Auth (the image supabase/auth, or the Supabase CLI).")
	case older(numbers, withForwarding) && strings.EqualFold(o.Config.Supabase.ForwardHeader(), config.ForwardSBForwardedFor):
		return warning("GoTrue is "+version+", which does not know Sb-Forwarded-For (2.185.0 does), so everybody shares the limit of one address.",
			"Update Supabase Auth, or set supabase.forward_client_ip to the header that its GOTRUE_RATE_LIMIT_HEADER names.")
	}
	return well("GoTrue " + version + " answers and takes the publishable key.")
}

func older(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// supabaseRefusal explains why the project did not do what was asked with a key.
func supabaseRefusal(o Options, err error, key string) Finding {
	e := signin.AsError(err)
	answered := describe(e)
	address := o.Config.Supabase.AuthURL
	u := e.Upstream
	switch {
	case u.Status == 0 && e.Code == signin.SupabaseUnavailable:
		return problem("Supabase cannot be reached at "+address+": "+answered+".",
			"Check supabase.url letter by letter. A project that is paused or deleted has no address either; wake it in the dashboard. The machine of the bridge must reach it.")
	case u.Status == 404:
		return problem("There is no Supabase Auth at "+address+" (status 404).",
			"supabase.url is the project's address with nothing behind it. If GoTrue is not at /auth/v1 there, set supabase.auth_url.")
	case (u.Code == "bad_jwt" || u.Code == "no_authorization") && strings.HasPrefix(o.Config.Supabase.SecretKey.Reveal(), "sb_"):
		return problem("Supabase does not take "+key+" ("+answered+"): GoTrue without Supabase's gateway knows only keys that are JWTs.",
			"Set the legacy service_role and anon keys, or let supabase.auth_url lead to the gateway, which ends in /auth/v1.")
	case u.Code == "not_admin":
		return problem("The key in "+key+" may not manage users ("+answered+").",
			"Set a secret key (sb_secret_...) or the legacy service_role key, from "+newKeys+".")
	case u.Status == 401, u.Status == 403:
		return problem("Supabase refuses "+key+" ("+answered+").",
			"Copy the address and both keys again, from the same project; a deleted or rotated key does not come back. "+newKeys+".")
	case u.Status == 429, u.Status >= 500:
		return warning("Supabase answers, but not as it should ("+answered+").",
			"Run this again in a minute. If it stays, look at the state of the project in the dashboard.")
	}
	return problem("Supabase refuses what the bridge asks ("+answered+").",
		"Check supabase.url, supabase.auth_url and both keys.")
}
