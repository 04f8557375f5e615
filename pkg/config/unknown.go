package config

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// unknownKeys finds what is in the file but not in Config.
func unknownKeys(file *viper.Viper, keys []string) Problems {
	var problems Problems
	for _, key := range file.AllKeys() {
		inside := func(outer, inner string) bool { return strings.HasPrefix(inner, outer+".") }
		within := slices.IndexFunc(keys, func(known string) bool { return inside(known, key) })
		isSection := slices.ContainsFunc(keys, func(known string) bool { return inside(key, known) })
		switch {
		case slices.Contains(keys, key), isSection && file.Get(key) == nil:
		case isSection:
			problems = append(problems, Problem{
				key, "is a section and has no value itself", "Write its keys below it, each indented by two spaces.",
			})
		case within >= 0: // what is inside a value may be the value, such as {secret}
			if !problems.has(keys[within]) {
				problems = append(problems, wrongType(keys[within]))
			}
		default:
			problems = append(problems, Problem{
				cmp.Or(key, `""`), "is not a key of the configuration", suggestion(key, keys, asWritten),
			})
		}
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return problems
}

// foreignEnv matches variables with the prefix that are not the bridge's: those of the contract tests of
// pkg/supabase, and those that Kubernetes sets in every pod for a service called tikbridge or
// tikbridge-something.
var foreignEnv = regexp.MustCompile(`^TIKBRIDGE_(CONTRACT_.*` +
	`|([A-Z0-9_]+_)?SERVICE_HOST|([A-Z0-9_]+_)?SERVICE_PORT(_[A-Z0-9_]+)?` +
	`|([A-Z0-9_]+_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?` +
	`|([A-Z0-9_]+_)?PORT=(tcp|udp|sctp)://.*)$`)

// unknownEnv finds misspelt variables: they have the bridge's prefix and set nothing.
func unknownEnv(keys []string) Problems {
	var problems Problems
	names := make(map[string]bool, len(keys))
	for _, key := range keys {
		names[envName(key)] = true
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || names[name] {
			continue
		}
		if foreignEnv.MatchString(name) || foreignEnv.MatchString(entry) {
			continue
		}
		problems = append(problems, Problem{name, "is a variable that sets nothing", suggestion(name, keys, envName)})
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return problems
}

// suggestion names the key that was probably meant by name; spelling is how keys are written there.
func suggestion(name string, keys []string, spelling func(string) string) string {
	best, distance := "", 4
	for _, candidate := range keys {
		if d := editDistance(name, spelling(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return "Remove it, or see configs/tikbridge.example.yaml for all keys."
	}
	return fmt.Sprintf("Did you mean %s (%s)?", best, envName(best))
}

func asWritten(key string) string { return key }

// editDistance is the Levenshtein distance.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
