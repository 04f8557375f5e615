package limit

import (
	"context"
	"time"

	"github.com/tikbridge/tikbridge/pkg/redis"
)

// prefix begins the name of every count in Redis.
const prefix = "tikbridge:rate:"

// script is Take in Redis. The value of a key means nothing; its time to live is how much of its minute is
// taken, so the clock is the server's alone and nothing is left to clean up. ARGV has the share of one event,
// in milliseconds; the answer is how many to wait.
var script = redis.NewScript(`
local taken = math.max(redis.call("PTTL", KEYS[1]), 0) + ARGV[1]
if taken > 60000 then
	return taken - 60000
end
redis.call("SET", KEYS[1], "", "PX", taken)
return 0`)

// Redis counts for all replicas. Safe for concurrent use.
type Redis struct{ client *redis.Client }

// NewRedis returns a limiter over client. The caller closes client.
func NewRedis(client *redis.Client) *Redis { return &Redis{client} }

// Take implements [Limiter]. It counts in milliseconds, so 60,000 a minute is the most that it allows.
func (r *Redis) Take(ctx context.Context, key string, perMinute int) (time.Duration, error) {
	ms, err := r.client.Run(ctx, script, prefix+key, max(share(perMinute).Milliseconds(), 1))
	return time.Duration(ms) * time.Millisecond, err
}
