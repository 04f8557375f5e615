// A backend that keeps its own users and lets tikbridge sign them in with TikTok.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	webhook, err := standardwebhooks.NewWebhook(os.Getenv("BACKEND_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	b := &backend{
		webhook: webhook, blocked: strings.Split(os.Getenv("BLOCKED"), ","),
		users: map[string]user{}, sessions: map[string]string{}, answers: map[string]answer{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tiktok", b.tiktok)
	mux.HandleFunc("GET /me", b.me)
	address := cmp.Or(os.Getenv("HOST"), "127.0.0.1") + ":" + cmp.Or(os.Getenv("PORT"), "3000")
	server := &http.Server{Addr: address, Handler: mux, ReadTimeout: 10 * time.Second}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	log.Printf("listening on http://%s", address) //nolint:gosec // what the operator set
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Print(err)
	}
}

// backend keeps everything in memory; a real one has a database.
type backend struct {
	webhook *standardwebhooks.Webhook
	blocked []string // open_ids

	mu       sync.Mutex
	users    map[string]user   // by open_id
	sessions map[string]string // the open_id, by access token
	answers  map[string]answer // by message id
}

type user struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Avatar string `json:"avatar"`
}

type answer struct {
	status int
	body   any
}

type failure struct {
	Error string `json:"error"`
}

type owner struct {
	OpenID string `json:"open_id"`
}

type session struct {
	AccessToken string `json:"access_token"`
	User        user   `json:"user"`
}

// message is what the bridge sends.
type message struct {
	Type string `json:"type"`
	Data struct {
		OpenID      string `json:"open_id"`
		AccessToken string `json:"access_token"`
		DisplayName string `json:"display_name"`
		AvatarURL   string `json:"avatar_url"`
	} `json:"data"`
}

func (b *backend) tiktok(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	// The signature is about the bytes as they came.
	if err != nil || b.webhook.Verify(body, r.Header) != nil {
		reply(w, answer{http.StatusUnauthorized, failure{"bad_signature"}})
		return
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		reply(w, answer{http.StatusBadRequest, failure{"bad_request"}})
		return
	}
	switch m.Type {
	case "sign_in":
		reply(w, b.once(r.Header.Get(standardwebhooks.HeaderWebhookID), func() answer { return b.signIn(m) }))
	case "session":
		reply(w, b.whose(m.Data.AccessToken))
	case "authorization.removed":
		b.signOut(m.Data.OpenID)
		w.WriteHeader(http.StatusNoContent)
	case "ping":
		w.WriteHeader(http.StatusNoContent)
	default:
		reply(w, answer{http.StatusBadRequest, failure{"unknown_type"}})
	}
}

// once answers a message that comes again as before: the bridge repeats one whose answer got lost.
func (b *backend) once(id string, f func() answer) answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.answers[id]
	if !ok {
		a = f()
		b.answers[id] = a
	}
	return a
}

// signIn finds or creates the user, and starts a session.
func (b *backend) signIn(m message) answer {
	if slices.Contains(b.blocked, m.Data.OpenID) {
		return answer{http.StatusForbidden, failure{"not_invited"}}
	}
	u, known := b.users[m.Data.OpenID]
	status := http.StatusOK
	if !known {
		u.ID, status = rand.Text(), http.StatusCreated
	}
	// What TikTok did not tell is empty, and must not overwrite what is known.
	u.Name, u.Avatar = cmp.Or(m.Data.DisplayName, u.Name), cmp.Or(m.Data.AvatarURL, u.Avatar)
	b.users[m.Data.OpenID] = u
	token := rand.Text() + rand.Text()
	b.sessions[token] = m.Data.OpenID
	return answer{status, session{token, u}}
}

// whose says whose session it is.
func (b *backend) whose(accessToken string) answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	openID, ok := b.sessions[accessToken]
	if !ok {
		return answer{http.StatusForbidden, failure{"signed_out"}}
	}
	return answer{http.StatusOK, owner{openID}}
}

// signOut ends all sessions of a person.
func (b *backend) signOut(openID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for token, owner := range b.sessions {
		if owner == openID {
			delete(b.sessions, token)
		}
	}
}

// me is what the app asks for with its access token.
func (b *backend) me(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	openID, ok := b.sessions[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	u := b.users[openID]
	b.mu.Unlock()
	if !ok {
		reply(w, answer{http.StatusUnauthorized, failure{"not_signed_in"}})
		return
	}
	reply(w, answer{http.StatusOK, u})
}

func reply(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}
