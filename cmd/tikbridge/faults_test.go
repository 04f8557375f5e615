package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/pkg/upstream"
	"github.com/tikbridge/tikbridge/test/faulty"
	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

//go:generate go test -count=1 -run ^TestFaultMatrix . -update

var update = flag.Bool("update", false, "write the outcomes into docs/faults.md")

// kind is a way to fail: of an upstream, or of the network on the way there.
type kind struct {
	name  string
	fault faulty.Fault
	to    string // where the call goes instead
}

// Addresses in the network of a world.
const (
	tiktokHost    = "tiktok.test"
	supabaseHost  = "supabase.test"
	backendHost   = "backend.test"
	elsewhereHost = "elsewhere.test"
	bridgeHost    = "bridge.test"
	nobodyHost    = "nobody.test"
	resetHost     = "reset.test"
)

func kinds() []kind {
	all := []kind{
		{name: "refuses the connection", to: nobodyHost + ":80"},
		{name: "resets the connection before it reads", to: resetHost + ":80"},
	}
	for _, k := range faulty.Kinds("http://" + elsewhereHost + "/") {
		all = append(all, kind{name: k.Name, fault: k.Fault})
	}
	return all
}

// question is a call of the bridge.
type question struct {
	name    string // in docs/faults.md
	call    faulty.Call
	when    string       // the bridge asks it
	arrange func(*world) // so that it does
	act     func(*world) outcome
	set     []func(*config.Config)
}

// asked are the calls of the bridge, each with what makes it ask them: a sign-in, unless act says otherwise.
var asked = []question{
	inSignIn("token", faulty.Token, "Exchanges the code at TikTok.", returning),
	inSignIn("user_info", faulty.UserInfo, "Reads the profile at TikTok. Sign-ins continue without it.", returning),
	inSignIn("user_info, newcomer", faulty.UserInfo, "A new account waits for the profile, five seconds at most.", newcomer),
	inSignIn("user_info, own backend", faulty.UserInfo, "With `accounts: backend` every sign-in waits for it as long.", returning, byBackend),
	inSignIn("generate_link", faulty.GenerateLink, "Finds the account.", returning),
	inSignIn("verify", faulty.Verify, "Makes the session.", returning),
	inSignIn("get_user", faulty.GetUser, "A first sign-in checks for an account under another address.", newcomer),
	inSignIn("get_user, address changed", faulty.GetUser, "Finds the account of somebody who changed their e-mail address.", moved),
	inSignIn("get_user, address taken", faulty.GetUser, "Finds the person's own account when somebody else has their address.", squatted),
	inSignIn("create_user", faulty.CreateUser, "A first sign-in creates the account.", newcomer),
	inSignIn("store_profile", faulty.StoreProfile, "Stores a changed name or picture after the sign-in.", returning),
	inSignIn("evict", faulty.Evict, "Moves a squatter's account off the person's address. If that fails, the person gets an account at another address.", squatted),
	inSignIn("id_token", faulty.IDToken, "Makes the session with `supabase.provider`.", known, byProvider),
	{
		"user", faulty.User, "Asks whose session it is, before a refresh.", known, (*world).refresh, nil,
	},
	{
		"refresh", faulty.Refresh, "Refreshes TikTok's tokens. TikTok takes a refresh token once: if it has acted and the " +
			"answer is lost, the person has to sign in again.", known, (*world).refresh, nil,
	},
	{
		"revoke", faulty.Revoke, "Ends the grant at TikTok, after a refresh.", known, (*world).revoke, nil,
	},
	{
		"end_sessions", faulty.EndSessions, "Ends the sessions of somebody who took the app's access away. After an error " +
			"TikTok delivers the event again.", known, (*world).removed, nil,
	},
	{
		"id_token, access taken away", faulty.IDToken, "Finds the person's account for that, with `supabase.provider`.",
		known, (*world).removed,
		[]func(*config.Config){byProvider},
	},
	{
		"logout", faulty.LogOut, "Ends their sessions without a secret key.", known, (*world).removed,
		[]func(*config.Config){byProvider, withoutSecretKey},
	},
	inSignIn("sign_in", faulty.SignIn, "Asks the app's own backend for the session, with `accounts: backend`.", returning, byBackend),
	inSignIn("sign_in, newcomer", faulty.SignIn, "The backend creates the account, too.", newcomer, byBackend),
	{
		"session", faulty.Session, "Asks the backend whose session it is, before a refresh.", known, (*world).refresh,
		[]func(*config.Config){byBackend},
	},
}

