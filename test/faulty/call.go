package faulty

import (
	"bytes"
	"net/http"
	"strings"
)

// Call says what the bridge asks of an upstream.
type Call string

// The calls of a sign-in.
const (
	Token        Call = "token"         // exchanges the code
	UserInfo     Call = "user_info"     // reads the profile
	GenerateLink Call = "generate_link" // finds the account
	GetUser      Call = "get_user"      // looks an account up by its id
	CreateUser   Call = "create_user"
	Evict        Call = "evict"  // moves somebody else's account out of the way
	Verify       Call = "verify" // makes the session
	StoreProfile Call = "store_profile"
)

// The calls of a sign-in by the project's own provider, and of what comes after a sign-in.
const (
	IDToken     Call = "id_token" // makes the session, or finds the account
	User        Call = "user"     // asks whose session it is
	Refresh     Call = "refresh"  // of TikTok's tokens
	Revoke      Call = "revoke"
	EndSessions Call = "end_sessions" // by a new password
	LogOut      Call = "logout"       // does the same without a secret key
)

// The calls to an own backend.
const (
	SignIn  Call = "sign_in" // finds or creates the account, and makes the session
	Session Call = "session" // asks whose session it is
)

// BackendPath is the route of an own backend.
const BackendPath = "/tiktok"

// Calls returns those of a sign-in by link.
func Calls() []Call {
	return []Call{Token, UserInfo, GenerateLink, GetUser, CreateUser, Evict, Verify, StoreProfile}
}

// OtherCalls returns all others.
func OtherCalls() []Call {
	return []Call{IDToken, User, Refresh, Revoke, EndSessions, LogOut, SignIn, Session}
}

// CallOf returns what a request asks; for none of these its path.
func CallOf(r *http.Request, body []byte) Call {
	path := strings.TrimPrefix(r.URL.Path, "/auth/v1")
	user := strings.HasPrefix(path, "/admin/users/")
	switch {
	case path == "/v2/oauth/token/" && bytes.Contains(body, []byte("grant_type=refresh_token")):
		return Refresh
	case path == "/v2/oauth/token/":
		return Token
	case path == "/v2/oauth/revoke/":
		return Revoke
	case path == "/v2/user/info/":
		return UserInfo
	case path == "/admin/generate_link":
		return GenerateLink
	case path == "/verify":
		return Verify
	case path == "/token" && r.URL.Query().Get("grant_type") == "id_token":
		return IDToken
	case path == "/user":
		return User
	case path == "/logout":
		return LogOut
	case path == "/admin/users" && r.Method == http.MethodPost:
		return CreateUser
	case user && r.Method == http.MethodGet:
		return GetUser
	case user && r.Method == http.MethodPut && bytes.Contains(body, []byte(`"user_metadata"`)):
		return StoreProfile
	case user && r.Method == http.MethodPut && bytes.Contains(body, []byte(`"password":`)):
		return EndSessions
	case user && r.Method == http.MethodPut:
		return Evict
	case path == BackendPath && bytes.Contains(body, []byte(`"type":"session"`)):
		return Session
	case path == BackendPath:
		return SignIn
	}
	return Call(path)
}
