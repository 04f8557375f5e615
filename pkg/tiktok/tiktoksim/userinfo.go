package tiktoksim

import (
	"net/http"
	"slices"
	"strings"
)

const (
	profileScope = "user.info.profile"
	statsScope   = "user.info.stats"
)

// fieldScopes maps each field to the scope it needs (TikTok docs: Get User Info).
var fieldScopes = map[string]string{
	"open_id":           basicScope,
	"union_id":          basicScope,
	"avatar_url":        basicScope,
	"avatar_url_100":    basicScope,
	"avatar_large_url":  basicScope,
	"display_name":      basicScope,
	"bio_description":   profileScope,
	"profile_deep_link": profileScope,
	"is_verified":       profileScope,
	"username":          profileScope,
	"follower_count":    statsScope,
	"following_count":   statsScope,
	"likes_count":       statsScope,
	"video_count":       statsScope,
}

// userInfo is GET /v2/user/info/.
func (s *Server) userInfo(r *http.Request, _ []byte) answer {
	g, ok := s.accessGrant(bearer(r))
	if !ok {
		return s.apiError(http.StatusUnauthorized, "access_token_invalid",
			"The access token is invalid or not found in the request.")
	}
	fields := strings.Split(r.URL.Query().Get("fields"), ",")
	for _, f := range fields {
		if fieldScopes[f] == "" {
			return s.apiError(http.StatusBadRequest, "invalid_params",
				"Fields is required and may name known fields only.")
		}
	}
	for _, f := range fields {
		if !slices.Contains(g.scopes, fieldScopes[f]) {
			return s.apiError(http.StatusUnauthorized, "scope_not_authorized",
				"The user did not authorize the scope required for completing this request.")
		}
	}
	return s.userAnswer(s.userFields(r, g.person, fields))
}

func (s *Server) userAnswer(user map[string]any) answer {
	return jsonAnswer(http.StatusOK, apiBody{
		Data:  map[string]any{"user": user},
		Error: apiStatus{Code: "ok", LogID: s.logID()},
	})
}

func (s *Server) userFields(r *http.Request, p Person, fields []string) map[string]any {
	user := map[string]any{}
	for _, f := range fields {
		user[f] = s.userField(r, p, f)
	}
	if p.UnionID == "" {
		delete(user, "union_id")
	}
	return user
}

func (s *Server) userField(r *http.Request, p Person, field string) any {
	switch field {
	case "open_id":
		return p.OpenID
	case "union_id":
		return p.UnionID
	case "avatar_url", "avatar_url_100", "avatar_large_url":
		return s.avatarURL(r, p)
	case "display_name":
		return p.DisplayName
	case "bio_description":
		return p.Bio
	case "profile_deep_link":
		return "https://www.tiktok.com/@" + p.Username
	case "is_verified":
		return p.Verified
	case "username":
		return p.Username
	case "follower_count":
		return p.Followers
	case "following_count":
		return p.Following
	case "likes_count":
		return p.Likes
	case "video_count":
		return p.Videos
	}
	return nil
}

// bearer returns the token of an Authorization header, whose scheme has no letter case (RFC 9110
// section 11.1).
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
