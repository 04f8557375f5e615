package signin_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// vault is a Sealer whose tokens are numbers: nothing can be made or changed outside.
type vault struct {
	mu     sync.Mutex
	tokens map[string]string
}

func (v *vault) Seal(purpose string, payload []byte) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	token := "token-" + strconv.Itoa(len(v.tokens))
	v.tokens[purpose+token] = string(payload)
	return token
}

func (v *vault) Open(purpose, token string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	payload, ok := v.tokens[purpose+token]
	if !ok {
		return nil, errors.New("no such token")
	}
	return []byte(payload), nil
}

// marks is a Once.
type marks struct {
	mu   sync.Mutex
	seen map[string]bool
	err  error
}

func (m *marks) First(_ context.Context, key string, _ time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return false, m.err
	}
	first := !m.seen[key]
	m.seen[key] = true
	return first, nil
}

const (
	bridgeCallback = "https://bridge.example/api/auth/tiktok/callback"
	verifier       = "verifier-of-the-app-0123456789-0123456789-01"
)

func s256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// led is a world whose service leads the flow, with a clock and a browser.
type led struct {
	*world
	*signin.Service
	now     time.Time
	cookies map[string]string
	marks   *marks
}

func newLed(t *testing.T, adjust ...func(*led)) *led {
	t.Helper()
	l := &led{world: newWorld(), now: time.Unix(1800000000, 0), cookies: map[string]string{}, marks: &marks{seen: map[string]bool{}}}
	l.opts.Sealer, l.opts.Once = &vault{tokens: map[string]string{}}, l.marks
	l.opts.CallbackURL, l.opts.DefaultScheme, l.opts.DefaultRedirect = bridgeCallback, "myapp", "https://app.example/"
	l.opts.Now = func() time.Time { return l.now }
	for _, f := range adjust {
		f(l)
	}
	l.Service = l.start(t)
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func (l *led) cookie(flowID string) string { return l.cookies[flowID] }

// begin starts a flow in the browser and returns the state that TikTok will send back.
func (l *led) begin(t *testing.T, r signin.BeginRequest) string {
	t.Helper()
	begun, err := l.Begin(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	l.cookies[begun.FlowID] = begun.Binder
	return l.tiktok.asked.State
}

var web = signin.BeginRequest{Platform: signin.PlatformWeb, RedirectTo: "https://app.example/in?tab=1", Challenge: s256(verifier)}

func (l *led) callback(t *testing.T, state string) (*signin.Return, error) {
	t.Helper()
	return l.Callback(t.Context(), signin.CallbackRequest{State: state, Code: "code", Cookie: l.cookie})
}

func (l *led) redeem(t *testing.T, handoff, verifier string) (signin.Session, error) {
	t.Helper()
	return l.Redeem(t.Context(), signin.RedeemRequest{Handoff: handoff, Verifier: verifier, Cookie: l.cookie, Client: phone})
}

func wantCode(t *testing.T, err error, want signin.Code) {
	t.Helper()
	if got := signin.CodeOf(err); got != want {
		t.Fatalf("got %v; want %q", err, want)
	}
}

func TestBridgeFlow(t *testing.T) {
	l := newLed(t)
	state := l.begin(t, web)
	if l.tiktok.asked.RedirectURI != bridgeCallback || len(l.tiktok.asked.Verifier) != 43 {
		t.Errorf("TikTok is asked with %+v", l.tiktok.asked)
	}
	var grant signin.Grant
	l.tiktok.exchange = func(_ context.Context, g signin.Grant) (signin.Identity, error) {
		grant = g
		return mira, nil
	}
	back, err := l.callback(t, state)
	if err != nil {
		t.Fatal(err)
	}
	if grant.RedirectURI != bridgeCallback || grant.CodeVerifier != l.tiktok.asked.Verifier || grant.Code != "code" {
		t.Error("the code is exchanged with other values than it was asked for")
	}
	if back.RedirectTo != web.RedirectTo || back.Platform != signin.PlatformWeb || back.KeepCookie {
		t.Errorf("the way back is %s on %s", back.RedirectTo, back.Platform)
	}
	for _, call := range l.calls.all() {
		if call == "sign in" || call == "profile" {
			t.Errorf("%s happened before the handoff was redeemed", call)
		}
	}
	got, err := l.redeem(t, back.Handoff, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if got.RefreshToken != session.RefreshToken {
		t.Error("the session is not the one that was minted")
	}
}

func TestBegin(t *testing.T) {
	native := func(scheme, challenge string) signin.BeginRequest {
		return signin.BeginRequest{Platform: signin.PlatformNative, Scheme: scheme, Challenge: challenge}
	}
	tests := []struct {
		name string
		in   signin.BeginRequest
		want signin.Code
	}{
		{"web", web, ""},
		{"web, default page", signin.BeginRequest{Platform: signin.PlatformWeb, Challenge: s256("v")}, ""},
		{"web without challenge", signin.BeginRequest{Platform: signin.PlatformWeb}, ""},
		{"web, foreign page", signin.BeginRequest{Platform: signin.PlatformWeb, RedirectTo: "https://evil.example/", Challenge: s256("v")}, signin.RedirectURIMismatch},
		{"native", native("myapp", s256("v")), ""},
		{"native, default scheme", native("", s256("v")), ""},
		{"native, foreign scheme", native("evil", s256("v")), signin.SchemeNotAllowed},
		{"native, script", native("javascript", s256("v")), signin.SchemeNotAllowed},
		{"native without challenge", native("myapp", ""), signin.InvalidRequest},
		{"challenge too short", native("myapp", "abc"), signin.InvalidRequest},
		{"challenge padded", native("myapp", s256("v")+"="), signin.InvalidRequest},
		{"challenge in hex", native("myapp", strings.Repeat("a", 64)), signin.InvalidRequest},
		{"challenge of an empty verifier, native", native("myapp", s256("")), signin.InvalidRequest},
		{
			"challenge of an empty verifier, web",
			signin.BeginRequest{Platform: signin.PlatformWeb, Challenge: s256("")}, signin.InvalidRequest,
		},
		{"challenge not canonical", native("myapp", s256("v")[:42]+"_"), signin.InvalidRequest},
		{"no platform", signin.BeginRequest{Challenge: s256("v")}, signin.InvalidRequest},
		{"odd platform", signin.BeginRequest{Platform: "ios", Challenge: s256("v")}, signin.InvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newLed(t).Begin(t.Context(), tt.in)
			wantCode(t, err, tt.want)
		})
	}
	t.Run("no public URL", func(t *testing.T) {
		_, err := newLed(t, func(l *led) { l.opts.CallbackURL = "" }).Begin(t.Context(), web)
		wantCode(t, err, signin.InvalidRequest)
	})
	t.Run("no native app", func(t *testing.T) {
		_, err := newLed(t, func(l *led) { l.opts.DefaultScheme = "" }).Begin(t.Context(), native("", s256("v")))
		wantCode(t, err, signin.SchemeNotAllowed)
	})
}

// TestState: whatever is wrong with a state is found before TikTok hears of the code.
func TestState(t *testing.T) {
	without := web
	without.Challenge = ""
	tests := []struct {
		name     string
		begin    signin.BeginRequest
		spoil    func(l *led, state string) string
		want     signin.Code
		wantBack bool // the error goes back to the app
	}{
		{"missing", web, func(*led, string) string { return "" }, signin.InvalidState, false},
		{"foreign", web, func(*led, string) string { return "uuid|myapp" }, signin.InvalidState, false},
		{"too long", web, func(_ *led, s string) string { return s + strings.Repeat("x", 5000) }, signin.InvalidState, false},
		{"a handoff for a state", web, func(l *led, _ string) string {
			return l.opts.Sealer.Seal("handoff", []byte(`{"i":"12345678","p":"web","t":1800000000}`))
		}, signin.InvalidState, false},
		{"expired", web, func(l *led, s string) string { l.now = l.now.Add(10*time.Minute + time.Second); return s }, signin.InvalidState, true},
		{"from the future", web, func(l *led, s string) string { l.now = l.now.Add(-time.Minute); return s }, signin.InvalidState, true},
		{"just fresh", web, func(l *led, s string) string { l.now = l.now.Add(10 * time.Minute); return s }, "", true},
		{"other browser, with challenge", web, func(l *led, s string) string { clear(l.cookies); return s }, "", true},
		{"other browser, without challenge", without, func(l *led, s string) string { clear(l.cookies); return s }, signin.InvalidState, false},
		{"other cookie, without challenge", without, func(l *led, s string) string {
			for name := range l.cookies {
				l.cookies[name] = "guessed"
			}
			return s
		}, signin.InvalidState, false},
		{"same browser, without challenge", without, func(_ *led, s string) string { return s }, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLed(t)
			state := tt.spoil(l, l.begin(t, tt.begin))
			back, err := l.callback(t, state)
			wantCode(t, err, tt.want)
			if (back != nil) != tt.wantBack {
				t.Errorf("there is a way back: %v; want %v", back != nil, tt.wantBack)
			}
			if tt.want == "" {
				return
			}
			for _, call := range l.calls.all() {
				if call == "exchange" {
					t.Error("TikTok heard of the code")
				}
			}
		})
	}
}

func TestStateReplayed(t *testing.T) {
	l := newLed(t)
	state := l.begin(t, web)
	if _, err := l.callback(t, state); err != nil {
		t.Fatal(err)
	}
	back, err := l.callback(t, state)
	wantCode(t, err, signin.InvalidState)
	if back == nil || back.Handoff != "" {
		t.Error("a replay gives a handoff, or no way back")
	}
	if got := cmp.Diff([]string{"exchange"}, l.calls.all()); got != "" {
		t.Errorf("calls (-want +got):\n%s", got)
	}
}

// TestTabs: several flows of one browser do not hinder each other.
func TestTabs(t *testing.T) {
	l := newLed(t)
	one, two := l.begin(t, web), l.begin(t, web)
	for _, state := range []string{two, one} {
		back, err := l.callback(t, state)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.redeem(t, back.Handoff, verifier); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDenied: TikTok's errors reach the app under our names, without TikTok's words.
func TestDenied(t *testing.T) {
	const words = "words of a stranger"
	tests := []struct {
		name string
		in   signin.CallbackRequest
		want signin.Code
	}{
		{"cancelled", signin.CallbackRequest{Error: "access_denied"}, signin.AccessDenied},
		{"fault", signin.CallbackRequest{Error: "server_error"}, signin.TikTokUnavailable},
		{"busy", signin.CallbackRequest{Error: "temporarily_unavailable"}, signin.TikTokUnavailable},
		{"scope not approved", signin.CallbackRequest{Error: "invalid_scope"}, signin.TikTokMisconfigured},
		{"unknown app", signin.CallbackRequest{Error: "unauthorized_client"}, signin.TikTokMisconfigured},
		{"something new", signin.CallbackRequest{Error: "<script>"}, signin.AccessDenied},
		{"error beside a code", signin.CallbackRequest{Error: "access_denied", Code: "code"}, signin.AccessDenied},
		{"no code", signin.CallbackRequest{}, signin.InvalidRequest},
		{"code encoded twice", signin.CallbackRequest{Code: "BELY%2A0%216410.va"}, signin.InvalidRequest},
		{"endless code", signin.CallbackRequest{Code: strings.Repeat("c", 5000)}, signin.InvalidRequest},
		{"basic scope refused", signin.CallbackRequest{Code: "code", GrantedScopes: []string{"user.info.stats"}}, signin.AccessDenied},
		{"no word of scopes", signin.CallbackRequest{Code: "code", GrantedScopes: []string{}}, ""},
		{"another scope refused", signin.CallbackRequest{Code: "code", GrantedScopes: []string{"user.info.basic"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLed(t)
			tt.in.State, tt.in.Cookie, tt.in.ErrorDescription = l.begin(t, web), l.cookie, words
			back, err := l.Callback(t.Context(), tt.in)
			wantCode(t, err, tt.want)
			if back == nil {
				t.Fatal("the error does not reach the app")
			}
			if err != nil && (strings.Contains(err.Error(), words) || strings.Contains(signin.AsError(err).Message, words)) {
				t.Errorf("TikTok's words are in %v", err)
			}
			if tt.want == "" {
				return
			}
			if got := l.calls.all(); len(got) != 0 {
				t.Errorf("calls %v; want none", got)
			}
		})
	}
}

// TestDenied_log: the log has the error of the callback if it looks like a code. Anybody can write an address.
func TestDenied_log(t *testing.T) {
	for in, want := range map[string]string{
		"access_denied": "access_denied", "a_code_of_tomorrow": "a_code_of_tomorrow",
		"mira@example.com": "", "access_denied\nlevel=error": "", "4f0c9d2b7e5a41c3": "", "act.abc": "", "_": "", "a__b": "",
		strings.Repeat("a", 21): "", strings.Repeat("abc_", 16) + "a": "",
	} {
		l := newLed(t)
		_, err := l.Callback(t.Context(), signin.CallbackRequest{State: l.begin(t, web), Cookie: l.cookie, Error: in})
		if got := signin.AsError(err).Upstream.Code; got != want {
			t.Errorf("error %q is logged as %q; want %q", in, got, want)
		}
	}
}

func TestExchangeFails(t *testing.T) {
	l := newLed(t)
	l.tiktok.exchange = func(context.Context, signin.Grant) (signin.Identity, error) {
		return signin.Identity{}, &signin.Error{Code: signin.InvalidGrant, Message: "no"}
	}
	back, err := l.callback(t, l.begin(t, web))
	wantCode(t, err, signin.InvalidGrant)
	if back == nil || back.Handoff != "" {
		t.Error("a failed exchange gives a handoff, or no way back")
	}
}

func TestRedeem(t *testing.T) {
	without := web
	without.Challenge = ""
	tests := []struct {
		name     string
		begin    signin.BeginRequest
		spoil    func(l *led, handoff string) string
		verifier string
		want     signin.Code
	}{
		{"good", web, nil, verifier, ""},
		{"missing", web, func(*led, string) string { return "" }, verifier, signin.InvalidRequest},
		{"foreign", web, func(*led, string) string { return "something" }, verifier, signin.HandoffInvalid},
		{"endless", web, func(*led, string) string { return strings.Repeat("x", 10000) }, verifier, signin.HandoffInvalid},
		{"a state for a handoff", web, func(l *led, _ string) string { return l.tiktok.asked.State }, verifier, signin.HandoffInvalid},
		{"wrong verifier", web, nil, strings.Repeat("v", 43), signin.HandoffInvalid},
		{"longest wrong verifier", web, nil, strings.Repeat("v", 128), signin.HandoffInvalid},
		{"no verifier", web, nil, "", signin.HandoffInvalid},
		{"the challenge for a verifier", web, nil, s256(verifier), signin.HandoffInvalid},
		{"endless verifier", web, nil, strings.Repeat("v", 129), signin.InvalidRequest},
		{"expired", web, func(l *led, h string) string { l.now = l.now.Add(61 * time.Second); return h }, verifier, signin.HandoffInvalid},
		{"just fresh", web, func(l *led, h string) string { l.now = l.now.Add(60 * time.Second); return h }, verifier, ""},
		{"without cookie", web, func(l *led, h string) string { clear(l.cookies); return h }, verifier, ""},
		{"by cookie", without, nil, "", ""},
		{"by cookie, verifier ignored", without, nil, verifier, ""},
		{"by cookie of another browser", without, func(l *led, h string) string { clear(l.cookies); return h }, "", signin.HandoffInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLed(t)
			back, err := l.callback(t, l.begin(t, tt.begin))
			if err != nil {
				t.Fatal(err)
			}
			handoff := back.Handoff
			if tt.spoil != nil {
				handoff = tt.spoil(l, handoff)
			}
			_, err = l.redeem(t, handoff, tt.verifier)
			wantCode(t, err, tt.want)
			for _, call := range l.calls.all() {
				if tt.want != "" && call == "sign in" {
					t.Error("Supabase heard of it")
				}
			}
		})
	}
}

// TestRedeem_verifierForm: a verifier that can be guessed from its challenge opens nothing, even where it
// fits. The refusal uses nothing up.
func TestRedeem_verifierForm(t *testing.T) {
	for name, verifier := range map[string]string{
		"42 characters": strings.Repeat("v", 42), "one word": "secret", "a space": strings.Repeat("v", 43) + " ",
		"padding": strings.Repeat("v", 43) + "=", "base64 of old": strings.Repeat("v", 43) + "+/",
		"an umlaut": strings.Repeat("v", 43) + "ü", "a zero byte": strings.Repeat("v", 43) + "\x00",
		"129 characters": strings.Repeat("v", 129),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLed(t)
			r := web
			r.Challenge = s256(verifier)
			back, err := l.callback(t, l.begin(t, r))
			if err != nil {
				t.Fatal(err)
			}
			_, err = l.redeem(t, back.Handoff, verifier)
			wantCode(t, err, signin.InvalidRequest)
			if slices.Contains(l.calls.all(), "sign in") {
				t.Error("Supabase heard of it")
			}
		})
	}
	for name, verifier := range map[string]string{
		"43 characters": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ", "every kind": strings.Repeat("aZ09-._~", 16),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLed(t)
			r := web
			r.Challenge = s256(verifier)
			back, err := l.callback(t, l.begin(t, r))
			if err != nil {
				t.Fatal(err)
			}
			_, err = l.redeem(t, back.Handoff, verifier)
			wantCode(t, err, "")
		})
	}
}

