package supabase

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/supabase-community/gotrue-go"
	"github.com/supabase-community/gotrue-go/types"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// SBForwardedFor is the header in which Supabase takes the address of the end user. Hosted projects
// believe it only with a secret key (sb_secret_…), and once "IP address forwarding" is switched on
// (Supabase docs: Auth rate limits).
const SBForwardedFor = "Sb-Forwarded-For"

// service is the name of Supabase in logs, metrics and traces.
const service = "supabase"

// Options configure a Client.
type Options struct {
	// AuthURL is where GoTrue answers: <project>/auth/v1, or GoTrue itself.
	AuthURL string
	// PublishableKey is sb_publishable_… or the anon JWT; SecretKey is sb_secret_… or the
	// service_role JWT.
	PublishableKey string
	SecretKey      signin.Secret
	// EmailDomain is the domain of the accounts' addresses. Default: tiktok.oauth.
	EmailDomain string
	// Adopt says what becomes of an account without a mark. Default: AdoptReset.
	Adopt Adopt
	// ForwardClientIP names the header that carries the address of the person's device to GoTrue,
	// whose limit on /verify is counted by it. Empty: not forwarded.
	ForwardClientIP string
	// Timeout bounds each call, within the deadline of its context. Default: 10 s.
	Timeout time.Duration
	// Transport defaults to one of upstream.NewTransport.
	Transport http.RoundTripper
	// Observer is told of every call. Default: nobody is.
	Observer upstream.Observer
	// Logger takes audit events: accounts created, adopted, evicted, refused. Default: discarded.
	Logger *slog.Logger
}

// Client mints sessions over GoTrue's API. Safe for concurrent use.
type Client struct {
	opts   Options
	admin  gotrue.Client
	people keyedLock
	// secret and public are the headers of calls with the two keys. They are shared by all calls.
	secret, public http.Header
}

var _ signin.Accounts = (*Client)(nil)

// Format keeps the keys out of anything that prints a client.
func (*Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("supabase.Client")) }

// New returns a Client.
func New(opts Options) *Client {
	opts.AuthURL = strings.TrimRight(opts.AuthURL, "/") // GoTrue answers 404 to //admin
	if opts.EmailDomain == "" {
		opts.EmailDomain = "tiktok.oauth"
	}
	if opts.Adopt == "" {
		opts.Adopt = AdoptReset
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.Transport == nil {
		opts.Transport = upstream.NewTransport()
	}
	if opts.Observer == nil {
		opts.Observer = upstream.Unobserved{}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{
		opts:  opts,
		admin: gotrue.New("", opts.SecretKey.Reveal()).WithCustomGoTrueURL(opts.AuthURL),

		secret: headersOf(opts.SecretKey.Reveal()),
		public: headersOf(opts.PublishableKey),
	}
}

// call is one call to GoTrue. It is the transport of gotrue-go and of our own requests alike: it
// gives them what gotrue-go lacks, which is a context, a deadline, a limit on the answer, the
// headers, and errors with a code.
type call struct {
	ctx    context.Context
	client *Client
	// name is what metrics and traces call it, such as "verify".
	name string
	// headers are those of the key; never changed, since calls share them.
	headers http.Header
	// token is a user's access token, for the few calls made as a user.
	token signin.Secret
	// device is the address to forward, if it is valid and forwarding is on.
	device netip.Addr
}

// maxBody is how much of an answer is read, in bytes. Anybody may sign up with a megabyte of metadata,
// which GoTrue shows twice, with up to six bytes for one: a limit below that would let them keep the
// owner of the address out.
const maxBody = 16 << 20

// RoundTrip implements http.RoundTripper for gotrue-go. Other than a plain transport it returns an
// answer that is no success as an *apiError: gotrue-go would make it into a text.
func (k call) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := k.send(req)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body)), Request: req}, nil
}

// send makes the call and returns the body of a good answer. Of the headers of req none is used.
func (k call) send(req *http.Request) ([]byte, error) {
	return k.within(func(ctx context.Context) (*http.Request, error) { return req.WithContext(ctx), nil })
}

// within makes the call that request makes, which belongs to the context it is given.
func (k call) within(request func(context.Context) (*http.Request, error)) ([]byte, error) {
	ctx, done := k.client.opts.Observer.Begin(k.ctx, service, k.name)
	ctx, cancel := context.WithTimeout(ctx, k.client.opts.Timeout)
	defer cancel()
	req, err := request(ctx)
	var body []byte
	if err == nil {
		req.Header = k.authorized()
		body, err = k.client.exchange(req)
	}
	done(resultOf(err))
	return body, err
}

