package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// dashboard is what the tests read of Grafana's model.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any
			Datasource source
		}
	}
	Panels []panel
}

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource source
	GridPos    struct{ H, W, X, Y int }
	Targets    []struct {
		RefID, Expr, LegendFormat string
		Datasource                source
	}
}

type source struct{ Type, UID string }

var ours = source{"prometheus", "${datasource}"}

// dashboards are those of the ConfigMaps, by their files' names.
func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	found := map[string]dashboard{}
	for _, m := range all[*corev1.ConfigMap](render(t, everything)) {
		if m.Labels["grafana_dashboard"] != "1" {
			continue
		}
		for file, text := range m.Data {
			var d dashboard
			if err := json.Unmarshal([]byte(text), &d); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			found[file] = d
		}
	}
	return found
}

func TestEachDashboardIsInAConfigMapUnchanged(t *testing.T) {
	files, err := filepath.Glob("../../charts/debugsidecar/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
	}
	data := map[string]string{}
	for _, m := range all[*corev1.ConfigMap](render(t, everything)) {
		for file, text := range m.Data {
			data[file] = text
		}
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if data["debugsidecar-"+filepath.Base(f)] != strings.TrimSpace(string(text)) {
			t.Errorf("%s differs in its ConfigMap, or has none", f)
		}
	}
	if n := len(dashboards(t)); n != len(files) {
		t.Errorf("%d dashboards have the label, of %d", n, len(files))
	}
}

var (
	legend   = regexp.MustCompile(`\{\{\s*([a-zA-Z_]+)\s*\}\}`)
	variable = regexp.MustCompile(`\$\{?([a-zA-Z_]+)`)
	values   = regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`)
	builtIn  = []string{"__rate_interval", "__range", "datasource"}
)

func TestDashboardsAskForMetricsThatExist(t *testing.T) {
	k := catalogue(t)
	for file, d := range dashboards(t) {
		queries := 0
		declared := slices.Clone(builtIn)
		for _, v := range d.Templating.List {
			declared = append(declared, v.Name)
			if v.Type != "query" {
				continue
			}
			query, _ := v.Query.(map[string]any)["query"].(string)
			m := values.FindStringSubmatch(query)
			if m == nil {
				t.Errorf("%s, variable %s: can't read %q", file, v.Name, query)
				continue
			}
			for _, wrong := range k.check(m[1], m[2]) {
				t.Errorf("%s, variable %s: %s", file, v.Name, wrong)
			}
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				queries++
				var labels []string
				for _, m := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
					labels = append(labels, m[1])
				}
				for _, wrong := range k.check(q.Expr, labels...) {
					t.Errorf("%s, panel %q: %s", file, p.Title, wrong)
				}
				for _, m := range variable.FindAllStringSubmatch(q.Expr, -1) {
					if !slices.Contains(declared, m[1]) {
						t.Errorf("%s, panel %q: there is no variable %s", file, p.Title, m[1])
					}
				}
			}
		}
		if queries < 10 {
			t.Errorf("%s: only %d queries were found", file, queries)
		}
	}
}

func TestDashboardsAreSound(t *testing.T) {
	uids := map[string]string{}
	for file, d := range dashboards(t) {
		if uids[d.UID] != "" || d.UID == "" || d.Title == "" || d.SchemaVersion < 39 {
			t.Errorf("%s: uid %q, title %q, schema %d", file, d.UID, d.Title, d.SchemaVersion)
		}
		uids[d.UID] = file
		if v := d.Templating.List[0]; v.Name != "datasource" || v.Type != "datasource" || v.Query != "prometheus" {
			t.Errorf("%s: the first variable chooses no Prometheus: %+v", file, v)
		}
		ids, cells := map[int]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", file, p.ID)
			}
			ids[p.ID] = true
			if p.Type != "row" && (p.Datasource != ours || len(p.Targets) == 0) {
				t.Errorf("%s, panel %q: data source %v, %d queries", file, p.Title, p.Datasource, len(p.Targets))
			}
			for _, q := range p.Targets {
				if q.Datasource != ours {
					t.Errorf("%s, panel %q: a query has the data source %v", file, p.Title, q.Datasource)
				}
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if cells[at] != "" || at[0] >= 24 {
						t.Errorf("%s: panel %q lies on %q", file, p.Title, cells[at])
					}
					cells[at] = p.Title
				}
			}
		}
	}
}

// Prometheus' own parser takes what Grafana would send.
func TestPrometheusTakesTheQueries(t *testing.T) {
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h")
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				rules = append(rules, rule{fmt.Sprintf("dashboard:%s:%d%s", regexp.MustCompile(`\W`).ReplaceAllString(file, "_"), p.ID, q.RefID), fill.Replace(q.Expr)})
			}
		}
	}
	data, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := promtool(t, dir, "check", "rules", "--lint-fatal", "rules.yaml"); !strings.Contains(out, fmt.Sprintf("%d rules found", len(rules))) {
		t.Errorf("%d queries, of which promtool says:\n%s", len(rules), out)
	}
}
