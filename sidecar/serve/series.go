package serve

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
)

// series describes one metric that is read from the status. The table of
// docs/metrics.md is made of these.
type series struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	// each gives the metric's values in a status.
	each func(s *Server, st *status.Status, give func(value float64, labels ...string))
	// stream gives its values of one stream, for those that have the stream's
	// labels in front of their own.
	stream func(st *status.Stream, give func(value float64, labels ...string))
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// streamLabels tell streams apart.
var streamLabels = []string{"stream", "src", "ssrc"}

// total is a stream's counter.
func total(name, help string, get func(*status.Stream) uint64) series {
	return series{name: name, help: help, kind: counter, stream: func(s *status.Stream, give func(float64, ...string)) {
		give(float64(get(s)))
	}}
}

// latest is a stream's figure over the last ten seconds.
func latest(name, help string, get func(*status.Stream) sample.Figure) series {
	return series{name: name, help: help, kind: gauge, stream: func(s *status.Stream, give func(float64, ...string)) {
		if v, known := get(s).Get(); known {
			give(v)
		}
	}}
}

// node is a figure of the machine or a control group.
func node(name, help string, get func(n *sample.Node, give func(f sample.Figure, labels ...string)), labels ...string) series {
	return series{name: name, help: help, kind: gauge, labels: labels, each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
		get(&st.Node, func(f sample.Figure, labels ...string) {
			if v, known := f.Get(); known {
				give(v, labels...)
			}
		})
	}}
}

