package backend_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/backend"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

const (
	rawKey = "canary-key-of-exactly-32-bytes!!"
	url    = "https://app.example/tiktok"
)

var (
	secret = signin.Secret("whsec_" + base64.StdEncoding.EncodeToString([]byte(rawKey)))
	phone  = netip.MustParseAddr("192.0.2.7")
	mira   = signin.Identity{
		OpenID: "-000Mira", Scopes: []string{"user.info.basic"}, AccessToken: "canary-access",
		RefreshToken: "canary-refresh", ExpiresIn: time.Hour,
	}
	shown = signin.Profile{UnionID: "u1", DisplayName: "Mira <b>", AvatarURL: "https://cdn.example/a.jpg"}
)

// sent is a message as it arrived.
type sent struct {
	url, id, timestamp, signature, body string
	header                              http.Header
}

// receiver is a backend in memory. It keeps what it gets.
type receiver struct {
	mu     sync.Mutex
	got    []sent
	at     []time.Time
	answer func(n int, req *http.Request) (*http.Response, error)
}

// RoundTrip implements http.RoundTripper.
func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.got = append(r.got, sent{
		req.URL.String(), req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp"),
		req.Header.Get("Webhook-Signature"), string(body), req.Header,
	})
	r.at = append(r.at, time.Now())
	n := len(r.got)
	r.mu.Unlock()
	return r.answer(n, req)
}

func (r *receiver) messages() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func reply(status int, body string, headers ...string) (*http.Response, error) {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{
		StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1,
	}, nil
}

// always answers every message alike.
func always(status int, body string, headers ...string) *receiver {
	return &receiver{answer: func(int, *http.Request) (*http.Response, error) { return reply(status, body, headers...) }}
}

func newClient(t *testing.T, r http.RoundTripper, edit ...func(*backend.Options)) *backend.Client {
	t.Helper()
	opts := backend.Options{URL: url, Secret: secret, Transport: r}
	for _, f := range edit {
		f(&opts)
	}
	c, err := backend.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func signIn(ctx context.Context, c *backend.Client) (signin.SignedIn, error) {
	return c.SignIn(ctx, mira, phone, func() signin.Profile { return shown })
}

// wantSigned checks a signature as the specification says: HMAC-SHA256 of id, time and body, joined by dots.
func wantSigned(t *testing.T, m sent) {
	t.Helper()
	h := hmac.New(sha256.New, []byte(rawKey))
	_, _ = fmt.Fprintf(h, "%s.%s.%s", m.id, m.timestamp, m.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); m.signature != want || m.id == "" {
		t.Errorf("message %q has the signature %q; want %q", m.id, m.signature, want)
	}
}

const goodSession = `{"access_token":"own|token","user":{"id":7},"expires":"tomorrow"}`

func TestSignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := always(200, goodSession)
		in, err := signIn(t.Context(), newClient(t, r))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(in.Session.Raw); got != goodSession || in.Session.AccessToken != "own|token" || in.Created {
			t.Errorf("got %s, created %t; want the session as the backend wrote it", got, in.Created)
		}
		m := r.messages()[0]
		wantSigned(t, m)
		want := `{"type":"sign_in","timestamp":"2000-01-01T00:00:00Z","data":{"open_id":"-000Mira","union_id":"u1",` +
			`"display_name":"Mira \u003cb\u003e","avatar_url":"https://cdn.example/a.jpg","scopes":["user.info.basic"],` +
			`"client_ip":"192.0.2.7"}}`
		if diff := cmp.Diff(want, m.body); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if m.timestamp != fmt.Sprint(time.Now().Unix()) || m.url != url ||
			m.header.Get("Content-Type") != "application/json" {
			t.Errorf("sent to %s at %s with %v", m.url, m.timestamp, m.header)
		}
	})
}

