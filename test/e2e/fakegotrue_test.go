package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// fakeGoTrue is as much of GoTrue as supabase-js needs for a provider: TikTok's consent is its own page. The
// first part of its base URL names what goes wrong, so tests share it.
type fakeGoTrue struct {
	url   string
	mu    sync.Mutex
	flows map[string]*gotrueFlow // by id
	codes map[string]*gotrueFlow
	calls map[string]int // of the token endpoint, by code
	// A call of the token endpoint may be held: one channel says that it has come, the other that it may go on.
	held, release chan struct{}
}

// gotrueFlow is a row of auth.flow_state.
type gotrueFlow struct {
	fault, redirectTo, challenge string
	prompt                       string
	linkTo                       map[string]any // the claims of who links; nil for a sign-in
	account                      string
}

func newFakeGoTrue() *fakeGoTrue {
	return &fakeGoTrue{
		flows: map[string]*gotrueFlow{}, codes: map[string]*gotrueFlow{}, calls: map[string]int{},
		held: make(chan struct{}), release: make(chan struct{}),
	}
}

func (g *fakeGoTrue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "*, authorization")
	h.Set("Access-Control-Allow-Methods", "*")
	h.Set("Access-Control-Expose-Headers", "X-Supabase-Api-Version")
	h.Set("X-Supabase-Api-Version", "2024-01-01")
	if r.Method == http.MethodOptions {
		return
	}
	fault, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/auth/v1/")
	if fault == "held" && !g.hold(r, path) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch path {
	case "authorize":
		http.Redirect(w, r, g.begin(fault, r.URL.Query(), nil), http.StatusFound)
	case "user/identities/authorize":
		if fault == "disabled" {
			refuse(w, http.StatusNotFound, "manual_linking_disabled", "Manual linking is disabled")
			return
		}
		answer(w, map[string]string{"url": g.begin(fault, r.URL.Query(), bearer(r))})
	case "consent":
		g.consent(w, r)
	case "signup":
		var body struct{ Email string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		answer(w, newSession(map[string]any{
			"sub": uuid.NewString(), "email": body.Email, "is_anonymous": body.Email == "",
			"app_metadata": map[string]any{"provider": "email", "providers": []string{"email"}},
		}))
	case "token":
		g.token(w, r, fault)
	case "user":
		answer(w, userOf(bearer(r)))
	default:
		refuse(w, http.StatusNotFound, "not_found", "no such route")
	}
}

// hold holds a call of the token endpoint, and answers who waits for one. It returns whether to go on.
func (g *fakeGoTrue) hold(r *http.Request, path string) bool {
	switch path {
	case "waiting":
		select {
		case <-g.held:
		case <-r.Context().Done():
		}
		return false
	case "token":
		for _, c := range []chan struct{}{g.held, g.release} {
			select {
			case c <- struct{}{}:
			case <-r.Context().Done():
				return false
			}
		}
	}
	return true
}

// begin returns the address of the consent page.
func (g *fakeGoTrue) begin(fault string, query url.Values, linkTo map[string]any) string {
	id := uuid.NewString()
	g.flows[id] = &gotrueFlow{
		fault: fault, redirectTo: query.Get("redirect_to"), challenge: query.Get("code_challenge"),
		prompt: query.Get("prompt"), linkTo: linkTo,
	}
	return g.url + "/" + fault + "/auth/v1/consent?flow=" + id
}

