package process

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestStop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		grace        time.Duration
		want         string
	}{
		{"ends well", `trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done`, time.Minute, "<nil>"},
		{"fails", `trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done`, time.Minute, "exit status 3"},
		{
			"ignores it", `trap '' TERM; echo ready; while :; do sleep 0.01; done`,
			100 * time.Millisecond, "still running 100ms after SIGTERM\nsignal: quit",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ready := make(chan struct{})
			cmd := exec.CommandContext(t.Context(), "sh", "-c", tt.script)
			cmd.Stdout = Lines(func([]byte) { close(ready) })
			p, err := Start(cmd)
			if err != nil {
				t.Fatal(err)
			}
			<-ready
			if got := fmt.Sprint(p.stop(tt.grace)); got != tt.want {
				t.Errorf("it ended with %q; want %q", got, tt.want)
			}
		})
	}
}

func TestStop_ended(t *testing.T) {
	t.Parallel()
	p, err := Start(exec.CommandContext(t.Context(), "sh", "-c", "exit 4"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	if got, want := fmt.Sprint(p.Stop()), "exit status 4"; got != want {
		t.Errorf("it ended with %q; want %q", got, want)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	var got []string
	w := Lines(func(line []byte) { got = append(got, string(line)) })
	for _, part := range []string{"a", "b\nc\n\nd", "e", "\n", "no end"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("Write(%q) = %d, %v", part, n, err)
		}
	}
	if want := []string{"ab", "c", "", "de"}; !slices.Equal(got, want) {
		t.Errorf("lines are %q; want %q", got, want)
	}
}
