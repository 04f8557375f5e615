package e2e_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// soakBridge is a process of the built binary that is started again and again.
type soakBridge struct {
	soak       *soak
	url, admin string
	environ    []string
	log        string

	mu         sync.Mutex
	cmd        *exec.Cmd
	exited     chan error
	generation int // odd while it runs
}

func (b *soakBridge) start() {
	out, err := os.OpenFile(b.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.soak.t.Error(err)
		return
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(cmp.Or(os.Getenv("TIKBRIDGE_SOAK_BINARY"), binary), "serve")
	cmd.Env = append(withoutSettings(os.Environ()), b.environ...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		b.soak.t.Error(err)
		return
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for ready := false; !ready; {
		select {
		case err := <-exited:
			b.soak.breaks("a bridge does not start: %v", err)
			exited <- err
			ready = true
		case <-time.After(20 * time.Millisecond):
			ready = probe(b.url + "/healthz")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cmd, b.exited = cmd, exited
	b.generation++
}

func probe(address string) bool {
	resp, err := http.Get(address)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the process, if it runs. After SIGTERM it must end well.
func (b *soakBridge) stop(sig syscall.Signal) {
	b.mu.Lock()
	running := b.generation%2 == 1
	if running {
		b.generation++
	}
	cmd, exited := b.cmd, b.exited
	b.mu.Unlock()
	if !running {
		return
	}
	select {
	case err := <-exited:
		b.soak.breaks("a bridge ended by itself: %v", err)
		return
	default:
	}
	_ = cmd.Process.Signal(sig)
	select {
	case err := <-exited:
		if err != nil && sig == syscall.SIGTERM &&
			!strings.Contains(b.tail(), "profiles still on their way were dropped") {
			b.soak.breaks("a bridge that was told to stop ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		b.soak.breaks("a bridge did not stop within 30 s, and was killed: %v", <-exited)
	}
}

// tail returns the end of the log.
func (b *soakBridge) tail() string {
	text, _ := os.ReadFile(b.log)
	return string(text[max(0, len(text)-2000):])
}

// incarnation tells one life of the process from the next.
func (b *soakBridge) incarnation() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.generation
}

// errGone: the bridge was stopped meanwhile, or is not running.
var errGone = errors.New("the bridge was restarted")

// ask sends a request to a bridge. That one fails without an answer is only right if the bridge was
// stopped meanwhile.
func (s *soak) ask(b *soakBridge, method, path string, header http.Header, body any) (int, http.Header, []byte, error) {
	before := b.incarnation()
	var payload io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil, err
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, b.url+path, payload)
	if err != nil {
		return 0, nil, nil, err
	}
	maps.Copy(req.Header, header)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	var content []byte
	if err == nil {
		content, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err != nil {
		if before%2 == 1 && before == b.incarnation() {
			s.breaks("a running bridge gave no answer: %v", err)
		}
		return 0, nil, nil, errGone
	}
	return resp.StatusCode, resp.Header, content, nil
}

// bridge returns one of the bridges, in no order. Whether it runs shows when it is asked.
func (s *soak) bridge(rng *rand.Rand) *soakBridge { return s.bridges[rng.IntN(len(s.bridges))] }

// metrics reads /metrics; without labels.
func (b *soakBridge) metrics() (map[string]float64, bool) {
	resp, err := http.Get(b.admin + "/metrics")
	if err != nil {
		return nil, false
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, false
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			all[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return all, true
}
