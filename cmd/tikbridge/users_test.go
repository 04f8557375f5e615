package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/test/process"
)

// TestUsersAdopt runs the command on a project with accounts of the guide's Edge Function: it says what
// it would do, is stopped with accounts in quarantine, and lets go of them.
func TestUsersAdopt(t *testing.T) {
	t.Parallel()
	const unclaimed, owned = 30, 80
	sim := gotruesim.New(gotruesim.Options{WriteDelay: time.Millisecond})
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	add := func(openID, claim, anchor string) {
		body := fmt.Sprintf(`{"email":%q,"email_confirm":true,"password_hash":"$2a$10$%s",`+
			`"user_metadata":{"tiktok_open_id":%q},"app_metadata":{%s}}`,
			strings.ToLower(openID)+"@tiktok.oauth", strings.Repeat("a", 53), claim, anchor)
		r := httptest.NewRequestWithContext(
			t.Context(), http.MethodPost, "/auth/v1/admin/users", strings.NewReader(body),
		)
		r.Header.Set("Apikey", gotruesim.SecretKey)
		w := httptest.NewRecorder()
		if sim.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("create: status %d: %s", w.Code, w.Body)
		}
	}
	for i := range owned + unclaimed {
		openID, anchor := fmt.Sprintf("-000Person%026d", i), ""
		if i < owned {
			anchor = fmt.Sprintf(`"tiktok":{"open_id":%q}`, openID)
		}
		add(openID, openID, anchor)
	}
	add("-000Squatted", "-000SomebodyElse", "")

	adopt := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(
			t.Context(), filepath.Join(binDir, "tikbridge"), append([]string{"users", "adopt"}, args...)...,
		)
		cmd.Env = []string{
			"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "TIKTOK_CLIENT_KEY=k", "TIKTOK_CLIENT_SECRET=s",
			"SUPABASE_URL=" + srv.URL, "SUPABASE_PUBLISHABLE_KEY=" + gotruesim.PublishableKey,
			"SUPABASE_SECRET_KEY=" + gotruesim.SecretKey, "TIKBRIDGE_APP_ORIGINS=https://app.example",
		}
		return cmd
	}
	run := func(args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs strings.Builder
		cmd := adopt(args...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("users adopt %v: %v\n%s", args, err, &errs)
		}
		return out.String(), errs.String()
	}

	if out, err := adopt("--quarantine", "1m").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "--quarantine 1m0s is too short") {
		t.Errorf("a quarantine of a minute ends with %v and %q", err, out)
	}

	out, progress := run("--dry-run")
	if want := "30 to adopt, 1 left alone, 0 failed, 80 had an owner, 0 belong to other users"; lastLine(out) != want {
		t.Errorf("the dry run ends with %q; want %q", lastLine(out), want)
	}
	if strings.Count(out, "  to adopt\n") != unclaimed ||
		strings.Count(out, "  left: its open_id is not known exactly\n") != 1 {
		t.Errorf("the dry run does not list every account:\n%s", out)
	}
	want := "30 accounts to look at, 0 of them in quarantine since an earlier run.\n100 seen, "
	if !strings.HasPrefix(progress, want) {
		t.Errorf("progress is %q; want %q at its start", progress, want)
	}

	stopped := adopt("--per-minute", "6000")
	var ends strings.Builder
	var said strings.Builder
	quarantined := 0
	stopped.Stdout = &ends
	stopped.Stderr = io.MultiWriter(&said, process.Lines(func(line []byte) {
		if !bytes.Contains(line, []byte("account_quarantined")) {
			return
		}
		if quarantined++; quarantined == 3 { // once: a second signal ends it at once
			if err := stopped.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}
	}))
	err := stopped.Run()
	for _, want := range []string{
		"Each is locked for 20m0s, and its owner cannot sign in meanwhile. The run takes about 20m0s.",
		fmt.Sprintf("stopped with %d accounts in quarantine", quarantined), "--release",
	} {
		if err == nil || !strings.Contains(said.String(), want) {
			t.Errorf("the stopped run ends with %v and says %q; want %q", err, &said, want)
		}
	}

	_, progress = run("--dry-run")
	if want := fmt.Sprintf(
		"30 accounts to look at, %d of them in quarantine", quarantined,
	); !strings.HasPrefix(progress, want) {
		t.Errorf("the next run says %q; want %q", progress, want)
	}
	if out, _ = run("--release"); lastLine(out) != fmt.Sprintf("%d released, 0 failed", quarantined) {
		t.Errorf("the release ends with %q; want %d released", lastLine(out), quarantined)
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
