package tiktoksim_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

const basicFields = "open_id,union_id,avatar_url,display_name"

func user(t *testing.T, got reply) map[string]any {
	t.Helper()
	wantAPIError(t, got, 200, "ok")
	if t.Failed() {
		t.FailNow()
	}
	return decode(t, got)["data"].(map[string]any)["user"].(map[string]any)
}

func TestUserInfoOfEverybody(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	for _, p := range tiktoksim.People() {
		t.Run(p.Slug, func(t *testing.T) {
			access, _ := s.tokens(p.OpenID)
			got := user(t, s.userInfo(access, basicFields))
			avatar := got["avatar_url"].(string)
			if (avatar == "") != (p.Avatar == "") {
				t.Errorf("avatar_url = %q for avatar %q", avatar, p.Avatar)
			}
			delete(got, "avatar_url")
			want := map[string]any{"open_id": p.OpenID, "display_name": p.DisplayName}
			if p.UnionID != "" {
				want["union_id"] = p.UnionID
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAvatarsForBrowsers: a program may ask under a name that no browser knows.
func TestAvatarsForBrowsers(t *testing.T) {
	const public = "https://tiktok.example"
	for name, opts := range map[string]tiktoksim.Options{"asked host": {}, "public URL": {PublicURL: public}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, opts)
			want := s.url
			if opts.PublicURL != "" {
				want = public
			}
			access, _ := s.tokens(tiktoksim.OpenIDMira)
			if got := user(
				t, s.userInfo(access, basicFields),
			)["avatar_url"].(string); !strings.HasPrefix(got, want+"/sim/avatars/") {
				t.Errorf("avatar_url = %q; want one of %s", got, want)
			}
		})
	}
}

func TestUserInfoScopes(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	basic, _ := s.tokens(tiktoksim.OpenIDMira)
	profile, _ := s.tokens(tiktoksim.OpenIDMira, "scope", "user.info.profile")
	all, _ := s.tokens(tiktoksim.OpenIDMira, "scope",
		"user.info.basic,user.info.profile,user.info.stats")
	tests := []struct {
		name, access, fields string
		status               int
		code                 string
	}{
		{"basic", basic, "open_id", 200, "ok"},
		{"beyond basic", basic, "open_id,username", 401, "scope_not_authorized"},
		{"profile", profile, "open_id,username,is_verified", 200, "ok"},
		{"beyond profile", profile, "follower_count", 401, "scope_not_authorized"},
		{"all", all, "open_id,username,bio_description,likes_count,video_count", 200, "ok"},
		{"no fields", basic, "", 400, "invalid_params"},
		{"unknown field", basic, "open_id,email", 400, "invalid_params"},
		{"unknown token", "act.x", "open_id", 401, "access_token_invalid"},
		{"no token", "", "open_id", 401, "access_token_invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantAPIError(t, s.userInfo(tt.access, tt.fields), tt.status, tt.code)
		})
	}
	r := s.request("GET", "/v2/user/info/?fields=open_id", "", "")
	r.Header.Set("Authorization", "Basic "+basic)
	wantAPIError(t, s.must(r), 401, "access_token_invalid")

	got := s.userInfo(all, "follower_count,following_count,profile_deep_link")
	if field(t, got, "data.user.follower_count") != "12840" {
		t.Errorf("got %s", got.body)
	}
}

func TestAvatarsAreSigned(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	access, _ := s.tokens(tiktoksim.OpenIDMira)
	avatar := func() string {
		return field(t, s.userInfo(access, "avatar_url"), "data.user.avatar_url")
	}
	first, second := avatar(), avatar()
	if first == second {
		t.Errorf("avatar_url is %q twice; want a new signature each time", first)
	}
	path, ok := strings.CutPrefix(first, s.url)
	if !ok || !strings.HasPrefix(path, "/sim/avatars/mira.svg?x-expires=") {
		t.Fatalf("avatar_url = %q; want it under %s", first, s.url)
	}
	got := s.get(path)
	if got.status != 200 || got.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("avatar: %d %v", got.status, got.header)
	}
	decoded, _ := url.QueryUnescape(path)
	for name, bad := range map[string]string{
		"unsigned":      "/sim/avatars/mira.svg",
		"other picture": strings.Replace(path, "mira", "max", 1),
		"cut":           strings.TrimSuffix(path, "%3D"),
		"encoded twice": strings.ReplaceAll(path, "%", "%25"),
		"other expiry":  strings.Replace(path, "x-expires=1", "x-expires=2", 1),
	} {
		if got := s.get(bad); got.status != 403 {
			t.Errorf("%s: %d; want 403", name, got.status)
		}
	}
	if decoded == path {
		t.Errorf("%q needs no encoding; want a signature that does", path)
	}
	s.clock.advance(24 * time.Hour)
	if got := s.get(path); got.status != 403 {
		t.Errorf("after a day: %d; want 403", got.status)
	}
}
