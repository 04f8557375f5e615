package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/test/faulty"
)

var backendSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("secret-of-the-backend-for-tests"))

// byBackend lets an own backend keep the users.
func byBackend(c *config.Config) {
	c.Accounts = config.AccountsBackend
	c.Backend.URL, c.Backend.Secret = "http://"+backendHost+faulty.BackendPath, signin.Secret(backendSecret)
}

// ownBackend is a backend that does what docs/backend.md asks of one. Safe for concurrent use.
type ownBackend struct {
	t       *testing.T
	webhook *standardwebhooks.Webhook

	mu       sync.Mutex
	users    map[string]backendUser   // by open_id
	sessions map[string]string        // the open_id, by access token
	signIns  map[string]backendSignIn // by message id
}

type backendUser struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// backendSignIn is a message with its answer, which is the same if the message comes again.
type backendSignIn struct {
	body   []byte
	status int
	answer any
}

func newOwnBackend(t *testing.T) *ownBackend {
	t.Helper()
	webhook, err := standardwebhooks.NewWebhook(backendSecret)
	if err != nil {
		t.Fatal(err)
	}
	return &ownBackend{
		t: t, webhook: webhook,
		users: map[string]backendUser{}, sessions: map[string]string{}, signIns: map[string]backendSignIn{},
	}
}

// ServeHTTP implements http.Handler.
func (b *ownBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = b.webhook.Verify(body, r.Header)
	}
	var m struct {
		Type string
		Data struct {
			OpenID      string `json:"open_id"`
			DisplayName string `json:"display_name"`
			AccessToken string `json:"access_token"`
		}
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		b.t.Errorf("the backend gets %q: %v", body, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	status, answer := http.StatusBadRequest, any(map[string]string{"error": "bad_request"})
	openID, known := b.sessions[m.Data.AccessToken]
	switch {
	case err != nil:
	case m.Type == "sign_in":
		status, answer = b.once(r.Header.Get(standardwebhooks.HeaderWebhookID), body, func() (int, any) {
			return b.signIn(m.Data.OpenID, m.Data.DisplayName)
		})
	case m.Type == "session" && known:
		status, answer = http.StatusOK, map[string]string{"open_id": openID}
	case m.Type == "session":
		status, answer = http.StatusForbidden, map[string]string{"error": "signed_out"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (b *ownBackend) once(id string, body []byte, act func() (int, any)) (status int, answer any) {
	s, again := b.signIns[id]
	if !again {
		s.body = body
		s.status, s.answer = act()
		b.signIns[id] = s
	}
	if !bytes.Equal(s.body, body) {
		b.t.Errorf("message %s is %q, and was %q", id, body, s.body)
	}
	return s.status, s.answer
}

func (b *ownBackend) signIn(openID, name string) (status int, answer any) {
	status = http.StatusOK
	u, known := b.users[openID]
	if !known {
		u.ID, status = rand.Text(), http.StatusCreated
	}
	u.Name = cmp.Or(name, u.Name)
	b.users[openID] = u
	token := rand.Text()
	b.sessions[token] = openID
	return status, map[string]any{"access_token": token, "user": u}
}

// SignIns returns how many it was told of. A message that comes again is the same one.
func (b *ownBackend) SignIns() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.signIns)
}

// Users returns how many accounts there are.
func (b *ownBackend) Users() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.users)
}

// Owner returns whose an access token is.
func (b *ownBackend) Owner(token string) (id, openID, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	openID = b.sessions[token]
	return b.users[openID].ID, openID, b.users[openID].Name
}
