package tiktok

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// The endpoints of TikTok (TikTok docs: Login Kit for Web; Manage User Access Tokens).
const (
	DefaultAuthorizeURL = "https://www.tiktok.com/v2/auth/authorize/"
	DefaultAPIURL       = "https://open.tiktokapis.com"
)

// ScopeBasic is the scope that comes with Login Kit; it grants the open_id and the profile fields
// the bridge shows.
const ScopeBasic = "user.info.basic"

// Options configure a Client.
type Options struct {
	// ClientKey and ClientSecret are the credentials of the TikTok app.
	ClientKey    string
	ClientSecret signin.Secret
	// Scopes to ask for. Default: user.info.basic.
	Scopes []string
	// PKCE tells whether and how a challenge is sent. Default: PKCEOff.
	PKCE PKCE
	// AuthorizeURL and APIURL default to TikTok's; a simulator has others.
	AuthorizeURL string
	APIURL       string
	// Timeout bounds each call, within the deadline of its context. Default: 10 s.
	Timeout time.Duration
	// Transport defaults to upstream.NewTransport, ProfileTransport to Transport. They are two because
	// each has its own breaker: people can sign in while profiles cannot be read.
	Transport, ProfileTransport http.RoundTripper
	// Observer hears of every call. Default: none.
	Observer upstream.Observer
}

// service is the name of TikTok in logs, metrics and traces.
const service = "tiktok"

// Client talks to TikTok. Safe for concurrent use.
type Client struct{ opts Options }

var _ signin.Authenticator = (*Client)(nil)

// New returns a Client.
func New(opts Options) *Client {
	if len(opts.Scopes) == 0 {
		opts.Scopes = []string{ScopeBasic}
	}
	if opts.AuthorizeURL == "" {
		opts.AuthorizeURL = DefaultAuthorizeURL
	}
	if opts.APIURL == "" {
		opts.APIURL = DefaultAPIURL
	}
	opts.APIURL = strings.TrimRight(opts.APIURL, "/")
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.Transport == nil {
		opts.Transport = upstream.NewTransport()
	}
	if opts.ProfileTransport == nil {
		opts.ProfileTransport = opts.Transport
	}
	if opts.Observer == nil {
		opts.Observer = upstream.Unobserved{}
	}
	return &Client{opts}
}

// Format implements fmt.Formatter: fmt calls no methods of fields that are not exported, so that
// printing a client would show the secret.
func (*Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("tiktok.Client")) }

// AuthorizeURL implements signin.Authenticator (TikTok docs: Login Kit for Web).
func (c *Client) AuthorizeURL(r signin.AuthorizeRequest) string {
	q := url.Values{
		"client_key":    {c.opts.ClientKey},
		"response_type": {"code"},
		"scope":         {strings.Join(c.opts.Scopes, ",")},
		"redirect_uri":  {r.RedirectURI},
		"state":         {r.State},
	}
	if r.SelectAccount {
		q.Set("disable_auto_auth", "1")
	}
	if challenge := c.opts.PKCE.Challenge(r.Verifier); challenge != "" {
		q.Set("code_challenge", challenge)
		q.Set("code_challenge_method", "S256")
	}
	separator := "?"
	if strings.Contains(c.opts.AuthorizeURL, "?") {
		separator = "&"
	}
	return c.opts.AuthorizeURL + separator + q.Encode()
}

// CodeVerifier implements signin.Authenticator: TikTok refuses a verifier it was given no challenge
// for.
func (c *Client) CodeVerifier(verifier string) string {
	if c.opts.PKCE.Challenge(verifier) == "" {
		return ""
	}
	return verifier
}

// reply is an answer of TikTok, a JSON object. Members are looked up by their exact names: a struct would
// take OPEN_ID for open_id.
type reply map[string]json.RawMessage

// text returns a member that is a string, "" for any other.
func (r reply) text(name string) string {
	var s string
	if json.Unmarshal(r[name], &s) != nil {
		return ""
	}
	return s
}

// code returns a member that is a string or a number, which TikTok uses for codes and ids alike.
func (r reply) code(name string) string {
	var n json.Number // takes numbers, and strings that hold one
	if s := r.text(name); s != "" || json.Unmarshal(r[name], &n) != nil {
		return s
	}
	return n.String()
}

// object returns a member that is an object, nil for any other.
func (r reply) object(name string) reply {
	var m reply
	_ = json.Unmarshal(r[name], &m)
	return m
}

