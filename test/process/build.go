package process

import (
	"fmt"
	"os"
	"os/exec"
)

// Build builds tikbridge at path: with the race detector, if the test has it too.
func Build(path string) error {
	args := []string{"build", "-o", path}
	if RaceDetector {
		args = append(args, "-race")
	}
	args = append(args, "github.com/tikbridge/tikbridge/cmd/tikbridge")
	build := exec.Command("go", args...) //nolint:gosec,noctx // our own program; it ends
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build tikbridge: %w", err)
	}
	return nil
}
