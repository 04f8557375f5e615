package main_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tikbridge/tikbridge/test/faulty"
)

// seen are the values that the bridge itself made up on the way, in any order.
type seen struct {
	mu     sync.Mutex
	values []string
}

func (s *seen) add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		if v != "" {
			s.values = append(s.values, v)
		}
	}
}

// TestCanaries_hosted does the same for the hosted flow, with keys of its own and a
// Redis that refuses them. States, handoffs and flow cookies are in the answers that hand them out, and
// in no other.
func TestCanaries_hosted(t *testing.T) {
	t.Parallel()
	t.Run("web", func(t *testing.T) {
		apart(t, plantAll(), func(t *testing.T, part []planted, timeouts ...string) { leadAll(t, "web", part, timeouts...) })
	})
	// The platform makes a difference until there is a handoff, and the bridge asks TikTok alone by then.
	t.Run("native", func(t *testing.T) {
		part := slices.DeleteFunc(plantAll(), func(p planted) bool { return p.at != faulty.Token && p.fault != "none" })
		leadAll(t, "native", part)
	})
}

func leadAll(t *testing.T, platform string, part []planted, timeouts ...string) {
	t.Helper()
	const sealKey, redisPassword = "canarySealKey0123456789abcdefghijklmnop", "canaryRedisPassword0123"
	u := newUpstreams(part)
	watched := watch(t)
	environ := append(watched.environ(), timeouts...)
	bridge, out, stop := startServe(t, u.listen(t), append(environ,
		"TIKBRIDGE_SERVER_PUBLIC_URL=https://signin.app.example", "TIKBRIDGE_SECURITY_GUIDE_FLOW=false",
		"TIKBRIDGE_SEAL_KEYS="+sealKey+","+sealKey+"2",
		"TIKBRIDGE_STORE_REDIS_URL=redis://canaryUser:"+redisPassword+"@"+refusingRedis(t)+"/0",
	)...)
	var made seen
	watched.during(t, func() {
		signInAll(t, part, func(t *testing.T, p planted) { u.lead(t, bridge, platform, p, &made) })
		if meetsStrangers(part) {
			t.Run("requests", func(t *testing.T) { strangeRequests(t, bridge) })
			t.Run("requests of the flow", func(t *testing.T) { strangeLedRequests(t, bridge, &made) })
		}
	})
	status, ready := ask(t, http.MethodGet, bridge+"/readyz", "", "")
	wantNone(t, "/readyz", ready, hiddenWord)
	if status != http.StatusOK || !strings.Contains(ready, "Redis has been down") {
		t.Errorf("/readyz answers %d, so that Redis proves little:\n%s", status, ready)
	}

	stop()
	log := out.String()
	u.wantClean(t, log)
	watched.wantClean(t, log)
	wantLogged(t, log, `"level":"ERROR"`, `"flow":"hosted"`, `"outcome":"handed_off"`,
		`"msg":"Redis is down: single use and rate limits hold per replica until it is back"`, `"msg":"stopped"`)
	if len(made.values) < 3*len(part) {
		t.Errorf("only %d values were made on the way", len(made.values))
	}
	everywhere := log + watched.collector.Text()
	for _, text := range watched.shown {
		everywhere += text
	}
	for _, value := range made.values {
		if piece := middle(value); strings.Contains(everywhere, piece) {
			t.Fatalf("the output, a trace, a metric or a profile holds %q of %q", piece, value)
		}
	}
}

// middle is a piece of a long value that is as secret as all of it.
func middle(value string) string {
	if len(value) < 40 {
		return value
	}
	return value[len(value)/2-10 : len(value)/2+10]
}

// ask sends a request as a browser does, and returns the whole answer.
func ask(t *testing.T, method, address, cookie, body string) (status int, whole string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	dump, err := httputil.DumpResponse(resp, true)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(dump)
}

var (
	statePattern   = regexp.MustCompile(`[?&]state=([A-Za-z0-9_-]+)`)
	cookiePattern  = regexp.MustCompile(`Set-Cookie: (__Host-tikbridge-[A-Za-z0-9_-]+)=([A-Za-z0-9_-]+);`)
	handoffPattern = regexp.MustCompile(`[?&]tikbridge_handoff=([A-Za-z0-9_-]+)`)
)

