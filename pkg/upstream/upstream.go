// Package upstream holds what the calls to TikTok and to Supabase share: a connection pool, a limit
// on what is read, and the judgement of calls that brought no answer.
package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrTooLarge is returned for an answer of more bytes than the caller reads.
var ErrTooLarge = errors.New("answer is too large")

// NewTransport returns a transport with a connection pool of its own. Bursts of sign-ins reuse
// connections: the two that net/http keeps for a host by default would dial anew for the others.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = 512
	t.MaxIdleConnsPerHost = 256
	t.IdleConnTimeout = 10 * time.Minute // longer than most servers', which end a connection before we do
	// Probes keep an idle connection open in the firewalls on the way, and notice within half a minute that it
	// died without a word.
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}).DialContext
	t.TLSHandshakeTimeout = 5 * time.Second
	// Resumed handshakes send no certificates, and take a round trip less with TLS 1.2.
	t.TLSClientConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0), MinVersion: tls.VersionTLS12}
	t.MaxResponseHeaderBytes = 64 << 10
	t.DisableCompression = true // answers have a few KB: unzipping them takes longer than sending them
	// HTTP/2 sends everything over one connection. If that dies without a word, as behind a firewall
	// that forgets it, every call would hang until the system gives it up a quarter of an hour later.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}
	return t
}

// NewClient returns a client over t that follows no redirect: the APIs we call never send one, and
// following it would carry secrets to wherever it points.
func NewClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// Send makes a call and reads the whole answer, which may have limit bytes. Like NewClient it follows no
// redirect. What a client would do beyond that, such as keeping cookies, the APIs do not ask for. The body
// of the response is closed. Errors are for NoAnswer.
func Send(t http.RoundTripper, req *http.Request, limit int64) (*http.Response, []byte, error) {
	resp, err := t.RoundTrip(req)
	if err != nil {
		var record tls.RecordHeaderError
		if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
			err = http.ErrSchemeMismatch // as net/http's own client has it
		}
		return nil, nil, &url.Error{Op: req.Method, Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := ReadBody(resp, limit)
	if err != nil {
		return resp, nil, &url.Error{Op: req.Method, Err: err}
	}
	return resp, body, nil
}

// ReadBody reads the whole body, which frees the connection for the next call, if it has no more than
// limit bytes. Closing it is the caller's.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	// What the header announces is believed only so far: it costs memory before a byte arrived.
	const expected, most = 4 << 10, 64 << 10
	size := int64(expected)
	if resp.ContentLength >= 0 {
		size = min(resp.ContentLength, most)
	}
	body := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, limit+1)); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if int64(body.Len()) > limit {
		return nil, ErrTooLarge
	}
	return body.Bytes(), nil
}

// NoAnswer shortens the error of a call that brought no answer to what helps in a log: net/http
// repeats the URL, and a timeout reads "context deadline exceeded". It also quotes what it cannot
// read, a broken status line or Location, and that may be what was sent; such a text stays behind.
func NoAnswer(err error) error {
	var netErr net.Error
	var open *OpenError
	switch {
	case errors.As(err, &open):
		return open
	case errors.Is(err, ErrBusy):
		return ErrBusy
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("caller has gone: %w", context.Canceled)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	var call *url.Error
	if !errors.As(err, &call) {
		return err
	}
	for errors.As(call.Err, &call) { // gotrue-go has a client around ours
	}
	if !quotesNothing(call.Err) {
		return fmt.Errorf("answer is no HTTP that can be read (%T)", call.Err)
	}
	return call.Err
}

// quotesNothing tells errors of connections and certificates, which a log needs, from those that
// may hold pieces of an answer.
func quotesNothing(err error) bool {
	var connection *net.OpError
	var certificate *tls.CertificateVerificationError
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, ErrTooLarge, http.ErrSchemeMismatch} {
		if errors.Is(err, known) {
			return true
		}
	}
	return errors.As(err, &connection) || errors.As(err, &certificate)
}

// Long bounds are not in the patterns: one with {1,64} is compiled to 64 copies of its class, at every start.
var (
	codePattern    = regexp.MustCompile(`^([a-z]+[0-9]{0,4}|[A-Z]+[0-9]{0,4})([_.-]([a-z]+[0-9]{0,4}|[A-Z]+[0-9]{0,4}))*$`)
	numberPattern  = regexp.MustCompile(`^[0-9]+$`)
	versionPattern = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+(-rc[0-9.]*)?`)
)

// Code returns an error code from an answer if it looks like one, so that nothing else of an answer gets
// into a log. Codes are words of one case, or a number. Tokens, secrets and ids are neither: letters of
// both cases and digits alternate in them, or go on for longer than a word does.
func Code(s string) string {
	const longest, longestWord, mostDigits = 64, 20, 10
	switch {
	case len(s) <= mostDigits && numberPattern.MatchString(s):
		return s
	case len(s) > longest || !codePattern.MatchString(s):
		return ""
	}
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == '_' || r == '.' || r == '-' }) {
		if len(word) > longestWord {
			return ""
		}
	}
	return s
}

// Version returns the version at the beginning of what an answer says about itself, such as "v2.196.0" of
// "v2.196.0-3-gabcdef"; "" if there is none. What follows stays out of logs.
func Version(s string) string {
	const longest = 24
	if v := versionPattern.FindString(s); len(v) <= longest {
		return v
	}
	return ""
}

// RetryAfter reads the header of that name (RFC 9110, section 10.2.3) in its form of seconds, which
// is the one that APIs send; fallback is used where there is none.
func RetryAfter(h http.Header, fallback time.Duration) time.Duration {
	const longest = time.Hour
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return fallback
	}
	return time.Duration(min(seconds, int(longest/time.Second))) * time.Second
}
