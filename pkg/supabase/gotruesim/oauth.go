package gotruesim

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// flowTTL is how long a person may take from /authorize to the end of the exchange, and a PKCE verifier of
// GoTrue's own until the callback (conf/configuration.go:26, models/oauth_client_state.go).
const flowTTL = 5 * time.Minute

// flowState is a sign-in at a provider that is under way (models/flow_state.go).
type flowState struct {
	id, provider, referrer, linkTarget string
	noEmail                            bool
	authCode, challenge, method        string // of the app's PKCE; empty for the implicit flow
	clientState                        string // GoTrue's own PKCE, "" if the provider's row has it off
	createdAt                          time.Time
	// What the callback adds for the exchange.
	userID, accessToken, refreshToken string
}

func (f *flowState) pkce() bool { return f.challenge != "" }

func (f *flowState) expired(now time.Time) bool { return now.After(f.createdAt.Add(flowTTL)) }

// clientState is the PKCE verifier that GoTrue keeps for the provider; the first callback takes it.
type clientState struct {
	verifier, provider string
	createdAt          time.Time
}

// startSignIn is GET /authorize: off to the provider.
func (s *Server) startSignIn(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.deadline(r)
	defer cancel()
	address, err := s.startFlow(ctx, r, "")
	if err != nil {
		return err
	}
	found(w, r, address)
	return nil
}

// found redirects to the provider, or to an address that passed the allow list.
func found(w http.ResponseWriter, r *http.Request, address string) {
	http.Redirect(w, r, address, http.StatusFound) //nolint:gosec // see above
}

// deadline bounds what a request may wait for a provider.
func (s *Server) deadline(r *http.Request) (context.Context, context.CancelFunc) {
	if s.opts.MaxRequestDuration <= 0 {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), s.opts.MaxRequestDuration)
}

func timedOut() error {
	return fail(http.StatusGatewayTimeout, codeTimeout,
		"Processing this request timed out, please retry after a moment.")
}

// oauthProvider finds what a sign-in needs of a provider (external.go, loadCustomProvider). The name may come in
// any case.
func (s *Server) oauthProvider(ctx context.Context, name string) (*customProvider, *issuer, error) {
	name = strings.ToLower(name)
	if !strings.HasPrefix(name, customPrefix) {
		if slices.Contains(builtIn, name) {
			return nil, nil, errors.New("provider is not enabled")
		}
		return nil, nil, fmt.Errorf("Provider %s could not be found", name) //nolint:revive,staticcheck // its words
	}
	p := s.customProvider(name)
	if p == nil {
		return nil, nil, fmt.Errorf("custom provider %s not found", name)
	}
	if !p.Enabled {
		return nil, nil, fmt.Errorf("custom provider %s is disabled", name)
	}
	iss, err := s.issuer(p.Issuer, func() (*discovery, error) {
		return s.fetchDiscovery(ctx, p.discoveryURL(), p.Issuer)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("error creating OIDC provider: failed to create OIDC provider: %w", err)
	}
	return p, iss, nil
}

// startFlow notes a flow and tells where it goes on (external.go, GetExternalProviderRedirectURL).
func (s *Server) startFlow(ctx context.Context, r *http.Request, linkTarget string) (string, error) {
	q := r.URL.Query()
	p, iss, err := s.oauthProvider(ctx, q.Get("provider"))
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", timedOut()
		}
		return "", invalid("Unsupported provider: %v", err)
	}
	if token := q.Get("invite_token"); token != "" {
		if get(s.db, func(tx *tx) string { return tx.tokens.find(token, confirmationToken) }) != "" {
			return "", fail(http.StatusNotImplemented, "", "gotruesim does not emulate invitations by a provider")
		}
		return "", fail(http.StatusNotFound, codeUserNotFound, "User identified by token not found")
	}
	challenge, method := q.Get("code_challenge"), q.Get("code_challenge_method")
	if err := checkChallenge(challenge, method); err != nil {
		return "", err
	}
	flow := &flowState{
		id: uuid.NewString(), provider: q.Get("provider"), referrer: s.allowList.destination(r, ""),
		linkTarget: linkTarget, noEmail: p.NoEmail, challenge: challenge, createdAt: s.now(),
	}
	if challenge != "" {
		flow.authCode, flow.method = uuid.NewString(), strings.ToLower(method)
		if flow.method != "s256" && flow.method != "plain" {
			return "", invalid("Invalid code_challenge_method")
		}
	}
	v := authorizeParams(q, p, s.callbackURL(), flow.id)
	verifier := ""
	if p.PKCE {
		flow.clientState, verifier = uuid.NewString(), newVerifier()
		v.Set("code_challenge", s256(verifier))
		v.Set("code_challenge_method", "S256")
	}
	for name, value := range p.Params {
		v.Set(name, value.(string))
	}
	if err := s.beforeWrite(r, 0); err != nil {
		return "", err
	}
	_ = s.db.tx(func(tx *tx) error {
		tx.flows[flow.id] = flow
		if flow.clientState != "" {
			tx.clientStates[flow.clientState] = clientState{verifier, flow.provider, flow.createdAt}
		}
		return nil
	})
	glue := "?"
	if strings.Contains(iss.AuthorizationEndpoint, "?") {
		glue = "&"
	}
	return iss.AuthorizationEndpoint + glue + v.Encode(), nil
}

