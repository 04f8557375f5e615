package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/output"
	"github.com/tikbridge/tikbridge/test/process"
)

// TestStopsInTime: a bridge that is told to stop ends when its shutdown timeout is over, also while a
// sign-in and the profile of an earlier one wait for a TikTok that does not answer.
func TestStopsInTime(t *testing.T) {
	const redirect, timeout = "https://app.example/auth", 2 * time.Second
	tt := tiktoksim.New(tiktoksim.Options{})
	exchanging := make(chan struct{}, 3)
	tiktok := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/oauth/token/" {
			exchanging <- struct{}{}
		}
		tt.ServeHTTP(w, r)
	}))
	t.Cleanup(tiktok.Close)
	supabase := httptest.NewServer(gotruesim.New(gotruesim.Options{}))
	t.Cleanup(supabase.Close)

	listen := process.FreeAddresses(t, 1)[0]
	log := &output.Buffer{}
	stop, err := launch(log, []string{
		"TIKTOK_CLIENT_KEY=" + tiktoksim.DefaultClientKey, "TIKTOK_CLIENT_SECRET=" + tiktoksim.DefaultClientSecret,
		"TIKBRIDGE_TIKTOK_API_URL=" + tiktok.URL, "SUPABASE_URL=" + supabase.URL,
		"SUPABASE_PUBLISHABLE_KEY=" + gotruesim.PublishableKey, "SUPABASE_SECRET_KEY=" + gotruesim.SecretKey,
		"TIKBRIDGE_APP_ORIGINS=https://app.example", "TIKBRIDGE_SERVER_LISTEN=" + listen,
		"TIKBRIDGE_SERVER_SHUTDOWN_TIMEOUT=" + timeout.String(),
	}, "serve", "--config", noAdmin(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	await(t, "http://"+listen+"/readyz", log)

	signIn := func(code string) error {
		return tryPost(
			t.Context(), "http://"+listen+"/api/auth/tiktok-callback",
			map[string]string{"code": code, "redirect_uri": redirect}, &session{},
		)
	}
	spoil := func(endpoint string) {
		call(
			t, tt, http.MethodPost, "/sim/faults", nil, map[string]string{"endpoint": endpoint, "fault": "hang"},
			&struct{}{},
		)
	}
	for _, endpoint := range []string{"user_info", "token"} { // the first one makes the account
		if err := signIn(newCode(t, tt, tiktoksim.OpenIDMira, redirect)); err != nil {
			t.Fatal(err)
		}
		<-exchanging
		spoil(endpoint)
	}
	cut, code := make(chan error, 1), newCode(t, tt, tiktoksim.OpenIDMira, redirect)
	go func() { cut <- signIn(code) }()
	<-exchanging

	start := time.Now()
	_ = stop() // not nil: a profile was dropped
	if took := time.Since(start); took < timeout || took > 2*timeout-timeout/4 {
		t.Errorf("the bridge ended after %v; want %v; log:\n%s", took, timeout, log)
	}
	if <-cut == nil {
		t.Error("the sign-in under way ended well; want that it was cut off")
	}
}
