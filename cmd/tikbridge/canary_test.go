package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/test/faulty"
)

// plantAll returns a sign-in for every fault at every endpoint, and some without any.
func plantAll() []planted { return plantAt(faulty.Calls()...) }

func plantAt(calls ...faulty.Call) []planted {
	var all []planted
	plant := func(at faulty.Call, fault string) {
		all = append(all, planted{number: fmt.Sprintf("%03d", len(all)+1), at: at, fault: fault})
	}
	for range atOnce {
		plant("", "none")
	}
	if slices.Contains(calls, faulty.Evict) {
		plant(faulty.Evict, "none")
		plant(faulty.CreateUser, "none")
	}
	for _, at := range calls {
		for _, fault := range slices.Sorted(maps.Keys(faults)) {
			if fault != tooLarge || slices.Contains(readsLarge, at) {
				plant(at, fault)
			}
		}
	}
	return all
}

// TestCanaries plants values that can be recognised wherever the bridge takes a secret, lets every
// call to TikTok and to Supabase fail in every way there is, and looks for them in all that the
// process writes, sends and answers: the log, traces, metrics, profiles.
func TestCanaries(t *testing.T) {
	t.Parallel()
	apart(t, plantAll(), exchangeAll)
}

func exchangeAll(t *testing.T, all []planted, timeouts ...string) {
	u := newUpstreams(all)
	seen := watch(t)
	bridge, out, stop := startServe(t, u.listen(t), append(seen.environ(), timeouts...)...)

	seen.during(t, func() {
		signInAll(t, all, func(t *testing.T, p planted) { u.signIn(t, bridge, p) })
		if meetsStrangers(all) {
			t.Run("requests", func(t *testing.T) { strangeRequests(t, bridge) })
		}
	})

	stop()
	log := out.String()
	u.wantClean(t, log)
	seen.wantClean(t, log)
	wants := []string{`"level":"ERROR"`, `"event":"account_evicted"`, `"msg":"stopped"`}
	if meetsStrangers(all) {
		wants = append(wants, `"msg":"profile not read"`, `"msg":"profile not stored"`)
	}
	wantLogged(t, log, wants...)
	for _, password := range u.passwords {
		wantNone(t, "the output", log, password)
	}
	if len(u.passwords) == 0 {
		t.Error("the bridge made up no password, so that none was looked for")
	}
}

// apart lets bridges of their own meet what hangs, which is cut off soon, and what is too large, which
// takes a machine to itself. The others have all the time that they need on a machine that is busy:
// time-outs by accident would make a bridge refuse everybody.
func apart(t *testing.T, all []planted, f func(t *testing.T, part []planted, timeouts ...string)) {
	t.Helper()
	meet := func(name, timeout string, here func(fault string) bool) {
		t.Run(name, func(t *testing.T) {
			part := slices.DeleteFunc(
				slices.Clone(all), func(p planted) bool { return p.fault != "none" && !here(p.fault) },
			)
			f(t, part, "TIKBRIDGE_TIKTOK_TIMEOUT="+timeout, "TIKBRIDGE_SUPABASE_TIMEOUT="+timeout)
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() { meet(hang, "3s", func(fault string) bool { return fault == hang }) })
	wg.Go(func() { meet("other", "10s", func(fault string) bool { return fault != hang && fault != tooLarge }) })
	wg.Wait()
	meet(tooLarge, "10s", func(fault string) bool { return fault == tooLarge })
}

// meetsStrangers reports whether a part of all also sends what nobody's page sends. Whatever the upstreams do makes no
// difference to that, so of the bridges of apart one is enough.
func meetsStrangers(part []planted) bool {
	return !slices.ContainsFunc(part, func(p planted) bool { return p.fault == hang || p.fault == tooLarge })
}

// wantLogged looks for what the log must have, so that it proves something.
func wantLogged(t *testing.T, log string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s, so that it proves little", want)
		}
	}
}

// atOnce is how many sign in at the same time. Most of the time they wait for what hangs.
const atOnce = 12

// signInAll signs everybody in, and after each somebody for whom all goes well. They come in no order:
// the bridge does not ask an upstream any more that does nothing but fail ten times in a row, and of
// those at hand few meet the same endpoint.
func signInAll(t *testing.T, all []planted, signIn func(*testing.T, planted)) {
	t.Helper()
	next := make(chan planted)
	var wg sync.WaitGroup
	for i := range atOnce {
		good := all[i]
		wg.Go(func() {
			for p := range next {
				// Not t.Parallel, which has as many at once as there are processors.
				t.Run(string(p.at)+" "+p.fault, func(t *testing.T) {
					signIn(t, p)
					signIn(t, good)
				})
			}
		})
	}
	const seed = 1 // the same order each time
	for _, i := range rand.New(rand.NewPCG(seed, seed)).Perm(len(all)) {
		next <- all[i]
	}
	close(next)
	wg.Wait()
}

