package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/static"
)

const errorCodes = "x-error-codes"

// document reads the OpenAPI document and wants it to be one.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	text, err := static.Files.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil // tests have addresses of their own
	return doc
}

// TestOpenAPI_routes wants the document to list every route and no other.
func TestOpenAPI_routes(t *testing.T) {
	t.Parallel()
	doc := document(t)
	documented, registered := map[string]bool{}, map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	verifying := func(o *hostedOptions) { o.options.SiteVerification = []string{"AbC123dEf456"} }
	for _, r := range newProvider(t, verifying).Routes() {
		// Preflights and HEAD say nothing of their own.
		if r[0] == http.MethodGet || r[0] == http.MethodPost {
			path := r[1]
			if folder, file, ok := strings.Cut(path, "/sdk/"); ok && folder == "" {
				path = "/sdk/{file}"
				known := doc.Paths.Value(path).Get.Parameters.GetByInAndName("path", "file").Schema.Value.Enum
				if !slices.Contains(known, any(file)) {
					t.Errorf("the document does not know /sdk/%s", file)
				}
			}
			if strings.HasSuffix(path, "/tiktokAbC123dEf456.txt") { // also below other paths
				path = "/tiktok{code}.txt"
			}
			registered[r[0]+" "+path] = true
		}
	}
	if diff := cmp.Diff(registered, documented); diff != "" {
		t.Errorf("routes (-registered +documented):\n%s", diff)
	}
}

// TestOpenAPI_codes wants the document to have every code of the bridge.
func TestOpenAPI_codes(t *testing.T) {
	t.Parallel()
	var documented []signin.Code
	for _, code := range document(t).Components.Schemas["Error"].Value.Properties["error"].Value.Enum {
		documented = append(documented, signin.Code(code.(string)))
	}
	if diff := cmp.Diff(signin.Codes(), documented); diff != "" {
		t.Errorf("codes (-bridge +document):\n%s", diff)
	}
}

// auditor holds real answers against the document, and remembers which of its answers were given.
type auditor struct {
	*testing.T
	doc    *openapi3.T
	router routers.Router
	seen   map[string]bool
}

