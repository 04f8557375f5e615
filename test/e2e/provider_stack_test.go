package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

// What clients of the OpenID Provider have in their settings.
const (
	clientSecret   = "a client secret+with/signs: that forms encode" // 32 characters or more
	clientHost     = "app.example"                                   // nobody listens there
	clientCallback = "https://" + clientHost + "/callback"
)

// providerStack is the bridge as an OpenID Provider: replicas behind one address, which is the issuer.
type providerStack struct {
	t        *testing.T
	issuer   string
	settings string // of all replicas, without their keys
	replicas []*providerReplica
	turn     atomic.Int64
	// route picks the replica for a request. Default: in turn.
	route atomic.Pointer[func(*http.Request) *providerReplica]
}

// providerReplica is one process of the bridge.
type providerReplica struct {
	stack  *providerStack
	listen string
	log    *output.Buffer
	stop   func() error // nil while it does not run
	proxy  *httputil.ReverseProxy
	busy   sync.RWMutex // held for reading while it answers, for writing while it stops
	up     atomic.Bool
}

// The settings of a provider. There are two pairs of clients, one for each algorithm: those with a secret are
// called after it, those without are its public clients.
const providerSettings = `
server: { admin_listen: '', public_url: %q }
tiktok:
  client_key: %s
  client_secret: %s
  authorize_url: %s/v2/auth/authorize/
  api_url: %s
supabase: { url: %s, publishable_key: %s, secret_key: %s }
app: { origins: [https://app.example] }
rate_limit: { enabled: false }
oidc:
  clients:
    - &client
      id: RS256
      secret: %q
      redirect_uris:
        - ` + clientCallback + `
        - https://app.example/auth/callback/tiktok
        - https://app.example/api/auth/callback/tiktok
    - { <<: *client, id: ES256, alg: ES256 }
    - { <<: *client, id: public-RS256, secret: '' }
    - { <<: *client, id: public-ES256, secret: '', alg: ES256 }
`

// startProvider runs n replicas, which share what extra settings say.
func startProvider(t *testing.T, n int, settings string) *providerStack {
	t.Helper()
	s := &providerStack{t: t}
	tiktok := httptest.NewServer(tiktoksim.New(tiktoksim.Options{}))
	t.Cleanup(tiktok.Close)
	supabase := httptest.NewServer(gotruesim.New(gotruesim.Options{}))
	t.Cleanup(supabase.Close)
	front := httptest.NewUnstartedServer(s)
	s.issuer = "http://" + front.Listener.Addr().String()
	s.settings = fmt.Sprintf(
		providerSettings, s.issuer, tiktoksim.DefaultClientKey, tiktoksim.DefaultClientSecret, tiktok.URL, tiktok.URL,
		supabase.URL, gotruesim.PublishableKey, gotruesim.SecretKey, clientSecret,
	) + settings
	for _, listen := range process.FreeAddresses(t, n) {
		s.replicas = append(s.replicas, &providerReplica{
			stack: s, listen: listen,
			proxy: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: listen}),
		})
	}
	front.Start() // before the replicas, which ask for their public address
	t.Cleanup(front.Close)
	for _, r := range s.replicas {
		t.Cleanup(r.shutDown)
		r.start(firstKey)
	}
	return s
}

// Two keys of the operator.
const (
	firstKey  = "the first key, longer than 32 characters"
	secondKey = "the second key, longer than 32 characters"
)

// start runs the replica with these keys, and waits until it is ready.
func (r *providerReplica) start(keys ...string) {
	t := r.stack.t
	t.Helper()
	listed, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tikbridge.yaml")
	settings := fmt.Sprintf("%s\nseal: { keys: %s }\n", r.stack.settings, listed)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	r.log = &output.Buffer{}
	environ := []string{"TIKBRIDGE_SERVER_LISTEN=" + r.listen}
	if r.stop, err = launch(r.log, environ, "serve", "--config", file); err != nil {
		t.Fatal(err)
	}
	await(t, "http://"+r.listen+"/readyz", r.log)
	r.up.Store(true)
}

