package signin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// setting finds what looks like a setting, or speaks to somebody else than the person.
var setting = regexp.MustCompile(`(?i)[a-z]\.[a-z]|\boperator\b|\bsupabase\.|\bkey\b|\bsecret\b|[{}%]`)

// TestCauses: what a cause tells people names no setting, what it tells the operator is a sentence, and its
// code exists.
func TestCauses(t *testing.T) {
	t.Parallel()
	codes := map[signin.Code]bool{}
	for _, c := range signin.Codes() {
		codes[c] = true
	}
	for _, c := range signin.Causes() {
		if !codes[c.Code()] {
			t.Errorf("%s ends in %q, which is no code", c, c.Code())
		}
		if m := c.Message(); setting.MatchString(m) || !strings.HasSuffix(m, ".") {
			t.Errorf("%s says to people: %q", c, m)
		}
		for _, text := range []string{c.Fix(), c.Seen()} {
			if !strings.HasSuffix(strings.TrimSuffix(text, "`"), ".") || strings.Contains(text, "\n") {
				t.Errorf("%s says %q; want sentences in one line", c, text)
			}
		}
		if strings.Contains(c.Fix(), "`") {
			t.Errorf("%s has Markdown in its fix: %q", c, c.Fix())
		}
	}
}

// TestCauses_complete: every cause that is declared has its texts, once.
func TestCauses_complete(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "cause.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[signin.Cause]int{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Cause" {
				name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				declared[signin.Cause(name)]++
			}
		}
		return true
	})
	told := map[signin.Cause]int{}
	for _, c := range signin.Causes() {
		told[c]++
	}
	if diff := cmp.Diff(declared, told); diff != "" || len(told) == 0 {
		t.Errorf("causes (-declared +table):\n%s", diff)
	}
}
