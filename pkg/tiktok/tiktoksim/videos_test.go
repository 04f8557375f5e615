package tiktoksim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func (s *sim) videoRequest(access, fields, body string) *http.Request {
	r := s.request(http.MethodPost, "/v2/video/list/?fields="+fields, "application/json", body)
	r.Header.Set("Authorization", "Bearer "+access)
	return r
}

func (s *sim) videos(access, fields, body string) reply {
	s.t.Helper()
	return s.must(s.videoRequest(access, fields, body))
}

type videoPage struct {
	Data struct {
		Videos  []map[string]any `json:"videos"`
		Cursor  int64            `json:"cursor"`
		HasMore bool             `json:"has_more"`
	} `json:"data"`
}

func pageOf(t *testing.T, got reply) videoPage {
	t.Helper()
	wantAPIError(t, got, 200, "ok")
	var p videoPage
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestVideos_pages: following the cursor shows every video once, the newest first.
func TestVideos_pages(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	access, _ := s.tokens(tiktoksim.OpenIDMira, "scope", "video.list,user.info.stats")
	count, err := strconv.Atoi(field(t, s.userInfo(access, "video_count"), "data.user.video_count"))
	if err != nil {
		t.Fatal(err)
	}
	seen, sizes := map[string]bool{}, []int{}
	cursor, last := int64(0), int64(1<<62)
	for more := true; more; {
		page := pageOf(t, s.videos(access, "id,create_time", `{"max_count":20,"cursor":`+strconv.FormatInt(cursor, 10)+`}`))
		sizes = append(sizes, len(page.Data.Videos))
		for _, v := range page.Data.Videos {
			seen[v["id"].(string)] = true
			if at := int64(v["create_time"].(float64)); at >= last {
				t.Errorf("a video of %d follows one of %d", at, last)
			} else {
				last = at
			}
		}
		cursor, more = page.Data.Cursor, page.Data.HasMore
	}
	if diff := cmp.Diff([]int{20, 20, 20, 17}, sizes); diff != "" || len(seen) != count {
		t.Errorf("got %d videos; want %d, in pages (-want +got):\n%s", len(seen), count, diff)
	}
	if page := pageOf(t, s.videos(access, "id", `{}`)); len(page.Data.Videos) != 10 || !page.Data.HasMore {
		t.Errorf("got %d videos; want 10 by default", len(page.Data.Videos))
	}
	before := `{"cursor":` + strconv.FormatInt(last*1000+1, 10) + `}`
	if page := pageOf(t, s.videos(access, "id", before)); len(page.Data.Videos) != 1 || page.Data.HasMore {
		t.Errorf("got %d videos before a time of our choice; want the oldest", len(page.Data.Videos))
	}
}

func TestVideos_everybody(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	const fields = "id,create_time,cover_image_url,share_url,video_description,duration,height,width,title," +
		"embed_html,embed_link,like_count,comment_count,share_count,view_count"
	ids := map[any]string{}
	for _, p := range tiktoksim.People() {
		access, _ := s.tokens(p.OpenID, "scope", "video.list")
		got := s.videos(access, fields, `{"max_count":1}`)
		page := pageOf(t, got)
		if (len(page.Data.Videos) > 0) != (p.Videos > 0) || page.Data.HasMore != (p.Videos > 1) {
			t.Errorf("%s has %d of %d videos, more: %t", p.Slug, len(page.Data.Videos), p.Videos, page.Data.HasMore)
		}
		if !strings.Contains(got.body, `"videos":[`) {
			t.Errorf("%s: got %s; want a list, be it an empty one", p.Slug, got.body)
		}
		for _, v := range page.Data.Videos {
			if len(v) != 15 || v["title"] == "" {
				t.Errorf("%s: got %v; want every field", p.Slug, v)
			}
			if other, ok := ids[v["id"]]; ok {
				t.Errorf("%s and %s have the same video", p.Slug, other)
			}
			ids[v["id"]] = p.Slug
		}
	}
}

func TestVideos_errors(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	access, _ := s.tokens(tiktoksim.OpenIDMira, "scope", "video.list")
	basic, _ := s.tokens(tiktoksim.OpenIDMira)
	tests := []struct {
		name, access, fields, body string
		status                     int
		code                       string
	}{
		{"no scope", basic, "id", `{}`, 401, "scope_not_authorized"},
		{"no token", "", "id", `{}`, 401, "access_token_invalid"},
		{"unknown token", "act.x", "id", `{}`, 401, "access_token_invalid"},
		{"no fields", access, "", `{}`, 400, "invalid_params"},
		{"unknown field", access, "id,url", `{}`, 400, "invalid_params"},
		{"no body", access, "id", ``, 400, "invalid_params"},
		{"fields in the body", access, "id", `{"fields":["id"]}`, 400, "invalid_params"},
		{"none at all", access, "id", `{"max_count":0}`, 400, "invalid_params"},
		{"too many", access, "id", `{"max_count":21}`, 400, "invalid_params"},
		{"negative cursor", access, "id", `{"cursor":-1}`, 400, "invalid_params"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantAPIError(t, s.videos(tt.access, tt.fields, tt.body), tt.status, tt.code)
		})
	}
	r := s.videoRequest(access, "id", `{}`)
	r.Header.Set("Content-Type", form)
	wantAPIError(t, s.must(r), 400, "invalid_params")
	s.clock.advance(2 * time.Hour)
	wantAPIError(t, s.videos(access, "id", `{}`), 401, "access_token_invalid")
}