// signIn exchanges the code of p and looks at the answer.
func (u *upstreams) signIn(t *testing.T, bridge string, p planted) {
	t.Helper()
	body, err := json.Marshal(map[string]string{
		"code": p.code(), "redirect_uri": p.redirect(), "state": "canary|myapp", "code_verifier": p.verifier(),
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(
		t.Context(), http.MethodPost, bridge+"/api/auth/tiktok-callback", bytes.NewReader(body),
	)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := httputil.DumpResponse(resp, true)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{hiddenWord}
	if resp.StatusCode != http.StatusOK {
		words = append(words, personsWord)
	}
	wantNone(t, "the answer", string(whole), words...)

	good := p.fault == "none" || dispensable(p.at)
	if got := resp.StatusCode == http.StatusOK; got != good && !slices.Contains(ambiguous, p.fault) {
		t.Errorf("signed in: %v; want %v; answer:\n%s", got, good, whole)
	}
}

// dispensable reports a call that a sign-in goes on without: the profile is for show, and who cannot
// evict a stranger gets another address.
func dispensable(call faulty.Call) bool {
	return call == faulty.UserInfo || call == faulty.StoreProfile || call == faulty.Evict
}

// strangeRequests are those that nobody's page sends, with secrets in wrong places.
func strangeRequests(t *testing.T, bridge string) {
	t.Helper()
	p := planted{number: "000"}
	query := "?" + url.Values{
		"code": {p.code()}, "state": {"canary|myapp"}, "access_token": {p.goAccess()}, "refresh_token": {p.goRefresh()},
	}.Encode()
	requests := []struct{ method, path, body string }{
		{"GET", "/auth" + query, ""},
		{"GET", "/native-callback.html" + query, ""},
		{"GET", "/" + query, ""},
		{"GET", "/api/auth/tiktok-callback" + query, ""},
		{"GET", "/callback/" + url.PathEscape(p.code()), ""},
		{"GET", "/readyz" + query, ""},
		{"CANARY", "/auth" + query, ""},
		{"POST", "/api/auth/tiktok-callback" + query, ""},
		{"POST", "/api/auth/tiktok-callback", `{"code":"` + p.hash()},
		{"POST", "/api/auth/tiktok-callback", p.code()},
		{"POST", "/api/auth/tiktok-callback", `{"code":["` + p.hash() + `"]}`},
		{
			"POST", "/api/auth/tiktok-callback",
			`{"code":"` + p.hash() + `","redirect_uri":"https://refused.example/songbird"}`,
		},
		{
			"POST", "/api/auth/tiktok-callback",
			`{"code":"` + p.hash() + `","redirect_uri":"https://app.example/auth","state":"songbird|canary"}`,
		},
		{
			"POST", "/api/auth/tiktok-callback",
			`{"code":"` + strings.Repeat(p.hash(), 200) + `","redirect_uri":"https://app.example/auth"}`,
		},
		{
			"POST", "/api/auth/tiktok-callback",
			`{"code":"` + strings.Repeat(p.hash(), 5000) + `","redirect_uri":"https://app.example/auth"}`,
		},
	}
	for _, r := range requests {
		for _, origin := range []string{"", "https://refused.example"} {
			if origin != "" && len(r.body) > 64<<10 {
				continue // refused unread, so that the answer may be lost
			}
			req, err := http.NewRequestWithContext(t.Context(), r.method, bridge+r.path, strings.NewReader(r.body))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{
				"User-Agent", "Authorization", "Apikey", "Cookie", "Referer", "X-Forwarded-For", "X-Request-Id",
			} {
				req.Header.Set(name, "Bearer canary songbird")
			}
			if origin != "" {
				req.Header.Set("Origin", origin)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := httputil.DumpResponse(resp, true)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			wantNone(t, "the answer to "+r.method+" "+r.path[:5], string(whole), hiddenWord, personsWord)
		}
	}
	// What net/http refuses by itself.
	for _, text := range []string{
		"GET /canary HTTP/9.9\r\n\r\n", "canary songbird\r\n\r\n",
		"POST /canary HTTP/1.1\r\nHost: x\r\nContent-Length: canary\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(bridge, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(conn, text)
		whole, _ := io.ReadAll(conn)
		_ = conn.Close()
		wantNone(t, "the answer to what is no HTTP", string(whole), hiddenWord, personsWord)
	}
}
