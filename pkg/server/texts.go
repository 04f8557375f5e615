package server

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/static"
)

// language is what people read in one language: a file of static/pages/texts.
type language struct {
	tag string // BCP 47
	// Pages are the texts of the pages, by their names.
	Pages map[string]string `json:"pages"`
	// Messages are the messages of errors, by the English ones.
	Messages map[string]string `json:"messages"`
}

const (
	english        = "en"
	acceptLanguage = "Accept-Language"
)

// languages are all languages, by their tags.
var languages = readLanguages()

func readLanguages() map[string]*language {
	const folder = "pages/texts"
	files, err := static.Files.ReadDir(folder)
	if err != nil {
		panic(err) // the folder is compiled in
	}
	all := map[string]*language{}
	for _, file := range files {
		l := &language{tag: strings.TrimSuffix(file.Name(), ".json")}
		content, err := static.Files.ReadFile(path.Join(folder, file.Name()))
		if err == nil {
			err = json.Unmarshal(content, l)
		}
		if err != nil {
			panic(err) // a test reads them all
		}
		all[l.tag] = l
	}
	return all
}

// message translates an English message. Those for developers have no translation, and stay as they are.
func (l *language) message(text string) (translated string, ok bool) {
	if l.tag == english {
		return text, true
	}
	if translated, ok = l.Messages[text]; ok {
		return translated, true
	}
	return text, false
}

// under returns the texts of the pages whose names begin with one of the prefixes.
func (l *language) under(prefixes []string) map[string]string {
	found := map[string]string{}
	for name, text := range l.Pages {
		if prefix, _, _ := strings.Cut(name, "."); slices.Contains(prefixes, prefix) {
			found[name] = text
		}
	}
	return found
}

// languageFor returns the language that a person's browser asks for, and says so to caches.
func languageFor(c echo.Context) *language {
	if h := c.Response().Header(); !slices.Contains(h["Vary"], acceptLanguage) {
		h.Add("Vary", acceptLanguage)
	}
	return choose(c.Request().Header.Get(acceptLanguage))
}

// maxAccepted is more languages than anybody has in a browser.
const maxAccepted = 32

// choose returns the best language for an Accept-Language header (RFC 9110, section 12.5.4). A region makes no
// difference.
func choose(header string) *language {
	best, bestWeight := languages[english], 0.0
	for i, entry := range strings.Split(header, ",") {
		if i == maxAccepted {
			break
		}
		tag, parameters, _ := strings.Cut(strings.ToLower(strings.TrimSpace(entry)), ";")
		primary, _, _ := strings.Cut(strings.TrimSpace(tag), "-")
		weight := 1.0
		if q, found := strings.CutPrefix(strings.TrimSpace(parameters), "q="); found {
			weight, _ = strconv.ParseFloat(q, 64) // 0 if it cannot be read
		}
		if l := languages[primary]; l != nil && weight > bestWeight {
			best, bestWeight = l, weight
		}
	}
	return best
}
