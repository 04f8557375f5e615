package server_test

import (
	"net/http"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/server"
)

// TestSiteVerification serves TikTok's proof wherever the operator may have told TikTok to look, and for nobody's
// code but the operator's.
func TestSiteVerification(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, func(o *server.Options) {
		o.SiteVerification = []string{"AbC123dEf456", "Another0Code"}
	})
	for _, prefix := range []string{
		"/", "/api/", "/api/auth/", "/api/auth/tiktok/", "/api/auth/tiktok/callback/",
		"/native-callback/", "/native-callback.html/", "/auth/", "/auth.html/",
	} {
		for _, code := range []string{"AbC123dEf456", "Another0Code"} {
			target := prefix + "tiktok" + code + ".txt"
			resp := b.do(t, http.MethodGet, target, "")
			got, want := readBody(t, resp), "tiktok-developers-site-verification="+code
			if got != want || resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d %q; want 200 %q", target, resp.StatusCode, got, want)
			}
			for name, want := range map[string]string{
				"Content-Type": "text/plain; charset=UTF-8", "Cache-Control": "public, max-age=300",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q; want %q", target, name, got, want)
				}
			}
			wantStatus(t, b.do(t, http.MethodHead, target, ""), http.StatusOK)
		}
		wantStatus(t, b.do(t, http.MethodGet, prefix+"tiktokSomebodyElse.txt", ""), http.StatusNotFound)
	}
}
