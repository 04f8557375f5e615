package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

const allPaths = "Make the proxy pass all paths of this address to the bridge, unchanged."

// publicURL checks that the public address leads to a bridge with this configuration, as seen from this
// machine.
func publicURL(ctx context.Context, o Options) []Finding {
	base := o.Config.Server.PublicURL
	if base == "" {
		return []Finding{{
			Status: Skipped,
			Seen:   "server.public_url is not set, so only the guide flow works, for apps built from Despia's guide.",
			Fix:    "For new apps, set server.public_url to the https address of the bridge.",
		}}
	}
	id := "doctor-" + rand.Text()
	health, err := get(ctx, o, base+"/healthz", http.Header{"X-Request-Id": {id}})
	if err != nil {
		return []Finding{problem(base+" cannot be reached: "+err.Error()+".",
			"Start the bridge first. Then check DNS, the certificate and the proxy in front of it. Before the first "+
				"start, leave this out with --skip public_url.")}
	}
	if finding, ok := notABridge(base, health); ok {
		return []Finding{finding}
	}
	findings := []Finding{sameBridge(ctx, o, health)}
	if len(o.Config.Server.TrustedProxies) > 0 && health.header.Get("X-Request-Id") != id {
		findings = append(findings, warning(
			"The bridge did not accept the X-Request-Id sent to "+base+": either the proxy drops it, or "+
				"server.trusted_proxies does not list the proxy, and then everybody shares one rate limit.",
			"Compare server.trusted_proxies with the address from which the proxy reaches the bridge."))
	}
	return append(findings, siteVerification(ctx, o)...)
}

// notABridge explains an answer to /healthz that a bridge would not give.
func notABridge(base string, a answer) (Finding, bool) {
	switch {
	case a.status >= 300 && a.status < 400:
		return problem(base+" redirects"+destination(a)+".",
			"Set server.public_url to the bridge's public address and register its callback URL with TikTok."), true
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable,
		a.status == http.StatusGatewayTimeout:
		return problem(
			fmt.Sprintf("%s%s answers with status %d: the proxy does not reach the bridge.", base, through(a), a.status),
			"Start the bridge, and point the proxy at its address (server.listen)."), true
	case a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != "ok":
		return problem(
			fmt.Sprintf("Something other than a bridge answers at %s%s (/healthz has status %d).", base, through(a), a.status),
			allPaths), true
	}
	return Finding{}, false
}

// sameBridge starts a sign-in at the public address and checks that the answer was made with this
// configuration.
func sameBridge(ctx context.Context, o Options, health answer) Finding {
	base := o.Config.Server.PublicURL
	at := base + through(health)
	if o.Config.Accounts == config.AccountsNone { // it starts sign-ins for the clients of oidc alone
		return well("A bridge answers at " + at + ".")
	}
	const restart = "Restart the bridge with this configuration, or run the doctor with the bridge's."
	started, err := get(ctx, o, o.StartURL+"?"+startQuery(o), http.Header{"Accept": {"application/json"}})
	if err != nil {
		return problem("Starting a sign-in at "+at+" fails: "+err.Error()+".", restart)
	}
	var begun struct {
		URL   string      `json:"url"`
		Error signin.Code `json:"error"`
	}
	if json.Unmarshal(started.body, &begun) != nil || begun.URL == "" && begun.Error == "" {
		return problem("Something other than a bridge answers at "+at+".", allPaths)
	}
	switch code := upstream.Code(string(begun.Error)); {
	case begun.Error == signin.RateLimited:
		return warning("The bridge at "+at+" starts no more sign-ins for this address at the moment.",
			"Run this again in a minute.")
	case begun.Error != "":
		return problem("The bridge at "+at+" refuses to start a sign-in ("+code+"). It runs with another configuration.",
			restart)
	}
	if seen := difference(o, begun.URL); seen != "" {
		return problem("The bridge at "+at+" "+seen+".", restart)
	}
	if isLocal(base) {
		return well("The bridge at " + at + " is this one. Its address works on this machine only.")
	}
	return well("The bridge at " + at + " is this one.")
}

// startQuery asks for a sign-in that nobody will finish.
func startQuery(o Options) string {
	challenge := sha256.Sum256([]byte(rand.Text()))
	query := url.Values{"platform": {"web"}, "challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}}
	if o.Config.StartPage() == "" { // there is no default
		query.Set("redirect_to", o.Config.Server.PublicURL+"/")
	}
	return query.Encode()
}

// difference tells from the address a bridge sends people to how its configuration differs; "" if it does
// not.
func difference(o Options, authorizeURL string) string {
	authorize, err := url.Parse(authorizeURL)
	if err != nil {
		return "runs with another configuration"
	}
	q := authorize.Query()
	switch {
	case q.Get("redirect_uri") != o.CallbackURL:
		return "has another public address: its server.public_url differs"
	case q.Get("client_key") != o.Config.TikTok.ClientKey:
		return "uses another TikTok app: its tiktok.client_key differs"
	case o.Sealer == nil, o.Problems.Concern("seal.keys", "supabase.secret_key", "tiktok.client_secret"):
		return ""
	case !signin.IsState(o.Sealer, q.Get("state")):
		return "seals with other keys: its seal.keys, supabase.secret_key or tiktok.client_secret differs. Replicas " +
			"that differ break each other's sign-ins"
	}
	return ""
}

var (
	serverPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ./()_-]{0,40}$`)
	originPattern = regexp.MustCompile(`^https?://[A-Za-z0-9.:-]{1,253}$`)
)

// through names the proxy that an answer came through. The bridge itself sends neither header.
func through(a answer) string {
	for _, name := range []string{"Server", "Via"} {
		if value := a.header.Get(name); serverPattern.MatchString(value) {
			return " (through " + value + ")"
		}
	}
	return ""
}

// destination names where a redirect leads.
func destination(a answer) string {
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return ""
	}
	if origin := u.Scheme + "://" + u.Host; originPattern.MatchString(origin) {
		return " to " + origin
	}
	return ""
}
