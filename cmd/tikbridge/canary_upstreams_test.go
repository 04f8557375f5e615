package main_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/test/faulty"
)

// upstreams are a TikTok and a GoTrue which do what the fault of the sign-in says, and answer well
// otherwise.
type upstreams struct {
	byNumber map[string]planted
	byUser   map[string]planted

	mu sync.Mutex
	// came are the endpoints that were asked, by the number of the sign-in.
	came map[string][]faulty.Call
	// settled are the sign-ins whose account was made.
	settled map[string]bool
	// spare are the addresses that the bridge made up.
	spare map[string]planted
	// passwords are what the bridge made up.
	passwords []string
	followed  bool
}

func newUpstreams(all []planted) *upstreams {
	u := &upstreams{
		byNumber: map[string]planted{}, byUser: map[string]planted{}, came: map[string][]faulty.Call{},
		settled: map[string]bool{}, spare: map[string]planted{},
	}
	for _, p := range all {
		u.byNumber[p.number], u.byUser[p.userID()], u.byUser[p.otherID()] = p, p, p
	}
	return u
}

var numberPattern = regexp.MustCompile(`(?i)(?:canary|songbird)(\d{3})`)

// whose finds out which sign-in a request belongs to.
func (u *upstreams) whose(r *http.Request, body []byte) (planted, bool) {
	text := r.URL.String() + " " + r.Header.Get("Authorization") + " " + string(body)
	var sent struct {
		IDToken string `json:"id_token"`
	}
	if json.Unmarshal(body, &sent) == nil && strings.Count(sent.IDToken, ".") == 2 {
		claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(sent.IDToken, ".")[1])
		text += string(claims)
	}
	if m := numberPattern.FindStringSubmatch(text); m != nil {
		return u.byNumber[m[1]], true
	}
	for id, p := range u.byUser {
		if strings.Contains(r.URL.Path, id) {
			return p, true
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for address, p := range u.spare {
		if strings.Contains(text, address) {
			return p, true
		}
	}
	return planted{}, false
}

// choose returns the fault of a sign-in at the call that has it.
func (u *upstreams) choose(call faulty.Call, r *http.Request, body []byte) faulty.Fault {
	p, known := u.whose(r, body)
	u.note(r, call, p, body)
	switch {
	case !known: // such as the settings of the project, which the bridge asks for when it starts
		return quotes(http.StatusInternalServerError, planted{number: "000"})
	case call == p.at && p.fault != "none":
		return faults[p.fault](p)
	}
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { u.answer(w, call, p) }
}

func (u *upstreams) note(r *http.Request, at faulty.Call, p planted, body []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.came[p.number] = append(u.came[p.number], at)
	u.followed = u.followed || strings.HasPrefix(r.URL.Path, "/followed")
	var made struct {
		PasswordHash string `json:"password_hash"`
		Email        string `json:"email"`
	}
	if json.Unmarshal(body, &made) == nil && made.PasswordHash != "" {
		u.passwords = append(u.passwords, made.PasswordHash)
		u.spare[made.Email] = p
	}
}

func (u *upstreams) answer(w http.ResponseWriter, at faulty.Call, p planted) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch at {
	case faulty.Token, faulty.Refresh:
		send(w, http.StatusOK, map[string]any{
			"access_token": p.access(), "refresh_token": p.refresh(), "open_id": p.openID(), "scope": "user.info.basic",
			"token_type": "Bearer", "expires_in": 86400, "refresh_expires_in": 31536000,
		})
	case faulty.UserInfo:
		send(w, http.StatusOK, map[string]any{
			"data": map[string]any{
				"user": map[string]any{
					"open_id": p.openID(), "union_id": "u-" + p.openID(), "display_name": p.name(),
					"avatar_url": p.avatar(),
				},
			},
			"error": map[string]any{"code": "ok", "message": "", "log_id": "20260101"},
		})
	case faulty.GenerateLink:
		if p.at == faulty.CreateUser && !u.settled[p.number] {
			send(w, http.StatusNotFound, map[string]any{"code": "user_not_found", "message": p.email() + " not found"})
			return
		}
		link := map[string]any{
			"action_link": "https://project.example/verify?token=" + p.hash(), "email_otp": p.otp(),
			"hashed_token": p.hash(),
			"redirect_to":  "https://app.example", "verification_type": "recovery",
		}
		maps.Copy(link, u.user(p))
		send(w, http.StatusOK, link)
	case faulty.GetUser:
		if p.at == "" || slices.Contains(faulty.OtherCalls(), p.at) {
			send(w, http.StatusOK, u.user(p))
			return
		}
		send(w, http.StatusNotFound, map[string]any{"code": "user_not_found", "message": "User not found"})
	case faulty.CreateUser:
		u.settled[p.number] = true
		send(w, http.StatusOK, u.user(p))
	case faulty.Evict, faulty.StoreProfile:
		send(w, http.StatusOK, u.user(p))
	case faulty.Verify:
		send(w, http.StatusOK, session(p, u.user(p)))
	case faulty.IDToken:
		user := u.user(p)
		user["identities"] = []any{map[string]any{"provider": "custom:tiktok", "id": p.openID()}}
		send(w, http.StatusOK, session(p, user))
	case faulty.User, faulty.EndSessions:
		send(w, http.StatusOK, u.user(p))
	case faulty.LogOut:
		w.WriteHeader(http.StatusNoContent)
	}
}

