package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// foreignSchemes open apps of others.
var foreignSchemes = []string{
	"aweme", "despia", "fb", "instagram", "musically", "snssdk1128", "snssdk1180", "snssdk1233",
	"spotify", "tiktok", "twitter", "whatsapp", "youtube",
}

// commonSchemes are words that more than one app takes for its own.
var commonSchemes = []string{"app", "auth", "demo", "exp", "login", "mobile", "oauth", "test", "web", "webapp"}

// placeholder is the scheme of Despia's guide, which stands for one's own.
const placeholder = "myapp"

// deeplinks looks at the schemes that open the app. Spellings that can be no scheme, with :// or
// capitals, and schemes of browsers and systems are refused by config.Load already.
func deeplinks(_ context.Context, o Options) []Finding {
	const where = "The scheme of your app is under Despia > Publish > Deeplink."
	schemes := o.Config.App.DeeplinkSchemes
	if len(schemes) == 0 {
		return []Finding{{
			Status: Skipped, Seen: "app.deeplink_schemes is empty, so no wrapped app can be signed in to.",
			Fix: "If there is one, set app.deeplink_schemes. " + where,
		}}
	}
	var findings []Finding
	for _, scheme := range schemes {
		switch {
		case scheme == placeholder && !isSimulated(o.Config):
			findings = append(findings, warning("The deeplink scheme myapp is the placeholder of Despia's guide.", where))
		case slices.Contains(foreignSchemes, scheme):
			findings = append(findings, warning("The deeplink scheme "+scheme+" opens somebody else's app.", where))
		case slices.Contains(commonSchemes, scheme):
			findings = append(findings, warning("The deeplink scheme "+scheme+" is a common word: another app on the phone may have it too, and be opened instead.",
				"Choose one that nobody else would use, in Despia and here."))
		}
	}
	return orWell(findings, "Deeplinks begin with "+schemes[0]+"://oauth"+o.Config.App.AuthPath+".")
}

// proxies looks at who is believed to say whose request it is. The bridge speaks plain HTTP, so with
// an https address something is in front of it.
func proxies(_ context.Context, o Options) []Finding {
	c := o.Config.Server
	networks, err := c.Proxies()
	if err != nil {
		return nil // config.Load has said so
	}
	for _, n := range networks {
		if n.Bits() == 0 {
			return []Finding{warning(
				"server.trusted_proxies holds "+n.String()+", which is everybody: whoever writes an X-Forwarded-For gets past the rate limits.",
				"List the addresses of your proxy alone.")}
		}
	}
	switch {
	case len(networks) > 0:
		return []Finding{well("X-Forwarded-For is believed from " + list(c.TrustedProxies) + ".")}
	case strings.HasPrefix(c.PublicURL, "https://"):
		return []Finding{warning(
			"server.trusted_proxies is empty, and with an https address there is a proxy in front of the bridge. To the bridge everybody has the proxy's address, and shares one rate limit.",
			"Set server.trusted_proxies to the address or network of the proxy; your hosting platform's documentation has it. 127.0.0.1 is a proxy on the same machine.")}
	}
	return []Finding{well("No proxy is expected in front of the bridge.")}
}