func newAuditor(t *testing.T) *auditor {
	t.Helper()
	doc := document(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &auditor{t, doc, router, map[string]bool{}}
}

// client follows no redirect and keeps no connection.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends a request to b over a socket. The answer must be one that the document has; so must be the
// request, if it succeeds.
func (a *auditor) ask(b bridge, method, target, body string, headers ...string) *http.Response {
	a.Helper()
	srv := httptest.NewServer(b)
	defer srv.Close()
	req, err := http.NewRequestWithContext(a.Context(), method, srv.URL+target, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		a.Fatal(err)
	}
	answer := readBody(a.T, resp)
	resp.Body = io.NopCloser(strings.NewReader(answer))

	route, parameters, err := a.router.FindRoute(req)
	if err != nil {
		a.Fatalf("%s %s: %v", method, target, err)
	}
	req.Body = io.NopCloser(strings.NewReader(body))
	input := &openapi3filter.RequestValidationInput{
		Request: req, Route: route, PathParams: parameters,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	refused := false // by a redirect
	if location, err := resp.Location(); err == nil {
		refused = location.Query().Has("error")
	}
	if resp.StatusCode < http.StatusBadRequest && !refused {
		if err := openapi3filter.ValidateRequest(a.Context(), input); err != nil {
			a.Errorf("%s %s succeeds, and the document forbids it: %v", method, target, err)
		}
	}
	err = openapi3filter.ValidateResponse(a.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header,
		Body:    io.NopCloser(bytes.NewReader([]byte(answer))),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		a.Errorf("%s %s: status %d: %v", method, target, resp.StatusCode, err)
		return resp
	}
	a.note(route, resp, answer)
	return resp
}

var errorInPage = regexp.MustCompile(`<dd class="code">([a-z_]+)</dd>`)

// note remembers an answer. Its error code, in the body or on its way back to the app, must be one that
// the document names for this status.
func (a *auditor) note(route *routers.Route, resp *http.Response, body string) {
	a.Helper()
	code := ""
	var e struct{ Error string }
	if location, err := resp.Location(); err == nil {
		q := location.Query() // an OpenID client reads the name without the prefix
		code = firstOf(q.Get("tikbridge_error"), q.Get("error"))
	} else if m := errorInPage.FindStringSubmatch(body); m != nil {
		code = m[1]
	} else if json.Unmarshal([]byte(body), &e) == nil {
		code = e.Error
	}
	if code != "" && !slices.Contains(a.codes(route.Operation, resp.StatusCode), code) {
		a.Errorf("%s: the document has no %d %s", route.Operation.OperationID, resp.StatusCode, code)
	}
	a.seen[strings.TrimSpace(route.Operation.OperationID+" "+strconv.Itoa(resp.StatusCode)+" "+code)] = true
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (a *auditor) codes(op *openapi3.Operation, status int) []string {
	var codes []string
	list, _ := op.Responses.Status(status).Value.Extensions[errorCodes].([]any)
	for _, code := range list {
		codes = append(codes, code.(string))
	}
	return codes
}

// promised is every answer that the document has.
func (a *auditor) promised() map[string]bool {
	all := map[string]bool{}
	for _, item := range a.doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status := range op.Responses.Map() {
				n, err := strconv.Atoi(status)
				if err != nil {
					a.Fatal(err)
				}
				if n < http.StatusBadRequest || len(a.codes(op, n)) == 0 {
					all[op.OperationID+" "+status] = true
				}
				for _, code := range a.codes(op, n) {
					all[op.OperationID+" "+status+" "+code] = true
				}
			}
		}
	}
	return all
}

// panicking is a policy with a fault.
type panicking struct{ everything }

func (panicking) ReturnTo(string) bool { panic("a fault") }

// fault is an error of an upstream with this code.
func fault(code signin.Code) error {
	e := &signin.Error{Code: code, Message: "A message."}
	if code == signin.RateLimited {
		e.RetryAfter = time.Minute
	}
	if code == signin.Internal {
		return errors.New("a fault")
	}
	return e
}

// TestOpenAPI_answers lets a bridge give every answer that the document has, with every code, and no
// other.
func TestOpenAPI_answers(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	a.start()
	a.callback()
	a.redeem()
	for _, path := range []string{tokenPath, revokePath} {
		a.tokens(path)
	}
	for _, path := range []string{exchangePath, functionPath} {
		a.exchange(path)
	}
	a.provider()
	a.full()
	a.others()
	if diff := cmp.Diff(a.promised(), a.seen); diff != "" {
		t.Errorf("answers (-document +seen):\n%s", diff)
	}
}

func (a *auditor) start() {
	b := newHosted(a.T)
	good := query(startPath, "platform", "web", "redirect_to", appOrigin+"/welcome",
		"challenge", challenge(), "select_account", "1")
	a.ask(b, "GET", good, "")
	a.ask(b, "GET", query(startPath, "platform", "native", "scheme", "com.example.other", "challenge", challenge()), "")
	a.ask(b, "GET", good, "", "Accept", forScripts)
	for _, accept := range []string{forScripts, forPeople} {
		a.ask(b, "GET", query(startPath, "platform", "other"), "", "Accept", accept)
		a.ask(b, "GET", query(startPath, "platform", "web", "challenge", "short"), "", "Accept", accept)
		foreignPage := query(startPath, "platform", "web", "redirect_to", "https://evil.example/")
		a.ask(b, "GET", foreignPage, "", "Accept", accept)
		foreignScheme := query(startPath, "platform", "native", "scheme", "evil", "challenge", challenge())
		a.ask(b, "GET", foreignScheme, "", "Accept", accept)
		a.ask(b, "GET", good, "", "Accept", accept, "Origin", "https://evil.example")
		limited := newHosted(a.T, func(o *hostedOptions) { o.options.StartPerMinute = 1 })
		a.ask(limited, "GET", good, "")
		a.ask(limited, "GET", good, "", "Accept", accept)
		a.ask(newHosted(a.T, func(o *hostedOptions) { o.policy = panicking{} }), "GET", good, "", "Accept", accept)
	}
}

func (a *auditor) callback() {
	platforms := [][]string{
		{"platform", "web", "challenge", challenge()},
		{"platform", "native", "challenge", challenge()},
	}
	for _, platform := range platforms {
		b := newHosted(a.T)
		back := func(b bridge, values ...string) string {
			return query(callbackPath, append([]string{"state", b.begin(a.T, platform...).state}, values...)...)
		}
		once := back(b, "code", "c", "scopes", "user.info.basic")
		a.ask(b, "GET", once, "")
		a.ask(b, "GET", once, "") // invalid_state, on its way to the app
		a.ask(b, "GET", back(b, "error", "access_denied", "error_description", "x"), "")
		a.ask(b, "GET", back(b), "") // no code
		for _, code := range []signin.Code{
			signin.InvalidGrant, signin.RedirectURIMismatch, signin.RateLimited, signin.TikTokUnavailable,
			signin.TikTokMisconfigured, signin.Internal,
		} {
			b := newHosted(a.T, with(failing(fault(code))))
			a.ask(b, "GET", back(b, "code", "c"), "")
		}
	}
	for _, accept := range []string{forScripts, forPeople} {
		a.ask(newHosted(a.T), "GET", query(callbackPath, "state", "foreign", "code", "c"), "", "Accept", accept)
		b := newHosted(a.T, with(people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) {
			panic("a fault")
		}}))
		state := b.begin(a.T, platforms[0]...).state
		a.ask(b, "GET", query(callbackPath, "state", state, "code", "c"), "", "Accept", accept)
	}
}

