// Command tikbridge signs people in with TikTok to apps on Supabase.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		// A second signal ends the process at once, for whoever will not wait.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		cancel(stoppedBy{s})
	}()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tikbridge:", err)
		os.Exit(exitCode(err))
	}
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

// Unwrap returns the error.
func (e exitError) Unwrap() error { return e.error }

// exitCode is 1 unless an error says otherwise.
func exitCode(err error) int {
	var e exitError
	if errors.As(err, &e) {
		return e.code
	}
	return 1
}

// stoppedBy is why the context of a command ended.
type stoppedBy struct{ os.Signal }

// Error implements error.
func (s stoppedBy) Error() string { return s.String() }
