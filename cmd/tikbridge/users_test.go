package main_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
)

// TestUsersAdopt runs the command on a project with accounts of the guide's Edge Function: it says what
// it would do, is stopped in the middle, goes on, and has nothing left to do.
func TestUsersAdopt(t *testing.T) {
	t.Parallel()
	const accounts, marks = 30, 80
	sim := gotruesim.New(gotruesim.Options{WriteDelay: time.Millisecond})
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	add := func(openID, claim, mark string) {
		body := fmt.Sprintf(`{"email":%q,"email_confirm":true,"password_hash":"$2a$10$%s","user_metadata":{"tiktok_open_id":%q},"app_metadata":{%s}}`,
			strings.ToLower(openID)+"@tiktok.oauth", strings.Repeat("a", 53), claim, mark)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/auth/v1/admin/users", strings.NewReader(body))
		r.Header.Set("Apikey", gotruesim.SecretKey)
		w := httptest.NewRecorder()
		if sim.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("create: status %d: %s", w.Code, w.Body)
		}
	}
	for i := range marks + accounts {
		openID, mark := fmt.Sprintf("-000Person%026d", i), ""
		if i < marks {
			mark = fmt.Sprintf(`"tiktok":{"open_id":%q}`, openID)
		}
		add(openID, openID, mark)
	}
	add("-000Squatted", "-000SomebodyElse", "")

	adopt := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(binDir, "tikbridge"), append([]string{"users", "adopt"}, args...)...)
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
	const refusal = "refused: its open_id is not known exactly\n"

	out, progress := run("--dry-run")
	if want := "111 reviewed: 30 would adopt, 1 refused, 80 marked before, 0 of no TikTok user\n"; !strings.HasSuffix(out, want) {
		t.Errorf("the dry run ends with %q; want %q", lastLine(out), want)
	}
	if strings.Count(out, "  would adopt\n") != accounts || strings.Count(out, refusal) != 1 {
		t.Errorf("the dry run does not list every account:\n%s", out)
	}
	if want := "100 accounts reviewed ...\n"; progress != want {
		t.Errorf("progress is %q; want %q", progress, want)
	}

	stopped := adopt()
	var said strings.Builder
	stopped.Stderr = &said
	lines, err := stopped.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stopped.Start(); err != nil {
		t.Fatal(err)
	}
	done, ends := 0, ""
	for s := bufio.NewScanner(lines); s.Scan(); ends = s.Text() {
		if !strings.HasSuffix(s.Text(), "  adopted") {
			continue
		}
		if done++; done == 3 { // once: a second signal ends it at once
			if err := stopped.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := stopped.Wait(); err == nil || !strings.Contains(said.String(), "stopped; run it again to go on") {
		t.Errorf("the stopped run ends with %v and says %q", err, &said)
	}
	if done >= accounts || !strings.Contains(ends, fmt.Sprintf(" %d adopted", done)) {
		t.Errorf("the stopped run adopted %d and ends with %q", done, ends)
	}

	// What was under way when it stopped may or may not have got its mark.
	out, _ = run()
	var reviewed, adopted, refused, marked, other int
	if _, err := fmt.Sscanf(lastLine(out), "%d reviewed: %d adopted, %d refused, %d marked before, %d of no TikTok user",
		&reviewed, &adopted, &refused, &marked, &other); err != nil {
		t.Fatalf("the summary is %q: %v", lastLine(out), err)
	}
	if adopted+marked != accounts+marks || marked < done+marks || refused != 1 {
		t.Errorf("after %d adopted, the next run says %q", done, lastLine(out))
	}
	if out, _ = run(); lastLine(out) != "111 reviewed: 0 adopted, 1 refused, 110 marked before, 0 of no TikTok user" {
		t.Errorf("a run with nothing to do says %q", lastLine(out))
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