// consent is TikTok's page, and GoTrue's callback.
func (g *fakeGoTrue) consent(w http.ResponseWriter, r *http.Request) {
	flow := g.flows[r.FormValue("flow")]
	decision := r.FormValue("decision")
	if decision == "" {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><form data-prompt="%s">
			<input type="hidden" name="flow" value="%s"><label><input type="radio" name="account" value="mira"> Mira</label>
			<label><input type="radio" name="account" value="layla"> Layla</label>
			<button name="decision" value="cancel">Cancel</button>
			<button name="decision" value="continue">Continue</button></form>`,
			flow.prompt, r.FormValue("flow"))
		return
	}
	target, err := url.Parse(flow.redirectTo)
	if err != nil {
		panic(err)
	}
	query := target.Query()
	problems := map[string]url.Values{
		"banned": {"error": {"access_denied"}, "error_code": {"user_banned"}, "error_description": {"User is banned"}},
		"late": {
			"error": {"invalid_request"}, "error_code": {"bad_oauth_state"},
			"error_description": {"OAuth state has expired"},
		},
		"hook": {"error": {"access_denied"}, "error_code": {""}, "error_description": {"rejected by hook"}},
		"linked": {
			"error": {"server_error"}, "error_code": {"identity_already_exists"},
			"error_description": {"Identity is already linked to another user"},
		},
		"broken": {
			"error": {"server_error"}, "error_code": {"unexpected_failure"},
			"error_description": {"Unable to exchange external code: 1u2o"},
		},
	}
	problem := problems[flow.fault]
	if decision == "cancel" {
		problem = url.Values{"error": {"access_denied"}, "error_description": {"The person said no"}}
	}
	if problem != nil {
		maps.Copy(query, problem)
		fragment := maps.Clone(problem)
		if fragment.Get("error_code") == "" {
			fragment.Del("error_code")
		}
		target.Fragment = fragment.Encode() + "&sb="
		if flow.fault == "late" { // to SITE_URL
			target.Path = "/provider/newest/pkce/on/late"
		}
	} else {
		code := uuid.NewString()
		flow.account = r.FormValue("account")
		g.codes[code] = flow
		query.Set("code", code)
	}
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusFound)
}

// token is grant_type=pkce, in the order of GoTrue's pkce.go.
func (g *fakeGoTrue) token(w http.ResponseWriter, r *http.Request, fault string) {
	var body struct {
		Code     string `json:"auth_code"`
		Verifier string `json:"code_verifier"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	g.calls[body.Code]++
	flow := g.codes[body.Code]
	digest := sha256.Sum256([]byte(body.Verifier))
	switch {
	case fault == "offline":
		panic(http.ErrAbortHandler)
	case body.Code == "" || body.Verifier == "":
		refuse(w, http.StatusBadRequest, "validation_failed",
			"invalid request: both auth code and code verifier should be non-empty")
	case flow == nil:
		refuse(w, http.StatusNotFound, "flow_state_not_found", "invalid flow state, no valid flow state found")
	case fault == "expired":
		refuse(w, http.StatusUnprocessableEntity, "flow_state_expired", "invalid flow state, flow state has expired")
	case base64.RawURLEncoding.EncodeToString(digest[:]) != flow.challenge:
		refuse(w, http.StatusBadRequest, "bad_code_verifier",
			"code challenge does not match previously saved code verifier")
	default:
		delete(g.codes, body.Code)
		answer(w, newSession(flow.claims()))
	}
}

func (f *gotrueFlow) claims() map[string]any {
	if f.linkTo != nil {
		claims := maps.Clone(f.linkTo)
		claims["app_metadata"] = map[string]any{"provider": "email", "providers": []string{"email", "custom:tiktok"}}
		return claims
	}
	return map[string]any{
		"sub": uuid.NewSHA1(uuid.Nil, []byte(f.account)).String(), "email": "",
		"app_metadata": map[string]any{"provider": "custom:tiktok", "providers": []string{"custom:tiktok"}},
	}
}

// newSession returns a session of whom the claims name, as GoTrue sends it.
func newSession(claims map[string]any) map[string]any {
	expires := time.Now().Add(time.Hour).Unix()
	claims["session_id"], claims["exp"] = uuid.NewString(), expires
	return map[string]any{
		"access_token": signedBy(claims), "refresh_token": "r" + uuid.NewString()[:8], "token_type": "bearer",
		"expires_in": 3600, "expires_at": expires, "user": userOf(claims),
	}
}

func userOf(claims map[string]any) map[string]any {
	return map[string]any{
		"id": claims["sub"], "aud": "authenticated", "email": claims["email"],
		"is_anonymous": claims["is_anonymous"] == true, "app_metadata": claims["app_metadata"],
	}
}

// signedBy returns a JWT, which nobody here verifies.
func signedBy(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(payload) + "." + encode([]byte("signature"))
}

// bearer returns the claims of the token that a request has.
func bearer(r *http.Request) map[string]any {
	claims := map[string]any{}
	if parts := strings.Split(r.Header.Get("Authorization"), "."); len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims)
	}
	return claims
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message})
}

// wantExchanges checks how often the code of each sign-in was sent, and counts anew.
func (g *fakeGoTrue) wantExchanges(t *testing.T, code string, want int) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if got := g.calls[code]; got != want {
		t.Errorf("the code was sent %d times; want %d", got, want)
	}
}
