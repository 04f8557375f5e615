package static_test

import (
	"bytes"
	"flag"
	"fmt"
	"html/template"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/tikbridge/tikbridge/static"
)

var update = flag.Bool("update", false, "make reference/index.html anew")

// reference is the OpenAPI document, as far as the page at /api shows it.
type reference struct {
	Info struct {
		Title       string
		Description string
	}
	Tags       []apiGroup
	Paths      ordered[ordered[*apiOperation]]
	Components struct {
		Schemas ordered[apiSchema]
	}
}

// apiGroup is the operations of a tag.
type apiGroup struct {
	Name, Description string
	Operations        []*apiOperation `yaml:"-"`
}

type apiOperation struct {
	ID          string `yaml:"operationId"`
	Method      string `yaml:"-"`
	Path        string `yaml:"-"`
	Tags        []string
	Summary     string
	Description string
	Hidden      bool `yaml:"x-hidden"`
	Parameters  []struct {
		Name, Description string
		Required          bool
		Schema            apiSchema
	}
	RequestBody apiContent           `yaml:"requestBody"`
	Responses   ordered[apiResponse] `yaml:"responses"`
}

type apiResponse struct {
	Description string
	Codes       []string `yaml:"x-error-codes"`
	apiContent  `yaml:",inline"`
}

// apiContent is a body.
type apiContent struct {
	Content map[string]struct{ Schema apiSchema }
}

// Body returns the name of the schema of a JSON body.
func (c apiContent) Body() string {
	return strings.TrimPrefix(c.Content["application/json"].Schema.Ref, "#/components/schemas/")
}

// IsPage tells whether the body can be a page.
func (c apiContent) IsPage() bool {
	_, ok := c.Content["text/html"]
	return ok
}

type apiSchema struct {
	Ref               string `yaml:"$ref"`
	Type, Description string
	Values            []string `yaml:"enum"`
	Required          []string
	Properties        ordered[apiSchema]
}

// ordered is a YAML mapping in the order in which it was written.
type ordered[T any] []entry[T]

type entry[T any] struct {
	Name  string
	Value T
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		e := entry[T]{Name: node.Content[i].Value}
		if err := node.Content[i+1].Decode(&e.Value); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		*o = append(*o, e)
	}
	return nil
}

// readReference reads the document.
func readReference(document []byte) (*reference, error) {
	var r reference
	if err := yaml.Unmarshal(document, &r); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	for _, path := range r.Paths {
		for _, method := range path.Value {
			op := method.Value
			op.Path, op.Method = path.Name, strings.ToUpper(method.Name)
			group := slices.IndexFunc(r.Tags, func(g apiGroup) bool { return slices.Contains(op.Tags, g.Name) })
			if group >= 0 && !op.Hidden {
				r.Tags[group].Operations = append(r.Tags[group].Operations, op)
			}
		}
	}
	return &r, nil
}

// referenceTemplate shows the document. Its texts are plain, but for code in backticks.
var referenceTemplate = template.Must(template.New("reference.html").Funcs(template.FuncMap{
	"text": func(s string) template.HTML {
		var b strings.Builder
		for paragraph := range strings.SplitSeq(strings.TrimSpace(s), "\n\n") {
			b.WriteString("<p>")
			for i, part := range strings.Split(paragraph, "`") {
				part = template.HTMLEscapeString(part)
				if i%2 == 1 {
					part = "<code>" + part + "</code>"
				}
				b.WriteString(part)
			}
			b.WriteString("</p>")
		}
		return template.HTML(b.String())
	},
	"has":  slices.Contains[[]string],
	"made": func() template.HTML { return "<!-- Made from openapi.yaml by " + renew + ". -->" },
}).ParseFiles("testdata/reference.html"))

const (
	referencePage = "reference/index.html"
	renew         = "go test ./static -run TestReference -update"
)

// TestReference wants the page at /api to show the OpenAPI document as it is now. With -update it makes
// the page anew: the bridge carries it ready, and needs neither templates nor YAML for it.
func TestReference(t *testing.T) {
	t.Parallel()
	document, err := static.Files.ReadFile("reference/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := readReference(document)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := referenceTemplate.Execute(&want, r); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(referencePage, want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := static.Files.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("static/%s does not show openapi.yaml as it is; run %s (-want +got):\n%s", referencePage, renew, diff)
	}
}
