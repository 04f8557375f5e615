package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// testProvider signs somebody in through the real GoTrue, which has the bridge as the provider custom:tiktok.
func (c *compose) testProvider(t *testing.T) {
	if out, err := c.docker(t.Context(), "exec", "bridge", "/tikbridge", "supabase", "setup"); err != nil {
		t.Fatalf("supabase setup: %v\n%s", err, out)
	}
	openID := "-000Provider" + strings.ReplaceAll(uuid.NewString(), "-", "")[:24]
	auth := c.bridge.supabase + "/auth/v1"
	var cookies []*http.Cookie
	// follow asks for an address and returns where it leads.
	follow := func(address string) *url.URL {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(address, c.bridge.bridge) {
			for _, cookie := range cookies {
				req.AddCookie(cookie)
			}
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		cookies = append(cookies, resp.Cookies()...)
		location, err := resp.Location()
		if err != nil {
			t.Fatalf("%s: status %d, and no redirect", address, resp.StatusCode)
		}
		return location
	}

	bridge := follow(auth + "/authorize?" + url.Values{
		"provider": {"custom:tiktok"}, "redirect_to": {"http://" + c.app + "/in"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"s256"},
	}.Encode())
	tiktok := follow(bridge.String())
	var code struct {
		Code string `json:"code"`
	}
	callback := tiktok.Query().Get("redirect_uri")
	err := tryPost(t.Context(), c.bridge.tiktok+"/sim/codes",
		map[string]string{"open_id": openID, "redirect_uri": callback}, &code)
	if err != nil {
		t.Fatal(err)
	}
	gotrue := follow(callback + "?" + url.Values{"code": {code.Code}, "state": {tiktok.Query().Get("state")}}.Encode())
	app := follow(gotrue.String())
	if app.Host != c.app || app.Query().Get("code") == "" {
		t.Fatalf("the app got %s; want a code of Supabase", app.Redacted())
	}
}
