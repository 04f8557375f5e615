package monitoring

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

const minute = time.Minute

// metrics scrapes the bridge.
func (s stack) metrics(t *testing.T) (metrics []byte, contentType string) {
	t.Helper()
	header, metrics := ask(t, http.MethodGet, s.admin+"/metrics", nil, http.StatusOK)
	return metrics, header.Get("Content-Type")
}

// TestFresh: the first failure of a bridge that was just started sets off its alert. Prometheus takes a series that
// begins at one for one that never grew.
func TestFresh(t *testing.T) {
	for name, tt := range map[string]struct {
		settings, labels string
		fail             func(*testing.T, stack)
	}{
		"TikTok refuses the secret, guide flow": {
			labels: `{alertname="TikbridgeMisconfigured", outcome="tiktok_misconfigured", severity="page"}`,
			fail: func(t *testing.T, s stack) {
				s.fault(t, "token", "invalid_client_200", 1)
				s.guide(t, 1, http.StatusInternalServerError)
			},
		},
		"Supabase refuses the key": {
			settings: "SUPABASE_SECRET_KEY=sb_secret_of_another_project",
			labels:   `{alertname="TikbridgeMisconfigured", outcome="supabase_misconfigured", severity="page"}`,
			fail:     func(t *testing.T, s stack) { s.guide(t, 1, http.StatusInternalServerError) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, db := startStack(t, tt.settings), database{}
			before, contentType := s.metrics(t)
			for at := range 5 * minute / minute {
				db.scrape(t, before, contentType, "tikbridge", at*minute)
			}
			tt.fail(t, s)
			after, contentType := s.metrics(t)
			for at := 5 * minute; at < 8*minute; at += minute {
				db.scrape(t, after, contentType, "tikbridge", at)
			}
			var found []string
			for _, r := range alerts(t) {
				for _, l := range firing(t, db, r, minute, 7*minute) {
					found = append(found, strings.Replace(l, "{", `{alertname="`+r.Alert+`", `, 1))
				}
			}
			if !slices.Contains(found, tt.labels) {
				t.Errorf("these alerts fire: %q; want %s", found, tt.labels)
			}
			for key, series := range db {
				if isCounted(t, series.Metric) && series.Floats[0].T > 0 {
					t.Errorf("an alert looks at a series that a fresh bridge lacks: %s", key)
				}
			}
		})
	}
}

// counted are the selectors of the alerts below increase and rate. Those of a denominator are left out: what
// it lacks only makes a share larger.
func counted(t *testing.T) (selectors []*parser.VectorSelector) {
	t.Helper()
	for _, r := range alerts(t) {
		tree, err := parse.ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		var collect func(parser.Node)
		collect = func(node parser.Node) {
			if share, ok := node.(*parser.BinaryExpr); ok && share.Op == parser.DIV {
				collect(share.LHS)
				return
			}
			if matrix, ok := node.(*parser.MatrixSelector); ok {
				selectors = append(selectors, matrix.VectorSelector.(*parser.VectorSelector))
				return
			}
			for child := range parser.ChildrenIter(node) {
				collect(child)
			}
		}
		collect(tree)
	}
	return selectors
}

func matches(selector *parser.VectorSelector, metric labels.Labels) bool {
	return !slices.ContainsFunc(selector.LabelMatchers, func(m *labels.Matcher) bool { return !m.Matches(metric.Get(m.Name)) })
}

func isCounted(t *testing.T, metric labels.Labels) bool {
	t.Helper()
	return slices.ContainsFunc(counted(t), func(s *parser.VectorSelector) bool { return matches(s, metric) })
}

// TestFresh_series: a bridge that was just started has series for all that alerts count, and the tests of the alerts
// begin their series as the bridge does: one that a fresh bridge lacks begins with a gap.
func TestFresh_series(t *testing.T) {
	s, db := startStack(t), database{}
	metrics, contentType := s.metrics(t)
	db.scrape(t, metrics, contentType, "tikbridge", 0)
	for _, selector := range counted(t) {
		found := false
		for _, series := range db {
			found = found || matches(selector, series.Metric)
		}
		if !found {
			t.Errorf("a fresh bridge has no %s", selector)
		}
	}
	same := func(metric labels.Labels) string {
		b := labels.NewBuilder(metric).Del("instance", "job")
		if le := metric.Get("le"); le != "" { // Prometheus 3 writes 1 as 1.0
			b.Set("le", strings.TrimSuffix(le, ".0"))
		}
		return b.Labels().String()
	}
	fresh := map[string]bool{}
	for _, series := range db {
		fresh[same(series.Metric)] = true
	}
	for _, tt := range readUnitTests(t).Tests {
		for _, input := range tt.InputSeries {
			metric, _, err := parse.ParseSeriesDesc(input.Series + " " + input.Values)
			if err != nil {
				t.Fatal(err)
			}
			if !fresh[same(metric)] && !strings.HasPrefix(input.Values, "_") {
				t.Errorf("%s: a fresh bridge has no %s, which begins with %s", tt.Name, input.Series, input.Values)
			}
		}
	}
}

// TestQuiet: the dashboard of a bridge that nobody uses has no number that is none, and people who cancel are
// no fault.
func TestQuiet(t *testing.T) {
	s, db := startStack(t), database{}
	metrics, contentType := s.metrics(t)
	for at := range time.Duration(3) {
		db.scrape(t, metrics, contentType, "tikbridge", at*15*time.Second)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	for _, q := range dashboardQueries(t) {
		for _, v := range db.query(t, fill.Replace(q.expr), 30*time.Second) {
			if q.isStat && math.IsNaN(v.F) {
				t.Errorf("%s shows NaN without traffic: %s", q.where, q.expr)
			}
		}
	}
	cancelled := `tikbridge_signin_steps_total{flow="hosted",step="callback",outcome="access_denied",call="authorize",instance="a"}`
	metric, _, err := parse.ParseSeriesDesc(cancelled + " 0")
	if err != nil {
		t.Fatal(err)
	}
	for at := range time.Duration(3) {
		db.add(metric, at*15*time.Second, float64(at))
	}
	shown := 0
	for _, q := range dashboardQueries(t) {
		if q.where != "What went wrong" && q.where != "Cancelled" {
			continue
		}
		for _, v := range db.query(t, fill.Replace(q.expr), 30*time.Second) {
			if v.Metric.Get("outcome") != "access_denied" {
				continue
			}
			if shown++; q.where != "Cancelled" {
				t.Errorf("%s shows people who cancelled", q.where)
			}
		}
	}
	if shown != 1 {
		t.Errorf("%d panels show people who cancelled; want one", shown)
	}
}