func (s *Server) callbackURL() string { return s.opts.ExternalURL + "/callback" }

// authorizeParams are GoTrue's own parameters, and on top of them everything the caller sent that is not
// reserved. A nonce of the caller passes; nothing checks it later.
func authorizeParams(q url.Values, p *customProvider, callback, state string) url.Values {
	scopes := strings.Fields(q.Get("scopes"))
	if len(scopes) == 0 {
		scopes = p.Scopes
	}
	v := url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID}, "redirect_uri": {callback},
		"scope": {strings.Join(withOpenID(scopes), " ")}, "state": {state},
	}
	for name := range q {
		reserved := slices.Contains(reservedParams, strings.ToLower(name)) && !strings.EqualFold(name, "nonce")
		switch {
		case name == "provider", name == "scopes", reserved:
		case name == "workos_provider":
			v.Set("provider", q.Get(name))
		default:
			v.Set(name, q.Get(name))
		}
	}
	return v
}

var challengeFormat = regexp.MustCompile("^[a-zA-Z._~0-9-]+$")

func checkChallenge(challenge, method string) error {
	switch {
	case (challenge == "") != (method == ""):
		return invalid("PKCE flow requires code_challenge_method and code_challenge")
	case challenge == "":
		return nil
	case len(challenge) < 43 || len(challenge) > 128:
		return invalid("code challenge has to be between 43 and 128 characters")
	case !challengeFormat.MatchString(challenge):
		return invalid("code challenge can only contain alphanumeric characters, hyphens, periods, " +
			"underscores and tildes")
	}
	return nil
}

func newVerifier() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// callback is where the provider sends the person back. Before the flow is known, an error goes to the site, in
// the query alone; after that it goes to where the flow started, in query and fragment. A timeout is no redirect
// (capture "oidc/slow: token call hangs, callback").
func (s *Server) callback(w http.ResponseWriter, r *http.Request) error {
	params := r.URL.Query()
	if r.Method == http.MethodPost && r.ParseForm() == nil {
		params = r.Form
	}
	flow, target, err := s.findFlow(params.Get("state"))
	if errors.Is(err, errNoTarget) {
		// GoTrue loses its context on the way and panics.
		return panicked()
	}
	if err != nil {
		return s.redirectToSite(w, r, err)
	}
	address, err := s.finishFlow(w.Header(), r, flow, target, params)
	switch e, typed := errors.AsType[*apiError](err); {
	case err == nil:
		found(w, r, address)
		return nil
	case typed && e.code == codeTimeout:
		return err
	}
	u, parseErr := url.Parse(flow.referrer)
	if parseErr != nil {
		return parseErr
	}
	q := errorQuery(err, u.Query())
	u.RawQuery = q.Encode()
	fragment := url.Values{"sb": {""}}
	for _, name := range []string{"error", "error_description", "error_code"} {
		if q.Get(name) != "" {
			fragment.Set(name, q.Get(name))
		}
	}
	u.Fragment = fragment.Encode()
	found(w, r, u.String())
	return nil
}

// redirectToSite answers twice, as GoTrue does: the JSON of the error follows the redirect's HTML
// (capture "oidc/redirect: no state, callback").
func (s *Server) redirectToSite(w http.ResponseWriter, r *http.Request, err error) error {
	u, parseErr := url.Parse(s.opts.SiteURL)
	if parseErr != nil {
		return internal("site url is improperly formatted", parseErr)
	}
	u.RawQuery = errorQuery(err, u.Query()).Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
	writeError(bodyOnly{w}, r, err)
	return nil
}

