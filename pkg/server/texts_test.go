package server_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/static"
)

const textsFolder = "pages/texts"

type texts struct {
	Pages, Messages map[string]string
}

func readTexts(t *testing.T, name string) texts {
	t.Helper()
	content, err := static.Files.ReadFile(path.Join(textsFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	var read texts
	if err := json.Unmarshal(content, &read); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return read
}

func languageFiles(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(static.Files, textsFolder+"/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("languages are %q (%v); want six at least", files, err)
	}
	for i := range files {
		files[i] = path.Base(files[i])
	}
	return files
}

// onlyForPages are texts of other modules than pkg/signin.
var onlyForPages = []string{"The app asked for this sign-in in a way that cannot be read."}

// TestTexts_complete: every language says all that English says, and nothing that English no longer says.
func TestTexts_complete(t *testing.T) {
	t.Parallel()
	english := readTexts(t, "en.json")
	messages := slices.Sorted(slices.Values(append(signin.MessagesForPeople(), onlyForPages...)))
	same := map[string][]string{ // words that a language shares with English
		"de.json": {"details.error"}, "fr.json": {"details.error", "details.error_description"},
	}
	for _, name := range languageFiles(t) {
		if name == "en.json" {
			continue
		}
		got := readTexts(t, name)
		wantKeys(t, name+" pages", slices.Sorted(maps.Keys(english.Pages)), got.Pages)
		wantKeys(t, name+" messages", messages, got.Messages)
		for key, text := range got.Pages {
			if text == english.Pages[key] && !slices.Contains(same[name], key) {
				t.Errorf("%s: %s is still English: %q", name, key, text)
			}
		}
		for message, text := range got.Messages {
			if text == message {
				t.Errorf("%s: still English: %q", name, text)
			}
		}
	}
}

func wantKeys(t *testing.T, name string, want []string, got map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
	for key, text := range got {
		if strings.TrimSpace(text) == "" {
			t.Errorf("%s: %q is empty", name, key)
		}
	}
}

// TestTexts_used: every text is on a page or in a script, and every text they name is there.
func TestTexts_used(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`(?:card|button|text)\('([a-z_.]+)'|index \.Texts "([a-z_.]+)"`)
	explained := regexp.MustCompile(`(?m)^  [a-z_]+: '([a-z]+)',`)
	used := map[string]bool{"errors.broken.title": true, "errors.broken.text": true}
	for _, fact := range []string{"error", "error_description", "fix", "request_id"} {
		used["details."+fact] = true
	}
	for _, name := range []string{ // by pkg/server
		"button.continue", "button.go_to_app", "hosted.cancelled", "hosted.confirm.title", "hosted.confirm.text",
		"hosted.failed",
		"hosted.nothing.title", "hosted.nothing.text",
	} {
		used[name] = true
	}
	for _, kind := range []string{"auth", "native"} { // of shared.html
		for _, text := range []string{"working.title", "working.text", "slow", "noscript"} {
			used[kind+"."+text] = true
		}
	}
	for _, pattern := range []string{"pages/*.js", "pages/*.html"} {
		files, err := fs.Glob(static.Files, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := static.Files.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range named.FindAllStringSubmatch(string(content), -1) {
				name := match[1] + match[2]
				switch {
				case strings.HasPrefix(match[0], "button('"):
					used["button."+name] = true
				case strings.HasPrefix(match[0], "card('"):
					used[name+".title"], used[name+".text"] = true, true
				default:
					used[name] = true
				}
			}
			for _, match := range explained.FindAllStringSubmatch(string(content), -1) {
				used["errors."+match[1]+".title"], used["errors."+match[1]+".text"] = true, true
			}
		}
	}
	for _, prefix := range []string{"errors.", "details.", "button."} { // named by their ends
		delete(used, prefix)
		delete(used, prefix+".title")
		delete(used, prefix+".text")
	}
	there := slices.Sorted(maps.Keys(readTexts(t, "en.json").Pages))
	if diff := cmp.Diff(slices.Sorted(maps.Keys(used)), there); diff != "" {
		t.Errorf("texts (-used +there):\n%s", diff)
	}
}

func TestPages_language(t *testing.T) {
	t.Parallel()
	b := newBridge(t, people{})
	for accept, want := range map[string]string{
		"":                               "en",
		"de":                             "de",
		"de-AT,de;q=0.9,en;q=0.8":        "de",
		"en-GB,en;q=0.9,de;q=0.8":        "en",
		"pt-BR":                          "pt",
		"ja":                             "ja",
		"ES-419":                         "es",
		"fi,fr;q=0.5,en;q=0.4":           "fr",
		"fi, zh;q=0.9":                   "en",
		"en;q=0.1, de;q=0.2":             "de",
		"de;q=0, en;q=0.1":               "en",
		"de;q=x":                         "en",
		"*":                              "en",
		"../../secret":                   "en",
		strings.Repeat("fi,", 40) + "de": "en", // nobody reads forty languages
	} {
		for _, address := range pagePaths {
			resp := b.do(t, http.MethodGet, address, "", "Accept-Language", accept)
			page := readBody(t, resp)
			attrs := find(t, page, "html").attrs
			if attrs["lang"] != want || attrs["dir"] != "ltr" {
				t.Errorf("%s for %q: lang=%q dir=%q; want %s, ltr", address, accept, attrs["lang"], attrs["dir"], want)
			}
			if got := resp.Header.Get("Vary"); got != "Accept-Language" {
				t.Errorf("%s: Vary is %q; want Accept-Language", address, got)
			}
		}
	}
}

// TestPages_translated: nothing on a page stays English, neither in its markup nor in what its script shows.
func TestPages_translated(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	english := readTexts(t, "en.json")
	for _, name := range languageFiles(t) {
		tag := strings.TrimSuffix(name, ".json")
		if tag == "en" {
			continue
		}
		there := readTexts(t, name)
		s := b.begin(t, "platform", "native", "challenge", challenge())
		pages := map[string]string{ // with a text that is on it
			query(startPath, "platform", "web", "redirect_to", "https://evil.example/"): there.
				Messages["Sign-in is not set up for the page this app returns to. Please tell whoever runs the app."],
			query(callbackPath, "state", s.state, "error", "access_denied"): there.
				Messages["You did not give this app access to your TikTok account."],
			callbackPath: there.Pages["hosted.nothing.text"],
		}
		for _, address := range pagePaths {
			pages[address] = there.Pages["noscript.title"]
		}
		for address, want := range pages {
			page := readBody(t, b.do(t, http.MethodGet, address, "", "Accept", forPeople, "Accept-Language", tag))
			if find(t, page, "html").attrs["lang"] != tag {
				t.Errorf("%s: lang is not %s", withoutQuery(address), tag)
			}
			for _, e := range parse(t, page) {
				for key, text := range english.Pages {
					if e.text == text && there.Pages[key] != text {
						t.Errorf("%s in %s: <%s> still says %q", withoutQuery(address), tag, e.name, e.text)
					}
				}
			}
			if !strings.Contains(page, want) {
				t.Errorf("%s in %s: the page lacks %q", withoutQuery(address), tag, want)
			}
			if scripted := find(t, page, "main").attrs["data-texts"]; scripted != "" {
				var got map[string]string
				if err := json.Unmarshal([]byte(scripted), &got); err != nil {
					t.Fatal(err)
				}
				for key, text := range got {
					if text != there.Pages[key] {
						t.Errorf("%s in %s: the script's %s is %q", withoutQuery(address), tag, key, text)
					}
				}
			}
		}
	}
}

func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}

