package tiktoksim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	untilReset   = -1
	noFault      = "none"
	retryAfter   = 3 // seconds, the Retry-After of status_503 and rate_limited
	dripInterval = 100 * time.Millisecond
	hugeSize     = 10 << 20
)

// exchange is one request on its way to an answer.
type exchange struct {
	w        http.ResponseWriter
	r        *http.Request
	endpoint endpoint
	ended    <-chan struct{} // closed by a Reset after the request has arrived
}

// fault is a way to fail. One with instead answers before the request has any effect: a code in it
// stays unspent. One with spoil lets the request take effect and then mistreats the answer.
type fault struct {
	name      string
	about     string
	endpoints []endpoint
	instead   func(*Server, exchange)
	spoil     func(*Server, exchange, answer)
}

// plan is a fault waiting for requests.
type plan struct {
	fault fault
	left  int
}

var (
	faulty = []endpoint{
		endpointToken, endpointUserInfo, endpointVideoList, endpointRevoke, endpointAuthorize, endpointWebhook,
	}
	everywhere = []endpoint{
		endpointToken, endpointUserInfo, endpointVideoList, endpointRevoke, endpointAuthorize,
	}
	apis       = []endpoint{endpointToken, endpointUserInfo, endpointVideoList, endpointRevoke}
	oauthOnly  = []endpoint{endpointToken, endpointRevoke}
	tokenOnly  = []endpoint{endpointToken}
	display    = []endpoint{endpointUserInfo, endpointVideoList}
	videosOnly = []endpoint{endpointVideoList}
	identity   = []endpoint{endpointToken, endpointUserInfo}
	authOnly   = []endpoint{endpointAuthorize}
	hooksOnly  = []endpoint{endpointWebhook}
)

// faults are all there are. The text of each is what GET /sim/ shows.
var faults = []fault{
	{"status_500", "HTTP 500 with a JSON error", everywhere, serverError(500), nil},
	{"status_503", "HTTP 503 with Retry-After", everywhere, serverError(503), nil},
	{"status_502_html", "HTTP 502 with a gateway's HTML page", everywhere, gatewayPage, nil},
	{"error_200", "a server error in an HTTP 200 body", apis, serverError(200), nil},
	{"rate_limited", "HTTP 429 rate_limit_exceeded", apis, rateLimited, nil},
	{
		"invalid_grant", "HTTP 400 invalid_grant", tokenOnly,
		oauthFault("invalid_grant", textCode, http.StatusBadRequest), nil,
	},
	{
		"invalid_grant_200", "invalid_grant in an HTTP 200 body", tokenOnly,
		oauthFault("invalid_grant", textCode, http.StatusOK), nil,
	},
	{
		"invalid_client", "HTTP 401 invalid_client", oauthOnly,
		oauthFault("invalid_client", textClient, http.StatusUnauthorized), nil,
	},
	{
		"invalid_client_200", "invalid_client in an HTTP 200 body", oauthOnly,
		oauthFault("invalid_client", textClient, http.StatusOK), nil,
	},
	{
		"invalid_request_redirect", "HTTP 400, the redirect_uri does not match", tokenOnly,
		oauthFault("invalid_request", textRedirect, http.StatusBadRequest), nil,
	},
	{
		"access_token_invalid", "HTTP 401 access_token_invalid", display,
		apiFault(http.StatusUnauthorized, "access_token_invalid"), nil,
	},
	{
		"scope_not_authorized", "HTTP 401 scope_not_authorized", display,
		apiFault(http.StatusUnauthorized, "scope_not_authorized"), nil,
	},
	{"rfc_status", "errors come with RFC 6749 statuses, not 200", oauthOnly, nil, rfcStatuses},
	{"hang", "no answer until the client leaves or a reset", everywhere, hang, nil},
	{"reset_before", "connection closed, the request has no effect", everywhere, abort, nil},
	{"reset_after", "the request takes effect, connection closed", everywhere, nil, abortAfter},
	{"slow_drip", "takes effect, answer trickles byte by byte", everywhere, nil, drip},
	{"truncated", "takes effect, answer breaks off in the middle", everywhere, nil, truncate},
	{"not_json", "HTTP 200 with a body that is no JSON", apis, notJSON, nil},
	{"wrong_content_type", "takes effect, JSON labelled text/html", apis, nil, mislabel},
	{"huge_body", "HTTP 200 with 10 MB of JSON", apis, hugeBody, nil},
	{"other_open_id", "takes effect, names another person", identity, nil, otherOpenID},
	{"no_open_id", "takes effect, the open_id is left out", identity, nil, withoutOpenID},
	{"no_refresh_token", "takes effect, the refresh token is left out", tokenOnly, nil, withoutRefresh},
	{"short_page", "takes effect, half of the videos are left out", videosOnly, nil, shortPage},
	{"redirect", "HTTP 302 to /sim/elsewhere", everywhere, elsewhere, nil},
	{"empty_200", "HTTP 200 with an empty body", everywhere, emptyBody, nil},
	{"access_denied", "redirects at once, access_denied", authOnly, nil, denied("access_denied")},
	{"server_error", "redirects at once, server_error", authOnly, nil, denied("server_error")},
	{"wrong_state", "redirects at once with a code and a foreign state", authOnly, nil, wrongState},

	// What happens to an event on its way: see webhookFaults.
	{"wrong_signature", "signed with another secret", hooksOnly, nil, nil},
	{"no_signature", "the signature is missing", hooksOnly, nil, nil},
	{"altered", "the body was changed after it was signed", hooksOnly, nil, nil},
	{"old_signature", "signed 80 hours ago", hooksOnly, nil, nil},
	{"future_signature", "signed with a clock that is an hour ahead", hooksOnly, nil, nil},
	{"replay", "the same request arrives twice", hooksOnly, nil, nil},
	{"duplicate", "the same event arrives twice, signed anew", hooksOnly, nil, nil},
	{"unknown_event", "an event nobody knows", hooksOnly, nil, nil},
	{"other_client_key", "an event of another app, with this app's signature", hooksOnly, nil, nil},
	{"content_object", "the content is an object, not a string", hooksOnly, nil, nil},
	{"event_not_json", "the body is no JSON, and is signed", hooksOnly, nil, nil},
}

