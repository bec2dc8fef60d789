package monitoring

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// alerts returns the rules of a rendered chart.
func alerts(t *testing.T, values string) []monitoringv1.Rule {
	t.Helper()
	var rules []monitoringv1.Rule
	for _, g := range only[*monitoringv1.PrometheusRule](t, render(t, values)).Spec.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) == 0 {
		t.Fatal("no rules")
	}
	return rules
}

// outside is a webhook that no ServiceMonitor can find.
const outside = `
external: {url: "https://localhost:9443"}
monitoring: {rules: {enabled: true}}
`

var usedLabel = regexp.MustCompile(`\$labels\.([a-z_]+)`)

func TestRulesAskForMetricsThatExist(t *testing.T) {
	k := catalogue(t)
	for name, values := range map[string]string{"inside": everything, "outside": outside} {
		for _, r := range alerts(t, values) {
			for _, wrong := range k.check(r.Expr.String()) {
				t.Errorf("%s, %s: %s", name, r.Alert, wrong)
			}
		}
	}
}

// An annotation can name a label only if the expression leaves it.
func TestAnnotationsNameLabelsThatAreLeft(t *testing.T) {
	k := catalogue(t)
	for _, r := range alerts(t, everything) {
		names, err := namesOf(r.Expr.String())
		if err != nil {
			t.Fatal(err)
		}
		left := names.labels
		if left == nil {
			for _, s := range names.selectors {
				left = slices.Concat(left, k[s.metric], targetLabels)
			}
		}
		if len(r.Annotations) != 3 || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: annotations %v", r.Alert, r.Annotations)
		}
		for _, text := range r.Annotations {
			for _, m := range usedLabel.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(left, m[1]) {
					t.Errorf("%s: %q, but only %v are left", r.Alert, text, left)
				}
			}
		}
		if s := r.Labels["severity"]; !slices.Contains([]string{"critical", "warning", "info"}, s) {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
	}
}

var heading = regexp.MustCompile(`(?m)^### (\S+)$`)

func TestEachAlertHasARunbookAndEachRunbookAnAlert(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, have []string
	for _, r := range alerts(t, everything) {
		want = append(want, r.Alert)
		url := "https://github.com/debugsidecar/debugsidecar/blob/main/docs/operations.md#" + strings.ToLower(r.Alert)
		if got := r.Annotations["runbook_url"]; got != url {
			t.Errorf("%s leads to %s, want %s", r.Alert, got, url)
		}
	}
	for _, m := range heading.FindAllStringSubmatch(string(page), -1) {
		have = append(have, m[1])
	}
	if !slices.Equal(want, have) {
		t.Errorf("docs/operations.md has the sections %v; the alerts are, in their order, %v", have, want)
	}
	for _, r := range alerts(t, "monitoring: {rules: {enabled: true, runbookURL: https://wiki.example/video}}") {
		if got, want := r.Annotations["runbook_url"], "https://wiki.example/video#"+strings.ToLower(r.Alert); got != want {
			t.Errorf("%s leads to %s, want %s", r.Alert, got, want)
		}
	}
}

// rulesFile writes the rules as Prometheus reads them.
func rulesFile(t *testing.T, dir, values string) {
	t.Helper()
	data, err := yaml.Marshal(only[*monitoringv1.PrometheusRule](t, render(t, values)).Spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func promtool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), debianProgram(t, "promtool"), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPrometheusTakesTheRules(t *testing.T) {
	for _, values := range []string{everything, outside} {
		dir := t.TempDir()
		rulesFile(t, dir, values)
		promtool(t, dir, "check", "rules", "--lint-fatal", "rules.yaml")
	}
}

// testdata/alerts.yaml has series, and the alerts that they lead to.
func TestAlertsFireWhenTheyAreToAndOnlyThen(t *testing.T) {
	cases, err := os.ReadFile("testdata/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	rulesFile(t, dir, everything)
	if err := os.WriteFile(filepath.Join(dir, "alerts.yaml"), cases, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "test", "rules", "alerts.yaml")
	for _, r := range alerts(t, everything) {
		if !bytes.Contains(cases, []byte("alertname: "+r.Alert+"\n")) {
			t.Errorf("testdata/alerts.yaml tries no %s", r.Alert)
		}
	}
}
