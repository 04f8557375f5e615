package bench_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// servePlain is what the bridge is measured against: a small server that does what the Edge Function
// of Despia's guide does, five calls one after another, without checks, limits or logs. With least, it makes only the
// three that no sign-in of a returning person can do without.
func servePlain(least bool) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	c := plain{
		&http.Client{Transport: transport}, os.Getenv("TIKBRIDGE_TIKTOK_API_URL"),
		os.Getenv("SUPABASE_URL") + gotruePrefix, least,
	}
	return http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(c.serve)) // #nosec G114
}

type plain struct {
	http         *http.Client
	tiktok, auth string // base URLs
	least        bool
}

func (c plain) serve(w http.ResponseWriter, r *http.Request) {
	session, err := c.signIn(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(session)
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (c plain) signIn(r *http.Request) (session tokens, err error) {
	var in struct {
		Code        string `json:"code"`
		RedirectURI string `json:"redirect_uri"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return session, err
	}
	var token struct {
		Access string `json:"access_token"`
		OpenID string `json:"open_id"`
	}
	form := url.Values{
		"client_key": {os.Getenv("TIKTOK_CLIENT_KEY")}, "client_secret": {os.Getenv("TIKTOK_CLIENT_SECRET")},
		"code": {in.Code}, "grant_type": {"authorization_code"}, "redirect_uri": {in.RedirectURI},
	}
	err = c.call(http.MethodPost, c.tiktok+"/v2/oauth/token/", "", form, &token)
	if err != nil {
		return session, err
	}
	email := strings.ToLower(token.OpenID) + "@tiktok.oauth"
	admin := os.Getenv("SUPABASE_SERVICE_ROLE_KEY")
	if !c.least {
		if err := c.create(token.Access, token.OpenID, email, admin); err != nil {
			return session, err
		}
	}
	var link struct {
		Hash string `json:"hashed_token"`
	}
	err = c.call(
		http.MethodPost, c.auth+"/admin/generate_link", admin, map[string]string{"type": "magiclink", "email": email},
		&link,
	)
	if err != nil {
		return session, err
	}
	err = c.call(
		http.MethodPost, c.auth+"/verify", os.Getenv("SUPABASE_ANON_KEY"),
		map[string]string{"type": "email", "token_hash": link.Hash}, &session,
	)
	return session, err
}

// create reads the profile and creates the account.
func (c plain) create(accessToken, openID, email, admin string) error {
	var info struct {
		Data struct {
			User struct {
				DisplayName string `json:"display_name"`
				AvatarURL   string `json:"avatar_url"`
			} `json:"user"`
		} `json:"data"`
	}
	err := c.call(
		http.MethodGet, c.tiktok+"/v2/user/info/?fields=open_id,display_name,avatar_url", accessToken, nil, &info,
	)
	if err != nil {
		return err
	}
	// An account that exists already is an error that the guide ignores.
	var ignored json.RawMessage
	_ = c.call(http.MethodPost, c.auth+"/admin/users", admin, map[string]any{
		"email": email, "email_confirm": true,
		"user_metadata": map[string]string{
			"tiktok_open_id": openID, "display_name": info.Data.User.DisplayName,
			"avatar_url": info.Data.User.AvatarURL,
		},
	}, &ignored)
	return nil
}

// call sends a form, JSON or nothing, and reads JSON.
func (c plain) call(method, to, bearer string, body, into any) error {
	var payload []byte
	contentType := "application/json"
	switch body := body.(type) {
	case nil:
	case url.Values:
		payload, contentType = []byte(body.Encode()), "application/x-www-form-urlencoded"
	default:
		payload, _ = json.Marshal(body)
	}
	req, err := http.NewRequest(method, to, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
		req.Header.Set("Apikey", bearer)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