// seconds returns a member that is a number of seconds above zero, 0 for any other.
func (r reply) seconds(name string) time.Duration {
	const most = 100 * 365 * 24 * 60 * 60
	n, err := strconv.ParseInt(r.code(name), 10, 64)
	if err != nil || n <= 0 {
		return 0
	}
	return time.Duration(min(n, most)) * time.Second
}

// missing says what keeps r from having a string at path, through objects; "" if it has one.
func (r reply) missing(path ...string) string {
	for i, name := range path {
		raw, ok := r[name]
		what := strings.Join(path[:i+1], ".")
		switch isLast := i == len(path)-1; {
		case !ok, string(raw) == "null", string(raw) == `""`:
			return "answer lacks " + what
		case isLast && r.text(name) == "":
			return "answer's " + what + " is not a string"
		case !isLast && r.object(name) == nil:
			return "answer's " + what + " is not an object"
		}
		r = r.object(name)
	}
	return ""
}

// Exchange sends the code once. It never repeats the call: a code that may have reached TikTok is
// spent, and net/http repeats a POST only if not one byte of it was written.
func (c *Client) Exchange(ctx context.Context, g signin.Grant) (signin.Identity, error) {
	form := url.Values{
		"client_key":    {c.opts.ClientKey},
		"client_secret": {c.opts.ClientSecret.Reveal()},
		"code":          {g.Code},
		"grant_type":    {"authorization_code"},
		"redirect_uri":  {g.RedirectURI},
	}
	if g.CodeVerifier != "" {
		form.Set("code_verifier", g.CodeVerifier)
	}
	return c.identity(ctx, form, callToken)
}

// Refresh returns new tokens for a refresh token, and whose they are; the caller knows who it must be. Each
// call ends the life of the refresh token at once (TikTok docs: Refresh a User Access Token, November 2026),
// even if the answer gets lost. Like Exchange it is therefore never repeated: a second try with the same
// token ends in [signin.CauseGrantEnded], and the person signs in anew.
func (c *Client) Refresh(ctx context.Context, refreshToken string) (signin.Identity, error) {
	id, err := c.identity(ctx, url.Values{
		"client_key":    {c.opts.ClientKey},
		"client_secret": {c.opts.ClientSecret.Reveal()},
		"grant_type":    {"refresh_token"},
		"refresh_token": {refreshToken},
	}, callRefresh)
	if err == nil && id.RefreshToken == "" {
		id.RefreshToken = refreshToken // not replaced (RFC 6749, section 6)
	}
	return id, err
}

// Revoke ends the person's grant to the app and with it all their tokens; the next sign-in asks for consent
// again (TikTok docs: User Access Token Management). It takes an access token that has not expired.
func (c *Client) Revoke(ctx context.Context, accessToken string) error {
	_, _, err := c.post(ctx, "/v2/oauth/revoke/", url.Values{
		"client_key":    {c.opts.ClientKey},
		"client_secret": {c.opts.ClientSecret.Reveal()},
		"token":         {accessToken},
	}, callRevoke)
	return err
}

// identity asks the token endpoint for the tokens of a person.
func (c *Client) identity(ctx context.Context, form url.Values, name string) (signin.Identity, error) {
	token, ans, err := c.post(ctx, tokenPath, form, name)
	if err != nil {
		return signin.Identity{}, err
	}
	id := signin.Identity{
		OpenID:           token.text("open_id"),
		Scopes:           signin.Scopes(token.text("scope")),
		AccessToken:      token.text("access_token"),
		RefreshToken:     token.text("refresh_token"),
		ExpiresIn:        token.seconds("expires_in"),
		RefreshExpiresIn: token.seconds("refresh_expires_in"),
	}
	for _, name := range []string{"access_token", "open_id"} {
		if missing := token.missing(name); missing != "" {
			return signin.Identity{}, ans.unavailable(errors.New(missing))
		}
	}
	if !signin.IsOpenID(id.OpenID) {
		return signin.Identity{}, ans.unavailable(errors.New("open_id has broken or control characters"))
	}
	return id, nil
}

// CheckCredentials asks TikTok for a token of the app itself, which needs no person (TikTok docs: Client
// Access Token Management), and throws it away. Nil says that key and secret belong together. Of errors
// only one whose Upstream.Code is invalid_client says that they do not: TikTok does not promise such
// tokens to apps that have nothing but Login Kit.
func (c *Client) CheckCredentials(ctx context.Context) error {
	token, ans, err := c.post(ctx, tokenPath, url.Values{
		"client_key":    {c.opts.ClientKey},
		"client_secret": {c.opts.ClientSecret.Reveal()},
		"grant_type":    {"client_credentials"},
	}, callToken)
	if err != nil {
		return err
	}
	if missing := token.missing("access_token"); missing != "" {
		return ans.unavailable(errors.New(missing))
	}
	return nil
}