// hashOf makes a challenge of a verifier.
func hashOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// lead signs in with the bridge in the lead, twice at every step, and looks at every answer.
func (u *upstreams) lead(t *testing.T, bridge, platform string, p planted, made *seen) {
	t.Helper()
	base := bridge + "/api/auth/tiktok/"
	challenge := hashOf(p.verifier())

	_, begun := ask(t, http.MethodGet, base+"start?platform="+platform+"&challenge="+challenge, "", "")
	state, cookie := statePattern.FindStringSubmatch(begun), cookiePattern.FindStringSubmatch(begun)
	if state == nil || cookie == nil {
		t.Fatalf("the sign-in does not begin:\n%s", begun)
	}
	wantNone(t, "the start", begun, hiddenWord, personsWord)
	made.add(state[1], cookie[2], challenge)
	flowCookie := cookie[1] + "=" + cookie[2]

	back := base + "callback?" + url.Values{
		"state": {state[1]}, "code": {p.code()}, "error_description": {p.everything()},
	}.Encode()
	_, called := ask(t, http.MethodGet, back, flowCookie, "")
	_, again := ask(t, http.MethodGet, back, flowCookie, "")
	for _, answer := range []string{called, again} {
		wantNone(t, "the callback", answer, hiddenWord, personsWord)
		wantNoPart(t, "the callback", answer, state[1], cookie[2], challenge)
	}
	handoff := handoffPattern.FindStringSubmatch(called)
	if got := handoff != nil; got != (p.at != faulty.Token) && !slices.Contains(ambiguous, p.fault) {
		t.Errorf("there is a handoff: %v; the callback:\n%s", got, called)
	}
	if handoffPattern.MatchString(again) {
		t.Error("a callback is good for two handoffs")
	}
	if handoff == nil {
		return
	}
	made.add(handoff[1])

	redeem := func(verifier string) (int, string) {
		body, err := json.Marshal(map[string]string{"handoff": handoff[1], "verifier": verifier})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := ask(t, http.MethodPost, base+"redeem", flowCookie, string(body))
		words := []string{hiddenWord}
		if status != http.StatusOK {
			words = append(words, personsWord)
		}
		wantNone(t, "the redemption", answer, words...)
		wantNoPart(t, "the redemption", answer, state[1], cookie[2], challenge, handoff[1])
		return status, answer
	}
	if status, _ := redeem("canary-of-another~verifier.0123456789-0123456789"); status != http.StatusBadRequest {
		t.Errorf("with another verifier the status is %d; want 400", status)
	}
	status, answer := redeem(p.verifier())
	good := p.fault == "none" || dispensable(p.at)
	if got := status == http.StatusOK; got != good && !slices.Contains(ambiguous, p.fault) {
		t.Errorf("signed in: %v; want %v; answer:\n%s", got, good, answer)
	}
	if status, _ := redeem(p.verifier()); status != http.StatusBadRequest {
		t.Errorf("the second time the status is %d; want 400", status)
	}
}

// wantNoPart looks for pieces of what the bridge made up.
func wantNoPart(t *testing.T, where, text string, values ...string) {
	t.Helper()
	for _, value := range values {
		if part := middle(value); strings.Contains(text, part) {
			t.Errorf("%s holds %q:\n%s", where, part, text)
		}
	}
}

// strangeLedRequests put what is secret into wrong places of the flow.
func strangeLedRequests(t *testing.T, bridge string, made *seen) {
	t.Helper()
	base := bridge + "/api/auth/tiktok/"
	p := planted{number: "000"}
	values := append(p.all(), made.values[:min(9, len(made.values))]...)
	for _, v := range values {
		secret := url.QueryEscape(v)
		quoted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []struct{ method, path, body string }{
			{"GET", "start?platform=" + secret, ""},
			{"GET", "start?platform=native&scheme=" + secret + "&challenge=" + secret, ""},
			{"GET", "start?platform=web&redirect_to=https://app.example@" + secret, ""},
			{"GET", "callback?state=" + secret + "&code=" + secret, ""},
			{"GET", "callback?error=" + secret + "&error_description=" + secret, ""},
			{"HEAD", "callback?state=" + secret, ""},
			{"POST", "callback?state=" + secret, string(quoted)},
			{"GET", "redeem?tikbridge_handoff=" + secret, ""},
			{"POST", "redeem", string(quoted)},
			{"POST", "redeem?tikbridge_handoff=" + secret, `{"handoff":[` + string(quoted) + `]}`},
			{"POST", "redeem", `{"handoff":` + string(quoted) + `,"verifier":` + string(quoted) + `}`},
			{"POST", "redeem", `{"handoff":` + string(quoted)},
			{"GET", secret, ""},
		} {
			status, answer := ask(t, r.method, base+r.path, "__Host-tikbridge-canary00="+secret, r.body)
			if status >= http.StatusInternalServerError { // a used state is still good for the way back
				t.Errorf("%s %s answers %d", r.method, r.path[:4], status)
			}
			wantNone(t, "the answer to "+r.method+" "+r.path[:4], answer, hiddenWord, personsWord)
			wantNoPart(t, "the answer to "+r.method+" "+r.path[:4], answer, v)
		}
	}
}
