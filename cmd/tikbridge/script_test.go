package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tikbridge/tikbridge/test/process"
)

// binDir holds the binary that a user would run, built once for all scripts.
var binDir string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tikbridge")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := process.Build(filepath.Join(dir, "tikbridge")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binDir = dir
	return m.Run()
}

// TestScripts runs testdata/script/*.txt against the built binary. Besides testscript's own commands
// they have:
//
//	ports A B ...               sets variables to free ports
//	up URL                      waits until URL answers
//	gone URL                    waits until nothing answers at URL any more
//	http METHOD URL [Name:value ...] [body]
//	                            prints status, headers and body; answers are never an error
//	status N                    the last http had status N
//	json PATH VALUE             the last body has VALUE at PATH (dots between names)
//	set NAME PATH               sets a variable to what the last body has at PATH
//	grab NAME HEADER REGEXP     sets a variable to what the group in REGEXP finds in the last HEADER
//	find NAME REGEXP            the same in the last body
//	challenge NAME VERIFIER     sets a variable to base64url(SHA-256(VERIFIER))
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", binDir+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Values[lastKey{}] = &lastAnswer{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ports":     cmdPorts,
			"up":        cmdUp,
			"gone":      cmdGone,
			"http":      cmdHTTP,
			"status":    cmdStatus,
			"json":      cmdJSON,
			"set":       cmdSet,
			"grab":      cmdGrab,
			"find":      cmdFind,
			"challenge": cmdChallenge,
		},
	})
}

type lastKey struct{}

type lastAnswer struct {
	status int
	header http.Header
	body   []byte
}

func last(ts *testscript.TestScript) *lastAnswer { return ts.Value(lastKey{}).(*lastAnswer) }

// client is one for all scripts; keep-alive is off so that a stopped server is seen as stopped.
var client = &http.Client{
	Timeout:   30 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

func cmdPorts(ts *testscript.TestScript, _ bool, args []string) {
	addresses, err := process.FindAddresses(len(args))
	ts.Check(err)
	for i, name := range args {
		_, port, err := net.SplitHostPort(addresses[i])
		ts.Check(err)
		ts.Setenv(name, port)
	}
}

func cmdUp(ts *testscript.TestScript, _ bool, args []string) {
	poll(ts, args[0], func(err error) bool { return err == nil })
}

func cmdGone(ts *testscript.TestScript, _ bool, args []string) {
	poll(ts, args[0], func(err error) bool { return err != nil })
}

// poll asks until the answer is as wished.
func poll(ts *testscript.TestScript, url string, enough func(error) bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		resp, err := client.Get(url)
		if err == nil {
			_ = resp.Body.Close()
		}
		if enough(err) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s: waited too long; last: %v", url, err)
		}
	}
}

func cmdHTTP(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [Name:value ...] [body]")
	}
	method, url, rest := args[0], args[1], args[2:]
	var body io.Reader = http.NoBody
	header := http.Header{}
	for _, arg := range rest {
		name, value, isHeader := strings.Cut(arg, ":")
		if isHeader && !strings.ContainsAny(name, "{[\" =") {
			header.Add(name, value)
		} else {
			body = strings.NewReader(arg)
		}
	}
	req, err := http.NewRequest(method, url, body)
	ts.Check(err)
	req.Header = header
	if method == http.MethodPost && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	ts.Check(err)
	content, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	ts.Check(err)
	*last(ts) = lastAnswer{resp.StatusCode, resp.Header, content}

	out := ts.Stdout()
	_, _ = fmt.Fprintf(out, "HTTP %d\n", resp.StatusCode)
	names := make([]string, 0, len(resp.Header))
	for name := range resp.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		_, _ = fmt.Fprintf(out, "%s: %s\n", name, strings.Join(resp.Header[name], ", "))
	}
	_, _ = fmt.Fprintf(out, "\n%s\n", content)
}

func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if got := strconv.Itoa(last(ts).status); (got == args[0]) == neg {
		ts.Fatalf("status is %s; want %s; body: %s", got, args[0], last(ts).body)
	}
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	got, err := at(last(ts).body, args[0])
	if neg && err != nil {
		return
	}
	ts.Check(err)
	if (got == args[1]) == neg {
		ts.Fatalf("%s is %q; want %q", args[0], got, args[1])
	}
}

func cmdSet(ts *testscript.TestScript, _ bool, args []string) {
	got, err := at(last(ts).body, args[1])
	ts.Check(err)
	ts.Setenv(args[0], got)
}

// at returns what body has at a path of names with dots between them.
func at(body []byte, path string) (string, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return "", fmt.Errorf("body is no JSON: %w: %s", err, body)
	}
	for _, name := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		var ok bool
		if v, ok = m[name]; !ok {
			return "", errors.New("body has nothing at " + path)
		}
	}
	return fmt.Sprint(v), nil
}

func cmdGrab(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(strings.Join(last(ts).header.Values(args[1]), "\n"))
	if len(found) != 2 {
		ts.Fatalf("no %s in %s: %v", args[2], args[1], last(ts).header)
	}
	ts.Setenv(args[0], found[1])
}

func cmdFind(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindSubmatch(last(ts).body)
	if len(found) != 2 {
		ts.Fatalf("no %s in the body: %s", args[1], last(ts).body)
	}
	ts.Setenv(args[0], string(found[1]))
}

func cmdChallenge(ts *testscript.TestScript, _ bool, args []string) {
	sum := sha256.Sum256([]byte(args[1]))
	ts.Setenv(args[0], base64.RawURLEncoding.EncodeToString(sum[:]))
}
