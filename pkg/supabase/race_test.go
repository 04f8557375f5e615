package supabase_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// claim returns a claim of an access token.
func claim(t *testing.T, token, name string) any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("the access token is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims[name]
}

// crowd signs one person in n times at once, spread over replicas, and returns what came of it.
func crowd(t *testing.T, n int, id signin.Identity, replicas ...bridge) []signin.SignedIn {
	t.Helper()
	ins := make([]signin.SignedIn, n)
	errs := make([]error, n)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			ins[i], errs[i] = replicas[i%len(replicas)].SignIn(t.Context(), id, netip.Addr{}, noProfile)
		})
	}
	start.Done()
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("of %d sign-ins at once some failed:\n%v", n, err)
	}
	return ins
}

// wantCrowd checks that every one has a session of their own, and all are one user.
func (p project) wantCrowd(t *testing.T, ins []signin.SignedIn) {
	t.Helper()
	sessions := map[any]bool{}
	for _, in := range ins {
		if in.Account.ID != ins[0].Account.ID {
			t.Fatalf("one person is users %s and %s", ins[0].Account.ID, in.Account.ID)
		}
		sessions[claim(t, in.Session.AccessToken, "session_id")] = true
	}
	if len(sessions) != len(ins) {
		t.Errorf("%d sign-ins have %d sessions", len(ins), len(sessions))
	}
	for _, in := range ins {
		p.wantAlive(t, in.Session, ins[0].Account.ID)
	}
}

// TestCrowd: a hundred sign-ins of one person at once, the first ones of all and again later, in one
// process and in three.
func TestCrowd(t *testing.T) {
	for name, replicas := range map[string]int{"one process": 1, "three processes": 3} {
		t.Run(name, func(t *testing.T) {
			contract(t, func(t *testing.T, p project) {
				var bridges []bridge
				for range replicas {
					bridges = append(bridges, p.client(t))
				}
				id := p.person()
				first := crowd(t, 100, id, bridges...)
				p.wantCrowd(t, first)
				made := 0
				for _, in := range first {
					if in.Created {
						made++
					}
				}
				if made != 1 {
					t.Errorf("%d sign-ins say that they made the account; want 1", made)
				}
				p.wantCrowd(t, crowd(t, 100, id, bridges...))
			})
		})
	}
}

// TestCrowdOfTwins: people whose address is the same do not hinder each other.
func TestCrowdOfTwins(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		one := p.person()
		other := signin.Identity{OpenID: strings.ToUpper(one.OpenID)}
		bridges := []bridge{p.client(t), p.client(t)}
		var wg sync.WaitGroup
		var a, b []signin.SignedIn
		wg.Go(func() { a = crowd(t, 20, one, bridges...) })
		wg.Go(func() { b = crowd(t, 20, other, bridges...) })
		wg.Wait()
		p.wantCrowd(t, a)
		p.wantCrowd(t, b)
		if a[0].Account.ID == b[0].Account.ID {
			t.Error("two people share one account")
		}
	})
}

// TestGivesUp: whoever waits for their turn stops waiting when their client has gone.
func TestGivesUp(t *testing.T) {
	contract(t, func(t *testing.T, p project) {
		b, id := p.client(t), p.person()
		entered, leave := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			// The first sign-in holds the turn while it waits for the profile of the new account.
			_, err := b.SignIn(t.Context(), id, netip.Addr{}, func() signin.Profile {
				close(entered)
				<-leave
				return signin.Profile{}
			})
			if err != nil {
				t.Errorf("first sign-in: %v", err)
			}
		})
		<-entered
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := b.SignIn(ctx, id, netip.Addr{}, noProfile); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the second sign-in ends with %v; want its deadline", err)
		}
		close(leave)
		wg.Wait()
		b.signIn(t, id)
	})
}
