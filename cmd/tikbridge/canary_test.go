package main_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase"
	"github.com/tikbridge/tikbridge/pkg/telemetry/tracetest"
	"github.com/tikbridge/tikbridge/test/faulty"
)

// The words that all planted values hold. What has the first may be seen by nobody: secrets of the
// bridge, of TikTok, and what GoTrue tells the bridge alone. What has the second is the person's own
// (their session, name and address): they get it with a session, and the log never does.
const (
	hiddenWord  = "canary"
	personsWord = "songbird"
)

const (
	canaryClientSecret = "canaryTikTokClientSecret012345"
	canarySecretKey    = "sb_secret_canary0123456789abcdefghijkl"
)

// planted are the values of one sign-in. They look like the real ones.
type planted struct {
	number string // three digits, which tell one sign-in from another
	fault  string
	at     faulty.Call // that has the fault
}

func (p planted) code() string {
	return "canary" + p.number + "RjbaZ4tRD3jH2X_uxQ0mHb-T*0!4713.u1 /+=%&"
}

func (p planted) verifier() string {
	return "canary" + p.number + "~verifier.0123456789-0123456789-0123456789"
}
func (p planted) access() string  { return "act.canary" + p.number + "Tw1Xk!4755.u1" }
func (p planted) refresh() string { return "rft.canary" + p.number + "Pq9Zv!4789.u1" }
func (p planted) hash() string    { return "canary" + p.number + "0a1b2c3d4e5f60718293a4b5c6d7e8f9" }
func (p planted) otp() string     { return "canary" + p.number + "otp" }
func (p planted) openID() string  { return "-000Songbird" + p.number + "AbCdEfGhIjKlMnOpQrStU" }
func (p planted) email() string   { return strings.ToLower(p.openID()) + "@tiktok.oauth" }
func (p planted) name() string    { return "Ada Songbird" + p.number + " Lövelace <b>שלום</b>" }

func (p planted) avatar() string {
	return "https://cdn.example/songbird" + p.number + "?x-signature=a%2Bb"
}
func (p planted) userID() string     { return supabase.UserID(p.openID()).String() }
func (p planted) otherID() string    { return "00000000-0000-4000-8000-000000000" + p.number }
func (p planted) goAccess() string   { return "eyJhbGciOi.songbird" + p.number + ".c2ln" }
func (p planted) goRefresh() string  { return "songbird" + p.number + "r" }
func (p planted) redirect() string   { return "https://app.example/auth" }
func (p planted) everything() string { return strings.Join(p.all(), " ") }

// all is what an upstream may know and repeat.
func (p planted) all() []string {
	return []string{
		p.code(), p.verifier(), p.access(), p.refresh(), p.hash(), p.otp(), p.openID(), p.email(), p.name(), p.avatar(),
		p.goAccess(), p.goRefresh(), canaryClientSecret, canarySecretKey,
	}
}

// spellings returns the forms in which a word can hide in a text: as it is, in capitals, in hex, as a
// list of bytes, and in base64, where it looks different at each of three places.
func spellings(word string) []string {
	forms := []string{
		word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:], url.QueryEscape(word), url.PathEscape(word),
		strings.Trim(fmt.Sprintf("%d", []byte(word)), "[]"),
	}
	for _, w := range []string{word, strings.ToUpper(word[:1]) + word[1:]} {
		digits := hex.EncodeToString([]byte(w))
		forms = append(forms, digits, strings.ToUpper(digits))
		for shift := range 3 {
			// The characters at either end also depend on what is beside the word.
			encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), w...))
			from, to := (shift*8+5)/6, (shift+len(w))*8/6
			forms = append(forms, encoded[from:to], strings.NewReplacer("+", "-", "/", "_").Replace(encoded[from:to]))
		}
	}
	return forms
}

// wantNone looks for words and values in a text.
func wantNone(t *testing.T, where, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		for _, form := range spellings(word) {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s holds %q:\n%s", where, form, text[max(0, i-300):min(len(text), i+200)])
				break
			}
		}
	}
}

