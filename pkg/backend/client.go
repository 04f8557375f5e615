package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// Service is the name of an own backend in logs, metrics and traces.
const Service = "backend"

// maxAnswer is how large an answer may be, in bytes: what hundreds of sign-ins hold at once stays small, and a
// session that travels in an address is much smaller.
const maxAnswer = 64 << 10

// retryPause is how long the one retry waits: a process that restarts needs a moment.
const retryPause = 250 * time.Millisecond

// Options configure a Client.
type Options struct {
	// URL is the backend's route for the bridge's messages.
	URL string
	// Secret signs them; CheckSecret says what it must be.
	Secret signin.Secret
	// ReturnTokens adds TikTok's access token to the messages.
	ReturnTokens bool
	// Timeout bounds each call, within the deadline of its context. Default: 10 s.
	Timeout time.Duration
	// Transport defaults to one of upstream.NewTransport.
	Transport http.RoundTripper
	// Observer hears of every call. Default: none.
	Observer upstream.Observer
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Client asks an app's own backend for sessions. Safe for concurrent use.
type Client struct {
	opts     Options
	endpoint *endpoint
}

var _ signin.Accounts = (*Client)(nil)

// New returns a Client.
func New(opts Options) (*Client, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	to, err := newEndpoint(opts.URL, opts.Secret, endpointOptions{
		service: Service, timeout: opts.Timeout, transport: opts.Transport, observer: opts.Observer, now: opts.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("secret %w", err)
	}
	return &Client{opts, to}, nil
}

// Format keeps the secret out of anything that prints a client.
func (*Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("backend.Client")) }

// person is the data of a sign_in message. What TikTok did not tell is left out, so that the backend keeps what
// it has.
type person struct {
	OpenID            string   `json:"open_id"`
	UnionID           string   `json:"union_id,omitempty"`
	DisplayName       string   `json:"display_name,omitempty"`
	AvatarURL         string   `json:"avatar_url,omitempty"`
	Scopes            []string `json:"scopes"`
	ProviderToken     string   `json:"provider_token,omitempty"`
	ProviderExpiresIn int64    `json:"provider_expires_in,omitempty"` // seconds
	ClientIP          string   `json:"client_ip,omitempty"`
}

// SignIn implements signin.Accounts: the backend finds or creates the account and answers with a session. Every
// sign-in has a message id of its own.
func (c *Client) SignIn(
	ctx context.Context, id signin.Identity, clientIP netip.Addr, profile func() signin.Profile,
) (signin.SignedIn, error) {
	shown := profile()
	p := person{
		OpenID: id.OpenID, UnionID: shown.UnionID, DisplayName: shown.DisplayName, AvatarURL: shown.AvatarURL,
		Scopes: append([]string{}, id.Scopes...),
	}
	if clientIP.IsValid() {
		p.ClientIP = clientIP.String()
	}
	if c.opts.ReturnTokens {
		p.ProviderToken, p.ProviderExpiresIn = id.AccessToken, int64(id.ExpiresIn/time.Second)
	}
	m, err := newMessage("", typeSignIn, c.opts.Now(), p)
	if err != nil {
		return signin.SignedIn{}, err
	}
	a, err := c.ask(ctx, typeSignIn, m)
	if err != nil {
		return signin.SignedIn{}, err
	}
	session, err := readSession(a.body)
	if err != nil {
		return signin.SignedIn{}, c.endpoint.failure(signin.CauseBackendAnswer, typeSignIn, a, err)
	}
	return signin.SignedIn{
		Session: session,
		Account: signin.Account{OpenID: id.OpenID, Profile: shown}, // which the backend has: nothing is left to store
		Created: a.status == http.StatusCreated,
	}, nil
}

// UpdateProfile implements signin.Accounts. The backend got the profile with the sign-in.
func (*Client) UpdateProfile(context.Context, signin.Account, signin.Profile) error { return nil }

// CheckOwner implements signin.Accounts: the backend says whose session it is.
func (c *Client) CheckOwner(ctx context.Context, accessToken, openID string) error {
	m, err := newMessage("", typeSession, c.opts.Now(), struct {
		AccessToken string `json:"access_token"`
	}{accessToken})
	if err != nil {
		return err
	}
	a, err := c.ask(ctx, typeSession, m)
	switch {
	case err != nil && signin.AsError(err).Cause == signin.CauseBackendRefuses:
		return signin.NewError(signin.CauseSignedOut)
	case err != nil:
		return err
	}
	var members map[string]json.RawMessage
	var owner string
	if json.Unmarshal(a.body, &members) != nil || json.Unmarshal(members["open_id"], &owner) != nil {
		return c.endpoint.failure(signin.CauseBackendAnswer, typeSession, a, errors.New("answer has no open_id"))
	}
	if openID == "" || owner != openID {
		return signin.NewError(signin.CauseNotOwner)
	}
	return nil
}

// ask sends a message, and once more if it probably did not get through. The id tells the backend that it is
// the same one.
func (c *Client) ask(ctx context.Context, call string, m message) (answer, error) {
	a, err := c.endpoint.post(ctx, call, m, true)
	if isPassing(a, err) && pause(ctx.Done(), retryPause) {
		c.endpoint.opts.observer.Retried(ctx, Service, "fault")
		a, err = c.endpoint.post(ctx, call, m, true)
	}
	return a, c.endpoint.judge(call, a, err)
}

// pause waits, unless done is closed first.
func pause(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}

// tokenPattern matches what an access token may be made of: it travels in headers and addresses.
var tokenPattern = regexp.MustCompile(`^[!-~]+$`)

// readSession reads the session in an answer.
func readSession(body []byte) (signin.Session, error) {
	var members map[string]json.RawMessage     // a struct would take Access_Token as well, which no app reads
	if json.Unmarshal(body, &members) != nil { // the text of the error may quote the answer
		return signin.Session{}, errors.New("answer is no JSON object that can be read")
	}
	var token string
	if json.Unmarshal(members["access_token"], &token) != nil || !tokenPattern.MatchString(token) {
		return signin.Session{}, errors.New("answer has no access_token, or one with spaces")
	}
	return signin.Session{AccessToken: token, Raw: body}, nil
}
