package admit

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/debugsidecar/debugsidecar/policies"
)

// Metrics counts what was answered.
type Metrics struct {
	undecided  *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	injections *prometheus.CounterVec
	violations *prometheus.CounterVec
	panics     prometheus.Counter
	exemptions *prometheus.CounterVec
	entries    *prometheus.CounterVec
	unasked    *prometheus.CounterVec
	sessions   prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		undecided: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_policy_undecided_total",
			Help: "Answers that one of the cluster's own rules did not come to, by rule and reason (time, memory, size, error, unusable). Each is a violation, too. Dry runs are not counted.",
		}, []string{"rule", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "debugsidecar_admission_seconds",
			Help:    "Time to answer an AdmissionReview, by path and HTTP status code.",
			Buckets: []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2},
		}, []string{"path", "code"}),
		injections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_injection_decisions_total",
			Help: "Decisions about pods, by their outcome in a word and the profile. Dry runs are not counted.",
		}, []string{"outcome", "profile"}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_policy_violations_total",
			Help: "Violations found, by rule and what they led to (deny, warn, audit, trim, exempt). Dry runs are not counted.",
		}, []string{"rule", "action"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "debugsidecar_admission_panics_total",
			Help: "Reviews that made the webhook panic. Any is a bug.",
		}),
		exemptions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_policy_exemptions_total",
			Help: "Requests that an exemption let through, by its parameter (users, serviceAccounts, namespaces, runtimeClasses). Dry runs are not counted.",
		}, []string{"by"}),
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_kernel_tier_entries_total",
			Help: "Requests to get into a container of the kernel tier, by the way (exec, attach, ephemeralcontainers) and outcome (denied, listed). Dry runs are not counted.",
		}, []string{"way", "outcome"}),
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "debugsidecar_debug_sessions_total",
			Help: "Debug containers into which it was written who asked for them. Dry runs are not counted.",
		}),
		unasked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_unregistered_requests_total",
			Help: "Reviews of a kind that the chart registers nowhere, by path. They were allowed; any means that someone changed the webhook configurations.",
		}, []string{"path"}),
	}
	r.MustRegister(m.undecided)
	for _, path := range []string{mutatePath, validatePath, connectPath, trustPath} {
		m.unasked.WithLabelValues(path)
	}
	r.MustRegister(m.seconds, m.injections, m.violations, m.exemptions, m.panics, m.entries, m.unasked, m.sessions)
	return m
}

func (m *Metrics) observe(path string, code int, d time.Duration) {
	m.seconds.WithLabelValues(path, strconv.Itoa(code)).Observe(d.Seconds())
}

func (m *Metrics) countUndecided(result policies.Result, dryRun bool) {
	if dryRun {
		return
	}
	for _, u := range result.Undecided {
		m.undecided.WithLabelValues(u.Rule, u.Reason).Inc()
	}
}

// Forget removes what was counted of a rule that there is no longer, so that the
// labels stay those of the rules in force.
func (m *Metrics) Forget(rule string) {
	m.violations.DeletePartialMatch(prometheus.Labels{"rule": rule})
	m.undecided.DeletePartialMatch(prometheus.Labels{"rule": rule})
}
