package gotruesim

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// verifyBurst is fixed in GoTrue, whatever the configured rate (apilimiter.go): the 31st request at
// once is refused.
const verifyBurst = 30

// verifyWindow is the time over which RateLimitVerify requests are spread.
const verifyWindow = 5 * time.Minute

// limiter holds a token bucket per key.
type limiter struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	rate    float64 // tokens per second
	now     func() time.Time
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(perWindow int, now func() time.Time) *limiter {
	return &limiter{
		buckets: map[string]*bucket{}, now: now,
		rate: float64(perWindow) / verifyWindow.Seconds(),
	}
}

func (l *limiter) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.buckets)
}

func (l *limiter) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b, ok := l.buckets[key]
	if !ok {
		b = &bucket{tokens: verifyBurst, at: now}
		l.buckets[key] = b
	}
	b.tokens = min(verifyBurst, b.tokens+l.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// limit refuses a request whose key has used up its bucket. There is no Retry-After and no
// exception for an admin's token (gotrue facts, "Rate limit on /verify").
func (s *Server) limit(l *limiter, r *http.Request) error {
	key := s.limitKey(r)
	if key == "" || l.allow(key) {
		return nil
	}
	return fail(http.StatusTooManyRequests, codeOverRequestRate, "Request rate limit reached")
}

// limitKey names the bucket: a valid Sb-Forwarded-For if that is believed, else the first value of
// the configured header, else nothing, and then no limit applies (middleware.go,
// performRateLimiting).
func (s *Server) limitKey(r *http.Request) string {
	if s.opts.SBForwardedFor {
		if ip := net.ParseIP(firstValue(r.Header.Get("Sb-Forwarded-For"))); ip != nil {
			return ip.String()
		}
	}
	if s.opts.RateLimitHeader == "" {
		return ""
	}
	return firstValue(r.Header.Get(s.opts.RateLimitHeader))
}

func firstValue(header string) string {
	first, _, _ := strings.Cut(header, ",")
	return strings.TrimSpace(first)
}
