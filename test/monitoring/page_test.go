package monitoring

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/webhook-metrics.md anew")

const pageFile = "../../docs/webhook-metrics.md"

const pageHead = `# Metrics of the webhook

On the webhook's pods, port 8080, ` + "`/metrics`" + ` (` + "`--metrics-listen`" + `), in Prometheus' text format. The chart's ServiceMonitor scrapes them ([install.md](install.md#monitoring)), the dashboard *Webhook* shows most of them, and alerts rest on them ([operations.md](operations.md)). What only the leader tells is absent, or 0, on other replicas: take the maximum over the pods. Metrics of the audit, the canary, debug sessions that live, self-probes and pods that went without are there while that part is switched on.

Beside these there are Go's own (` + "`go_*`" + `), the process's (` + "`process_*`" + `), and controller-runtime's: ` + "`rest_client_requests_total`" + ` counts requests to the API server by ` + "`code`" + `, ` + "`controller_runtime_reconcile_errors_total`" + ` with ` + "`controller=\"debug-sessions\"`" + ` the looks at debug sessions that failed, and ` + "`leader_election_master_status`" + ` is 1 on the leader. Those of the sidecar are in [metrics.md](metrics.md).

| metric | type | labels | meaning |
|---|---|---|---|
`

func TestThePageOfTheWebhooksMetricsIsCurrent(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(pageHead)
	metrics := described(t)
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		labels := "" // no label
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind, labels, m.help)
	}
	if *update {
		if err := os.WriteFile(pageFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(pageFile)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/webhook-metrics.md is not current (%v): go test ./test/monitoring -run PageOfTheWebhooksMetrics -update", err)
	}
}

var quoted = regexp.MustCompile(`"(debugsidecar_[a-z_]+)"`)

// Who adds a collector and not its registration to webhook() would have it on no page.
func TestNoMetricOfTheWebhooksSourceIsMissing(t *testing.T) {
	metrics := described(t)
	found := map[string]bool{}
	err := filepath.WalkDir("../../webhook", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range quoted.FindAllSubmatch(source, -1) {
			found[string(m[1])] = true
			if _, has := metrics[string(m[1])]; !has {
				t.Errorf("%s has %s, which no collector describes", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range metrics {
		if !found[name] {
			t.Errorf("no source has %s by its whole name", name)
		}
	}
}

// Queries rest on these endings: what ends in _total is counted, and never falls.
func TestNamesOfMetricsFitTheirTypes(t *testing.T) {
	for name, m := range described(t) {
		if strings.HasSuffix(name, "_total") != (m.kind == "counter") {
			t.Errorf("%s is a %s", name, m.kind)
		}
		if m.kind == "histogram" && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s names no unit", name)
		}
		if !strings.HasSuffix(m.help, ".") || strings.ContainsAny(m.help, "|\n") {
			t.Errorf("%s: its help is no sentence for a table: %q", name, m.help)
		}
	}
}
