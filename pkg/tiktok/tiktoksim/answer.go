package tiktoksim

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const jsonType = "application/json; charset=utf-8"

// answer is a complete HTTP response, kept as a value until it is clear that it may be sent.
type answer struct {
	status    int
	rfcStatus int // what RFC 6749 would have answered; 0 if the same
	header    http.Header
	body      []byte
	event     *event // what the webhook hears after the answer
}

func newAnswer(status int, contentType string, body []byte) answer {
	h := http.Header{"Cache-Control": {"no-store"}}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return answer{status: status, header: h, body: body}
}

func jsonAnswer(status int, v any) answer {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // avatar URLs carry "&", and TikTok leaves it readable
	if err := enc.Encode(v); err != nil {
		return newAnswer(http.StatusInternalServerError, "text/plain", []byte(err.Error()))
	}
	return newAnswer(status, jsonType, buf.Bytes())
}

func redirectTo(location string) answer {
	a := newAnswer(http.StatusFound, "", nil)
	a.header.Set("Location", location)
	return a
}

// write sends the answer. Write errors mean that the client has gone, which is its right.
func (a answer) write(w http.ResponseWriter) {
	a.writeHeader(w)
	_, _ = w.Write(a.body)
}

func (a answer) writeHeader(w http.ResponseWriter) {
	for k, vs := range a.header {
		w.Header()[k] = vs
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
}

// oauthBody is the flat error of the OAuth endpoints (TikTok docs: OAuth error handling).
type oauthBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	LogID       string `json:"log_id"`
}

// oauthError is an error of the token or revocation endpoint. It is sent with HTTP 200, as
// implementers report of TikTok; rfcStatus keeps what RFC 6749 section 5.2 asks for.
func (s *Server) oauthError(code, description string) answer {
	a := jsonAnswer(http.StatusOK, oauthBody{code, description, s.logID()})
	a.rfcStatus = rfcStatus(code)
	return a
}

// simError is an error of the simulator itself, in the flat shape but with a plain status.
func (s *Server) simError(status int, code, description string) answer {
	return jsonAnswer(status, oauthBody{code, description, s.logID()})
}

func rfcStatus(code string) int {
	switch code {
	case "invalid_client":
		return http.StatusUnauthorized
	case "server_error":
		return http.StatusInternalServerError
	case "temporarily_unavailable":
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// apiBody is the envelope of every v2 API but OAuth (TikTok docs: TikTok API v2 error handling).
type apiBody struct {
	Data  map[string]any `json:"data"`
	Error apiStatus      `json:"error"`
}

type apiStatus struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	LogID   string `json:"log_id"`
}

func (s *Server) apiError(status int, code, message string) answer {
	return jsonAnswer(status, apiBody{map[string]any{}, apiStatus{code, message, s.logID()}})
}

// logID imitates TikTok's request ids: the time followed by twenty upper-case hex digits.
func (s *Server) logID() string {
	return s.opts.Now().UTC().Format("20060102150405") + strings.ToUpper(randomHex(10))
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return hex.EncodeToString(b)
}

// wait returns true after d, or false as soon as ctx ends.
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
