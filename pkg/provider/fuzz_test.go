package provider_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// errorCodes are what a client may be told.
var errorCodes = []string{
	"invalid_request", "unsupported_response_type", "invalid_scope", "request_not_supported",
	"request_uri_not_supported", "registration_not_supported", "login_required", "access_denied", "server_error",
	"temporarily_unavailable", "invalid_client", "invalid_grant", "unsupported_grant_type",
}

// registered returns the redirect URI of the client that address is below, "" if it is of none.
func registered(client, address string) string {
	best := ""
	for _, c := range clients() {
		for _, uri := range c.RedirectURIs {
			if c.ID == client && strings.HasPrefix(address, uri) && len(uri) > len(best) {
				best = uri
			}
		}
	}
	return best
}

// FuzzAuthorize: whatever is asked, a person goes to TikTok, to an address of the client that asked, or nowhere.
func FuzzAuthorize(f *testing.F) {
	for _, q := range []url.Values{
		asks(), asks("redirect_uri", appQueryURI), asks("client_id", "spa", "redirect_uri", spaURI), asks("prompt", "none"),
		asks("max_age", "1", "prompt", "login consent"), asks("state", `{"a":"\u0000 \\ ü"}`), asks("scope", "email"),
		asks("request", "x"), asks("response_type", "token"), asks("code_challenge_method", "plain"),
		{},
		asks("redirect_uri", "https://app.example@evil.example/cb"),
	} {
		f.Add(q.Encode())
	}
	f.Add("client_id=app&client_id=app&redirect_uri=" + url.QueryEscape(appURI))
	f.Add(asks().Encode() + "&state=second&nonce=second")
	f.Add(asks().Encode() + "&state=%ff")
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			t.Skip()
		}
		begun, err := w.Authorize(t.Context(), q)
		var redirect *provider.Redirect
		var page *signin.Error
		switch {
		case errors.As(err, &redirect):
			uri := registered(q.Get("client_id"), redirect.URL)
			if uri != q.Get("redirect_uri") || uri == "" {
				t.Fatalf("the client is told at %s; want %s", redirect.URL, q.Get("redirect_uri"))
			}
			answer := queryOf(t, redirect.URL, uri)
			state := q.Get("state")
			if len(q["state"]) > 1 {
				state = ""
			}
			if answer.Get("iss") != issuer || answer.Get("state") != state || answer.Has("code") ||
				!slices.Contains(errorCodes, answer.Get("error")) {
				t.Fatalf("the client gets %v; the state is %q", answer, state)
			}
			wantDescription(t, answer.Get("error_description"))
		case errors.As(err, &page):
			if page.Cause != signin.CauseClientUnknown && page.Cause != signin.CauseClientRedirectURI {
				t.Fatalf("a page says %v", err)
			}
		case err != nil:
			t.Fatal(err)
		default:
			w.cookies = map[string]string{begun.FlowID: begun.Binder}
			back, err := w.callback(t, w.tiktok.asked.State)
			if err != nil {
				t.Fatalf("nobody comes back from TikTok: %v", err)
			}
			address, err := w.Finish(back)
			if err != nil {
				t.Fatal(err)
			}
			answer := queryOf(t, address, q.Get("redirect_uri"))
			if answer.Get("code") == "" || answer.Get("state") != q.Get("state") || answer.Get("iss") != issuer {
				t.Fatalf("the client gets %v", answer)
			}
		}
	})
}