// What TikTok did not tell must not overwrite what the backend has.
func TestSignIn_leavesOut(t *testing.T) {
	t.Parallel()
	r := always(201, goodSession)
	in, err := newClient(t, r).SignIn(
		t.Context(), signin.Identity{OpenID: "-000Mira"}, netip.Addr{}, func() signin.Profile { return signin.Profile{} },
	)
	if err != nil || !in.Created {
		t.Errorf("got created %t, %v; want 201 to tell of a new account", in.Created, err)
	}
	var got struct{ Data map[string]any }
	if err := json.Unmarshal([]byte(r.messages()[0].body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"open_id": "-000Mira", "scopes": []any{}}, got.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

func TestSignIn_returnTokens(t *testing.T) {
	t.Parallel()
	r := always(200, goodSession)
	if _, err := signIn(t.Context(), newClient(t, r, func(o *backend.Options) { o.ReturnTokens = true })); err != nil {
		t.Fatal(err)
	}
	body := r.messages()[0].body
	if want := `"provider_token":"canary-access","provider_expires_in":3600`; !strings.Contains(body, want) {
		t.Errorf("got %s; want %s in it", body, want)
	}
	if strings.Contains(body, "canary-refresh") {
		t.Error("TikTok's refresh token has left the bridge")
	}
}

// TestSignIn_refusals has everything a backend may answer, down to what an attacker in its place would.
func TestSignIn_refusals(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string {
		return `{"access_token":"a","x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}"
	}
	tests := []struct {
		name  string
		from  *receiver
		want  signin.Cause
		calls int
		code  string
		wait  time.Duration
	}{
		{"says no", always(403, `{"error":"not_invited"}`), signin.CauseBackendRefuses, 1, "not_invited", 0},
		{"conflict", always(409, `{"error":"x"}`), signin.CauseBackendRefuses, 1, "x", 0},
		{"says no in words", always(422, `{"error":"canary: Mira may not"}`), signin.CauseBackendRefuses, 1, "", 0},
		{"says no with an object", always(400, `{"error":{"canary":1}}`), signin.CauseBackendRefuses, 1, "", 0},
		{"knows nobody", always(404, `{"error":"unknown"}`), signin.CauseBackendRefuses, 1, "unknown", 0},
		{"no route", always(404, "canary"), signin.CauseBackendNotFound, 1, "", 0},
		{"no POST", always(405, ""), signin.CauseBackendNotFound, 1, "", 0},
		{"a 4xx of a proxy", always(413, "<html>canary"), signin.CauseBackendFails, 1, "", 0},
		{"signature refused", always(401, `{"error":"bad_signature"}`), signin.CauseBackendSignature, 1, "bad_signature", 0},
		{"limit", always(429, "", "Retry-After", "7"), signin.CauseBackendLimit, 1, "", 7 * time.Second},
		{"limit without advice", always(429, ""), signin.CauseBackendLimit, 1, "", 10 * time.Second},
		{"fault", always(500, `{"error":"canary text"}`), signin.CauseBackendFails, 1, "", 0},
		{"down behind a proxy", always(503, "", "Retry-After", "3"), signin.CauseBackendFails, 2, "", 3 * time.Second},
		{"redirect", always(307, "", "Location", "https://elsewhere.example/"), signin.CauseBackendRedirects, 1, "", 0},
		{"redirect to itself", always(302, "", "Location", url), signin.CauseBackendRedirects, 1, "", 0},
		{"nothing", always(204, ""), signin.CauseBackendFails, 1, "", 0},
		{"empty", always(200, ""), signin.CauseBackendAnswer, 1, "", 0},
		{"HTML", always(200, "<!doctype html>canary", "Content-Type", "text/html"), signin.CauseBackendAnswer, 1, "", 0},
		{"list", always(200, `["canary"]`), signin.CauseBackendAnswer, 1, "", 0},
		{"null", always(200, "null"), signin.CauseBackendAnswer, 1, "", 0},
		{"no access_token", always(200, `{"token":"canary"}`), signin.CauseBackendAnswer, 1, "", 0},
		{"other case", always(200, `{"Access_Token":"canary"}`), signin.CauseBackendAnswer, 1, "", 0},
		{"number", always(200, `{"access_token":7}`), signin.CauseBackendAnswer, 1, "", 0},
		{"token with a line break", always(200, `{"access_token":"a\r\nb"}`), signin.CauseBackendAnswer, 1, "", 0},
		{"two documents", always(200, goodSession+goodSession), signin.CauseBackendAnswer, 1, "", 0},
		{"nested too deep", always(200, nested(10_000)), signin.CauseBackendAnswer, 1, "", 0},
		{"10 MB", always(200, `{"access_token":"`+strings.Repeat("a", 10<<20)+`"}`), signin.CauseBackendAnswer, 1, "", 0},
		{"connection fails", &receiver{answer: func(int, *http.Request) (*http.Response, error) {
			return nil, io.ErrUnexpectedEOF
		}}, signin.CauseBackendUnreachable, 2, "", 0},
		{"too slow", &receiver{answer: func(_ int, req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}}, signin.CauseBackendUnreachable, 1, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in, err := signIn(t.Context(), newClient(t, tt.from))
				var e *signin.Error
				if !errors.As(err, &e) || e.Cause != tt.want || e.Call != "sign_in" || e.Upstream.Service != "backend" {
					t.Fatalf("got %+v, %#v; want %s", in.Session.Reveal(), err, tt.want)
				}
				if e.Upstream.Code != tt.code || e.RetryAfter != tt.wait || e.Message != tt.want.Message() {
					t.Errorf("got %+v; want code %q and %s", e, tt.code, tt.wait)
				}
				if n := len(tt.from.messages()); n != tt.calls {
					t.Errorf("the backend was asked %d times; want %d", n, tt.calls)
				}
				if log := fmt.Sprint(e.LogAttrs(), e.Error()); strings.Contains(log, "canary") {
					t.Errorf("the log repeats what the backend wrote: %s", log)
				}
			})
		})
	}
}

// A session as deep as the decoder takes it reaches the app whole.
func TestSignIn_deepSession(t *testing.T) {
	t.Parallel()
	const depth = 9_000
	deep := `{"access_token":"a","x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}"
	in, err := signIn(t.Context(), newClient(t, always(200, deep)))
	if err != nil {
		t.Fatal(err)
	}
	in.Session.ProviderToken = "p"
	if got, err := json.Marshal(in.Session.Reveal()); err != nil || len(got) < len(deep) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// A message that is sent again is the same message, signed anew for its time.
func TestSignIn_retry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n == 1 {
				time.Sleep(time.Second) // of the bubble
				return reply(502, "")
			}
			return reply(200, goodSession)
		}}
		if _, err := signIn(t.Context(), newClient(t, r)); err != nil {
			t.Fatal(err)
		}
		got := r.messages()
		wantSigned(t, got[0])
		wantSigned(t, got[1])
		if got[0].id != got[1].id || got[0].body != got[1].body || got[0].timestamp == got[1].timestamp {
			t.Errorf("got %+v, then %+v; want the same id and body at another time", got[0], got[1])
		}
		if _, err := signIn(t.Context(), newClient(t, r)); err != nil {
			t.Fatal(err)
		}
		if next := r.messages()[2]; next.id == got[0].id {
			t.Error("two sign-ins have one id")
		}
	})
}

