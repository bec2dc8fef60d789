package serve

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/debugsidecar/debugsidecar/sidecar/status"
)

// statusCollector gives the series of the current status.
type statusCollector struct{ s *Server }

// descs are the descriptions of statusSeries.
var descs = func() []*prometheus.Desc {
	list := make([]*prometheus.Desc, len(statusSeries))
	for i, m := range statusSeries {
		list[i] = prometheus.NewDesc(m.name, m.help, m.allLabels(), nil)
	}
	return list
}()

func (m series) allLabels() []string {
	if m.stream != nil {
		return append(append([]string{}, streamLabels...), m.labels...)
	}
	return m.labels
}

// Describe is prometheus.Collector's.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.s.current.Load()
	if st == nil {
		return
	}
	labels := labelPairs{}
	streams := c.named(st, labels)
	for i, m := range statusSeries {
		if m.each != nil {
			m.each(c.s, st, func(value float64, own ...string) {
				ch <- &seriesValue{descs[i], m.kind, value, labels.add(nil, m.labels, own)}
			})
			continue
		}
		for j := range streams {
			stream := &streams[j]
			m.stream(stream.Stream, func(value float64, own ...string) {
				ch <- &seriesValue{descs[i], m.kind, value, labels.add(stream.labels, m.labels, own)}
			})
		}
	}
}

type named struct {
	*status.Stream
	labels []*dto.LabelPair
}

// named returns the streams that have series, each under labels of its own: the
// same source may be seen twice for a moment when it starts anew, and Prometheus
// takes no series twice.
func (c *statusCollector) named(st *status.Status, labels labelPairs) []named {
	n := min(len(st.Streams), c.s.opts.MaxStreams)
	list, seen := make([]named, 0, n), make(map[[3]string]bool, n)
	for i := range st.Streams[:n] {
		s := &st.Streams[i]
		own := [3]string{strings.ToValidUTF8(s.Name, "?"), s.Src, strconv.FormatUint(uint64(s.SSRC), 10)}
		if !seen[own] {
			seen[own] = true
			list = append(list, named{s, labels.add(nil, streamLabels, own[:])})
		}
	}
	return list
}

// labelPairs makes each pair of a scrape once: with many streams, most of what a
// scrape would allocate is the same labels again and again.
type labelPairs map[[2]string]*dto.LabelPair

// add returns base and the pairs of names and values, in the order of names, as
// prometheus.Metric wants them. Base alone is returned as it is.
func (p labelPairs) add(base []*dto.LabelPair, names, values []string) []*dto.LabelPair {
	if len(values) == 0 {
		return base
	}
	list := make([]*dto.LabelPair, 0, len(base)+len(names))
	list = append(list, base...)
	for i, name := range names {
		key := [2]string{name, strings.ToValidUTF8(values[i], "?")}
		pair := p[key]
		if pair == nil {
			pair = &dto.LabelPair{Name: &key[0], Value: &key[1]}
			p[key] = pair
		}
		list = append(list, pair)
	}
	slices.SortFunc(list, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return list
}

// seriesValue is one value of one series.
type seriesValue struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  float64
	labels []*dto.LabelPair
}

// Desc is prometheus.Metric's.
func (v *seriesValue) Desc() *prometheus.Desc { return v.desc }

// Write is prometheus.Metric's.
func (v *seriesValue) Write(out *dto.Metric) error {
	out.Label = v.labels
	if v.kind == counter {
		out.Counter = &dto.Counter{Value: &v.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &v.value}
	}
	return nil
}
