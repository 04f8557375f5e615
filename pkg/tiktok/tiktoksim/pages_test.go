package tiktoksim_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

const nasty = `"'><script>alert(1)</script>&amp;<!-- ' onload="`

// elements reads a page as a browser does. Nothing of it may run.
func elements(t *testing.T, page string) []*html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var all []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.CommentNode || n.Data == "script" {
			t.Errorf("something broke out: %q", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("something broke out: <%s> has %s=%q", n.Data, a.Key, a.Val)
			}
		}
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// texts returns what the elements of a name say.
func texts(all []*html.Node, name string) []string {
	var said []string
	for _, n := range all {
		if n.Data != name {
			continue
		}
		var b strings.Builder
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				b.WriteString(d.Data)
			}
		}
		said = append(said, b.String())
	}
	return said
}

// TestPages_escaped wants all that others choose to be shown as it is, and to be no more than text.
func TestPages_escaped(t *testing.T) {
	s := start(t, tiktoksim.Options{ClientKey: nasty})
	const app = `<script>"&amp;'`
	const redirect = "https://" + app + "/cb"
	openID := strings.Repeat(nasty, 10)
	query := authorizeQuery(set("client_key", nasty), set("redirect_uri", redirect), set("state", nasty),
		set("scope", "user.info.basic"))
	typed := url.Values{"decision": {"continue"}, "account": {"other"}, "display_name": {nasty}, "open_id": {openID}}
	consent := elements(t, s.get("/sim/consent?"+query+"&"+typed.Encode()).body)

	fields := map[string]string{}
	for _, n := range consent {
		if n.Data == "input" && (attr(n, "type") == "hidden" || attr(n, "type") == "text") {
			fields[attr(n, "name")] = attr(n, "value")
		}
	}
	wantFields := map[string]string{
		"client_key": nasty, "response_type": "code", "scope": "user.info.basic", "redirect_uri": redirect,
		"state": nasty, "display_name": nasty, "open_id": openID,
	}
	if diff := cmp.Diff(wantFields, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	wantNames := []string{app}
	for _, p := range tiktoksim.People() {
		if p.DisplayName != "" {
			wantNames = append(wantNames, p.DisplayName)
		}
	}
	if diff := cmp.Diff(wantNames, texts(consent, "bdi")); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{nasty, "user.info.basic", redirect}, texts(consent, "code")); diff != "" {
		t.Errorf("client key, scope and redirect URI (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Continue to " + app + " – TikTok simulator"}, texts(consent, "title")); diff != "" {
		t.Errorf("title (-want +got):\n%s", diff)
	}

	said := texts(elements(t, s.get("/v2/auth/authorize/?"+authorizeQuery()).body), "p") // another client key
	if len(said) != 2 || !strings.Contains(said[1], nasty) {
		t.Errorf("the error page says %q; want a hint with %q", said, nasty)
	}
}