// exchange sends req and reads the whole answer.
func (c *Client) exchange(req *http.Request) ([]byte, error) {
	resp, body, err := upstream.Send(c.opts.Transport, req, maxBody) //nolint:bodyclose // it does
	if err == nil && resp.StatusCode != http.StatusOK {
		err = newAPIError(resp, body)
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

// headersOf returns the headers that a key asks for. A new key goes into apikey alone, since it is no
// JWT; a JWT goes into both, since GoTrue reads only Authorization and the gateway only apikey
// (Supabase docs: API keys).
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

// authorized returns the headers of this call; most often those that all calls share, which no transport
// may change (http.RoundTripper).
func (k call) authorized() http.Header {
	forward := k.client.opts.ForwardClientIP
	if !k.device.IsValid() {
		forward = ""
	}
	if k.token == "" && forward == "" {
		return k.headers
	}
	h := k.headers.Clone()
	if k.token != "" {
		h.Set("Authorization", "Bearer "+k.token.Reveal())
	}
	if forward != "" {
		h.Set(forward, k.device.String())
	}
	return h
}

// resultOf is what an observer is told of the end of a call.
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

// call returns a call with the secret key. The name says what is asked of GoTrue.
func (c *Client) call(ctx context.Context, name string, device netip.Addr) call {
	return call{ctx: ctx, client: c, name: name, headers: c.secret, device: device}
}

// gotrue returns gotrue-go bound to one call.
func (c *Client) gotrue(ctx context.Context, name string) gotrue.Client {
	return c.admin.WithClient(http.Client{Transport: c.call(ctx, name, netip.Addr{})})
}

// do makes a call that gotrue-go cannot make well: it has no id and no password_hash for a new user,
// takes a successful verify for an error, and lacks newer routes. A nil body sends none.
func (k call) do(method, path string, body, into any) error {
	answer, err := k.ask(method, path, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// ask is do with the answer as it came.
func (k call) ask(method, path string, body any) ([]byte, error) {
	payload := io.Reader(http.NoBody)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(encoded)
	}
	return k.within(func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, method, k.client.opts.AuthURL+path, payload)
	})
}

// link is a one-time link to an account: whoever holds its hash can sign in as that account, and the
// hash is little more than six digits. It never leaves the bridge and is used up at once.
type link struct {
	// user has of the account what a sign-in needs: id, mark, and the profile that is stored.
	user types.User
	hash signin.Secret
	kind string
	// answer is all that GoTrue said.
	answer []byte
}

// account reads the whole account.
func (l link) account() (u types.User, err error) {
	err = json.Unmarshal(l.answer, &u)
	return u, failure(signin.StageFind, err)
}

// generateLink makes a link to the account with this address, and thereby finds the account. An
// address nobody has is user_not_found (GoTrue internal/api/mail.go; for type magiclink it would be
// a new account).
//
// gotrue-go could make this call. But every sign-in makes it, and reading all of the account, of which
// the metadata is its owner's to fill, takes a quarter of the allocations of a sign-in.
func (c *Client) generateLink(ctx context.Context, address string) (link, error) {
	defer signin.ReportFrom(ctx).Time(signin.StageFind)()
	answer, err := c.call(ctx, "generate_link", netip.Addr{}).ask(http.MethodPost, "/admin/generate_link", types.AdminGenerateLinkRequest{
		Type: types.LinkTypeRecovery, Email: address,
	})
	var found struct {
		ID           uuid.UUID      `json:"id"`
		AppMetadata  map[string]any `json:"app_metadata"`
		UserMetadata struct {
			DisplayName any `json:"display_name"`
			AvatarURL   any `json:"avatar_url"`
		} `json:"user_metadata"`
		Hash string `json:"hashed_token"`
		Kind string `json:"verification_type"`
	}
	if err == nil {
		err = upstream.Decode(answer, &found)
	}
	if err == nil && (found.ID == uuid.Nil || found.Hash == "") {
		err = errNoLink // and no account that could be taken for an unmarked one
	}
	if err != nil {
		return link{}, failure(signin.StageFind, err)
	}
	return link{
		user: types.User{ID: found.ID, AppMetadata: found.AppMetadata, UserMetadata: map[string]any{
			"display_name": found.UserMetadata.DisplayName, "avatar_url": found.UserMetadata.AvatarURL,
		}},
		hash: signin.Secret(found.Hash), kind: found.Kind, answer: answer,
	}, nil
}

// user looks an account up by its id; soft-deleted ones are found too.
func (c *Client) user(ctx context.Context, id uuid.UUID) (types.User, error) {
	defer signin.ReportFrom(ctx).Time(signin.StageLookup)()
	resp, err := c.gotrue(ctx, "get_user").AdminGetUser(types.AdminGetUserRequest{UserID: id})
	if err != nil {
		return types.User{}, failure(signin.StageLookup, err)
	}
	if resp.ID != id {
		return types.User{}, failure(signin.StageLookup, errOtherAccount)
	}
	return resp.User, nil
}

// createUser makes the account of a person, confirmed and marked. It has a password hash that no
// password has: without one GoTrue makes up a password and spends 70 ms on hashing it.
func (c *Client) createUser(ctx context.Context, id uuid.UUID, openID, address string, profile signin.Profile) error {
	defer signin.ReportFrom(ctx).Time(signin.StageCreate)()
	var created types.User
	err := c.call(ctx, "create_user", netip.Addr{}).do(http.MethodPost, "/admin/users", map[string]any{
		"id":            id,
		"email":         address,
		"email_confirm": true,
		"password_hash": unusableHash(),
		"app_metadata":  mark(openID, profile.UnionID),
		"user_metadata": metadata(openID, profile),
	}, &created)
	if err == nil && created.ID != id {
		err = errNoAccount
	}
	return failure(signin.StageCreate, err)
}

// setEmail gives an account an address, which counts as confirmed.
func (c *Client) setEmail(ctx context.Context, u types.User, address string) error {
	return c.updateUser(ctx, signin.StageCreate, types.AdminUpdateUserRequest{UserID: u.ID, Email: address, EmailConfirm: true})
}

// verify turns a link into a session. The type is the one that came with the link: with another one
// GoTrue may fail on a link that was superseded meanwhile (internal/api/verify.go).
func (c *Client) verify(ctx context.Context, l link, device netip.Addr) (signin.Session, error) {
	defer signin.ReportFrom(ctx).Time(signin.StageVerify)()
	k := c.call(ctx, "verify", device)
	if c.opts.ForwardClientIP == "" {
		k.headers = c.public // verify is public; only a forwarded address needs the secret key
	}
	body := struct {
		Type string `json:"type"`
		Hash string `json:"token_hash"`
	}{l.kind, l.hash.Reveal()}
	var session signin.Session
	answer, err := k.ask(http.MethodPost, "/verify", body)
	if err == nil {
		err = upstream.Decode(answer, &session)
	}
	if err != nil {
		return signin.Session{}, failure(signin.StageVerify, err)
	}
	if idOf(session.User) != l.user.ID || session.AccessToken == "" || session.RefreshToken == "" {
		return signin.Session{}, failure(signin.StageVerify, errNoSession)
	}
	return session, nil
}

// idOf returns the id of a user in JSON, none if there is none. It is the first member (GoTrue
// internal/models/user.go), so that the rest, which may be long, is not read.
func idOf(user json.RawMessage) (id uuid.UUID) {
	d := json.NewDecoder(bytes.NewReader(user))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return uuid.Nil
	}
	for d.More() {
		var value any = &json.RawMessage{}
		name, err := d.Token()
		if name == "id" {
			value = &id
		}
		if err != nil || d.Decode(value) != nil {
			return uuid.Nil
		}
		if name == "id" {
			return id
		}
	}
	return uuid.Nil
}