// inSignIn is a call of a sign-in.
func inSignIn(
	name string, call faulty.Call, when string, arrange func(*world), set ...func(*config.Config),
) question {
	return question{name, call, when, arrange, (*world).signIn, set}
}

// byProvider signs people in by the project's own provider.
func byProvider(c *config.Config) { c.Supabase.Provider = supabase.DefaultProvider }

func withoutSecretKey(c *config.Config) { c.Supabase.SecretKey = "" }

// known has an account, and TikTok's tokens.
func known(w *world) {
	w.wantSignedIn("first of all")
	time.Sleep(time.Minute) // in its first second an account counts as new
}

func newcomer(*world) {}

// returning has an account. TikTok shows another name from now on.
func returning(w *world) {
	w.wantSignedIn("first of all")
	w.name = "New Name"
}

// moved has an account, and changed its e-mail address.
func moved(w *world) {
	w.wantSignedIn("first of all")
	w.admin(http.MethodPut, "/admin/users/"+w.user, `{"email":"ada@mail.example","email_confirm":true}`)
}

// squatted comes second: somebody signed up with their address.
func squatted(w *world) {
	const account = `{"email":"%s@tiktok.oauth","password":"secret-of-a-stranger"}`
	w.admin(http.MethodPost, "/admin/users", fmt.Sprintf(account, strings.ToLower(openID)))
	w.strangers++
}

// admin changes accounts past all faults.
func (w *world) admin(method, path, body string) {
	w.t.Helper()
	req := httptest.NewRequest(method, "/auth/v1"+path, strings.NewReader(body))
	req.Header.Set("Apikey", gotruesim.SecretKey)
	rec := httptest.NewRecorder()
	w.supabase.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK && rec.Code != http.StatusCreated {
		w.t.Fatalf("%s %s answers %d: %s", method, path, rec.Code, rec.Body)
	}
}

// The person who signs in, and the address that their codes are for.
const (
	redirectURI = "https://app.example/auth"
	openID      = "-000AbCdEfGhIjKlMnOpQrStUvWxYz012345"
)

// Bounds of the settings and of the code, which the outcomes are held against.
const (
	callTimeout = 10 * time.Second
	// patience is what a sign-in may take beside one call that ends at its time-out: pauses before new
	// attempts.
	patience = time.Second
	// breakerOpen is how long an upstream that failed is not asked.
	breakerOpen = 5*time.Second + time.Millisecond
)

// world is a bridge with its upstreams, in a network and a time of their own.
type world struct {
	t          *testing.T
	network    faulty.Network
	transports []*http.Transport
	tiktok     *tiktoksim.Server
	supabase   *gotruesim.Server
	backend    *ownBackend
	upstream   *faulty.Upstream
	app        *App
	log        output.Buffer
	session    grantSession // that the person got last
	name       string       // that TikTok shows
	user       string       // the person's id, once it is known
	shown      string       // the name that their account last had
	strangers  int          // accounts that are not theirs
	dialled    atomic.Int64

	mu   sync.Mutex
	call faulty.Call
	kind kind
	left int // how many calls the fault will still meet; negative: all
	met  int // how many it met
}