// shutDown ends the process, if it runs, after it has answered what it was asked.
func (r *providerReplica) shutDown() {
	r.up.Store(false)
	r.busy.Lock()
	defer r.busy.Unlock()
	if r.stop == nil {
		return
	}
	if err := r.stop(); err != nil {
		r.stack.t.Error(err)
	}
	r.stop = nil
}

// restart is a rolling update of the replica: nobody is sent there meanwhile.
func (r *providerReplica) restart(keys ...string) {
	r.shutDown()
	r.start(keys...)
}

// ServeHTTP is the load balancer in front of the replicas.
func (s *providerStack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, replica := range s.candidates(r) {
		if replica.serve(w, r) {
			return
		}
	}
	http.Error(w, "no replica runs", http.StatusBadGateway)
}

// candidates returns the replicas that may answer, the first choice first.
func (s *providerStack) candidates(r *http.Request) []*providerReplica {
	if route := s.route.Load(); route != nil {
		return []*providerReplica{(*route)(r)}
	}
	first := int(s.turn.Add(1)) % len(s.replicas)
	return slices.Concat(s.replicas[first:], s.replicas[:first])
}

// serve answers a request, if the replica runs.
func (r *providerReplica) serve(w http.ResponseWriter, req *http.Request) bool {
	if !r.up.Load() { // do not wait until it has stopped
		return false
	}
	r.busy.RLock()
	defer r.busy.RUnlock()
	if !r.up.Load() {
		return false
	}
	r.proxy.ServeHTTP(w, req)
	return true
}

// person is somebody with a browser of their own. They are Mira at TikTok.
type person struct {
	client *http.Client
}

// newPerson returns a person whose browser stays at the client's door: nobody listens behind it.
func newPerson() *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it has no options
	}
	return &person{&http.Client{
		Jar: jar, Timeout: time.Minute,
		CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			if req.URL.Hostname() == clientHost {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

// visit follows a client's authorization URL. On TikTok's page, if it is shown, the person decides to "continue" or
// to "cancel". It returns the address at which the browser comes back to the client.
func (p *person) visit(ctx context.Context, address, decision string) (*url.URL, error) {
	resp, err := p.get(ctx, address)
	if err != nil {
		return nil, err
	}
	if page := resp.Request.URL; resp.StatusCode == http.StatusOK && page.Path == "/v2/auth/authorize/" {
		answer := page.Query()
		answer.Set("decision", decision)
		answer.Set("account", "mira")
		answer.Set("grant", "user.info.basic")
		consent := url.URL{Scheme: page.Scheme, Host: page.Host, Path: "/sim/consent", RawQuery: answer.Encode()}
		if resp, err = p.get(ctx, consent.String()); err != nil {
			return nil, err
		}
	}
	back, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("%s: status %d, and no way back to the client", resp.Request.URL.Path, resp.StatusCode)
	}
	return back, nil
}

// get returns an answer whose body was read.
func (p *person) get(ctx context.Context, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, err
}

// startBrowser serves a browser to clients that are no Go programs: GET /?url=…&decision=… answers where it comes
// back to the client. Each visit is of a person who was never there before.
func startBrowser(t *testing.T) string {
	t.Helper()
	browser := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		back, err := newPerson().visit(r.Context(), r.FormValue("url"), r.FormValue("decision"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, back.String())
	}))
	t.Cleanup(browser.Close)
	return browser.URL
}

// clientOf returns the settings of a client for golang.org/x/oauth2.
func (s *providerStack) clientOf(id string) *oauth2.Config {
	config := &oauth2.Config{
		ClientID: id, ClientSecret: clientSecret, RedirectURL: clientCallback, Scopes: []string{"openid", "profile"},
		Endpoint: oauth2.Endpoint{AuthURL: s.issuer + "/oidc/authorize", TokenURL: s.issuer + "/oidc/token"},
	}
	if strings.HasPrefix(id, "public-") {
		config.ClientSecret = ""
	}
	return config
}
