package tiktoksim

import (
	"slices"
	"strings"
)

const basicScope = "user.info.basic"

// scope is one permission with the words the consent page has for it.
type scope struct {
	Name  string
	Label string
}

// scopes are those a web app commonly asks for (TikTok docs: Scopes overview).
var scopes = []scope{
	{basicScope, "Read your profile info: name, avatar and the id this app knows you by"},
	{"user.info.profile", "Read your username, bio, profile link and verification"},
	{"user.info.stats", "Read your counts of followers, likes and videos"},
	{"video.list", "Read your public videos"},
	{"video.upload", "Save videos as drafts"},
	{"video.publish", "Post videos for you"},
}

func findScope(name string) (scope, bool) {
	i := slices.IndexFunc(scopes, func(s scope) bool { return s.Name == name })
	if i < 0 {
		return scope{}, false
	}
	return scopes[i], true
}

// parseScopes splits a comma list, puts the basic scope first, which Login Kit adds by default, and
// returns the name of the first unknown scope, if any.
func parseScopes(list string) (names []string, unknown string) {
	names = []string{basicScope}
	for name := range strings.SplitSeq(list, ",") {
		if _, ok := findScope(name); !ok {
			return nil, name
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, ""
}

// narrow keeps those of requested that the person allowed. The basic scope cannot be refused.
func narrow(requested, allowed []string) []string {
	var granted []string
	for _, name := range requested {
		if name == basicScope || slices.Contains(allowed, name) {
			granted = append(granted, name)
		}
	}
	return granted
}
