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
	ListPasskeys Call = "list_passkeys"
	SetPassword  Call = "set_password" // takes an account over
	Mark         Call = "mark"         // ties it to the person
	Verify       Call = "verify"       // makes the session
	GetOwnUser   Call = "get_own_user" // asks whether a session lasts
	StoreProfile Call = "store_profile"
)

// Calls returns all of them.
func Calls() []Call {
	return []Call{Token, UserInfo, GenerateLink, GetUser, CreateUser, ListPasskeys, SetPassword, Mark, Verify, GetOwnUser, StoreProfile}
}

// CallOf returns what a request asks; for none of a sign-in its path.
func CallOf(r *http.Request, body []byte) Call {
	path := strings.TrimPrefix(r.URL.Path, "/auth/v1")
	user := strings.HasPrefix(path, "/admin/users/")
	switch {
	case path == "/v2/oauth/token/":
		return Token
	case path == "/v2/user/info/":
		return UserInfo
	case path == "/admin/generate_link":
		return GenerateLink
	case path == "/verify":
		return Verify
	case path == "/admin/users" && r.Method == http.MethodPost:
		return CreateUser
	case path == "/user":
		return GetOwnUser
	case user && strings.HasSuffix(path, "/passkeys"):
		return ListPasskeys
	case user && r.Method == http.MethodGet:
		return GetUser
	case user && r.Method == http.MethodPut && bytes.Contains(body, []byte(`"password"`)):
		return SetPassword
	case user && r.Method == http.MethodPut && bytes.Contains(body, []byte(`"user_metadata"`)):
		return StoreProfile
	case user && r.Method == http.MethodPut:
		return Mark
	}
	return Call(path)
}
