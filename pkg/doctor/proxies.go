package doctor

import (
	"context"
	"strings"
)

// proxies checks who is believed about client IPs. The bridge speaks plain HTTP, so an https address
// means that a proxy is in front of it.
func proxies(_ context.Context, o Options) []Finding {
	c := o.Config.Server
	networks, err := c.Proxies()
	if err != nil {
		return nil // config.Load reports it
	}
	for _, n := range networks {
		if n.Bits() == 0 {
			return []Finding{warning(
				"server.trusted_proxies includes "+n.String()+", which is everybody: anyone who sends "+
					c.ClientIPHeader+" gets around the rate limits.",
				"List only the addresses of your proxy.")}
		}
	}
	switch {
	case len(networks) > 0:
		return []Finding{well(c.ClientIPHeader + " is believed from " + list(c.TrustedProxies) + ".")}
	case strings.HasPrefix(c.PublicURL, "https://"):
		return []Finding{warning(
			"server.trusted_proxies is empty, but an https address means that a proxy is in front of the bridge. "+
				"Everybody seems to have the proxy's address, and shares one rate limit.",
			"Set server.trusted_proxies to the address or network of the proxy; your hosting platform documents it. "+
				"For a proxy on the same machine it is 127.0.0.1.")}
	}
	return []Finding{well("No proxy is expected in front of the bridge.")}
}
