// Package e2e holds tests of the whole: the built binary, a real browser, and the JavaScript packages
// that apps use. It has no code of its own.
package e2e
