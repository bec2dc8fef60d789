package monitoring

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// targetLabels are what a ServiceMonitor and our PodMonitor give to each series.
var targetLabels = []string{"namespace", "pod", "container", "node", "service", "endpoint", "job", "instance"}

// known are the labels of each series that can be asked for, by its name.
type known map[string][]string

// add takes a metric with all series of its type.
func (k known) add(name, kind string, labels []string) {
	switch kind {
	case "histogram":
		k[name+"_bucket"] = append(slices.Clone(labels), "le")
		k[name+"_sum"], k[name+"_count"] = labels, labels
	case "summary":
		k[name] = append(slices.Clone(labels), "quantile")
		k[name+"_sum"], k[name+"_count"] = labels, labels
	default:
		k[name] = labels
	}
}

// catalogue is every metric of sidecar and webhook.
func catalogue(t *testing.T) known {
	t.Helper()
	k := known{}
	k.sidecar(t)
	for _, c := range webhook(t) {
		k.collector(t, c)
	}
	// Most of controller-runtime's have no value until they are used.
	k.collector(t, metrics.Registry.(prometheus.Collector))
	k.processes(t)
	return k
}

var row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| (.*?) \\| ")

// sidecar reads docs/metrics.md, which a test of sidecar/serve compares with the
// sidecar's own registry.
func (k known) sidecar(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := row.FindAllStringSubmatch(string(page), -1)
	if lines := strings.Count(string(page), "\n| `"); len(rows) != lines || lines == 0 {
		t.Fatalf("%d of %d metrics of docs/metrics.md could be read", len(rows), lines)
	}
	for _, r := range rows {
		var labels []string
		for _, l := range strings.Split(r[3], ",") {
			if l = strings.Trim(l, " `"); l != "" {
				labels = append(labels, l)
			}
		}
		k.add(r[1], r[2], labels)
	}
}

// collector adds what a collector describes.
func (k known) collector(t *testing.T, c prometheus.Collector) {
	t.Helper()
	for name, m := range describe(t, c) {
		k.add(name, m.kind, m.labels)
	}
}

// processes adds go_* and process_*, which both programs have.
func (k known) processes(t *testing.T) {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		k.add(f.GetName(), strings.ToLower(f.GetType().String()), labelsOf(f))
	}
}

func labelsOf(f *dto.MetricFamily) (labels []string) {
	for _, l := range f.GetMetric()[0].GetLabel() {
		labels = append(labels, l.GetName())
	}
	return labels
}

// check says what is wrong with the names in an expression; the given labels
// are named beside it, as in a legend.
func (k known) check(expr string, more ...string) []string {
	names, err := namesOf(expr)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	if len(names.selectors) == 0 {
		wrong = append(wrong, "names no metric")
	}
	anyOf := slices.Clone(targetLabels)
	for _, s := range names.selectors {
		own, exists := k[s.metric]
		if !exists {
			wrong = append(wrong, "no metric "+s.metric)
			continue
		}
		anyOf = append(anyOf, own...)
		for _, l := range s.labels {
			if !slices.Contains(own, l) && !slices.Contains(targetLabels, l) {
				wrong = append(wrong, s.metric+" has no label "+l)
			}
		}
	}
	for _, l := range slices.Concat(names.labels, more) {
		if !slices.Contains(anyOf, l) {
			wrong = append(wrong, "none of its metrics has a label "+l)
		}
	}
	return wrong
}

// The check has to find what is wrong, or it proves nothing.
func TestCatalogueKnowsWhatThereIsAndNothingElse(t *testing.T) {
	k := catalogue(t)
	for expr, want := range map[string]string{
		`debugsidecar_streams{namespace="a"}`:                                         "",
		`debugsidecar_stream_seconds_to_stall{buffer_s="2"}`:                          "",
		`sum by (le, path) (debugsidecar_admission_seconds_bucket{code="200"})`:       "",
		`debugsidecar_admission_seconds_count{path="/mutate"}`:                        "",
		`debugsidecar_webhook_pods_missed{reason="skipped"}`:                          "",
		`rest_client_requests_total{code="200"}`:                                      "",
		`go_gc_duration_seconds{quantile="1"}`:                                        "",
		`debugsidecar_nosuch`:                                                         "no metric debugsidecar_nosuch",
		`debugsidecar_admission_seconds`:                                              "no metric debugsidecar_admission_seconds",
		`debugsidecar_streams_total`:                                                  "no metric debugsidecar_streams_total",
		`debugsidecar_streams{stream="a"}`:                                            "debugsidecar_streams has no label stream",
		`debugsidecar_admission_seconds_count{le="1"}`:                                "debugsidecar_admission_seconds_count has no label le",
		`sum by (reason) (debugsidecar_streams)`:                                      "none of its metrics has a label reason",
		`debugsidecar_health{health="fair"} or debugsidecar_helth{health="unusable"}`: "no metric debugsidecar_helth",
		`1`: "names no metric",
	} {
		if got := strings.Join(k.check(expr), "; "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}
