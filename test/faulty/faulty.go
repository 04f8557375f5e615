// Package faulty makes upstreams fail, for tests: single calls or all of them, in the ways in which
// networks, gateways and APIs do.
package faulty

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Fault mistreats one request. The healthy upstream is next: a fault that lets the request take effect
// calls it.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Upstream is TikTok, Supabase or an own backend with a fault now and then. Safe for concurrent use.
type Upstream struct {
	// Next is the healthy upstream.
	Next http.Handler
	// Choose returns the fault of a request; nil: none. The body was read, and can be read again.
	Choose func(call Call, r *http.Request, body []byte) Fault

	mu   sync.Mutex
	seen map[Call]int
}

// ServeHTTP implements http.Handler.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// To the end, also for faults that look at nothing: only then net/http notices a client that leaves.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	call := CallOf(r, body)
	u.mu.Lock()
	if u.seen == nil {
		u.seen = map[Call]int{}
	}
	u.seen[call]++
	u.mu.Unlock()
	if fault := u.Choose(call, r, body); fault != nil {
		fault(w, r, u.Next)
		return
	}
	u.Next.ServeHTTP(w, r)
}

// Seen returns how many requests of a call arrived.
func (u *Upstream) Seen(call Call) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[call]
}

// RetryAfter is the value of that header, in seconds, in the answers of [Kinds].
const RetryAfter = 7

// Kind is a fault with a name.
type Kind struct {
	// Name says in a few words what the upstream does.
	Name string
	// Fault does it.
	Fault Fault
}

// Kinds returns the ways of failing that every upstream has. Redirects lead to elsewhere, a URL.
func Kinds(elsewhere string) []Kind {
	return []Kind{
		{"closes the connection before it acts", Reset},
		{"acts, and closes the connection", ResetAfter},
		{"hangs", Hang},
		{"acts, and answers byte by byte", Drip},
		{"500", errorIn(http.StatusInternalServerError)},
		{
			"502 with a gateway's page",
			Respond(http.StatusBadGateway, "text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>"),
		},
		{"503 with Retry-After", later(http.StatusServiceUnavailable)},
		{"429 with Retry-After", later(http.StatusTooManyRequests)},
		{
			"acts, and answers half of its JSON",
			Spoil(func(a *httptest.ResponseRecorder) { a.Body.Truncate(a.Body.Len() / 2) }),
		},
		{
			"JSON of other types",
			Respond(
				http.StatusOK, jsonType,
				`{"access_token":[1],"open_id":2,"data":"x","id":{},"user":[true],"hashed_token":3}`,
			),
		},
		{
			"acts, and labels its JSON as a page",
			Spoil(func(a *httptest.ResponseRecorder) { a.Header().Set("Content-Type", "text/html") }),
		},
		{"a body of 10 MB", Respond(http.StatusOK, jsonType, strings.Repeat("0123456789abcdef", 10<<20/16))},
		{"an error with status 200", errorIn(http.StatusOK)},
		{"redirects elsewhere", Redirect(http.StatusTemporaryRedirect, elsewhere)},
	}
}

const jsonType = "application/json"

// Respond answers in place of the upstream; the request has no effect.
func Respond(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// errorIn answers with an internal error, in the words of whoever was asked.
func errorIn(status int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body := `{"code":"unexpected_failure","message":"Unexpected failure, please check server logs for more information"}`
		switch CallOf(r, nil) {
		case Token, Revoke:
			body = `{"error":"server_error","error_description":"Something went wrong.","log_id":"20260101A"}`
		case UserInfo:
			body = `{"data":{},"error":{"code":"internal_error","message":"Something went wrong.","log_id":"20260101A"}}`
		case SignIn:
			body = `{"error":"server_error"}`
		default:
			w.Header().Set("X-Sb-Error-Code", "unexpected_failure")
		}
		Respond(status, jsonType, body)(w, r, next)
	}
}

func later(status int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Retry-After", fmt.Sprint(RetryAfter))
		Respond(status, "text/plain", http.StatusText(status))(w, r, next)
	}
}

// Redirect answers with a Location.
func Redirect(status int, location string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	}
}

// Raw writes text in place of HTTP.
func Raw(text string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		hijack(w, func(conn net.Conn) { _, _ = io.WriteString(conn, text) })
	}
}

// Reset resets the connection; the request has no effect.
func Reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	hijack(w, func(conn net.Conn) { _ = conn.(interface{ SetLinger(int) error }).SetLinger(0) })
}

// ResetAfter lets the request take effect and resets the connection instead of answering.
func ResetAfter(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	Reset(w, r, next)
}

// Hang answers nothing until the client leaves.
func Hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// Drip lets the request take effect and sends a byte of the answer every other second.
func Drip(w http.ResponseWriter, r *http.Request, next http.Handler) {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	start(w, answer)
	flusher := http.NewResponseController(w)
	for _, b := range answer.Body.Bytes() {
		if _, err := w.Write([]byte{b}); err != nil || flusher.Flush() != nil || !wait(r.Context(), 2*time.Second) {
			return
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Spoil lets the request take effect and changes the answer.
func Spoil(change func(*httptest.ResponseRecorder)) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		change(answer)
		start(w, answer)
		_, _ = w.Write(answer.Body.Bytes())
	}
}

func start(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), answer.Header())
	w.Header().Del("Content-Length")
	w.WriteHeader(answer.Code)
}

func hijack(w http.ResponseWriter, f func(net.Conn)) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	f(conn)
	_ = conn.Close()
}
