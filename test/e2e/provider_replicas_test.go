package e2e_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/oauth2"
)

// TestProvider_replicasStop: a sign-in begins at one replica, goes on at a second and ends at a third, and each of
// the first two stops once it has done its part. Nobody notices.
func TestProvider_replicasStop(t *testing.T) {
	t.Parallel()
	s := startProvider(t, 3, "")
	first, second, third := s.replicas[0], s.replicas[1], s.replicas[2]
	route := func(r *http.Request) *providerReplica {
		switch r.URL.Path {
		case "/oidc/authorize":
			return first
		case "/api/auth/tiktok/callback":
			first.shutDown()
			return second
		case "/oidc/token":
			second.shutDown()
		}
		return third
	}
	s.route.Store(&route)
	rp, err := s.discover(t.Context(), "RS256")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rp.signIn(t.Context(), newPerson()); err != nil {
		t.Error(err)
	}
	if first.up.Load() || second.up.Load() {
		t.Error("the sign-in did not pass all three replicas")
	}
}

// TestProvider_replicasShare: a code is good once, at whichever replica, if they share a Redis. Without one each
// replica takes it once: only the client itself could do that, which has the secret and the verifier.
func TestProvider_replicasShare(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		want           int
	}{
		{"with Redis", "store: { redis_url: 'redis://" + miniredis.RunT(t).Addr() + "' }", 1},
		{"without Redis", "", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startProvider(t, 2, tt.settings)
			rp, err := s.discover(t.Context(), "RS256")
			if err != nil {
				t.Fatal(err)
			}
			code, verifier, err := rp.begin(t.Context(), newPerson())
			if err != nil {
				t.Fatal(err)
			}
			var taken atomic.Int64
			var wg sync.WaitGroup
			for i := range 20 {
				at := *rp.config
				at.Endpoint.TokenURL = "http://" + s.replicas[i%2].listen + "/oidc/token"
				wg.Go(func() {
					if _, err := at.Exchange(t.Context(), code, oauth2.VerifierOption(verifier)); err != nil {
						wantRefused(t, err)
						return
					}
					taken.Add(1)
				})
			}
			wg.Wait()
			if got := int(taken.Load()); got != tt.want {
				t.Errorf("two replicas took a code %d times; want %d", got, tt.want)
			}
		})
	}
}

// TestProvider_rotation replaces a key of seal.keys as docs/operating.md says, one replica after another, while
// people sign in: the new key goes last, then first, then the old one goes. No sign-in fails, and clients that
// know the old signing key find the new one by themselves.
func TestProvider_rotation(t *testing.T) {
	t.Parallel()
	s := startProvider(t, 2, "")
	var clients []*goClient
	for _, id := range []string{"RS256", "ES256", "public-RS256"} {
		rp, err := s.discover(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, rp)
	}
	var before string // the key of the step before
	for _, step := range []struct {
		name    string
		keys    []string
		changes bool // the key that signs
	}{
		{"the new key goes last", []string{firstKey, secondKey}, false},
		{"the new key goes first", []string{secondKey, firstKey}, true},
		{"the old key goes", []string{secondKey}, false},
	} {
		if before == "" {
			before = signInDuring(t, clients, func() {})
		}
		var now string
		for _, replica := range s.replicas {
			now = signInDuring(t, clients, func() { replica.restart(step.keys...) })
		}
		if t.Failed() {
			t.Fatalf("that was while %s", step.name)
		}
		if changed := now != before; changed != step.changes {
			t.Errorf("while %s, another key signs: %v; want %v", step.name, changed, step.changes)
		}
		before = now
	}
}

// signInDuring lets people sign in by each client while something is done, at least once after it, and once with a
// code from before it. It returns the id of the key that signed for the first client at the end.
func signInDuring(t *testing.T, clients []*goClient, do func()) (kid string) {
	t.Helper()
	kids := make([]string, len(clients))
	done := make(chan struct{})
	var under, all sync.WaitGroup
	for i, rp := range clients {
		under.Add(1)
		all.Go(func() {
			code, verifier, err := rp.begin(t.Context(), newPerson())
			under.Done()
			if err != nil {
				t.Error(err)
				return
			}
			for last := false; !last; {
				select {
				case <-done:
					last = true
				default:
				}
				in, err := rp.signIn(t.Context(), newPerson())
				if err != nil {
					t.Error(err)
					return
				}
				kids[i] = headerOf(t, in.raw).Kid
			}
			if _, err := rp.finish(t.Context(), code, verifier); err != nil {
				t.Error(err)
			}
		})
	}
	under.Wait()
	do()
	close(done)
	all.Wait()
	return kids[0]
}
