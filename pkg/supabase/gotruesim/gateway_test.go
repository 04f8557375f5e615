package gotruesim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

func TestGatewayKeys(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	service, anon := p.ServiceRoleKey(), p.AnonKey()
	const chrome = "Mozilla/5.0 (X11; Linux x86_64) Chrome/156"
	tests := []struct {
		name    string
		path    string
		headers []string
		status  int
		message string // of a refusal
	}{
		{name: "no key", status: 401, message: "No API key found in request"},
		{
			name: "bearer without apikey", status: 401, message: "No API key found in request",
			headers: []string{"Authorization", "Bearer " + service},
		},
		{name: "unknown key", status: 401, message: "Invalid API key", headers: []string{"apikey", "sb_secret_x"}},
		{
			name: "JWT of another project", status: 401, message: "Invalid API key",
			headers: []string{"apikey", service + "x"},
		},
		{name: "secret key", status: 200, headers: []string{"apikey", gotruesim.SecretKey}},
		{
			name: "secret key twice", status: 200,
			headers: []string{"apikey", gotruesim.SecretKey, "Authorization", "Bearer " + gotruesim.SecretKey},
		},
		{
			name: "secret key from a browser", status: 401,
			message: "Forbidden use of secret API key in browser",
			headers: []string{"apikey", gotruesim.SecretKey, "User-Agent", chrome},
		},
		{
			name: "secret key with another's bearer", status: 403, message: "User not allowed",
			headers: []string{"apikey", gotruesim.SecretKey, "Authorization", "Bearer " + anon},
		},
		{
			name: "publishable key", status: 403, message: "User not allowed",
			headers: []string{"apikey", gotruesim.PublishableKey},
		},
		{
			name: "legacy key in apikey alone", status: 401,
			message: "This endpoint requires a valid Bearer token",
			headers: []string{"apikey", service},
		},
		{
			name: "legacy key in both", status: 200,
			headers: []string{"apikey", service, "Authorization", "Bearer " + service},
		},
		{
			name: "secret key is no JWT without a gateway", path: "/admin/users", status: 403,
			headers: []string{"Authorization", "Bearer " + gotruesim.SecretKey},
			message: "invalid JWT: unable to parse or verify signature, token is malformed: " +
				"token contains an invalid number of segments",
		},
		{name: "settings with a key", status: 200, path: "/auth/v1/settings?apikey=" + gotruesim.PublishableKey},
		{name: "settings without", path: "/auth/v1/settings", status: 401, message: "No API key found in request"},
		{
			name: "verify is open", path: "/auth/v1/verify?type=magiclink", status: 400,
			message: "Verify requires a token or a token hash",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path
			if path == "" {
				path = "/auth/v1/admin/users"
			}
			headers := append(tt.headers, "X-Supabase-Api-Version", "2024-01-01")
			r := p.do("GET", path, nil, headers...)
			wantStatus(t, r, tt.status)
			if got := r.str("message"); got != tt.message {
				t.Errorf("got message %q; want %q", got, tt.message)
			}
		})
	}
}

// TestCORS is the gateway's; recordings have GoTrue's own.
func TestCORS(t *testing.T) {
	const (
		origin  = "Access-Control-Allow-Origin"
		methods = "Access-Control-Allow-Methods"
		headers = "Access-Control-Allow-Headers"
	)
	p := newProject(t, gotruesim.Options{})
	tests := []struct {
		name, method, path string
		send               []string
		status             int
		want               map[string]string
	}{
		{
			name: "preflight of supabase-js at the gateway", method: "OPTIONS",
			path: "/auth/v1/token", status: 200,
			send: []string{
				"Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "apikey,authorization,content-type",
			},
			want: map[string]string{
				origin:  "*",
				methods: "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT",
				headers: "apikey,authorization,content-type",
			},
		},
		{
			name: "refused by the gateway", method: "GET", path: "/auth/v1/settings", status: 401,
			want: map[string]string{origin: "*"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			send := append(tt.send, "Origin", "https://app.example.com")
			r := p.do(tt.method, tt.path, nil, send...)
			wantStatus(t, r, tt.status)
			for _, name := range []string{origin, methods, headers} {
				if diff := cmp.Diff(tt.want[name], r.header.Get(name)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}