// TestSpellings checks the check.
func TestSpellings(t *testing.T) {
	for _, secret := range []string{canaryClientSecret, canarySecretKey, planted{number: "001"}.code()} {
		for _, before := range []string{"", "x", "xy", "xyz"} {
			whole := []byte(before + secret + "!")
			for how, text := range map[string]string{
				"raw": string(whole), "URL-encoded": url.QueryEscape(string(whole)), "hex": hex.EncodeToString(whole),
				"base64":    base64.StdEncoding.EncodeToString(whole),
				"base64url": base64.RawURLEncoding.EncodeToString(whole),
				"bytes":     fmt.Sprintf("%d", whole), "quoted": fmt.Sprintf("%+q", whole),
				"in capitals": strings.ToUpper(string(whole)),
			} {
				if !slices.ContainsFunc(
					spellings(hiddenWord), func(form string) bool { return strings.Contains(text, form) },
				) {
					t.Errorf("%s, %s: %q is not found in %q", secret, how, hiddenWord, text)
				}
			}
		}
	}
}

// tooLarge is more than the bridge reads of any answer.
const tooLarge = "too large"

// faults are the ways in which an upstream fails. Each tells as much as it can.
var faults = map[string]func(planted) faulty.Fault{
	"400 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusBadRequest, p) },
	"401 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusUnauthorized, p) },
	"422 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusUnprocessableEntity, p) },
	"200 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusOK, p) },
	"429 that quotes": func(p planted) faulty.Fault {
		return with(http.Header{"Retry-After": {p.hash()}}, quotes(http.StatusTooManyRequests, p))
	},
	"503 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusServiceUnavailable, p) },
	"500 with the request": func(planted) faulty.Fault {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			dump, _ := httputil.DumpRequest(r, true)
			faulty.Respond(
				http.StatusInternalServerError, "text/plain", "panic in handler of "+string(dump),
			)(w, r, next)
		}
	},
	"500 as a page": func(p planted) faulty.Fault {
		return faulty.Respond(http.StatusInternalServerError, "text/html", "<h1>"+p.everything()+"</h1>")
	},
	"code in a header": func(p planted) faulty.Fault {
		return with(
			http.Header{"X-Sb-Error-Code": {"bad token " + p.hash()}}, faulty.Respond(http.StatusForbidden, "", ""),
		)
	},
	"302": func(p planted) faulty.Fault { return away(http.StatusFound, p) },
	"307": func(p planted) faulty.Fault { return away(http.StatusTemporaryRedirect, p) },
	"redirect nowhere": func(p planted) faulty.Fault {
		return faulty.Redirect(http.StatusFound, "http://%zz/"+p.access())
	},
	"half of a JSON": func(p planted) faulty.Fault {
		return text(fmt.Sprintf(
			`{"access_token":%q,"hashed_token":%q,"user":{"email":%q`, p.access(), p.hash(), p.email(),
		))
	},
	"no JSON": func(p planted) faulty.Fault { return text(p.everything()) },
	"JSON of other types": func(p planted) faulty.Fault {
		return answer(
			http.StatusOK,
			map[string]any{
				p.hash(): 1, "access_token": p.all(), "hashed_token": p.all(), "user": p.name(), "id": p.all(),
				"error": p.all(),
			},
		)
	},
	"ids that are none": func(p planted) faulty.Fault {
		urn := strings.Repeat("c", 3) + "canary" + strings.Repeat("x", 36) // as long as urn:uuid:...
		return answer(
			http.StatusOK,
			map[string]any{
				"id": urn, "user": map[string]any{"id": urn}, "data": map[string]any{"user": urn},
				"hashed_token": p.hash(),
			},
		)
	},
	"times that are none": func(p planted) faulty.Fault {
		return answer(
			http.StatusOK,
			map[string]any{
				"id": p.userID(), "created_at": p.access(), "expires_in": p.access(),
				"user": map[string]any{"id": p.userID(), "created_at": p.goAccess()},
			},
		)
	},
	tooLarge: func(p planted) faulty.Fault {
		return text(`{"error":"` + strings.Repeat(p.everything(), 17<<20/len(p.everything())) + `"}`)
	},
	"cut short": func(p planted) faulty.Fault {
		return with(http.Header{"Content-Length": {"100000"}}, text(p.everything()))
	},
	"reset":          func(planted) faulty.Fault { return faulty.Reset },
	"no HTTP":        func(p planted) faulty.Fault { return faulty.Raw(p.everything() + "\r\n\r\n") },
	"no HTTP status": func(p planted) faulty.Fault { return faulty.Raw("HTTP/1.1 " + p.hash() + " OK\r\n\r\n") },
	"no HTTP header": func(p planted) faulty.Fault {
		return faulty.Raw("HTTP/1.1 200 OK\r\n" + p.hash() + " " + p.goRefresh() + "\r\n\r\n")
	},
	"no HTTP length": func(p planted) faulty.Fault {
		return faulty.Raw("HTTP/1.1 200 OK\r\nContent-Length: " + p.hash() + "\r\n\r\n")
	},
	"no HTTP encoding": func(p planted) faulty.Fault {
		return faulty.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + p.hash() + "\r\n\r\n")
	},
	"no HTTP chunk": func(p planted) faulty.Fault {
		return faulty.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + p.hash() + "\r\n" + p.hash() + "\r\n0\r\n\r\n")
	},
	"hang": func(planted) faulty.Fault { return faulty.Hang },
}

