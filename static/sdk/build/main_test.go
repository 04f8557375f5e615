package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBundles wants the files that browsers load to be those that the modules make.
func TestBundles(t *testing.T) {
	t.Parallel()
	for name, want := range bundles(t) {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what src makes; run go generate ./static/... (-want +got):\n%s", name, diff)
		}
	}
}

// TestBundles_size holds the SDK to what its users have to load.
func TestBundles_size(t *testing.T) {
	t.Parallel()
	const limit = 8000
	for name, content := range bundles(t) {
		var compressed bytes.Buffer
		w, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if compressed.Len() >= limit {
			t.Errorf("%s has %d bytes compressed; want less than %d", name, compressed.Len(), limit)
		}
	}
}

// TestBundles_words keeps out of the SDK what would print secrets, or run what it was not made of.
func TestBundles_words(t *testing.T) {
	t.Parallel()
	for name, content := range bundles(t) {
		for _, word := range []string{"console", "innerHTML", "eval(", "import(", "Function("} {
			if bytes.Contains(content, []byte(word)) {
				t.Errorf("%s has %q", name, word)
			}
		}
	}
}

func bundles(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	return files
}