// FuzzToken: no form and no header gets tokens but the ones with the code, the secret and the verifier.
func FuzzToken(f *testing.F) {
	w := newWorld(f)
	code := w.code(f)
	for _, header := range []string{"", basicOf("app", clientSecret), basicOf("spa", ""), "Basic", "Basic !", "Bearer x"} {
		for _, body := range []url.Values{
			form(code), form(code, "client_id", "app", "client_secret", clientSecret), form("x"),
			form(code, "code_verifier", "-"),
			form(code, "client_id", "spa"), form(code, "redirect_uri", appQueryURI), form(code, "grant_type", "x"),
			{},
		} {
			f.Add(body.Encode(), header)
		}
	}
	f.Fuzz(func(t *testing.T, body, header string) {
		q, err := url.ParseQuery(body)
		if err != nil {
			t.Skip()
		}
		_, err = w.Token(t.Context(), provider.TokenRequest{Form: q, Authorization: header})
		var e *provider.Error
		switch {
		case err == nil:
			byBasic := strings.EqualFold(header[:min(6, len(header))], "Basic ")
			// The code itself is another in each process of the fuzzer.
			if len(q.Get("code")) < len(code)-10 || q.Get("code_verifier") != verifier || q.Get("redirect_uri") != appURI ||
				!byBasic && q.Get("client_secret") != clientSecret {
				t.Fatalf("%q with %q gets tokens", body, header)
			}
		case !errors.As(err, &e) || e.Status != 400 && e.Status != 401 || !slices.Contains(errorCodes, e.Code):
			t.Fatalf("got %v", err)
		default:
			wantDescription(t, e.Description)
			if strings.Contains(e.Error(), clientSecret) || strings.Contains(e.Error(), verifier) {
				t.Fatalf("the error is %v", e)
			}
		}
	})
}

// FuzzUserInfo: nothing but an access token of the provider says who somebody is.
func FuzzUserInfo(f *testing.F) {
	w := newWorld(f)
	resp := w.mustExchange(f, w.code(f))
	for _, header := range []string{
		"", "Bearer", "Bearer " + resp.AccessToken, resp.AccessToken, "Bearer " + resp.IDToken, basicOf("app", clientSecret),
	} {
		f.Add(header, "")
		f.Add(header, resp.AccessToken)
	}
	f.Fuzz(func(t *testing.T, header, inForm string) {
		var tokens []string
		if inForm != "" {
			tokens = []string{inForm}
		}
		_, err := w.UserInfo(header, tokens)
		var e *provider.Error
		switch {
		case err == nil && (header == "") != (inForm == "") && len(header+inForm) >= len(resp.AccessToken):
		case err != nil && errors.As(err, &e) && (e.Status == 400 || e.Status == 401):
			wantDescription(t, e.Description)
		default:
			t.Fatalf("%q with %q: %v", header, inForm, err)
		}
	})
}

// FuzzFinish: what comes out of a state leads to an address of the client in it, or nowhere.
func FuzzFinish(f *testing.F) {
	for _, request := range []string{
		"", "{}", "null", "[]", "7", `{"c":"app","r":"` + appURI + `","s":"x","o":"openid"}`,
		`{"c":"app","r":"` + spaURI + `"}`,
		`{"c":"spa","r":"com.example.app:/cb","h":"x"}`, `{"c":"nobody"}`, `{"c":"app","r":["` + appURI + `"]}`,
		`{"c":"app","r":"` + appURI + `","s":"\ud800 & \u0000"}`, `{"c":"app","c":"spa","r":"` + appURI + `"}`,
	} {
		f.Add(request)
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, request string) {
		back := &signin.Return{Request: request, Identity: mira}
		address, err := w.Finish(back)
		failed, failErr := w.Fail(back, signin.NewError(signin.CauseTikTokDenies))
		if (err == nil) != (failErr == nil) {
			t.Fatalf("finish: %v, fail: %v", err, failErr)
		}
		if err != nil {
			return
		}
		for _, a := range []string{address, failed} {
			if !slices.ContainsFunc(clients(), func(c provider.Client) bool { return registered(c.ID, a) != "" }) {
				t.Fatalf("somebody is sent to %s", a)
			}
			if strings.ContainsAny(a, "\r\n\x00 ") {
				t.Fatalf("the address is %q", a)
			}
		}
	})
}

// FuzzParseKeys: no text of an operator makes the bridge fall over, or shows up in an error.
func FuzzParseKeys(f *testing.F) {
	k := ownKeys()
	for _, text := range []string{
		"", "secret", k.pkcs8, k.pkcs1, k.sec1, k.sec1 + k.pkcs8, k.pkcs8[:300], block("EC PARAMETERS", []byte("x")),
		block("PRIVATE KEY", []byte("secret")), "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "-----BEGIN ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := provider.ParseKeys(signin.Secret(text))
		if (err == nil) != (keys != nil) {
			t.Fatalf("got %v, %v", keys, err)
		}
		if err != nil {
			wantNothingOf(t, err, text)
		}
	})
}
