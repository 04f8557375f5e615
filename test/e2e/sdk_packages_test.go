package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// npmInstall returns a folder in which the packages of the lock file are installed, or skips the test.
func npmInstall(t *testing.T) string {
	t.Helper()
	needTools(t, "node", "npm")
	return npmPackages(t)
}

var npmPackages = shared(func() (string, error) { return npmInstallInto("npm", "js") })

// npmInstallInto installs the packages of a lock file in a folder of scratch.
func npmInstallInto(folder, source string) (string, error) {
	dir := filepath.Join(scratch, folder)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
}

// TestSDK_packages uses the SDK with the real supabase-js and the real despia-native.
func TestSDK_packages(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	t.Run("supabase-js has another session", func(t *testing.T) {
		b := newDevice(t, false)
		b.open(t, s.app+"/supabase")
		id := eval[string](t, b, `client.auth.signUp({ email: 'by-mail@mail.example', password: 'correct horse 1' })
			.then(({ data, error }) => data.session?.user.id ?? String(error))`)
		eval[chromedp.Void](t, b, "void tiktok.signIn()")
		b.wantStatuses(t, "failed already_signed_in")
		if got := eval[string](t, b, "client.auth.getUser().then(({ data }) => data.user?.id)"); got != id {
			t.Errorf("signed in is %q; want still %q", got, id)
		}
		eval[chromedp.Void](t, b, "void tiktok.signIn({ replaceSession: true })")
		b.consent(t)
		other := b.wantStatuses(t, "signed_in")[0].Session.User.ID
		if got := eval[string](t, b, "client.auth.getUser().then(({ data }) => data.user?.id)"); got != other || got == id {
			t.Errorf("signed in is %q; want %q", got, other)
		}
		b.wantNoComplaints(t)
	})
	t.Run("supabase-js is stuck", func(t *testing.T) {
		b := newDevice(t, false)
		b.open(t, s.app+"/supabase/stuck")
		eval[chromedp.Void](t, b, "void tiktok.signIn()")
		b.consent(t)
		b.until(t, "window.endTimeLimit?.()")
		b.until(t, "window.results?.[0]?.error === 'invalid_session'")
		// Its callback asks for another try, which is stuck, too; then the first comes to an end.
		b.until(t, "[endTimeLimit()] && results.some(({ status }) => status === 'signed_in')")
		b.wantNoComplaints(t)
	})
	t.Run("supabase-js refuses", func(t *testing.T) {
		b := newDevice(t, false)
		b.open(t, s.app+"/supabase")
		s.front.next(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			_, _ = io.WriteString(w, `{"access_token":"a.b.c","refresh_token":"d"}`)
		})
		eval[chromedp.Void](t, b, "void tiktok.signIn()")
		b.consent(t)
		b.wantStatuses(t, "failed invalid_session")
		if eval[string](t, b, "results[0].cause.message") == "" {
			t.Error("the result has no cause")
		}
	})
	t.Run("despia-native", func(t *testing.T) {
		b := newDevice(t, true)
		b.open(t, s.app+"/function")
		eval[chromedp.Void](t, b, "tiktok.signIn()")
		secure := openSecureBrowser(t, b, s)
		secure.consent(t)
		eval[chromedp.Void](t, b, push(secure.deeplink(t)))
		b.wantStatuses(t, "signed_in")
		b.wantNoComplaints(t)
	})
}

// TestSDK_supabaseVersions: whoever is signed in stays so if the next sign-in is cancelled or fails.
// supabase-js up to 2.89 drops the session if the address has an error_description.
func TestSDK_supabaseVersions(t *testing.T) {
	npmInstall(t)
	s := startSDK(t)
	for i, version := range []string{"supabase-js-2.45", "supabase-js-2.86", "supabase-js-2.89", "newest"} {
		for j, flow := range []string{"implicit/", "pkce/"} {
			options := flow + alternate(i+j, "on", "off")
			t.Run(version+"/"+options, func(t *testing.T) {
				t.Parallel()
				page := s.app + "/supabase/" + version + "/" + options
				b := newDevice(t, false)
				b.open(t, page)
				eval[chromedp.Void](t, b, "void tiktok.signIn()")
				b.consent(t)
				id := b.wantStatuses(t, "signed_in")[0].Session.User.ID
				wantUser := func(when string) {
					t.Helper()
					got := eval[string](t, b, "client.auth.getUser().then(({ data, error }) => data.user?.id ?? error.message)")
					if got != id || id == "" {
						t.Errorf("after %s getUser says %q; want %q", when, got, id)
					}
				}
				wantUser("the sign-in")

				eval[chromedp.Void](t, b, "void tiktok.signIn({ selectAccount: true })")
				b.run(t, "cancel", visible(cancelButton), click(cancelButton))
				b.wantStatuses(t, "cancelled")
				wantUser("a cancelled sign-in")

				b.open(t, page+"?tikbridge_error=tiktok_unavailable&tikbridge_error_description=Later&tikbridge_request_id=r1")
				b.wantStatuses(t, "failed tiktok_unavailable")
				wantUser("a sign-in that failed")
				b.run(t, "reload", chromedp.Reload())
				b.until(t, "window.ready")
				wantUser("a reload")
				b.wantNoComplaints(t)
			})
		}
	}
}
