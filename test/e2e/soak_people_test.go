package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// someone returns a person: most often one of those who come again and again, two of whom differ by
// letter case alone.
func (s *soak) someone(rng *rand.Rand) string {
	if n := rng.IntN(40); n >= 2 {
		return fmt.Sprintf("-000%032d", n)
	} else if n == 1 {
		return tiktoksim.OpenIDTwinA
	}
	return tiktoksim.OpenIDTwinB
}

// newcomer returns somebody nobody has seen, who may have an account of the guide's Edge Function.
func (s *soak) newcomer(rng *rand.Rand) string {
	s.mu.Lock()
	s.newcomers++
	who := fmt.Sprintf("-000New%029d", s.newcomers)
	s.mu.Unlock()
	if rng.IntN(4) == 0 {
		s.direct(s.gt, http.MethodPost, "/auth/v1/admin/users", gotruesim.SecretKey, "", map[string]any{
			"email": strings.ToLower(who) + "@tiktok.oauth", "password": "secret-of-nobody", "email_confirm": true,
		}, &struct{}{})
	}
	return who
}

// direct asks a simulator past all faults.
func (s *soak) direct(h http.Handler, method, path, key, token string, body, into any) {
	payload, err := json.Marshal(body)
	if err != nil {
		s.breaks("%v", err)
		return
	}
	req := httptest.NewRequest(method, path, bytes.NewReader(payload))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Apikey", key)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil || rec.Code != http.StatusOK {
		s.breaks("%s %s answers %d: %s", method, path, rec.Code, rec.Body)
	}
}

// code makes an authorization code that an app will send that often.
func (s *soak) code(who, redirect string, times int) string {
	var made struct {
		Code string `json:"code"`
	}
	s.direct(s.tt, http.MethodPost, "/sim/codes", "", "", map[string]any{
		"open_id": who, "redirect_uri": redirect, "display_name": "Somebody " + strconv.Itoa(rand.IntN(3)),
	}, &made)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[made.Code] = times
	return made.Code
}

// flow lets somebody sign in, in one of the ways.
func (s *soak) flow(rng *rand.Rand) {
	switch n := rng.IntN(100); {
	case n < 30:
		s.note("guide", s.exchange(s.bridge(rng), s.someone(rng), 1)...)
	case n < 45:
		s.note("hosted, web", s.hosted(rng, s.someone(rng), "web", 1)...)
	case n < 50:
		s.note("hosted, web, by cookie", s.hosted(rng, s.someone(rng), "cookie", 1)...)
	case n < 65:
		s.note("hosted, native", s.hosted(rng, s.someone(rng), "native", 1)...)
	case n < 73:
		s.note("first, guide", s.exchange(s.bridge(rng), s.newcomer(rng), 1)...)
	case n < 80:
		s.note("first, hosted", s.hosted(rng, s.newcomer(rng), "native", 1)...)
	case n < 85:
		who := s.someone(rng)
		var wg sync.WaitGroup
		for range 6 {
			b := s.bridge(rng)
			wg.Go(func() { s.note("one person, six clients", s.exchange(b, who, 1)...) })
		}
		wg.Wait()
	case n < 90:
		s.note("cancelled", s.cancel(rng))
	case n < 95:
		s.note("code sent twice", s.exchange(s.bridge(rng), s.someone(rng), 2)...)
	default:
		s.note("handoff redeemed twice", s.hosted(rng, s.someone(rng), "web", 2)...)
	}
}

func (s *soak) note(flow string, outcomes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outcomes[flow] == nil {
		s.outcomes[flow] = map[string]int{}
	}
	for _, o := range outcomes {
		s.outcomes[flow][o]++
	}
}

// exchange is the guide flow. The code is sent that often, one after another; at most one of
// them may be good.
func (s *soak) exchange(b *soakBridge, who string, times int) (outcomes []string) {
	code, good := s.code(who, soakPage, times), 0
	for range times {
		status, _, body, err := s.ask(b, http.MethodPost, "/api/auth/tiktok-callback", nil,
			map[string]string{"code": code, "redirect_uri": soakPage})
		outcome := s.ended(who, status, body, err)
		if outcome == soakSignedIn {
			good++
		}
		outcomes = append(outcomes, outcome)
	}
	if good > 1 {
		s.breaks("a code was good for %d sessions", good)
	}
	return outcomes
}

// begin starts a sign-in of the hosted flow and returns its state.
func (s *soak) begin(b *soakBridge, platform, challenge string) (state, cookie, failed string) {
	q := url.Values{"platform": {platform}}
	if challenge != "" {
		q.Set("challenge", challenge)
	}
	if platform == "web" {
		q.Set("redirect_to", "https://app.example/in")
	}
	status, header, body, err := s.ask(
		b, http.MethodGet, bridgePath+"start?"+q.Encode(), http.Header{"Accept": {"application/json"}}, nil,
	)
	if err != nil || status != http.StatusOK {
		return "", "", s.ended("", status, body, err)
	}
	var begun struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(body, &begun); err != nil {
		s.breaks("start answers %s", body)
	}
	u, err := url.Parse(begun.URL)
	if err != nil {
		s.breaks("start leads to %q", begun.URL)
		return "", "", string(signin.Internal)
	}
	if m := soakCookie.FindStringSubmatch(header.Get("Set-Cookie")); m != nil {
		cookie = m[1]
	}
	return u.Query().Get("state"), cookie, ""
}

