package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// preflight asks as a browser does before it sends a request.
func (b bridge) preflight(t *testing.T, path, origin, method, headers string) *http.Response {
	t.Helper()
	return b.do(t, http.MethodOptions, path, "", "Origin", origin,
		"Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers)
}

// TestCORS_app: pages that a Capacitor or Ionic app brings along may call if they are listed.
func TestCORS_app(t *testing.T) {
	t.Parallel()
	list, err := allow.New([]string{"capacitor://localhost", appOrigin}, []string{appOrigin + "/auth"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBridge(t, people{}, func(o *server.Options) { o.Allow = list })
	wantGrant(t, b.post(t, goodBody, "Origin", "capacitor://localhost"), "capacitor://localhost", true)
	wantStatus(t, b.post(t, goodBody, "Origin", "ionic://localhost"), http.StatusForbidden)
}

// TestCORS_headers: a page may send what its tracing adds to every request, and no credential of another kind.
func TestCORS_headers(t *testing.T) {
	t.Parallel()
	const always = "Content-Type,Authorization,Apikey,X-Client-Info"
	for asked, want := range map[string]string{
		"":                                    always,
		"authorization,apikey,x-client-info":  always,
		"content-type,sentry-trace,baggage":   always + ",sentry-trace,baggage",
		"baggage, Traceparent , TRACESTATE":   always + ",baggage,traceparent,tracestate",
		"x-datadog-origin,x-datadog-origin,,": always + ",x-datadog-origin",
		"cookie,Cookie2,proxy-authorization,x-api-key,X-Auth-Token,b3": always + ",b3",
		"*,a b,a\"b,\u00e4": always,
	} {
		for path, method := range map[string]string{exchangePath: "POST", redeemPath: "POST", startPath: "GET"} {
			b := newBridge(t, people{})
			resp := b.preflight(t, path, appOrigin, method, asked)
			wantStatus(t, resp, http.StatusNoContent)
			if got := resp.Header.Get("Access-Control-Allow-Headers"); got != want {
				t.Errorf("%s: %q is granted %q; want %q", path, asked, got, want)
			}
			resp = b.preflight(t, path, "https://evil.example", method, asked)
			if got := resp.Header.Get("Access-Control-Allow-Headers"); got != "" {
				t.Errorf("%s: a foreign page is granted %q", path, got)
			}
		}
	}
}

// wantGrant checks who may read the answer, and that caches are told that it depends on who asks.
func wantGrant(t *testing.T, resp *http.Response, origin string, allowed bool) {
	t.Helper()
	if !allowed {
		origin = ""
	}
	if got := strings.Join(resp.Header["Access-Control-Allow-Origin"], ","); got != origin {
		t.Errorf("Access-Control-Allow-Origin is %q; want %q", got, origin)
	}
	if vary := resp.Header["Vary"]; !slices.Contains(vary, "Origin") {
		t.Errorf("Vary is %q; want Origin in it", vary)
	}
}

// TestForeignOrigin checks that what a foreign page sends neither spends a code nor counts.
func TestForeignOrigin(t *testing.T) {
	t.Parallel()
	calls := 0
	b := newBridge(t, people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) {
		calls++
		return signin.Identity{OpenID: "-000open"}, nil
	}}, limited(1))
	for range 5 {
		wantStatus(t, b.post(t, goodBody, "Origin", "https://evil.example"), http.StatusForbidden)
	}
	if calls != 0 {
		t.Errorf("TikTok was asked %d times", calls)
	}
	wantStatus(t, b.post(t, goodBody, "Origin", appOrigin), http.StatusOK)
}
