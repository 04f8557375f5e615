package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func trusting(networks ...string) func(*server.Options) {
	return func(o *server.Options) {
		for _, n := range networks {
			o.TrustedProxies = append(o.TrustedProxies, netip.MustParsePrefix(n))
		}
	}
}

func limited(perMinute int) func(*server.Options) {
	return func(o *server.Options) { o.ExchangePerMinute = perMinute }
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	proxies := []string{"10.0.0.0/8", "2001:db8:aa::/48"}
	tests := []struct {
		name      string
		proxies   []string
		peer      string
		forwarded []string // X-Forwarded-For, a header each
		want      string
	}{
		{"no proxy", nil, "203.0.113.9:1", nil, "203.0.113.9"},
		{"nobody is trusted", nil, "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"not even this machine", nil, "127.0.0.1:1", []string{"198.51.100.1"}, "127.0.0.1"},
		{
			"nor this machine beside a proxy", []string{"192.0.2.0/24"}, "127.0.0.1:1", []string{"198.51.100.1"},
			"127.0.0.1",
		},
		{"nor a private network", []string{"192.0.2.0/24"}, "10.0.0.1:1", []string{"198.51.100.1"}, "10.0.0.1"},
		{
			"nor a neighbour on the link", []string{"192.0.2.0/24"}, "169.254.0.1:1", []string{"198.51.100.1"},
			"169.254.0.1",
		},
		{"peer is no proxy", proxies, "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"one proxy", proxies, "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"proxy sends nothing", proxies, "10.0.0.1:1", nil, "10.0.0.1"},
		{"two proxies", proxies, "10.0.0.1:1", []string{"198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"two headers", proxies, "10.0.0.1:1", []string{"198.51.100.1", "10.9.9.9"}, "198.51.100.1"},
		{"spoofed on the left", proxies, "10.0.0.1:1", []string{"192.0.2.77, 198.51.100.1"}, "198.51.100.1"},
		{
			"spoofed proxy on the left", proxies, "10.0.0.1:1", []string{"192.0.2.77, 10.1.1.1, 198.51.100.1"},
			"198.51.100.1",
		},
		{"rubbish on the left", proxies, "10.0.0.1:1", []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
		{"rubbish", proxies, "10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		{"empty", proxies, "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"obfuscated", proxies, "10.0.0.1:1", []string{"_hidden"}, "10.0.0.1"},
		{"rubbish right of an address", proxies, "10.0.0.1:1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"rubbish left of a proxy", proxies, "10.0.0.1:1", []string{"unknown, 10.9.9.9"}, "10.0.0.1"},
		{"port", proxies, "10.0.0.1:1", []string{"203.0.113.10:1111"}, "203.0.113.10"},
		{"IPv6 and port", proxies, "10.0.0.1:1", []string{"[2001:db8::1]:1"}, "2001:db8::1"},
		{"port of a proxy", proxies, "10.0.0.1:1", []string{"203.0.113.10:1111, 10.9.9.9:443"}, "203.0.113.10"},
		{"IPv4 in IPv6 and port", proxies, "10.0.0.1:1", []string{"[::ffff:203.0.113.10]:1"}, "203.0.113.10"},
		{"proxy as IPv4 in IPv6", proxies, "10.0.0.1:1", []string{"203.0.113.10, ::ffff:10.9.9.9"}, "203.0.113.10"},
		{"quoted", proxies, "10.0.0.1:1", []string{`"203.0.113.10"`}, "203.0.113.10"},
		{"quoted, IPv6 and port", proxies, "10.0.0.1:1", []string{`"[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"zone and port", proxies, "10.0.0.1:1", []string{"[fe80::1%eth0]:1"}, "fe80::1"},
		{"zone of the client", proxies, "10.0.0.1:1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"zone of a proxy", []string{"fe80::/10"}, "[fe80::9%eth1]:1", []string{"203.0.113.10, fe80::1%eth0"}, "203.0.113.10"},
		{"long IPv6", proxies, "10.0.0.1:1", []string{"2001:0DB8:0:0:0:0:0:1"}, "2001:db8::1"},
		{"empty elements", proxies, "10.0.0.1:1", []string{"203.0.113.10, ,10.9.9.9,", ","}, "203.0.113.10"},
		{"tabs", proxies, "10.0.0.1:1", []string{"192.0.2.77,\t203.0.113.10:1\t"}, "203.0.113.10"},
		{"port that is none", proxies, "10.0.0.1:1", []string{"203.0.113.10:x"}, "10.0.0.1"},
		{"IPv4 that browsers read", proxies, "10.0.0.1:1", []string{"0313.0.0161.10"}, "10.0.0.1"},
		{"half a bracket", proxies, "10.0.0.1:1", []string{"[2001:db8::1"}, "10.0.0.1"},
		{"none but proxies", proxies, "10.0.0.1:1", []string{"10.1.1.1, 10.2.2.2"}, "10.1.1.1"},
		{"IPv6", proxies, "[2001:db8:aa::1]:1", []string{"2001:db8:bb::7"}, "2001:db8:bb::7"},
		{"IPv6 in brackets", proxies, "10.0.0.1:1", []string{"[2001:db8:bb::7]"}, "2001:db8:bb::7"},
		{"IPv4 in IPv6", proxies, "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"IPv4 in IPv6 without proxies", nil, "[::ffff:203.0.113.9]:1", nil, "203.0.113.9"},
		{"zone", nil, "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"no address", nil, "@", nil, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got netip.Addr
			b := newBridge(t, people{signIn: func(_ context.Context, client netip.Addr) (signin.SignedIn, error) {
				got = client
				return signin.SignedIn{}, errors.New("enough")
			}}, trusting(tt.proxies...))
			req := httptest.NewRequest(http.MethodPost, exchangePath, strings.NewReader(goodBody))
			req.RemoteAddr = tt.peer
			req.Header["X-Forwarded-For"] = tt.forwarded
			for _, name := range []string{"X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "True-Client-Ip"} {
				req.Header.Set(name, "192.0.2.66") // believed from nobody
			}
			_ = b.serve(req)
			if got.String() != tt.want {
				t.Errorf("the client is %s; want %s", got, tt.want)
			}
		})
	}
}

// TestClientAddress_notice: what a trusted proxy writes and nobody can read is said once, and not repeated.
func TestClientAddress_notice(t *testing.T) {
	t.Parallel()
	const unreadable = "X-Forwarded-For of a trusted proxy cannot be read"
	for forwarded, want := range map[string]int{
		"unknown": 1, "203.0.113.10:x": 1, "<b>canary</b>": 1, "203.0.113.10:1111": 0, "": 0, ",": 0, "<canary>, 203.0.113.10": 0,
	} {
		b := newBridge(t, people{}, trusting("192.0.2.0/24")) // httptest's own address
		for range 3 {
			wantStatus(t, b.post(t, goodBody, "X-Forwarded-For", forwarded), http.StatusOK)
		}
		if got := strings.Count(b.log.String(), unreadable); got != want {
			t.Errorf("%q: said %d times; want %d", forwarded, got, want)
		}
		if strings.Contains(b.log.String(), "canary") {
			t.Errorf("%q is in the log", forwarded)
		}
	}
	b := newBridge(t, people{}, trusting("198.51.100.0/24"))
	_ = b.post(t, goodBody, "X-Forwarded-For", "unknown") // from nobody's proxy
	if strings.Contains(b.log.String(), unreadable) {
		t.Error("anybody can write into the log")
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	const given = "4f1b-Trace_id.7"
	tests := []struct {
		name, peer, id string
		kept           bool
	}{
		{"trusted proxy", "10.0.0.1:1", given, true},
		{"trusted proxy, IPv4 in IPv6", "[::ffff:10.0.0.1]:1", given, true},
		{"anybody else", "203.0.113.9:1", given, false},
		{"no address", "@", given, false},
		{"none", "10.0.0.1:1", "", false},
		{"shortest", "10.0.0.1:1", "12345678", true},
		{"too short", "10.0.0.1:1", "1234567", false},
		{"longest", "10.0.0.1:1", strings.Repeat("x", 64), true},
		{"too long", "10.0.0.1:1", strings.Repeat("x", 65), false},
		{"markup", "10.0.0.1:1", "<b>12345678</b>", false},
		{"two lines", "10.0.0.1:1", "12345678\n12345678", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{}, trusting("10.0.0.0/8"))
			req := httptest.NewRequest(http.MethodPost, exchangePath, strings.NewReader("{}"))
			req.RemoteAddr = tt.peer
			req.Header.Set("X-Request-Id", tt.id)
			resp := b.serve(req)
			got := resp.Header.Get("X-Request-Id")
			if kept := got == tt.id; kept != tt.kept || len(got) < 8 {
				t.Errorf("request id is %q for the given %q; kept: %v, want %v", got, tt.id, kept, tt.kept)
			}
			if m := readJSON(t, resp); m["request_id"] != got || b.log.last(t)["request_id"] != got {
				t.Errorf("header, body and log disagree: %q, %q, %q", got, m["request_id"], b.log.last(t)["request_id"])
			}
		})
	}
}

func TestRequestID_unique(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{})
	first := b.post(t, goodBody).Header.Get("X-Request-Id")
	if second := b.post(t, goodBody).Header.Get("X-Request-Id"); first == second {
		t.Errorf("two requests have the id %q", first)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, origin string
		allowed      bool
		status       int // of a POST
	}{
		{"the app", appOrigin, true, 200},
		{"no page at all", "", false, 200},
		{"foreign", "https://evil.example", false, 403},
		{"null", "null", false, 403},
		{"other scheme", "http://app.example", false, 403},
		{"other port", appOrigin + ":8443", false, 403},
		{"default port", appOrigin + ":443", false, 403},
		{"slash", appOrigin + "/", false, 403},
		{"capitals", "https://APP.example", false, 403},
		{"subdomain", "https://x.app.example", false, 403},
		{"same beginning", appOrigin + ".evil.example", false, 403},
		{"star", "*", false, 403},
	}
	for _, tt := range tests {
		for _, path := range []string{exchangePath, functionPath} {
			t.Run(tt.name+path, func(t *testing.T) {
				t.Parallel()
				b := newBridge(t, people{})
				var headers []string
				if tt.origin != "" {
					headers = []string{"Origin", tt.origin}
				}
				resp := b.do(t, http.MethodPost, path, goodBody, headers...)
				wantGrant(t, resp, tt.origin, tt.allowed)
				if got := resp.Header.Get("Access-Control-Expose-Headers"); (got == "X-Request-Id,Retry-After") != tt.allowed {
					t.Errorf("Access-Control-Expose-Headers is %q", got)
				}
				if tt.status == http.StatusForbidden {
					wantError(t, resp, http.StatusForbidden, signin.OriginNotAllowed)
				} else {
					wantStatus(t, resp, tt.status)
				}

				headers = append(headers, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,cookie")
				resp = b.do(t, http.MethodOptions, path, "", headers...)
				if tt.status == http.StatusForbidden {
					wantError(t, resp, http.StatusForbidden, signin.OriginNotAllowed)
				} else {
					wantGrant(t, resp, tt.origin, tt.allowed)
					wantStatus(t, resp, http.StatusNoContent)
				}
				want := map[string]string{
					"Access-Control-Allow-Origin":  tt.origin,
					"Access-Control-Allow-Methods": "POST",
					"Access-Control-Allow-Headers": "Content-Type,Authorization,Apikey,X-Client-Info",
					"Access-Control-Max-Age":       "600",
				}
				for name, value := range want {
					if !tt.allowed {
						value = ""
					}
					if got := resp.Header.Get(name); got != value {
						t.Errorf("%s is %q; want %q", name, got, value)
					}
				}
			})
		}
	}
}

// TestCORS_app: pages that a Capacitor or Ionic app brings along may call if they are listed.
func TestCORS_app(t *testing.T) {
	t.Parallel()
	list, err := allow.New([]string{"capacitor://localhost", "https://app.example"}, []string{"https://app.example/auth"}, nil)
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
			resp := b.do(t, http.MethodOptions, path, "", "Origin", appOrigin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", asked)
			wantStatus(t, resp, http.StatusNoContent)
			if got := resp.Header.Get("Access-Control-Allow-Headers"); got != want {
				t.Errorf("%s: %q is granted %q; want %q", path, asked, got, want)
			}
			resp = b.do(t, http.MethodOptions, path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", method, "Access-Control-Request-Headers", asked)
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

// TestCORS_errors checks that the app's page can read why something failed.
func TestCORS_errors(t *testing.T) {
	t.Parallel()
	b := newBridge(t, failing(&signin.Error{Code: signin.TikTokUnavailable, Message: "No."}), limited(3))
	for _, status := range []int{503, 400, 413, 429} {
		body := map[int]string{503: goodBody, 400: "{", 413: bodyOf(70 << 10), 429: goodBody}[status]
		resp := b.post(t, body, "Origin", appOrigin)
		wantGrant(t, resp, appOrigin, true)
		wantStatus(t, resp, status)
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

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, people{}, limited(7))
		for range 7 {
			wantStatus(t, b.post(t, goodBody), http.StatusOK)
		}
		resp := b.post(t, goodBody)
		if got := resp.Header.Get("Retry-After"); got != "9" { // 60 s / 7, rounded up
			t.Errorf("Retry-After is %q; want 9", got)
		}
		wantError(t, resp, http.StatusTooManyRequests, signin.RateLimited)
		if line := b.log.last(t); line["status"] != 429.0 || line["error"] != "rate_limited" ||
			line["level"] != "INFO" {
			t.Errorf("log is %v; want the refusal", line)
		}
		wantStatus(t, b.do(t, http.MethodPost, functionPath, goodBody), http.StatusTooManyRequests)

		time.Sleep(8 * time.Second)
		wantStatus(t, b.post(t, goodBody), http.StatusTooManyRequests)
		time.Sleep(time.Second)
		wantStatus(t, b.post(t, goodBody), http.StatusOK)
		wantStatus(t, b.post(t, goodBody), http.StatusTooManyRequests)

		time.Sleep(time.Hour)
		for range 7 {
			wantStatus(t, b.post(t, goodBody), http.StatusOK)
		}
		wantStatus(t, b.post(t, goodBody), http.StatusTooManyRequests)
	})
}

func TestRateLimit_off(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, limited(0))
	for range 200 {
		wantStatus(t, b.post(t, goodBody), http.StatusOK)
	}
}

// TestRateLimit_only says what is not limited: asking beforehand, and everything else.
func TestRateLimit_only(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, limited(1))
	for range 5 {
		wantStatus(
			t,
			b.do(t, http.MethodOptions, exchangePath, "", "Origin", appOrigin, "Access-Control-Request-Method", "POST"),
			http.StatusNoContent,
		)
		wantStatus(t, b.do(t, http.MethodGet, "/auth", ""), http.StatusOK)
		wantStatus(t, b.do(t, http.MethodGet, "/healthz", ""), http.StatusOK)
	}
	wantStatus(t, b.post(t, goodBody), http.StatusOK)
}

func TestRateLimit_neighbours(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, first, second string
		together            bool
	}{
		{"same address", "198.51.100.1", "198.51.100.1", true},
		{"IPv4 neighbours", "198.51.100.1", "198.51.100.2", false},
		{"one IPv6 network", "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
		{"two IPv6 networks", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"IPv4 in IPv6", "::ffff:198.51.100.1", "198.51.100.1", true},
		{"IPv4 neighbours in IPv6", "::ffff:198.51.100.1", "::ffff:198.51.100.2", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{}, limited(1), trusting("192.0.2.0/24")) // httptest's own address
			wantStatus(t, b.post(t, goodBody, "X-Forwarded-For", tt.first), http.StatusOK)
			want := http.StatusOK
			if tt.together {
				want = http.StatusTooManyRequests
			}
			wantStatus(t, b.post(t, goodBody, "X-Forwarded-For", tt.second), want)
		})
	}
}

// TestRateLimit_spoofed checks that nobody gets around the limit with a header.
func TestRateLimit_spoofed(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, limited(1))
	wantStatus(t, b.post(t, goodBody, "X-Forwarded-For", "198.51.100.1"), http.StatusOK)
	wantStatus(t, b.post(t, goodBody, "X-Forwarded-For", "198.51.100.2"), http.StatusTooManyRequests)
	wantStatus(t, b.post(t, goodBody, "X-Real-Ip", "198.51.100.3"), http.StatusTooManyRequests)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{})
	want := map[string]string{
		"Cache-Control":             "no-store",
		"Referrer-Policy":           "no-referrer",
		"X-Content-Type-Options":    "nosniff",
		"Content-Security-Policy":   "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
		"Strict-Transport-Security": "",
		"Server":                    "",
		"X-Powered-By":              "",
	}
	answers := map[string]*http.Response{
		"session":   b.post(t, goodBody),
		"error":     b.post(t, "{"),
		"preflight": b.do(t, http.MethodOptions, exchangePath, "", "Origin", appOrigin),
		"no route":  b.do(t, http.MethodGet, "/nothing", ""),
		"no method": b.do(t, http.MethodGet, exchangePath, ""),
		"probe":     b.do(t, http.MethodGet, "/readyz", ""),
		"start":     b.do(t, http.MethodGet, "/", ""),
	}
	for name, resp := range answers {
		for header, value := range want {
			if got := resp.Header.Get(header); got != value {
				t.Errorf("%s: %s is %q; want %q", name, header, got, value)
			}
		}
	}
}

func TestHeaders_strictTransport(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                       "",
		"http://localhost:8080":  "",
		"https://signin.example": "max-age=31536000",
	} {
		b := newBridge(t, people{}, func(o *server.Options) { o.PublicURL = url })
		for _, resp := range []*http.Response{
			b.post(t, goodBody), b.do(t, http.MethodGet, "/auth", ""), b.do(t, http.MethodGet, "/nothing", ""),
		} {
			if got := resp.Header.Get("Strict-Transport-Security"); got != want {
				t.Errorf("public URL %q: Strict-Transport-Security is %q; want %q", url, got, want)
			}
		}
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	tests := map[string]func(){
		"text":         func() { panic("panic-value") },
		"error":        func() { panic(errors.New("panic-value")) },
		"domain error": func() { panic(&signin.Error{Code: signin.AccessDenied, Message: "panic-value"}) },
		"runtime": func() {
			list := signin.Codes()
			_ = list[len(list)]
		},
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{exchange: func(_ context.Context, g signin.Grant) (signin.Identity, error) {
				if g.CodeVerifier == "" {
					fail()
				}
				return signin.Identity{OpenID: "-000open"}, nil
			}})
			resp := b.post(t, goodBody, "Origin", appOrigin)
			wantGrant(t, resp, appOrigin, true)
			description := wantError(t, resp, http.StatusInternalServerError, signin.Internal)
			for _, part := range []string{"panic", "goroutine", ".go", "out of range"} {
				if strings.Contains(description, part) {
					t.Errorf("error_description is %q; want nothing about the panic", description)
				}
			}
			line := b.log.last(t)
			cause, _ := line["cause"].(string)
			if line["level"] != "ERROR" || line["error"] != "internal" || !strings.HasPrefix(cause, "panic: ") ||
				!strings.Contains(cause, "middleware_test.go") {
				t.Errorf("log is %v; want an error with the panic and where it was", line)
			}
			wantStatus(
				t, b.post(t, `{"code":"x","redirect_uri":"https://app.example/auth","code_verifier":"v"}`),
				http.StatusOK,
			)
		})
	}
}

func keysOf(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	plain := []string{"duration_ms", "level", "method", "msg", "request_id", "route", "status", "time"}
	with := func(more ...string) []string {
		all := append(slices.Clone(plain), more...)
		slices.Sort(all)
		return all
	}
	tests := []struct {
		name, method, target, body string
		want                       map[string]any // part of the line
		keys                       []string
	}{
		{
			"session", "POST", exchangePath, goodBody,
			map[string]any{
				"level": "INFO", "msg": "request", "method": "POST", "route": exchangePath, "status": 200.0,
				"flow": "guide", "step": "exchange", "outcome": "signed_in", "user_id": userID,
			},
			with("flow", "step", "outcome", "user_id", "calls_ms"),
		},
		{
			"other path", "POST", functionPath, goodBody,
			map[string]any{"level": "INFO", "route": functionPath, "status": 200.0},
			with("flow", "step", "outcome", "user_id", "calls_ms"),
		},
		{
			"refused", "POST", exchangePath, "{}",
			map[string]any{"level": "INFO", "status": 400.0, "flow": "guide", "error": "invalid_request"},
			with("flow", "step", "error"),
		},
		{
			"no JSON", "POST", exchangePath, "{",
			map[string]any{"level": "INFO", "status": 400.0, "flow": "guide", "error": "invalid_request"},
			with("flow", "step", "error"),
		},
		{
			"page", "GET", "/auth?code=x", "",
			map[string]any{"level": "INFO", "method": "GET", "route": "/auth", "status": 200.0}, plain,
		},
		{
			"preflight", "OPTIONS", exchangePath, "",
			map[string]any{"level": "INFO", "method": "OPTIONS", "route": exchangePath, "status": 204.0}, plain,
		},
		{
			"no route", "GET", "/wp-login.php", "",
			map[string]any{"level": "INFO", "route": "(none)", "status": 404.0, "error": "invalid_request"},
			with("error"),
		},
		{
			"no method", "BREW", exchangePath, "",
			map[string]any{"level": "INFO", "method": "(other)", "status": 405.0, "error": "invalid_request"},
			with("error"),
		},
		{"alive", "GET", "/healthz", "", map[string]any{"level": "DEBUG", "route": "/healthz", "status": 200.0}, plain},
		{"ready", "GET", "/readyz", "", map[string]any{"level": "DEBUG", "route": "/readyz", "status": 200.0}, plain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, people{})
			_ = b.do(t, tt.method, tt.target, tt.body)
			line := b.log.last(t)
			if diff := cmp.Diff(tt.keys, keysOf(line)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			for key, want := range tt.want {
				if line[key] != want {
					t.Errorf("%s is %v; want %v", key, line[key], want)
				}
			}
			if lines := strings.Count(b.log.String(), "\n"); lines != 1 {
				t.Errorf("the request left %d lines; want 1:\n%s", lines, b.log)
			}
		})
	}
}

func TestRequestLog_duration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) {
			time.Sleep(1234567 * time.Microsecond)
			return signin.Identity{OpenID: "-000open"}, nil
		}})
		_ = b.post(t, goodBody)
		line := b.log.last(t)
		if got := line["duration_ms"]; got != 1234.57 {
			t.Errorf("duration_ms is %v; want 1234.57", got)
		}
		calls, _ := line["calls_ms"].(map[string]any)
		if got := calls["token"]; got != 1234.57 {
			t.Errorf("calls_ms.token is %v; want 1234.57", got)
		}
	})
}

// TestRequestLog_upstream: the line of a sign-in that failed says where, and what TikTok's or Supabase's
// support asks for.
func TestRequestLog_upstream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		p    people
		want map[string]any
	}{
		{
			"TikTok", failing(&signin.Error{
				Code: signin.InvalidGrant, Call: "token",
				Upstream: signin.Upstream{Service: "tiktok", Status: 400, Code: "invalid_grant", LogID: "2026112508"},
				Err:      errors.New("code is expired"),
			}),
			map[string]any{
				"level": "INFO", "msg": "request", "method": "POST", "route": exchangePath, "status": 400.0,
				"flow": "guide", "step": "exchange",
				"error": "invalid_grant", "call": "token", "upstream": "tiktok", "upstream_status": 400.0,
				"upstream_code": "invalid_grant",
				"tiktok_log_id": "2026112508", "cause": "code is expired",
			},
		},
		{
			"Supabase",
			people{signIn: func(ctx context.Context, _ netip.Addr) (signin.SignedIn, error) {
				signin.ReportFrom(ctx).SetUser(userID)
				return signin.SignedIn{}, &signin.Error{
					Code: signin.SupabaseUnavailable, Call: "verify",
					Upstream: signin.Upstream{Service: "supabase", Status: 503, Code: "unexpected_failure"},
				}
			}},
			map[string]any{
				"level": "ERROR", "msg": "request", "method": "POST", "route": exchangePath, "status": 503.0,
				"flow": "guide", "step": "exchange",
				"error": "supabase_unavailable", "call": "verify", "upstream": "supabase", "upstream_status": 503.0,
				"upstream_code": "unexpected_failure", "user_id": userID,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, tt.p)
			_ = b.post(t, goodBody)
			line := b.log.last(t)
			if _, ok := line["calls_ms"].(map[string]any)["token"]; !ok {
				t.Errorf("calls_ms is %v; want the time of the exchange", line["calls_ms"])
			}
			for _, key := range []string{"time", "duration_ms", "request_id", "calls_ms"} {
				delete(line, key)
			}
			if diff := cmp.Diff(tt.want, line); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRequestLog_foreign puts a word wherever a client can write, and looks for it in the log.
func TestRequestLog_foreign(t *testing.T) {
	t.Parallel()
	const word = "XYZZY"
	b := newBridge(t, people{})
	bodies := []string{
		goodBody, word, `"` + word + `"`, `{"` + word + `":1}`, `{"code":{"` + word + `":1}}`,
		`{"code":"` + word + `"}`,
		`{"code":"` + word + `","redirect_uri":"https://app.example/` + word + `"}`,
		`{"code":"` + word + `","redirect_uri":"https://app.example/auth","state":"u|` + word + `"}`,
		`{"code":"` + word + `","redirect_uri":"https://app.example/auth","code_verifier":"` + word + `"}`,
	}
	for _, body := range bodies {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", word} {
			for _, target := range []string{
				exchangePath + "?code=" + word, functionPath + "?" + word, "/" + word,
				"/auth?code=" + word + "&state=" + word,
				"/sdk/" + word, "/native-callback.html?" + word, "/%58YZZY/" + word, exchangePath + "/" + word,
				"http://" + word + "/readyz",
			} {
				for _, origin := range []string{"", "https://" + word + "/"} { // no origin has a path; see TestRefusedOrigin
					req := httptest.NewRequest(method, target, strings.NewReader(body))
					req.Host = word
					if origin != "" {
						req.Header.Set("Origin", origin)
					}
					for _, name := range []string{
						"User-Agent", "Referer", "Cookie", "Authorization", "Apikey", "X-Forwarded-For", "X-Request-Id",
						"Traceparent", "Accept", "Content-Type", word,
					} {
						req.Header.Set(name, word+"12345678")
					}
					_ = b.serve(req)
				}
			}
		}
	}
	for _, line := range strings.Split(b.log.String(), "\n") {
		if strings.Contains(strings.ToUpper(line), word) {
			t.Errorf("the log holds what a client wrote: %s", line)
		}
	}
}