func session(p planted, user map[string]any) map[string]any {
	return map[string]any{
		"access_token": p.goAccess(), "refresh_token": p.goRefresh(), "token_type": "bearer", "expires_in": 3600,
		"expires_at": 2_000_000_000, "user": user,
	}
}

// user is the account as GoTrue shows it. Where the fault is on the way to evict one, it is somebody
// else's until the person has their own.
func (u *upstreams) user(p planted) map[string]any {
	user := map[string]any{
		"id": p.userID(), "aud": "authenticated", "role": "authenticated", "email": p.email(),
		"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
		"app_metadata":  map[string]any{"provider": "email", "tiktok": map[string]any{"open_id": p.openID()}},
		"user_metadata": map[string]any{"display_name": "Old " + p.name()},
	}
	if (p.at == faulty.GetUser || p.at == faulty.Evict) && !u.settled[p.number] {
		user["id"], user["app_metadata"] = p.otherID(), map[string]any{"provider": "email"}
	}
	return user
}

// listen serves the upstreams and returns their address.
func (u *upstreams) listen(t *testing.T) string {
	t.Helper()
	fake := httptest.NewUnstartedServer(&faulty.Upstream{Choose: u.choose})
	fake.Config.ErrorLog = nil
	fake.Start()
	t.Cleanup(fake.Close)
	return fake.URL
}

// wantClean checks that every fault was met, and that the log holds neither word.
func (u *upstreams) wantClean(t *testing.T, log string) {
	t.Helper()
	if u.followed {
		t.Error("the bridge followed a redirect")
	}
	for _, p := range u.byNumber {
		if p.at != "" && !slices.Contains(u.came[p.number], p.at) {
			t.Errorf("%s %s: the fault was never met; asked were %q", p.at, p.fault, u.came[p.number])
		}
	}
	reported := map[string]bool{}
	forms := append(spellings(hiddenWord), spellings(personsWord)...)
	for line := range strings.Lines(log) {
		for _, form := range forms {
			if i := strings.Index(line, form); i >= 0 && !reported[line[max(0, i-40):i]] {
				reported[line[max(0, i-40):i]] = true
				t.Errorf("the output holds %q: %s", form, line)
			}
		}
	}
}

// refusingRedis is a Redis that refuses whoever comes, and quotes what they said, as old versions do with a command
// that they do not know.
func refusingRedis(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				said := make([]byte, 4096)
				for {
					n, err := conn.Read(said)
					if err != nil {
						return
					}
					quoted := strings.NewReplacer("\r", " ", "\n", " ").Replace(string(said[:n]))
					// As many answers as there were commands: each is an array.
					answer := "-ERR unknown command, with args beginning with: " + quoted + "\r\n"
					if _, err := io.WriteString(
						conn, strings.Repeat(answer, max(1, strings.Count(quoted, "*"))),
					); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}
