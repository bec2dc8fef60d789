package serve

import (
	"net/http"
	"runtime"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// metrics are what /metrics shows. What the status has is read from it at each
// scrape, so that no series outlives its stream; what happens between scrapes is
// counted here.
type metrics struct {
	registry *prometheus.Registry

	alerts  *prometheus.CounterVec
	refused *prometheus.CounterVec
	lag     prometheus.Histogram
	frames  prometheus.Histogram

	mu       sync.Mutex
	observed time.Time // when the histograms last took a status
	// before are the frames of each stream then; spare is the map for the next.
	before, spare map[string]uint64
}

func newMetrics(s *Server) (*metrics, error) {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_alerts_total", Help: "Alerts raised and cleared. Exemplars name the stream.",
		}, []string{"kind", "cause"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_requests_refused_total",
			Help: "Requests on loopback that were refused: for want of the token, or for a foreign Host or Origin.",
		}, []string{"reason"}),
		lag: histogram("debugsidecar_lag_seconds",
			"How far streams lag behind the best they have been: one observation a stream and second. Exemplars name the worst stream.",
			[]float64{.02, .05, .1, .2, .5, 1, 2, 4, 8}),
		frames: histogram("debugsidecar_frame_interval_seconds",
			"Mean time between frames: one observation a stream and second. Exemplars name the worst stream.",
			[]float64{.01, .02, .035, .05, .07, .1, .2, .5, 1}),
		before: map[string]uint64{}, spare: map[string]uint64{},
	}
	all := append([]prometheus.Collector{
		&statusCollector{s}, m.alerts, m.refused, m.lag, m.frames,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, s.opts.Collectors...)
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// histogram has classic buckets for who can't read native ones.
func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	})
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// What can be shown is: one bad series must not hide all others.
		ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true,
		MaxRequestsInFlight: 4, CoalesceGather: true, Registry: m.registry,
	})
}

func (m *metrics) refuse(reason string) { m.refused.WithLabelValues(reason).Inc() }

func (m *metrics) alert(a warn.Alert) {
	counter := m.alerts.WithLabelValues(string(a.Kind), string(a.Cause))
	if adder, ok := counter.(prometheus.ExemplarAdder); ok {
		adder.AddWithExemplar(1, exemplar(a.Stream.Key()))
	}
}

// exemplar names a stream in what OpenMetrics has room for: 128 characters with
// the label's name.
func exemplar(key string) prometheus.Labels {
	const room = prometheus.ExemplarMaxRunes - len("stream")
	if utf8.RuneCountInString(key) > room {
		key = string([]rune(key)[:room])
	}
	return prometheus.Labels{"stream": key}
}

// observe takes a status into the histograms, once a second. The worst stream of
// each is its exemplar; one for each stream would cost more than it tells.
func (m *metrics) observe(st *status.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	passed := st.At.Sub(m.observed)
	if passed >= 0 && passed < time.Second {
		return
	}
	var lag, interval worst
	clear(m.spare)
	for i := range st.Streams {
		stream := &st.Streams[i]
		if v, known := stream.Window.LagSeconds.Get(); known {
			lag.observe(m.lag, v, stream.Key)
		}
		m.spare[stream.Key] = stream.Totals.Frames
		before, known := m.before[stream.Key]
		if known && passed > 0 && stream.Totals.Frames > before {
			interval.observe(m.frames, passed.Seconds()/float64(stream.Totals.Frames-before), stream.Key)
		}
	}
	lag.done(m.lag)
	interval.done(m.frames)
	m.observed, m.before, m.spare = st.At, m.spare, m.before
}

// worst keeps the highest value back, until it is known to be.
type worst struct {
	value  float64
	stream string
}

func (w *worst) observe(h prometheus.Histogram, value float64, stream string) {
	if w.stream == "" || value > w.value {
		value, w.value = w.value, value
		stream, w.stream = w.stream, stream
	}
	if stream != "" {
		h.Observe(value)
	}
}

func (w *worst) done(h prometheus.Histogram) {
	if o, ok := h.(prometheus.ExemplarObserver); ok && w.stream != "" {
		o.ObserveWithExemplar(w.value, exemplar(w.stream))
	}
}

// goVersion is a label of the build.
var goVersion = runtime.Version()
