package config

import (
	"encoding/json"
	"errors"
	"math"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// Load reads the configuration: defaults, then the file (none if the name is empty), then the
// environment, then the adjustments of the caller. The error is of type Problems.
func Load(file string, adjust ...func(*Config)) (Config, error) {
	c, problems := Inspect(file, adjust...)
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// Inspect is Load for callers that continue in spite of problems. A key with a problem may have any value.
func Inspect(file string, adjust ...func(*Config)) (Config, Problems) {
	v := viper.New()
	keys := setDefaults(v)
	var problems Problems
	if file != "" {
		content, unread := readFile(file)
		if len(unread) > 0 {
			return Default(), unread
		}
		problems = append(problems, setFile(v, content, keys)...)
	}
	for _, key := range keys {
		_ = v.BindEnv(append([]string{key}, variables(key)...)...) // fails only without a key
	}
	problems = append(problems, unknownEnv(keys)...)

	var c Config
	if err := v.UnmarshalExact(&c, decodeHooks); err != nil {
		problems = problems.join(decodeProblems(err))
	}
	if port := os.Getenv("PORT"); port != "" && os.Getenv(envName("server.listen")) == "" {
		host, _, _ := net.SplitHostPort(c.Server.Listen)
		c.Server.Listen = net.JoinHostPort(host, strings.TrimSpace(port))
	}
	for _, f := range adjust {
		f(&c)
	}
	problems = problems.join(c.placeholders())
	c.complete()
	return c, problems.join(c.check())
}

// join adds those of more about whose key or section p says nothing: a value that could not be read breaks
// other rules too.
func (p Problems) join(more Problems) Problems {
	known := slices.Clone(p)
	for _, problem := range more {
		if !known.Concern(problem.Key) {
			p = append(p, problem)
		}
	}
	return p
}

func (p Problems) has(key string) bool {
	return slices.ContainsFunc(p, func(problem Problem) bool { return problem.Key == key })
}

// Unreadable tells whether the file could not be read at all.
func (p Problems) Unreadable() bool { return p.has(fileFlag) }

// Concern tells whether p says anything about one of the keys, or about its whole section.
func (p Problems) Concern(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		section, _, _ := strings.Cut(key, ".")
		return p.has(key) || p.has(section)
	})
}

// setFile replaces defaults by the values of the file, and returns what is in the file but not in Config.
func setFile(v, file *viper.Viper, keys []string) Problems {
	for _, key := range keys {
		if value := file.Get(key); value != nil {
			v.SetDefault(key, value)
		}
	}
	return unknownKeys(file, keys)
}

// decodeHooks make decoding strict, because nobody would notice a wrong guess (a password of digits without
// its leading zeros, a timeout of 15 nanoseconds), and parse what the environment can only give as text.
func decodeHooks(d *mapstructure.DecoderConfig) {
	d.WeaklyTypedInput = false
	d.DecodeHook = func(from, to reflect.Type, data any) (any, error) {
		if to == reflect.TypeFor[time.Duration]() && from.Kind() != reflect.String && from != to {
			return nil, errors.New("is not a duration")
		}
		if number, ok := data.(float64); ok && number != math.Trunc(number) {
			return nil, errors.New("is not a whole number")
		}
		text, ok := data.(string)
		if !ok {
			return data, nil
		}
		return decodeText(strings.TrimSpace(text), to)
	}
}

// decodeText parses a value that was given as text.
func decodeText(text string, to reflect.Type) (any, error) {
	switch {
	case to == reflect.TypeFor[time.Duration]():
		return time.ParseDuration(text)
	case to.Kind() == reflect.Bool:
		return strconv.ParseBool(text)
	case to.Kind() == reflect.Int:
		return strconv.Atoi(text)
	case to == reflect.TypeFor[[]OIDCClient]():
		var clients []map[string]any
		err := json.Unmarshal([]byte(text), &clients)
		return clients, err
	case to.Kind() == reflect.Slice && strings.HasPrefix(text, "-----BEGIN "):
		return []string{text}, nil // PEM
	case to.Kind() == reflect.Slice:
		return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }), nil
	}
	return text, nil
}

// setDefaults tells viper every key with its default and returns the keys.
func setDefaults(v *viper.Viper) []string {
	var keys []string
	Walk(Default(), func(key string, value any) {
		v.SetDefault(key, value)
		keys = append(keys, key)
	})
	return keys
}

// Walk calls f with every key and its value, in the order of the struct.
func Walk(c Config, f func(key string, value any)) {
	sections := reflect.ValueOf(c)
	for i := range sections.NumField() {
		section := sections.Field(i)
		name := sections.Type().Field(i).Tag.Get("mapstructure")
		if section.Kind() != reflect.Struct {
			f(name, section.Interface())
			continue
		}
		for j := range section.NumField() {
			key := name + "." + section.Type().Field(j).Tag.Get("mapstructure")
			f(key, section.Field(j).Interface())
		}
	}
}

// decodeProblems reports values of the wrong type, one problem each. It does not show the values, since one
// may be a secret.
func decodeProblems(err error) Problems {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var problems Problems
		for _, e := range joined.Unwrap() {
			problems = problems.join(decodeProblems(e))
		}
		return problems
	}
	// Not errors.As, which would find only the first.
	if decode, ok := err.(*mapstructure.DecodeError); ok { //nolint:errorlint // see above
		key, _, _ := strings.Cut(decode.Name(), "[") // entries of lists are server.origins[0]
		return Problems{wrongType(key)}
	}
	if inner := errors.Unwrap(err); inner != nil {
		return decodeProblems(inner)
	}
	return Problems{{"configuration", "cannot be read", "See configs/tikbridge.example.yaml."}}
}

// wrongType reports a value of another type than the key's.
func wrongType(key string) Problem {
	fix := "See configs/tikbridge.example.yaml for its form."
	Walk(Default(), func(k string, value any) {
		if k != key {
			return
		}
		switch value.(type) {
		case bool:
			fix = "It must be true or false."
		case int:
			fix = "It must be a whole number, without quotes or units."
		case time.Duration:
			fix = "It must be a number with a unit, like 10s."
		case []OIDCClient:
			fix = "It must be a list of clients, each with id, secret and redirect_uris; in a variable as JSON."
		case []string, []signin.Secret:
			fix = "It must be a list of texts: [a, b] in a file, a,b in a variable."
		default:
			fix = "It must be text; put it in quotes."
		}
	})
	return Problem{key, "has a value of the wrong type", fix}
}
