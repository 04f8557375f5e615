package allow_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/allow"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ signin.Policy = (*allow.List)(nil)

// corpora are all files of testdata; every fuzz target is seeded from all of them.
var corpora = []string{
	"attack_targets.txt", "good_targets.txt", "good_origins.txt", "bad_origins.txt",
	"good_redirects.txt", "bad_redirects.txt", "good_schemes.txt", "bad_schemes.txt",
}

// corpus reads a file of Go-quoted strings.
func corpus(tb testing.TB, name string) []string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := strconv.Unquote(line)
		if err != nil {
			tb.Fatalf("%s: %s: %v", name, line, err)
		}
		out = append(out, entry)
	}
	return out
}

// checks are the three checks with what each must take and refuse.
var checks = []struct {
	name      string
	check     func(string) error
	good, bad string
}{
	{"origin", allow.CheckOrigin, "good_origins.txt", "bad_origins.txt"},
	{"redirect uri", allow.CheckRedirectURI, "good_redirects.txt", "bad_redirects.txt"},
	{"scheme", allow.CheckScheme, "good_schemes.txt", "bad_schemes.txt"},
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range checks {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, entry := range corpus(t, tt.good) {
				if err := tt.check(entry); err != nil {
					t.Errorf("got %q %v; want it taken", entry, err)
				}
			}
			for _, entry := range corpus(t, tt.bad) {
				if err := tt.check(entry); err == nil {
					t.Errorf("got %q taken; want it refused", entry)
				}
			}
		})
	}
}

