package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestExchange(t *testing.T) {
	t.Parallel()
	for _, path := range []string{exchangePath, functionPath} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var grant signin.Grant
			b := newBridge(t, people{exchange: func(_ context.Context, g signin.Grant) (signin.Identity, error) {
				grant = g
				return signin.Identity{OpenID: "-000open"}, nil
			}})
			const body = `{"code":"a*b!c","redirect_uri":"https://app.example/auth","state":"u|myapp",` +
				`"code_verifier":"v","extra":{"x":[1]}}`
			resp := b.do(t, http.MethodPost, path, body)
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("answer is %d %s; want 200 application/json", resp.StatusCode, resp.Header.Get("Content-Type"))
			}
			want := map[string]any{
				"access_token": "a.b.c", "token_type": "bearer", "expires_in": 3600.0, "expires_at": 2e9,
				"refresh_token": "refresh", "user": map[string]any{"id": userID},
			}
			if diff := cmp.Diff(want, readJSON(t, resp)); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
			wantGrant := signin.Grant{Code: "a*b!c", RedirectURI: "https://app.example/auth", CodeVerifier: "v"}
			if grant != wantGrant {
				t.Errorf("TikTok was asked with code %q, redirect_uri %q, verifier %q; want %q, %q, %q", grant.Code,
					grant.RedirectURI, grant.CodeVerifier, wantGrant.Code, wantGrant.RedirectURI, wantGrant.CodeVerifier)
			}
		})
	}
}

func TestExchange_bodies(t *testing.T) {
	t.Parallel()
	const (
		noJSON   = "not valid JSON"
		noObject = "must be a JSON object"
	)
	tests := []struct {
		name, body string
		want       string // part of the description; "" for a session
	}{
		{"as the guide has it", goodBody, ""},
		{"white space around it", "\r\n\t " + goodBody + " \n", ""},
		{"escapes", `{"code":"\u0067ood","redirect_uri":"https:\/\/app.example\/auth"}`, ""},
		{"state of null", `{"code":"x","redirect_uri":"https://app.example/auth","state":null}`, ""},
		{"fields of other pages", `{"code":"x","redirect_uri":"https://app.example/auth","scopes":7,"":{}}`, ""},
		{"the last of two counts", `{"code":"","code":"x","redirect_uri":"https://app.example/auth"}`, ""},
		{"nothing", "", "is empty; it must be a JSON object with code and redirect_uri"},
		{"white space", " \n", noJSON},
		{"half", `{"code":`, noJSON},
		{"two", goodBody + goodBody, noJSON},
		{"rubbish behind", goodBody + "x", noJSON},
		{"form", "code=x&redirect_uri=https%3A%2F%2Fapp.example%2Fauth", noJSON},
		{"byte order mark", "\ufeff" + goodBody, noJSON},
		{"UTF-16", "\xff\xfe{\x00}\x00", noJSON},
		{"comma behind", `{"code":"x",}`, noJSON},
		{"line break in a text", "{\"code\":\"a\nb\"}", noJSON},
		{"deep", strings.Repeat("[", 20_000), noJSON},
		{"list", `[]`, noObject},
		{"list of one", `[` + goodBody + `]`, noObject},
		{"text", `"code"`, noObject},
		{"number", `7`, noObject},
		{"null", `null`, "code is missing"},
		{"empty object", `{}`, "code is missing"},
		{"code of null", `{"code":null,"redirect_uri":"https://app.example/auth"}`, "code is missing"},
		{"code is a number", `{"code":7,"redirect_uri":"https://app.example/auth"}`, "code must be a string"},
		{"code is an object", `{"code":{},"redirect_uri":"https://app.example/auth"}`, "code must be a string"},
		{
			"redirect_uri is a list", `{"code":"x","redirect_uri":["https://app.example/auth"]}`,
			"redirect_uri must be a string",
		},
		{
			"state is a boolean", `{"code":"x","redirect_uri":"https://app.example/auth","state":true}`,
			"state must be a string",
		},
		{
			"code_verifier is a number", `{"code":"x","redirect_uri":"https://app.example/auth","code_verifier":1e999}`,
			"code_verifier must be a string",
		},
		{"no redirect_uri", `{"code":"x"}`, "redirect_uri is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp := newBridge(t, people{}).post(t, tt.body)
			if tt.want == "" {
				wantStatus(t, resp, http.StatusOK)
				return
			}
			if got := wantError(
				t, resp, http.StatusBadRequest, signin.InvalidRequest,
			); !strings.Contains(got, tt.want) {
				t.Errorf("error_description is %q; want %q in it", got, tt.want)
			}
		})
	}
}

// TestExchange_contentType takes what hand-written fetch calls send: JSON under any name.
func TestExchange_contentType(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{
		"application/json", "application/json; charset=utf-8", "text/plain;charset=UTF-8", "application/octet-stream",
	} {
		wantStatus(t, newBridge(t, people{}).post(t, goodBody, "Content-Type", contentType), http.StatusOK)
	}
}

