package tiktoksim_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

func TestPeople(t *testing.T) {
	shape := regexp.MustCompile(`^-000[A-Za-z0-9_-]{32}$`)
	slugs, ids, folded := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range tiktoksim.People() {
		if !shape.MatchString(p.OpenID) || p.OpenID == strings.ToLower(p.OpenID) {
			t.Errorf("%s: open_id %q has not TikTok's shape", p.Slug, p.OpenID)
		}
		slugs[p.Slug], ids[p.OpenID], folded[strings.ToLower(p.OpenID)] = true, true, true
	}
	n := len(tiktoksim.People())
	if len(slugs) != n || len(ids) != n {
		t.Errorf("%d people, %d slugs, %d open_ids", n, len(slugs), len(ids))
	}
	if len(folded) != n-1 {
		t.Errorf("%d open_ids with case folded; want the twins to collide, %d", len(folded), n-1)
	}
	tiktoksim.People()[0].OpenID = "changed"
	if tiktoksim.People()[0].OpenID != tiktoksim.OpenIDMira {
		t.Error("a caller can change the built-in people")
	}
}
