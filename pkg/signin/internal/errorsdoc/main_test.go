package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// TestUpToDate: docs/errors.md says what the table of causes says. `go generate ./pkg/signin` writes it.
func TestUpToDate(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/errors.md (-generated +file):\n%s", diff)
	}
}

// TestSections: every code has one section, and the causes of a code are in it.
func TestSections(t *testing.T) {
	content, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range signin.Codes() {
		parts := strings.Split(string(content), fmt.Sprintf("\n### %s\n", code))
		if len(parts) != 2 {
			t.Errorf("%s has %d sections; want 1", code, len(parts)-1)
			continue
		}
		section, _, _ := strings.Cut(parts[1], "\n#")
		if !strings.HasPrefix(section, "\nStatus ") {
			t.Errorf("the section of %s does not begin with its status", code)
		}
		for _, c := range signin.Causes() {
			row, err := rows(map[signin.Cause]bool{}, []signin.Cause{c})
			if err != nil {
				t.Fatal(err)
			}
			if has := strings.Contains(section, row); has != (c.Code() == code) {
				t.Errorf("the section of %s has the cause %q: %t", code, c, has)
			}
		}
	}
}
