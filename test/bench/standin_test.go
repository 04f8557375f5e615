package bench_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/tikbridge/tikbridge/pkg/supabase"
)

// population is how many people have an account already, unless told; higher numbers sign in for the first time.
const population = 4096

// standin replaces TikTok and GoTrue. It knows who a code is of, that a code's person may be
// new, and that a new link ends the one before; it checks no secret.
type standin struct {
	addr string
	// delay is how long every answer takes.
	delay atomic.Int64
	calls atomic.Int64
	// renewAvatars gives everybody another picture each time, as TikTok does when an address expired.
	renewAvatars atomic.Bool
	population   int
	// redis is the URL of a store for the bridge; empty: it uses its memory.
	redis string
	// away is the network before it; nil: it is near, and without TLS.
	away *distance
	// gotrue takes the calls to GoTrue, if there is a real one.
	gotrue *fasthttp.HostClient

	mu      sync.RWMutex
	people  map[int]*person
	byEmail map[string]*person
}

// person is a person with all answers that are about them.
type person struct {
	number   int
	openID   string
	email    string
	id       string
	avatar   string
	exists   atomic.Bool
	link     atomic.Int64 // the newest, 0 when it was used
	user     []byte       // the JSON of their account
	access   string       // their access token
	verified []byte       // the answer to a good verify
}

func startStandin(tb testing.TB) *standin {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &standin{
		addr: l.Addr().String(), people: map[int]*person{}, byEmail: map[string]*person{}, population: population,
	}
	for n := range population {
		s.person(n)
	}
	srv := &fasthttp.Server{Handler: s.serve, NoDefaultServerHeader: true, NoDefaultDate: true}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	tb.Cleanup(func() {
		_ = srv.Shutdown()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return s
}

// person returns the person with this number.
func (s *standin) person(n int) *person {
	s.mu.RLock()
	p := s.people[n]
	s.mu.RUnlock()
	if p != nil {
		return p
	}
	p = newPerson(n)
	p.exists.Store(n < s.population)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.people[n]; known != nil {
		return known
	}
	s.people[n], s.byEmail[p.email] = p, p
	return p
}

func (s *standin) withEmail(email string) *person {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byEmail[email]
}

// run tells the people of this run from those whom a real GoTrue knows from others.
var run = strconv.FormatInt(time.Now().UnixNano(), 36)

func newPerson(n int) *person {
	sum := sha256.Sum256(fmt.Append(nil, run, n))
	encode := base64.RawURLEncoding.EncodeToString
	p := &person{number: n, openID: "-000" + encode(sum[:24])}
	p.email = strings.ToLower(p.openID) + "@tiktok.oauth"
	p.id = supabase.UserID(p.openID).String()
	p.avatar = fmt.Sprintf(
		"https://p16-sign-va.tiktokcdn.com/tos-maliva-avt-0068/%x~tplv-tiktokx-cropcenter:168:168.jpeg?dr=14579"+
			"&refresh_token=0123abcd&x-expires=1795500000&x-signature=%s",
		sum[:16], encode(sum[:20]),
	)
	name := "Person " + strconv.Itoa(n)
	appMetadata := `{"provider":"email","providers":["email"],"tiktok":{"open_id":"` + p.openID + `"}}`
	userMetadata := `{"avatar_url":"` + p.avatar + `","display_name":"` + name + `","email_verified":true,"full_name":"` +
		name + `","name":"` + name + `","picture":"` + p.avatar + `","tiktok_open_id":"` + p.openID + `"}`
	const at = "2026-11-22T14:32:10.303731Z"
	p.user = []byte(`{"id":"` + p.id + `","aud":"authenticated","role":"authenticated","email":"` + p.email +
		`","email_confirmed_at":"` + at +
		`","phone":"","confirmed_at":"` + at + `","recovery_sent_at":"` + at + `","last_sign_in_at":"` + at +
		`","app_metadata":` + appMetadata + `,"user_metadata":` + userMetadata +
		`,"identities":[{"identity_id":"d3070ed6-325d-4591-bec5-67e4af578970","id":"` + p.id + `","user_id":"` + p.id +
		`","identity_data":{"email":"` + p.email + `","email_verified":false,"phone_verified":false,"sub":"` + p.id +
		`"},"provider":"email","last_sign_in_at":"` + at + `","created_at":"` + at + `","updated_at":"` + at +
		`","email":"` + p.email + `"}],"created_at":"` + at + `","updated_at":"` + at + `","is_anonymous":false}`)
	claims := `{"iss":"http://127.0.0.1:54321/auth/v1","sub":"` + p.id + `","aud":"authenticated","exp":4102444800,` +
		`"iat":1795357930,"email":"` + p.email + `","phone":"","app_metadata":` + appMetadata + `,"user_metadata":` +
		userMetadata + `,"role":"authenticated","aal":"aal1","amr":[{"method":"otp","timestamp":1795357930}],` +
		`"session_id":"b9347bd4-6ae5-44df-94ce-2d6734a87193","is_anonymous":false}`
	p.access = encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims)) + "." + encode(sum[:])
	p.verified = []byte(`{"access_token":"` + p.access + `","token_type":"bearer","expires_in":3600,` +
		`"expires_at":4102444800,"refresh_token":"t3lcnsb6632x","user":` + string(p.user) + `}`)
	return p
}

