package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// siteVerification looks for TikTok's proof that the address is the operator's, at the root and below the callback.
func siteVerification(ctx context.Context, o Options) []Finding {
	base, codes := o.Config.Server.PublicURL, o.Config.TikTok.SiteVerification
	for _, code := range codes {
		for _, prefix := range []string{base, o.CallbackURL} {
			address := prefix + "/tiktok" + code + ".txt"
			a, err := get(ctx, o, address, http.Header{})
			seen := ""
			switch {
			case err != nil:
				seen = err.Error()
			case a.status != http.StatusOK:
				seen = fmt.Sprintf("status %d", a.status)
			case strings.TrimSpace(string(a.body)) != "tiktok-developers-site-verification="+code:
				seen = "something else is there"
			default:
				continue
			}
			return []Finding{warning(
				"TikTok would not find its proof at "+address+through(a)+": "+seen+".",
				"Restart the bridge with this tiktok.site_verification. "+allPaths)}
		}
	}
	if len(codes) == 0 {
		return nil
	}
	return []Finding{well("TikTok's proof of the address is where TikTok looks for it.")}
}