func (a *auditor) redeem() {
	body := func(b bridge) string {
		return redeemBody(a.T, b.handoffOf(a.T, b.begin(a.T, "platform", "web", "challenge", challenge())), appVerifier)
	}
	b := newHosted(a.T, func(o *hostedOptions) { o.tokens = true })
	once := body(b)
	a.ask(b, "POST", redeemPath, once)
	a.ask(b, "POST", redeemPath, once)
	a.refusals(b, redeemPath, body(b), func(o *server.Options) { o.RedeemPerMinute = 1 })
	for _, code := range []signin.Code{
		signin.UserBanned, signin.SignInRefused, signin.AccountConflict, signin.SupabaseMisconfigured,
		signin.SupabaseRestricted, signin.BackendUnavailable,
		signin.Internal, signin.SupabaseUnavailable,
	} {
		b := newHosted(a.T, with(minting(code)))
		a.ask(b, "POST", redeemPath, body(b))
	}
}

const (
	tokenPath  = "/api/auth/tiktok/token"
	revokePath = "/api/auth/tiktok/revoke"
)

// tokenBody signs somebody in and returns what refreshes their tokens.
func (b bridge) tokenBody(t *testing.T) string {
	t.Helper()
	session := readJSON(t, b.do(t, http.MethodPost, redeemPath,
		redeemBody(t, b.handoffOf(t, b.begin(t, "platform", "web", "challenge", challenge())), appVerifier)))
	return fmt.Sprintf(`{"provider_refresh_token":%q}`, session["provider_refresh_token"])
}