// tokenPath is where all tokens come from (TikTok docs: Get User Access Token).
const tokenPath = "/v2/oauth/token/" //nolint:gosec // a path

// post sends a form to an OAuth endpoint. Even a good answer may lack what was asked for.
func (c *Client) post(ctx context.Context, path string, form url.Values, name string) (reply, answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	body := strings.NewReader(form.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.opts.APIURL+path, body)
	if err != nil {
		return nil, answer{}, signin.AsError(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.call(c.opts.Transport, req, name)
}

// Profile reads the profile (TikTok docs: Get User Info). It asks only for fields of the granted scopes: one
// field too many and TikTok refuses them all (scope_not_authorized).
func (c *Client) Profile(ctx context.Context, id signin.Identity) (signin.Profile, error) {
	if len(id.Scopes) > 0 && !slices.Contains(id.Scopes, ScopeBasic) {
		return signin.Profile{}, nil
	}
	const fields = "open_id,union_id,display_name,avatar_url"
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	address := c.opts.APIURL + "/v2/user/info/?fields=" + fields
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return signin.Profile{}, signin.AsError(err)
	}
	req.Header.Set("Authorization", "Bearer "+id.AccessToken)

	info, ans, err := c.call(c.opts.ProfileTransport, req, callUserInfo)
	if err != nil {
		return signin.Profile{}, err
	}
	if missing := info.missing("data", "user", "open_id"); missing != "" {
		return signin.Profile{}, ans.unavailable(errors.New(missing))
	}
	user := info.object("data").object("user")
	if user.text("open_id") != id.OpenID {
		return signin.Profile{}, ans.unavailable(errors.New("user info belongs to another person than the token"))
	}
	return signin.Profile{
		UnionID:     user.text("union_id"),
		DisplayName: user.text("display_name"),
		AvatarURL:   webURL(user.text("avatar_url")),
	}, nil
}

// maxBody is far more than any answer of TikTok has, in bytes.
const maxBody = 1 << 20

// The calls, by their names in errors, logs, metrics and traces.
const (
	callToken    = "token"
	callUserInfo = "user_info"
	callRefresh  = "refresh"
	callRevoke   = "revoke"
)

// call sends req. It returns an error answer as an error: TikTok may send one with status 200, so the body
// alone decides (TikTok docs: OAuth Error Handling). This is the one place where calls to TikTok are timed,
// counted and traced.
func (c *Client) call(t http.RoundTripper, req *http.Request, name string) (reply, answer, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Cache-Control", "no-cache") // as in every sample of TikTok's documentation

	defer signin.ReportFrom(req.Context()).Time(name)()
	ans := answer{call: name}
	ctx, done := c.opts.Observer.Begin(req.Context(), service, name)
	if ctx != req.Context() { // it is traced
		req = req.WithContext(ctx)
	}
	resp, body, err := upstream.Send(t, req, maxBody) //nolint:bodyclose // it does
	if resp != nil {
		ans.status, ans.header = resp.StatusCode, resp.Header
	}
	if err != nil {
		done(upstream.Result{Status: ans.status, Err: err})
		return nil, ans, ans.unavailable(upstream.NoAnswer(err))
	}
	if name == callRevoke && ans.status == http.StatusOK && len(body) == 0 {
		body = []byte("{}") // TikTok docs: User Access Token Management: a success has no body
	}
	var r reply
	if err = json.Unmarshal(body, &r); err == nil {
		err = ans.read(r)
	}
	result := upstream.Result{Status: ans.status, Code: upstream.Code(ans.code)}
	if ans.code != "" && result.Code == "" {
		result.Code = "other" // it failed all the same
	}
	done(result)
	switch {
	case err != nil && ans.status != http.StatusTooManyRequests:
		size := len(bytes.TrimSpace(body))
		return nil, ans, ans.unavailable(fmt.Errorf("answer is not the JSON of TikTok (%d bytes)", size))
	case ans.code != "" || ans.status >= http.StatusBadRequest:
		return nil, ans, ans.oauthError()
	}
	return r, ans, nil
}

// webURL returns s unchanged if it is a web address, since apps put it into src and href. Changing
// as much as an escape in it would break TikTok's signature.
func webURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return s
}
