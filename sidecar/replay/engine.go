package replay

import (
	"errors"
	"fmt"
	"io"
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Options of Run.
type Options struct {
	// Kernel has what receivers' sockets said, as JSON lines; nil if nobody knows.
	Kernel io.Reader
	// Buffers are the depths that are warned of. Default: warn's.
	Buffers []time.Duration
	// Confidence is how likely a stall has to be for it to be predicted. Default:
	// warn's.
	Confidence float64
	// Alert is called with each alert, in the order of their times.
	Alert func(warn.Alert) error
	// Observe is warn's.
	Observe func(warn.Observation)
}

// Summary is what a capture file had in it.
type Summary struct {
	First, Last time.Time
	// Packets were read, of which Fragments are later parts of a datagram, Cut
	// too short to tell what they are, and Backward earlier
	// than one before.
	Packets, Fragments, Cut, Backward uint64
	Streams                           []*Stream
}

// Stream is one RTP stream of the file.
type Stream struct {
	sample.Stream
	Audio                 bool
	PayloadType           uint8
	Packets, Frames, Lost uint64
	Keys                  tap.Keys
	Alerts                map[warn.Kind]int

	detector *warn.Detector
}

// engine replays a file: it feeds packets to the table, and at each sample's end
// the streams to their detectors.
type engine struct {
	options  Options
	table    *rtp.Table
	tracker  rtp.Tracker
	kernel   *readings
	arrivals arrivals // where the kernel's readings are
	streams  map[sample.Stream]*Stream
	summary  Summary
	flows    []tap.Flow
	tick     clock.Ktime // the end of the interval at hand
	latest   clock.Ktime
	failure  error
	settings warn.Options
}

// Run replays a capture. Its summary is of all that could be read, also if there
// is an error.
func Run(file io.Reader, o Options) (Summary, error) {
	source, err := open(file)
	if err != nil {
		return Summary{}, err
	}
	e := &engine{options: o, table: rtp.NewTable(), streams: map[sample.Stream]*Stream{}}
	e.settings = warn.Options{Buffers: o.Buffers, Confidence: o.Confidence, History: warn.NewHistory(), Observe: o.Observe}
	if o.Kernel != nil {
		if e.kernel, err = newReadings(o.Kernel); err != nil {
			return Summary{}, fmt.Errorf("kernel file: %w", err)
		}
	}
	err = e.all(source)
	return e.summary, err
}

func (e *engine) all(from *source) error {
	var p rtp.Packet
	for {
		data, info, link, err := from.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := info.Timestamp.UnixNano()
		if at < 0 {
			return fmt.Errorf("packet %d has the time %v, which no capture can have", e.summary.Packets+1, info.Timestamp)
		}
		if err := e.until(clock.Ktime(at)); err != nil {
			return err
		}
		switch read(link, data, info.Length, &p) {
		case isUDP:
			p.At = e.latest
			e.table.Add(&p)
			if e.kernel != nil {
				e.arrivals.add(&p)
			}
		case isFragment:
			e.summary.Fragments++
		case isCut:
			e.summary.Cut++
		}
	}
}

// until ends all intervals before a packet's time. Of a packet that is earlier
// than one before, nothing could have been known then: it counts as if it came
// now.
func (e *engine) until(at clock.Ktime) error {
	e.summary.Packets++
	if e.summary.Packets == 1 {
		e.tick = at + clock.Ktime(sample.Interval)
		e.latest = at
		e.summary.First = time.Unix(0, int64(at)).UTC()
	}
	if at < e.latest {
		e.summary.Backward++
		return nil
	}
	for at >= e.tick {
		if err := e.sample(); err != nil {
			return err
		}
		e.tick += clock.Ktime(sample.Interval)
		if last, some := e.table.Next(); !some || e.tick > last+clock.Ktime(time.Second) {
			// Nothing is watched: so nothing can happen until the packet.
			if behind := (at - min(at, e.tick)) / clock.Ktime(sample.Interval); behind > 0 {
				e.tick += behind * clock.Ktime(sample.Interval)
			}
		}
	}
	e.latest = at
	e.summary.Last = time.Unix(0, int64(at)).UTC()
	return nil
}

// sample ends an interval.
func (e *engine) sample() error {
	if e.kernel != nil {
		if err := e.kernel.advance(e.tick); err != nil {
			return fmt.Errorf("kernel file: %w", err)
		}
	}
	e.flows = e.table.Flows(e.flows[:0], e.tick)
	for _, g := range e.table.Gaps() {
		e.tracker.Gap(&g)
	}
	if e.kernel != nil {
		for i := range e.kernel.overflows {
			e.arrivals.dropped(&e.kernel.overflows[i], func(p *arrival) { e.tracker.Drop(p.src, p.dst, p.ssrc, p.timestamp) })
		}
	}
	e.tracker.Update(e.flows, e.tick, e.step)
	if e.kernel != nil {
		e.kernel.taken()
		e.arrivals.forget(e.tick)
	}
	return e.failure
}

func (e *engine) step(stream sample.Stream, flow *tap.Flow, media sample.Media) {
	s := e.streams[stream]
	if s == nil {
		s = &Stream{Stream: stream, Alerts: map[warn.Kind]int{}, detector: warn.New(e.settings, stream)}
		e.streams[stream] = s
		e.summary.Streams = append(e.summary.Streams, s)
	}
	s.Audio = media.Audio
	s.PayloadType, s.Packets, s.Frames, s.Lost = flow.PayloadType, flow.Packets, flow.Frames, flow.Lost
	s.Keys = flow.Keys
	x := sample.Sample{At: e.tick, Media: media}
	if e.kernel != nil {
		x.Socket = e.kernel.socket(stream.Dst, e.tick)
	}
	_, alerts := s.detector.Step(x)
	for _, a := range alerts {
		s.Alerts[a.Kind]++
		if e.options.Alert != nil && e.failure == nil {
			e.failure = e.options.Alert(a)
		}
	}
}