func faultsOf(e endpoint) []fault {
	var out []fault
	for _, f := range faults {
		if slices.Contains(f.endpoints, e) {
			out = append(out, f)
		}
	}
	return out
}

// plan queues a fault for the next count requests to e; untilReset means all of them.
func (s *Server) plan(e endpoint, name string, count int) error {
	if !slices.Contains(faulty, e) {
		return fmt.Errorf("endpoint %q is unknown; valid are %s", e, joined(faulty))
	}
	if count < 1 && count != untilReset {
		return errors.New("count is 1 or more, or -1 for until reset")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == noFault {
		delete(s.state.plans, e)
		return nil
	}
	valid := []string{noFault}
	for _, f := range faultsOf(e) {
		if f.name == name {
			s.state.plans[e] = append(s.state.plans[e], plan{f, count})
			return nil
		}
		valid = append(valid, f.name)
	}
	return fmt.Errorf("fault %q is unknown for %s; valid are %s", name, e, strings.Join(valid, ", "))
}

// arrive counts a request and returns the fault planned for it; without one, the zero fault. The
// channel is taken in the same step, so that no Reset can slip in between and be missed.
func (s *Server) arrive(e endpoint) (fault, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.counts[e]++
	queue := s.state.plans[e]
	if len(queue) == 0 {
		return fault{}, s.state.ended
	}
	f := queue[0].fault
	if queue[0].left != untilReset {
		queue[0].left--
	}
	if queue[0].left == 0 {
		s.state.plans[e] = queue[1:]
	}
	return f, s.state.ended
}

func joined(es []endpoint) string {
	names := make([]string, len(es))
	for i, e := range es {
		names[i] = string(e)
	}
	return strings.Join(names, ", ")
}

// serverError answers with an internal error in the shape of the endpoint.
func serverError(status int) func(*Server, exchange) {
	return func(s *Server, x exchange) {
		var a answer
		switch {
		case slices.Contains(display, x.endpoint):
			a = s.apiError(status, "internal_error", textServer)
		case status == http.StatusServiceUnavailable:
			a = s.simError(status, "temporarily_unavailable", textServer)
		default:
			a = s.simError(status, "server_error", textServer)
		}
		if status == http.StatusServiceUnavailable {
			a.header.Set("Retry-After", strconv.Itoa(retryAfter))
		}
		a.write(x.w)
	}
}

func rateLimited(s *Server, x exchange) {
	a := s.simError(http.StatusTooManyRequests, "rate_limit_exceeded", textRate)
	if slices.Contains(display, x.endpoint) {
		a = s.apiError(http.StatusTooManyRequests, "rate_limit_exceeded", textRate)
	}
	a.header.Set("Retry-After", strconv.Itoa(retryAfter))
	a.write(x.w)
}

func oauthFault(code, text string, status int) func(*Server, exchange) {
	return func(s *Server, x exchange) { s.simError(status, code, text).write(x.w) }
}

func apiFault(status int, code string) func(*Server, exchange) {
	return func(s *Server, x exchange) { s.apiError(status, code, "A planned fault.").write(x.w) }
}

func gatewayPage(_ *Server, x exchange) {
	newAnswer(http.StatusBadGateway, "text/html", []byte(
		"<html><head><title>502 Bad Gateway</title></head>"+
			"<body><center><h1>502 Bad Gateway</h1></center></body></html>\n",
	)).write(x.w)
}

func rfcStatuses(_ *Server, x exchange, a answer) {
	if a.rfcStatus != 0 {
		a.status = a.rfcStatus
	}
	a.write(x.w)
}

// hang holds the answer until the client leaves or the simulator is reset.
func hang(s *Server, x exchange) {
	select {
	case <-x.r.Context().Done():
	case <-x.ended:
	}
	abort(s, x)
}

// abort closes the connection without a word; net/http does so for this panic and logs nothing.
func abort(*Server, exchange) { panic(http.ErrAbortHandler) }

func abortAfter(s *Server, x exchange, _ answer) { abort(s, x) }

// drip sends one byte at a time, slower than any patience, until the client leaves.
func drip(_ *Server, x exchange, a answer) {
	a.writeHeader(x.w)
	flusher := http.NewResponseController(x.w)
	for i := range a.body {
		if _, err := x.w.Write(a.body[i : i+1]); err != nil {
			return
		}
		if err := flusher.Flush(); err != nil || !wait(x.r.Context(), dripInterval) {
			return
		}
	}
}

// truncate promises the whole body and sends half; net/http then closes the connection.
func truncate(s *Server, x exchange, a answer) {
	a.writeHeader(x.w)
	_, _ = x.w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(x.w).Flush()
	abort(s, x)
}

func notJSON(_ *Server, x exchange) {
	newAnswer(http.StatusOK, jsonType, []byte("upstream says hello\n")).write(x.w)
}

func mislabel(_ *Server, x exchange, a answer) {
	a.header.Set("Content-Type", "text/html; charset=utf-8")
	a.write(x.w)
}

func hugeBody(_ *Server, x exchange) {
	body := make([]byte, 0, hugeSize+32)
	body = append(body, `{"padding":"`...)
	for len(body) < hugeSize {
		body = append(body, "0123456789abcdef"...)
	}
	newAnswer(http.StatusOK, jsonType, append(body, `"}`...)).write(x.w)
}

func otherOpenID(_ *Server, x exchange, a answer) {
	editJSON(a, func(m map[string]any) {
		for _, holder := range []map[string]any{m, userOf(m)} {
			if p, ok := holder["open_id"].(string); ok {
				holder["open_id"] = stranger(Person{OpenID: p}).OpenID
			}
		}
	}).write(x.w)
}

func withoutOpenID(_ *Server, x exchange, a answer) {
	editJSON(a, func(m map[string]any) {
		delete(m, "open_id")
		delete(userOf(m), "open_id")
	}).write(x.w)
}

func withoutRefresh(_ *Server, x exchange, a answer) {
	editJSON(a, func(m map[string]any) {
		delete(m, "refresh_token")
		delete(m, "refresh_expires_in")
	}).write(x.w)
}

func userOf(m map[string]any) map[string]any {
	data, _ := m["data"].(map[string]any)
	user, _ := data["user"].(map[string]any)
	return user
}

// editJSON changes the body of an answer and leaves one that is no JSON object as it is.
func editJSON(a answer, edit func(map[string]any)) answer {
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		return a
	}
	edit(m)
	edited := jsonAnswer(a.status, m)
	edited.header = a.header
	return edited
}

func elsewhere(_ *Server, x exchange) { redirectTo("/sim/elsewhere").write(x.w) }

func emptyBody(_ *Server, x exchange) { newAnswer(http.StatusOK, jsonType, nil).write(x.w) }

// denied redirects back with an error, provided that the request itself was in order.
func denied(code string) func(*Server, exchange, answer) {
	return func(s *Server, x exchange, a answer) {
		if req, bad := s.parseAuthRequest(x.r.URL.RawQuery); bad == nil {
			a = sendError(req, code, "A planned fault.")
		}
		a.write(x.w)
	}
}

// wrongState redirects back as an attacker would, with a good code and a state of their own.
func wrongState(s *Server, x exchange, a answer) {
	if req, bad := s.parseAuthRequest(x.r.URL.RawQuery); bad == nil {
		req.state = "not-" + req.state
		a = s.sendBack(req, grant{people[0], req.scopes})
	}
	a.write(x.w)
}
