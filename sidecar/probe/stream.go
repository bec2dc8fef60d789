package probe

import (
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/qos"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// The transports of a stream.
const (
	overUDP = "udp"
	overTCP = "tcp"
	session = "session"
)

// stream is one watched stream with all that is remembered of it.
type stream struct {
	id        sample.Stream
	transport string
	// iface is the interface whose packets are counted: one that is bridged is
	// seen on more.
	iface     int
	direction tap.Direction
	payload   uint8
	since     time.Time

	detector *warn.Detector
	window   *qos.Meter
	totals   status.Totals

	tick    uint64 // when it was seen last
	sample  sample.Sample
	verdict warn.Verdict
	current qos.Window
	ended   bool
}

func newStream(id sample.Stream, o warn.Options, now time.Time) *stream {
	return &stream{id: id, since: now, detector: warn.New(o, id), window: qos.New(), verdict: warn.Verdict{Health: warn.Unknown}}
}

// step takes a sample through the detectors and the window.
func (s *stream) step(smp *sample.Sample) []warn.Alert {
	t, m := &s.totals, &smp.Media
	t.Packets += m.Packets
	t.Bytes += m.Bytes
	t.Frames += m.Frames
	// What was overtaken is no longer lost.
	t.Lost = uint64(max(int64(t.Lost)+m.Lost, 0))
	t.Reordered += m.Reordered
	t.Duplicates += m.Duplicates
	t.KernelDrops += smp.Kernel.Drops
	t.PLI += m.PLI
	t.NACK += m.NACK
	s.current = s.window.Step(*smp)
	verdict, alerts := s.detector.Step(*smp)
	s.verdict = verdict
	s.ended = m.Ended
	s.sample = *smp
	for _, a := range alerts {
		if a.Kind == warn.Stalled {
			t.Stalls++
		}
	}
	return alerts
}

// status is the stream as others see it.
func (s *stream) status() status.Stream {
	st := status.Stream{
		Key: s.id.Key(), Name: s.id.String(), SSRC: s.id.SSRC, Transport: s.transport,
		PayloadType: s.payload, Since: s.since, Verdict: s.verdict, Window: s.current, Totals: s.totals,
	}
	if s.id.Src.IsValid() {
		st.Src = s.id.Src.String()
	}
	if s.transport == overUDP || s.transport == overTCP {
		st.Direction = s.direction.String()
	}
	return st
}