// answer is what an address answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks an address that is told no secret.
func get(ctx context.Context, o Options, address string, header http.Header) (answer, error) {
	const timeout, maxBody = 10 * time.Second, 1 << 20
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return answer{}, errors.New("it is no address")
	}
	req.Header = header.Clone()
	req.Header.Set("User-Agent", "tikbridge")
	resp, err := upstream.NewClient(o.Transport).Do(req)
	if err != nil {
		return answer{}, upstream.NoAnswer(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := upstream.ReadBody(resp, maxBody)
	if err != nil {
		return answer{}, upstream.NoAnswer(err)
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

// How far a clock may be off. A state is good for ten minutes and a handoff for one, by the clocks of
// two copies of the bridge.
const (
	skewWarning = 10 * time.Second
	skewProblem = 45 * time.Second
)

// clock compares this machine's clock with those of TikTok and Supabase.
func clock(ctx context.Context, o Options) []Finding {
	var findings []Finding
	compared := 0
	for _, source := range []struct{ name, address string }{
		{"Supabase", o.Config.Supabase.AuthURL + "/health"},
		{"TikTok", o.Config.TikTok.APIURL + "/"},
	} {
		sent := o.Now()
		ans, err := get(ctx, o, source.address, http.Header{})
		if err != nil {
			continue // the checks of both say so
		}
		theirs, err := http.ParseTime(ans.header.Get("Date"))
		if err != nil {
			continue
		}
		compared++
		if f, off := skew(source.name, sent, o.Now(), theirs); off {
			findings = append(findings, f)
		}
	}
	if compared == 0 {
		return []Finding{skipped("Nobody told the time.")}
	}
	return orWell(findings, "The clock agrees with those of others.")
}

// skew judges a time that was read between sent and received. Date has whole seconds (RFC 9110, section
// 5.6.7).
func skew(name string, sent, received, theirs time.Time) (Finding, bool) {
	var off time.Duration
	direction := "ahead of"
	switch {
	case theirs.Add(time.Second).Before(sent):
		off = sent.Sub(theirs.Add(time.Second))
	case theirs.After(received):
		off, direction = theirs.Sub(received), "behind"
	}
	if off < skewWarning {
		return Finding{}, false
	}
	seen := fmt.Sprintf("The clock of this machine is %s %s %s's.", off.Round(time.Second), direction, name)
	const fix = "Let the machine keep its time (NTP, chrony, systemd-timesyncd). Copies of the bridge must agree on the time, since a handoff is good for 60 seconds."
	if off >= skewProblem {
		return problem(seen, fix), true
	}
	return warning(seen, fix), true
}

// redis tries the store that copies of the bridge share.
func redis(ctx context.Context, o Options) []Finding {
	if o.Marks == nil {
		return []Finding{skipped("store.redis_url is not set. One copy of the bridge needs no Redis; several do.")}
	}
	const fix = "Check address, user, password and TLS (rediss://) in store.redis_url, and that the machine of the bridge reaches it. Until then sign-ins work, and single use holds on each copy alone."
	if err := o.Marks.Ping(ctx); err != nil {
		return []Finding{problem("Redis does not answer as it should: "+err.Error()+".", fix)}
	}
	key := "doctor:" + rand.Text()
	first, err := o.Marks.First(ctx, key, time.Second)
	if err != nil {
		return []Finding{problem("Redis answers, but a mark cannot be set: "+err.Error()+".",
			"The user of store.redis_url must be allowed to SET keys that begin with tikbridge:, and Redis must have memory left and be no read-only replica.")}
	}
	again, err := o.Marks.First(ctx, key, time.Second)
	switch {
	case err != nil:
		return []Finding{problem("Redis does not answer as it should: "+err.Error()+".", fix)}
	case !first || again:
		return []Finding{problem("Redis answers, but does not keep a mark: a used handoff would be taken again.",
			"Use a Redis that keeps keys (maxmemory-policy noeviction) and is no proxy over several unconnected ones.")}
	}
	return []Finding{well("Redis answers and keeps marks.")}
}

// publicURL asks, from outside as far as this machine is, whether the public address leads to a bridge
// with this configuration.
func publicURL(ctx context.Context, o Options) []Finding {
	base := o.Config.Server.PublicURL
	if base == "" {
		return []Finding{{
			Status: Skipped, Seen: "server.public_url is not set, so the bridge cannot lead sign-ins, and serves only apps built from Despia's guide.",
			Fix: "For new apps set it to the https address of the bridge.",
		}}
	}
	id := "doctor-" + rand.Text()
	health, err := get(ctx, o, base+"/healthz", http.Header{"X-Request-Id": {id}})
	if err != nil {
		return []Finding{problem(base+" cannot be reached: "+err.Error()+".",
			"Start the bridge first. Then check DNS, the certificate and the proxy in front of it. To leave this out before the first start, use --skip public_url.")}
	}
	if finding, ok := misled(base, health); !ok {
		return []Finding{finding}
	}
	findings := []Finding{sameBridge(ctx, o, health)}
	if len(o.Config.Server.TrustedProxies) > 0 && health.header.Get("X-Request-Id") != id {
		findings = append(findings, warning(
			"The bridge did not take over the X-Request-Id that was sent to "+base+": the proxy drops it, or server.trusted_proxies does not list the proxy, and then everybody shares one rate limit.",
			"Compare server.trusted_proxies with the address that the proxy has for the bridge."))
	}
	return findings
}

// misled explains an answer to /healthz that is not a bridge's.
func misled(base string, a answer) (Finding, bool) {
	switch {
	case a.status >= 300 && a.status < 400:
		return problem(base+" sends people on"+destination(a)+".",
			"Set server.public_url to the address where people end, and register its callback with TikTok."), false
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		return problem(fmt.Sprintf("%s%s answers with status %d: the proxy does not reach the bridge.", base, behind(a), a.status),
			"Start the bridge, and let the proxy lead to its address (server.listen)."), false
	case a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != "ok":
		return problem(fmt.Sprintf("At %s%s something answers that is not a bridge (/healthz has status %d).", base, behind(a), a.status),
			"Let the proxy lead all paths of this address to the bridge, unchanged."), false
	}
	return Finding{}, true
}

// sameBridge begins a sign-in at the public address, and looks whether what comes back was made with this
// configuration.
func sameBridge(ctx context.Context, o Options, health answer) Finding {
	base := o.Config.Server.PublicURL
	at := base + behind(health)
	const restart = "Restart the bridge with this configuration, or run the doctor with the bridge's."
	sum := sha256.Sum256([]byte(rand.Text()))
	query := url.Values{"platform": {"web"}, "challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}}
	if o.Config.StartPage() == "" { // the bridge would not know where to
		query.Set("redirect_to", base+"/")
	}
	started, err := get(ctx, o, o.StartURL+"?"+query.Encode(), http.Header{"Accept": {"application/json"}})
	if err != nil {
		return problem("At "+at+" a sign-in cannot be begun: "+err.Error()+".", restart)
	}
	var begun struct {
		URL   string      `json:"url"`
		Error signin.Code `json:"error"`
	}
	if json.Unmarshal(started.body, &begun) != nil || begun.URL == "" && begun.Error == "" {
		return problem("At "+at+" something answers that is not a bridge.", "Let the proxy lead all paths of this address to the bridge, unchanged.")
	}
	if begun.Error == signin.RateLimited {
		return warning("The bridge at "+at+" begins no more sign-ins for this address at the moment.", "Run this again in a minute.")
	}
	if code := upstream.Code(string(begun.Error)); begun.Error != "" {
		return problem("The bridge at "+at+" does not begin a sign-in ("+code+"). It runs with another configuration.", restart)
	}
	authorize, err := url.Parse(begun.URL)
	if err != nil {
		return problem("The bridge at "+at+" runs with another configuration.", restart)
	}
	q := authorize.Query()
	switch {
	case q.Get("redirect_uri") != o.CallbackURL:
		return problem("The bridge at "+at+" believes to be at another address: its server.public_url differs.", restart)
	case q.Get("client_key") != o.Config.TikTok.ClientKey:
		return problem("The bridge at "+at+" uses another TikTok app: its tiktok.client_key differs.", restart)
	case o.Sealer != nil && !o.Problems.Concern("seal.keys", "supabase.secret_key", "tiktok.client_secret") && !signin.IsState(o.Sealer, q.Get("state")):
		return problem("The bridge at "+at+" seals with other keys: its seal.keys, supabase.secret_key or tiktok.client_secret differ. Copies that differ end each other's sign-ins.", restart)
	}
	if isLocal(base) {
		return well("The bridge at " + at + " is this one. Its address works on this machine alone.")
	}
	return well("The bridge at " + at + " is this one.")
}

var (
	serverPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ./()_-]{0,40}$`)
	originPattern = regexp.MustCompile(`^https?://[A-Za-z0-9.:-]{1,253}$`)
)

// behind names the proxy that an answer came through. The bridge itself sends neither header.
func behind(a answer) string {
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
		return ", to " + origin
	}
	return ""
}

// byHand lists what is to be looked at in the consoles of others, and what browsers and phones do that
// no program on a server sees.
func byHand(o Options) []string {
	if isSimulated(o.Config) {
		return []string{}
	}
	c := o.Config
	notes := []string{}
	if console := inConsole(o); console != "" {
		notes = append(notes, "TikTok's console has, under Login Kit and for the platform Web, character by character: "+console+". TikTok wants proof that these addresses are yours.")
	}
	notes = append(notes, "TikTok may sign the last account in again without a question. Where people should be able to choose another, begin with select_account=1 (in the guide's way: disable_auto_auth=1).")
	if len(c.App.DeeplinkSchemes) > 0 {
		notes = append(notes,
			"Despia > Publish > Deeplink shows the scheme "+c.App.DeeplinkSchemes[0]+". A deeplink without oauth/ after :// does not close the secure browser.",
			"Some browsers, Chrome on Android among them, open an app only after a tap: keep the button of the page that leads back. On Android the callback's path must not be in assetlinks.json, or it opens in the app instead of the secure browser.")
	}
	if strings.EqualFold(c.Supabase.ForwardHeader(), config.ForwardSBForwardedFor) && c.Supabase.Project() != "" {
		notes = append(notes, "Supabase > Authentication > Rate Limits has IP address forwarding switched on.")
	}
	if c.Store.RedisURL == "" {
		notes = append(notes, "Only one copy of the bridge runs. For several set store.redis_url.")
	}
	return notes
}

// inConsole says which redirect URIs TikTok must have.
func inConsole(o Options) string {
	const guide = "the addresses of the guide's pages that your app uses (app.redirect_uris)"
	switch {
	case o.CallbackURL == "":
		return guide
	case len(documentedURIs(o.Config)) == 0:
		return o.CallbackURL
	}
	return o.CallbackURL + ", and for an app built from Despia's guide " + guide
}