// bodyOnly drops the header of an answer that comes too late.
type bodyOnly struct{ http.ResponseWriter }

// Header implements http.ResponseWriter.
func (bodyOnly) Header() http.Header { return http.Header{} }

// WriteHeader implements http.ResponseWriter.
func (bodyOnly) WriteHeader(int) {}

// errorQuery tells an error in the terms of RFC 6749 (external.go, getErrorQueryString).
func errorQuery(err error, q url.Values) url.Values {
	if e, ok := errors.AsType[*apiError](err); ok {
		name, known := oauthErrors[e.status]
		switch {
		case slices.Contains([]string{codeSignupDisabled, codeUserBanned, codeProviderEmail}, e.code):
			name = "access_denied"
		case !known:
			name = "server_error"
		}
		q.Set("error", name)
		q.Set("error_description", e.msg)
		q.Set("error_code", e.code)
		return q
	}
	if e, ok := errors.AsType[*oauthError](err); ok {
		q.Set("error", e.Name)
		q.Set("error_description", e.Description)
		return q
	}
	q.Set("error", "server_error")
	q.Set("error_description", err.Error())
	return q
}

// errNoTarget: the account that an identity is to be linked to has been deleted meanwhile.
var errNoTarget = errors.New("linking target user not found")

// findFlow looks the state up (external.go, loadExternalState).
func (s *Server) findFlow(state string) (*flowState, *user, error) {
	if state == "" {
		return nil, nil, fail(http.StatusBadRequest, codeBadCallback, "OAuth state parameter missing")
	}
	id, err := uuid.Parse(state)
	if err != nil {
		return nil, nil, badState("OAuth state parameter is invalid")
	}
	var flow *flowState
	var target *user
	err = s.db.tx(func(tx *tx) error {
		found, ok := tx.flows[id.String()]
		switch {
		case !ok:
			return badState("OAuth state not found or expired")
		case found.expired(tx.now()):
			return badState("OAuth state has expired")
		case found.pkce() && found.userID != "":
			return usedState()
		}
		if found.linkTarget != "" {
			if target = tx.userByID(found.linkTarget); target == nil {
				return errNoTarget
			}
		}
		flow = new(*found)
		return nil
	})
	return flow, target, err
}

func badState(msg string) error { return fail(http.StatusBadRequest, codeBadState, "%s", msg) }

func usedState() error {
	return fail(http.StatusBadRequest, codeStateUsed, "State has already been used")
}

// finishFlow turns the provider's answer into an account, and returns where to go with it
// (external.go, internalExternalProviderCallback).
func (s *Server) finishFlow(
	h http.Header, r *http.Request, flow *flowState, target *user, params url.Values,
) (string, error) {
	x, tokens, err := s.askProvider(r, flow, params)
	if err != nil {
		return "", err
	}
	if x.email == "" && !flow.noEmail {
		return "", internal("Error getting user email from external provider", nil)
	}
	d, err := s.decide(r, x, target)
	if err != nil {
		return "", err
	}
	if err := s.beforeWrite(r, s.opts.WriteDelay); err != nil {
		return "", err
	}
	var session *tokenResponse
	err = s.db.tx(func(tx *tx) error {
		row, ok := tx.flows[flow.id]
		if flow.pkce() && !ok {
			return &oauthError{"server_error", "Flow State not found"}
		}
		if flow.pkce() && row.userID != "" {
			return usedState()
		}
		u, err := s.settle(tx, r, x, d, !flow.pkce())
		if err != nil {
			return err
		}
		if flow.pkce() {
			row.userID, row.accessToken, row.refreshToken = u.ID, tokens.access, tokens.refresh
			return nil
		}
		session, err = s.issue(tx, h, u, "oauth")
		if err != nil {
			return &issueError{err}
		}
		delete(tx.flows, flow.id)
		return nil
	})
	if refused, ok := errors.AsType[*issueError](err); ok {
		return "", &oauthError{"server_error", statusText(refused.cause).Error()}
	}
	if err != nil {
		return "", err
	}
	if flow.pkce() {
		return withCode(flow.referrer, flow.authCode)
	}
	v := url.Values{
		"provider_token": {tokens.access}, "access_token": {session.AccessToken}, "token_type": {session.TokenType},
		"expires_in": {strconv.Itoa(session.ExpiresIn)}, "expires_at": {strconv.FormatInt(session.ExpiresAt, 10)},
		"refresh_token": {session.RefreshToken}, "sb": {""},
	}
	if tokens.refresh != "" {
		v.Set("provider_refresh_token", tokens.refresh)
	}
	return flow.referrer + "#" + v.Encode(), nil
}

