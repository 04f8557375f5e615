package main_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const repository = "../.."

// pages returns the documentation, by its path in the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(repository, name)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.ToSlash(rel)] = string(content)
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

var (
	fencePattern   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the anchors that GitHub makes of a page's headings.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, m := range headingPattern.FindAllStringSubmatch(fencePattern.ReplaceAllString(page, ""), -1) {
		text := notInAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(text, " ", "-")] = true
	}
	return all
}

// TestDocs_links wants every link inside the repository to lead somewhere.
func TestDocs_links(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for name, page := range all {
		for _, m := range linkPattern.FindAllStringSubmatch(fencePattern.ReplaceAllString(page, ""), -1) {
			link := m[1]
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s: %s leads nowhere", name, link)
				continue
			}
			if to, isPage := all[target]; anchor != "" && isPage && !anchors(to)[anchor] {
				t.Errorf("%s: %s has no such heading", name, link)
			}
		}
	}
}

var (
	testName   = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*)`")
	scriptName = regexp.MustCompile("`([a-z_]+\\.txt)`")
	testFunc   = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// TestDocs_tests wants the tests that the documentation names to be there.
func TestDocs_tests(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	err := filepath.WalkDir(repository, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return fs.SkipDir
		case strings.HasSuffix(name, "_test.go"):
			source, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for _, m := range testFunc.FindAllStringSubmatch(string(source), -1) {
				known[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for name, page := range pages(t) {
		for _, m := range testName.FindAllStringSubmatch(page, -1) {
			named++
			if !known[m[1]] {
				t.Errorf("%s names %s, which is no test", name, m[1])
			}
		}
		for _, m := range scriptName.FindAllStringSubmatch(page, -1) {
			if _, err := os.Stat(filepath.Join("testdata/script", m[1])); err != nil {
				t.Errorf("%s names the script %s, which is not there", name, m[1])
			}
		}
	}
	if named == 0 {
		t.Error("no page names a test, so that this proves nothing")
	}
}