// ambiguous are the faults that look like an answer to some endpoints.
var ambiguous = []string{"200 that quotes", "JSON of other types", "ids that are none", "times that are none"}

// quotes is an error of TikTok and of GoTrue at once, with secrets in every text.
func quotes(status int, p planted) faulty.Fault {
	text := "refused: " + p.everything()
	return answer(status, map[string]any{
		"error": text, "error_description": text, "log_id": text, "code": text, "error_code": text, "msg": text,
		"message":       text,
		"weak_password": map[string]any{"message": text, "reasons": p.all()},
	})
}

func away(status int, p planted) faulty.Fault {
	return faulty.Redirect(status, "/followed?"+url.Values{"code": {p.code()}, "token": p.all()}.Encode())
}

func answer(status int, v any) faulty.Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { send(w, status, v) }
}

// text is a good answer by its status alone.
func text(body string) faulty.Fault { return faulty.Respond(http.StatusOK, "text/plain", body) }

// with adds headers to an answer.
func with(h http.Header, f faulty.Fault) faulty.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		maps.Copy(w.Header(), h)
		f(w, r, next)
	}
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

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
	case faulty.Token:
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
		send(w, http.StatusNotFound, map[string]any{"code": "user_not_found", "message": "User not found"})
	case faulty.CreateUser:
		u.settled[p.number] = true
		send(w, http.StatusOK, u.user(p))
	case faulty.Evict, faulty.StoreProfile:
		send(w, http.StatusOK, u.user(p))
	case faulty.Verify:
		send(w, http.StatusOK, map[string]any{
			"access_token": p.goAccess(), "refresh_token": p.goRefresh(), "token_type": "bearer", "expires_in": 3600,
			"expires_at": 2_000_000_000, "user": u.user(p),
		})
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

// output is what a process wrote.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// startServe runs tikbridge serve at debug level against the upstreams at base, with more variables in
// its environment. It returns the address, the output, and what ends the process.
func startServe(t *testing.T, base string, environ ...string) (string, *output, func()) {
	t.Helper()
	var out output
	cmd := exec.Command(filepath.Join(binDir, "tikbridge"), "serve")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GORACE=halt_on_error=1",
		"TIKTOK_CLIENT_KEY=awkey", "TIKTOK_CLIENT_SECRET=" + canaryClientSecret,
		"SUPABASE_URL=" + base, "SUPABASE_PUBLISHABLE_KEY=sb_publishable_x", "SUPABASE_SECRET_KEY=" + canarySecretKey,
		"TIKBRIDGE_TIKTOK_API_URL=" + base, "TIKBRIDGE_TIKTOK_TIMEOUT=2s", "TIKBRIDGE_SUPABASE_TIMEOUT=2s",
		"TIKBRIDGE_APP_ORIGINS=https://app.example", "TIKBRIDGE_APP_DEEPLINK_SCHEMES=myapp",
		"TIKBRIDGE_SERVER_LISTEN=127.0.0.1:0", "TIKBRIDGE_SERVER_ADMIN_LISTEN=127.0.0.1:0",
		"TIKBRIDGE_RATE_LIMIT_ENABLED=false", "TIKBRIDGE_LOG_LEVEL=debug", "TIKBRIDGE_SERVER_SHUTDOWN_DELAY=0s",
	}
	cmd.Env = append(cmd.Env, environ...)
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		defer close(address)
		lines := bufio.NewReader(stderr)
		for {
			line, err := lines.ReadString('\n')
			_, _ = io.WriteString(&out, line)
			var started struct{ Msg, Listen string }
			if json.Unmarshal([]byte(line), &started) == nil && started.Msg == "started" {
				address <- started.Listen
			}
			if err != nil {
				return
			}
		}
	}()
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("tikbridge serve ended with %v; output:\n%s", err, out.String())
		}
	})
	t.Cleanup(stop)
	listen, ok := <-address
	if !ok {
		t.Fatalf("tikbridge serve did not start; output:\n%s", out.String())
	}
	return "http://" + listen, &out, stop
}