// Each of these is a mistake that people make; the message is all the help they get.
func TestCheck_message(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		check func(string) error
		entry string
		want  string
	}{
		{"origin with slash", allow.CheckOrigin, "https://app.example/", "trailing slash"},
		{"origin without scheme", allow.CheckOrigin, "app.example", "https://app.example"},
		{"origin in capitals", allow.CheckOrigin, "https://App.example", "lower case"},
		{"origin with default port", allow.CheckOrigin, "https://app.example:443", "default port"},
		{"origin with wildcard", allow.CheckOrigin, "https://*.example", "wildcard"},
		{"origin with wildcard over a shared host", allow.CheckOrigin, "https://*.vercel.app", "https://my-app.vercel.app"},
		{"origin with wildcard over shared hosts", allow.CheckOrigin, "https://*.code.run:8443", "https://my-app.code.run"},
		{"origin with wildcard inside", allow.CheckOrigin, "https://app.*.example", "wildcard"},
		{"origin with wildcard over addresses", allow.CheckOrigin, "https://*.[::1]", "https://*.preview.example"},
		{"origin with wildcard over http", allow.CheckOrigin, "http://*.preview.example", "wildcard"},
		{"origin with short address", allow.CheckOrigin, "https://127.1", "203.0.113.7"},
		{"origin with mapped address", allow.CheckOrigin, "https://[::ffff:203.0.113.7]", "203.0.113.7"},
		{"origin over http", allow.CheckOrigin, "http://app.example", "https://"},
		{"origin with umlaut", allow.CheckOrigin, "https://bücher.example", "xn--"},
		{"origin with odd port", allow.CheckOrigin, "https://app.example:99999", "port"},
		{"redirect with query", allow.CheckRedirectURI, "https://app.example/auth?x=1", "query"},
		{"redirect with user", allow.CheckRedirectURI, "https://me@app.example/auth", "user name"},
		{"redirect with path alone", allow.CheckRedirectURI, "/auth", "absolute"},
		{"redirect with wildcard", allow.CheckRedirectURI, "https://*.app.example/auth", "wildcard"},
		{"redirect with folder that is none", allow.CheckRedirectURI, "https://app.example/a/../*", "before the /*"},
		{"redirect with space", allow.CheckRedirectURI, "https://app.example/auth ", "characters"},
		{"redirect of 512", allow.CheckRedirectURI, "https://app.example/" + strings.Repeat("a", 492), "too long"},
		{"scheme with slashes", allow.CheckScheme, "myapp://", "without ://"},
		{"scheme in capitals", allow.CheckScheme, "MyApp", "lower-case"},
		{"scheme of the browser", allow.CheckScheme, "https", "Despia"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.check(tt.entry)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v; want something about %q", err, tt.want)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	l, err := allow.New(
		[]string{"https://app.example", "https://app.example/", "null"},
		[]string{"https://app.example/auth", "http://app.example/auth"},
		[]string{"myapp", "JavaScript"},
	)
	if err == nil {
		t.Fatal("got no error; want four entries refused")
	}
	if l != nil {
		t.Error("got a list; want none from entries that are refused")
	}
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		entry, _, _ := strings.Cut(line, " ")
		got = append(got, entry)
	}
	want := []string{`"https://app.example/"`, `"null"`, `"http://app.example/auth"`, `"JavaScript"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused entries (-want +got):\n%s", diff)
	}
}

func newList(tb testing.TB) *allow.List {
	tb.Helper()
	l, err := allow.New(
		[]string{"https://app.example", "http://localhost:3000"},
		[]string{"https://app.example/auth", "https://app.example/native-callback"},
		[]string{"myapp", "com.example.other"},
	)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// Everything that differs by as much as a byte is another entry.
func TestList_exact(t *testing.T) {
	t.Parallel()
	l := newList(t)
	tests := []struct {
		name    string
		allowed func(string) bool
		listed  []string
		not     []string
	}{
		{
			"origin", l.Origin,
			[]string{"https://app.example", "http://localhost:3000"},
			[]string{
				"https://app.example:443", "https://sub.app.example", "https://app.example.evil.example",
				"https://xapp.example", "http://app.example", "http://localhost", "http://localhost:30000",
			},
		},
		{
			"redirect uri", l.RedirectURI,
			[]string{"https://app.example/auth", "https://app.example/native-callback"},
			[]string{
				"https://app.example", "https://app.example/auth/", "https://app.example/auth/..",
				"https://app.example//auth", "https://app.example/./auth", "https://app.example/x/../auth",
				"https://app.example/%61uth", "https://app.example/Auth", "https://APP.example/auth",
				"https://app.example:443/auth", "https://app.example/authx", "https://app.example/aut",
				"https://app.example.evil.example/auth", "https://app.example/auth?", "https://app.example/auth#",
				"https://app.example/auth?x=https://app.example/auth", "https://app.example/auth%00",
				"https://app.example/auth;x", "http://app.example/auth",
			},
		},
		{
			"scheme", l.Scheme,
			[]string{"myapp", "com.example.other"},
			[]string{"myap", "myappx", "com.example", "com.example.othe", "myapp,com.example.other"},
		},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range tt.listed {
				if !tt.allowed(s) {
					t.Errorf("got %q refused; want it allowed", s)
				}
			}
			not := slices.Concat(tt.not, corpus(t, checks[i].bad))
			for _, s := range tt.listed {
				not = append(not, strings.ToUpper(s), " "+s, s+" ", s+"\n", s+"\x00", s+"\t", s+"/", s+`\`)
			}
			for _, s := range not {
				if tt.allowed(s) {
					t.Errorf("got %q allowed; want it refused", s)
				}
			}
		})
	}
}

func TestList_empty(t *testing.T) {
	t.Parallel()
	empty, err := allow.New(nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*allow.List{empty, {}} {
		refusesAll(t, l)
	}
}

func refusesAll(t *testing.T, l *allow.List) {
	t.Helper()
	for _, s := range []string{"", "null", "*", "https://app.example", "myapp"} {
		if l.Origin(s) || l.RedirectURI(s) || l.ReturnTo(s) || l.Scheme(s) {
			t.Errorf("got %q allowed by an empty list; want nothing allowed", s)
		}
	}
}

// The first scheme is the default, and nobody changes the list from outside.
func TestList_Schemes(t *testing.T) {
	t.Parallel()
	in := []string{"myapp", "other"}
	l, err := allow.New(nil, nil, in)
	if err != nil {
		t.Fatal(err)
	}
	in[0] = "evil"
	l.Schemes()[0] = "evil"
	if diff := cmp.Diff([]string{"myapp", "other"}, l.Schemes()); diff != "" {
		t.Errorf("schemes (-want +got):\n%s", diff)
	}
	if l.Scheme("evil") {
		t.Error("got evil allowed; want the list closed")
	}
}

// One label takes the place of the star, and nothing else does.
func TestList_Origin_wildcard(t *testing.T) {
	t.Parallel()
	l, err := allow.New([]string{"https://*.preview.example", "https://*.ports.example:8443"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, origin string
		want         bool
	}{
		{"one letter", "https://x.preview.example", true},
		{"digits", "https://42.preview.example", true},
		{"hyphens", "https://id-preview--0a1b.preview.example", true},
		{"letters of other scripts", "https://xn--bcher-kva.preview.example", true},
		{"63 letters", "https://" + strings.Repeat("a", 63) + ".preview.example", true},
		{"the port of the entry", "https://x.ports.example:8443", true},
		{"64 letters", "https://" + strings.Repeat("a", 64) + ".preview.example", false},
		{"the entry itself", "https://*.preview.example", false},
		{"no label", "https://preview.example", false},
		{"an empty label", "https://.preview.example", false},
		{"two labels", "https://a.b.preview.example", false},
		{"hyphen first", "https://-x.preview.example", false},
		{"hyphen last", "https://x-.preview.example", false},
		{"underscore", "https://a_b.preview.example", false},
		{"capitals", "https://X.preview.example", false},
		{"capitals after it", "https://x.Preview.example", false},
		{"http", "http://x.preview.example", false},
		{"a port", "https://x.preview.example:8443", false},
		{"the default port", "https://x.preview.example:443", false},
		{"another port", "https://x.ports.example:8444", false},
		{"no port", "https://x.ports.example", false},
		{"a slash", "https://x.preview.example/", false},
		{"a slash as label", "https://evil.example/.preview.example", false},
		{"a user name", "https://x@y.preview.example", false},
		{"a longer end", "https://x.preview.example.evil.example", false},
		{"a longer start", "https://x.evilpreview.example", false},
		{"a dot at the end", "https://x.preview.example.", false},
		{"a line break", "https://x.preview.example\n", false},
		{"a zero byte", "https://evil.example\x00.preview.example", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := l.Origin(tt.origin); got != tt.want {
				t.Errorf("got %v for %q; want %v", got, tt.origin, tt.want)
			}
		})
	}
}

// Neither kind of star is ever a redirect URI for TikTok.
func TestList_RedirectURI_folder(t *testing.T) {
	t.Parallel()
	l, err := allow.New(
		[]string{"https://*.preview.example"},
		[]string{"https://app.example/app/*", "https://app.example/auth"}, nil,
	)
	if err != nil {
		t.Fatal(err)
	}
	if !l.RedirectURI("https://app.example/auth") {
		t.Error("got /auth refused; want it allowed")
	}
	for _, uri := range []string{
		"https://app.example/app/*", "https://app.example/app/", "https://app.example/app",
		"https://app.example/app/x", "https://x.preview.example", "https://x.preview.example/auth",
		"https://*.preview.example", "https://*.preview.example/auth",
	} {
		if l.RedirectURI(uri) {
			t.Errorf("got %q allowed; want it refused", uri)
		}
	}
}
