package gotruesim_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

const victim = "victim@tiktok.oauth"

func TestVerifyTypes(t *testing.T) {
	tests := []struct {
		name, link, verify string
		fresh              bool // the link is for an unknown address
		want               int
	}{
		{name: "magiclink as magiclink", link: "magiclink", verify: "magiclink", want: 200},
		{name: "magiclink as email", link: "magiclink", verify: "email", want: 200},
		{name: "magiclink as recovery", link: "magiclink", verify: "recovery", want: 200},
		{name: "magiclink as signup", link: "magiclink", verify: "signup", want: 403},
		{name: "magiclink as email_change", link: "magiclink", verify: "email_change", want: 403},
		{name: "recovery as magiclink", link: "recovery", verify: "magiclink", want: 200},
		{name: "new as signup", link: "magiclink", verify: "signup", fresh: true, want: 200},
		{name: "new as email", link: "magiclink", verify: "email", fresh: true, want: 200},
		{name: "new as invite", link: "magiclink", verify: "invite", fresh: true, want: 200},
		{name: "new as magiclink", link: "magiclink", verify: "magiclink", fresh: true, want: 403},
		{name: "invite as invite", link: "invite", verify: "invite", fresh: true, want: 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{})
			if !tt.fresh {
				p.user(victim)
			}
			l := p.must("POST", "/admin/generate_link", fields{"type": tt.link, "email": victim})
			wantStatus(t, p.verify(tt.verify, l.str("hashed_token")), tt.want)
		})
	}
}

func TestVerifySupersession(t *testing.T) {
	address, path := fields{"email": victim}, "/admin/users/"+userID
	spoilers := map[string]func(p *project){
		"another link": func(p *project) { p.link(victim) },
		"a recovery link": func(p *project) {
			p.must("POST", "/admin/generate_link", fields{"type": "recovery", "email": victim})
		},
		"public otp":         func(p *project) { p.must("POST", "/otp", address) },
		"public magiclink":   func(p *project) { p.must("POST", "/magiclink", address) },
		"public recover":     func(p *project) { p.must("POST", "/recover", address) },
		"a confirmation":     func(p *project) { p.must("PUT", path, fields{"email_confirm": true}) },
		"a new password":     func(p *project) { p.must("PUT", path, fields{"password": "abcdef12"}) },
		"a soft delete":      func(p *project) { p.must("DELETE", path, fields{"should_soft_delete": true}) },
		"the end of its day": func(p *project) { p.clock.advance(time.Hour + time.Second) },
	}
	for name, spoil := range spoilers {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, gotruesim.Options{})
			p.user(victim, fields{"id": userID})
			hash := p.link(victim).str("hashed_token")
			spoil(p)
			wantError(t, p.verify("magiclink", hash), 403, "otp_expired")
		})
	}
}

const userID = "886313e1-3b8a-5372-9b90-0c9aee199e5d"

func TestVerifyLeavesLinkOfBannedUser(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	id := p.user(victim, fields{"ban_duration": "1h"})
	hash := p.link(victim).str("hashed_token")
	wantError(t, p.verify("magiclink", hash), 403, "user_banned")
	p.must("PUT", "/admin/users/"+id, fields{"ban_duration": "none"})
	wantStatus(t, p.verify("magiclink", hash), 200)
}

func TestVerifyConfirmsAndClearsEverything(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	first := p.link(victim).str("hashed_token") // makes the account: a confirmation token
	p.link(victim)                              // a recovery token beside it
	if got := p.Links(); got != 2 {
		t.Fatalf("got %d links; want 2", got)
	}
	r := p.verify("signup", first)
	if r.str("user", "email_confirmed_at") == "" {
		t.Errorf("user is not confirmed: %s", r.text)
	}
	if got := p.Links(); got != 0 {
		t.Errorf("got %d links after verify; want none", got)
	}
}

func TestVerifyRecomputesProviders(t *testing.T) {
	p := newProject(t, gotruesim.Options{})
	id := p.user(victim, fields{"app_metadata": fields{"provider": "tiktok", "tiktok": "kept"}})
	if err := p.AddIdentity(id, "google", "g-1", ""); err != nil {
		t.Fatal(err)
	}
	app := p.signIn(victim).body["user"].(map[string]any)["app_metadata"].(map[string]any)
	if app["provider"] != "email" || len(app["providers"].([]any)) != 2 || app["tiktok"] != "kept" {
		t.Errorf("got app_metadata %v", app)
	}
}

