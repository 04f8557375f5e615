package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestSDK_wrongVerifier finishes the first of two sign-ins: the verifier of the second is tried before,
// and does not use the handoff up.
func TestSDK_wrongVerifier(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, true)
	b.open(t, s.app+"/app")
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	first := openSecureBrowser(t, b, s)
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	second := openSecureBrowser(t, b, s)
	first.consent(t)
	eval[chromedp.Void](t, b, push(first.deeplink(t)))
	b.wantStatuses(t, "signed_in")
	s.front.wantRedeems(t, 2)
	second.consent(t)
	eval[chromedp.Void](t, b, push(second.deeplink(t)))
	b.wantStatuses(t, "signed_in", "signed_in")
	s.front.wantRedeems(t, 1)
}

// TestSDK_stranger opens somebody else's handoff: it signs nobody in, and is not spoilt.
func TestSDK_stranger(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, true)
	b.open(t, s.app+"/app")
	eval[chromedp.Void](t, b, "tiktok.signIn()")
	secure := openSecureBrowser(t, b, s)
	secure.consent(t)
	link := secure.deeplink(t)

	// Nothing is under way there.
	stranger := b.another(t, chromedp.WithNewBrowserContext())
	stranger.open(t, s.app+link)
	stranger.wantStatuses(t, "failed handoff_invalid")
	s.front.wantRedeems(t, 0)
	// Something is.
	stranger = b.another(t, chromedp.WithNewBrowserContext())
	stranger.open(t, s.app+"/web")
	eval[chromedp.Void](t, stranger, "void tiktok.signIn()")
	stranger.run(t, "wait for TikTok", visible(continueButton))
	stranger.open(t, s.app+link)
	results := stranger.wantStatuses(t, "failed handoff_invalid")
	if results[0].RequestID == "" || results[0].Description == "" {
		t.Errorf("the result is %+v; want the bridge's words and its request", results[0])
	}
	s.front.wantRedeems(t, 1)

	eval[chromedp.Void](t, b, push(link))
	b.wantStatuses(t, "signed_in")
	s.front.wantRedeems(t, 1)
}

// TestSDK_failures are answers of redeem, and what the app does about them.
func TestSDK_failures(t *testing.T) {
	s := startSDK(t)
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := map[string]struct {
		answer http.HandlerFunc
		want   sdkResult
		again  string // the result of another handleRedirect
	}{
		"no network": {hangUp, sdkResult{Error: "network_error"}, "signed_in"},
		"a proxy's error": {
			answer(http.StatusBadGateway, "<h1>Bad gateway</h1>"), sdkResult{Error: "network_error"}, "signed_in",
		},
		"too many": {
			answer(
				http.StatusTooManyRequests, `{"error":"rate_limited","error_description":"Wait.","request_id":"r1"}`,
			),
			sdkResult{Error: "rate_limited", Description: "Wait.", RequestID: "r1"},
			"signed_in",
		},
		"banned": {
			answer(http.StatusForbidden, `{"error":"user_banned","error_description":"No.","request_id":"r2"}`),
			sdkResult{Error: "user_banned", Description: "No.", RequestID: "r2"},
			"null",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newDevice(t, false)
			b.open(t, s.app+"/web")
			s.front.next(tt.answer)
			eval[chromedp.Void](t, b, "void tiktok.signIn()")
			b.consent(t)
			got := b.wantStatuses(t, "failed "+tt.want.Error)[0]
			tt.want.Status = "failed"
			if tt.want.Description == "" {
				got.Description = ""
			}
			if got != tt.want {
				t.Errorf("the result is %+v; want %+v", got, tt.want)
			}
			b.wantLocation(t, s.app+"/web")
			status := eval[string](
				t, b,
				"Promise.all([tiktok.handleRedirect(), tiktok.handleRedirect()])"+
					".then(([a, b]) => a !== b ? 'two results' : String(a && a.status))",
			)
			if status != tt.again {
				t.Errorf("the second time it is %q; want %q", status, tt.again)
			}
			s.front.wantRedeems(t, map[string]int{"signed_in": 2, "null": 1}[tt.again])
			if status := eval[string](t, b, "tiktok.handleRedirect().then(String)"); status != "null" {
				t.Errorf("the third time it is %q; want nothing", status)
			}
		})
	}

	// The session was made but not taken.
	b := newDevice(t, false)
	b.open(t, s.app+"/late")
	eval[chromedp.Void](t, b, "makeLater()")
	b.until(t, "window.tiktok")
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.consent(t)
	b.until(t, "window.ready && arrival.includes('tikbridge_handoff')")
	s.front.wantRedeems(t, 0) // nobody asked yet
	eval[chromedp.Void](t, b, "window.refuse = true; makeLater()")
	b.until(t, "window.results")
	b.wantStatuses(t, "failed invalid_session")
	if got := eval[string](t, b, "results[0].cause.message"); got != "refused" {
		t.Errorf("the cause is %q", got)
	}
	eval[chromedp.Void](t, b, "window.refuse = false; void tiktok.handleRedirect()")
	b.wantStatuses(t, "failed invalid_session", "signed_in")
	s.front.wantRedeems(t, 1)
}

