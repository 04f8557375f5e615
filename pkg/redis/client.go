package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// The time limits of one call. A person waits for it, and there is a way on without Redis.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 500 * time.Millisecond
	poolTimeout = time.Second
)

// errURL quotes nothing: whatever is wrong with the URL, part of it may be a password.
var errURL = errors.New("redis URL is not of the form redis://[user:password@]host[:port][/database] " +
	"(rediss:// for TLS; special characters of the password written as %XX)")

// Client talks to a Redis server, or to one that speaks like it. Safe for concurrent use.
//
// A key is there as long as the server keeps it: a server that evicts keys under memory pressure
// (maxmemory-policy other than noeviction) or fails over to a replica that lags may forget one.
type Client struct{ redis *redis.Client }

// New returns a client of the server at address, a redis:// or rediss:// URL; its query may set what
// go-redis knows, such as pool_size. New does not connect; [Client.Ping] tells whether the server is there.
// No error of New or of the client contains any part of the URL but host and port.
func New(address signin.Secret) (*Client, error) {
	o, err := parse(address.Reveal())
	if err != nil {
		return nil, err
	}
	o.DialTimeout = cmp.Or(o.DialTimeout, dialTimeout)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, ioTimeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, ioTimeout)
	o.PoolTimeout = cmp.Or(o.PoolTimeout, poolTimeout)
	o.ContextTimeoutEnabled = true
	// A SET that was repeated after its answer got lost would find its own key, and the caller would be told
	// that somebody else came first.
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// go-redis writes to standard error what it also returns, in a form of its own.
	logging.Disable()
	return &Client{redis: redis.NewClient(o)}, nil
}

func parse(address string) (*redis.Options, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "redis" && u.Scheme != "rediss") {
		return nil, errURL
	}
	// A raw "#" or "?" in a password ends the host too early, and half of the password would be
	// taken for a port, which errors name.
	if strings.Contains(address, "#") || strings.Contains(u.RawQuery, "@") {
		return nil, errURL
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, errURL
	}
	return o, nil
}

// SetIfAbsent sets key for ttl and returns true, or returns false if the key exists. The ttl must be above
// zero; it counts in milliseconds, rounded up.
func (c *Client) SetIfAbsent(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if err := contextError(ctx); err != nil {
		return false, err
	}
	ms := ttl.Milliseconds()
	if ttl%time.Millisecond > 0 {
		ms++
	}
	err := c.redis.Do(ctx, "SET", key, 1, "NX", "PX", ms).Err()
	if errors.Is(err, redis.Nil) { // not set: it is there
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("set in redis: %w", plain(ctx, err))
	}
	return true, nil
}

// Delete deletes key, if it exists.
func (c *Client) Delete(ctx context.Context, key string) error {
	if err := contextError(ctx); err != nil {
		return err
	}
	if err := c.redis.Del(ctx, key).Err(); err != nil {
		return fmt.Errorf("delete in redis: %w", plain(ctx, err))
	}
	return nil
}

// Script is a Lua script of one key, for [Client.Run].
type Script struct{ script *redis.Script }

// NewScript returns a script. The server compiles it when it runs.
func NewScript(source string) *Script { return &Script{redis.NewScript(source)} }

// ErrScript is returned by [Client.Run] if the server answers and refuses the script: its access list may
// forbid scripts, or it has none. All else may well work.
var ErrScript = errors.New("redis refuses the script")

// Run runs a script that answers with a number. The server keeps scripts by their hash, so a whole script
// is sent only when the server does not know it.
func (c *Client) Run(ctx context.Context, s *Script, key string, args ...any) (int64, error) {
	if err := contextError(ctx); err != nil {
		return 0, err
	}
	n, err := s.script.Run(ctx, c.redis, []string{key}, args...).Int64()
	if err == nil {
		return n, nil
	}
	if code := replyCode(err); code == "NOPERM" || code == "ERR" {
		return 0, fmt.Errorf("%w with %q", ErrScript, code)
	}
	return 0, fmt.Errorf("run script in redis: %w", plain(ctx, err))
}

// Ping tells whether the server answers and accepts our credentials.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", plain(ctx, err))
	}
	return nil
}

// Close closes the connections; calls under way fail. If the server was down, a goroutine of go-redis that
// looks for it ends up to a second later.
func (c *Client) Close() error {
	if err := c.redis.Close(); err != nil {
		return fmt.Errorf("close redis: %w", plain(context.Background(), err))
	}
	return nil
}
