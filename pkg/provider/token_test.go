package provider_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/once"
	"github.com/tikbridge/tikbridge/pkg/provider"
	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// attempt is a token request.
type attempt struct {
	form   url.Values
	header string
	code   string // of the error that it must end in
	status int
}

func noClient(f url.Values, header string) attempt { return attempt{f, header, "invalid_client", 401} }

func noRequest(f url.Values, header string) attempt {
	return attempt{f, header, "invalid_request", 400}
}

func noGrant(f url.Values, header string) attempt { return attempt{f, header, "invalid_grant", 400} }

func noType(f url.Values, header string) attempt {
	return attempt{f, header, "unsupported_grant_type", 400}
}

// TestToken_refused: whatever is wrong with a token request is refused, and spends nothing: with the same code the
// right request works afterwards.
func TestToken_refused(t *testing.T) {
	right := basicOf("app", clientSecret)
	raw := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	inForm := func(code string, changes ...string) url.Values {
		return form(code, append([]string{"client_id", "app", "client_secret", clientSecret}, changes...)...)
	}
	escaped := url.QueryEscape(clientSecret)
	for name, wrong := range map[string]func(code string) attempt{
		// The client.
		"nobody":   func(c string) attempt { return noClient(form(c), "") },
		"id alone": func(c string) attempt { return noClient(form(c, "client_id", "app"), "") },
		"wrong secret": func(c string) attempt {
			return noClient(form(c), basicOf("app", clientSecret+"x"))
		},
		"wrong secret, form":   func(c string) attempt { return noClient(inForm(c, "client_secret", "x"), "") },
		"empty secret":         func(c string) attempt { return noClient(form(c), basicOf("app", "")) },
		"unknown client":       func(c string) attempt { return noClient(form(c), basicOf("App", clientSecret)) },
		"unknown, no secret":   func(c string) attempt { return noClient(form(c), basicOf("", "")) },
		"empty client in form": func(c string) attempt { return noClient(form(c, "client_id", ""), "") },
		"both ways":            func(c string) attempt { return noRequest(inForm(c), right) },
		"secret both ways":     func(c string) attempt { return noRequest(inForm(c, "client_id", "-"), right) },
		"two ids":              func(c string) attempt { return noRequest(form(c, "client_id", "spa"), right) },
		"bearer":               func(c string) attempt { return noClient(inForm(c), "Bearer "+right[6:]) },
		"no base64":            func(c string) attempt { return noClient(form(c), "Basic !") },
		"no colon":             func(c string) attempt { return noClient(form(c), raw("app")) },
		"bad escape in id":     func(c string) attempt { return noClient(form(c), raw("%zz:"+escaped)) },
		"bad escape in secret": func(c string) attempt { return noClient(form(c), raw("app:%zz")) },
		"secret not escaped":   func(c string) attempt { return noClient(form(c), raw("app:"+clientSecret)) },
		"public with a secret": func(c string) attempt {
			return noClient(form(c, "client_id", "spa", "client_secret", clientSecret), "")
		},
		"public by basic": func(c string) attempt { return noClient(form(c), basicOf("spa", "")) },

		// The grant.
		"no grant type":    func(c string) attempt { return noRequest(form(c, "grant_type", "-"), right) },
		"empty grant type": func(c string) attempt { return noRequest(form(c, "grant_type", ""), right) },
		"refresh": func(c string) attempt {
			return noType(form(c, "grant_type", "refresh_token", "refresh_token", "x"), right)
		},
		"password": func(c string) attempt {
			return noType(form(c, "grant_type", "password"), right)
		},
		"no code": func(c string) attempt { return noRequest(form(c, "code", "-"), right) },
		"foreign code": func(c string) attempt {
			return noGrant(form("1"+strings.Repeat("A", 100)), right)
		},
		"cut code": func(c string) attempt { return noGrant(form(c[:len(c)-1]), right) },
		"endless": func(c string) attempt {
			return noGrant(form(c+strings.Repeat("A", 1<<20)), right)
		},
		"code twice": func(c string) attempt { return twice(form(c), "code", right) },

		// What the code was issued with.
		"other client": func(c string) attempt {
			return noGrant(form(c), basicOf("elliptic", clientSecret))
		},
		"public client":   func(c string) attempt { return noGrant(form(c, "client_id", "spa"), "") },
		"no redirect URI": func(c string) attempt { return noGrant(form(c, "redirect_uri", "-"), right) },
		"other redirect URI": func(c string) attempt {
			return noGrant(form(c, "redirect_uri", appQueryURI), right)
		},
		"longer redirect URI": func(c string) attempt {
			return noGrant(form(c, "redirect_uri", appURI+"/"), right)
		},
		"two redirect URIs": func(c string) attempt { return twice(form(c), "redirect_uri", right) },
		"no verifier":       func(c string) attempt { return noGrant(form(c, "code_verifier", "-"), right) },
		"empty verifier":    func(c string) attempt { return noGrant(form(c, "code_verifier", ""), right) },
		"other verifier": func(c string) attempt {
			return noGrant(form(c, "code_verifier", verifier+"x"), right)
		},
		"challenge as such": func(c string) attempt {
			return noGrant(form(c, "code_verifier", s256(verifier)), right)
		},
		"two verifiers":        func(c string) attempt { return twice(form(c), "code_verifier", right) },
		"what nobody asks for": func(c string) attempt { return twice(form(c), "audience", right) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			code := w.code(t)
			a := wrong(code)
			_, err := w.Token(t.Context(), provider.TokenRequest{Form: a.form, Authorization: a.header})
			e := wantRefused(t, err, a.code, a.status)
			for _, secret := range []string{code, verifier, clientSecret} {
				if strings.Contains(e.Error(), secret) {
					t.Errorf("the error repeats %q: %v", secret, e)
				}
			}
			if n := w.claims.codes(); n != 0 {
				t.Errorf("%d codes were claimed", n)
			}
			w.mustExchange(t, code)
		})
	}
}

