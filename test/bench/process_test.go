package bench_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/test/process"
)

// program is something that signs people in, with its path for a code.
type program struct {
	name string
	path string
	argv []string
}

// roleVariable makes the test binary the plain server.
const roleVariable = "BENCH_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		fmt.Fprintln(os.Stderr, servePlain(role == "least"))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func bridge(tb testing.TB) program {
	return program{"bridge", "/api/auth/tiktok-callback", []string{binary(tb), "serve"}}
}

func plainServer() program {
	return program{"plain", "/", []string{"env", roleVariable + "=plain", os.Args[0]}}
}

// leastServer makes three calls, one after another, and nothing else.
func leastServer() program {
	return program{"least", "/", []string{"env", roleVariable + "=least", os.Args[0]}}
}

// others are more servers to measure beside, from the variable TIKBRIDGE_BENCH_OTHERS: name=command,
// several of them separated by semicolons. A command gets the environment of environ, and answers
// POST / on 127.0.0.1:PORT.
func others() []program {
	var list []program
	for entry := range strings.SplitSeq(os.Getenv("TIKBRIDGE_BENCH_OTHERS"), ";") {
		if name, command, ok := strings.Cut(strings.TrimSpace(entry), "="); ok {
			list = append(list, program{name, "/", []string{"sh", "-c", "exec " + command}})
		}
	}
	return list
}

// binary returns the binary to measure, which `make bench` builds.
func binary(tb testing.TB) string {
	tb.Helper()
	path := os.Getenv("TIKBRIDGE_BENCH_BINARY")
	if path == "" {
		tb.Skip("TIKBRIDGE_BENCH_BINARY names no binary; make bench sets it")
	}
	return path
}

// server is a running program.
type server struct {
	program
	addr, admin string
	pid         int
	started     time.Time
}

// environ is what a program is told: where it listens, and that the stand-in is TikTok and Supabase.
// The bridge runs as in production: it logs each request, counts, seals and limits, although the limits
// are out of reach, since all people come from one address.
func environ(s *standin, addr, admin string) []string {
	_, port, _ := net.SplitHostPort(addr)
	secret := os.Getenv("TIKBRIDGE_CONTRACT_SERVICE_KEY")
	anon := os.Getenv("TIKBRIDGE_CONTRACT_ANON_KEY")
	if s.gotrue == nil {
		anon, secret = apiKey("anon"), apiKey("service_role")
	}
	const many = "1000000"
	tiktok, supabase := "http://"+s.addr, "http://"+s.addr
	var extra []string
	if s.away != nil {
		tiktok, supabase = "https://"+s.away.tiktok, "https://"+s.away.supabase
		extra = []string{"SSL_CERT_FILE=" + s.away.authority, "DENO_CERT=" + s.away.authority}
	}
	if s.redis != "" {
		extra = append(extra, "TIKBRIDGE_STORE_REDIS_URL="+s.redis)
	}
	return append(extra,
		"PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"), "PORT="+port,
		"TIKTOK_CLIENT_KEY=awkey", "TIKTOK_CLIENT_SECRET=secret-of-the-tiktok-app",
		"SUPABASE_URL="+supabase, "SUPABASE_ANON_KEY="+anon, "SUPABASE_SERVICE_ROLE_KEY="+secret,
		"TIKBRIDGE_TIKTOK_API_URL="+tiktok,
		"TIKBRIDGE_SERVER_LISTEN="+addr, "TIKBRIDGE_SERVER_ADMIN_LISTEN="+admin,
		"TIKBRIDGE_SERVER_PUBLIC_URL=http://"+addr,
		"TIKBRIDGE_APP_ORIGINS=https://app.example", "TIKBRIDGE_APP_DEEPLINK_SCHEMES=myapp",
		"TIKBRIDGE_RATE_LIMIT_START="+many, "TIKBRIDGE_RATE_LIMIT_EXCHANGE="+many,
		"TIKBRIDGE_RATE_LIMIT_REDEEM="+many, "TIKBRIDGE_SERVER_SHUTDOWN_DELAY=0s",
	)
}

// apiKey returns a key of the size of real ones; the stand-in does not check who signed it.
func apiKey(role string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		encode([]byte(`{"iss":"supabase","ref":"abcdefghijklmnopqrst","role":"`+role+
			`","iat":1795357930,"exp":2110933930}`)) + "." +
		"25tIvRHCJAMlILN8Mu86231C7c9rD5_SlxlmS-ZRSHM"
}

// start starts a program; its log goes to a file. It returns at once.
func start(tb testing.TB, p program, s *standin) (running *server, stop func()) {
	tb.Helper()
	addresses := process.FreeAddresses(tb, 2)
	log, err := os.Create(filepath.Join(tb.TempDir(), "log"))
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...) // #nosec G204
	cmd.Env, cmd.Stdout, cmd.Stderr = environ(s, addresses[0], addresses[1]), log, log
	running = &server{program: p, addr: addresses[0], admin: addresses[1], started: time.Now()}
	started, err := process.Start(cmd)
	if err != nil {
		tb.Fatal(err)
	}
	running.pid = started.PID()
	stop = sync.OnceFunc(func() {
		_ = started.Stop()
		_ = log.Close()
		if tb.Failed() {
			text, _ := os.ReadFile(log.Name())
			tb.Logf("%s wrote last:\n%s", p.name, text[max(0, len(text)-2000):])
		}
	})
	tb.Cleanup(stop)
	return running, stop
}

// await waits until the process accepts connections, and returns how long after its start that was.
func (p *server) await(tb testing.TB) time.Duration {
	tb.Helper()
	for time.Since(p.started) < 20*time.Second {
		if conn, err := net.Dial("tcp", p.addr); err == nil {
			took := time.Since(p.started)
			_ = conn.Close()
			return took
		}
		time.Sleep(200 * time.Microsecond)
	}
	tb.Fatalf("%s does not listen", p.name)
	return 0
}

// cpu returns the CPU time that the process used.
func (p *server) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/stat")
	if err != nil {
		tb.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.Atoi(fields[11]) // utime and stime of proc_pid_stat(5), in ticks of 10 ms
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory returns a value of proc_pid_status(5) in MiB: VmRSS, the memory in use, or VmHWM, its peak.
func (p *server) memory(tb testing.TB, name string) float64 {
	tb.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/status")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), name+":")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kib / 1024
}

// allocated returns how many allocations the bridge has made, and of how many bytes, as its profile says.
func (p *server) allocated(tb testing.TB) (objects, size float64) {
	tb.Helper()
	resp, err := http.Get("http://" + p.admin + "/debug/pprof/heap?debug=1")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if s, ok := strings.CutPrefix(lines.Text(), "# Mallocs = "); ok {
			objects, _ = strconv.ParseFloat(s, 64)
		}
		if s, ok := strings.CutPrefix(lines.Text(), "# TotalAlloc = "); ok {
			size, _ = strconv.ParseFloat(s, 64)
		}
	}
	return objects, size
}
