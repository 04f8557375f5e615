package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// exitStopped is the exit code after Ctrl-C, as shells have it.
const exitStopped = 130

// errStopped is the error of a command that was stopped before it did anything.
var errStopped error = exitError{errors.New("stopped; nothing was written"), exitStopped}

// terminal asks a person. It is in raw mode until it is closed, and shows what is typed itself: the system would
// show a secret that is pasted before its prompt is there.
type terminal struct {
	screen  *term.Terminal
	restore func()
}

// openTerminal returns the terminal behind in, nil if there is none. Ctrl-C, which sends no signal in raw mode, calls
// stop. A question fails when ctx ends.
func openTerminal(ctx context.Context, in *os.File, out io.Writer, stop func()) *terminal {
	fd := int(in.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil
	}
	parts := make(chan []byte, 64)
	go pump(in, parts, stop) // until the process exits: nothing ends a read from a terminal
	screen := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{&keyboard{ctx: ctx, parts: parts}, out}, "")
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = screen.SetSize(width, height)
	}
	return &terminal{screen, func() { _ = term.Restore(fd, before) }}
}

// pump passes on what is typed, and notices Ctrl-C while nobody reads.
func pump(in io.Reader, parts chan<- []byte, stop func()) {
	const ctrlC = 3
	for {
		part := make([]byte, 256)
		n, err := in.Read(part)
		if bytes.IndexByte(part[:n], ctrlC) >= 0 {
			stop()
		}
		if n > 0 {
			parts <- part[:n]
		}
		if err != nil {
			close(parts)
			return
		}
	}
}

// keyboard reads what is typed, until ctx ends.
type keyboard struct {
	ctx   context.Context //nolint:containedctx // io.Reader has no parameter for it
	parts <-chan []byte
	rest  []byte
}

// Read implements io.Reader.
func (k *keyboard) Read(p []byte) (int, error) {
	if len(k.rest) == 0 {
		select {
		case part, open := <-k.parts:
			if !open {
				return 0, io.EOF
			}
			k.rest = part
		case <-k.ctx.Done():
			return 0, io.EOF
		}
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}

// Write shows text.
func (t *terminal) Write(text []byte) (int, error) { return t.screen.Write(text) }

// close makes the terminal as it was.
func (t *terminal) close() { t.restore() }

// ask shows a prompt and returns the line that is typed, without spaces around it. It returns errStopped if no line
// comes. Of a hidden line only the length is shown.
func (t *terminal) ask(prompt string, hidden bool) (string, error) {
	var line string
	var err error
	if hidden {
		line, err = t.screen.ReadPassword(prompt)
	} else {
		t.screen.SetPrompt(prompt)
		line, err = t.screen.ReadLine()
		t.screen.SetPrompt("")
	}
	line = strings.TrimSpace(line)
	if err != nil {
		_, _ = fmt.Fprintln(t)
		return "", errStopped
	}
	if hidden && line != "" {
		_, _ = fmt.Fprintf(t, "  (%d characters)\n", len(line))
	}
	return line, nil
}

// agree asks a question whose answer is no unless it is yes.
func (t *terminal) agree(question string) (bool, error) {
	answer, err := t.ask(question+" [y/N]: ", false)
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}