// inWorld runs f in a world, and looks at what is left of it.
func inWorld(t *testing.T, f func(*world), set ...func(*config.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, tiktok: tiktoksim.New(tiktoksim.Options{}), backend: newOwnBackend(t), name: "Old Name"}
		toBridge := &http.Transport{DialContext: w.network.Dial}
		w.transports = append(w.transports, toBridge)
		w.supabase = gotruesim.New(gotruesim.Options{
			AllowInsecureIssuers: true, Transport: toBridge,
			LookupIP: func(string) ([]net.IP, error) { return []net.IP{{127, 0, 0, 1}}, nil },
		})
		choose := func(call faulty.Call, _ *http.Request, _ []byte) faulty.Fault {
			if k, ok := w.strikes(call, func(k kind) bool { return k.fault != nil }); ok {
				return k.fault
			}
			return nil
		}
		w.upstream = &faulty.Upstream{Next: http.HandlerFunc(w.healthy), Choose: choose}
		followed := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the bridge followed a redirect") })
		stops := []func(){
			w.serve(tiktokHost, w.upstream), w.serve(supabaseHost, w.upstream), w.serve(backendHost, w.upstream),
			w.serve(elsewhereHost, followed), w.serveResets(),
		}
		w.build(set...)
		if w.app.provider != nil {
			stops = append(stops, w.serve(bridgeHost, w.app.server))
			w.setUpProvider()
		}
		f(w)

		if err := w.app.service.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, transport := range w.transports {
			transport.CloseIdleConnections()
		}
		synctest.Wait()
		if n := w.network.Open(); n != 0 {
			t.Errorf("%d connections are left open", n)
		}
		for _, stop := range stops {
			stop()
		}
		// synctest fails the test if a goroutine is left.
	})
}

// healthy answers for all upstreams.
func (w *world) healthy(rw http.ResponseWriter, r *http.Request) {
	switch r.Host {
	case tiktokHost:
		w.tiktok.ServeHTTP(rw, r)
		return
	case backendHost:
		w.backend.ServeHTTP(rw, r)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/admin/users") {
		time.Sleep(time.Millisecond) // so that the look-up beside it comes first
	}
	w.supabase.ServeHTTP(rw, r)
}

func (w *world) serve(host string, h http.Handler) (stop func()) {
	s := &http.Server{
		Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), IdleTimeout: time.Minute, // #nosec G112
	}
	l := w.network.Listen(host + ":80")
	go func() { _ = s.Serve(l) }()
	return func() { _ = s.Close() }
}

// serveResets resets every connection to its host.
func (w *world) serveResets() (stop func()) {
	l := w.network.Listen(resetHost + ":80")
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(interface{ SetLinger(int) error }).SetLinger(0)
			_ = conn.Close()
		}
	}()
	return func() { _ = l.Close() }
}

