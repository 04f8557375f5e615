// Package doctor looks for what keeps people from signing in: in the configuration, at TikTok, in the
// Supabase project or the app's own backend, in Redis, and at the public address. Each finding says what was
// seen and, unless all is well, how to fix it. Nothing is changed anywhere.
//
// [Offline] checks the configuration alone. [Examine] also asks others, all at the same time, each within
// the timeout of its call.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
)

// Status is the outcome of a check.
type Status string

// The outcomes.
const (
	// OK needs nothing.
	OK Status = "ok"
	// Warning works, but not as it should, or not for long.
	Warning Status = "warning"
	// Problem keeps people from signing in.
	Problem Status = "problem"
	// Skipped could not be checked, or there was nothing to check.
	Skipped Status = "skipped"
)

// Finding is one thing that was checked.
type Finding struct {
	// Check is the name of the check, as in [Checks], or the key of the configuration that has a problem.
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Seen is what was seen. It never holds a secret, or what an upstream wrote.
	Seen string `json:"seen"`
	// Fix is what to do; empty if nothing is.
	Fix string `json:"fix,omitempty"`
}

// Report is what was found.
type Report struct {
	Findings []Finding `json:"findings"`
	// ByHand is what no program can see and a person should check.
	ByHand []string `json:"by_hand"`
}

// Count returns how many findings have a status.
func (r Report) Count(s Status) int {
	n := 0
	for _, f := range r.Findings {
		if f.Status == s {
			n++
		}
	}
	return n
}

// TikTok is what the doctor asks TikTok. *tiktok.Client implements it.
type TikTok interface {
	// CheckCredentials returns nil if key and secret belong together. Only an error with the upstream code
	// invalid_client says that they do not.
	CheckCredentials(ctx context.Context) error
}

// Supabase is what the doctor asks the project. *supabase.Client implements it.
type Supabase interface {
	// Version returns the version of GoTrue, "" if it does not say. It uses the publishable key.
	Version(ctx context.Context) (string, error)
	// CheckSettings warns of settings of the project that help squatters.
	CheckSettings(ctx context.Context) ([]supabase.Warning, error)
	// CheckAccounts warns of accounts whose owners cannot sign in.
	CheckAccounts(ctx context.Context) ([]supabase.Warning, error)
	// CheckSecretKey returns nil if the secret key may read users.
	CheckSecretKey(ctx context.Context) error
	// CheckLinks returns nil if the secret key may also make sign-in links: a gateway may let it read and
	// refuse it to write.
	CheckLinks(ctx context.Context) error
	// FindProvider returns a custom provider of the project; supabase.IsNoProvider tells an error for none.
	FindProvider(ctx context.Context, identifier string) (supabase.Provider, error)
}

// Backend is what the doctor asks whoever takes the bridge's signed messages. *backend.Client and
// *backend.Notifier implement it.
type Backend interface {
	// Ping returns nil if the receiver is there and accepts the signature.
	Ping(ctx context.Context) error
	// CheckSignature returns backend.ErrUnsigned if the receiver takes messages that nobody signed.
	CheckSignature(ctx context.Context) error
}

// Claims is the shared store of claims on states and handoffs. *once.Redis implements it.
type Claims interface {
	Ping(ctx context.Context) error
	Claim(ctx context.Context, key string, ttl time.Duration) (bool, error)
}

// Options are what is checked, and with what.
type Options struct {
	Config config.Config
	// Problems are those of the configuration. A check that needs one of their keys is skipped.
	Problems config.Problems
	TikTok   TikTok
	Supabase Supabase
	// Backend is the app's own backend, Webhook who gets events; nil if there is none.
	Backend, Webhook Backend
	// Provider is what Supabase should have as the provider for TikTok, if it is a client of this bridge.
	Provider supabase.ProviderSettings
	// Claims is nil without Redis.
	Claims Claims
	// Sealer has the keys of the configuration; nil if there are none.
	Sealer signin.Sealer
	// StartURL and CallbackURL are where the bridge starts a sign-in and where TikTok returns to; empty
	// without a public address.
	StartURL, CallbackURL string
	// Transport is for requests to the public address and for reading clocks.
	Transport http.RoundTripper
	// Now is the clock that is compared with those of others.
	Now func() time.Time
	// Skip names checks to leave out.
	Skip []string
}

// check is one entry of the doctor's list.
type check struct {
	name string
	// needs are the keys of the configuration without which there is nothing to check.
	needs []string
	run   func(context.Context, Options) []Finding
	// applies says whether there is anything to check; nil is always.
	applies func(config.Config) bool
}

func withSupabase(c config.Config) bool { return c.Accounts == config.AccountsSupabase }

func withBackend(c config.Config) bool { return c.Accounts == config.AccountsBackend }

func withWebhook(c config.Config) bool { return c.Webhook.URL != "" }