// TestSDK_setSessionStalls: an app that does not take the session in time gets a result all the same, and
// the sign-in is not lost.
func TestSDK_setSessionStalls(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	stall := func() {
		b.open(t, s.app+"/late")
		eval[chromedp.Void](t, b, "makeLater()")
		b.until(t, "window.tiktok")
		eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
		b.consent(t)
		b.until(t, "window.ready && arrival.includes('tikbridge_handoff')")
		eval[chromedp.Void](t, b, "window.stall = true; makeLater()")
		b.until(t, "window.goOn")
		eval[chromedp.Void](t, b, "endTimeLimit()")
		b.wantStatuses(t, "failed invalid_session")
		if got := eval[string](t, b, "results[0].cause.message"); !strings.Contains(got, "setSession") {
			t.Errorf("the cause is %q; want it to name setSession", got)
		}
	}

	stall()
	eval[chromedp.Void](t, b, "goOn()")
	b.wantStatuses(t, "failed invalid_session", "signed_in")
	if got := eval[string](t, b, "tiktok.handleRedirect().then(String)"); got != "null" {
		t.Errorf("then handleRedirect says %s; want null", got)
	}

	stall()
	eval[chromedp.Void](t, b, "window.stall = false; void tiktok.handleRedirect()")
	b.wantStatuses(t, "failed invalid_session", "signed_in")
	eval[chromedp.Void](t, b, "goOn()") // the first try, which nobody waits for any more
	b.wantStatuses(t, "failed invalid_session", "signed_in")
	s.front.wantRedeems(t, 2)
}

// TestSDK_insecureContext taps the button on a page without https, where browsers have no crypto.subtle.
func TestSDK_insecureContext(t *testing.T) {
	s := startSDK(t)
	for name, kind := range map[string]string{"own setSession": "web", "supabase-js": "fake"} {
		t.Run(name, func(t *testing.T) {
			b := newDevice(t, false, "delete Crypto.prototype.subtle;")
			b.open(t, s.app+"/"+kind+"/in")
			if got := eval[string](t, b, "tiktok.signIn().then((result) => result.error)"); got != "insecure_context" {
				t.Errorf("signIn says %q; want insecure_context", got)
			}
			if r := b.wantStatuses(t, "failed insecure_context")[0]; !strings.Contains(r.Description, "https") {
				t.Errorf("people are told %q; want the way out", r.Description)
			}
			b.wantLocation(t, s.app+"/"+kind+"/in")
			b.wantNoComplaints(t)
		})
	}
}

// TestSDK_errors reads addresses that anybody may have written.
func TestSDK_errors(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	tests := []struct {
		name, query string
		want        sdkResult // none without a status
		left        string    // of the query
	}{
		{
			"of the bridge",
			"tikbridge_error=tiktok_unavailable&tikbridge_error_description=Later&tikbridge_request_id=r1&x=1",
			sdkResult{Status: "failed", Error: "tiktok_unavailable", RequestID: "r1"},
			"?x=1",
		},
		{
			"cancelled", "tikbridge_error=access_denied&tikbridge_error_description=No&tikbridge_request_id=r2",
			sdkResult{Status: "cancelled"},
			"",
		},
		{
			"no code", "tikbridge_error=%3Cb%3E+call+me&tikbridge_request_id=r3",
			sdkResult{Status: "failed", Error: "internal", RequestID: "r3"},
			"",
		},
		{
			"of somebody else", "error=access_denied&error_description=No&request_id=r4",
			sdkResult{},
			"?error=access_denied&error_description=No&request_id=r4",
		},
		{"nothing", "tikbridge_handoff=&tikbridge_request_id=5", sdkResult{}, "?tikbridge_handoff=&tikbridge_request_id=5"},
		{"no handoff", "tikbridge_handoff=x", sdkResult{Status: "failed", Error: "handoff_invalid"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.open(t, s.app+"/web/in?"+tt.query)
			got := eval[*sdkResult](t, b, "first")
			if got == nil {
				got = &sdkResult{}
			}
			if tt.want.Error == "handoff_invalid" {
				got.Description = ""
			}
			if *got != tt.want {
				t.Errorf("the result is %+v; want %+v", *got, tt.want)
			}
			b.wantLocation(t, s.app+"/web/in"+tt.left)
		})
	}
	s.front.wantRedeems(t, 0)

	// The bridge's words count while somebody signs in.
	b.open(t, s.app+"/web")
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.run(t, "come to TikTok", visible(continueButton))
	b.open(t, s.app+"/web?tikbridge_error=invalid_grant&tikbridge_error_description=Again&tikbridge_request_id=r6")
	if got := b.results(t)[0].Description; got != "Again" {
		t.Errorf("the description is %q", got)
	}
}

// TestSDK_expiry: a verifier older than a sign-in may be is not tried.
func TestSDK_expiry(t *testing.T) {
	s := startSDK(t)
	b := newDevice(t, false)
	b.open(t, s.app+"/web")
	eval[chromedp.Void](t, b, `
		sessionStorage['tikbridge.flows'] = JSON.stringify([['old', Date.now() - 600001]]);
		localStorage['tikbridge.flows'] = '{"not":"ours"}';`)
	b.open(t, s.app+"/web?tikbridge_handoff=x")
	b.wantStatuses(t, "failed handoff_invalid")
	s.front.wantRedeems(t, 0)
	// Six sign-ins that nobody finished: the last five are kept.
	eval[chromedp.Void](
		t, b, `sessionStorage['tikbridge.flows'] = JSON.stringify([1, 2, 3, 4, 5].map((n) => ['v' + n, Date.now()]))`,
	)
	eval[chromedp.Void](t, b, "void tiktok.signIn()")
	b.run(t, "come to TikTok", visible(continueButton))
	b.open(t, s.app+"/late")
	kept := eval[string](t, b, `JSON.parse(sessionStorage['tikbridge.flows']).map(([v]) => v).slice(1).join()`)
	if kept != "v1,v2,v3,v4" {
		t.Errorf("kept are %s", kept)
	}
}
