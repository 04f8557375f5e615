package provider_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// TestFlow is a sign-in as a client of the provider sees it.
func TestFlow(t *testing.T) {
	w := newWorld(t)

	// The client sends the person to the provider, and that one to TikTok.
	begun, err := w.Authorize(t.Context(), asks())
	if err != nil {
		t.Fatal(err)
	}
	if want := "https://tiktok.example/authorize?state="; !strings.HasPrefix(begun.AuthorizeURL, want) {
		t.Fatalf("the person is sent to %s; want %s", begun.AuthorizeURL, want)
	}
	if got := w.tiktok.asked; got.RedirectURI != issuer+"/api/auth/tiktok/callback" || got.SelectAccount {
		t.Errorf("TikTok is asked to return to %s, consent: %v", got.RedirectURI, got.SelectAccount)
	}

	// TikTok sends the person back, and the provider sends them to the client.
	back, err := w.callback(t, w.tiktok.asked.State)
	if err != nil {
		t.Fatal(err)
	}
	address, err := w.Finish(back)
	if err != nil {
		t.Fatal(err)
	}
	answer := queryOf(t, address, appURI)
	if len(answer) != 3 || answer.Get("state") != "state of the client" || answer.Get("iss") != issuer {
		t.Errorf("the client gets %v; want code, state and iss", answer)
	}

	// The client exchanges the code.
	w.now = w.now.Add(provider.CodeLifetime)
	resp := w.mustExchange(t, answer.Get("code"))
	if resp.ExpiresIn != 300 || resp.Scope != "openid profile" || resp.RefreshToken != "" {
		t.Errorf("the tokens live %d s, of scope %q, refresh token: %v",
			resp.ExpiresIn, resp.Scope, resp.RefreshToken != "")
	}
	claims := verify(t, resp.IDToken, w.JWKS())
	if claims["sub"] != mira.OpenID || claims["nonce"] != "nonce-1" {
		t.Errorf("the id_token says %v", claims)
	}

	// And asks who it is.
	info, err := w.UserInfo("Bearer "+resp.AccessToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := decoded(t, info)["sub"]; got != mira.OpenID {
		t.Errorf("userinfo is about %v; want %s", got, mira.OpenID)
	}
	if log := w.log.String(); log != "" {
		t.Errorf("a good sign-in logs %s", log)
	}
}

// TestAuthorize_page: as long as it is not known that the client asks, nobody is redirected.
func TestAuthorize_page(t *testing.T) {
	const unknown, badURI = signin.CauseClientUnknown, signin.CauseClientRedirectURI
	w := newWorld(t)
	for name, tt := range map[string]struct {
		q    url.Values
		want signin.Cause
	}{
		"no client":              {asks("client_id", "-"), unknown},
		"empty client":           {asks("client_id", ""), unknown},
		"unknown client":         {asks("client_id", "App"), unknown},
		"two clients":            {values(asks(), "client_id", "-"), unknown},
		"no redirect URI":        {asks("redirect_uri", "-"), badURI},
		"empty redirect URI":     {asks("redirect_uri", ""), badURI},
		"longer path":            {asks("redirect_uri", appURI+"/"), badURI},
		"up and down":            {asks("redirect_uri", "https://app.example/x/../cb"), badURI},
		"user":                   {asks("redirect_uri", "https://app.example@evil.example/cb"), badURI},
		"capitals":               {asks("redirect_uri", "https://APP.example/cb"), badURI},
		"port":                   {asks("redirect_uri", "https://app.example:443/cb"), badURI},
		"fragment":               {asks("redirect_uri", appURI+"#x"), badURI},
		"query":                  {asks("redirect_uri", appURI+"?x"), badURI},
		"of another client":      {asks("redirect_uri", spaURI), badURI},
		"two redirect URIs":      {asks(), badURI},
		"two of the same":        {asks(), badURI},
		"client wrong in itself": {asks("client_id", "nobody", "response_type", "token"), unknown},
	} {
		t.Run(name, func(t *testing.T) {
			switch name {
			case "two clients":
				tt.q["client_id"] = []string{"app", "spa"}
			case "two redirect URIs":
				tt.q["redirect_uri"] = []string{appURI, "https://evil.example/"}
			case "two of the same":
				tt.q["redirect_uri"] = []string{appURI, appURI}
			}
			_, err := w.Authorize(t.Context(), tt.q)
			var redirect *provider.Redirect
			if errors.As(err, &redirect) {
				t.Fatalf("the person is redirected to %s", redirect.URL)
			}
			if got := signin.AsError(err); got.Cause != tt.want {
				t.Errorf("got %v; want %s", err, tt.want)
			}
		})
	}
	if w.tiktok.asked.State != "" {
		t.Error("somebody was sent to TikTok")
	}
}

// wantRedirect checks what a client is told by way of the browser, and that it can tell whom it is from.
func wantRedirect(t *testing.T, err error, uri, state, code string) {
	t.Helper()
	var redirect *provider.Redirect
	if !errors.As(err, &redirect) {
		t.Fatalf("got %v; want a redirect with %s", err, code)
	}
	q := queryOf(t, redirect.URL, uri)
	if q.Get("error") != code || q.Get("iss") != issuer || q.Get("state") != state || q.Has("state") != (state != "") {
		t.Errorf("the client gets %v; want %s, the state %q and iss", q, code, state)
	}
	wantDescription(t, q.Get("error_description"))
	if redirect.Err.Code != code {
		t.Errorf("the log would say %s", redirect.Err.Code)
	}
}

// TestAuthorize_redirect: whatever else is wrong, the client is told.
func TestAuthorize_redirect(t *testing.T) {
	w := newWorld(t)
	const state = "state of the client"
	long := strings.Repeat("n", 513)
	for name, tt := range map[string]struct {
		changes []string
		want    string
	}{
		"no response type":         {[]string{"response_type", "-"}, "invalid_request"},
		"token":                    {[]string{"response_type", "token"}, "unsupported_response_type"},
		"id_token":                 {[]string{"response_type", "id_token"}, "unsupported_response_type"},
		"hybrid":                   {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		"in capitals":              {[]string{"response_type", "CODE"}, "unsupported_response_type"},
		"fragment":                 {[]string{"response_mode", "fragment"}, "invalid_request"},
		"form_post":                {[]string{"response_mode", "form_post"}, "invalid_request"},
		"request":                  {[]string{"request", "e30.e30."}, "request_not_supported"},
		"request_uri":              {[]string{"request_uri", "https://app.example/r"}, "request_uri_not_supported"},
		"registration":             {[]string{"registration", "{}"}, "registration_not_supported"},
		"no scope":                 {[]string{"scope", "-"}, "invalid_scope"},
		"no openid":                {[]string{"scope", "profile email"}, "invalid_scope"},
		"like openid":              {[]string{"scope", "openid2 xopenid"}, "invalid_scope"},
		"long scope":               {[]string{"scope", "openid " + long}, "invalid_scope"},
		"long nonce":               {[]string{"nonce", long}, "invalid_request"},
		"nonce that is no text":    {[]string{"nonce", "\xff"}, "invalid_request"},
		"nonce with a line break":  {[]string{"nonce", "a\nb"}, "invalid_request"},
		"plain":                    {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"no method, which is so":   {[]string{"code_challenge_method", "-"}, "invalid_request"},
		"method without challenge": {[]string{"code_challenge", "-"}, "invalid_request"},
		"short challenge":          {[]string{"code_challenge", s256(verifier)[1:]}, "invalid_request"},
		"long challenge":           {[]string{"code_challenge", s256(verifier) + "A"}, "invalid_request"},
		"padded challenge":         {[]string{"code_challenge", s256(verifier)[1:] + "="}, "invalid_request"},
		"challenge of two lines":   {[]string{"code_challenge", s256(verifier) + "\n"}, "invalid_request"},
		"prompt none":              {[]string{"prompt", "none"}, "login_required"},
		"none and another":         {[]string{"prompt", "none login"}, "invalid_request"},
		"another and none":         {[]string{"prompt", "consent none"}, "invalid_request"},
		"max_age in words":         {[]string{"max_age", "soon"}, "invalid_request"},
		"max_age below zero":       {[]string{"max_age", "-1"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Authorize(t.Context(), asks(tt.changes...))
			wantRedirect(t, err, appURI, state, tt.want)
			// What the redirect URI has of its own stays, character by character.
			_, err = w.Authorize(t.Context(), asks(append(tt.changes, "redirect_uri", appQueryURI)...))
			wantRedirect(t, err, appQueryURI, state, tt.want)
		})
	}
	for name, q := range map[string]url.Values{
		"scope": asks(), "response_type": asks(), "nonce": asks(), "code_challenge": asks(), "prompt": asks(),
		"whatever": asks(),
	} {
		t.Run(name+" twice", func(t *testing.T) {
			q[name] = append(q[name], "openid", "openid")
			_, err := w.Authorize(t.Context(), q)
			wantRedirect(t, err, appURI, state, "invalid_request")
		})
	}
	t.Run("state twice", func(t *testing.T) { // nobody knows which
		q := asks()
		q["state"] = []string{"one", "two"}
		_, err := w.Authorize(t.Context(), q)
		wantRedirect(t, err, appURI, "", "invalid_request")
	})
	t.Run("no state", func(t *testing.T) {
		_, err := w.Authorize(t.Context(), asks("state", "-", "prompt", "none"))
		wantRedirect(t, err, appURI, "", "login_required")
	})
	for name, state := range map[string]string{
		"long": strings.Repeat("s", 2049), "no text": "s\xff", "two lines": "s\ns", "too many quotes": quotes(2048),
	} {
		t.Run(name+" state", func(t *testing.T) {
			nonce := strings.Repeat(`"`, 512)
			_, err := w.Authorize(t.Context(), asks("state", state, "nonce", nonce))
			wantRedirect(t, err, appURI, state, "invalid_request")
		})
	}
	t.Run("the name of what is there twice", func(t *testing.T) {
		q := asks()
		q["nonce"] = []string{"1", "2"}
		_, err := w.Authorize(t.Context(), q)
		if err == nil || !strings.Contains(err.Error(), "more than once: nonce.") {
			t.Errorf("the developer of the client reads %v", err)
		}
	})
	t.Run("names of a person's making", func(t *testing.T) {
		q := asks()
		q[`<b>"secret"</b>`] = []string{"1", "2"}
		_, err := w.Authorize(t.Context(), q)
		wantRedirect(t, err, appURI, state, "invalid_request")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats it: %v", err)
		}
	})
	t.Run("public client without PKCE", func(t *testing.T) {
		q := asks("client_id", "spa", "redirect_uri", spaURI, "code_challenge", "-", "code_challenge_method", "-")
		_, err := w.Authorize(t.Context(), q)
		wantRedirect(t, err, spaURI, state, "invalid_request")
	})
	if w.tiktok.asked.State != "" {
		t.Error("somebody was sent to TikTok")
	}
}

func quotes(n int) string { return strings.Repeat(`"`, n) }

// TestAuthorize_ignored: what the provider does not know changes nothing, and an empty parameter is none (RFC 6749,
// section 3.1).
func TestAuthorize_ignored(t *testing.T) {
	w := newWorld(t)
	q := asks("login_hint", "mira", "id_token_hint", "x.y.z", "display", "popup", "ui_locales", "de", "acr_values", "1",
		"claims_locales", "de", "claims", `{"id_token":{"email":{"essential":true}}}`, "redirect_to", "https://evil.example",
		"resource", "https://api.example", "request", "", "request_uri", "", "registration", "", "response_mode", "query",
		"max_age", "", "prompt", "")
	if got := w.signIn(t, q).Get("code"); got == "" {
		t.Error("there is no code")
	}
	if w.tiktok.asked.SelectAccount {
		t.Error("TikTok asks for consent")
	}
	if w.signIn(t, asks("response_mode", "")).Get("code") == "" {
		t.Error("there is no code")
	}
}

// TestAuthorize_exact: state and nonce come back as they went, up to the longest.
func TestAuthorize_exact(t *testing.T) {
	w := newWorld(t)
	for name, state := range map[string]string{
		"of Appwrite":     `{"success":"https://a.example/?b=1&c=<2>","failure":"https://a.example/\\n"}`,
		"in all letters":  "ä שלום 👋 +%20&=#;",
		"longest":         strings.Repeat("s", 2048),
		"longest of URLs": strings.Repeat("https://a.example/?b=1&c=<2>", 73),
	} {
		t.Run(name, func(t *testing.T) {
			nonce := state[:min(len(state), 500)]
			got := w.signIn(t, asks("state", state, "nonce", nonce, "scope", "openid "+strings.Repeat("x", 500)))
			if got.Get("state") != state {
				t.Errorf("the state is %q; want %q", got.Get("state"), state)
			}
			if got := verify(t, w.mustExchange(t, got.Get("code")).IDToken, w.JWKS())["nonce"]; got != nonce {
				t.Errorf("the nonce is %q; want %q", got, nonce)
			}
		})
	}
	t.Run("the largest request", func(t *testing.T) {
		state := quotes(1400)
		got := w.signIn(t, asks("state", state, "nonce", quotes(512)))
		if got.Get("state") != state {
			t.Error("the state is another")
		}
	})
}

// TestAuthorize_consent: TikTok shows its page when the client wants a fresh sign-in, another account, or consent, and
// to whoever comes from what may be another app than it says.
func TestAuthorize_consent(t *testing.T) {
	w := newWorld(t)
	for name, tt := range map[string]struct {
		changes []string
		want    bool
	}{
		"nothing":           {nil, false},
		"login":             {[]string{"prompt", "login"}, true},
		"consent":           {[]string{"prompt", "consent"}, true},
		"select_account":    {[]string{"prompt", "select_account"}, true},
		"several":           {[]string{"prompt", "unknown login"}, true},
		"unknown":           {[]string{"prompt", "create"}, false},
		"max_age 0":         {[]string{"max_age", "0"}, true},
		"max_age 10000":     {[]string{"max_age", "10000"}, true},
		"client's own wish": {[]string{"client_id", "consent"}, true},
		"public page":       {[]string{"client_id", "spa", "redirect_uri", spaURI}, false},
		"public app":        {[]string{"client_id", "spa", "redirect_uri", "com.example.app:/cb"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w.begin(t, asks(tt.changes...))
			if got := w.tiktok.asked.SelectAccount; got != tt.want {
				t.Errorf("TikTok shows its page: %v; want %v", got, tt.want)
			}
		})
	}
}

// TestBrowser: a sign-in without PKCE ends in the browser that began it. With PKCE it may end in another, since
// TikTok's app opens the one it likes, and the code is worth nothing without the verifier.
func TestBrowser(t *testing.T) {
	w := newWorld(t)
	elsewhere := func(changes ...string) (*signin.Return, error) {
		state := w.begin(t, asks(changes...))
		w.cookies = map[string]string{}
		return w.callback(t, state)
	}
	back, err := elsewhere()
	if err != nil {
		t.Fatalf("with PKCE: %v", err)
	}
	if _, err := w.Finish(back); err != nil {
		t.Errorf("with PKCE: %v", err)
	}
	back, err = elsewhere("code_challenge", "-", "code_challenge_method", "-")
	if back != nil || signin.AsError(err).Cause != signin.CauseOtherBrowser {
		t.Errorf("without PKCE: got %v, a way back: %v; want %s and none", err, back != nil, signin.CauseOtherBrowser)
	}
	code := w.signIn(t, asks("code_challenge", "-", "code_challenge_method", "-")).Get("code")
	w.mustExchange(t, code, "code_verifier", "-")
}

// TestFail: what goes wrong at TikTok, the client is told too, in the words that people get.
func TestFail(t *testing.T) {
	for code, want := range map[signin.Code]string{
		signin.AccessDenied: "access_denied", signin.InvalidGrant: "access_denied", signin.InvalidRequest: "access_denied",
		signin.InvalidState: "access_denied", signin.TikTokUnavailable: "temporarily_unavailable",
		signin.RateLimited: "temporarily_unavailable", signin.TikTokMisconfigured: "server_error",
		signin.RedirectURIMismatch: "server_error", signin.Internal: "server_error",
	} {
		t.Run(string(code), func(t *testing.T) {
			w := newWorld(t)
			w.tiktok.exchange = func() (signin.Identity, error) {
				return signin.Identity{}, &signin.Error{Code: code, Message: "Words for people.", Err: errors.New("detail")}
			}
			back, err := w.callback(t, w.begin(t, asks()))
			if err == nil || back == nil {
				t.Fatalf("got %v, a way back: %v; want both", err, back != nil)
			}
			address, err := w.Fail(back, err)
			if err != nil {
				t.Fatal(err)
			}
			q := queryOf(t, address, appURI)
			if q.Get("error") != want || q.Get("error_description") != "Words for people." || len(q) != 4 ||
				q.Get("state") != "state of the client" || q.Get("iss") != issuer {
				t.Errorf("the client gets %v; want %s", q, want)
			}
		})
	}
	t.Run("TikTok says no", func(t *testing.T) {
		w := newWorld(t)
		back, err := w.service.Callback(t.Context(), signin.CallbackRequest{
			State: w.begin(t, asks()), Error: "access_denied",
		})
		address, failErr := w.Fail(back, err)
		if failErr != nil || queryOf(t, address, appURI).Get("error") != "access_denied" {
			t.Errorf("the client gets %s, %v", address, failErr)
		}
	})
}

// TestState: a state works once and for ten minutes, and the client hears of it.
func TestState(t *testing.T) {
	w := newWorld(t)
	wantDenied := func(state string) {
		t.Helper()
		back, err := w.callback(t, state)
		if signin.CodeOf(err) != signin.InvalidState || back == nil || back.Identity.OpenID != "" {
			t.Fatalf("got %v, a way back: %v", err, back != nil)
		}
		address, err := w.Fail(back, err)
		if err != nil || queryOf(t, address, appURI).Get("error") != "access_denied" {
			t.Errorf("the client gets %s, %v", address, err)
		}
	}
	state := w.begin(t, asks())
	if _, err := w.callback(t, state); err != nil {
		t.Fatal(err)
	}
	wantDenied(state)
	state = w.begin(t, asks())
	w.now = w.now.Add(signin.StateLifetime + time.Second)
	wantDenied(state)
}

// TestResume: the configuration may change while people are at TikTok, and nobody is sent where no client is.
func TestResume(t *testing.T) {
	w := newWorld(t)
	back, err := w.callback(t, w.begin(t, asks()))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*provider.Options)
		want   signin.Cause
	}{
		"no such client": {func(o *provider.Options) { o.Clients = o.Clients[1:] }, signin.CauseClientUnknown},
		"no such address": {
			func(o *provider.Options) { o.Clients[0].RedirectURIs = []string{appQueryURI} },
			signin.CauseClientRedirectURI,
		},
	} {
		t.Run(name, func(t *testing.T) {
			later := newWorld(t, tt.change)
			address, err := later.Finish(back)
			if address != "" || signin.AsError(err).Cause != tt.want {
				t.Errorf("finish: got %q, %v; want %s", address, err, tt.want)
			}
			address, err = later.Fail(back, signin.NewError(signin.CauseTikTokDenies))
			if address != "" || signin.AsError(err).Cause != tt.want {
				t.Errorf("fail: got %q, %v; want %s", address, err, tt.want)
			}
		})
	}
	for _, request := range []string{"", "null", "{}", "[]", `{"c":7}`, `{"c":"app","r":"https://evil.example/"}`} {
		if address, err := w.Finish(&signin.Return{Request: request, Identity: mira}); err == nil {
			t.Errorf("%s leads to %s", request, address)
		}
	}
}

// failingSignIns cannot begin.
type failingSignIns struct{ err error }

func (f failingSignIns) BeginForClient(context.Context, signin.ClientRequest) (signin.Begun, error) {
	return signin.Begun{}, f.err
}

func TestAuthorize_fails(t *testing.T) {
	w := newWorld(t, func(o *provider.Options) { o.SignIns = failingSignIns{errors.New("a fault")} })
	_, err := w.Authorize(t.Context(), asks())
	wantRedirect(t, err, appURI, "state of the client", "server_error")
	if strings.Contains(err.(*provider.Redirect).URL, "fault") { //nolint:errorlint,forcetypeassert // checked above
		t.Error("the client is told the cause")
	}
}
