package static_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// references are what a page, a script or a style names relative to itself.
var references = regexp.MustCompile(`(?:from |import |import\(|href=|src=|url\()["']([^"']+)["']`)

// TestExamples_alone: people copy one folder and build it, so it has all it names, and what it imports is in
// its package.json.
func TestExamples_alone(t *testing.T) {
	t.Parallel()
	styles := map[string]string{}
	for _, app := range []string{"vanilla", "react", "vue"} {
		root := filepath.Join("examples", app)
		manifest, _ := os.ReadFile(filepath.Join(root, "package.json")) // vanilla has none
		found := 0
		err := filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if entry.Name() == "style.css" {
				styles[app] = string(content)
			}
			for _, m := range references.FindAllSubmatch(content, -1) {
				switch to := string(m[1]); {
				case strings.HasPrefix(to, "https://"), strings.HasPrefix(to, "data:"):
				case filepath.Ext(name) != ".html" && !strings.HasPrefix(to, "."):
					listed := func(name string) bool { return strings.Contains(string(manifest), `"`+name+`"`) }
					if !listed(to) && !listed(filepath.Dir(to)) {
						t.Errorf("%s imports %s, which package.json lacks", name, to)
					}
					found++
				default:
					from := filepath.Dir(name)
					if strings.HasPrefix(to, "/") {
						from = root
					}
					inside, err := filepath.Rel(root, filepath.Join(from, to))
					if _, missing := os.Stat(filepath.Join(root, inside)); err != nil || missing != nil || !filepath.IsLocal(inside) {
						t.Errorf("%s names %s, which is not in the folder", name, to)
					}
					found++
				}
			}
			return nil
		})
		if err != nil || found < 5 {
			t.Errorf("%s: %d references, %v", app, found, err)
		}
	}
	if styles["react"] == "" || styles["react"] != styles["vue"] || styles["react"] != styles["vanilla"] {
		t.Error("the examples do not look alike")
	}
}