func (a *auditor) tokens(path string) {
	returning := func(o *hostedOptions) { o.tokens = true }
	b := newHosted(a.T, returning)
	const session = "Bearer a.b.c"
	a.ask(b, "POST", path, b.tokenBody(a.T), "Authorization", session)
	a.ask(b, "POST", path, b.tokenBody(a.T))
	a.ask(b, "POST", path, `{"provider_refresh_token":"rft.unsealed"}`, "Authorization", session)
	a.refusals(b, path, b.tokenBody(a.T), func(o *server.Options) { o.RedeemPerMinute = 1 })
	for _, code := range []signin.Code{
		signin.TikTokUnavailable, signin.TikTokMisconfigured, signin.Internal,
	} {
		b := newHosted(a.T, returning, with(people{refresh: func() (signin.Identity, error) {
			return signin.Identity{}, fault(code)
		}}))
		a.ask(b, "POST", path, b.tokenBody(a.T), "Authorization", session)
	}
	for _, code := range []signin.Code{
		signin.SupabaseUnavailable, signin.SupabaseMisconfigured, signin.SupabaseRestricted,
	} {
		b := newHosted(a.T, returning, with(people{owner: func() error { return fault(code) }}))
		a.ask(b, "POST", path, b.tokenBody(a.T), "Authorization", session)
	}
}

func (a *auditor) exchange(path string) {
	b := newHosted(a.T)
	a.ask(b, "POST", path, goodBody)
	const whole = `{"code":"c","redirect_uri":"https://app.example/auth","state":"id|myapp","code_verifier":"v"}`
	a.ask(newHosted(a.T, func(o *hostedOptions) { o.tokens = true }), "POST", path, whole)
	a.ask(b, "POST", path, `{"code":"c","redirect_uri":"https://evil.example/auth"}`)
	a.ask(b, "POST", path, `{"code":"c","redirect_uri":"https://app.example/auth","state":"id|evil"}`)
	a.refusals(b, path, goodBody, func(o *server.Options) { o.ExchangePerMinute = 1 })
	for _, code := range []signin.Code{
		signin.InvalidGrant, signin.RedirectURIMismatch, signin.AccessDenied, signin.RateLimited,
		signin.TikTokUnavailable,
		signin.TikTokMisconfigured, signin.Internal,
	} {
		a.ask(newHosted(a.T, with(failing(fault(code)))), "POST", path, goodBody)
	}
	for _, code := range []signin.Code{
		signin.UserBanned, signin.SignInRefused, signin.AccountConflict, signin.SupabaseMisconfigured,
		signin.SupabaseRestricted, signin.BackendUnavailable,
		signin.SupabaseUnavailable, signin.Internal,
	} {
		a.ask(newHosted(a.T, with(minting(code))), "POST", path, goodBody)
	}
}

// minting is a Supabase that answers every sign-in with a code.
func minting(code signin.Code) people {
	return people{signIn: func(context.Context, netip.Addr) (signin.SignedIn, error) {
		return signin.SignedIn{}, fault(code)
	}}
}

// refusals are what every POST is refused for. The body's properties are those of the document: the
// bridge reads each of them, and none that is not there.
func (a *auditor) refusals(b bridge, path, good string, limit func(*server.Options)) {
	schema := a.doc.Paths.Value(path).Post.RequestBody.Value.Content.Get("application/json").Schema.Value
	for name := range schema.Properties {
		resp := a.ask(b, "POST", path, `{"`+name+`": 1}`)
		if description := readBody(a.T, resp); !strings.Contains(description, "The field "+name+" must be a string") {
			a.Errorf("%s does not read %s: %s", path, name, description)
		}
	}
	a.ask(b, "POST", path, "")
	a.ask(b, "POST", path, strings.Repeat("x", 65<<10))
	a.ask(b, "POST", path, good, "Origin", "https://evil.example")
	limited := newHosted(a.T, func(o *hostedOptions) { limit(&o.options) })
	a.ask(limited, "POST", path, "")
	a.ask(limited, "POST", path, "")
}