// TestErrors_language: what an app is told to show is in the language of the person's browser; the code is for
// programs. Who sends no Accept-Language, as programs do, gets English.
func TestErrors_language(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	for accept, want := range map[string]string{
		"":      "This sign-in cannot be finished here. Please sign in again.",
		"de-DE": "Diese Anmeldung lässt sich hier nicht abschließen. Bitte melde dich noch einmal an.",
	} {
		body := `{"handoff":"x","verifier":"` + strings.Repeat("v", 43) + `"}`
		resp := b.do(t, http.MethodPost, redeemPath, body, "Accept-Language", accept)
		if got := resp.Header.Values("Vary"); !slices.Contains(got, "Accept-Language") {
			t.Errorf("Vary is %q; want Accept-Language in it", got)
		}
		got := readJSON(t, resp)
		if got["error_description"] != want || got["error"] != string(signin.HandoffInvalid) {
			t.Errorf("for %q: %v; want %q", accept, got, want)
		}
		if line := b.log.last(t); strings.Contains(line["msg"].(string), "Anmeldung") {
			t.Errorf("the log is not English: %v", line)
		}
	}
	s := b.begin(t, "platform", "web", "challenge", challenge())
	resp := b.do(t, http.MethodGet, query(callbackPath, "state", s.state, "error", "access_denied"), "",
		"Cookie", s.cookie, "Accept-Language", "fr")
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	want := "Vous n’avez pas donné à cette application l’accès à votre compte TikTok."
	if got := to.Query().Get("tikbridge_error_description"); got != want {
		t.Errorf("the app is told %q; want %q", got, want)
	}
}

func TestPages_brand(t *testing.T) {
	t.Parallel()
	const name = `<b>"Bloom" & Co</b>`
	for _, tt := range []struct {
		name, logo string
		images     []string // that the policy allows beside the bridge's own
	}{
		{"", "", nil},
		{name, "", nil},
		{"", "https://cdn.example/logo.png?v=2", []string{"https://cdn.example"}},
		{name, "http://127.0.0.1:3000/logo.png", []string{"http://127.0.0.1:3000"}},
	} {
		b := newHosted(t, func(o *hostedOptions) { o.options.AppName, o.options.LogoURL = tt.name, tt.logo })
		for _, address := range append(slices.Clone(pagePaths), callbackPath) {
			resp := b.do(t, http.MethodGet, address, "", "Accept", forPeople)
			page := readBody(t, resp)
			title, logo := find(t, page, "title").text, ""
			shown := false
			for _, e := range parse(t, page) {
				if e.name == "img" {
					logo = e.attrs["src"]
				}
				shown = shown || e.name == "bdi" && e.text == name
				if e.name == "b" {
					t.Errorf("%s: the name is markup", address)
				}
			}
			if logo != tt.logo || shown != (tt.name != "") || strings.HasSuffix(title, " · "+name) != shown {
				t.Errorf("%s: logo %q, name shown: %v, title %q; want %q, %q", address, logo, shown, title, tt.logo, tt.name)
			}
			images := directives(resp.Header.Get("Content-Security-Policy"))["img-src"]
			own := directives(resp.Header.Get("Content-Security-Policy"))["style-src"]
			if diff := cmp.Diff(append(append(own, "data:"), tt.images...), images); diff != "" {
				t.Errorf("%s: img-src (-want +got):\n%s", address, diff)
			}
		}
	}
}