// alive asks whether a session still is one; session_not_found says no.
func (c *Client) alive(ctx context.Context, session signin.Session) error {
	defer signin.ReportFrom(ctx).Time(signin.StageAdopt)()
	k := c.call(ctx, "get_own_user", netip.Addr{})
	k.headers, k.token = c.public, signin.Secret(session.AccessToken)
	var user json.RawMessage
	return failure(signin.StageAdopt, k.do(http.MethodGet, "/user", nil, &user))
}

// UpdateProfile implements signin.Accounts. GoTrue merges metadata at the top level, so only the
// bridge's own keys are sent and all others stay.
func (c *Client) UpdateProfile(ctx context.Context, account signin.Account, p signin.Profile) error {
	id, err := uuid.Parse(account.ID)
	if err != nil {
		return failure(signin.StageRefresh, err)
	}
	update := types.AdminUpdateUserRequest{UserID: id, UserMetadata: metadata(account.OpenID, p)}
	if p.UnionID != "" && p.UnionID != account.Profile.UnionID {
		update.AppMetadata = mark(account.OpenID, p.UnionID)
	}
	return c.updateUser(ctx, signin.StageRefresh, update)
}

// updateUser changes an account as an admin, in one of several stages.
func (c *Client) updateUser(ctx context.Context, stage signin.Stage, update types.AdminUpdateUserRequest) error {
	defer signin.ReportFrom(ctx).Time(stage)()
	resp, err := c.gotrue(ctx, "update_user").AdminUpdateUser(update)
	if err == nil && resp.ID != update.UserID {
		err = errNoAccount
	}
	return failure(stage, err)
}
