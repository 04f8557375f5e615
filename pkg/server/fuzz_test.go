package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
)

// corpus returns some lines of the attack corpora of pkg/allow, where all of them are tried: a fuzzer
// begins with every seed, and each takes it milliseconds.
func corpus(tb testing.TB) []string {
	tb.Helper()
	const every = 12
	names, err := filepath.Glob("../allow/testdata/*.txt")
	if err != nil || len(names) == 0 {
		tb.Fatalf("no corpora: %v", err)
	}
	var some []string
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		for i, line := range strings.Split(string(content), "\n") {
			if i%every == 1 && line != "" && !strings.HasPrefix(line, "# ") {
				some = append(some, line)
			}
		}
	}
	return some
}

func quiet(o *hostedOptions) { o.quiet = true }

// wantErrorShape states what holds for every error: it is JSON of our shape, with a code and a status
// that are ours, and it is no fault of the bridge.
func wantErrorShape(t *testing.T, resp *http.Response, body string) {
	t.Helper()
	if resp.StatusCode < http.StatusBadRequest || resp.StatusCode >= http.StatusInternalServerError {
		t.Fatalf("status is %d: %s", resp.StatusCode, body)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q; want application/json", got)
	}
	var m struct {
		Error            string `json:"error"`
		ErrorDescription string `json:"error_description"`
		RequestID        string `json:"request_id"`
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || m.Error == "" || m.ErrorDescription == "" || m.RequestID == "" {
		t.Errorf("the error is %q (%v); want code, description and id", body, err)
	}
}

// postAny posts a body with any bytes.
func (b bridge) postAny(path string, body []byte) (*http.Response, string) {
	req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, req)
	return rec.Result(), rec.Body.String()
}

func addBodies(f *testing.F) {
	f.Helper()
	for _, body := range []string{
		goodBody, "", "{}", "null", "[]", "7", `"x"`, "{", "{}{}", "\ufeff{}", `{"code":7}`, `{"code":null}`,
		`{"handoff":["x"]}`,
		`{"handoff":"x","verifier":"v"}`, `{"handoff":"\ud800","verifier":"\u0000"}`, `{"HANDOFF":"x"}`,
		`{"handoff":"x","handoff":1}`,
		`{"code":"a*b!c","redirect_uri":"https://app.example/auth","state":"u|myapp","code_verifier":"v","extra":{"x":[1]}}`,
		`{"code":"x","redirect_uri":"https://app.example/auth","state":"u|javascript"}`, "{\"handoff\":\"\xff\"}",
		`{"code":"x","redirect_uri":"https://app.example/auth","code_verifier":1e999}`, strings.Repeat(`{"a":[`, 5000),
		"code=x&redirect_uri=https%3A%2F%2Fapp.example%2Fauth",
	} {
		f.Add([]byte(body))
	}
}

// FuzzExchangeBody: whatever a page sends, it gets a session for a good request, and otherwise an
// error that is its own.
func FuzzExchangeBody(f *testing.F) {
	addBodies(f)
	for _, line := range corpus(f) {
		body, err := json.Marshal(map[string]string{"code": "x", "redirect_uri": line, "state": "u|" + line})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	b := newHosted(f, quiet)
	lists, err := allow.New(
		[]string{appOrigin, publicURL}, []string{appOrigin + "/auth"}, []string{"myapp", "com.example.other"},
	)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, answer := b.postAny(exchangePath, body)
		if resp.StatusCode != http.StatusOK {
			wantErrorShape(t, resp, answer)
			return
		}
		var in struct {
			Code        string `json:"code"`
			RedirectURI string `json:"redirect_uri"`
		}
		if err := json.Unmarshal(body, &in); err != nil || in.Code == "" || !lists.RedirectURI(in.RedirectURI) {
			t.Errorf("there is a session for %q", body)
		}
	})
}

// FuzzRedeemBody: nobody makes a handoff up.
func FuzzRedeemBody(f *testing.F) {
	addBodies(f)
	f.Add([]byte(`{"handoff":"1` + strings.Repeat("A", 56) + `","verifier":"` + appVerifier + `"}`))
	b := newHosted(f, quiet)
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, answer := b.postAny(redeemPath, body)
		wantErrorShape(t, resp, answer)
	})
}

// getAny asks with any query, and with a header that decides the form of errors.
func (b bridge) getAny(path, rawQuery, cookie string, person bool) (*http.Response, string) {
	req := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	req.URL.RawQuery = rawQuery
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	if person {
		req.Header.Set("Accept", forPeople)
	}
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, req)
	return rec.Result(), rec.Body.String()
}