// build makes the bridge, wired and set as in production.
func (w *world) build(set ...func(*config.Config)) {
	cfg := config.Default()
	cfg.TikTok.ClientKey, cfg.TikTok.ClientSecret = tiktoksim.DefaultClientKey, tiktoksim.DefaultClientSecret
	cfg.TikTok.APIURL = "http://" + tiktokHost
	cfg.Supabase.URL, cfg.Supabase.AuthURL = "http://"+supabaseHost, "http://"+supabaseHost+"/auth/v1"
	cfg.Supabase.PublishableKey, cfg.Supabase.SecretKey = gotruesim.PublishableKey, gotruesim.SecretKey
	cfg.Server.PublicURL, cfg.App.Origins = "https://signin.example", []string{"https://app.example"}
	cfg.App.RedirectURIs = []string{redirectURI}
	cfg.RateLimit.Enabled = false
	cfg.TikTok.ReturnTokens = true
	for _, f := range set {
		f(&cfg)
	}
	if cfg.Supabase.Provider != "" {
		cfg.Server.PublicURL, cfg.OIDC.Issuer = "http://"+bridgeHost, "http://"+bridgeHost
		cfg.OIDC.SigningKeys = []signin.Secret{testKeys()}
		cfg.OIDC.Clients = []config.OIDCClient{{
			ID: "supabase", Secret: "a-secret-of-the-client-supabase-for-tests", Alg: "ES256",
			RedirectURIs: cfg.Supabase.CallbackURLs(),
		}}
	}
	if cfg.TikTok.Timeout != callTimeout || cfg.Supabase.Timeout != callTimeout || cfg.Backend.Timeout != callTimeout {
		w.t.Fatal("the default time-outs have changed")
	}
	a, err := NewApp(cfg, AppOptions{
		Logger:          slog.New(slog.NewJSONHandler(&w.log, nil)),
		TikTokTransport: w.detour(), SupabaseTransport: w.detour(), BackendTransport: w.detour(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.app = a
}

// testKeys are made once: it takes longer than a sign-in.
var testKeys = sync.OnceValue(func() signin.Secret {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	var keys []byte
	for _, key := range []any{rsaKey, ecKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		keys = append(keys, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	return signin.Secret(keys)
})

// setUpProvider makes TikTok a provider of the project.
func (w *world) setUpProvider() {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{
		"provider_type": "oidc", "identifier": supabase.DefaultProvider, "name": "TikTok", "client_id": "supabase",
		"client_secret": "a-secret-of-the-client-supabase-for-tests", "issuer": "http://" + bridgeHost,
		"scopes": []string{"openid"}, "email_optional": true,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.admin(http.MethodPost, "/admin/custom-providers", string(body))
}

func (w *world) detour() http.RoundTripper {
	transport := upstream.NewTransport()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		w.dialled.Add(1)
		return w.network.Dial(ctx, network, address)
	}
	w.transports = append(w.transports, transport)
	return faulty.Detour{Next: transport, To: func(call faulty.Call) string {
		k, _ := w.strikes(call, func(k kind) bool { return k.to != "" })
		return k.to
	}}
}

// strikes tells whether the fault meets a call, if it is of those.
func (w *world) strikes(call faulty.Call, those func(kind) bool) (kind, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if call != w.call || w.left == 0 || !those(w.kind) {
		return kind{}, false
	}
	w.left--
	w.met++
	return w.kind, true
}

// plan makes the next calls fail, all if times is negative. It returns how many failed since the last plan.
func (w *world) plan(call faulty.Call, k kind, times int) (met int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	met = w.met
	w.call, w.kind, w.left, w.met = call, k, times, 0
	return met
}

// The outcomes without an error.
const (
	signedIn = "signed in"
	works    = "works"
	nothing  = "answered with 200, without effect" // as the upstream did
)

// outcome of a sign-in, in the words of docs/faults.md.
type outcome struct {
	code  string // signedIn, works, or the error code
	took  time.Duration
	retry string // the Retry-After
}

// failed reports whether there was an error.
func (o outcome) failed() bool { return o.code != signedIn && o.code != works && o.code != nothing }

func (o outcome) String() string {
	s := o.code
	if o.failed() {
		s = "`" + s + "`"
	}
	if seconds := int(o.took.Seconds()); seconds > 0 {
		s += fmt.Sprintf(" after %d s", seconds)
	}
	return s
}

// signIn exchanges a new code of the person, and checks what holds whatever happens.
func (w *world) signIn() outcome {
	w.t.Helper()
	exchanged, told := w.upstream.Seen(faulty.Token), w.backend.SignIns()
	body := fmt.Sprintf(`{"code":%q,"redirect_uri":%q}`, w.code(), redirectURI)
	rec, o := w.ask("/api/auth/tiktok-callback", body)
	if n := w.upstream.Seen(faulty.Token) - exchanged; n > 1 {
		w.t.Errorf("the code was sent %d times", n)
	}
	if n := w.backend.SignIns() - told; n > 1 {
		w.t.Errorf("the backend was told of %d sign-ins", n)
	}
	if rec.Code != http.StatusOK {
		return o
	}
	o.code = signedIn
	var session grantSession
	if err := json.Unmarshal(rec.Body.Bytes(), &session); err != nil {
		w.t.Fatalf("%v in %s", err, rec.Body)
	}
	w.session = session
	if id, who := w.owner(session.AccessToken); id != session.User.ID || who != openID {
		w.t.Errorf("the session of %q is of %q (%q)", session.User.ID, id, who)
	}
	if w.user != "" && w.user != session.User.ID {
		w.t.Errorf("the person is user %s, and was %s", session.User.ID, w.user)
	}
	w.user = session.User.ID
	return o
}

// ask sends a request to the bridge, with headers in pairs.
func (w *world) ask(path, body string, headers ...string) (*httptest.ResponseRecorder, outcome) {
	w.t.Helper()
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	synctest.Wait() // for connections that were opened ahead: whether one is used again decides about a retry
	start := time.Now()
	w.app.server.ServeHTTP(rec, req)
	o := outcome{works, time.Since(start), rec.Header().Get("Retry-After")}
	if o.took > callTimeout+patience {
		w.t.Errorf("the answer took %v", o.took)
	}
	if rec.Code != http.StatusOK && rec.Code != http.StatusNoContent {
		o.code = w.codeOf(rec)
	}
	return rec, o
}

// refresh uses the refresh token that the person got last, and keeps the next.
func (w *world) refresh() outcome {
	w.t.Helper()
	rec, o := w.use("token")
	if o.code == works {
		var fresh grantSession
		if err := json.Unmarshal(rec.Body.Bytes(), &fresh); err != nil || !strings.HasPrefix(fresh.ProviderToken, "act.") {
			w.t.Errorf("a refresh brings no token: %s", rec.Body)
		}
		w.session.ProviderRefresh = fresh.ProviderRefresh
	}
	return o
}

func (w *world) revoke() outcome {
	w.t.Helper()
	_, o := w.use("revoke")
	return o
}

func (w *world) use(route string) (*httptest.ResponseRecorder, outcome) {
	w.t.Helper()
	return w.ask("/api/auth/tiktok/"+route, fmt.Sprintf(`{"provider_refresh_token":%q}`, w.session.ProviderRefresh),
		"Authorization", "Bearer "+w.session.AccessToken)
}

// removed delivers TikTok's event of a person who took the app's access away, always the same one.
func (w *world) removed() outcome {
	w.t.Helper()
	body := fmt.Sprintf(`{"client_key":%q,"event":"authorization.removed","create_time":1,"user_openid":%q,`+
		`"content":"{\"reason\":1}"}`, tiktoksim.DefaultClientKey, openID)
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(tiktoksim.DefaultClientSecret))
	_, _ = fmt.Fprintf(mac, "%s.%s", at, body)
	_, o := w.ask("/api/auth/tiktok/webhook", body, "Tiktok-Signature", "t="+at+",s="+hex.EncodeToString(mac.Sum(nil)))
	if o.code == works && w.isSignedIn() {
		o.code = nothing
	}
	return o
}

// isSignedIn reports whether the session that the person got last lives.
func (w *world) isSignedIn() bool {
	req := httptest.NewRequest(http.MethodGet, "/auth/v1/user", http.NoBody)
	req.Header.Set("Apikey", gotruesim.PublishableKey)
	req.Header.Set("Authorization", "Bearer "+w.session.AccessToken)
	rec := httptest.NewRecorder()
	w.supabase.ServeHTTP(rec, req)
	return rec.Code == http.StatusOK
}

// code makes an authorization code of the person for the guide flow.
func (w *world) code() string { return w.codeFor(redirectURI) }

func (w *world) codeFor(redirect string) string {
	w.t.Helper()
	body := fmt.Sprintf(`{"open_id":%q,"redirect_uri":%q,"display_name":%q}`, openID, redirect, w.name)
	rec := httptest.NewRecorder()
	w.tiktok.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/sim/codes", strings.NewReader(body)))
	var made struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &made); err != nil || made.Code == "" {
		w.t.Fatalf("no code: %s", rec.Body)
	}
	return made.Code
}

// codeOf checks that an error is one of those in docs/errors.md, and returns its code.
func (w *world) codeOf(rec *httptest.ResponseRecorder) string {
	w.t.Helper()
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		RequestID   string `json:"request_id"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || e.Description == "" || e.RequestID == "" {
		w.t.Errorf("status %d with no error of the bridge: %s", rec.Code, rec.Body)
	}
	_, section, documented := strings.Cut(errorsPage(w.t), "\n### "+e.Error+"\n")
	section, _, _ = strings.Cut(section, "\n### ")
	if !documented || !strings.Contains(section, fmt.Sprintf("Status %d", rec.Code)) {
		w.t.Errorf("docs/errors.md has no %q with status %d", e.Error, rec.Code)
	}
	if e.Error == string(signin.Internal) {
		w.t.Errorf("an upstream's fault is called one of the bridge: %s", rec.Body)
	}
	return e.Error
}

var errorsPage = func() func(*testing.T) string {
	read := sync.OnceValues(func() ([]byte, error) { return os.ReadFile("../../docs/errors.md") })
	return func(t *testing.T) string {
		t.Helper()
		page, err := read()
		if err != nil {
			t.Fatal(err)
		}
		return string(page)
	}
}()

// owner asks the emulated Supabase, or the backend, whose an access token is, and which mark and name they have.
func (w *world) owner(token string) (id, mark string) {
	w.t.Helper()
	if w.app.cfg.Accounts == config.AccountsBackend {
		id, mark, w.shown = w.backend.Owner(token)
		return id, mark
	}
	req := httptest.NewRequest(http.MethodGet, "/auth/v1/user", http.NoBody)
	req.Header.Set("Apikey", gotruesim.PublishableKey)
	req.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	w.supabase.ServeHTTP(rec, req)
	var user struct {
		ID  string `json:"id"`
		App struct {
			TikTok struct {
				OpenID string `json:"open_id"`
			} `json:"tiktok"`
		} `json:"app_metadata"`
		Identities []struct {
			ID string `json:"id"`
		} `json:"identities"`
		Shown struct {
			Name     string `json:"display_name"`
			FullName string `json:"full_name"` // by the provider
		} `json:"user_metadata"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &user); err != nil {
		w.t.Fatal(err)
	}
	w.shown, mark = cmp.Or(user.Shown.Name, user.Shown.FullName), user.App.TikTok.OpenID
	if w.app.provider != nil && len(user.Identities) == 1 {
		mark = user.Identities[0].ID
	}
	return user.ID, mark
}

// wantSignedIn signs in where nothing may keep the person out any more.
func (w *world) wantSignedIn(when string) {
	w.t.Helper()
	if o := w.signIn(); o.code != signedIn || o.took >= time.Second {
		w.t.Errorf("%s: %s (%v); want to be signed in at once", when, o, o.took)
	}
	if n := w.supabase.Users() + w.backend.Users() - w.strangers; n != 1 {
		w.t.Errorf("%s: the person has %d accounts", when, n)
	}
}

// settle lets pass all that goes on after an answer.
func (w *world) settle() {
	time.Sleep(2 * callTimeout)
	synctest.Wait()
}

// breakerOpened is in the log when a breaker opened.
const breakerOpened = `"breaker":"open"`

// faultRow is a line of docs/faults.md.
type faultRow struct{ first, always, breaker string }

// meet acts while a call fails once, and while it fails every time, and when it has stopped to.
func meet(t *testing.T, q question, k kind) (row faultRow) {
	t.Helper()
	wantMet := func(w *world, times int) int {
		met := w.plan("", kind{}, 0)
		if met == 0 || times > 0 && met != times {
			t.Errorf("the fault was met %d times", met)
		}
		return met
	}
	wantRetry := func(o outcome) outcome {
		said := strings.HasSuffix(k.name, "with Retry-After") && o.failed()
		if want := fmt.Sprint(faulty.RetryAfter); said && o.retry != want {
			t.Errorf("Retry-After is %q; want %q", o.retry, want)
		}
		return o
	}
	inWorld(t, func(w *world) {
		q.arrange(w)
		w.plan(q.call, k, 1)
		o := wantRetry(q.act(w))
		w.settle()
		wantMet(w, 1)
		row.first = o.String()
		if o.failed() {
			if again := q.act(w); again.failed() {
				row.first += ", then " + again.String()
			}
		}
		w.wantSignedIn("after the fault")
		w.settle()
		w.wantSignedIn("once more")
		if w.shown != w.name {
			t.Errorf("the person's name is %q; want %q", w.shown, w.name)
		}
	}, q.set...)
	inWorld(t, func(w *world) {
		q.arrange(w)
		w.plan(q.call, k, -1)
		row.always = wantRetry(q.act(w)).String()
		w.settle()
		if k.name != "a body of 10 MB" { // which takes long to read, and opens no breaker: TestBreaker_opens
			for i := 0; i < 10 && !strings.Contains(w.log.String(), breakerOpened); i++ {
				q.act(w)
			}
			w.settle() // for calls that go on after the answer
			q.act(w)
		}
		row.breaker = "no"
		if strings.Contains(w.log.String(), breakerOpened) {
			row.breaker = "yes"
		}
		wantMet(w, -1)
		time.Sleep(breakerOpen)
		w.wantSignedIn("when the fault is gone")
		w.settle()
	}, q.set...)
	return row
}

// TestFaultMatrix lets every call fail in every way, and holds docs/faults.md against what
// came of it. With -update it writes it there.
func TestFaultMatrix(t *testing.T) {
	if process.RaceDetector {
		t.Skip("runs without the race detector, which makes it eight times as long; make test does that too")
	}
	t.Parallel()
	all := kinds()
	rows := make([][]faultRow, len(asked))
	t.Run("calls", func(t *testing.T) {
		for i, a := range asked {
			rows[i] = make([]faultRow, len(all))
			for j, k := range all {
				t.Run(a.name+" "+k.name, func(t *testing.T) {
					t.Parallel()
					rows[i][j] = meet(t, a, k)
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	var b strings.Builder
	names := make([]string, len(all))
	for j, k := range all {
		names[j] = k.name
	}
	fmt.Fprintf(&b, "Faults: %s.\n\n", strings.Join(names, "; "))
	for _, a := range asked {
		fmt.Fprintf(&b, "- **%s**: %s\n", a.name, a.when)
	}
	b.WriteString("\n| call | fault | met once | met every time | breaker opens |\n| --- | --- | --- | --- | --- |\n")
	var order []string
	calls := map[string][]string{} // by the rest of the row
	for i, a := range asked {
		outcomes := make([]string, len(all))
		for j, r := range rows[i] {
			always := r.always
			if always == r.first {
				always = "same"
			}
			outcomes[j] = fmt.Sprintf("%s | %s | %s", r.first, always, r.breaker)
		}
		for _, row := range faultRows(names, outcomes) {
			if calls[row] == nil {
				order = append(order, row)
			}
			calls[row] = append(calls[row], a.name)
		}
	}
	for _, row := range order {
		fmt.Fprintf(&b, "| %s %s\n", strings.Join(calls[row], "; "), row)
	}
	b.WriteString("\n")
	wantOnPage(t, "calls", b.String())
}

// faultRows has one row for all faults of one outcome. The outcome of most faults comes last.
func faultRows(faults, outcomes []string) []string {
	byOutcome := map[string][]string{}
	var order []string
	for i, o := range outcomes {
		if byOutcome[o] == nil {
			order = append(order, o)
		}
		byOutcome[o] = append(byOutcome[o], faults[i])
	}
	most := slices.MaxFunc(order, func(a, b string) int { return len(byOutcome[a]) - len(byOutcome[b]) })
	var rows []string
	for _, o := range order {
		if o != most {
			rows = append(rows, fmt.Sprintf("| %s | %s |", strings.Join(byOutcome[o], "; "), o))
		}
	}
	rest := "all others"
	if len(order) == 1 {
		rest = "every fault"
	}
	return append(rows, fmt.Sprintf("| %s | %s |", rest, most))
}

// TestFaultMatrix_calls keeps the list of calls whole.
func TestFaultMatrix_calls(t *testing.T) {
	t.Parallel()
	for _, call := range slices.Concat(faulty.Calls(), faulty.OtherCalls()) {
		if !slices.ContainsFunc(asked, func(q question) bool { return q.call == call }) {
			t.Errorf("%s is not among the calls that fail", call)
		}
	}
}

// wantOnPage holds a part of docs/faults.md, between two comments, against what it should be.
func wantOnPage(t *testing.T, part, want string) {
	t.Helper()
	const name = "../../docs/faults.md"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- begin "+part+" -->\n\n", "<!-- end "+part+" -->\n"
	before, rest, ok := strings.Cut(string(page), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no part %q", name, part)
	}
	if diff := gocmp.Diff(want, got); diff != "" && !*update {
		t.Errorf("%s does not say what happens; run go generate ./cmd/tikbridge (-want +got):\n%s", name, diff)
	}
	if *update {
		if err := os.WriteFile(name, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