// plantAll returns a sign-in for every fault at every endpoint, and some without any.
func plantAll() []planted {
	var all []planted
	plant := func(at faulty.Call, fault string) {
		all = append(all, planted{number: fmt.Sprintf("%03d", len(all)+1), at: at, fault: fault})
	}
	for range atOnce {
		plant("", "none")
	}
	plant(faulty.Evict, "none")
	plant(faulty.CreateUser, "none")
	for _, at := range faulty.Calls() {
		for _, fault := range slices.Sorted(maps.Keys(faults)) {
			plant(at, fault)
		}
	}
	return all
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

// TestCanaries plants values that can be recognised wherever the bridge takes a secret, lets every
// call to TikTok and to Supabase fail in every way there is, and looks for them in all that the
// process writes, sends and answers: the log, traces, metrics, profiles.
func TestCanaries(t *testing.T) { apart(t, plantAll(), exchangeAll) }

func exchangeAll(t *testing.T, all []planted, timeouts ...string) {
	u := newUpstreams(all)
	seen := watch(t)
	bridge, out, stop := startServe(t, u.listen(t), append(seen.environ(), timeouts...)...)

	seen.during(t, func() {
		signInAll(t, all, func(t *testing.T, p planted) { u.signIn(t, bridge, p) })
		t.Run("requests", func(t *testing.T) { strangeRequests(t, bridge) })
	})

	stop()
	log := out.String()
	u.wantClean(t, log)
	seen.wantClean(t, log)
	for _, want := range []string{
		`"level":"ERROR"`, `"msg":"profile not read"`, `"msg":"profile not stored"`, `"event":"account_evicted"`,
		`"msg":"stopped"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s, so that it proves little", want)
		}
	}
	for _, password := range u.passwords {
		wantNone(t, "the output", log, password)
	}
	if len(u.passwords) == 0 {
		t.Error("the bridge made up no password, so that none was looked for")
	}
}

// apart lets bridges of their own meet what hangs, which is cut off soon, and what is too large, which
// takes a machine to itself. The others have all the time that they need on a machine that is busy:
// time-outs by accident would make a bridge refuse everybody.
func apart(t *testing.T, all []planted, f func(t *testing.T, part []planted, timeouts ...string)) {
	t.Helper()
	const hang = "hang"
	meet := func(name, timeout string, here func(fault string) bool) {
		t.Run(name, func(t *testing.T) {
			part := slices.DeleteFunc(
				slices.Clone(all), func(p planted) bool { return p.fault != "none" && !here(p.fault) },
			)
			f(t, part, "TIKBRIDGE_TIKTOK_TIMEOUT="+timeout, "TIKBRIDGE_SUPABASE_TIMEOUT="+timeout)
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() { meet(hang, "3s", func(fault string) bool { return fault == hang }) })
	wg.Go(func() { meet("other", "10s", func(fault string) bool { return fault != hang && fault != tooLarge }) })
	wg.Wait()
	meet(tooLarge, "10s", func(fault string) bool { return fault == tooLarge })
}

// atOnce is how many sign in at the same time. Most of the time they wait for what hangs.
const atOnce = 12

// signInAll signs everybody in, and after each somebody for whom all goes well. They come in no order:
// the bridge does not ask an upstream any more that does nothing but fail ten times in a row, and of
// those at hand few meet the same endpoint.
func signInAll(t *testing.T, all []planted, signIn func(*testing.T, planted)) {
	t.Helper()
	next := make(chan planted)
	var wg sync.WaitGroup
	for i := range atOnce {
		good := all[i]
		wg.Go(func() {
			for p := range next {
				// Not t.Parallel, which has as many at once as there are processors.
				t.Run(string(p.at)+" "+p.fault, func(t *testing.T) {
					signIn(t, p)
					signIn(t, good)
				})
			}
		})
	}
	const seed = 1 // the same order each time
	for _, i := range rand.New(rand.NewPCG(seed, seed)).Perm(len(all)) {
		next <- all[i]
	}
	close(next)
	wg.Wait()
}

// collectorKey is what the bridge shows to the collector of its traces.
const collectorKey = "a-key-of-the-collector-0123456789"

// watched is what a bridge says beside its log and its answers.
type watched struct {
	collector *tracetest.Collector
	admin     string
	// shown is what the admin address answered, by path.
	shown map[string]string
}

func watch(t *testing.T) *watched {
	t.Helper()
	return &watched{tracetest.New(t), freePort(t), map[string]string{}}
}

// environ makes a bridge send its traces to the collector, and tell the rest at the admin address.
func (w *watched) environ() []string {
	return []string{
		"TIKBRIDGE_SERVER_ADMIN_LISTEN=" + w.admin, "OTEL_EXPORTER_OTLP_ENDPOINT=" + w.collector.URL,
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" + collectorKey,
	}
}

// during reads all that the admin address has, while f runs and once more.
func (w *watched) during(t *testing.T, f func()) {
	t.Helper()
	var wg sync.WaitGroup
	over := make(chan struct{})
	wg.Go(func() {
		w.read(t, "/debug/pprof/goroutine?debug=2", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1")
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				w.read(t, "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine")
			}
		}
	})
	f()
	close(over)
	wg.Wait()
	w.read(t, "/metrics", "/readyz", "/debug/pprof/", "/debug/pprof/cmdline")
	for _, profile := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		w.read(t, "/debug/pprof/"+profile, "/debug/pprof/"+profile+"?debug=1")
	}
}

func (w *watched) read(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		resp, err := client.Get("http://" + w.admin + path)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d: %v", path, resp.StatusCode, err)
		}
		if unzipped, err := gzip.NewReader(bytes.NewReader(body)); err == nil { // as profiles are
			if body, err = io.ReadAll(unzipped); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		w.shown[path] += string(body)
	}
}

// wantClean looks for words in what was seen, and for the key of the collector in the log too.
func (w *watched) wantClean(t *testing.T, log string) {
	t.Helper()
	for path, text := range w.shown {
		wantNone(t, path, text, hiddenWord, personsWord, collectorKey)
	}
	wantNone(t, "the output", log, collectorKey)
	traces := w.collector.Text()
	wantNone(t, "the traces", traces, hiddenWord, personsWord)
	for where, has := range map[string][3]string{
		"the traces":  {traces, "supabase verify", "Bearer " + collectorKey},
		"the metrics": {w.shown["/metrics"], "tikbridge_signin_steps_total{", `outcome="ok"`},
		"the goroutines": {
			w.shown["/debug/pprof/goroutine?debug=2"], "net/http.(*conn).serve(", "tikbridge/pkg/server.",
		},
		"the heap":            {w.shown["/debug/pprof/heap?debug=1"], "heap profile:", "# HeapAlloc"},
		"the execution trace": {w.shown["/debug/pprof/trace?seconds=1"], "go 1.", "net/http"},
	} {
		for _, want := range has[1:] {
			if !strings.Contains(has[0], want) {
				t.Errorf("%s have no %q, so that they prove little", where, want)
			}
		}
	}
}

// signIn exchanges the code of p and looks at the answer.
func (u *upstreams) signIn(t *testing.T, bridge string, p planted) {
	t.Helper()
	body, err := json.Marshal(map[string]string{
		"code": p.code(), "redirect_uri": p.redirect(), "state": "canary|myapp", "code_verifier": p.verifier(),
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(
		t.Context(), http.MethodPost, bridge+"/api/auth/tiktok-callback", bytes.NewReader(body),
	)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := httputil.DumpResponse(resp, true)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{hiddenWord}
	if resp.StatusCode != http.StatusOK {
		words = append(words, personsWord)
	}
	wantNone(t, "the answer", string(whole), words...)

	good := p.fault == "none" || dispensable(p.at)
	if got := resp.StatusCode == http.StatusOK; got != good && !slices.Contains(ambiguous, p.fault) {
		t.Errorf("signed in: %v; want %v; answer:\n%s", got, good, whole)
	}
}

// dispensable reports a call that a sign-in goes on without: the profile is for show, and who cannot
// evict a stranger gets another address.
func dispensable(call faulty.Call) bool {
	return call == faulty.UserInfo || call == faulty.StoreProfile || call == faulty.Evict
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

// seen are the values that the bridge itself made up on the way, in any order.
type seen struct {
	mu     sync.Mutex
	values []string
}

func (s *seen) add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		if v != "" {
			s.values = append(s.values, v)
		}
	}
}

// TestCanaries_hosted does the same for the hosted flow, with keys of its own and a
// Redis that refuses them. States, handoffs and flow cookies are in the answers that hand them out, and
// in no other.
func TestCanaries_hosted(t *testing.T) {
	t.Run("web", func(t *testing.T) {
		// What is too large is read in one place, whatever the call: two of them are enough here.
		part := slices.DeleteFunc(plantAll(), func(p planted) bool {
			return p.fault == tooLarge && p.at != faulty.Token && p.at != faulty.Verify
		})
		apart(t, part, func(t *testing.T, part []planted, timeouts ...string) { leadAll(t, "web", part, timeouts...) })
	})
	// The platform makes a difference until there is a handoff, and the bridge asks TikTok alone by then.
	t.Run("native", func(t *testing.T) {
		part := slices.DeleteFunc(plantAll(), func(p planted) bool { return p.at != faulty.Token && p.fault != "none" })
		leadAll(t, "native", part)
	})
}

func leadAll(t *testing.T, platform string, part []planted, timeouts ...string) {
	t.Helper()
	const sealKey, redisPassword = "canarySealKey0123456789abcdefghijklmnop", "canaryRedisPassword0123"
	u := newUpstreams(part)
	watched := watch(t)
	environ := append(watched.environ(), timeouts...)
	bridge, out, stop := startServe(t, u.listen(t), append(environ,
		"TIKBRIDGE_SERVER_PUBLIC_URL=https://signin.app.example", "TIKBRIDGE_SECURITY_GUIDE_FLOW=false",
		"TIKBRIDGE_SEAL_KEYS="+sealKey+","+sealKey+"2",
		"TIKBRIDGE_STORE_REDIS_URL=redis://canaryUser:"+redisPassword+"@"+refusingRedis(t)+"/0",
	)...)
	var made seen
	watched.during(t, func() {
		signInAll(t, part, func(t *testing.T, p planted) { u.lead(t, bridge, platform, p, &made) })
		t.Run("requests", func(t *testing.T) { strangeRequests(t, bridge) })
		t.Run("requests of the flow", func(t *testing.T) { strangeLedRequests(t, bridge, &made) })
	})
	status, ready := ask(t, http.MethodGet, bridge+"/readyz", "", "")
	wantNone(t, "/readyz", ready, hiddenWord)
	if status != http.StatusOK || !strings.Contains(ready, "Redis has been down") {
		t.Errorf("/readyz answers %d, so that Redis proves little:\n%s", status, ready)
	}

	stop()
	log := out.String()
	u.wantClean(t, log)
	watched.wantClean(t, log)
	for _, want := range []string{
		`"level":"ERROR"`, `"flow":"hosted"`, `"outcome":"handed_off"`,
		`"msg":"Redis is down: single use and rate limits hold per replica until it is back"`, `"msg":"stopped"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s, so that it proves little", want)
		}
	}
	if len(made.values) < 3*len(part) {
		t.Errorf("only %d values were made on the way", len(made.values))
	}
	everywhere := log + watched.collector.Text()
	for _, text := range watched.shown {
		everywhere += text
	}
	for _, value := range made.values {
		if piece := middle(value); strings.Contains(everywhere, piece) {
			t.Fatalf("the output, a trace, a metric or a profile holds %q of %q", piece, value)
		}
	}
}