func withCode(address, code string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Set("code", code)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// providerTokens are what the provider's token endpoint answered.
type providerTokens struct{ access, refresh, id string }

// askProvider exchanges the code and reads who came (external_oauth.go, oAuthCallback). GoTrue's own verifier is
// spent before the call, so that a callback can be tried once.
func (s *Server) askProvider(
	r *http.Request, flow *flowState, params url.Values,
) (*external, *providerTokens, error) {
	if name := params.Get("error"); name != "" {
		return nil, nil, &oauthError{name, params.Get("error_description")}
	}
	code := params.Get("code")
	if code == "" {
		return nil, nil, fail(http.StatusBadRequest, codeBadCallback,
			"OAuth callback with missing authorization code missing")
	}
	ctx, cancel := s.deadline(r)
	defer cancel()
	fromHere := func(err error) error {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return timedOut()
		}
		return err
	}
	p, iss, err := s.oauthProvider(ctx, flow.provider)
	if err != nil {
		return nil, nil, fromHere(fail(http.StatusBadRequest, codeProviderUnsupported, "Unsupported provider: %v", err))
	}
	verifier, err := s.takeVerifier(flow)
	if err != nil {
		return nil, nil, err
	}
	if p.PKCE && flow.clientState == "" {
		return nil, nil, fail(http.StatusBadRequest, codeInvalidState, "OAuth PKCE code verifier missing")
	}
	tokens, err := s.exchangeCode(ctx, p, iss, code, verifier)
	if err != nil {
		return nil, nil, fromHere(internal("Unable to exchange external code: "+code[:min(4, len(code))], nil))
	}
	x, err := s.profile(ctx, p, iss, tokens)
	if err != nil {
		return nil, nil, fromHere(internal("Error getting user profile from external provider", nil))
	}
	x.provider, x.noEmail = flow.provider, flow.noEmail
	return x, tokens, nil
}

func (s *Server) takeVerifier(flow *flowState) (string, error) {
	if flow.clientState == "" {
		return "", nil
	}
	var own clientState
	err := s.db.tx(func(tx *tx) error {
		found, ok := tx.clientStates[flow.clientState]
		if !ok {
			return fail(http.StatusUnprocessableEntity, codeClientStateNotFound, "OAuth state not found")
		}
		delete(tx.clientStates, flow.clientState)
		own = found
		if tx.now().Sub(found.createdAt) > flowTTL {
			return fail(http.StatusUnprocessableEntity, codeClientStateExpired, "OAuth state expired")
		}
		return nil
	})
	return own.verifier, err
}

// exchangeCode calls the token endpoint with the secret in the header, and after any error once more with the
// secret in the form (x/oauth2, auto-detected style, forgotten after every call).
func (s *Server) exchangeCode(
	ctx context.Context, p *customProvider, iss *issuer, code, verifier string,
) (*providerTokens, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.callbackURL()}}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	tokens, err := s.callToken(ctx, p, iss.TokenEndpoint, form, true)
	if err == nil {
		return tokens, nil
	}
	form.Set("client_id", p.ClientID)
	form.Set("client_secret", p.ClientSecret)
	return s.callToken(ctx, p, iss.TokenEndpoint, form, false)
}

func (s *Server) callToken(
	ctx context.Context, p *customProvider, address string, form url.Values, basic bool,
) (*providerTokens, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret))
	}
	res, err := send(s.client(), req)
	if err != nil {
		return nil, err
	}
	if res.status < 200 || res.status > 299 {
		return nil, errors.New(res.statusLine)
	}
	return readTokens(res)
}