// back is the callback of a sign-in, and what it brings the app.
func (s *soak) back(b *soakBridge, q url.Values, cookie string) (handoff, failed string) {
	status, header, body, err := s.ask(
		b, http.MethodGet, bridgePath+"callback?"+q.Encode(), http.Header{"Cookie": {cookie}}, nil,
	)
	if err != nil {
		return "", soakGone
	}
	m := soakBack.FindStringSubmatch(header.Get("Location") + " " + string(body))
	switch {
	case m == nil:
		return "", s.ended("", status, body, nil)
	case m[1] == "handoff":
		return m[2], ""
	}
	return "", s.known(m[2])
}

// hosted is the hosted flow. Each of its steps may be taken by another bridge. The handoff is
// redeemed that often; at most one may be good.
func (s *soak) hosted(rng *rand.Rand, who, platform string, times int) (outcomes []string) {
	verifier := fmt.Sprintf("%064x", rng.Uint64())
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if platform == "cookie" {
		platform, verifier, challenge = "web", "", ""
	}
	state, cookie, failed := s.begin(s.bridge(rng), platform, challenge)
	if failed != "" {
		return []string{failed}
	}
	if challenge != "" && rng.IntN(2) == 0 {
		cookie = "" // TikTok's app may come back in another browser
	}
	handoff, failed := s.back(
		s.bridge(rng), url.Values{"state": {state}, "code": {s.code(who, soakCallback, 1)}}, cookie,
	)
	if failed != "" {
		return []string{failed}
	}
	first := s.bridge(rng)
	second := s.bridge(rng)
	used, life := s.storeErrors(first, second), first.incarnation()
	good := 0
	for i := range times {
		b := []*soakBridge{first, second}[i%2]
		status, _, body, err := s.ask(b, http.MethodPost, bridgePath+"redeem", http.Header{"Cookie": {cookie}},
			map[string]string{"handoff": handoff, "verifier": verifier})
		outcome := s.ended(who, status, body, err)
		if outcome == soakSignedIn {
			good++
		}
		outcomes = append(outcomes, outcome)
	}
	// Of two bridges without Redis between them, or one that lost its memory, each has its own first time.
	same := first == second && life == first.incarnation()
	shared := used != "" && used == s.storeErrors(first, second)
	if good > 1 && (same || shared) {
		s.breaks("a handoff was good for %d sessions", good)
	}
	return outcomes
}

// storeErrors returns a word that stays the same while two bridges both reach Redis; "" if they do not.
func (s *soak) storeErrors(bridges ...*soakBridge) (word string) {
	if s.redis == nil {
		return ""
	}
	word = fmt.Sprint(s.redis.kills.Load(), " ") // a connection that died in between is replaced without an error
	for _, b := range bridges {
		m, ok := b.metrics()
		if !ok || m["tikbridge_once_degraded"] != 0 {
			return ""
		}
		word += fmt.Sprint(b.incarnation(), m["tikbridge_once_errors_total"], " ")
	}
	return word
}

// cancel is a sign-in that the person declines.
func (s *soak) cancel(rng *rand.Rand) string {
	sum := sha256.Sum256([]byte("verifier"))
	state, cookie, failed := s.begin(s.bridge(rng), "native", base64.RawURLEncoding.EncodeToString(sum[:]))
	if failed != "" {
		return failed
	}
	handoff, failed := s.back(s.bridge(rng), url.Values{"state": {state}, "error": {"access_denied"}}, cookie)
	if handoff != "" {
		s.breaks("a sign-in that was cancelled brings a handoff")
	}
	if failed != soakGone && failed != string(signin.AccessDenied) {
		s.breaks("a sign-in that was cancelled ends with %q", failed)
	}
	return failed
}

// ended looks at the answer that ends a sign-in of who: a session that is theirs, or an error.
func (s *soak) ended(who string, status int, body []byte, err error) string {
	if err != nil {
		return soakGone
	}
	if status != http.StatusOK {
		var e struct {
			Error     string `json:"error"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(body, &e); err != nil || e.RequestID == "" {
			s.breaks("status %d with no error of the bridge: %s", status, body)
		}
		return s.known(e.Error)
	}
	var in session
	if err := json.Unmarshal(body, &in); err != nil || in.RefreshToken == "" {
		s.breaks("status 200 with no session: %v", err)
		return soakSignedIn
	}
	var user struct {
		ID  string `json:"id"`
		App struct {
			TikTok struct {
				OpenID string `json:"open_id"`
			} `json:"tiktok"`
		} `json:"app_metadata"`
	}
	s.direct(s.gt, http.MethodGet, "/auth/v1/user", gotruesim.PublishableKey, in.AccessToken, nil, &user)
	if user.ID != in.User.ID || user.App.TikTok.OpenID != who {
		s.breaks("the session of %s (%s) is of %s (%s)", in.User.ID, who, user.ID, user.App.TikTok.OpenID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.users[who]; ok && id != user.ID {
		s.broken = append(s.broken, fmt.Sprintf("%s is user %s, and was %s", who, user.ID, id))
	}
	if other, ok := s.people[user.ID]; ok && other != who {
		s.broken = append(s.broken, fmt.Sprintf("user %s is %s, and was %s", user.ID, who, other))
	}
	s.users[who], s.people[user.ID] = user.ID, who
	return soakSignedIn
}

// known checks that a code is one of docs/errors.md, and none that says that the bridge has a fault.
func (s *soak) known(code string) string {
	if !slices.Contains(signin.Codes(), signin.Code(code)) || code == string(signin.Internal) {
		s.breaks("a sign-in ends with %q", code)
	}
	return code
}
