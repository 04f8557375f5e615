package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Limits of what a client sends, in bytes. The request travels to TikTok and back in the state.
const (
	maxClientState = 2048
	maxNonce       = 512
	maxScope       = 512
	maxRequest     = 4096 // all of it as JSON; pkg/signin takes states of that size back
)

// request is a client's authorization request while the person is at TikTok. It travels in the sealed state.
type request struct {
	ClientID    string `json:"c"`
	RedirectURI string `json:"r"`
	State       string `json:"s,omitempty"`
	Nonce       string `json:"n,omitempty"`
	Scope       string `json:"o"` // what of it means something here
	Challenge   string `json:"h,omitempty"`
}

// Authorize takes an authorization request (Core, section 3.1.2) and returns where to send the person.
//
// A *signin.Error is for the person alone, since it is not known that the client asked. A *[Redirect] goes to the
// client.
func (p *Provider) Authorize(ctx context.Context, q url.Values) (signin.Begun, error) {
	client, r, err := p.identify(q)
	if err != nil {
		return signin.Begun{}, err
	}
	if err := r.read(client, q); err != nil {
		return signin.Begun{}, p.redirect(r, err)
	}
	encoded, err := r.encode()
	if err != nil {
		return signin.Begun{}, err
	}
	if len(encoded) > maxRequest {
		return signin.Begun{}, p.redirect(r, refuse(codeInvalidRequest, "The request is too long."))
	}
	begun, err := p.opts.SignIns.BeginForClient(ctx, signin.ClientRequest{
		Request: encoded, Challenge: r.Challenge,
		SelectAccount: client.AlwaysConsent || client.isNative(r.RedirectURI) || wantsConsent(q),
	})
	if err != nil {
		return signin.Begun{}, p.redirect(r, failed(err))
	}
	return begun, nil
}

// identify finds out who asks, and where the answer goes. Until both are known nobody is redirected (RFC 6749,
// section 4.1.2.1; RFC 9700, section 4.11).
func (p *Provider) identify(q url.Values) (*Client, request, error) {
	var r request
	client := p.clients[q.Get("client_id")]
	if client == nil || len(q["client_id"]) != 1 {
		return nil, r, signin.NewError(signin.CauseClientUnknown)
	}
	uri := q.Get("redirect_uri")
	if len(q["redirect_uri"]) != 1 || !slices.Contains(client.RedirectURIs, uri) {
		return nil, r, signin.NewError(signin.CauseClientRedirectURI)
	}
	r.ClientID, r.RedirectURI = client.ID, uri
	if states := q["state"]; len(states) == 1 {
		r.State = states[0]
	}
	return client, r, nil
}

// encode writes the request as JSON, without json.Marshal's care for HTML, which turns every & of an address into
// six bytes.
func (r *request) encode() (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(r)
	return strings.TrimSpace(b.String()), err
}

// read checks the rest of the request. Parameters it does not know are ignored (Core, section 3.1.2.1), as are
// login_hint, id_token_hint, display, ui_locales, claims_locales and acr_values: TikTok takes none of them.
func (r *request) read(client *Client, q url.Values) *Error {
	for name, values := range q {
		if len(values) > 1 { // RFC 6749, section 3.1
			return refuse(codeInvalidRequest, "A parameter is there more than once: "+printable(name)+".")
		}
	}
	scope := q.Get("scope")
	r.Nonce, r.Scope, r.Challenge = q.Get("nonce"), grantedScope(scope), q.Get("code_challenge")
	switch responseType := q.Get("response_type"); {
	case q.Get("request") != "":
		return refuse("request_not_supported", "Send the parameters themselves, not a request object.")
	case q.Get("request_uri") != "":
		return refuse("request_uri_not_supported", "Send the parameters themselves, not a request_uri.")
	case q.Get("registration") != "":
		return refuse("registration_not_supported", "Clients are registered in the bridge's configuration.")
	case responseType == "":
		return refuse(codeInvalidRequest, "The parameter response_type is missing. It must be code.")
	case responseType != "code":
		return refuse("unsupported_response_type", "The response_type must be code.")
	case q.Get("response_mode") != "" && q.Get("response_mode") != "query":
		return refuse(codeInvalidRequest, "The response_mode must be query, or left out.")
	case len(scope) > maxScope || !slices.Contains(words(scope), "openid"):
		return refuse("invalid_scope", "The scope must have openid in it.")
	case len(r.State) > maxClientState:
		return refuse(codeInvalidRequest, "The parameter state is longer than 2,048 bytes.")
	case len(r.Nonce) > maxNonce:
		return refuse(codeInvalidRequest, "The parameter nonce is longer than 512 bytes.")
	case !isText(r.State) || !isText(r.Nonce):
		return refuse(codeInvalidRequest, "The parameters state and nonce must be text without control characters.")
	}
	if err := r.checkPKCE(client, q.Get("code_challenge_method")); err != nil {
		return err
	}
	return checkPrompt(q)
}