// code returns an authorization code of this person, which looks like one of TikTok's.
func code(n, nonce int) string {
	return fmt.Sprintf("%d*%d!6410.va-%s", n, nonce, "Yd9r3TgqkLwB5mZx0cVn8sHpJ2uEo7aFiR1tXyQbK4vNlC6jWzG")
}

// numberOf reads the number that a code, a token or a hash begins with.
func numberOf(s []byte) int {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

const gotruePrefix = "/auth/v1"

func (s *standin) serve(c *fasthttp.RequestCtx) {
	s.calls.Add(1)
	if d := s.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	c.SetContentType("application/json")
	path := string(c.Path())
	switch {
	case path == "/v2/oauth/token/":
		s.token(c)
	case path == "/v2/user/info/":
		s.userInfo(c)
	case s.gotrue != nil:
		s.forward(c)
	default:
		s.answer(c, strings.TrimPrefix(path, gotruePrefix))
	}
}

func (s *standin) token(c *fasthttp.RequestCtx) {
	p := s.person(numberOf(c.PostArgs().Peek("code")))
	_, _ = fmt.Fprintf(
		c,
		`{"access_token":"%d.act.example12345Example12345Example12345Example12345Example","expires_in":86400,`+
			`"open_id":%q,"refresh_expires_in":31536000,`+
			`"refresh_token":"rft.example12345Example12345Example12345Example12345Example",`+
			`"scope":"user.info.basic","token_type":"Bearer"}`,
		p.number, p.openID,
	)
}

func (s *standin) userInfo(c *fasthttp.RequestCtx) {
	p := s.person(numberOf(bytes.TrimPrefix(c.Request.Header.Peek("Authorization"), []byte("Bearer "))))
	avatar := p.avatar
	if s.renewAvatars.Load() {
		avatar += "&again=" + strconv.FormatInt(s.calls.Load(), 10)
	}
	_, _ = fmt.Fprintf(
		c,
		`{"data":{"user":{"avatar_url":%q,"display_name":"Person %d","open_id":%q}},`+
			`"error":{"code":"ok","message":"","log_id":"20261122143210A1B2C3D4E5F60718293A"}}`,
		avatar, p.number, p.openID,
	)
}

// answer answers as GoTrue does to the calls of a sign-in.
func (s *standin) answer(c *fasthttp.RequestCtx, path string) {
	body := c.PostBody()
	p := s.withEmail(field(body, "email"))
	switch {
	case path == "/verify":
		s.verify(c, field(body, "token_hash"))
	case path == "/settings":
		_, _ = c.WriteString(`{"external":{"email":true},"disable_signup":true,"mailer_autoconfirm":false}`)
	case path == "/admin/generate_link" && p != nil && p.exists.Load():
		n := s.calls.Load()
		p.link.Store(n)
		hash := fmt.Sprintf("%d.%d.", p.number, n)
		hash += strings.Repeat("a", 56-len(hash))
		_, _ = c.Write(p.user[:len(p.user)-1])
		kind := field(body, "type")
		_, _ = c.WriteString(`,"action_link":"http://127.0.0.1:9999/verify?token=` + hash + `&type=` + kind +
			`&redirect_to=http://127.0.0.1:3000","email_otp":"710325","hashed_token":"` + hash +
			`","verification_type":"` + kind + `","redirect_to":"http://127.0.0.1:3000"}`)
	case path == "/admin/users" && p != nil:
		if p.exists.Swap(true) {
			refuse(c, 422, "email_exists")
			return
		}
		_, _ = c.Write(p.user)
	case c.IsPut():
		id := path[strings.LastIndexByte(path, '/')+1:]
		_, _ = c.WriteString(`{"id":"` + id + `","aud":"authenticated","role":"authenticated"}`)
	default: // an account that nobody has, asked for by address or by id
		refuse(c, 404, "user_not_found")
	}
}

func (s *standin) verify(c *fasthttp.RequestCtx, hash string) {
	number, rest, _ := strings.Cut(hash, ".")
	p, link := s.person(numberOf([]byte(number))), int64(numberOf([]byte(rest)))
	if link == 0 || !p.link.CompareAndSwap(link, 0) {
		refuse(c, 403, "otp_expired")
		return
	}
	_, _ = c.Write(p.verified)
}

func refuse(c *fasthttp.RequestCtx, status int, code string) {
	c.SetStatusCode(status)
	c.Response.Header.Set("X-Supabase-Api-Version", "2024-01-01")
	_, _ = c.WriteString(`{"code":"` + code + `","message":"no"}`)
}

// field finds a string in the body of a request, none of which has an escape.
func field(body []byte, name string) string {
	_, rest, _ := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

// forward lets the real GoTrue answer.
func (s *standin) forward(c *fasthttp.RequestCtx) {
	c.Request.URI().SetPath(strings.TrimPrefix(string(c.Path()), gotruePrefix))
	if err := s.gotrue.Do(&c.Request, &c.Response); err != nil {
		refuse(c, 502, "bad_gateway")
	}
}
