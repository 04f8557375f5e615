package tiktoksim

import (
	"fmt"
	"hash/fnv"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const videoScope = "video.list"

// Page sizes of the list (TikTok docs: List Videos).
const (
	defaultVideos = 10
	maxVideos     = 20
)

// coverTTL is how long the URL of a cover works (TikTok docs: Video Object).
const coverTTL = 6 * time.Hour

// videoFields are those of the Video Object (TikTok docs).
var videoFields = []string{
	"id", "create_time", "cover_image_url", "share_url", "video_description", "duration", "height", "width",
	"title", "embed_html", "embed_link", "like_count", "comment_count", "share_count", "view_count",
}

// videoRequest is the body of a list request.
type videoRequest struct {
	Cursor   int64  `json:"cursor"`
	MaxCount *int32 `json:"max_count"`
}

// videoList is POST /v2/video/list/: the person's public videos, the newest first (TikTok docs: List Videos).
func (s *Server) videoList(r *http.Request, body []byte) answer {
	g, ok := s.accessGrant(bearer(r))
	if !ok {
		return s.apiError(http.StatusUnauthorized, "access_token_invalid",
			"The access token is invalid or not found in the request.")
	}
	fields := strings.Split(r.URL.Query().Get("fields"), ",")
	for _, f := range fields {
		if !slices.Contains(videoFields, f) {
			return s.apiError(http.StatusBadRequest, "invalid_params",
				"Fields is required and may name known fields only.")
		}
	}
	in, problem := readVideoRequest(r, body)
	if problem != "" {
		return s.apiError(http.StatusBadRequest, "invalid_params", problem)
	}
	if !slices.Contains(g.scopes, videoScope) {
		return s.apiError(http.StatusUnauthorized, "scope_not_authorized",
			"The user did not authorize the scope required for completing this request.")
	}
	return s.videoPage(r, g.person, fields, in)
}

func readVideoRequest(r *http.Request, body []byte) (in videoRequest, problem string) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return in, "Only application/json is accepted as Content-Type."
	}
	if err := decodeStrict(body, &in); err != nil {
		return in, "The body is not a JSON object of cursor and max_count."
	}
	count := int32(defaultVideos)
	if in.MaxCount != nil {
		count = *in.MaxCount
	}
	if count < 1 || count > maxVideos || in.Cursor < 0 {
		return in, "The max_count is 1 to 20, and the cursor is a time in milliseconds."
	}
	in.MaxCount = &count
	return in, ""
}

// videoPage answers with the videos posted before the cursor, which is the time of the last one shown, in
// milliseconds.
func (s *Server) videoPage(r *http.Request, p Person, fields []string, in videoRequest) answer {
	list := []map[string]any{}
	cursor, more := in.Cursor, false
	for n := range p.Videos {
		at := postedAt(n).UnixMilli()
		if in.Cursor != 0 && at >= in.Cursor {
			continue
		}
		if len(list) == int(*in.MaxCount) {
			more = true
			break
		}
		v := map[string]any{}
		for _, f := range fields {
			v[f] = s.videoField(r, p, n, f)
		}
		list, cursor = append(list, v), at
	}
	return jsonAnswer(http.StatusOK, apiBody{
		Data:  map[string]any{"videos": list, "cursor": cursor, "has_more": more},
		Error: apiStatus{Code: "ok", LogID: s.logID()},
	})
}

func (s *Server) videoField(r *http.Request, p Person, n int64, field string) any {
	id := videoID(p, n)
	seed := int64(nameHash(id) % 1000)
	switch field {
	case "id":
		return id
	case "create_time":
		return postedAt(n).Unix()
	case "cover_image_url":
		return s.signedURL(r, coverPath+id+".svg", coverTTL)
	case "share_url":
		return "https://www.tiktok.com/@" + p.Username + "/video/" + id
	case "title", "video_description":
		return videoTitle(p, n)
	case "duration":
		return 7 + seed%53
	case "height":
		return 1024
	case "width":
		return 576
	case "embed_link":
		return embedLink(id)
	case "embed_html":
		return `<iframe src="` + embedLink(id) + `" width="325" height="739"></iframe>`
	case "view_count":
		return 100 * seed
	case "like_count":
		return 10 * seed
	case "comment_count":
		return seed
	case "share_count":
		return seed / 2
	}
	return nil
}

func embedLink(id string) string { return "https://www.tiktok.com/player/v1/" + id }

// postedAt is the time of a person's n-th newest video.
func postedAt(n int64) time.Time {
	newest := time.Date(2026, 11, 1, 18, 30, 0, 0, time.UTC)
	return newest.Add(-time.Duration(n) * 31 * time.Hour)
}

// videoID is a number of nineteen digits, as TikTok's: more than JavaScript's numbers can tell apart.
func videoID(p Person, n int64) string {
	const base, perPerson = 7_300_000_000_000_000_000, 1_000_000
	return strconv.FormatInt(base+int64(nameHash(p.OpenID))*perPerson+n, 10)
}

func nameHash(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

var videoTitles = map[string][]string{
	"mira": {
		"Throwing a bowl in one go", "Glaze test no. 4 #ceramics", "Sunday at the studio", "How I centre clay",
		"The kiln is open!", "A cup for every mood",
	},
	"layla": {"حرف النون 🌙", "خط الثلث ✨", "ليلة هادئة"},
	"max":   {`<b>Sons</b> & "friends" <script>alert(1)</script>`},
}

func videoTitle(p Person, n int64) string {
	titles := videoTitles[p.Slug]
	if len(titles) == 0 {
		return "Video " + strconv.FormatInt(n+1, 10)
	}
	return titles[n%int64(len(titles))]
}

const coverPath = "/sim/covers/"

// cover draws a video's cover for those who have a signed URL.
func (s *Server) cover(r *http.Request, _ []byte) answer {
	id, isSVG := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, coverPath), ".svg")
	if !isSVG || id == "" || strings.Trim(id, "0123456789") != "" {
		return s.notFound(r)
	}
	hue := nameHash(id) % 360
	return s.signedImage(r, fmt.Appendf(nil, coverSVG, hue, (hue+60)%360))
}

const coverSVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 160" width="576" height="1024">
<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">
<stop offset="0" stop-color="hsl(%d 70%% 62%%)"/><stop offset="1" stop-color="hsl(%d 60%% 34%%)"/>
</linearGradient></defs>
<rect width="90" height="160" fill="url(#g)"/><path d="M36 64l26 16-26 16z" fill="#fff" fill-opacity=".85"/></svg>
`

// shortPage leaves out the second half of the videos, and nothing else: a page may have fewer than asked for
// even if there are more (TikTok docs: List Videos, of API v1).
func shortPage(_ *Server, x exchange, a answer) {
	editJSON(a, func(m map[string]any) {
		data, _ := m["data"].(map[string]any)
		if list, ok := data["videos"].([]any); ok {
			data["videos"] = list[:len(list)/2]
		}
	}).write(x.w)
}
