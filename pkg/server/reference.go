package server

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/tikbridge/tikbridge/static"
)

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
var referenceTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("index.html").Funcs(template.FuncMap{
		"text": func(s string) template.HTML {
			var b strings.Builder
			for _, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
				if paragraph == "" {
					continue
				}
				b.WriteString("<p>")
				for i, part := range strings.Split(paragraph, "`") {
					if i%2 == 1 {
						part = "<code>" + template.HTMLEscapeString(part) + "</code>"
					} else {
						part = template.HTMLEscapeString(part)
					}
					b.WriteString(part)
				}
				b.WriteString("</p>")
			}
			return template.HTML(b.String()) //nolint:gosec // escaped above
		},
		"has": func(list []string, s string) bool { return slices.Contains(list, s) },
	}).ParseFS(static.Files, "reference/index.html"))
})

// registerReference adds the API reference of tikbridge dev.
func registerReference(get func(string, echo.HandlerFunc)) error {
	document, err := static.Files.ReadFile("reference/openapi.yaml")
	if err != nil {
		return err
	}
	r, err := readReference(document)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := referenceTemplate().Execute(&page, r); err != nil {
		return fmt.Errorf("API reference: %w", err)
	}
	style, err := static.Files.ReadFile("reference/reference.css")
	if err != nil {
		return err
	}
	policy := contentPolicy([]string{"'self'"}, nil, nil)
	get("/api", func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", policy)
		return c.HTMLBlob(http.StatusOK, page.Bytes())
	})
	get("/api/openapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml; charset=utf-8", document) // RFC 9512
	})
	get("/api/reference.css", func(c echo.Context) error {
		return c.Blob(http.StatusOK, contentType("reference.css"), style)
	})
	return nil
}
