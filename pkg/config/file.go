package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// fileFlag is the flag that names the file.
const fileFlag = "--config"

const fileForm = "It must be YAML, TOML or JSON with an ending that says so."

// readFile reads the file into a viper of its own: in one with defaults, an empty section would hide those
// of its keys.
func readFile(file string) (*viper.Viper, Problems) {
	ending := strings.ToLower(strings.TrimPrefix(filepath.Ext(file), "."))
	if !slices.Contains([]string{"yaml", "yml", "toml", "json"}, ending) { // viper would take .env, .ini and more
		return nil, Problems{{fileFlag, fmt.Sprintf("names %s, which has no known ending", file), fileForm}}
	}
	content, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return nil, Problems{unreadable(file, err)}
	}
	// YAML allows it.
	if mark := byteOrderMark(content); mark != "" && !strings.HasPrefix(ending, "y") {
		return nil, Problems{{
			fileFlag, fmt.Sprintf("names %s, which begins with a byte order mark (%s)", file, mark),
			"Save it as UTF-8 without a byte order mark (BOM).",
		}}
	}
	f := viper.New()
	f.SetConfigType(ending)
	err = f.ReadConfig(bytes.NewReader(content))
	if problems := duplicates(file, ending, content, err); len(problems) > 0 {
		return nil, problems
	}
	var parse viper.ConfigParseError
	if errors.As(err, &parse) {
		what := fmt.Sprintf("names %s, which cannot be read%s", file, place(parse.Unwrap()))
		return nil, Problems{{fileFlag, what, fileForm}}
	}
	return f, nil
}

// unreadable explains why there is no content.
func unreadable(file string, err error) Problem {
	var path *fs.PathError
	if errors.Is(err, fs.ErrNotExist) || !errors.As(err, &path) {
		return Problem{fileFlag, fmt.Sprintf("names %s, which does not exist", file), "Check the path."}
	}
	what := fmt.Sprintf("names %s, which cannot be read: %v", file, path.Err)
	return Problem{fileFlag, what, "Check the path and who may read it."}
}

// byteOrderMark names the encoding that the first bytes announce, "" if they do not.
func byteOrderMark(content []byte) string {
	for mark, encoding := range map[string]string{
		"\xef\xbb\xbf": "UTF-8", "\xfe\xff": "UTF-16", "\xff\xfe": "UTF-16",
	} {
		if bytes.HasPrefix(content, []byte(mark)) {
			return encoding
		}
	}
	return ""
}

var linePattern = regexp.MustCompile(`^yaml: line ([0-9]+):`)

// place says where a parser failed, "" if it does not know. It does not say what is there: parsers quote
// what they could not read, which may be a secret.
func place(err error) string {
	var toml interface{ Position() (row, column int) }
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &toml):
		row, _ := toml.Position()
		return fmt.Sprintf(" at line %d", row)
	case errors.As(err, &syntax):
		return fmt.Sprintf(" at character %d", syntax.Offset)
	}
	if m := linePattern.FindStringSubmatch(err.Error()); m != nil {
		return " at or near line " + m[1]
	}
	return ""
}