// provider asks as OpenID clients do.
func (a *auditor) provider() {
	b := newProvider(a.T)
	for _, path := range []string{discoveryPath, metadataPath, jwksPath} {
		a.ask(b, "GET", path, "")
	}
	ofForm := []string{"Content-Type", formType}
	limit := func(o *hostedOptions) { o.options.StartPerMinute = 1 }
	for _, changes := range [][]string{
		{},
		{"response_type", "token"},
		{"scope", "email"},
		{"request", "x"},
		{"request_uri", "x"},
		{"registration", "x"},
		{"prompt", "none"},
		{"prompt", "login"},
		{"max_age", "60"},
		{"response_mode", "form_post"},
		{"client_id", "nobody"},
		{"redirect_uri", "https://evil.example/"},
	} {
		for _, accept := range []string{forScripts, forPeople} {
			a.askAuthorize(b, asking(changes...), accept)
		}
	}
	for _, accept := range []string{forScripts, forPeople} {
		limited := newProvider(a.T, limit)
		a.ask(limited, "GET", authorizePath+"?"+asking(), "")
		a.askAuthorize(limited, asking(), accept)
		a.ask(b, "POST", authorizePath, strings.Repeat("x", 65<<10), append(ofForm, "Accept", accept)...)
	}
	a.clientCallbacks()

	token := func(secret, body string) *http.Response {
		return a.ask(b, "POST", tokenEndpoint, body, append(ofForm, "Authorization", basicAuth(secret))...)
	}
	code := b.clientCode(a.T)
	token(clientSecret, ofClient(code, "redirect_uri", "https://client.example/"))
	token(clientSecret, ofClient(code, "grant_type", "refresh_token"))
	token(clientSecret, "")
	token(clientSecret, strings.Repeat("x", 65<<10))
	access := readJSON(a.T, token(clientSecret, ofClient(code)))["access_token"].(string)
	for range 1000 { // a slow machine has more than a minute's worth
		if token("wrong", ofClient(code)).StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	withTokens := newProvider(a.T, func(o *hostedOptions) { o.clients[0].TikTokTokens = true })
	a.ask(withTokens, "POST", tokenEndpoint, ofClient(withTokens.clientCode(a.T)),
		append(ofForm, "Authorization", basicAuth(clientSecret))...)

	bearer := []string{"Authorization", "Bearer " + access}
	a.ask(b, "GET", userInfoPath, "", bearer...)
	a.ask(b, "GET", userInfoPath, "", "Authorization", "Bearer x")
	a.ask(b, "POST", userInfoPath, "access_token="+access, ofForm...)
	a.ask(b, "POST", userInfoPath, "access_token=x", ofForm...)
	a.ask(b, "POST", userInfoPath, "access_token=x", append(ofForm, bearer...)...)
	a.ask(b, "POST", userInfoPath, strings.Repeat("x", 65<<10), ofForm...)
}

// askAuthorize asks in both ways.
func (a *auditor) askAuthorize(b bridge, q, accept string) {
	a.ask(b, "GET", authorizePath+"?"+q, "", "Accept", accept)
	a.ask(b, "POST", authorizePath, q, "Content-Type", formType, "Accept", accept)
}

// clientCallbacks lead back to an OpenID client.
func (a *auditor) clientCallbacks() {
	for _, code := range []signin.Code{signin.InvalidGrant, signin.TikTokUnavailable, signin.TikTokMisconfigured} {
		b := newProvider(a.T, with(failing(fault(code))))
		a.ask(b, "GET", query(callbackPath, "state", b.atTikTok(a.T).state, "code", "c"), "")
	}
	for _, accept := range []string{forScripts, forPeople} { // the provider is switched off meanwhile
		state := newProvider(a.T).atTikTok(a.T).state
		a.ask(newHosted(a.T), "GET", query(callbackPath, "state", state, "code", "c"), "", "Accept", accept)
	}
}

// full asks a bridge whose only place is taken.
func (a *auditor) full() {
	tiktok := newSlowTikTok()
	b := newProvider(a.T, with(tiktok.people()), func(o *hostedOptions) { o.options.MaxSignIns = 1 })
	var wg sync.WaitGroup
	wg.Go(func() {
		req := httptest.NewRequestWithContext(a.Context(), http.MethodPost, exchangePath, strings.NewReader(goodBody))
		req.Header.Set("Content-Type", "application/json")
		b.ServeHTTP(httptest.NewRecorder(), req)
	})
	<-tiktok.entered
	for _, path := range []string{exchangePath, functionPath} {
		a.ask(b, "POST", path, goodBody)
	}
	a.ask(b, "POST", redeemPath, redeemBody(a.T, "h", appVerifier))
	a.ask(b, "POST", tokenEndpoint, ofClient("x"), "Content-Type", formType)
	for _, accept := range []string{forScripts, forPeople} {
		a.ask(b, "GET", query(callbackPath, "state", "s", "code", "c"), "", "Accept", accept)
	}
	close(tiktok.release)
	wg.Wait()
}

func (a *auditor) others() {
	b := newHosted(a.T)
	for _, path := range append(slices.Clone(pagePaths), "/", "/healthz", "/readyz") {
		a.ask(b, "GET", path, "")
	}
	files := a.doc.Paths.Value("/sdk/{file}").Get.Parameters.GetByInAndName("path", "file").Schema.Value.Enum
	for _, file := range files {
		a.ask(b, "GET", "/sdk/"+file.(string), "")
	}
	verifying := newHosted(a.T, func(o *hostedOptions) { o.options.SiteVerification = []string{"AbC123dEf456"} })
	a.ask(verifying, "GET", "/tiktokAbC123dEf456.txt", "")
	b.Drain()
	a.ask(b, "GET", "/readyz", "")
}

// TestOpenAPI_parameters wants start to heed every parameter that the document has.
func TestOpenAPI_parameters(t *testing.T) {
	t.Parallel()
	var documented []string
	for _, p := range document(t).Paths.Value(startPath).Get.Parameters {
		documented = append(documented, p.Value.Name)
	}
	b := newHosted(t)
	ask := func(values ...string) string {
		resp := b.do(t, "GET", query(startPath, values...), "", "Accept", forScripts)
		var answer map[string]any
		if err := json.Unmarshal([]byte(readBody(t, resp)), &answer); err != nil {
			t.Fatal(err)
		}
		if code, ok := answer["error"].(string); ok {
			return code
		}
		u, err := url.Parse(answer["url"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return "disable_auto_auth=" + u.Query().Get("disable_auto_auth")
	}
	heeded := map[string][2]string{ // what comes without, and with
		"platform":    {ask("challenge", challenge()), ask("platform", "web", "challenge", challenge())},
		"challenge":   {ask("platform", "native"), ask("platform", "native", "challenge", challenge())},
		"redirect_to": {ask("platform", "web"), ask("platform", "web", "redirect_to", "https://evil.example/")},
		"scheme": {
			ask("platform", "native", "challenge", challenge()),
			ask("platform", "native", "challenge", challenge(), "scheme", "evil"),
		},
		"select_account": {ask("platform", "web"), ask("platform", "web", "select_account", "1")},
	}
	slices.Sort(documented)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(heeded)), documented); diff != "" {
		t.Errorf("parameters (-tested +documented):\n%s", diff)
	}
	for name, got := range heeded {
		if got[0] == got[1] {
			t.Errorf("start does not heed %s: %q either way", name, got[0])
		}
	}
}

// TestOpenAPI_dev wants tikbridge dev to give the document away, and production not to.
func TestOpenAPI_dev(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{}, withDemo)
	resp := b.do(t, http.MethodGet, "/api", "")
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || got != "/openapi.yaml" {
		t.Errorf("/api is %d to %q; want a redirect to /openapi.yaml", resp.StatusCode, got)
	}
	want, err := static.Files.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	resp = b.do(t, http.MethodGet, "/openapi.yaml", "")
	if kind := resp.Header.Get("Content-Type"); kind != "application/yaml; charset=utf-8" {
		t.Errorf("Content-Type is %q; want application/yaml", kind)
	}
	if readBody(t, resp) != string(want) {
		t.Error("/openapi.yaml is not the document")
	}
	for _, path := range []string{"/api", "/openapi.yaml"} {
		wantStatus(t, newBridge(t, people{}).do(t, http.MethodGet, path, ""), http.StatusNotFound)
	}
}
