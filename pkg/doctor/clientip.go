package doctor

import (
	"context"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
)

// clientIP checks by whose address Supabase limits sign-ins: unless client IPs are forwarded, all count as
// the bridge's (Supabase docs: Auth rate limits; GoTrue internal/api/middleware.go).
func clientIP(_ context.Context, o Options) []Finding {
	const (
		off        = "supabase.forward_client_ip is off"
		switchOnIt = "Switch on IP address forwarding (Authentication > Rate Limits), use an sb_secret_... key, and " +
			"set supabase.forward_client_ip to sb-forwarded-for."
	)
	c := o.Config.Supabase
	limit, each := "30 sign-ins in five minutes from one address", "six a minute"
	if c.Provider != "" { // by id_token, which GoTrue counts with refreshed sessions
		limit, each = "150 sign-ins and refreshes in five minutes from one address", "30 a minute"
	}
	hosted := c.Project() != ""
	header := strings.ToLower(c.ForwardHeader())
	switch {
	case hosted && header == "":
		return []Finding{warning(
			off+". Supabase allows "+limit+", and all sign-ins come from the bridge's: "+each+" for everybody together.",
			switchOnIt)}
	case hosted && header != config.ForwardSBForwardedFor:
		return []Finding{warning(
			"supabase.forward_client_ip names a header that hosted projects ignore, so everybody shares the limit of one "+
				"address: "+each+".",
			switchOnIt)}
	case hosted && c.SecretKey == "":
		return []Finding{warning(
			"Supabase trusts a forwarded client IP only with a secret key, and supabase.secret_key is not set, so "+
				"everybody shares the limit of one address: "+each+".",
			"Set supabase.secret_key to an sb_secret_... key.")}
	case hosted:
		return []Finding{well("Client IPs are forwarded, and the key allows it.")}
	case header == "" && isLocal(c.AuthURL):
		return []Finding{well("Client IPs are not forwarded; a Supabase on a developer's machine sets no limit by IP.")}
	case header == "":
		return []Finding{{
			Status: Skipped,
			Seen:   off + ", and there is no way to see whether this Supabase limits sign-ins by IP.",
			Fix: "For a hosted project with a domain of its own: " + switchOnIt + " For a GoTrue of your own: set " +
				"supabase.forward_client_ip to the header named in its GOTRUE_RATE_LIMIT_HEADER; without that variable it " +
				"has no such limit.",
		}}
	}
	return []Finding{well("Client IPs are forwarded in the header " + c.ForwardHeader() + ".")}
}