// TestVideos_covers: a cover can be seen for six hours, by those who have its signed URL.
func TestVideos_covers(t *testing.T) {
	s := start(t, tiktoksim.Options{})
	access, _ := s.tokens(tiktoksim.OpenIDMira, "scope", "video.list")
	page := pageOf(t, s.videos(access, "cover_image_url", `{"max_count":1}`))
	u, err := url.Parse(page.Data.Videos[0]["cover_image_url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	wantStatus := func(path string, want int) {
		t.Helper()
		if got := s.get(path); got.status != want {
			t.Errorf("%s: got %d; want %d", path, got.status, want)
		}
	}
	wantStatus(u.RequestURI(), 200)
	if got := s.get(u.RequestURI()); got.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("got %v; want an image", got.header)
	}
	wantStatus(u.Path, 403)
	wantStatus("/sim/covers/x.svg?"+u.RawQuery, 404)
	s.clock.advance(6 * time.Hour)
	wantStatus(u.RequestURI(), 403)
}

func TestVideoFaults(t *testing.T) {
	for fault, status := range map[string]int{
		"status_500": 500, "status_503": 503, "rate_limited": 429, "access_token_invalid": 401, "scope_not_authorized": 401,
	} {
		s := start(t, tiktoksim.Options{})
		access, _ := s.tokens(tiktoksim.OpenIDMira, "scope", "video.list")
		s.fault("video_list", fault)
		got := s.videos(access, "id", `{}`)
		if got.status != status || field(t, got, "error.code") == "" {
			t.Errorf("%s: got %d %s; want %d in the envelope", fault, got.status, got.body, status)
		}
	}
	s := start(t, tiktoksim.Options{})
	access, _ := s.tokens(tiktoksim.OpenIDMira, "scope", "video.list")
	s.fault("video_list", "short_page")
	short, whole := pageOf(t, s.videos(access, "id", `{}`)), pageOf(t, s.videos(access, "id", `{}`))
	if len(short.Data.Videos) != 5 || short.Data.Cursor != whole.Data.Cursor || !short.Data.HasMore {
		t.Errorf("got %d videos and cursor %d; want 5 and %d", len(short.Data.Videos), short.Data.Cursor, whole.Data.Cursor)
	}
	if s.VideoLists() != 2 {
		t.Errorf("got %d requests; want 2", s.VideoLists())
	}
}
