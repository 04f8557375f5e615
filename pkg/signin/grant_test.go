package signin_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// signedIn returns a session of the hosted flow, redeemed half a minute after TikTok gave its tokens.
func (h *hosted) signedIn(t *testing.T) signin.Session {
	t.Helper()
	back, err := h.callback(t, h.begin(t, web))
	if err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(30 * time.Second)
	got, err := h.redeem(t, back.Handoff, verifier)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func withTokens(h *hosted) { h.opts.ReturnTokens = true }

// The app gets TikTok's access token as it is, and the refresh token so that only the bridge can use it.
func TestSession_tokens(t *testing.T) {
	t.Parallel()
	h := newHosted(t, withTokens)
	got := h.signedIn(t)
	if got.ProviderToken != mira.AccessToken || got.ProviderExpiresIn != 7170 {
		t.Errorf("got a token for %d s; want TikTok's, for what is left of two hours", got.ProviderExpiresIn)
	}
	if diff := cmp.Diff(mira.Scopes, got.ProviderScopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	if got.ProviderRefreshToken == "" || got.ProviderRefreshToken == mira.RefreshToken {
		t.Error("the refresh token is missing, or TikTok's own; want it sealed")
	}

	got = newHosted(t).signedIn(t)
	if got.ProviderToken != "" || got.ProviderRefreshToken != "" || got.ProviderScopes != nil {
		t.Error("got TikTok's tokens; want none, since nobody asked for them")
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	h := newHosted(t, withTokens)
	s := h.signedIn(t)
	fresh, err := h.Refresh(t.Context(), signin.TokensRequest{
		RefreshToken: s.ProviderRefreshToken, AccessToken: s.AccessToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	if fresh.AccessToken != "act.fresh" || fresh.ExpiresIn != 2*time.Hour {
		t.Errorf("got a token for %v; want the fresh one, for two hours", fresh.ExpiresIn)
	}
	// The next one works with what this one brought.
	_, err = h.Refresh(t.Context(), signin.TokensRequest{
		RefreshToken: fresh.RefreshToken, AccessToken: s.AccessToken,
	})
	if err != nil || !slices.Contains(h.calls.all(), "refresh rft.fresh") {
		t.Errorf("got %v after %v; want the fresh refresh token used", err, h.calls.all())
	}
}

// Whoever lacks the bridge's seal or the person's session gets nothing, and TikTok's token is not spent.
func TestRefresh_attacks(t *testing.T) {
	t.Parallel()
	h := newHosted(t, withTokens)
	s := h.signedIn(t)
	other := newHosted(t, withTokens).signedIn(t)
	tests := []struct {
		name string
		r    signin.TokensRequest
		want signin.Cause
	}{
		{"no session", signin.TokensRequest{RefreshToken: s.ProviderRefreshToken}, signin.CauseSignedOut},
		{
			"somebody else's session",
			signin.TokensRequest{RefreshToken: s.ProviderRefreshToken, AccessToken: "theirs"},
			signin.CauseNotOwner,
		},
		{
			"TikTok's own token, unsealed",
			signin.TokensRequest{RefreshToken: mira.RefreshToken, AccessToken: s.AccessToken},
			signin.CauseTokenUnreadable,
		},
		{
			"sealed by another bridge",
			signin.TokensRequest{RefreshToken: other.ProviderRefreshToken + "x", AccessToken: s.AccessToken},
			signin.CauseTokenUnreadable,
		},
	}
	for _, tt := range tests {
		for name, use := range map[string]func() error{
			"refresh": func() error { _, err := h.Refresh(t.Context(), tt.r); return err },
			"revoke":  func() error { return h.Revoke(t.Context(), tt.r) },
		} {
			var e *signin.Error
			if err := use(); !errors.As(err, &e) || e.Cause != tt.want {
				t.Errorf("%s, %s: got %v; want %s", tt.name, name, err, tt.want)
			}
		}
	}
	if got := h.calls.count("refresh " + mira.RefreshToken); got != 0 {
		t.Errorf("TikTok got the refresh token %d times; want never", got)
	}
}

// TikTok answering with somebody else's tokens is the one mistake that nobody would notice.
func TestRefresh_otherPerson(t *testing.T) {
	t.Parallel()
	h := newHosted(t, withTokens)
	s := h.signedIn(t)
	h.tiktok.refresh = func(string) (signin.Identity, error) {
		return signin.Identity{OpenID: "-000Other", AccessToken: "act.other"}, nil
	}
	fresh, err := h.Refresh(t.Context(), signin.TokensRequest{
		RefreshToken: s.ProviderRefreshToken, AccessToken: s.AccessToken,
	})
	wantCode(t, err, signin.TikTokUnavailable)
	if fresh.AccessToken != "" {
		t.Error("got another person's token")
	}
}

func TestRefresh_off(t *testing.T) {
	t.Parallel()
	_, err := newHosted(t).Refresh(t.Context(), signin.TokensRequest{RefreshToken: "r", AccessToken: "a"})
	wantCode(t, err, signin.InvalidRequest)
}

// The app's access token may have expired, and TikTok revokes by one: it gets a fresh one.
func TestRevoke(t *testing.T) {
	t.Parallel()
	h := newHosted(t, withTokens)
	s := h.signedIn(t)
	err := h.Revoke(t.Context(), signin.TokensRequest{RefreshToken: s.ProviderRefreshToken, AccessToken: s.AccessToken})
	if err != nil || !slices.Contains(h.calls.all(), "revoke act.fresh") {
		t.Errorf("got %v after %v; want the grant revoked by its fresh token", err, h.calls.all())
	}
}

// The refresh token is spent when TikTok fails to revoke, so the app could not try again.
func TestRevoke_again(t *testing.T) {
	t.Parallel()
	unavailable, ended := signin.NewError(signin.CauseTikTokFails), signin.NewError(signin.CauseGrantEnded)
	for name, tt := range map[string]struct {
		takes   time.Duration
		answers []error
		want    signin.Cause
	}{
		"works again":                 {0, []error{unavailable, nil}, ""},
		"the first answer was lost":   {0, []error{unavailable, ended}, ""},
		"fails again":                 {0, []error{unavailable, unavailable}, signin.CauseTikTokFails},
		"fails after a long time":     {10 * time.Second, []error{unavailable}, signin.CauseTikTokFails},
		"the grant was over before":   {0, []error{ended}, signin.CauseGrantEnded},
		"TikTok has had enough of us": {0, []error{signin.NewError(signin.CauseTikTokLimit)}, signin.CauseTikTokLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHosted(t, withTokens)
			s := h.signedIn(t)
			h.tiktok.revoke = func(string) error {
				h.now = h.now.Add(tt.takes)
				next := tt.answers[0]
				tt.answers = tt.answers[1:]
				return next
			}
			err := h.Revoke(t.Context(), signin.TokensRequest{
				RefreshToken: s.ProviderRefreshToken, AccessToken: s.AccessToken,
			})
			if (err == nil) != (tt.want == "") || err != nil && signin.AsError(err).Cause != tt.want {
				t.Errorf("got %v; want %q", err, tt.want)
			}
			if len(tt.answers) > 0 {
				t.Errorf("TikTok was asked %d times too few", len(tt.answers))
			}
		})
	}
}