// middle is a piece of a long value that is as secret as all of it.
func middle(value string) string {
	if len(value) < 40 {
		return value
	}
	return value[len(value)/2-10 : len(value)/2+10]
}

// ask sends a request as a browser does, and returns the whole answer.
func ask(t *testing.T, method, address, cookie, body string) (status int, whole string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	dump, err := httputil.DumpResponse(resp, true)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(dump)
}

var (
	statePattern   = regexp.MustCompile(`[?&]state=([A-Za-z0-9_-]+)`)
	cookiePattern  = regexp.MustCompile(`Set-Cookie: (__Host-tikbridge-[A-Za-z0-9_-]+)=([A-Za-z0-9_-]+);`)
	handoffPattern = regexp.MustCompile(`[?&]tikbridge_handoff=([A-Za-z0-9_-]+)`)
)

// lead signs in with the bridge in the lead, twice at every step, and looks at every answer.
func (u *upstreams) lead(t *testing.T, bridge, platform string, p planted, made *seen) {
	t.Helper()
	base := bridge + "/api/auth/tiktok/"
	sum := sha256.Sum256([]byte(p.verifier()))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])

	_, begun := ask(t, http.MethodGet, base+"start?platform="+platform+"&challenge="+challenge, "", "")
	state, cookie := statePattern.FindStringSubmatch(begun), cookiePattern.FindStringSubmatch(begun)
	if state == nil || cookie == nil {
		t.Fatalf("the sign-in does not begin:\n%s", begun)
	}
	wantNone(t, "the start", begun, hiddenWord, personsWord)
	made.add(state[1], cookie[2], challenge)
	flowCookie := cookie[1] + "=" + cookie[2]

	back := base + "callback?" + url.Values{
		"state": {state[1]}, "code": {p.code()}, "error_description": {p.everything()},
	}.Encode()
	_, called := ask(t, http.MethodGet, back, flowCookie, "")
	_, again := ask(t, http.MethodGet, back, flowCookie, "")
	for _, answer := range []string{called, again} {
		wantNone(t, "the callback", answer, hiddenWord, personsWord)
		wantNoPart(t, "the callback", answer, state[1], cookie[2], challenge)
	}
	handoff := handoffPattern.FindStringSubmatch(called)
	if got := handoff != nil; got != (p.at != faulty.Token) && !slices.Contains(ambiguous, p.fault) {
		t.Errorf("there is a handoff: %v; the callback:\n%s", got, called)
	}
	if handoffPattern.MatchString(again) {
		t.Error("a callback is good for two handoffs")
	}
	if handoff == nil {
		return
	}
	made.add(handoff[1])

	redeem := func(verifier string) (int, string) {
		body, err := json.Marshal(map[string]string{"handoff": handoff[1], "verifier": verifier})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := ask(t, http.MethodPost, base+"redeem", flowCookie, string(body))
		words := []string{hiddenWord}
		if status != http.StatusOK {
			words = append(words, personsWord)
		}
		wantNone(t, "the redemption", answer, words...)
		wantNoPart(t, "the redemption", answer, state[1], cookie[2], challenge, handoff[1])
		return status, answer
	}
	if status, _ := redeem("canary-of-another~verifier.0123456789-0123456789"); status != http.StatusBadRequest {
		t.Errorf("with another verifier the status is %d; want 400", status)
	}
	status, answer := redeem(p.verifier())
	good := p.fault == "none" || dispensable(p.at)
	if got := status == http.StatusOK; got != good && !slices.Contains(ambiguous, p.fault) {
		t.Errorf("signed in: %v; want %v; answer:\n%s", got, good, answer)
	}
	if status, _ := redeem(p.verifier()); status != http.StatusBadRequest {
		t.Errorf("the second time the status is %d; want 400", status)
	}
}

