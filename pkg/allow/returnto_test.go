package allow_test

import (
	"strings"
	"testing"

	"github.com/tikbridge/tikbridge/pkg/allow"
)

// attackedList are the lists that the lines of attack_targets.txt try to get around.
func attackedList(tb testing.TB) *allow.List {
	tb.Helper()
	l, err := allow.New(
		[]string{
			"https://app.example", "https://*.preview.example", "https://*.ports.example:8443",
			"http://127.0.0.1:3000", "http://[::1]:3000", "https://shared.example",
		},
		[]string{
			"https://app.example/auth", "https://app.example/native-callback.html",
			"https://shared.example/app/*", "https://shared.example/native-callback",
			"https://alone.example/auth", "https://only.example/a/*", "http://127.0.0.1:3000/auth",
		},
		[]string{"myapp", "com.example.other"},
	)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestCorpora_attacks(t *testing.T) {
	t.Parallel()
	l := attackedList(t)
	tests := []struct {
		name, file string
		least      int
	}{
		{"targets", "attack_targets.txt", 300},
		{"origins", "bad_origins.txt", 80},
		{"schemes", "bad_schemes.txt", 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lines := corpus(t, tt.file)
			if len(lines) < tt.least {
				t.Errorf("got %d attacks; want %d at least", len(lines), tt.least)
			}
			for _, s := range lines {
				// What is no origin to be listed may well be a page to return to.
				isTarget := tt.name != "origins"
				if isTarget && l.ReturnTo(s) {
					t.Errorf("ReturnTo: got %q allowed; want it refused", s)
				}
				if isTarget && l.RedirectURI(s) {
					t.Errorf("RedirectURI: got %q allowed; want it refused", s)
				}
				if l.Origin(s) {
					t.Errorf("Origin: got %q allowed; want it refused", s)
				}
				if l.Scheme(s) {
					t.Errorf("Scheme: got %q allowed; want it refused", s)
				}
			}
		})
	}
}

func TestList_ReturnTo_good(t *testing.T) {
	t.Parallel()
	l := attackedList(t)
	for _, s := range corpus(t, "good_targets.txt") {
		if !l.ReturnTo(s) {
			t.Errorf("got %q refused; want it allowed", s)
		}
	}
}

func TestList_ReturnTo(t *testing.T) {
	t.Parallel()
	const page, folder, previewFolder = "https://a.example/page", "https://a.example/app/*", "https://a.b.example/app/*"
	tests := []struct {
		name      string
		origins   string
		redirects string
		uri       string
		want      bool
	}{
		{"nothing listed", "", "", page, false},
		{"a redirect URI", "", page, page, true},
		{"a redirect URI with query", "", page, page + "?x", false},
		{"a redirect URI with slash", "", page, page + "/", false},
		{"a redirect URI in capitals, as listed", "", "https://A.example/page", "https://A.example/page", true},
		{"a redirect URI no parser agrees on", "", "https://a.example/x/../page", "https://a.example/x/../page", false},
		{"an origin", "https://a.example", "", page, true},
		{"an origin with query", "https://a.example", "", page + "?x=1", true},
		{"an origin beside redirect URIs", "https://a.example", "https://a.example/auth", page, true},
		{"another origin", "https://b.example", "", page, false},
		{"a wildcard", "https://*.b.example", "", "https://a.b.example/page", true},
		{"the wildcard's own domain", "https://*.b.example", "", "https://b.example/page", false},
		{"a folder", "", folder, "https://a.example/app/page", true},
		{"the folder itself", "", folder, "https://a.example/app", true},
		{"a folder with query", "", folder, "https://a.example/app?x=1", true},
		{"beside a folder", "", folder, "https://a.example/apple", false},
		{"a query that looks like the folder", "", folder, "https://a.example?/app/x", false},
		{"a folder narrows its origin", "https://a.example", folder, page, false},
		{"a folder narrows its origin, however written", "https://a.example", "https://A.example:443/app/*", page, false},
		{"a folder narrows one preview", "https://*.b.example", previewFolder, "https://a.b.example/page", false},
		{"a folder leaves the next preview", "https://*.b.example", previewFolder, "https://c.b.example/page", true},
		{"a folder leaves the other port", "https://a.example:8443", folder, "https://a.example:8443/page", true},
		{"a folder leaves redirect URIs", "https://a.example", folder + " " + page, page, true},
		{"two folders, first", "", folder + " https://a.example/b/*", "https://a.example/app/x", true},
		{"two folders, second", "", folder + " https://a.example/b/*", "https://a.example/b/x", true},
		{"two folders, neither", "", folder + " https://a.example/b/*", "https://a.example/c/x", false},
		{"the folder of everything", "", "https://a.example/*", page, true},
		{"the folder of everything, no path", "", "https://a.example/*", "https://a.example", true},
		{"the folder of everything, longer host", "", "https://a.example/*", "https://a.example.evil.example/", false},
		{"2048 bytes", "https://a.example", "", "https://a.example/" + strings.Repeat("a", 2030), true},
		{"2049 bytes", "https://a.example", "", "https://a.example/" + strings.Repeat("a", 2031), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := allow.New(strings.Fields(tt.origins), strings.Fields(tt.redirects), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.ReturnTo(tt.uri); got != tt.want {
				t.Errorf("got %v for %q; want %v", got, tt.uri, tt.want)
			}
		})
	}
}

// Everything that differs from a good target by one inserted byte or escape leads to the same host,
// or is refused.
func TestList_ReturnTo_mutations(t *testing.T) {
	t.Parallel()
	l := attackedList(t)
	insert := []string{
		"\x00", "\t", "\n", "\r", " ", "\\", "/", "//", "@", "@evil.example/", ".", "..", "/../", ":", ":443",
		"#", "?", "%", "%2f", "%5c", "%2e", "%00", "%0a", "%25", "*", "\"", "<", "[", "]", ";", "&", "x",
		"\u3002", "\uff0f", "\xff", ".evil.example", "evil.example/", "tikbridge_handoff=",
	}
	for _, good := range corpus(t, "good_targets.txt") {
		if len(good) > 100 {
			continue
		}
		for at := range len(good) + 1 {
			for _, in := range insert {
				if s := good[:at] + in + good[at:]; l.ReturnTo(s) {
					checkReturnTo(t, l, s)
				}
			}
		}
	}
}