// wantRefusal is an error in the form the visitor wants.
func wantRefusal(t *testing.T, resp *http.Response, answer string, person bool) {
	t.Helper()
	if !person {
		wantErrorShape(t, resp, answer)
		return
	}
	if resp.StatusCode < http.StatusBadRequest || resp.StatusCode >= http.StatusInternalServerError {
		t.Fatalf("status is %d: %s", resp.StatusCode, answer)
	}
	wantClosedPage(t, answer)
}

// wantClosedPage states what holds for every page: nothing on it is somebody else's markup.
func wantClosedPage(t *testing.T, page string) {
	t.Helper()
	wantNothingInline(t, "the page", page)
	if got := strings.Count(page, "<script"); got != 1 || strings.Count(page, "<a ") > 1 {
		t.Errorf("something broke out:\n%s", page)
	}
}

// FuzzStartQuery: whatever is asked for, people are sent to TikTok or nowhere.
func FuzzStartQuery(f *testing.F) {
	for _, line := range corpus(f) {
		for _, values := range [][]string{
			{"platform", "web", "redirect_to", line}, {"platform", "native", "scheme", line, "challenge", challenge()},
		} {
			_, rawQuery, _ := strings.Cut(query("", values...), "?")
			f.Add(rawQuery, "tikbridge-x=y", true)
			f.Add("platform=web&redirect_to="+line, "", false)
		}
	}
	b := newHosted(f, quiet)
	f.Fuzz(func(t *testing.T, rawQuery, cookie string, person bool) {
		resp, answer := b.getAny(startPath, rawQuery, cookie, person)
		location := resp.Header.Get("Location")
		if resp.StatusCode != http.StatusFound {
			if location != "" {
				t.Errorf("status %d leads to %q", resp.StatusCode, location)
			}
			wantRefusal(t, resp, answer, person)
			return
		}
		rest, ok := strings.CutPrefix(location, tiktok.DefaultAuthorizeURL+"?")
		q, err := url.ParseQuery(rest)
		if !ok || err != nil || q.Get("redirect_uri") != publicURL+callbackPath || q.Get("client_key") != "awkey" ||
			q.Get("state") == "" {
			t.Errorf("%q leads to %q", rawQuery, location)
		}
		if strings.Trim(location, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?&=%+") != "" {
			t.Errorf("%q leads to %q; want plain characters", rawQuery, location)
		}
	})
}

// FuzzCallbackQuery: whatever comes back, with a good state and without, the person reaches a page
// that is allowed, the app's scheme, or a page of the bridge.
func FuzzCallbackQuery(f *testing.F) {
	for _, rawQuery := range []string{
		"", "code=c", "error=access_denied&error_description=no", "code=c&scopes=user.info.basic,x", "code=c&scopes=",
		"error=server_error",
		"state=uuid%7Cmyapp&code=c", "state=%zz;&code=c", "&&==;;", "error=%3Cscript%3E&error_description=%0d%0aX:y",
		"code=c&state=a&state=b",
	} {
		for kind := range uint8(3) {
			f.Add(rawQuery, appOrigin+"/in?tab=1", kind, true)
			f.Add(rawQuery, "", kind, false)
		}
	}
	for _, line := range corpus(f) {
		f.Add("code=c&state="+line, line, uint8(1), true)
	}
	b := newHosted(f, quiet)
	lists, err := allow.New([]string{appOrigin, publicURL}, nil, []string{"myapp"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, rawQuery, page string, kind uint8, person bool) {
		var s started
		switch kind % 3 {
		case 1: // a web app's own page
			_, begin, _ := strings.Cut(query("", "platform", "web", "redirect_to", page), "?")
			resp, _ := b.getAny(startPath, begin, "", false)
			s = startedBy(resp)
		case 2:
			_, begin, _ := strings.Cut(
				query("", "platform", "native", "scheme", "myapp", "challenge", challenge()), "?",
			)
			resp, _ := b.getAny(startPath, begin, "", false)
			s = startedBy(resp)
		}
		if s.state != "" {
			rawQuery = "state=" + url.QueryEscape(s.state) + "&" + rawQuery
		}
		resp, answer := b.getAny(callbackPath, rawQuery, s.cookie, person)
		location := resp.Header.Get("Location")
		switch resp.StatusCode {
		case http.StatusFound:
			wantWayBack(t, lists, location, page)
		case http.StatusOK:
			wantClosedPage(t, answer)
			href, follows := button(parse(t, answer))
			u, err := url.Parse(href)
			if err != nil || u.Scheme != "myapp" || u.Host != "oauth" || u.Path != "/auth" || !follows || kind%3 != 2 {
				t.Errorf("%q leads to %q", rawQuery, href)
			}
		default:
			wantRefusal(t, resp, answer, person)
			if s.state != "" || location != "" {
				t.Errorf("a good state ends with status %d at %q: %s", resp.StatusCode, location, answer)
			}
		}
	})
}

