package supabase

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/supabase-community/gotrue-go"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// SBForwardedFor is the header that tells Supabase the client IP. Hosted projects trust it only with a secret
// key (sb_secret_…), and only while "IP address forwarding" is on (Supabase docs: Auth rate limits).
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
	// Provider is the custom provider of the project that stands for TikTok, such as custom:tiktok. With it,
	// accounts are found and made by id_token; SecretKey is then needed for ForwardClientIP and for the admin
	// calls alone, and EmailDomain and Adopt are not used. Empty: sessions come from sign-in links.
	Provider string
	// IDToken signs an id_token for Supabase, which says who somebody is. Provider needs it.
	IDToken func(ctx context.Context, id signin.Identity, p signin.Profile) (string, error)
	// EmailDomain is the domain of the accounts' addresses. Default: tiktok.oauth.
	EmailDomain string
	// Adopt says what happens to an unclaimed account. Default: AdoptHold.
	Adopt Adopt
	// ForwardClientIP names the header that sends GoTrue the client IP, by which it limits /verify. Empty:
	// not sent.
	ForwardClientIP string
	// Timeout bounds each call, within the deadline of its context. Default: 10 s.
	Timeout time.Duration
	// Transport defaults to one of upstream.NewTransport.
	Transport http.RoundTripper
	// Observer hears of every call. Default: none.
	Observer upstream.Observer
	// Logger receives audit events: accounts created, adopted, evicted, refused. Default: discarded.
	Logger *slog.Logger
}

// Client mints sessions over GoTrue's API. Safe for concurrent use.
type Client struct {
	opts   Options
	gotrue gotrue.Client
	people keyedLock
	large  *upstream.Budget
	// secret and public are the headers of calls with either key. All calls share them.
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
		opts.Adopt = AdoptHold
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
		opts:   opts,
		gotrue: gotrue.New("", opts.SecretKey.Reveal()).WithCustomGoTrueURL(opts.AuthURL),
		large:  upstream.NewBudget(maxSession),
		secret: headersOf(opts.SecretKey.Reveal()),
		public: headersOf(opts.PublishableKey),
	}
}
