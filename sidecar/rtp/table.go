package rtp

import (
	"net/netip"
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

const (
	maxFlows      = 4096
	maxCandidates = 4096
	// maxGaps bounds the gaps between two calls of Gaps.
	maxGaps = 4096
	// IdleTimeout is how long a flow may be silent before it is over.
	IdleTimeout = time.Minute
	// jitterParts of a tick is what jitter is counted in, as the tap does.
	jitterParts = 256
)

type key struct {
	src, dst netip.AddrPort
	ssrc     uint32
}

// flow is one source. Its figures are those of the tap.
type flow struct {
	key         key
	sequence    sequence
	payloadType uint8
	rate        uint32
	packets     uint64
	bytes       uint64
	frames      uint64
	markers     uint64
	jitter      uint64
	first, last clock.Ktime
	timestamp   uint32
	highest     uint32 // timestamp of the packet with the highest number
	marker      bool   // of the packet with the highest number
	// missing is packets of the picture at hand, whole the last packet of the last
	// whole one before.
	missing uint16
	whole   clock.Ktime
	before  uint32 // its timestamp
	waits   uint64
	wait    tap.Wait
	recent  [timestamps]uint32
	keys    keys
	control *tap.Control
}

// Table has the flows of a capture.
type Table struct {
	flows      map[key]*flow
	order      []*flow // as they were recognised
	candidates map[key]*flow
	controls   map[key]*tap.Control // of sources, by the media's addresses without ports
	latest     *flow
	gaps       []tap.Gap
	// Refused is packets of flows that there was no room for.
	Refused uint64
}

// NewTable returns a table without flows.
func NewTable() *Table {
	return &Table{flows: map[key]*flow{}, candidates: map[key]*flow{}, controls: map[key]*tap.Control{}}
}

// Add counts a packet: RTP in its flow, RTCP with the flow that it speaks of,
// and nothing else. Packets come in the order of their times.
func (t *Table) Add(p *Packet) {
	if p.Src.Port() < 1024 || p.Dst.Port() < 1024 {
		return
	}
	if len(p.Payload) >= controlSize && p.Payload[0]>>6 == 2 && isControl(p.Payload[1]) {
		t.control(p)
		return
	}
	h, ok := p.read()
	if !ok {
		return
	}
	if f := t.flow(p, h); f != nil {
		if told := f.account(p, h); told != nil && len(t.gaps) < maxGaps {
			t.gaps = append(t.gaps, *told)
		}
	}
}

func (t *Table) flow(p *Packet, h header) *flow {
	if f := t.latest; f != nil && f.key.ssrc == h.ssrc && f.key.src == p.Src && f.key.dst == p.Dst {
		return f
	}
	k := key{p.Src, p.Dst, h.ssrc}
	if f := t.flows[k]; f != nil {
		t.latest = f
		return f
	}
	if clockRates[h.payloadType] == 0 {
		return nil
	}
	return t.candidate(k, h)
}

// candidate returns what may become a flow, or becomes one with this packet.
func (t *Table) candidate(k key, h header) *flow {
	c := t.candidates[k]
	if c == nil || c.packets > 0 &&
		(c.payloadType != h.payloadType || h.seq-uint16(c.sequence.max)+near > 2*near) {
		if c == nil && len(t.candidates) >= maxCandidates {
			clear(t.candidates) // a scan or noise: who sends media comes again at once
		}
		c = &flow{key: k}
		t.candidates[k] = c
		return c
	}
	if c.sequence.unique+1 < agree {
		return c
	}
	delete(t.candidates, k)
	if len(t.flows) >= maxFlows {
		t.Refused++
		return nil
	}
	t.flows[k] = c
	t.order = append(t.order, c)
	t.latest = c
	return c
}

// account counts a packet, and returns the gap in the sequence that it shows, or
// the number that it fills; nil mostly.
func (f *flow) account(p *Packet, h header) (told *tap.Gap) {
	highest, gaps, reordered := f.sequence.max, f.sequence.gaps, f.sequence.reordered
	placed := f.sequence.place(h.seq)
	var begins, legible bool
	if f.sequence.gaps > gaps {
		begins, legible = f.keys.begins(p.media())
	}
	f.packets++
	f.bytes += uint64(p.Length)
	if h.marker {
		f.markers++
	}
	f.payloadType = h.payloadType
	f.rate = clockRates[h.payloadType]
	if f.packets == 1 {
		f.first = p.At
		f.frames = 1
		f.recent[0] = h.timestamp
	} else if placed {
		missing := uint16(0) // of a picture that begins with this packet
		switch same := h.timestamp == f.timestamp; {
		case f.sequence.gaps > gaps && same:
			f.missing += uint16(f.sequence.max - highest - 1)
		case f.sequence.gaps > gaps:
			if !f.marker {
				f.missing = 1
			}
			if legible && !begins {
				missing = 1
			}
		case f.sequence.reordered > reordered && same && f.missing > 0:
			f.missing--
		}
		f.addJitter(p.At, h.timestamp)
		if h.timestamp != f.timestamp {
			f.frame(h.timestamp, missing)
		}
	} else {
		return nil
	}
	if f.rate == videoRate {
		f.keys.take(p.media(), h.timestamp, f.frames, p.At)
	}
	switch {
	case f.sequence.gaps > gaps:
		told = &tap.Gap{
			Ktime: p.At, SSRC: f.key.ssrc, Src: f.key.src, Dst: f.key.dst,
			First: uint16(highest) + 1, Count: int(f.sequence.max-highest) - 1, Before: f.highest, After: h.timestamp,
			Ends: f.marker, Legible: legible, Begins: begins,
		}
	case f.sequence.reordered > reordered:
		told = &tap.Gap{
			Ktime: p.At, SSRC: f.key.ssrc, Src: f.key.src, Dst: f.key.dst,
			First: h.seq, Count: 1, Before: h.timestamp, After: h.timestamp, Filled: true,
		}
	}
	if f.packets == 1 || f.sequence.max != highest {
		f.highest, f.marker = h.timestamp, h.marker
	}
	f.timestamp = h.timestamp
	f.last = p.At
	return told
}

// frame counts a timestamp that is new: packets with the marker get lost, too.
func (f *flow) frame(timestamp uint32, missing uint16) {
	for i := range min(uint64(timestamps), f.frames) {
		if f.recent[i] == timestamp {
			return
		}
	}
	copy(f.recent[1:], f.recent[:timestamps-1])
	f.recent[0] = timestamp
	f.frames++
	f.endPicture(missing)
}

// endPicture takes the picture before as whole as it will be: the next begins.
func (f *flow) endPicture(missing uint16) {
	broken := f.missing > 0
	f.missing = missing
	if broken {
		return
	}
	if f.whole != 0 && f.last > f.whole+clock.Ktime(tap.WaitFrom) {
		f.waits++
		f.wait = tap.Wait{From: f.whole, To: f.last, Before: f.before, After: f.timestamp}
	}
	f.whole, f.before = f.last, f.timestamp
}

// addJitter is RFC 3550, A.8, in the tap's own integers.
func (f *flow) addJitter(at clock.Ktime, timestamp uint32) {
	passed := uint64(at - f.last)
	if passed > 1_000_000_000_000 {
		return
	}
	d := int64(passed*uint64(f.rate)/62_500_000) - int64(int32(timestamp-f.timestamp))*16
	if d < 0 {
		d = -d
	}
	f.jitter += uint64(d) - (f.jitter+8)>>4
}

// Flows appends a snapshot of all flows to a slice, in the order in which they
// were recognised. Those that were silent for IdleTimeout are in it a last time,
// with Ended set.
func (t *Table) Flows(to []tap.Flow, now clock.Ktime) []tap.Flow {
	kept := t.order[:0]
	for _, f := range t.order {
		snapshot := f.snapshot()
		if now > f.last && time.Duration(now-f.last) > IdleTimeout {
			snapshot.Ended = true
			delete(t.flows, f.key)
			if t.latest == f {
				t.latest = nil
			}
		} else {
			kept = append(kept, f)
		}
		if f.control == nil && len(t.controls) > 0 {
			f.control = t.controls[f.key.withoutPorts()]
		}
		if f.control != nil {
			snapshot.Control = *f.control
		}
		to = append(to, snapshot)
	}
	clear(t.order[len(kept):])
	t.order = kept
	return to
}

func (f *flow) snapshot() tap.Flow {
	s := &f.sequence
	return tap.Flow{
		SSRC: f.key.ssrc, Src: f.key.src, Dst: f.key.dst,
		PayloadType: f.payloadType, ClockRate: f.rate, RateAssumed: assumed(f.payloadType),
		Packets: f.packets, Bytes: f.bytes, Lost: s.lost(), Reordered: s.reordered, Duplicates: s.duplicates,
		Outliers: s.outliers, Restarts: s.restarts, Gaps: s.gaps, Frames: f.frames, Markers: f.markers,
		Jitter: ticks(f.jitter, f.rate*jitterParts),
		First:  f.first, Last: f.last, Timestamp: f.timestamp,
		Waits: f.waits, Wait: f.wait,
		Keys: f.keys.told(),
	}
}

// ticks returns n of a clock's ticks as time.
func ticks(n uint64, rate uint32) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(n * uint64(time.Second) / uint64(rate))
}

// Gaps returns the gaps since the call before, as the tap tells of them. They
// are valid until the next Add.
func (t *Table) Gaps() []tap.Gap {
	gaps := t.gaps
	t.gaps = t.gaps[:0]
	return gaps
}

// Next is when the first of the flows will be over if none of them goes on; it
// is false if there is none.
func (t *Table) Next() (clock.Ktime, bool) {
	var last clock.Ktime
	for _, f := range t.order {
		last = max(last, f.last)
	}
	return last + clock.Ktime(IdleTimeout), len(t.order) > 0
}
