package audit

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/debugsidecar/debugsidecar/policies"
)

// maxNamespaces is how many namespaces have series of their own: those with the
// most findings. The others are added up under the empty name.
const maxNamespaces = 100

// metrics are what the leader tells; other replicas have no series.
type metrics struct {
	mu         sync.Mutex
	namespaces map[string]*figures

	seconds   prometheus.Histogram
	reports   *prometheus.CounterVec
	available prometheus.Gauge
}

// figures are the last audit of a namespace.
type figures struct {
	at                         time.Time // zero if there was none yet
	failing                    bool      // the newest attempt failed
	clean, violates, undecided int
	counts                     []count
	total                      int
}

type count struct {
	rule  string
	level policies.Level
	n     int
}

var (
	findingsDesc = prometheus.NewDesc("debugsidecar_audit_findings",
		"Pods that break a rule, by rule, the lowest level that refuses it, and their namespace; namespaces beyond the 100 with the most are added up under the empty name. Of the leader only.",
		[]string{"rule", "level", "audited_namespace"}, nil)
	podsDesc = prometheus.NewDesc("debugsidecar_audit_pods",
		"Pods in audited namespaces: clean, violating, undecided (could not be judged). Of the leader only.",
		[]string{"state"}, nil)
	namespacesDesc = prometheus.NewDesc("debugsidecar_audit_namespaces",
		"Namespaces whose level asks for an audit: audited, or failing (the last attempt failed). Of the leader only.",
		[]string{"state"}, nil)
	oldestDesc = prometheus.NewDesc("debugsidecar_audit_oldest_timestamp_seconds",
		"When the namespace was audited whose last audit is the oldest; 0 if one was never audited. Of the leader only.",
		nil, nil)
)

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		namespaces: map[string]*figures{},
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "debugsidecar_audit_namespace_seconds", Help: "Time to read and judge the pods of a namespace.",
			Buckets: []float64{.1, .5, 1, 5, 10, 30, 60, 300},
		}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_audit_reports_total", Help: "PolicyReports by what became of them: written, unchanged, removed, failed.",
		}, []string{"outcome"}),
		available: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "debugsidecar_audit_reports_available", Help: "1 if the cluster knows PolicyReports (wgpolicyk8s.io/v1alpha2), else 0. Of the leader only.",
		}),
	}
	r.MustRegister(m, m.seconds, m.reports, m.available)
	return m
}

// found records an audit of a namespace.
func (m *metrics) found(f *Findings, at time.Time) {
	figures := &figures{at: at, clean: f.Clean, violates: f.Pods - f.Clean, undecided: f.Undecided}
	for kind, n := range f.Counts {
		figures.total += n
		i := slices.IndexFunc(figures.counts, func(c count) bool { return c.rule == kind.Rule && c.level == kind.Level })
		if i < 0 {
			i = len(figures.counts)
			figures.counts = append(figures.counts, count{rule: kind.Rule, level: kind.Level})
		}
		figures.counts[i].n += n
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.namespaces[f.Namespace] = figures
}

// failed records an attempt that failed; what was found before stands.
func (m *metrics) failed(namespace string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := figures{}
	if before := m.namespaces[namespace]; before != nil {
		now = *before
	}
	now.failing = true
	m.namespaces[namespace] = &now
}

func (m *metrics) forget(namespace string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.namespaces, namespace)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{findingsDesc, podsDesc, namespacesDesc, oldestDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	all := make([]named, 0, len(m.namespaces))
	for name, f := range m.namespaces {
		all = append(all, named{name, f})
	}
	m.mu.Unlock()
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(cmp.Compare(b.figures.total, a.figures.total), cmp.Compare(a.name, b.name))
	})
	send := func(d *prometheus.Desc, n int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	var clean, violates, undecided, failing int
	oldest := all[0].figures.at
	rest := map[count]int{}
	for i, n := range all {
		f := n.figures
		clean, violates, undecided = clean+f.clean, violates+f.violates, undecided+f.undecided
		if f.failing {
			failing++
		}
		if f.at.Before(oldest) {
			oldest = f.at
		}
		for _, c := range f.counts {
			if i < maxNamespaces {
				send(findingsDesc, c.n, c.rule, string(c.level), n.name)
			} else {
				rest[count{rule: c.rule, level: c.level}] += c.n
			}
		}
	}
	for c, n := range rest {
		send(findingsDesc, n, c.rule, string(c.level), "")
	}
	send(podsDesc, clean, "clean")
	send(podsDesc, violates, "violating")
	send(podsDesc, undecided, "undecided")
	send(namespacesDesc, len(all)-failing, "audited")
	send(namespacesDesc, failing, "failing")
	seconds := 0.0
	if !oldest.IsZero() {
		seconds = float64(oldest.UnixMilli()) / 1000
	}
	out <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, seconds)
}

type named struct {
	name    string
	figures *figures
}
