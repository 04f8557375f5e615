package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

// providerSecret is that of the client supabase.
const providerSecret = "a-secret-of-the-client-supabase-for-tests"

// startProviderSDK runs the bridge as an OpenID Provider, an emulated Supabase that has it as custom:tiktok, and
// an app. GoTrue's part is the emulator, TikTok's the simulator of tikbridge dev.
func startProviderSDK(t *testing.T) *sdkStack {
	t.Helper()
	npmInstall(t)
	s := &sdkStack{gotrue: newFakeGoTrue()}
	app := httptest.NewServer(http.HandlerFunc(s.serveApp))
	t.Cleanup(app.Close)
	ports, err := process.FindAddresses(3)
	if err != nil {
		t.Fatal(err)
	}
	s.app, s.bridge, s.tiktok = app.URL, "http://"+ports[0], "http://"+ports[1]

	supabase := httptest.NewUnstartedServer(nil)
	s.supabase = "http://" + supabase.Listener.Addr().String()
	supabase.Config.Handler = gotruesim.New(gotruesim.Options{
		ExternalURL: s.supabase + "/auth/v1", SiteURL: s.app,
		RedirectURLs:  []string{s.app + "/**", s.bridge + "/return**"},
		ManualLinking: true, AllowInsecureIssuers: true,
	})
	supabase.Start()
	t.Cleanup(supabase.Close)
	s.gotrue.url = s.supabase

	s.front = newFront(s.bridge)
	s.front.url = s.bridge
	s.log = &output.Buffer{}
	stop, err := launch(s.log, []string{
		"SUPABASE_URL=" + s.supabase, "SUPABASE_PUBLISHABLE_KEY=" + gotruesim.PublishableKey,
		"SUPABASE_SECRET_KEY=" + gotruesim.SecretKey, "TIKBRIDGE_APP_ORIGINS=" + s.app,
		"TIKBRIDGE_OIDC_SUPABASE_SECRET=" + providerSecret,
		"TIKBRIDGE_SEAL_KEYS=" + strings.Repeat("sealed", 8), "TIKBRIDGE_TIKTOK_RETURN_TOKENS=true",
	}, "dev", "--listen", ports[0], "--tiktok-listen", ports[1], "--supabase-listen", ports[2])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	await(t, s.bridge+"/readyz", s.log)

	body, err := json.Marshal(map[string]any{
		"provider_type": "oidc", "identifier": "custom:tiktok", "name": "TikTok", "client_id": "supabase",
		"client_secret": providerSecret, "issuer": s.bridge, "scopes": []string{"openid"}, "email_optional": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(
		t.Context(), http.MethodPost, s.supabase+"/auth/v1/admin/custom-providers", bytes.NewReader(body),
	)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Apikey", gotruesim.SecretKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("the provider was not made: %s", resp.Status)
	}
	return s
}

// TestSDKProvider_emulator signs in by custom:tiktok with the SDK, and links TikTok to an account.
func TestSDKProvider_emulator(t *testing.T) {
	s := startProviderSDK(t)
	for _, version := range []string{"supabase-js-2.45", "newest"} {
		page := s.app + "/provider/" + version + "/pkce/on"
		t.Run(version+"/web", func(t *testing.T) {
			b := newDevice(t, false)
			b.open(t, page)
			eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
			b.consent(t)
			id := b.wantStatuses(t, "signed_in")[0].Session.User.ID
			if got := eval[string](t, b, getUser); got != id || id == "" {
				t.Errorf("getUser says %q; want %q", got, id)
			}
			if got := eval[string](t, b, "results[0].session.user.user_metadata.name"); got == "" {
				t.Error("the user has no name")
			}
			b.wantLocation(t, page)
			// TikTok asks again, although the person has agreed before.
			eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
			b.run(t, "say no", visible(cancelButton), click(cancelButton))
			b.wantStatuses(t, "cancelled")
			b.wantLocation(t, page)
			b.wantNoComplaints(t)
		})
		t.Run(version+"/native", func(t *testing.T) {
			b := newDevice(t, true)
			b.open(t, page)
			eval[chromedp.Void](t, b, "tiktok.signIn({ selectAccount: true })")
			secure := s.openProvider(t, b)
			secure.consent(t)
			link := secure.deeplink(t)
			secure.wantLocation(t, s.bridge+"/return?scheme=myapp")
			secure.wantNoComplaints(t)
			b.open(t, page+strings.TrimPrefix(link, "/auth"))
			b.wantStatuses(t, "signed_in")

			eval[chromedp.Void](t, b, "results.length = 0; tiktok.signIn({ selectAccount: true })")
			secure = s.openProvider(t, b)
			secure.run(t, "say no", click(cancelButton))
			eval[chromedp.Void](t, b, push(secure.deeplink(t)))
			b.wantStatuses(t, "cancelled")
			b.wantNoComplaints(t)
		})
		t.Run(version+"/link", func(t *testing.T) {
			b := newDevice(t, false)
			b.open(t, page)
			id := eval[string](t, b, strings.Replace(signUp, "by-mail", strings.ReplaceAll(version, ".", "-"), 1))
			eval[chromedp.Void](t, b, "void tiktok.link({ selectAccount: true })")
			b.run(t, "agree as somebody new", visible(continueButton), click(account("other")),
				chromedp.SendKeys(chromedp.CSS(`input[name=display_name]`), version), click(continueButton))
			if got := b.wantStatuses(t, "signed_in")[0].Session.User.ID; got != id {
				t.Errorf("signed in is %q; want still %q", got, id)
			}
			// mira has an account of her own.
			eval[chromedp.Void](t, b, "void tiktok.link({ selectAccount: true })")
			b.consent(t)
			b.wantStatuses(t, "failed identity_already_exists")
			b.wantNoComplaints(t)
		})
	}
}