// isText reports whether s comes out of JSON as it went in, and as long as it was.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// challengePattern matches what S256 makes (RFC 7636, section 4.2): 32 bytes in base64url.
var challengePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// checkPKCE demands S256: plain shows the verifier to whoever sees the address (RFC 9700, section 2.1.1). Without a
// method, plain is meant (RFC 7636, section 4.3).
func (r *request) checkPKCE(client *Client, method string) *Error {
	switch {
	case r.Challenge == "" && method != "":
		return refuse(codeInvalidRequest, "The parameter code_challenge is missing.")
	case r.Challenge == "" && client.isPublic():
		return refuse(codeInvalidRequest, "A client without a secret must send a code_challenge (PKCE).")
	case r.Challenge != "" && method != "S256":
		return refuse(codeInvalidRequest, "The code_challenge_method must be S256.")
	case r.Challenge != "" && !challengePattern.MatchString(r.Challenge):
		return refuse(codeInvalidRequest, "The code_challenge must be base64url(SHA-256(code_verifier)), 43 characters.")
	}
	return nil
}

// checkPrompt refuses what needs a session, since the provider has none: TikTok's page must be shown (Core, section
// 3.1.2.6).
func checkPrompt(q url.Values) *Error {
	prompts := words(q.Get("prompt"))
	if age := q.Get("max_age"); age != "" {
		if n, err := strconv.Atoi(age); err != nil || n < 0 {
			return refuse(codeInvalidRequest, "The parameter max_age must be a number of seconds.")
		}
	}
	switch {
	case slices.Contains(prompts, "none") && len(prompts) > 1:
		return refuse(codeInvalidRequest, "The prompt none goes with no other.")
	case slices.Contains(prompts, "none"):
		return refuse("login_required", "Nobody can sign in without TikTok's page: leave prompt=none out.")
	}
	return nil
}

// wantsConsent reports whether TikTok must show its page, and not sign the last account in silently. With max_age
// the sign-in must be fresh, and TikTok does not say how fresh a silent one is.
func wantsConsent(q url.Values) bool {
	prompts := words(q.Get("prompt"))
	return q.Get("max_age") != "" || slices.ContainsFunc([]string{"login", "consent", "select_account"},
		func(prompt string) bool { return slices.Contains(prompts, prompt) })
}

// printable returns a parameter's name if it is one, so that nothing else somebody wrote gets into an answer.
func printable(name string) string {
	if !parameterPattern.MatchString(name) {
		return "?"
	}
	return name
}

var parameterPattern = regexp.MustCompile(`^[a-z_]{1,40}$`)

// Finish returns where to send the browser of a person who signed in at TikTok: to the client, with a code.
// back is what signin.Service.Callback returned.
func (p *Provider) Finish(back *signin.Return) (string, error) {
	r, client, err := p.resume(back)
	if err != nil {
		return "", err
	}
	code, err := p.sealGrant(client, r, back.Identity)
	if err != nil {
		return "", signin.AsError(err)
	}
	return answer(r.RedirectURI, p.response(r, url.Values{"code": {code}})), nil
}

// Fail returns where to send the browser of a person whose sign-in failed: to the client, with an error.
func (p *Provider) Fail(back *signin.Return, signInErr error) (string, error) {
	r, _, err := p.resume(back)
	if err != nil {
		return "", err
	}
	return p.redirect(r, failed(signInErr)).URL, nil
}

// resume reads the request out of the state. The client may have changed in the configuration meanwhile.
func (p *Provider) resume(back *signin.Return) (request, *Client, error) {
	var r request
	if err := json.Unmarshal([]byte(back.Request), &r); err != nil {
		return r, nil, signin.AsError(err)
	}
	client := p.clients[r.ClientID]
	switch {
	case client == nil:
		return r, nil, signin.NewError(signin.CauseClientUnknown)
	case !slices.Contains(client.RedirectURIs, r.RedirectURI):
		return r, nil, signin.NewError(signin.CauseClientRedirectURI)
	}
	return r, client, nil
}

// redirect makes an error go to the client.
func (p *Provider) redirect(r request, err *Error) *Redirect {
	values := url.Values{"error": {err.Code}, "error_description": {err.Description}}
	return &Redirect{URL: answer(r.RedirectURI, p.response(r, values)), Err: err}
}

// response adds what every authorization response has: state as it was sent, and iss, by which clients of several
// providers tell them apart (RFC 9207, section 2).
func (p *Provider) response(r request, values url.Values) url.Values {
	values.Set("iss", p.opts.Issuer)
	if r.State != "" {
		values.Set("state", r.State)
	}
	return values
}