func twice(f url.Values, name, header string) attempt {
	f[name] = append(f[name], "again", "and again")
	return noRequest(f, header)
}

// TestToken_verifier: a client without PKCE cannot bring it in later, which is how a stolen code would be slipped in,
// and a verifier that is short is none, even if it fits.
func TestToken_verifier(t *testing.T) {
	w := newWorld(t)
	code := w.code(t, "code_challenge", "-", "code_challenge_method", "-")
	_, err := w.exchange(t, code)
	wantRefused(t, err, "invalid_grant", 400)
	w.mustExchange(t, code, "code_verifier", "-")
	code = w.code(t, "code_challenge", "-", "code_challenge_method", "-")
	w.mustExchange(t, code, "code_verifier", "")

	long := strings.Repeat("v", 129)
	for _, short := range []string{"", "guess", long[:42], long, long[:43] + "\n"} {
		_, err := w.exchange(t, w.code(t, "code_challenge", s256(short)), "code_verifier", short)
		wantRefused(t, err, "invalid_grant", 400)
	}
	for _, good := range []string{strings.Repeat("v", 43), strings.Repeat("-._~", 32)} {
		w.mustExchange(t, w.code(t, "code_challenge", s256(good)), "code_verifier", good)
	}
}

// TestToken_clients: the ways in which a client may say who it is.
func TestToken_clients(t *testing.T) {
	other := "other+app/%"
	for name, tt := range map[string]struct {
		client string
		form   []string
		header string
	}{
		"basic":             {"app", nil, basicOf("app", clientSecret)},
		"in another case":   {"app", nil, "bASIC" + basicOf("app", clientSecret)[5:]},
		"escaped":           {other, nil, basicOf(other, clientSecret)},
		"basic and its id":  {"app", []string{"client_id", "app"}, basicOf("app", clientSecret)},
		"basic, empty form": {"app", []string{"client_id", "", "client_secret", ""}, basicOf("app", clientSecret)},
		"form":              {"app", []string{"client_id", "app", "client_secret", clientSecret}, ""},
		"public":            {"spa", []string{"client_id", "spa"}, ""},
		"public, no secret": {"spa", []string{"client_id", "spa", "client_secret", ""}, ""},
		"with a scope":      {"app", []string{"scope", "openid"}, basicOf("app", clientSecret)}, // as Appwrite sends
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			uri := appURI
			if tt.client == "spa" {
				uri = spaURI
			}
			code := w.code(t, "client_id", tt.client, "redirect_uri", uri)
			resp, err := w.Token(t.Context(), provider.TokenRequest{
				Form: form(code, append(tt.form, "redirect_uri", uri)...), Authorization: tt.header,
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := verify(t, resp.IDToken, w.JWKS())["aud"]; got != tt.client {
				t.Errorf("the id_token is for %v; want %s", got, tt.client)
			}
		})
	}
}