// TestRedeem_emptyVerifier: a sign-in that began with the challenge of an empty verifier, before such a
// challenge was refused, belongs to everybody. Nobody gets it.
func TestRedeem_emptyVerifier(t *testing.T) {
	l := newLed(t)
	handoff := l.opts.Sealer.Seal("handoff", []byte(`{"i":"12345678","o":"-000M1ra","n":"12345678","c":"`+s256("")+`","t":1800000000}`))
	_, err := l.redeem(t, handoff, "")
	wantCode(t, err, signin.HandoffInvalid)
}

// TestRedeemOnce: a handoff is worth one session, and a wrong verifier does not use it up.
func TestRedeemOnce(t *testing.T) {
	l := newLed(t)
	back, err := l.callback(t, l.begin(t, web))
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.redeem(t, back.Handoff, strings.Repeat("v", 43))
	wantCode(t, err, signin.HandoffInvalid)
	if _, err := l.redeem(t, back.Handoff, verifier); err != nil {
		t.Fatal(err)
	}
	_, err = l.redeem(t, back.Handoff, verifier)
	wantCode(t, err, signin.HandoffInvalid)
}

func TestRedeemReturnsTokens(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		l := newLed(t, func(l *led) { l.opts.ReturnTokens = wanted })
		back, err := l.callback(t, l.begin(t, web))
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.redeem(t, back.Handoff, verifier)
		if err != nil {
			t.Fatal(err)
		}
		if has := got.ProviderToken == mira.AccessToken && got.ProviderRefreshToken == mira.RefreshToken; has != wanted {
			t.Errorf("the session has TikTok's tokens: %v; want %v", has, wanted)
		}
	}
}

// TestOnceFails: a store that cannot tell is a fault, never a yes.
func TestOnceFails(t *testing.T) {
	l := newLed(t)
	state := l.begin(t, web)
	l.marks.err = errors.New("down")
	_, err := l.callback(t, state)
	wantCode(t, err, signin.Internal)
	l.marks.err = nil
	back, err := l.callback(t, state)
	if err != nil {
		t.Fatal(err)
	}
	l.marks.err = errors.New("down")
	_, err = l.redeem(t, back.Handoff, verifier)
	wantCode(t, err, signin.Internal)
}
