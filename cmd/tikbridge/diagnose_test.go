package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
	"github.com/tikbridge/tikbridge/test/output"
)

// diagnosed is a bridge whose configuration has a fault or not, with simulators and an address that leads
// elsewhere.
type diagnosed struct {
	*App
	log *output.Buffer
	// asked counts requests to the public address.
	asked *atomic.Int64
}

func newDiagnosed(t *testing.T, adjust func(*config.Config)) diagnosed {
	t.Helper()
	serve := func(h http.Handler) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.URL
	}
	d := diagnosed{log: &output.Buffer{}, asked: &atomic.Int64{}}
	cfg, problems := config.Inspect("", func(c *config.Config) {
		*c = config.Default()
		c.TikTok.ClientKey, c.TikTok.ClientSecret = tiktoksim.DefaultClientKey, tiktoksim.DefaultClientSecret
		c.TikTok.APIURL = serve(tiktoksim.New(tiktoksim.Options{}))
		c.TikTok.AuthorizeURL = c.TikTok.APIURL + "/v2/auth/authorize/"
		c.Supabase.URL = serve(gotruesim.New(gotruesim.Options{DisableSignup: true, RequireConfirmation: true}))
		c.Supabase.PublishableKey, c.Supabase.SecretKey = gotruesim.PublishableKey, gotruesim.SecretKey
		c.App.Origins = []string{"http://localhost:3000"}
		c.Server.PublicURL = serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			d.asked.Add(1)
			w.WriteHeader(http.StatusBadGateway)
		}))
		adjust(c)
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	app, err := NewApp(cfg, AppOptions{Logger: slog.New(slog.NewJSONHandler(d.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	d.App = app
	return d
}

// lines returns level and check of each line in the log, and wants each to say what to do.
func (d diagnosed) lines(t *testing.T) (lines []string) {
	t.Helper()
	for line := range strings.Lines(d.log.String()) {
		var l struct {
			Level, Msg, Check, Seen, Fix string
			Checks                       int
		}
		err := json.Unmarshal([]byte(line), &l)
		if l.Msg == "the doctor found nothing wrong" && l.Checks > 0 {
			lines = append(lines, "well")
			continue
		}
		if err != nil || l.Seen == "" || l.Fix == "" {
			t.Errorf("line %s: %v; want what was seen, and the fix", line, err)
		}
		lines = append(lines, l.Level+" "+l.Check)
	}
	return lines
}

// TestDiagnose: a bridge that nobody has a shell on tells in its log what the doctor would, once.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	well := func(*config.Config) {}
	tests := []struct {
		name  string
		fault func(*config.Config)
		want  []string
	}{
		{"all well but the address", well, []string{"well", "ERROR public_url"}},
		{"no address", func(c *config.Config) { c.Server.PublicURL = "" }, []string{"well"}},
		{"a common scheme", func(c *config.Config) {
			c.Server.PublicURL, c.App.DeeplinkSchemes = "", []string{"app"}
		}, []string{"WARN deeplinks"}},
		{"client secret", func(c *config.Config) {
			c.Server.PublicURL, c.TikTok.ClientSecret = "", "renewed"
		}, []string{"ERROR tiktok"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDiagnosed(t, tt.fault)
			d.diagnoseAfter(t.Context(), 0)
			if got := d.lines(t); !slices.Equal(got, tt.want) {
				t.Errorf("logged %q; want %q", got, tt.want)
			}
		})
	}
}

// TestDiagnose_publicAddress: the bridge does not ask for itself before proxies can lead to it, and stops
// waiting when it is stopped.
func TestDiagnose_publicAddress(t *testing.T) {
	t.Parallel()
	d := newDiagnosed(t, func(c *config.Config) { c.App.DeeplinkSchemes = []string{"app"} })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.diagnoseAfter(ctx, time.Hour)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(d.log.String(), `"check":"deeplinks"`) { // the end of the first round
		<-tick.C
	}
	stop()
	<-done
	if n := d.asked.Load(); n != 0 {
		t.Errorf("the public address was asked %d times before the bridge was ready", n)
	}
	if got := d.lines(t); !slices.Equal(got, []string{"WARN deeplinks"}) {
		t.Errorf("logged %q; want nothing of the address", got)
	}
}
