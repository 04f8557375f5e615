package supabase

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/supabase-community/gotrue-go"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Limits of an answer, in bytes. Anybody may fill an account with metadata, a megabyte a request, and every
// answer with the account has all of it. No app can use an account larger than this, since the metadata also
// travels in the access token. A session has it twice, once in base64.
const (
	maxAccount = 8 << 20
	maxSession = 20 << 20
)

// The calls, by their names in errors, logs, metrics and traces.
const (
	callGenerateLink = "generate_link"
	callGetUser      = "get_user"
	callCreateUser   = "create_user"
	callUpdateUser   = "update_user"
	callVerify       = "verify"
	callListUsers    = "list_users"
	callListPasskeys = "list_passkeys"
	callSettings     = "settings"
	callHealth       = "health"
	callIDToken      = "id_token"
	callUser         = "user"
	callDeleteUser   = "delete_user"
	callLogOut       = "logout"
	callProvider     = "custom_provider"
)

// call describes one call to GoTrue.
type call struct {
	name string
	// headers carry the key. They are shared and never changed.
	headers http.Header
	limit   int64 // of the answer, in bytes
}

// adminCall returns a call with the secret key.
func (c *Client) adminCall(name string) call { return call{name, c.secret, maxAccount} }

// publicCall returns a call with the publishable key.
func (c *Client) publicCall(name string) call { return call{name, c.public, maxAccount} }

// personCall returns a call with the access token of somebody's session.
func (c *Client) personCall(name, accessToken string) call {
	k := c.publicCall(name)
	k.headers = k.headers.Clone()
	k.headers.Set("Authorization", "Bearer "+accessToken)
	return k
}

// sessionCall returns a call that makes a session for somebody at clientIP. It is public, but Supabase believes
// a forwarded IP only with the secret key; a GoTrue that is told to trust a header takes it with any.
func (c *Client) sessionCall(name string, clientIP netip.Addr) call {
	k := call{name, c.public, maxSession}
	header := c.opts.ForwardClientIP
	if header == "" {
		return k
	}
	if c.opts.SecretKey != "" {
		k.headers = c.secret
	}
	if clientIP.IsValid() {
		k.headers = k.headers.Clone()
		k.headers.Set(header, clientIP.String())
	}
	return k
}

// newSession makes a call that makes a session. accept says what is wrong with one that has both tokens.
func (c *Client) newSession(
	ctx context.Context, k call, path string, body any, accept func(signin.Session) error,
) (signin.Session, error) {
	kept, drop := context.WithCancel(ctx)
	var session signin.Session
	err := c.do(kept, k, http.MethodPost, path, body, &session)
	if err == nil {
		err = errNoSession
		if session.AccessToken != "" && session.RefreshToken != "" {
			err = accept(session)
		}
		err = failure(k.name, err)
	}
	if err != nil {
		drop() // else the next attempt waits for the place that a large answer took
		return signin.Session{}, err
	}
	context.AfterFunc(ctx, drop)
	return session, nil
}

// api returns gotrue-go for one call. gotrue-go builds the request; its transport adds what it lacks: a
// context, a deadline, the headers, and errors with a code. The answer is decoded into into. gotrue-go gets
// an empty one, since it would decode all of an account and fail on what it does not expect.
func (c *Client) api(ctx context.Context, k call, into any) gotrue.Client {
	return c.gotrue.WithClient(http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		if err := c.send(ctx, k, req, into); err != nil {
			return nil, err
		}
		body := io.NopCloser(strings.NewReader("{}"))
		return &http.Response{StatusCode: http.StatusOK, Body: body, Request: req}, nil
	})})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// do makes a call that gotrue-go cannot make: it has no id and no password_hash for a new user, takes a
// successful verify for an error, and lacks newer routes. With a nil body it sends none.
func (c *Client) do(ctx context.Context, k call, method, path string, body, into any) error {
	payload := io.Reader(http.NoBody)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.opts.AuthURL+path, payload)
	if err != nil {
		return err
	}
	return failure(k.name, c.send(ctx, k, req, into))
}

// send makes a call and decodes a good answer into into. It replaces the headers of req. This is the one
// place where calls to GoTrue are timed, counted and traced.
func (c *Client) send(ctx context.Context, k call, req *http.Request, into any) error {
	defer signin.ReportFrom(ctx).Time(k.name)()
	ctx, done := c.opts.Observer.Begin(ctx, service, k.name)
	calling, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req = req.WithContext(calling)
	req.Header = k.headers
	resp, body, release, err := c.large.Send(c.opts.Transport, req, k.limit) //nolint:bodyclose // it does
	if err == nil && !isSuccess(resp.StatusCode) {
		err = newAPIError(resp, body)
	}
	done(resultOf(err))
	switch {
	case err == nil && into != nil:
		err = decode(body, into)
	case errors.Is(err, upstream.ErrTooLarge):
		err = errUnreadable
	}
	if _, ok := into.(*signin.Session); ok && err == nil {
		// The session is as large as the answer, and lives until the app has it.
		context.AfterFunc(ctx, release)
	} else {
		release()
	}
	return err
}

// isSuccess reports whether a call did what it should. Any other status is a fault, a redirect among them.
func isSuccess(status int) bool {
	return status == http.StatusOK || status == http.StatusCreated || status == http.StatusNoContent
}

// decode reads an answer. JSON of another shape than GoTrue's, or nested too deep, is errUnreadable: anybody
// can make their own account so, since encoding/json takes 10,000 levels.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	switch { // the text of err may quote the answer
	case err == nil:
		return nil
	case bytes.HasPrefix(body, []byte("{")):
		return errUnreadable
	}
	return errNotGoTrue
}

// resultOf tells the observer how a call ended.
func resultOf(err error) upstream.Result {
	var answer *apiError
	switch {
	case err == nil:
		return upstream.Result{Status: http.StatusOK}
	case errors.As(err, &answer):
		return upstream.Result{Status: answer.status, Code: answer.code}
	}
	return upstream.Result{Err: err}
}

// headersOf returns the headers for a key. A new key is no JWT and goes into apikey alone; a JWT goes into
// both, since GoTrue reads only Authorization and the gateway only apikey (Supabase docs: API keys).
func headersOf(key string) http.Header {
	h := http.Header{}
	h.Set("Apikey", key)
	if !strings.HasPrefix(key, "sb_") {
		h.Set("Authorization", "Bearer "+key)
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Supabase-Api-Version", "2024-01-01")
	// Never the visitor's: the gateway refuses a secret key from what looks like a browser.
	h.Set("User-Agent", "tikbridge")
	return h
}
