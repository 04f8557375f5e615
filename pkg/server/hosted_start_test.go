package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/tiktok"
)

func TestStart(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	target := query(startPath, "platform", "web", "challenge", challenge(), "select_account", "1")
	wantAsked := func(t *testing.T, u *url.URL) {
		t.Helper()
		q := u.Query()
		if withoutState := u.Scheme + "://" + u.Host + u.Path; withoutState != tiktok.DefaultAuthorizeURL {
			t.Errorf("people are sent to %s; want TikTok", withoutState)
		}
		state := q.Get("state")
		q.Del("state")
		want := url.Values{
			"client_key": {"awkey"}, "response_type": {"code"}, "scope": {"user.info.basic"},
			"redirect_uri": {publicURL + callbackPath}, "disable_auto_auth": {"1"},
		}
		if diff := cmp.Diff(want, q); diff != "" {
			t.Errorf("TikTok is asked (-want +got):\n%s", diff)
		}
		if len(state) < 100 || strings.Contains(state, challenge()) {
			t.Errorf("state is %q; want it sealed", state)
		}
	}
	t.Run("redirect", func(t *testing.T) {
		t.Parallel()
		for _, accept := range []string{"", "*/*", forPeople} {
			resp := b.do(t, http.MethodGet, target, "", "Accept", accept)
			wantAsked(t, wantRedirect(t, resp))
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q; want no-store", got)
			}
		}
	})
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		resp := b.do(t, http.MethodGet, target, "", "Accept", forScripts, "Origin", appOrigin)
		if got := resp.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type is %q; want application/json", got)
		}
		if got := resp.Header.Get("Vary"); got != "Accept, Origin" {
			t.Errorf("Vary is %q; want what the answer depends on", got)
		}
		if len(resp.Cookies()) != 1 {
			t.Error("there is no flow cookie")
		}
		m := readJSON(t, resp)
		address, _ := m["url"].(string)
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		wantAsked(t, u)
		if diff := cmp.Diff(map[string]any{"url": address, "expires_in": 600.0}, m); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	})
	t.Run("the account is not asked for", func(t *testing.T) {
		t.Parallel()
		for _, value := range []string{"", "0", "true", "11"} {
			u := wantRedirect(
				t, b.do(t, http.MethodGet, query(startPath, "platform", "web", "select_account", value), ""),
			)
			if u.Query().Has("disable_auto_auth") {
				t.Errorf("select_account=%s asks for an account", value)
			}
		}
	})
	t.Run("never twice the same", func(t *testing.T) {
		t.Parallel()
		one, two := b.begin(t, "platform", "web"), b.begin(t, "platform", "web")
		if one.state == two.state || one.cookie == two.cookie {
			t.Error("two flows have one state or one cookie")
		}
	})
	t.Run("other methods", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{startPath, callbackPath} {
			for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut} {
				if got := b.do(t, method, path, "").StatusCode; got != http.StatusMethodNotAllowed {
					t.Errorf("%s %s: status %d; want 405", method, path, got)
				}
			}
		}
	})
}

func TestStart_cookie(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, url, prefix string
		secure            bool
	}{
		{"https", publicURL, "__Host-tikbridge-", true},
		{"http", "http://127.0.0.1:8080", "tikbridge-", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newHosted(t, at(tt.url))
			resp := b.do(t, http.MethodGet, query(startPath, "platform", "web"), "")
			c := resp.Cookies()[0]
			if id, ok := strings.CutPrefix(c.Name, tt.prefix); !ok || len(id) != 8 || len(c.Value) != 43 {
				t.Errorf("cookie is %s=%s; want %s, 8 characters, and 43 for a value", c.Name, c.Value, tt.prefix)
			}
			c.Name, c.Value = "n", "v"
			want := "n=v; Path=/; Max-Age=600; HttpOnly; "
			if tt.secure {
				want += "Secure; "
			}
			if got := c.String(); got != want+"SameSite=Lax" {
				t.Errorf("cookie is %s; want %sSameSite=Lax", got, want)
			}
			if got := resp.Header.Get("Strict-Transport-Security") != ""; got != tt.secure {
				t.Errorf("Strict-Transport-Security is sent: %v; want %v", got, tt.secure)
			}
		})
	}
	t.Run("no cookie for a refusal", func(t *testing.T) {
		t.Parallel()
		if got := newHosted(t).do(t, http.MethodGet, startPath, "").Cookies(); len(got) != 0 {
			t.Errorf("a refused start sets %v", got)
		}
	})
}

