package serve

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/debugsidecar/debugsidecar/sidecar/push"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

// unbound is a server without addresses.
func unbound(t testing.TB, opts Options) *Server {
	t.Helper()
	opts.Token = token
	s, err := newServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// everything is a server on which each metric has a value.
func everything(t testing.TB) *Server {
	t.Helper()
	pusher, err := push.New(push.Options{Receivers: []push.Receiver{{Name: "alertmanager", URL: "http://127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	s := unbound(t, Options{Collectors: []prometheus.Collector{pusher}})
	now := time.Unix(1767225600, 0)
	for i := range 2 {
		st := scripted(now.Add(time.Duration(i)*time.Second), 3, 1.3, .05)
		st.Capture = &status.Capture{Source: "rtsp://camera/main", Mode: "onAlert", State: "playing", Frames: 7}
		st.Streams[1].Window.PLIPerSecond = sample.Of(.1)
		st.Streams[0].Window.FrozenSeconds = sample.Of(.4)
		st.Streams[0].Window.SocketQueueBytes = sample.Of(198000)
		st.Node = sample.Node{
			SidecarThrottled: sample.Of(.1), AppThrottled: sample.Of(.2), SidecarCPUPressure: sample.Of(3), NodeCPUPressure: sample.Of(4),
			SidecarMemoryPressure: sample.Of(0), NodeMemoryPressure: sample.Of(0), GCPauseSeconds: sample.Of(.001), LateSeconds: sample.Of(.002),
		}
		s.Publish(st)
	}
	s.Alert(scriptedAlert(now, warn.StallPredicted, 2*time.Second, sample.Of(1.8)))
	s.metrics.refuse("token")
	return s
}

func gather(t testing.TB, s *Server) map[string]*dto.MetricFamily {
	t.Helper()
	list, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]*dto.MetricFamily{}
	for _, f := range list {
		families[f.GetName()] = f
	}
	return families
}

func TestMetricsFollowPrometheusNames(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything(t).metrics.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEachMetricOfTheTableHasAValue(t *testing.T) {
	families := gather(t, everything(t))
	for _, m := range statusSeries {
		if families[m.name] == nil {
			t.Errorf("%s: no value in a status that has all figures", m.name)
		}
	}
}

// A figure that can't be had is no 0.
func TestWhatIsNotAvailableIsAbsent(t *testing.T) {
	s := unbound(t, Options{})
	st := scripted(time.Unix(1767225600, 0), 1, .02, 0)
	w := &st.Streams[0].Window
	w.PacketLoss, w.GOPFrames = sample.Unavailable("RTP in TCP hides loss"), sample.Unavailable("the payload is encrypted")
	s.Publish(st)
	families := gather(t, s)
	for _, name := range []string{"debugsidecar_stream_loss_ratio", "debugsidecar_stream_gop_frames", "debugsidecar_stream_seconds_to_stall", "debugsidecar_stream_feedback_total", "debugsidecar_cpu_throttled_ratio"} {
		if f := families[name]; f != nil {
			t.Errorf("%s has a value: %v", name, f)
		}
	}
	if got := len(families["debugsidecar_not_available"].GetMetric()); got != len(st.NotAvailable) {
		t.Errorf("%d figures are said to be missing, %d are", got, len(st.NotAvailable))
	}
}

func TestSeriesEndWithTheirStream(t *testing.T) {
	s := unbound(t, Options{})
	now := time.Unix(1767225600, 0)
	s.Publish(scripted(now, 5, .02, 0))
	s.Publish(scripted(now.Add(time.Second), 2, .02, 0))
	for name, f := range gather(t, s) {
		if n := streamsOf(f); n > 2 {
			t.Errorf("%s has %d streams, 2 are left", name, n)
		}
	}
}

func streamsOf(f *dto.MetricFamily) int {
	seen := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "stream" {
				seen[l.GetValue()] = true
			}
		}
	}
	return len(seen)
}

func TestStreamsWithSeriesAreBounded(t *testing.T) {
	s := unbound(t, Options{MaxStreams: 10})
	s.Publish(scripted(time.Unix(1767225600, 0), 25, .02, 0))
	families := gather(t, s)
	if n := streamsOf(families["debugsidecar_stream_packets_total"]); n != 10 {
		t.Errorf("%d streams have series, 10 may", n)
	}
	if n := families["debugsidecar_streams_without_series"].Metric[0].Gauge.GetValue(); n != 15 {
		t.Errorf("%v streams are counted as left out, 15 are", n)
	}
	if n := families["debugsidecar_streams"].Metric[0].Gauge.GetValue(); n != 25 {
		t.Errorf("%v streams are counted, 25 are there", n)
	}
}

// The same source twice, or a name that is no UTF-8, must not hide all others.
func TestOddStreamsDoNotBreakTheScrape(t *testing.T) {
	s := unbound(t, Options{})
	st := scripted(time.Unix(1767225600, 0), 3, .02, 0)
	st.Streams[1].Name, st.Streams[1].Src, st.Streams[1].SSRC = st.Streams[0].Name, st.Streams[0].Src, st.Streams[0].SSRC
	st.Streams[2].Name = "rtsp://camera/\xff\n\"x"
	s.Publish(st)
	s.Alert(warn.Alert{Kind: warn.Degraded, Stream: sample.Stream{Source: strings.Repeat("ü", 300)}})
	if n := streamsOf(gather(t, s)["debugsidecar_stream_packets_total"]); n != 2 {
		t.Errorf("%d streams, want 2", n)
	}
}

func TestExemplarsNameTheStream(t *testing.T) {
	s := everything(t)
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	s.handlers[0].ServeHTTP(w, r)
	for _, want := range []string{
		`debugsidecar_alerts_total{cause="node",kind="stall-predicted"} 1.0 # {stream="10.31.0.10:40000>10.20.0.7:5004/01c0ffee"}`,
		`debugsidecar_lag_seconds_bucket{le="2.0"} 6 # {stream="10.31.0.10:40000>10.20.0.7:5004/01c0ffee"} 1.3`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	for name, native := range map[string]bool{"debugsidecar_lag_seconds": true, "debugsidecar_frame_interval_seconds": true, "debugsidecar_push_latency_seconds": true} {
		if h := gather(t, s)[name].Metric[0].GetHistogram(); (h.Schema != nil) != native || len(h.Bucket) == 0 {
			t.Errorf("%s: native and classic buckets are wanted: %v", name, h)
		}
	}
}

const metricsDoc = "../../docs/metrics.md"

func TestTheTableOfMetricsIsCurrent(t *testing.T) {
	want := table(gather(t, everything(t)))
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(metricsDoc)
	if err != nil || string(have) != want {
		t.Errorf("docs/metrics.md is not current (%v): go test ./sidecar/serve -run TableOfMetrics -update", err)
	}
}

func table(families map[string]*dto.MetricFamily) string {
	labels := map[string][]string{}
	for _, m := range statusSeries {
		labels[m.name] = m.allLabels()
	}
	var names []string
	for name := range families {
		if strings.HasPrefix(name, "debugsidecar_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString("# Metrics of the sidecar\n\n")
	b.WriteString("On the pod's address, port 9400, `/metrics`: Prometheus text, OpenMetrics (with exemplars) and protobuf (with native histograms). ")
	b.WriteString("A figure that can't be had has no series, which is not 0; `debugsidecar_not_available` says what it would take. ")
	b.WriteString("A stream's series end with it. At most 2000 streams have series. Beside these there are Go's own (`go_*`), the process's (`process_*`) and the handler's (`promhttp_*`).\n\n")
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range names {
		f := families[name]
		own, known := labels[name]
		if !known {
			for _, l := range f.Metric[0].GetLabel() {
				own = append(own, l.GetName())
			}
		}
		text := "" // no label
		if len(own) > 0 {
			text = "`" + strings.Join(own, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), text, f.GetHelp())
	}
	return b.String()
}
