package trust

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what was answered, and time what registries were asked.
type metrics struct {
	verifications *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		verifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_image_verifications_total",
			Help: "Answers to whether an image is signed by a trusted key, by result (verified, unsigned, missing, unpinned, unlisted, unreachable, malformed) and by where from (cache, registry).",
		}, []string{"result", "from"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "debugsidecar_image_registry_seconds",
			Help:    "Time that a question to a registry took, by what was asked (digest, signature) and result.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 4},
		}, []string{"what", "result"}),
	}
	r.MustRegister(m.verifications, m.seconds)
	return m
}

const (
	fromCache    = "cache"
	fromRegistry = "registry"
)

func (m *metrics) count(f *Failure, from string) *Failure {
	m.verifications.WithLabelValues(string(resultOf(f)), from).Inc()
	return f
}

func (m *metrics) observe(what string, f *Failure, took time.Duration) {
	m.seconds.WithLabelValues(what, string(resultOf(f))).Observe(took.Seconds())
}

func resultOf(f *Failure) Result {
	if f == nil {
		return Verified
	}
	return f.Result
}