// wantNoPart looks for pieces of what the bridge made up.
func wantNoPart(t *testing.T, where, text string, values ...string) {
	t.Helper()
	for _, value := range values {
		if part := middle(value); strings.Contains(text, part) {
			t.Errorf("%s holds %q:\n%s", where, part, text)
		}
	}
}

// strangeLedRequests put what is secret into wrong places of the flow.
func strangeLedRequests(t *testing.T, bridge string, made *seen) {
	t.Helper()
	base := bridge + "/api/auth/tiktok/"
	p := planted{number: "000"}
	values := append(p.all(), made.values[:min(9, len(made.values))]...)
	for _, v := range values {
		secret := url.QueryEscape(v)
		quoted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []struct{ method, path, body string }{
			{"GET", "start?platform=" + secret, ""},
			{"GET", "start?platform=native&scheme=" + secret + "&challenge=" + secret, ""},
			{"GET", "start?platform=web&redirect_to=https://app.example@" + secret, ""},
			{"GET", "callback?state=" + secret + "&code=" + secret, ""},
			{"GET", "callback?error=" + secret + "&error_description=" + secret, ""},
			{"HEAD", "callback?state=" + secret, ""},
			{"POST", "callback?state=" + secret, string(quoted)},
			{"GET", "redeem?tikbridge_handoff=" + secret, ""},
			{"POST", "redeem", string(quoted)},
			{"POST", "redeem?tikbridge_handoff=" + secret, `{"handoff":[` + string(quoted) + `]}`},
			{"POST", "redeem", `{"handoff":` + string(quoted) + `,"verifier":` + string(quoted) + `}`},
			{"POST", "redeem", `{"handoff":` + string(quoted)},
			{"GET", secret, ""},
		} {
			status, answer := ask(t, r.method, base+r.path, "__Host-tikbridge-canary00="+secret, r.body)
			if status >= http.StatusInternalServerError { // a used state is still good for the way back
				t.Errorf("%s %s answers %d", r.method, r.path[:4], status)
			}
			wantNone(t, "the answer to "+r.method+" "+r.path[:4], answer, hiddenWord, personsWord)
			wantNoPart(t, "the answer to "+r.method+" "+r.path[:4], answer, v)
		}
	}
}

