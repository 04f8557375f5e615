// Package process runs programs for tests, and finds addresses for them to listen at.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// FreeAddresses is FindAddresses for a test.
func FreeAddresses(tb testing.TB, n int) []string {
	tb.Helper()
	addresses, err := FindAddresses(n)
	if err != nil {
		tb.Fatal(err)
	}
	return addresses
}

// FindAddresses returns n different addresses (host:port) of this machine that nobody listens at.
func FindAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all stay open until all are found, so that they differ
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// Process is a running program. Whoever starts it must stop it.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the exit
}

// Start starts cmd.
func Start(cmd *exec.Cmd) (*Process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the program has ended and all its output is written.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Stop ends the program with SIGTERM and says how it ended, also if it had ended before. One that still runs
// after a minute is told to quit, upon which a Go program prints its goroutines.
func (p *Process) Stop() error { return p.stop(time.Minute) }

func (p *Process) stop(grace time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timeout := time.NewTimer(grace)
	defer timeout.Stop()
	select {
	case <-p.exited:
		return p.err
	case <-timeout.C:
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	<-p.exited
	return errors.Join(fmt.Errorf("still running %v after SIGTERM", grace), p.err)
}

// Lines returns a writer that calls f with each line written to it, without its end.
func Lines(f func(line []byte)) io.Writer { return &lines{f: f} }

type lines struct {
	mu   sync.Mutex
	f    func([]byte)
	rest []byte // of a line whose end has not come
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.f(line)
		l.rest = rest
	}
}
