package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

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
			"nor this machine beside a proxy",
			[]string{"192.0.2.0/24"},
			"127.0.0.1:1",
			[]string{"198.51.100.1"},
			"127.0.0.1",
		},
		{"nor a private network", []string{"192.0.2.0/24"}, "10.0.0.1:1", []string{"198.51.100.1"}, "10.0.0.1"},
		{
			"nor a neighbour on the link",
			[]string{"192.0.2.0/24"},
			"169.254.0.1:1",
			[]string{"198.51.100.1"},
			"169.254.0.1",
		},
		{"peer is no proxy", proxies, "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"one proxy", proxies, "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"proxy sends nothing", proxies, "10.0.0.1:1", nil, "10.0.0.1"},
		{"two proxies", proxies, "10.0.0.1:1", []string{"198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"two headers", proxies, "10.0.0.1:1", []string{"198.51.100.1", "10.9.9.9"}, "198.51.100.1"},
		{"spoofed on the left", proxies, "10.0.0.1:1", []string{"192.0.2.77, 198.51.100.1"}, "198.51.100.1"},
		{
			"spoofed proxy on the left", proxies, "10.0.0.1:1",
			[]string{"192.0.2.77, 10.1.1.1, 198.51.100.1"},
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
		{
			"zone of a proxy",
			[]string{"fe80::/10"},
			"[fe80::9%eth1]:1",
			[]string{"203.0.113.10, fe80::1%eth0"},
			"203.0.113.10",
		},
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

// TestClientAddress_header: the operator names another header, and X-Forwarded-For is believed no more.
func TestClientAddress_header(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ peer, value, want string }{
		"proxy":                {"10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		"proxy sends nothing":  {"10.0.0.1:1", "", "10.0.0.1"},
		"nobody that is known": {"203.0.113.9:1", "198.51.100.1", "203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got netip.Addr
			b := newBridge(t, people{signIn: func(_ context.Context, client netip.Addr) (signin.SignedIn, error) {
				got = client
				return signin.SignedIn{}, errors.New("enough")
			}}, trusting("10.0.0.0/8"), func(o *server.Options) { o.ClientIPHeader = "fly-client-ip" })
			req := httptest.NewRequest(http.MethodPost, exchangePath, strings.NewReader(goodBody))
			req.RemoteAddr = tt.peer
			req.Header.Set("Fly-Client-IP", tt.value)
			req.Header.Set("X-Forwarded-For", "192.0.2.66")
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
	const unreadable = "the header of a trusted proxy cannot be read"
	for forwarded, want := range map[string]int{
		"unknown": 1, "203.0.113.10:x": 1, "<b>canary</b>": 1,
		"203.0.113.10:1111": 0, "": 0, ",": 0, "<canary>, 203.0.113.10": 0,
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