// TestStart_cookieCap: the oldest flows of a browser go first, and other cookies are left alone.
func TestStart_cookieCap(t *testing.T) {
	t.Parallel()
	held := func(n int) string {
		cookies := []string{"session=x", "tikbridge-plain=x"}
		for i := range n {
			cookies = append(cookies, fmt.Sprintf("__Host-tikbridge-flow%04d=v", i))
		}
		return strings.Join(append(cookies, "__Host-other=x"), "; ")
	}
	for n, want := range map[int][]string{
		0: nil, 4: nil,
		5: {"__Host-tikbridge-flow0000"},
		7: {"__Host-tikbridge-flow0000", "__Host-tikbridge-flow0001", "__Host-tikbridge-flow0002"},
	} {
		resp := newHosted(t).do(t, http.MethodGet, query(startPath, "platform", "web"), "", "Cookie", held(n))
		var dropped []string
		cookies := resp.Cookies()
		for _, c := range cookies[:len(cookies)-1] {
			dropped = append(dropped, c.Name)
			if c.MaxAge >= 0 || c.Value != "" || !c.Secure || c.Path != "/" {
				t.Errorf("a browser would not drop %s", c)
			}
		}
		if diff := cmp.Diff(want, dropped); diff != "" {
			t.Errorf("of %d flows these are dropped (-want +got):\n%s", n, diff)
		}
		if last := cookies[len(cookies)-1]; last.MaxAge != 600 {
			t.Errorf("the new flow has the cookie %s", last)
		}
	}
}

// TestHosted_full: a callback or a redeem that finds no place has used nothing up: loading the page again,
// or redeeming again, works.
func TestHosted_full(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		asked := 0
		p := people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) {
			if asked++; asked == 1 {
				close(entered)
				<-release
			}
			return signin.Identity{OpenID: "-000open"}, nil
		}}
		b := newHosted(t, with(p), func(o *hostedOptions) { o.options.MaxSignIns = 1 })
		slow, other := b.begin(t, "platform", "web"), b.begin(t, "platform", "web")
		done := make(chan string)
		go func() { done <- b.handoffOf(t, slow) }()
		<-entered

		callback := query(callbackPath, "state", other.state, "code", "good-code")
		resp := b.do(t, http.MethodGet, callback, "", "Cookie", other.cookie, "Accept", forPeople)
		if got := resp.Header.Get("Retry-After"); got != "2" || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %d with Retry-After %q; want 503 and 2", resp.StatusCode, got)
		}
		wantPage(
			t, resp, "problem", "Too many people are signing in at this moment. Please try again in a few seconds.",
		)
		wantError(
			t, b.do(t, http.MethodPost, redeemPath, `{"handoff":"x","verifier":"x"}`), http.StatusServiceUnavailable,
			signin.RateLimited,
		)

		close(release)
		for _, handoff := range []string{<-done, b.handoffOf(t, other)} {
			if handoff == "" {
				t.Error("no handoff")
			}
		}
		if asked != 2 {
			t.Errorf("TikTok was asked %d times; want 2", asked)
		}
	})
}

// TestPrefetch: what a browser loads in advance, it loads again when the person goes there. So it uses
// nothing up, sets nothing and does not count.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	for _, header := range [][2]string{
		{"Sec-Purpose", "prefetch"},
		{"Sec-Purpose", "prefetch;prerender"},
		{"Sec-Purpose", "prefetch;anonymous-client-ip"},
		{"Purpose", "prefetch"},
		{"Purpose", "Prefetch"},
		{"X-Moz", "prefetch"},
		{"X-Purpose", "preview"},
	} {
		t.Run(header[0]+" "+header[1], func(t *testing.T) {
			t.Parallel()
			b := newHosted(t, func(o *hostedOptions) { o.options.StartPerMinute = 2 })
			refused := func(target, cookie string) {
				t.Helper()
				resp := b.do(t, http.MethodGet, target, "", header[0], header[1], "Cookie", cookie, "Accept", forPeople)
				wantStatus(t, resp, http.StatusServiceUnavailable)
				if got := resp.Header.Get("Cache-Control"); got != "no-store" {
					t.Errorf("%s: Cache-Control is %q; want no-store", target, got)
				}
				if len(resp.Cookies()) > 0 {
					t.Errorf("%s sets a cookie", target)
				}
				if line := b.log.last(t); line["level"] != "INFO" || line["step"] != nil {
					t.Errorf("log is %v; want no step of a sign-in, and no alarm", line)
				}
			}
			start := query(startPath, "platform", "web", "challenge", challenge())
			for range 3 {
				refused(start, "")
			}
			s := b.begin(t, "platform", "web")
			refused(query(callbackPath, "state", s.state, "code", "c"), s.cookie)
			if b.handoffOf(t, s) == "" {
				t.Error("the callback works no more")
			}
			for _, page := range []string{"/auth?code=c&state=s", "/native-callback.html?code=c", "/return?code=c"} {
				refused(page, "")
			}
			wantStatus(t, b.do(t, http.MethodGet, "/sdk/tikbridge.js", "", header[0], header[1]), http.StatusOK)
		})
	}
	b := newHosted(t)
	s := b.begin(t, "platform", "web") // none of these is one
	resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "code", "c"), "", "Cookie", s.cookie,
		"Sec-Purpose", "", "Purpose", "navigate", "X-Moz", "microsummary")
	_ = wantRedirect(t, resp)
}