// statusSeries are all metrics that are read from the status. A figure that is
// not available has no value; debugsidecar_not_available says what it takes.
var statusSeries = []series{
	{name: "debugsidecar_build_info", help: "Which build this is; always 1.", kind: gauge, labels: []string{"version", "goversion"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) { give(1, st.Version, goVersion) }},
	{name: "debugsidecar_state", help: "1 for the state that the probe is in, 0 for the others.", kind: gauge, labels: []string{"state"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
			for _, state := range []string{"Initializing", "Ready", "Degraded", "Recovering", "Stopping", "Stopped"} {
				give(is(state == st.State), state)
			}
		}},
	{name: "debugsidecar_tier_info", help: "Which tier the probe has; always 1.", kind: gauge, labels: []string{"tier"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) { give(1, st.Tier) }},
	{name: "debugsidecar_not_available", help: "1 for each figure that can't be had here, with what it would take.", kind: gauge, labels: []string{"figure", "needs"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
			for figure, needs := range st.NotAvailable {
				give(1, figure, needs)
			}
		}},
	{name: "debugsidecar_health", help: "1 for the health of the worst stream, with its cause.", kind: gauge, labels: []string{"health", "cause"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
			give(1, string(st.Health), string(st.Cause))
		}},
	{name: "debugsidecar_status_timestamp_seconds", help: "When the status that this scrape shows was made.", kind: gauge,
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
			give(float64(st.At.UnixMilli()) / 1000)
		}},
	{name: "debugsidecar_streams", help: "Streams that are watched.", kind: gauge,
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) { give(float64(len(st.Streams))) }},
	{name: "debugsidecar_streams_without_series", help: "Streams beyond the number that metrics name; all else counts them, too.", kind: gauge,
		each: func(s *Server, st *status.Status, give func(float64, ...string)) {
			give(float64(max(0, len(st.Streams)-s.opts.MaxStreams)))
		}},

	total("debugsidecar_stream_packets_total", "Packets that arrived.", func(s *status.Stream) uint64 { return s.Totals.Packets }),
	total("debugsidecar_stream_bytes_total", "Bytes that arrived, from IP's header on.", func(s *status.Stream) uint64 { return s.Totals.Bytes }),
	total("debugsidecar_stream_frames_total", "Frames that arrived.", func(s *status.Stream) uint64 { return s.Totals.Frames }),
	total("debugsidecar_stream_lost_packets_total", "RTP sequence numbers that are missing.", func(s *status.Stream) uint64 { return s.Totals.Lost }),
	total("debugsidecar_stream_reordered_packets_total", "Packets that others overtook.", func(s *status.Stream) uint64 { return s.Totals.Reordered }),
	total("debugsidecar_stream_duplicate_packets_total", "Packets that came again.", func(s *status.Stream) uint64 { return s.Totals.Duplicates }),
	total("debugsidecar_stream_kernel_drops_total", "Packets that this node's kernel dropped.", func(s *status.Stream) uint64 { return s.Totals.KernelDrops }),
	total("debugsidecar_stream_stalls_total", "Stalls, over all buffer depths.", func(s *status.Stream) uint64 { return s.Totals.Stalls }),
	{name: "debugsidecar_stream_feedback_total", help: "RTCP feedback of the receiver: picture loss and NACK. Absent where none was ever seen.", kind: counter, labels: []string{"type"},
		stream: func(s *status.Stream, give func(float64, ...string)) {
			if _, seen := s.Window.PLIPerSecond.Get(); seen {
				give(float64(s.Totals.PLI), "pli")
				give(float64(s.Totals.NACK), "nack")
			}
		}},
	latest("debugsidecar_stream_jitter_seconds", "Interarrival jitter (RFC 3550, A.8).", func(s *status.Stream) sample.Figure { return s.Window.JitterSeconds }),
	latest("debugsidecar_stream_loss_ratio", "Share of the expected packets that did not arrive, over ten seconds.", func(s *status.Stream) sample.Figure { return s.Window.PacketLoss }),
	latest("debugsidecar_stream_lag_seconds", "How far the newest frame is behind the best it has been.", func(s *status.Stream) sample.Figure { return s.Window.LagSeconds }),
	latest("debugsidecar_stream_frozen_seconds", "How long the picture was frozen in the last ten seconds (W3C webrtc-stats).", func(s *status.Stream) sample.Figure { return s.Window.FrozenSeconds }),
	latest("debugsidecar_stream_frame_interval_deviation_ratio", "Mean deviation of the frame interval from its nominal value, as a share of that.", func(s *status.Stream) sample.Figure { return s.Window.IntervalDeviation }),
	latest("debugsidecar_stream_gop_frames", "Frames from the key frame before the newest one to that.", func(s *status.Stream) sample.Figure { return s.Window.GOPFrames }),
	latest("debugsidecar_stream_gop_seconds", "The same on the stream's own clock.", func(s *status.Stream) sample.Figure { return s.Window.GOPSeconds }),
	latest("debugsidecar_stream_key_frame_gap_seconds", "How long ago the newest key frame began to arrive.", func(s *status.Stream) sample.Figure { return s.Window.KeyFrameGapSeconds }),
	latest("debugsidecar_stream_socket_queue_bytes", "The most that waited in the receiver's socket in the last ten seconds.", func(s *status.Stream) sample.Figure { return s.Window.SocketQueueBytes }),
	{name: "debugsidecar_stream_seconds_to_stall", help: "Time until a viewer with this buffer sees a stall. Absent while none is in sight.", kind: gauge, labels: []string{"buffer_s"},
		stream: func(s *status.Stream, give func(float64, ...string)) {
			for _, f := range s.Verdict.Forecasts {
				if eta, known := f.ETA.Get(); known {
					give(eta, seconds(f.Buffer))
				}
			}
		}},
	{name: "debugsidecar_stream_buffer_left_seconds", help: "What is left in a viewer's buffer of this depth; below 0 the viewer waits.", kind: gauge, labels: []string{"buffer_s"},
		stream: func(s *status.Stream, give func(float64, ...string)) {
			for _, f := range s.Verdict.Forecasts {
				if left, known := f.Left.Get(); known {
					give(left, seconds(f.Buffer))
				}
			}
		}},
	{name: "debugsidecar_stream_health", help: "1 for the stream's health, with its cause.", kind: gauge, labels: []string{"health", "cause"},
		stream: func(s *status.Stream, give func(float64, ...string)) {
			give(1, string(s.Verdict.Health), string(s.Verdict.Cause))
		}},

	{name: "debugsidecar_drops_total", help: "Packets of this pod that the kernel dropped, by reason. Class loss is what was wanted, noise what nobody waited for.", kind: counter,
		labels: []string{"reason", "class", "family", "proto"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
			for _, d := range st.Drops {
				give(float64(d.Count), d.Reason, d.Class, d.Family, d.Proto)
			}
		}},
	{name: "debugsidecar_missed_total", help: "What the probe itself missed.", kind: counter, labels: []string{"what"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
			for what, n := range st.Stats {
				give(float64(n), what)
			}
		}},
	node("debugsidecar_cpu_throttled_ratio", "Share of the time in which a control group was denied the CPU.", func(n *sample.Node, give func(sample.Figure, ...string)) {
		give(n.SidecarThrottled, "sidecar-cgroup")
		give(n.AppThrottled, "app-cgroup")
	}, "scope"),
	node("debugsidecar_pressure_ratio", "Pressure stall information (some, avg10).", func(n *sample.Node, give func(sample.Figure, ...string)) {
		give(share(n.SidecarCPUPressure), "cpu", "sidecar-cgroup")
		give(share(n.SidecarMemoryPressure), "memory", "sidecar-cgroup")
		give(share(n.NodeCPUPressure), "cpu", "node-psi")
		give(share(n.NodeMemoryPressure), "memory", "node-psi")
	}, "resource", "scope"),
	node("debugsidecar_gc_pause_seconds", "The longest pause of the probe's own collector in the last interval.", func(n *sample.Node, give func(sample.Figure, ...string)) {
		give(n.GCPauseSeconds)
	}),
	node("debugsidecar_sample_late_seconds", "How late the last sample was taken.", func(n *sample.Node, give func(sample.Figure, ...string)) {
		give(n.LateSeconds)
	}),
	{name: "debugsidecar_capture_state", help: "1 for the state of the probe's own session of the source.", kind: gauge, labels: []string{"source", "mode", "state"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
			if c := st.Capture; c != nil {
				give(1, c.Source, c.Mode, c.State)
			}
		}},
	{name: "debugsidecar_capture_lower_source", help: "1 while the source of lower resolution is played instead.", kind: gauge, labels: []string{"source"},
		each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
			if c := st.Capture; c != nil {
				on := 0.
				if c.Lower != nil {
					on = 1
				}
				give(on, c.Source)
			}
		}},
	captured("debugsidecar_capture_restarts_total", "Times that the capture was started again.", func(c *status.Capture) uint64 { return c.Restarts }),
	captured("debugsidecar_capture_frames_total", "Frames that were decoded.", func(c *status.Capture) uint64 { return c.Frames }),
	captured("debugsidecar_capture_late_frames_total", "Frames that were dropped after decoding, since they came late.", func(c *status.Capture) uint64 { return c.Late }),
	captured("debugsidecar_capture_errors_total", "Frames that the decoder refused.", func(c *status.Capture) uint64 { return c.Errors }),

	{name: "debugsidecar_alerts_on", help: "Alerts that are raised and not cleared.", kind: gauge,
		each: func(s *Server, _ *status.Status, give func(float64, ...string)) {
			_, raised := s.live.counts()
			give(float64(raised))
		}},
	{name: "debugsidecar_viewers", help: "Clients that look at the live picture.", kind: gauge,
		each: func(s *Server, _ *status.Status, give func(float64, ...string)) {
			viewers, _ := s.live.counts()
			give(float64(viewers))
		}},
	{name: "debugsidecar_alert_listeners", help: "Clients that listen to /api/v1/alerts.", kind: gauge,
		each: func(s *Server, _ *status.Status, give func(float64, ...string)) {
			listeners, _ := s.events.counts()
			give(float64(listeners))
		}},
	{name: "debugsidecar_slow_listeners_total", help: "Clients of /api/v1/alerts that lost their connection since they were too slow.", kind: counter,
		each: func(s *Server, _ *status.Status, give func(float64, ...string)) {
			_, dropped := s.events.counts()
			give(float64(dropped))
		}},
}

func captured(name, help string, get func(*status.Capture) uint64) series {
	return series{name: name, help: help, kind: counter, labels: []string{"source"}, each: func(_ *Server, st *status.Status, give func(float64, ...string)) {
		if st.Capture != nil {
			give(float64(get(st.Capture)), st.Capture.Source)
		}
	}}
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// share turns percent into a share of 1.
func share(percent sample.Figure) sample.Figure {
	v, known := percent.Get()
	if !known {
		return percent
	}
	return sample.Of(v / 100)
}
