package doctor

import (
	"context"
	"crypto/rand"
	"time"
)

// redis tries the store that replicas share.
func redis(ctx context.Context, o Options) []Finding {
	if o.Claims == nil {
		return []Finding{skipped("store.redis_url is not set. A single replica needs no Redis; several do.")}
	}
	const (
		badAnswer = "Redis is not working: "
		fix       = "Check the address, user, password and TLS (rediss://) in store.redis_url, and that this machine " +
			"can reach it. Until then people can sign in, but single use holds on each replica only."
	)
	if err := o.Claims.Ping(ctx); err != nil {
		return []Finding{problem(badAnswer+err.Error()+".", fix)}
	}
	key := "doctor:" + rand.Text()
	claimed, err := o.Claims.Claim(ctx, key, time.Second)
	if err != nil {
		return []Finding{problem("Redis is reachable, but refuses to store a key: "+err.Error()+".",
			"Allow the user in store.redis_url to SET keys that begin with tikbridge:. Redis must have memory left, and "+
				"must not be a read-only replica.")}
	}
	again, err := o.Claims.Claim(ctx, key, time.Second)
	switch {
	case err != nil:
		return []Finding{problem(badAnswer+err.Error()+".", fix)}
	case !claimed || again:
		return []Finding{problem("Redis is reachable but not storing keys, so a handoff could be used twice.",
			"Use a Redis that keeps its keys (maxmemory-policy noeviction), not a proxy over several unconnected ones.")}
	}
	return []Finding{well("Redis is reachable and stores keys.")}
}