func startedBy(resp *http.Response) started {
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || len(resp.Cookies()) != 1 {
		return started{}
	}
	c := resp.Cookies()[0]
	return started{u.Query().Get("state"), c.Name + "=" + c.Value}
}

// wantWayBack checks that a person lands on the page the app asked for, with the answer first.
func wantWayBack(t *testing.T, lists *allow.List, location, page string) {
	t.Helper()
	if page == "" {
		page = appOrigin + "/"
	}
	there, values, _ := strings.Cut(location, "?")
	want, own, _ := strings.Cut(page, "?")
	if there != want || !lists.ReturnTo(page) || !lists.ReturnTo(there) {
		t.Errorf("people come back to %q; want %q", location, page)
	}
	if own != "" && !strings.HasSuffix(values, "&"+own) {
		t.Errorf("people come back to %q; want the page's own query %q behind", location, own)
	}
	first, _, _ := strings.Cut(values, "=")
	if first != "tikbridge_handoff" && first != "tikbridge_error" || strings.ContainsAny(location, "\r\n\x00 <>\"") {
		t.Errorf("people come back to %q", location)
	}
}

// FuzzForwardedFor: nobody but a trusted proxy decides who the client is, and what a proxy passes on
// that is no address is not believed.
func FuzzForwardedFor(f *testing.F) {
	for _, forwarded := range []string{
		"", "198.51.100.1", "198.51.100.1, 10.9.9.9", "unknown", "<script>", "[2001:db8:bb::7]", "::ffff:198.51.100.1",
		"fe80::1%eth0", "198.51.100.1:80", "[2001:db8:bb::7]:80", `"[2001:db8:bb::7]:80"`, ",,,", "10.1.1.1, 10.2.2.2",
		" \t", "0x7f.1", "198.51.100.01", "[", "]", "[]", "a\r\nb", strings.Repeat("1,", 5000),
	} {
		for _, peer := range []string{
			"10.0.0.1:1", "203.0.113.9:1", "[2001:db8:aa::1]:1", "[::ffff:10.0.0.1]:1", "[fe80::1%eth0]:1", "@", "",
		} {
			f.Add(forwarded, peer)
		}
	}
	var got []netip.Addr
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:aa::/48")}
	trusts := func(a netip.Addr) bool { return proxies[0].Contains(a) || proxies[1].Contains(a) }
	b := newHosted(f, quiet, with(noting(&got)), func(o *hostedOptions) {
		o.options.TrustedProxies, o.options.ExchangePerMinute = proxies, 1<<30
	})
	f.Fuzz(func(t *testing.T, forwarded, peer string) {
		got = nil
		req := httptest.NewRequest(
			http.MethodPost, exchangePath, strings.NewReader(`{"code":"x","redirect_uri":"`+appOrigin+`/auth"}`),
		)
		req.RemoteAddr = peer
		req.Header["X-Forwarded-For"] = strings.Split(forwarded, "\n")
		rec := httptest.NewRecorder()
		b.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK || len(got) != 1 {
			t.Fatalf("status is %d for a request of %q: %s", rec.Code, peer, rec.Body)
		}
		client := got[0]
		if client.Zone() != "" || client.Is4In6() {
			t.Errorf("the client is %s; want a plain address", client)
		}
		ap, err := netip.ParseAddrPort(peer)
		if err != nil || !client.IsValid() {
			return // there is no peer: nothing real
		}
		from := ap.Addr().Unmap().WithZone("")
		if !trusts(from) && client != from {
			t.Errorf("%q is believed to be %s, because it says %q", peer, client, forwarded)
		}
		if client != from && !mentions(forwarded, client) {
			t.Errorf("%q with %q is believed to be %s", peer, forwarded, client)
		}
	})
}

// mentions tells whether a list of addresses has one, in any spelling.
func mentions(forwarded string, want netip.Addr) bool {
	between := func(r rune) bool { return strings.ContainsRune(", \t\r\n[]\"", r) }
	for _, word := range strings.FieldsFunc(forwarded, between) {
		word, _, _ = strings.Cut(word, "%")
		if a, err := netip.ParseAddr(word); err == nil && a.Unmap() == want {
			return true
		}
		if a, err := netip.ParseAddrPort(word); err == nil && a.Addr() == want {
			return true
		}
	}
	return false
}

// noting is a Supabase that notes who signs in.
func noting(clients *[]netip.Addr) people {
	return people{signIn: func(_ context.Context, client netip.Addr) (signin.SignedIn, error) {
		*clients = append(*clients, client)
		return signin.SignedIn{Session: signin.Session{User: json.RawMessage(`{}`)}}, nil
	}}
}
