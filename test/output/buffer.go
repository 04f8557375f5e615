// Package output keeps what processes and loggers write, for tests that read it meanwhile.
package output

import (
	"strings"
	"sync"
)

// Buffer is a strings.Builder that may be written and read at the same time.
type Buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
