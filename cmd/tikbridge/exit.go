package main

import "errors"

// exitError is an error with its own exit code.
type exitError struct {
	error
	code int
}

// Unwrap returns the error.
func (e exitError) Unwrap() error { return e.error }

// exitCode returns the exit code for err: 1, unless it is an exitError.
func exitCode(err error) int {
	var e exitError
	if errors.As(err, &e) {
		return e.code
	}
	return 1
}
