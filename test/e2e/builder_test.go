package e2e_test

import (
	"testing"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// TestBuilder runs the app of testdata/builder, which is what static/examples/prompt.md makes: in a Despia
// app and on the web, after a first attempt that was cancelled.
func TestBuilder(t *testing.T) {
	s := startApps(t)
	t.Run("native", func(t *testing.T) {
		t.Parallel()
		p := newPhone(t, s, "ios")
		p.start(t, s.host, "builder")
		p.run(t, "sign in", click(signInButton))
		p.dismiss(t, p.secure(t))
		p.wantMessage(t, "cancelled")
		p.run(t, "sign in again", click(signInButton))
		sb := p.secure(t)
		sb.agree(t, "mira")
		p.follow(t, sb, sb.link(t, false), false)
		s.wantSignedIn(t, p.device, tiktoksim.OpenIDMira)
	})
	t.Run("web", func(t *testing.T) {
		t.Parallel()
		b := newPage(t)
		b.start(t, s.apart, "builder")
		b.run(t, "sign in", click(signInButton))
		b.decline(t)
		b.wantMessage(t, "cancelled")
		b.run(t, "sign in again", click(signInButton))
		b.agree(t, "mira")
		s.wantSignedIn(t, b, tiktoksim.OpenIDMira)
	})
}
