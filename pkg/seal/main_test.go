package seal_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/seal"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "canary-7f3a"

var (
	keyA = signin.Secret(strings.Repeat("a", seal.MinKeyLength))
	keyB = signin.Secret(strings.Repeat("b", seal.MinKeyLength))
)

func mustRing(tb testing.TB, keys ...signin.Secret) *seal.Ring {
	tb.Helper()
	r, err := seal.New(keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