// Without time for another attempt, the first one decides.
func TestSignIn_retryWithinDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := always(503, "")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := signIn(ctx, newClient(t, r))
		if signin.CodeOf(err) != signin.BackendUnavailable || len(r.messages()) != 1 {
			t.Errorf("got %v after %d attempts", err, len(r.messages()))
		}
	})
}

// Over real connections: a redirect takes neither the secrets nor the person's data elsewhere.
func TestSignIn_redirectOverHTTP(t *testing.T) {
	t.Parallel()
	var followed bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	own := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusPermanentRedirect))
	defer own.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	_, err := signIn(t.Context(), newClient(t, transport, func(o *backend.Options) { o.URL = own.URL }))
	if e := signin.AsError(err); e.Cause != signin.CauseBackendRedirects || followed {
		t.Errorf("got %v, followed: %t", err, followed)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(rawKey))
	for given, want := range map[string]string{
		"whsec_" + encoded:                  "",
		encoded:                             "", // as every library of Standard Webhooks takes it
		"":                                  "is shorter than 24 bytes",
		"whsec_c2hvcnQ=":                    "is shorter than 24 bytes",
		"a plain text of enough characters": "is not base64, with or without whsec_ in front",
	} {
		got := ""
		if err := backend.CheckSecret(signin.Secret(given)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q; want %q", given, got, want)
		}
	}
	c := newClient(t, always(200, ""))
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, c); got != "backend.Client" {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	// checks answers 401 to what is not signed.
	checks := func(status int, body string) *receiver {
		return &receiver{answer: func(_ int, req *http.Request) (*http.Response, error) {
			if req.Header.Get("Webhook-Signature") == "" {
				return reply(401, "")
			}
			return reply(status, body)
		}}
	}
	tests := []struct {
		name     string
		from     *receiver
		want     signin.Cause
		unsigned bool
	}{
		{"knows pings", checks(204, ""), "", false},
		{"does not know them", checks(400, `{"error":"unknown_type"}`), "", false},
		{"does not know them either", checks(422, "what?"), "", false},
		{"other secret", checks(401, ""), signin.CauseBackendSignature, false},
		{"other address", checks(404, ""), signin.CauseBackendNotFound, false},
		{"broken", checks(500, ""), signin.CauseBackendFails, false},
		{"checks nothing", always(200, ""), "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, tt.from)
			var got signin.Cause
			if err := c.Ping(t.Context()); err != nil {
				got = signin.AsError(err).Cause
			}
			unsigned := errors.Is(c.CheckSignature(t.Context()), backend.ErrUnsigned)
			if got != tt.want || unsigned != tt.unsigned {
				t.Errorf("got %q, unsigned %t; want %q, %t", got, unsigned, tt.want, tt.unsigned)
			}
			if body := tt.from.messages()[0].body; !strings.HasPrefix(body, `{"type":"ping"`) {
				t.Errorf("sent %s", body)
			}
		})
	}
}

