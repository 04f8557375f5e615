package once_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tikbridge/tikbridge/pkg/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, redistest.IgnoreDialing()) }