// TestVerifyOneLinkManyTimes posts one hash in parallel: nothing locks it, so all pass, and each
// gets a session.
func TestVerifyOneLinkManyTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProject(t, gotruesim.Options{WriteDelay: time.Second, Now: time.Now})
		id := p.user(victim)
		hash := p.link(victim).str("hashed_token")
		for _, r := range parallel(3, func(int) reply { return p.verify("magiclink", hash) }) {
			wantStatus(t, r, 200)
		}
		if got := p.Sessions(id); got != 3 {
			t.Errorf("got %d sessions; want 3", got)
		}
		wantError(t, p.verify("magiclink", hash), 403, "otp_expired")
	})
}

// TestVerifyReplacedLink has another link replace the one under verification just after its token
// was read.
func TestVerifyReplacedLink(t *testing.T) {
	tests := []struct {
		typ    string
		status int
	}{
		{"email", 500}, // GoTrue dereferences confirmation_sent_at, which such a user has not
		{"magiclink", 200},
		{"recovery", 200},
	}
	for _, tt := range tests {
		t.Run(tt.typ, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProject(t, gotruesim.Options{WriteDelay: time.Second, Now: time.Now})
				p.user(victim)
				hash := p.link(victim).str("hashed_token")
				var r reply
				var wg sync.WaitGroup
				wg.Go(func() { r = p.verify(tt.typ, hash) })
				synctest.Wait()
				p.link(victim)
				wg.Wait()
				wantStatus(t, r, tt.status)
				if code := r.header.Get("X-Sb-Error-Code"); code != "" {
					t.Errorf("a panic has no error code, got %q", code)
				}
			})
		})
	}
}

func TestVerifyDeletedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProject(t, gotruesim.Options{WriteDelay: time.Second, Now: time.Now})
		id := p.user(victim)
		hash := p.link(victim).str("hashed_token")
		var r reply
		var wg sync.WaitGroup
		wg.Go(func() { r = p.verify("magiclink", hash) })
		time.Sleep(750 * time.Millisecond) // the user has been read by now
		p.must("DELETE", "/admin/users/"+id, nil)
		wg.Wait()
		wantError(t, r, 500, "unexpected_failure")
	})
}

func TestVerifyGetRedirect(t *testing.T) {
	p := newProject(t, gotruesim.Options{
		RedirectURLs: []string{"https://*.example.com/**", "myapp://cb"},
	})
	p.user(victim)
	tests := []struct{ name, asked, want string }{
		{"allowed by glob", "https://app.example.com/a/b", "https://app.example.com/a/b"},
		{"a dot is no part of *", "https://a.b.example.com/", "http://127.0.0.1:3000"},
		{"scheme of an app", "myapp://cb", "myapp://cb"},
		{"not allowed", "https://evil.example.net/", "http://127.0.0.1:3000"},
		{"loopback on another port", "http://127.0.0.1:5173/x", "http://127.0.0.1:5173/x"},
		{"nothing asked", "", "http://127.0.0.1:3000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			link := p.link(victim)
			r := p.do("GET", "/verify?type=magiclink&token="+link.str("hashed_token")+
				"&redirect_to="+url.QueryEscape(tt.asked), nil)
			wantStatus(t, r, 303)
			to, fragment, _ := strings.Cut(r.header.Get("Location"), "#")
			if to != tt.want || !strings.Contains(fragment, "access_token=") {
				t.Errorf("got %s#%s; want %s", to, fragment, tt.want)
			}
		})
	}
}

// parallel runs fn n times at once and returns the answers.
func parallel(n int, fn func(i int) reply) []reply {
	replies := make([]reply, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { replies[i] = fn(i) })
	}
	wg.Wait()
	return replies
}

// count counts answers by status.
func count(replies []reply) map[int]int {
	n := map[int]int{}
	for _, r := range replies {
		n[r.status]++
	}
	return n
}