// The bridge uses somebody's TikTok tokens only for a session of the same person.
func TestCheckOwner(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		from *receiver
		want signin.Cause
	}{
		{"the person's own", always(200, `{"open_id":"-000Mira"}`), ""},
		{"somebody else's", always(200, `{"open_id":"-000mira"}`), signin.CauseNotOwner},
		{"over", always(403, `{"error":"signed_out"}`), signin.CauseSignedOut},
		{"unknown to the backend", always(400, `{"error":"unknown_type"}`), signin.CauseSignedOut},
		{"signature refused", always(401, `{"error":"x"}`), signin.CauseBackendSignature},
		{"nobody's", always(200, `{}`), signin.CauseBackendAnswer},
		{"in another case", always(200, `{"Open_ID":"-000Mira"}`), signin.CauseBackendAnswer},
		{"down", always(503, ""), signin.CauseBackendFails},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got signin.Cause
				if err := newClient(t, tt.from).CheckOwner(t.Context(), "own|token", mira.OpenID); err != nil {
					got = signin.AsError(err).Cause
				}
				if got != tt.want {
					t.Errorf("got %q; want %q", got, tt.want)
				}
				m := tt.from.messages()[0]
				wantSigned(t, m)
				for _, want := range []string{`"type":"session"`, `"access_token":"own|token"`} {
					if !strings.Contains(m.body, want) {
						t.Errorf("sent %s; want %s in it", m.body, want)
					}
				}
			})
		})
	}
}
