// Command build makes the two files of the SDK that browsers load, tikbridge.js and
// tikbridge.global.js, from the modules in src. `go generate ./static/...` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

const banner = `// tikbridge: sign in with TikTok. How to use it is in tikbridge.d.ts.
// Made from static/sdk/src, which is meant to be read, by "go generate ./static/..."; do not edit.`

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write builds the SDK in dir, which has its modules in src.
func write(dir string) error {
	files, err := bundle(dir)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // for everybody
			return err
		}
	}
	return nil
}

// bundle returns the files of the SDK by name: an ES module, and the same as a classic script. They are minified;
// their first line says where the source is.
func bundle(dir string) (map[string][]byte, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, f := range []struct {
		name, entry string
		format      api.Format
	}{
		{"tikbridge.js", "src/index.js", api.FormatESModule},
		{"tikbridge.global.js", "src/global.js", api.FormatIIFE},
	} {
		result := api.Build(api.BuildOptions{
			AbsWorkingDir: root, // the names of modules in the result are relative to it
			EntryPoints:   []string{f.entry},
			Bundle:        true,
			Format:        f.format,
			Platform:      api.PlatformBrowser,
			Target:        api.ES2020,
			Charset:       api.CharsetUTF8,

			MinifyWhitespace: true, MinifySyntax: true, MinifyIdentifiers: true,
			Banner: map[string]string{"js": banner},
		})
		if problems := api.FormatMessages(result.Errors, api.FormatMessagesOptions{}); len(problems) > 0 {
			return nil, fmt.Errorf("build %s: %s", f.name, strings.Join(problems, ""))
		}
		files[f.name] = result.OutputFiles[0].Contents
	}
	return files, nil
}
