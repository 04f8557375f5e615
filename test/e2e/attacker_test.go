package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestAttackerSeesEveryAddress: somebody who reads every address of a sign-in of the hosted flow (in
// a deeplink, a history, a referrer, a log) cannot get a session out of them, neither before the app
// redeems nor after.
func TestAttackerSeesEveryAddress(t *testing.T) {
	for _, platform := range []string{"web", "native"} {
		for _, when := range []string{"before the app redeems", "after the app redeemed"} {
			t.Run(platform+" "+when, func(t *testing.T) {
				s := startDev(t)
				const verifier = "only-the-app-knows-this-0123456789-0123456789"
				sum := sha256.Sum256([]byte(verifier))
				start := s.bridge + "/api/auth/tiktok/start?" + url.Values{
					"platform": {platform}, "challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
				}.Encode()

				victim := newVisitor(t)
				seen, handoff := victim.signInAtTikTok(t, start)
				if handoff == "" {
					t.Fatalf("no handoff at the end of %v", seen)
				}
				if when == "after the app redeemed" {
					post(
						t, s.bridge+"/api/auth/tiktok/redeem",
						map[string]string{"handoff": handoff, "verifier": verifier}, &session{},
					)
				}
				newVisitor(t).tryEverything(t, s, seen)
				if when == "before the app redeems" {
					// And the attacker has not spoilt it for the app either.
					post(
						t, s.bridge+"/api/auth/tiktok/redeem",
						map[string]string{"handoff": handoff, "verifier": verifier}, &session{},
					)
				}
			})
		}
	}
}

// visitor is a browser without scripts: it follows redirects, keeps cookies and notes every address.
type visitor struct{ client *http.Client }

func newVisitor(t *testing.T) visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{
		&http.Client{
			Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (v visitor) get(t *testing.T, address string) (location, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", "" // a deeplink
	}
	req.Header.Set("Accept", "text/html")
	resp, err := v.client.Do(req)
	if err != nil {
		return "", ""
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Get("Location"), string(content)
}

var (
	deeplinkPattern = regexp.MustCompile(`href="(myapp://[^"]+)"`)
	hiddenPattern   = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
)

// signInAtTikTok goes from the start to the app's address, agreeing to everything.
func (v visitor) signInAtTikTok(t *testing.T, start string) (seen []string, handoff string) {
	t.Helper()
	for next := start; next != ""; {
		seen = append(seen, next)
		u, err := url.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		if h := u.Query().Get("tikbridge_handoff"); h != "" {
			return seen, h
		}
		location, body := v.get(t, next)
		switch {
		case location != "":
			next = u.ResolveReference(parse(t, location)).String()
		case strings.Contains(body, "/sim/consent"):
			form := url.Values{"account": {"mira"}, "decision": {"continue"}}
			for _, field := range hiddenPattern.FindAllStringSubmatch(body, -1) {
				form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
			}
			next = u.ResolveReference(&url.URL{Path: "/sim/consent", RawQuery: form.Encode()}).String()
		default:
			found := deeplinkPattern.FindStringSubmatch(body)
			if found == nil {
				t.Fatalf("stuck at %s:\n%s", next, body)
			}
			next = html.UnescapeString(found[1])
		}
	}
	return seen, ""
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// tryEverything opens each address again, and sends each value of each to every route that gives
// sessions out, in every role.
func (v visitor) tryEverything(t *testing.T, s stack, seen []string) {
	t.Helper()
	values := map[string]bool{"": true}
	note := func(address string) {
		for _, list := range parse(t, address).Query() {
			for _, value := range list {
				values[value] = true
			}
		}
	}
	for _, address := range seen {
		note(address)
	}
	for _, address := range seen {
		location, body := v.get(t, address)
		if location != "" {
			note(location) // also what a replay brings
		}
		wantNoSession(t, address, body)
		for _, found := range deeplinkPattern.FindAllStringSubmatch(body, -1) {
			note(html.UnescapeString(found[1]))
		}
	}
	for one := range values {
		for other := range values {
			for route, body := range map[string]map[string]string{
				"/api/auth/tiktok/redeem": {"handoff": one, "verifier": other},
				"/api/auth/tiktok-callback": {
					"code": one, "redirect_uri": s.bridge + "/api/auth/tiktok/callback", "code_verifier": other,
				},
			} {
				v.post(t, s.bridge+route, body)
				if route == "/api/auth/tiktok-callback" {
					body["redirect_uri"] = s.bridge + "/auth"
					v.post(t, s.bridge+route, body)
				}
			}
		}
	}
}

func (v visitor) post(t *testing.T, address string, body map[string]string) {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		t.Errorf("POST %s answers %d to the attacker", address, resp.StatusCode)
	}
	wantNoSession(t, address, string(content))
}

func wantNoSession(t *testing.T, where, body string) {
	t.Helper()
	if strings.Contains(body, "access_token") || strings.Contains(body, "refresh_token") {
		t.Errorf("%s gives the attacker a session", where)
	}
}
