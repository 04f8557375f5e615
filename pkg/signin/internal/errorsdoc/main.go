// Command errorsdoc writes docs/errors.md: the causes from the table in pkg/signin, all else from
// errors.md.tmpl.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"strings"
	"text/template"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

//go:embed errors.md.tmpl
var page string

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: errorsdoc FILE"))
	}
	content, err := generate()
	if err == nil {
		err = os.WriteFile(os.Args[1], content, 0o644) //nolint:gosec // documentation is for everybody
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "errorsdoc:", err)
	os.Exit(1)
}

// generate returns the page. Every cause must be in it once.
func generate() ([]byte, error) {
	used := map[signin.Cause]bool{}
	tmpl, err := template.New("errors.md").Funcs(template.FuncMap{
		"rows": func(causes ...signin.Cause) (string, error) { return rows(used, causes) },
		"message": func(c signin.Cause) (string, error) {
			if c.Message() == "" {
				return "", fmt.Errorf("there is no cause %q", c)
			}
			return c.Message(), nil
		},
	}).Parse(page)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := tmpl.Execute(&b, nil); err != nil {
		return nil, err
	}
	for _, c := range signin.Causes() {
		if !used[c] {
			return nil, fmt.Errorf("errors.md.tmpl lacks the cause %q", c)
		}
	}
	return b.Bytes(), nil
}

// rows are the lines of a list of causes and fixes.
func rows(used map[signin.Cause]bool, causes []signin.Cause) (string, error) {
	var lines []string
	for _, c := range causes {
		if c.Fix() == "" || used[c] {
			return "", fmt.Errorf("cause %q is unknown, or in the page twice", c)
		}
		used[c] = true
		fix := inCode(c.Fix())
		if c.More() != "" {
			fix += " [More](" + c.More() + ")."
		}
		lines = append(lines, "- "+c.Seen()+" **Fix:** "+fix)
	}
	return strings.Join(lines, "\n"), nil
}

// codePattern finds settings, parameters, hosts, commands and the like in plain text.
var codePattern = regexp.MustCompile(
	`tikbridge (?:users adopt|supabase setup|doctor)|GOTRUE_[A-Z_]+|/\.well-known/[a-z-]+|--release|data-schemes|` +
		`credentials: 'include'|sb_secret_\.\.\.|/auth/v1\b|/\*|://|` +
		`supabase/auth\b|[a-z]+(?:[._][a-z]+)+`)

// inCode sets what is code in plain text in backticks.
func inCode(text string) string { return codePattern.ReplaceAllString(text, "`$0`") }