// offline are the checks of the configuration alone, beyond what config.Load refuses.
var offline = []check{
	{"tiktok_app", []string{"tiktok.client_key", "tiktok.authorize_url", "tiktok.api_url"}, tiktokApp, nil},
	{"redirect_uris", []string{"app.origins", "app.redirect_uris", "server.public_url"}, redirectURIs, nil},
	{"deeplinks", []string{"app.deeplink_schemes"}, deeplinks, nil},
	{"supabase_keys", []string{"supabase.publishable_key", "supabase.secret_key"}, supabaseKeys, withSupabase},
	{"client_ip", []string{"supabase.forward_client_ip", "supabase.url", "supabase.secret_key"}, clientIP, withSupabase},
	{"proxies", []string{"server.public_url", "server.trusted_proxies"}, proxies, nil},
}

// online are the checks that ask others.
var online = []check{
	{"tiktok", []string{
		"tiktok.client_key", "tiktok.client_secret", "tiktok.api_url", "tiktok.timeout",
	}, tiktokCredentials, nil},
	{"supabase", []string{
		"supabase.url", "supabase.auth_url", "supabase.publishable_key", "supabase.secret_key", "supabase.timeout",
	}, supabaseProject, withSupabase},
	{"backend", []string{"backend.url", "backend.secret", "backend.timeout"}, ownBackend, withBackend},
	{"webhook", []string{"webhook.url", "webhook.secret"}, webhook, withWebhook},
	{"provider", []string{
		"oidc.clients", "oidc.issuer", "oidc.supabase_secret", "server.public_url", "supabase.url", "supabase.auth_url",
		"supabase.secret_key", "supabase.provider", "supabase.timeout",
	}, provider, nil},
	{"clock", []string{"supabase.url", "supabase.auth_url", "tiktok.api_url"}, clock, nil},
	{"redis", []string{"store.redis_url"}, redis, nil},
	{"public_url", []string{"server.public_url", "app.origins", "app.redirect_uris"}, publicURL, nil},
}

// Checks returns the names of all checks.
func Checks() []string {
	var names []string
	for _, c := range slices.Concat(offline, online) {
		names = append(names, c.name)
	}
	return names
}

// Offline checks the configuration alone and contacts nobody.
func Offline(o Options) Report {
	return examine(context.Background(), o, offline)
}

// Examine makes all checks. It returns when the last one is done or ctx is over.
func Examine(ctx context.Context, o Options) Report {
	return examine(ctx, o, slices.Concat(offline, online))
}

func examine(ctx context.Context, o Options, checks []check) Report {
	r := Report{Findings: configuration(o.Problems), ByHand: byHand(o)}
	found := make([][]Finding, len(checks))
	var running sync.WaitGroup
	for i, c := range checks {
		running.Go(func() { found[i] = c.apply(ctx, o) })
	}
	running.Wait()
	for _, f := range slices.Concat(found...) {
		if f = f.withVariables(); !slices.Contains(r.Findings, f) { // two calls may fail alike
			r.Findings = append(r.Findings, f)
		}
	}
	for i, note := range r.ByHand {
		r.ByHand[i] += config.VariablesIn(note)
	}
	return r
}

// apply runs a check, or says why it cannot.
func (c check) apply(ctx context.Context, o Options) []Finding {
	var findings []Finding
	switch {
	case c.applies != nil && !c.applies(o.Config):
	case slices.Contains(o.Skip, c.name):
		findings = []Finding{skipped("Skipped (--skip).")}
	case o.Problems.Concern(c.needs...):
		findings = []Finding{skipped("Depends on a setting that has a problem (see above).")}
	default:
		findings = c.run(ctx, o)
	}
	for i := range findings {
		findings[i].Check = c.name
	}
	return findings
}

// withVariables names the variables of the keys in a finding that is not well.
func (f Finding) withVariables() Finding {
	note := config.VariablesIn(f.Seen + " " + f.Fix)
	switch {
	case f.Status == OK:
	case f.Fix == "":
		f.Seen += note
	default:
		f.Fix += note
	}
	return f
}

// configuration turns what config.Load refuses into findings.
func configuration(problems config.Problems) []Finding {
	if len(problems) == 0 {
		return []Finding{{"config", OK, "The configuration is complete.", ""}}
	}
	var findings []Finding
	for _, p := range problems {
		seen := strings.ToUpper(p.What[:1]) + p.What[1:] + "."
		findings = append(findings, Finding{p.Key, Problem, seen, p.Advice()})
	}
	return findings
}

// These make findings without the name of the check, which apply adds.
func well(seen string) Finding         { return Finding{Status: OK, Seen: seen} }
func skipped(seen string) Finding      { return Finding{Status: Skipped, Seen: seen} }
func warning(seen, fix string) Finding { return Finding{Status: Warning, Seen: seen, Fix: fix} }
func problem(seen, fix string) Finding { return Finding{Status: Problem, Seen: seen, Fix: fix} }

// orWell returns findings; if there are none, that all is well.
func orWell(findings []Finding, seen string) []Finding {
	if len(findings) == 0 {
		return []Finding{well(seen)}
	}
	return findings
}

// isLocal tells whether an address is of this machine alone.
func isLocal(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// list names a few, and how many more there are.
func list(all []string) string {
	const few = 3
	if len(all) <= few {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:few], ", "), len(all)-few)
}
