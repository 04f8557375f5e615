package monitoring

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// parse is Prometheus' own parser.
var parse = parser.NewParser(parser.Options{})

// database is what Prometheus would have stored, by the text of the series.
type database map[string]*promql.Series

func (db database) add(metric labels.Labels, at time.Duration, value float64) {
	key := metric.String()
	if db[key] == nil {
		db[key] = &promql.Series{Metric: metric}
	}
	db[key].Floats = append(db[key].Floats, promql.FPoint{T: at.Milliseconds(), F: value})
}

// scrape stores what /metrics answers, as a scrape of job at a time does.
func (db database) scrape(t *testing.T, metrics []byte, contentType, job string, at time.Duration) {
	t.Helper()
	instance := []string{"job", job, "instance", "127.0.0.1:9090"}
	p, err := textparse.New(metrics, contentType, nil, textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := p.Next()
		if err != nil {
			break // io.EOF; what is no entry is found by promlint in pkg/telemetry
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var metric labels.Labels
		p.Labels(&metric)
		_, _, value := p.Series()
		b := labels.NewBuilder(metric)
		for i := 0; i < len(instance); i += 2 {
			b.Set(instance[i], instance[i+1])
		}
		db.add(b.Labels(), at, value)
	}
	db.add(labels.FromStrings(append([]string{"__name__", "up"}, instance...)...), at, 1)
}

// query evaluates an expression at a time.
func (db database) query(t *testing.T, expr string, at time.Duration) promql.Vector {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Minute, Parser: parse, EnableAtModifier: true,
	})
	data := &storage.MockQueryable{MockQuerier: &storage.MockQuerier{SelectMockFunction: db.find}}
	q, err := engine.NewInstantQuery(t.Context(), data, nil, expr, time.UnixMilli(at.Milliseconds()))
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	result := q.Exec(t.Context())
	vector, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.Clone(vector)
}

// find selects series as a storage does.
func (db database) find(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{}
	for _, s := range db {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Metric.Get(m.Name)) }) {
			found.rest = append(found.rest, promql.NewStorageSeries(*s))
		}
	}
	slices.SortFunc(found.rest, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return found
}

// set is a storage.SeriesSet.
type set struct {
	rest []storage.Series
	at   storage.Series
}

// Next implements storage.SeriesSet.
func (s *set) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.at, s.rest = s.rest[0], s.rest[1:]
	return true
}

// At implements storage.SeriesSet.
func (s *set) At() storage.Series { return s.at }

// Err implements storage.SeriesSet.
func (*set) Err() error { return nil }

// Warnings implements storage.SeriesSet.
func (*set) Warnings() annotations.Annotations { return nil }

// checkSelectors holds the metrics and labels that an expression names against those that a run of the
// stack had: a misspelt one finds nothing, without a word.
func (db database) checkSelectors(t *testing.T, where, expr string) {
	t.Helper()
	tree, err := parse.ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	names := func(metric string) map[string]bool {
		known := map[string]bool{}
		for _, s := range db {
			if s.Metric.Get("__name__") == metric {
				s.Metric.Range(func(l labels.Label) { known[l.Name] = true })
			}
		}
		return known
	}
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		known := names(selector.Name)
		for _, m := range selector.LabelMatchers {
			if !known[m.Name] {
				t.Errorf("%s: the bridge has no %s with a label %s", where, selector.Name, m.Name)
			}
		}
		return nil
	})
}

// words are the values that a matcher spells out.
func words(m *labels.Matcher) []string {
	switch m.Type {
	case labels.MatchEqual, labels.MatchNotEqual:
		return []string{m.Value}
	}
	return strings.Split(m.Value, "|")
}

// String shows the database in a failure.
func (db database) String() string {
	var b strings.Builder
	for key, s := range db {
		_, _ = fmt.Fprintln(&b, key, s.Floats)
	}
	return b.String()
}
