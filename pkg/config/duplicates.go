package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// duplicates finds keys that a file has twice. The parsers of YAML and TOML refuse them with err; that of
// JSON lets the last one win.
func duplicates(file, ending string, content []byte, err error) Problems {
	var twice []string
	switch {
	case ending == "json" && err == nil:
		twice = jsonDuplicates(content)
	case ending == "toml" && err != nil:
		twice = tomlDuplicates(err.Error())
	case err != nil:
		twice = yamlDuplicates(string(content), err.Error())
	}
	var problems Problems
	for _, key := range twice {
		what := fmt.Sprintf("names %s, which sets %s", file, key)
		problems = append(problems, Problem{fileFlag, what, "Keep one of the two."})
	}
	return problems
}

var (
	yamlDuplicate = regexp.MustCompile(`line ([0-9]+): mapping key "([^"\n]*)" already defined at line ([0-9]+)`)
	tomlDuplicate = regexp.MustCompile(`(?:key|table) ([A-Za-z_.]+) (?:is already defined|already exists)`)
)

// yamlDuplicates names the keys that the parser complains of, each with its section and lines.
func yamlDuplicates(content, complaint string) []string {
	var twice []string
	lines := strings.Split(content, "\n")
	const enough = 10 // it complains of each pair, and there may be millions
	for _, m := range yamlDuplicate.FindAllStringSubmatch(complaint, enough) {
		second, _ := strconv.Atoi(m[1])
		key := nameOf(sectionAt(lines, second), m[2])
		twice = append(twice, fmt.Sprintf("%s twice (lines %s and %s)", key, m[3], m[1]))
	}
	return twice
}

var sectionPattern = regexp.MustCompile(`^([A-Za-z_]+):`)

// sectionAt returns the section of a line of YAML, which is counted from 1.
func sectionAt(lines []string, line int) string {
	for i := min(line, len(lines)); i > 0; i-- {
		if m := sectionPattern.FindStringSubmatch(lines[i-1]); m != nil {
			return m[1]
		}
	}
	return ""
}

// tomlDuplicates names the key that the parser complains of. It does not say where.
func tomlDuplicates(complaint string) []string {
	if m := tomlDuplicate.FindStringSubmatch(complaint); m != nil {
		return []string{nameOf("", m[1]) + " twice"}
	}
	return nil
}

// jsonDuplicates reads a document that is known to be JSON.
func jsonDuplicates(content []byte) []string {
	var twice []string
	d := json.NewDecoder(bytes.NewReader(content))
	var object func(section string)
	value := func(section string) {
		switch token, _ := d.Token(); token {
		case json.Delim('{'):
			object(section)
		case json.Delim('['):
			for d.More() {
				var skip json.RawMessage
				_ = d.Decode(&skip)
			}
			_, _ = d.Token()
		}
	}
	object = func(section string) {
		seen := map[string]bool{}
		for d.More() {
			token, _ := d.Token()
			key, _ := token.(string)
			if name := strings.ToLower(key); seen[name] { // viper knows no case
				twice = append(twice, nameOf(section, name)+" twice")
			} else {
				seen[name] = true
			}
			value(key)
		}
		_, _ = d.Token()
	}
	value("")
	return twice
}

// nameOf names a key or a section of the configuration. Others may be misplaced values.
func nameOf(section, name string) string {
	section, name = strings.ToLower(section), strings.ToLower(name)
	if full := section + "." + name; known[full] {
		return full
	}
	for key := range known {
		s, leaf, _ := strings.Cut(key, ".")
		if name == s || name == leaf || name == key {
			return name
		}
	}
	return "a key"
}
