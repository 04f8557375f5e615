// Package monitoring checks the dashboard and the alerts in configs with the tools that read them, and
// with the metrics of a run of the stack. It is a module of its own, so that the bridge does not depend
// on Prometheus and Grafana.
package monitoring

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"
)

const (
	root       = "../.."
	alertsFile = root + "/configs/prometheus/alerts.yaml"
	testsFile  = root + "/configs/prometheus/alerts_test.yaml"
)

// alerts loads the rules as Prometheus does.
func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	file, errs := rulefmt.ParseFile(alertsFile, false, model.UTF8Validation, parse, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	var rules []rulefmt.Rule
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// unitTests is a file of promtool test rules, as much of it as ours has.
type unitTests struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []struct {
		Name        string
		Interval    model.Duration
		InputSeries []struct{ Series, Values string } `yaml:"input_series"`
		Alerts      []struct {
			EvalTime  model.Duration `yaml:"eval_time"`
			Alertname string
			Expected  []struct {
				Labels      map[string]string `yaml:"exp_labels"`
				Annotations map[string]string `yaml:"exp_annotations"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

func readUnitTests(t *testing.T) unitTests {
	t.Helper()
	f, err := os.Open(testsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var tests unitTests
	decoder := yaml.NewDecoder(f)
	decoder.KnownFields(true)
	if err := decoder.Decode(&tests); err != nil {
		t.Fatal(err)
	}
	return tests
}

// TestAlerts: each alert says how bad it is and what to do, is tested both ways, and is in the docs.
func TestAlerts(t *testing.T) {
	fires, stays := map[string]bool{}, map[string]bool{}
	for _, tt := range readUnitTests(t).Tests {
		for _, a := range tt.Alerts {
			fires[a.Alertname] = fires[a.Alertname] || len(a.Expected) > 0
			stays[a.Alertname] = stays[a.Alertname] || len(a.Expected) == 0
		}
	}
	page, err := os.ReadFile(root + "/docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := alerts(t)
	for _, r := range rules {
		if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" {
			t.Errorf("%s has the severity %q", r.Alert, severity)
		}
		if r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 40 {
			t.Errorf("%s does not say what to do", r.Alert)
		}
		if !fires[r.Alert] || !stays[r.Alert] {
			t.Errorf("%s is tested to fire: %v, to stay quiet: %v; want both", r.Alert, fires[r.Alert], stays[r.Alert])
		}
		if !strings.Contains(string(page), "| `"+r.Alert+"`") {
			t.Errorf("%s is not in docs/observing.md", r.Alert)
		}
	}
}

// TestAlertTests runs the unit tests of the alerts with Prometheus' engine. Texts of annotations are
// left to promtool.
func TestAlertTests(t *testing.T) {
	tests, rules := readUnitTests(t), alerts(t)
	if want := []string{filepath.Base(alertsFile)}; !slices.Equal(tests.RuleFiles, want) {
		t.Fatalf("rule_files is %q; want %q", tests.RuleFiles, want)
	}
	for _, tt := range tests.Tests {
		t.Run(tt.Name, func(t *testing.T) {
			db := database{}
			for _, s := range tt.InputSeries {
				metric, values, err := parse.ParseSeriesDesc(s.Series + " " + s.Values)
				if err != nil {
					t.Fatal(err)
				}
				for i, v := range values {
					db.add(metric, time.Duration(i)*time.Duration(tt.Interval), v.Value)
				}
			}
			for _, a := range tt.Alerts {
				i := slices.IndexFunc(rules, func(r rulefmt.Rule) bool { return r.Alert == a.Alertname })
				if i < 0 {
					t.Fatalf("there is no alert %s", a.Alertname)
				}
				var want []string
				for _, e := range a.Expected {
					want = append(want, labels.FromMap(e.Labels).String())
				}
				got := firing(t, db, rules[i], time.Duration(tests.EvaluationInterval), time.Duration(a.EvalTime))
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s after %s (-want +got):\n%s", a.Alertname, a.EvalTime, diff)
				}
			}
		})
	}
}

// firing evaluates a rule from the beginning until a time, as Prometheus does, and returns the labels of
// the alerts that fire then.
func firing(t *testing.T, db database, r rulefmt.Rule, interval, until time.Duration) (found []string) {
	t.Helper()
	since := map[string]time.Duration{}
	for at := time.Duration(0); at <= until; at += interval {
		active := map[string]time.Duration{}
		for _, s := range db.query(t, r.Expr, at) {
			b := labels.NewBuilder(s.Metric).Del("__name__")
			for name, value := range r.Labels {
				b.Set(name, value)
			}
			key := b.Labels().String()
			active[key] = at
			if before, ok := since[key]; ok {
				active[key] = before
			}
		}
		since = active
	}
	for key, at := range since {
		if until-at >= time.Duration(r.For) {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	return found
}

// TestPromtool lets promtool check and test the alerts, where there is one.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; it comes with Prometheus")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = filepath.Dir(alertsFile)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