// TestToken_once: of twenty at once, one gets tokens.
func TestToken_once(t *testing.T) {
	w := newWorld(t)
	code := w.code(t)
	var wg sync.WaitGroup
	results := make(chan error, 20)
	for range cap(results) {
		wg.Go(func() {
			_, err := w.exchange(t, code)
			results <- err
		})
	}
	wg.Wait()
	close(results)
	good := 0
	for err := range results {
		if err == nil {
			good++
			continue
		}
		wantRefused(t, err, "invalid_grant", 400)
	}
	if good != 1 {
		t.Errorf("%d got tokens; want 1", good)
	}
}

// TestToken_expired: a code is good for a minute, also at a replica whose clock is a little behind.
func TestToken_expired(t *testing.T) {
	w := newWorld(t)
	begun := w.now
	for after, good := range map[time.Duration]bool{
		-31 * time.Second: false, -30 * time.Second: true, 0: true, time.Minute: true, time.Minute + time.Second: false,
	} {
		w.now = begun
		code := w.code(t)
		w.now = begun.Add(after)
		_, err := w.exchange(t, code)
		switch {
		case good && err != nil:
			t.Errorf("after %v: %v", after, err)
		case !good:
			wantRefused(t, err, "invalid_grant", 400)
		}
	}
}

// TestToken_onceFails: a store that cannot tell is a fault, never a yes.
func TestToken_onceFails(t *testing.T) {
	w := newWorld(t)
	code := w.code(t)
	w.claims.err = errors.New("down")
	_, err := w.exchange(t, code)
	e := wantRefused(t, err, "server_error", 500)
	if strings.Contains(e.Description, "down") || e.Error() != "server_error: down" {
		t.Errorf("the client is told %q, the log %q", e.Description, e.Error())
	}
	w.claims.err = nil
	w.mustExchange(t, code)
}

// TestToken_replicas: any replica takes the code of another, and with one store for both a code is good once.
func TestToken_replicas(t *testing.T) {
	shared := &claims{Memory: once.NewMemory(100)}
	share := func(o *provider.Options) { o.Once = shared }
	one, two := newWorld(t, share), newWorld(t, share)
	code := one.code(t)
	if got := verify(t, two.mustExchange(t, code).IDToken, one.JWKS())["sub"]; got != mira.OpenID {
		t.Errorf("the id_token is about %v", got)
	}
	_, err := one.exchange(t, code)
	wantRefused(t, err, "invalid_grant", 400)
}

// TestToken_purposes: no other token of the bridge is a code.
func TestToken_purposes(t *testing.T) {
	w := newWorld(t)
	resp := w.mustExchange(t, w.code(t))
	for name, token := range map[string]string{
		"access token": resp.AccessToken, "state": w.tiktok.asked.State, "id_token": resp.IDToken,
	} {
		_, err := w.exchange(t, token)
		if e := wantRefused(t, err, "invalid_grant", 400); e.Description != "The code is not one of this provider." {
			t.Errorf("%s: %s", name, e.Description)
		}
	}
}

// TestToken_inside: a code holds TikTok's refresh token only for a client that gets it, and a state is in no code.
func TestToken_inside(t *testing.T) {
	ring, err := seal.New(sealKey)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for client, want := range map[string]bool{"app": false, "tokens": true} {
		payload, err := ring.Open("oidc-code", w.code(t, "client_id", client))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(payload), mira.RefreshToken); got != want {
			t.Errorf("a code of %s holds the refresh token: %v; want %v", client, got, want)
		}
		if strings.Contains(string(payload), "state of the client") {
			t.Errorf("a code of %s holds the state", client)
		}
	}
}

// TestToken_report: the log line of a token request says how it went.
func TestToken_report(t *testing.T) {
	w := newWorld(t)
	code := w.code(t)
	var report signin.Report
	ctx := signin.WithReport(t.Context(), &report)
	r := provider.TokenRequest{Form: form(code), Authorization: basicOf("app", clientSecret)}
	if _, err := w.Token(ctx, r); err != nil || report.Outcome() != signin.OutcomeSignedIn {
		t.Errorf("the outcome is %q, %v", report.Outcome(), err)
	}
	report = signin.Report{} //nolint:govet // nobody else has it
	if _, err := w.Token(ctx, r); err == nil || report.Outcome() != "" {
		t.Errorf("the second time the outcome is %q, %v", report.Outcome(), err)
	}
}
