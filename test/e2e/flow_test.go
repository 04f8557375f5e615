package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// session is what an app gets.
type session struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	User         struct {
		ID string `json:"id"`
	} `json:"user"`
}

// signIn goes through the guide flow without a browser.
func (s stack) signIn(t *testing.T) session {
	t.Helper()
	const openID = "-000AbCdEfGhIjKlMnOpQrStUvWxYz012345"
	var code struct {
		Code string `json:"code"`
	}
	post(t, s.tiktok+"/sim/codes", map[string]string{"open_id": openID, "redirect_uri": s.bridge + "/auth"}, &code)
	var in session
	post(
		t, s.bridge+"/api/auth/tiktok-callback",
		map[string]string{"code": code.Code, "redirect_uri": s.bridge + "/auth"}, &in,
	)
	return in
}

// post wants a call to succeed.
func post(t *testing.T, url string, body, into any) {
	t.Helper()
	if err := tryPost(t.Context(), url, body, into); err != nil {
		t.Fatal(err)
	}
}

func tryPost(ctx context.Context, url string, body, into any) error {
	payload, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: status %d: %s", url, resp.StatusCode, content)
	}
	return json.Unmarshal(content, into)
}
