package push

import (
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are how pushing goes.
type metrics struct {
	alerts   *prometheus.CounterVec
	attempts *prometheus.CounterVec
	queued   *prometheus.GaugeVec
	latency  *prometheus.HistogramVec
}

// outcomes of an alert for a receiver.
var outcomes = []string{"pushed", "failed", "dropped", "expired", "suppressed"}

func newMetrics() *metrics {
	return &metrics{
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_push_alerts_total",
			Help: "Alerts for a receiver, by what became of them: pushed, failed (refused), dropped (the queue was full, or the end), expired (too old), suppressed (it knows already).",
		}, []string{"receiver", "outcome"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_push_requests_total", Help: "Requests to a receiver, by HTTP status or error.",
		}, []string{"receiver", "code"}),
		queued: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "debugsidecar_push_queue_length", Help: "Alerts that wait for a receiver.",
		}, []string{"receiver"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "debugsidecar_push_latency_seconds",
			Help:    "Time from an alert's own time to the receiver's answer. Exemplars name the stream.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"receiver"}),
	}
}

// announce shows a receiver's counters from the start, so that rates are right.
func (m *metrics) announce(receiver string) {
	for _, outcome := range outcomes {
		m.alerts.WithLabelValues(receiver, outcome)
	}
	m.latency.WithLabelValues(receiver)
}

func (m *metrics) pushed(receiver string, entries []entry, now time.Time) {
	m.alerts.WithLabelValues(receiver, "pushed").Add(float64(len(entries)))
	for _, e := range entries {
		if e.repeat || !e.ended.IsZero() {
			continue
		}
		if o, ok := m.latency.WithLabelValues(receiver).(prometheus.ExemplarObserver); ok {
			o.ObserveWithExemplar(max(0, now.Sub(e.alert.At).Seconds()), exemplar(e.key.stream))
		}
	}
}

// exemplar names a stream in what OpenMetrics has room for.
func exemplar(stream string) prometheus.Labels {
	const room = prometheus.ExemplarMaxRunes - len("stream")
	if utf8.RuneCountInString(stream) > room {
		stream = string([]rune(stream)[:room])
	}
	return prometheus.Labels{"stream": stream}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.alerts, m.attempts, m.queued, m.latency}
}

func (m *metrics) describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

func (m *metrics) collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}
