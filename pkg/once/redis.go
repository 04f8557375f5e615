package once

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Prefix begins the name of every key in Redis.
const Prefix = "tikbridge:once:"

// The limits of one call. A person waits for it, and [Degrading] has an answer when it is over.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 500 * time.Millisecond
	poolTimeout = time.Second
)

// errURL quotes nothing: whatever is wrong with the URL, part of it may be a password.
var errURL = errors.New("redis URL is not of the form redis://[user:password@]host[:port][/database] " +
	"(rediss:// for TLS; special characters of the password written as %XX)")

// Redis keeps marks in a Redis server, or one that speaks like it, for all replicas. Safe for
// concurrent use.
//
// A mark is there as long as the server keeps it: a server that evicts keys under memory pressure
// (maxmemory-policy other than noeviction) or fails over to a replica that lags may forget one.
type Redis struct{ client *redis.Client }

// RedisOption changes a default of [NewRedis].
type RedisOption func(*redis.Options)

// WithTLS sets the TLS configuration of a rediss:// URL, for a certificate of a private authority or
// one of the client. It has no effect on redis://.
func WithTLS(c *tls.Config) RedisOption {
	return func(o *redis.Options) {
		if o.TLSConfig == nil {
			return
		}
		own := c.Clone()
		if own.ServerName == "" {
			own.ServerName = o.TLSConfig.ServerName
		}
		o.TLSConfig = own
	}
}

// WithTimeouts sets how long connecting may take and how long one read or write. Defaults: 2 s and
// 500 ms.
func WithTimeouts(dial, io time.Duration) RedisOption {
	return func(o *redis.Options) { o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dial, io, io }
}

// NewRedis returns a store on the server at address, a redis:// or rediss:// URL; its query may set
// what go-redis knows, such as pool_size. NewRedis does not connect; [Redis.Ping] tells whether the
// server is there. No error of it or of the store holds any part of the URL but host and port.
func NewRedis(address signin.Secret, opts ...RedisOption) (*Redis, error) {
	o, err := parse(address.Reveal())
	if err != nil {
		return nil, err
	}
	o.DialTimeout = cmp.Or(o.DialTimeout, dialTimeout)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, ioTimeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, ioTimeout)
	o.PoolTimeout = cmp.Or(o.PoolTimeout, poolTimeout)
	o.ContextTimeoutEnabled = true
	// A SET that was retried after its answer got lost would find its own mark and tell the first
	// caller that there was another. And a second try is what Degrading is for.
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	for _, opt := range opts {
		opt(o)
	}
	// go-redis writes to standard error what it also returns, in a form of its own.
	logging.Disable()
	return &Redis{client: redis.NewClient(o)}, nil
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

// First implements [Store]. The ttl counts in milliseconds, rounded up.
func (r *Redis) First(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if err := check(ctx, ttl); err != nil {
		return false, err
	}
	ms := ttl.Milliseconds()
	if ttl%time.Millisecond > 0 {
		ms++
	}
	err := r.client.Do(ctx, "SET", Prefix+key, 1, "NX", "PX", ms).Err()
	if errors.Is(err, redis.Nil) { // not set: it is there
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("mark in redis: %w", plain(ctx, err))
	}
	return true, nil
}

// Script is a Lua script of one key, for [Redis.Run].
type Script struct{ script *redis.Script }

// NewScript returns a script; it is compiled by the server, when it runs.
func NewScript(source string) *Script { return &Script{redis.NewScript(source)} }

// ErrScript is returned by [Redis.Run] for a server that answers and refuses the script: its access
// list may forbid scripts, or it has none. It may well work for all else.
var ErrScript = errors.New("redis refuses the script")

// Run runs a script that answers with a number. The server keeps scripts by their hash, and is sent
// one whole only when it does not know it.
func (r *Redis) Run(ctx context.Context, s *Script, key string, args ...any) (int64, error) {
	if err := over(ctx); err != nil {
		return 0, err
	}
	n, err := s.script.Run(ctx, r.client, []string{key}, args...).Int64()
	if err == nil {
		return n, nil
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		if code := replyCode.FindString(reply.Error()); code == "NOPERM" || code == "ERR" {
			return 0, fmt.Errorf("%w with %q", ErrScript, code)
		}
	}
	return 0, fmt.Errorf("run script in redis: %w", plain(ctx, err))
}

// Ping tells whether the server answers and takes our credentials.
func (r *Redis) Ping(ctx context.Context) error {
	if err := r.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", plain(ctx, err))
	}
	return nil
}

// Close closes the connections. Calls under way fail. If the server was away, a goroutine of go-redis
// that looks for it ends up to a second later.
func (r *Redis) Close() error {
	if err := r.client.Close(); err != nil {
		return fmt.Errorf("close redis: %w", plain(context.Background(), err))
	}
	return nil
}

var replyCode = regexp.MustCompile(`^[A-Z]{2,32}\b`)

// plain reduces an error to what a log may hold. Servers quote the command they do not know, and for
// AUTH that is the password.
func plain(ctx context.Context, err error) error {
	var reply redis.Error
	var network net.Error
	var connection *net.OpError
	var certificate *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	if gone := over(ctx); gone != nil {
		return gone
	}
	switch {
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	case errors.As(err, &connection):
		return connection
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &noTLS):
		return errors.New("server speaks no TLS, which rediss:// asks for")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("server closes the connection: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return err
	case errors.As(err, &reply):
		return fmt.Errorf("server refuses with %q", replyCode.FindString(reply.Error()))
	}
	return fmt.Errorf("answer cannot be read (%T)", err)
}

// errNoAnswer is not context.DeadlineExceeded: that one would be the caller's.
var errNoAnswer = errors.New("no answer in time")