// readTokens reads a token answer; x/oauth2 takes forms too.
func readTokens(res *answer) (*providerTokens, error) {
	var body struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      any    `json:"id_token"`
		Error   string `json:"error"`
	}
	typ, _, _ := mime.ParseMediaType(res.header.Get("Content-Type"))
	if typ == "application/x-www-form-urlencoded" || typ == "text/plain" {
		form, err := url.ParseQuery(res.body)
		if err != nil {
			return nil, err
		}
		body.Access, body.Refresh, body.Error = form.Get("access_token"), form.Get("refresh_token"), form.Get("error")
		body.ID = form.Get("id_token")
	} else if err := json.Unmarshal([]byte(res.body), &body); err != nil {
		return nil, err
	}
	switch {
	case body.Error != "":
		return nil, errors.New(body.Error)
	case body.Access == "":
		return nil, errors.New("server response missing access_token")
	}
	id, _ := body.ID.(string)
	return &providerTokens{body.Access, body.Refresh, id}, nil
}

// profile reads the person from the id_token, or from the userinfo endpoint if there is no id_token. Neither nonce
// nor at_hash is looked at (provider/custom_oauth.go, GetUserData).
func (s *Server) profile(
	ctx context.Context, p *customProvider, iss *issuer, tokens *providerTokens,
) (*external, error) {
	if tokens.id == "" {
		return s.userinfo(ctx, p, iss, tokens.access)
	}
	t, err := s.verifyIDToken(ctx, iss, tokens.id)
	if err != nil {
		return nil, err
	}
	if !p.accepts(t.Audience) {
		return nil, errors.New("token audience does not match any acceptable client ID")
	}
	email, verified := t.claims.Email, t.claims.EmailVerified
	t.claims.capture(t.raw, p.Claims)
	if len(p.Mapping) > 0 {
		t.claims = t.claims.mapped(p.Mapping)
	}
	return newExternal(t.claims, email, verified), nil
}

func (s *Server) userinfo(
	ctx context.Context, p *customProvider, iss *issuer, token string,
) (*external, error) {
	if iss.UserinfoEndpoint == "" {
		return nil, errors.New("no ID token or userinfo endpoint available")
	}
	res, err := fetch(ctx, s.client(), iss.UserinfoEndpoint, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return nil, err
	}
	if res.status < 200 || res.status > 299 {
		return nil, errors.New(res.statusLine)
	}
	var raw map[string]any
	if err := json.Unmarshal([]byte(res.body), &raw); err != nil {
		return nil, err
	}
	var c profileClaims
	if err := json.Unmarshal([]byte(res.body), &c); err != nil {
		return nil, err
	}
	c.capture(raw, p.Claims)
	if len(p.Mapping) > 0 {
		c = c.mapped(p.Mapping)
	}
	return newExternal(c, c.Email, c.EmailVerified), nil
}

// pkceGrant ends a flow: the app's code and verifier for a session (token.go, PKCE). Neither a ban nor the
// provider is looked at again.
func (s *Server) pkceGrant(w http.ResponseWriter, r *http.Request) error {
	var p struct {
		AuthCode     string `json:"auth_code"`
		CodeVerifier string `json:"code_verifier"`
	}
	if err := readJSON(r, &p, "PKCEGrantParams"); err != nil {
		return err
	}
	if p.AuthCode == "" || p.CodeVerifier == "" {
		return invalid("invalid request: both auth code and code verifier should be non-empty")
	}
	var flow flowState
	var u *user
	err := s.db.tx(func(tx *tx) error {
		for _, f := range tx.flows {
			if f.authCode == p.AuthCode {
				flow = *f
			}
		}
		switch {
		case flow.userID == "":
			return fail(http.StatusNotFound, codeStateNotFound, "invalid flow state, no valid flow state found")
		case flow.expired(tx.now()):
			return fail(http.StatusUnprocessableEntity, codeStateExpired,
				"invalid flow state, flow state has expired")
		}
		if u = tx.userByID(flow.userID); u == nil {
			return errors.New("user not found")
		}
		if !flow.proves(p.CodeVerifier) {
			return fail(http.StatusBadRequest, codeBadVerifier,
				"code challenge does not match previously saved code verifier")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.beforeWrite(r, s.opts.WriteDelay); err != nil {
		return err
	}
	var session *tokenResponse
	err = s.db.tx(func(tx *tx) (err error) {
		if err := s.askTokenHook(u); err != nil {
			return err
		}
		session, err = s.issue(tx, w.Header(), u, "oauth")
		if err == nil {
			session.ProviderToken, session.ProviderRefresh = flow.accessToken, flow.refreshToken
			delete(tx.flows, flow.id)
		}
		return err
	})
	if err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, session)
	return nil
}

func (f *flowState) proves(verifier string) bool {
	if f.method == "plain" {
		return f.challenge == verifier
	}
	return f.challenge == s256(verifier)
}
