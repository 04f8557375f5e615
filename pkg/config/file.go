package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// readFile reads the file into a viper of its own: in one with defaults, an empty section would hide those
// of its keys.
func readFile(file string) (*viper.Viper, error) {
	f := viper.New()
	ending := strings.ToLower(strings.TrimPrefix(filepath.Ext(file), "."))
	if !slices.Contains([]string{"yaml", "yml", "toml", "json"}, ending) {
		return nil, viper.UnsupportedConfigError(ending) // viper would take .env, .ini and more
	}
	f.SetConfigFile(file)
	f.SetConfigType(ending)
	return f, f.ReadInConfig()
}

// fileFlag is the flag that names the file.
const fileFlag = "--config"

// fileProblem says where a file is broken, but not what is there: parsers quote what they could not read,
// which may be a secret.
func fileProblem(file string, err error) Problem {
	const form = "It must be YAML, TOML or JSON with an ending that says so."
	var path *fs.PathError
	var parse viper.ConfigParseError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Problem{fileFlag, fmt.Sprintf("names %s, which does not exist", file), "Check the path."}
	case errors.As(err, &path):
		what := fmt.Sprintf("names %s, which cannot be read: %v", file, path.Err)
		return Problem{fileFlag, what, "Check the path and who may read it."}
	case errors.As(err, &parse):
		return Problem{fileFlag, fmt.Sprintf("names %s, which cannot be read%s", file, place(parse.Unwrap())), form}
	}
	return Problem{fileFlag, fmt.Sprintf("names %s, which has no known ending", file), form}
}

var linePattern = regexp.MustCompile(`^yaml: line ([0-9]+):`)

// place says where a parser failed, "" if it does not know.
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
