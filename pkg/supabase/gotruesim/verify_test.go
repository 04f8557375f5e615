package gotruesim_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

const victim = "victim@tiktok.oauth"

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