// strangeRequests are those that nobody's page sends, with secrets in wrong places.
func strangeRequests(t *testing.T, bridge string) {
	t.Helper()
	p := planted{number: "000"}
	query := "?" + url.Values{
		"code": {p.code()}, "state": {"canary|myapp"}, "access_token": {p.goAccess()}, "refresh_token": {p.goRefresh()},
	}.Encode()
	requests := []struct{ method, path, body string }{
		{"GET", "/auth" + query, ""},
		{"GET", "/native-callback.html" + query, ""},
		{"GET", "/" + query, ""},
		{"GET", "/api/auth/tiktok-callback" + query, ""},
		{"GET", "/callback/" + url.PathEscape(p.code()), ""},
		{"GET", "/readyz" + query, ""},
		{"CANARY", "/auth" + query, ""},
		{"POST", "/api/auth/tiktok-callback" + query, ""},
		{"POST", "/api/auth/tiktok-callback", `{"code":"` + p.hash()},
		{"POST", "/api/auth/tiktok-callback", p.code()},
		{"POST", "/api/auth/tiktok-callback", `{"code":["` + p.hash() + `"]}`},
		{
			"POST", "/api/auth/tiktok-callback",
			`{"code":"` + p.hash() + `","redirect_uri":"https://canary.example/songbird"}`,
		},
		{
			"POST", "/api/auth/tiktok-callback",
			`{"code":"` + p.hash() + `","redirect_uri":"https://app.example/auth","state":"songbird|canary"}`,
		},
		{
			"POST", "/api/auth/tiktok-callback",
			`{"code":"` + strings.Repeat(p.hash(), 200) + `","redirect_uri":"https://app.example/auth"}`,
		},
		{
			"POST", "/api/auth/tiktok-callback",
			`{"code":"` + strings.Repeat(p.hash(), 5000) + `","redirect_uri":"https://app.example/auth"}`,
		},
	}
	for _, r := range requests {
		for _, origin := range []string{"", "https://canary.example"} {
			if origin != "" && len(r.body) > 64<<10 {
				continue // refused unread, so that the answer may be lost
			}
			req, err := http.NewRequestWithContext(t.Context(), r.method, bridge+r.path, strings.NewReader(r.body))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{
				"User-Agent", "Authorization", "Apikey", "Cookie", "Referer", "X-Forwarded-For", "X-Request-Id",
			} {
				req.Header.Set(name, "Bearer canary songbird")
			}
			if origin != "" {
				req.Header.Set("Origin", origin)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := httputil.DumpResponse(resp, true)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			wantNone(t, "the answer to "+r.method+" "+r.path[:5], string(whole), hiddenWord, personsWord)
		}
	}
	// What net/http refuses by itself.
	for _, text := range []string{
		"GET /canary HTTP/9.9\r\n\r\n", "canary songbird\r\n\r\n",
		"POST /canary HTTP/1.1\r\nHost: x\r\nContent-Length: canary\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(bridge, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(conn, text)
		whole, _ := io.ReadAll(conn)
		_ = conn.Close()
		wantNone(t, "the answer to what is no HTTP", string(whole), hiddenWord, personsWord)
	}
}
