package probe

import (
	"net/netip"
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/node"
	"github.com/debugsidecar/debugsidecar/sidecar/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// watch turns what the sources tell into samples, and samples into verdicts. One
// goroutine uses it.
type watch struct {
	options *Options
	warn    warn.Options
	sources *sources
	node    *node.Reader
	sockets *sockets
	kernel  map[receiver]sample.Kernel
	dropped []packet // of those that the tap had seen before
	tracker rtp.Tracker
	streams map[sample.Stream]*stream
	// segments are the counters of connections as read before.
	segments map[sample.Stream]connection
	queues   map[sample.Stream]queue
	// forgotten are the streams that went at the last tick.
	forgotten []sample.Stream
	ticks     uint64
	last      sample.Node
	err       error // of the last read of the sources
}

// connection is what is remembered of RTP within TCP.
type connection struct {
	first           clock.Ktime
	segments, bytes uint64
}

func newWatch(o *Options, s *sources, wall func(clock.Ktime) time.Time) *watch {
	return &watch{
		options: o, warn: warn.Options{Buffers: o.Buffers, Confidence: o.Confidence, Time: wall, History: warn.NewHistory()},
		sources: s, node: node.Open(node.Default), sockets: newSockets(),
		kernel: map[receiver]sample.Kernel{}, streams: map[sample.Stream]*stream{}, segments: map[sample.Stream]connection{},
		queues: map[sample.Stream]queue{},
	}
}

// tick samples all streams at now, late by as much as the sampling loop was
// late, and returns what is to be said. own is the sample of the probe's own
// session, nil if there is none.
func (w *watch) tick(now clock.Ktime, late time.Duration, own *sessionSample) (alerts []warn.Alert) {
	w.ticks++
	w.err = nil
	w.last = w.node.Read(time.Duration(now))
	w.last.LateSeconds = sample.Of(late.Seconds())
	if w.sources.perStream() {
		w.dropped = w.sources.ledger.take(w.kernel)
	}
	if w.sources.drops != nil {
		all, err := w.sources.drops.Sockets()
		if err != nil {
			w.err = err
		}
		w.sockets.read(all)
	}
	if w.sources.tap != nil {
		alerts = w.flows(now, alerts)
		alerts = w.connections(now, alerts)
	} else {
		alerts = w.ports(now, alerts)
	}
	if w.sources.cameras != nil {
		alerts = w.cameras(now, alerts)
	}
	if own != nil {
		s := w.stream(own.id, session, now)
		s.tick = w.ticks
		smp := sample.Sample{At: now, Media: own.media, Session: own.session, Node: w.last}
		raised := s.step(&smp)
		own.explain(&s.verdict, raised)
		alerts = append(alerts, raised...)
	}
	w.forget()
	return alerts
}

func (w *watch) flows(now clock.Ktime, alerts []warn.Alert) []warn.Alert {
	flows, err := w.sources.tap.Flows()
	if err != nil {
		w.err = err
		return alerts
	}
	taken := w.sources.gaps.take()
	for i := range taken {
		w.tracker.Gap(&taken[i])
	}
	for _, p := range w.dropped {
		w.tracker.Drop(p.src, p.dst, p.ssrc, p.timestamp)
	}
	w.tracker.Update(flows, now, func(id sample.Stream, f *tap.Flow, media sample.Media) {
		s := w.streams[id]
		if s == nil {
			if media.Ended {
				return
			}
			s = w.stream(id, overUDP, now)
			s.iface, s.direction = f.Interface, f.Direction
		}
		if s.iface != f.Interface || s.direction != f.Direction || s.tick == w.ticks {
			return
		}
		s.tick, s.payload = w.ticks, f.PayloadType
		smp := sample.Sample{At: now, Media: media, Node: w.last}
		if w.sources.perStream() {
			smp.Kernel = w.kernel[receiver{f.SSRC, f.Dst}]
			smp.Kernel.Known = true
		}
		if f.Direction == tap.Ingress {
			smp.Socket = w.socketOf(f.Dst.Port(), &smp.Kernel)
		}
		alerts = append(alerts, s.step(&smp)...)
	})
	return alerts
}

// socketOf is the socket at a port as one of its streams sees it. Where drops are
// known by stream, those of its neighbours in the same socket are not its own.
func (w *watch) socketOf(port uint16, own *sample.Kernel) sample.Socket {
	s := w.sockets.byPort[port]
	if own.Known {
		s.Drops = 0
		if own.Reason == receiveBuffer {
			s.Drops = own.Drops
		}
	}
	return s
}

// connections samples RTP within RTSP's connections. What is seen there is
// whether anything comes, not the stream's own clock: so the media's time is
// that of arrival, and lag is silence.
func (w *watch) connections(now clock.Ktime, alerts []warn.Alert) []warn.Alert {
	all, err := w.sources.tap.Interleaved()
	if err != nil {
		w.err = err
		return alerts
	}
	for i := range all {
		c := &all[i]
		id := sample.Stream{Src: c.Src, Dst: c.Dst}
		s := w.streams[id]
		if s == nil {
			if c.Ended {
				continue
			}
			s = w.stream(id, overTCP, now)
			s.iface, s.direction = c.Interface, c.Direction
			w.segments[id] = connection{first: c.Last, segments: c.Segments, bytes: c.Bytes}
		}
		if s.iface != c.Interface || s.tick == w.ticks {
			continue
		}
		s.tick = w.ticks
		before := w.segments[id]
		smp := sample.Sample{At: now, Node: w.last, Media: sample.Media{
			Known: true, Reliable: true, Packets: c.Segments - before.segments, Bytes: c.Bytes - before.bytes,
			Newest: time.Duration(c.Last - before.first), NewestAt: c.Last, Ended: c.Ended,
		}}
		if c.ReceiveQueue != nil {
			smp.Socket = sample.Socket{Known: true, Queue: *c.ReceiveQueue}
		}
		w.segments[id] = connection{before.first, c.Segments, c.Bytes}
		alerts = append(alerts, s.step(&smp)...)
	}
	return alerts
}

// ports samples the pod's sockets where no tap tells of streams: those at the
// configured ports, or those that once had trouble.
func (w *watch) ports(now clock.Ktime, alerts []warn.Alert) []warn.Alert {
	for port, socket := range w.sockets.byPort {
		configured := slices.Contains(w.options.Ports, port)
		if !configured && (len(w.options.Ports) > 0 || !w.sockets.busy[port] || port < 1024) {
			continue
		}
		s := w.stream(sample.Stream{Dst: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}, overUDP, now)
		s.tick = w.ticks
		smp := sample.Sample{At: now, Socket: socket, Node: w.last}
		alerts = append(alerts, s.step(&smp)...)
	}
	return alerts
}

func (w *watch) stream(id sample.Stream, transport string, now clock.Ktime) *stream {
	s := w.streams[id]
	if s == nil {
		s = newStream(id, w.warn, w.warn.Time(now))
		s.transport = transport
		w.streams[id] = s
	}
	return s
}

// gone is how many ticks a stream may be missing in what the sources tell: the
// tap reports each one's end, a socket just closes.
const gone = uint64(10 * time.Second / sample.Interval)

func (w *watch) forget() {
	w.forgotten = w.forgotten[:0]
	for id, s := range w.streams {
		if w.ticks-s.tick > gone || s.ended && s.tick != w.ticks {
			w.forgotten = append(w.forgotten, id)
			delete(w.streams, id)
			delete(w.segments, id)
			delete(w.queues, id)
		}
	}
}

func (w *watch) close() error { return w.node.Close() }

// unavailable is what can't be had, by figure.
func (w *watch) unavailable() map[string]string {
	missing := map[string]string{}
	for figure, why := range w.sources.missing {
		missing[figure] = why
	}
	for figure, f := range map[string]sample.Figure{
		"throttling of the sidecar": w.last.SidecarThrottled, "throttling of the application": w.last.AppThrottled,
		"CPU pressure": w.last.NodeCPUPressure, "memory pressure": w.last.NodeMemoryPressure,
	} {
		if _, known := f.Get(); !known && f.Why() != "" {
			missing[figure] = f.Why()
		}
	}
	if w.sources.tier() != bpf.TierKernel && w.sources.drops == nil {
		missing["sockets"] = "the pod's /proc/net can't be read"
	}
	return missing
}