// TestExchange_unencodable: a session that is no JSON is an error, and nothing of it is sent.
func TestExchange_unencodable(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{signIn: func(context.Context, netip.Addr) (signin.SignedIn, error) {
		return signin.SignedIn{Session: signin.Session{
			AccessToken: "canary", RefreshToken: "canary", User: json.RawMessage(`{"id":`),
		}}, nil
	}})
	resp := b.post(t, goodBody)
	body := readBody(t, resp)
	if resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "canary") {
		t.Errorf("answer is %d %s; want 500 and nothing of the session", resp.StatusCode, body)
	}
	if !json.Valid([]byte(body)) || !strings.Contains(body, string(signin.Internal)) {
		t.Errorf("body is %s; want the error alone", body)
	}
}

func TestExchange_guideFlowOff(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{exchange: func(context.Context, signin.Grant) (signin.Identity, error) {
		t.Error("TikTok was asked")
		return signin.Identity{}, nil
	}}, func(o *server.Options) { o.GuideFlow = false })
	for _, path := range []string{exchangePath, functionPath} {
		description := wantError(t, b.do(t, http.MethodPost, path, goodBody), http.StatusBadRequest, signin.InvalidRequest)
		if !strings.Contains(description, "switched off here") {
			t.Errorf("error_description is %q; want it to say that this is switched off", description)
		}
		if !strings.Contains(b.log.String(), "Set security.guide_flow to true") {
			t.Errorf("the log does not name the setting:\n%s", b.log)
		}
	}
}

func TestExchange_deadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, people{exchange: func(ctx context.Context, _ signin.Grant) (signin.Identity, error) {
			<-ctx.Done()
			return signin.Identity{}, &signin.Error{
				Code: signin.TikTokUnavailable, Message: "No answer.", Err: ctx.Err(),
			}
		}})
		start := time.Now()
		wantError(t, b.post(t, goodBody), http.StatusServiceUnavailable, signin.TikTokUnavailable)
		if got := time.Since(start); got != 25*time.Second {
			t.Errorf("a TikTok that never answers is given up after %s; want 25s", got)
		}
	})
}

// bodyOf returns a good request of n bytes.
func bodyOf(n int) string {
	return goodBody + strings.Repeat(" ", n-len(goodBody))
}

// unsized is a body that does not tell its length.
type unsized struct{ io.Reader }

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	for _, tt := range []struct{ size, want int }{{limit - 1, 200}, {limit, 200}, {limit + 1, 413}, {2_000_000, 413}} {
		for _, sized := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d sized %v", tt.size, sized), func(t *testing.T) {
				t.Parallel()
				req := httptest.NewRequest(http.MethodPost, exchangePath, unsized{strings.NewReader(bodyOf(tt.size))})
				if sized {
					req = httptest.NewRequest(http.MethodPost, exchangePath, strings.NewReader(bodyOf(tt.size)))
				}
				resp := newBridge(t, people{}).serve(req)
				if tt.want == http.StatusOK {
					wantStatus(t, resp, http.StatusOK)
				} else if got := wantError(t, resp, tt.want, signin.InvalidRequest); !strings.Contains(got, "64 KiB") {
					t.Errorf("error_description is %q; want the limit in it", got)
				}
			})
		}
	}
}

// TestBodyLimit_connection sends all of a large body before it reads, as simple clients do. A server
// that stops reading too early resets the connection, and the answer is lost. On a pipe, which holds
// nothing, it is lost for certain; on a real connection it depends on the buffers.
func TestBodyLimit_connection(t *testing.T) {
	t.Parallel()
	body := bodyOf(2_000_000)
	tests := []struct{ name, framing, body string }{
		{"Content-Length", fmt.Sprintf("Content-Length: %d", len(body)), body},
		{"chunked", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)},
	}
	for _, tt := range tests {
		request := fmt.Sprintf(
			"POST %s HTTP/1.1\r\nHost: bridge\r\nOrigin: %s\r\n%s\r\n\r\n%s", exchangePath, appOrigin, tt.framing,
			tt.body,
		)
		t.Run(tt.name+" on a pipe", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				startServing(t, l, newBridge(t, people{}), time.Second, io.Discard)
				conn, err := l.dial()
				if err != nil {
					t.Fatal(err)
				}
				wantTooLarge(t, conn, request)
			})
		})
		t.Run(tt.name+" on TCP", func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			startServing(t, l, newBridge(t, people{}), time.Second, io.Discard)
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			wantTooLarge(t, conn, request)
		})
	}
}

// wantTooLarge sends the whole request, then reads the answer.
func wantTooLarge(t *testing.T, conn net.Conn, request string) {
	t.Helper()
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatalf("send: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != appOrigin {
		t.Errorf("Access-Control-Allow-Origin is %q; want %q", got, appOrigin)
	}
	wantError(t, resp, http.StatusRequestEntityTooLarge, signin.InvalidRequest)
}

// TestBodyCutShort is a phone that goes into a tunnel.
func TestBodyCutShort(t *testing.T) {
	t.Parallel()
	req := httptest.NewRequest(http.MethodPost, exchangePath, io.MultiReader(strings.NewReader(`{"code":`), cutOff{}))
	description := wantError(t, newBridge(t, people{}).serve(req), http.StatusBadRequest, signin.InvalidRequest)
	if want := "The request body did not arrive whole."; description != want {
		t.Errorf("error_description is %q; want %q", description, want)
	}
}

type cutOff struct{}

// Read implements io.Reader.
func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
