// Package correlate traces a frame that a viewer misses to the packets that it
// lost, and each of those to who lost it: the kernel, for which reason, or
// somebody before this node.
//
// It joins what package drop says of dropped packets (with their RTP header) and
// what package rtp says of gaps in the sequence numbers. A packet that the
// kernel drops before the tap (a queue at egress, a CPU's backlog) makes a drop
// and a gap; one that it drops after (a socket's buffer, traffic control at
// ingress) makes a drop alone; one that never came makes a gap alone.
//
// A Tracer is pure: it owns no goroutine and no clock, so hours replay in
// moments.
package correlate

import (
	"cmp"
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
)

// Gap is sequence numbers that a tap missed, or, if Filled is set, one that came
// late after all.
type Gap struct {
	Ktime clock.Ktime
	SSRC  uint32
	First uint16
	Count int
	// Before and After are the RTP timestamps around the gap.
	Before, After uint32
	Filled        bool
}

// Cause is who lost a packet.
type Cause int

const (
	// Pending packets may still come, or their drop may be on its way.
	Pending Cause = iota
	// Kernel dropped it: Packet.Drop says why.
	Kernel
	// Upstream is before this node: no drop was seen, and none was missed.
	Upstream
	// Unknown is what may be either: events of drops were lost at that time.
	Unknown
)

// String returns pending, kernel, upstream or unknown.
func (c Cause) String() string {
	return [...]string{"pending", "kernel", "upstream", "unknown"}[c]
}

// Packet is one that a viewer did not get.
type Packet struct {
	SSRC  uint32
	Seq   uint16
	Cause Cause
	// Ktime is when it was dropped, or when its gap was seen.
	Ktime clock.Ktime
	// From and To are the RTP timestamps that it may have had: the same if it is
	// known to which frame it belonged.
	From, To uint32
	// Drop is the kernel's event, nil for other causes.
	Drop *drop.Event
}

// Options of New.
type Options struct {
	// Delay is how long a gap waits for its drop, or its packet. Default 200 ms.
	Delay time.Duration
	// Keep is how long a lost packet is remembered: less than it takes a source
	// to use up its sequence numbers. Default 30 s.
	Keep time.Duration
	// Max is how many are remembered. Default 10,000.
	Max int
}

// Tracer remembers lost packets. It is not safe for concurrent use.
type Tracer struct {
	options Options
	packets map[id]*Packet
	order   []*Packet // by arrival; Ktime never goes back by more than Delay
	lost    uint64
	// uncertain is the last moment up to which events were lost, since is when
	// that was not yet so.
	since, uncertain clock.Ktime
	evicted          uint64
}

type id struct {
	ssrc uint32
	seq  uint16
}

// New returns a Tracer that remembers nothing.
func New(o Options) *Tracer {
	o.Delay = cmp.Or(o.Delay, 200*time.Millisecond)
	o.Keep = cmp.Or(o.Keep, 30*time.Second)
	o.Max = cmp.Or(o.Max, 10_000)
	return &Tracer{options: o, packets: map[id]*Packet{}}
}

// Drop takes a packet that the kernel dropped. One without an RTP header, or of
// the class noise, is nobody's frame. A packet that is dropped more than once
// (copies on a bridge) is lost once, by the first.
func (t *Tracer) Drop(e drop.Event) {
	if e.RTP == nil || drop.Classify(e.Reason) == drop.ClassNoise {
		return
	}
	p := t.packet(id{e.RTP.SSRC, e.RTP.Seq}, e.Ktime)
	if p.Cause == Kernel {
		return
	}
	p.Cause, p.Ktime, p.Drop = Kernel, e.Ktime, &e
	p.From, p.To = e.RTP.Timestamp, e.RTP.Timestamp
}

// Gap takes what a tap missed, or got late.
func (t *Tracer) Gap(g Gap) {
	for i := range min(g.Count, 1<<16) {
		key := id{g.SSRC, g.First + uint16(i)}
		if g.Filled {
			// It came; so if the kernel dropped it, then after the tap.
			if p := t.packets[key]; p != nil && p.Cause != Kernel {
				t.forget(key)
			}
			continue
		}
		p := t.packet(key, g.Ktime)
		if p.Cause == Pending {
			p.From, p.To = g.Before, g.After
		}
	}
}

// LostEvents takes how many events of drops were lost so far (drop.Stats), as
// it was at now. Gaps of a time in which it grew are nobody's fault for sure.
func (t *Tracer) LostEvents(total uint64, now clock.Ktime) {
	if total > t.lost {
		t.uncertain = now
		for _, p := range t.order {
			if p.Cause == Pending || p.Cause == Upstream && p.Ktime >= t.since {
				p.Cause = Unknown
			}
		}
	}
	t.lost, t.since = total, now
}

// Advance settles what has waited long enough, and forgets what is old.
func (t *Tracer) Advance(now clock.Ktime) {
	old := func(p *Packet, age time.Duration) bool { return now > p.Ktime && time.Duration(now-p.Ktime) > age }
	for _, p := range t.order {
		if p.Cause == Pending && old(p, t.options.Delay) {
			p.Cause = Upstream
			if p.Ktime <= t.uncertain {
				p.Cause = Unknown
			}
		}
	}
	t.order = slices.DeleteFunc(t.order, func(p *Packet) bool {
		if !old(p, t.options.Keep) {
			return false
		}
		delete(t.packets, id{p.SSRC, p.Seq})
		return true
	})
}

// packet returns what is known of a packet, or begins to know it.
func (t *Tracer) packet(key id, at clock.Ktime) *Packet {
	if p := t.packets[key]; p != nil {
		if at < p.Ktime || time.Duration(at-p.Ktime) <= t.options.Keep {
			return p
		}
		t.forget(key) // the number was used before
	}
	if len(t.order) >= t.options.Max {
		t.forget(id{t.order[0].SSRC, t.order[0].Seq})
		t.evicted++
	}
	p := &Packet{SSRC: key.ssrc, Seq: key.seq, Ktime: at}
	t.packets[key] = p
	t.order = append(t.order, p)
	return p
}

func (t *Tracer) forget(key id) {
	p := t.packets[key]
	delete(t.packets, key)
	if i := slices.Index(t.order, p); i >= 0 {
		t.order = slices.Delete(t.order, i, i+1)
	}
}

// Evicted returns how many packets were forgotten before their time: Max was
// reached.
func (t *Tracer) Evicted() uint64 { return t.evicted }

// Frame returns the lost packets that belong to a frame, or may belong to it.
func (t *Tracer) Frame(ssrc, timestamp uint32) []Packet {
	return t.matching(func(p *Packet) bool {
		return p.SSRC == ssrc && timestamp-p.From <= p.To-p.From
	})
}

// Between returns the packets that were lost from one moment to another, both
// included: what a viewer missed then.
func (t *Tracer) Between(from, to clock.Ktime) []Packet {
	return t.matching(func(p *Packet) bool { return p.Ktime >= from && p.Ktime <= to })
}

func (t *Tracer) matching(of func(*Packet) bool) (found []Packet) {
	for _, p := range t.order {
		if of(p) {
			found = append(found, *p)
		}
	}
	slices.SortFunc(found, func(a, b Packet) int {
		return cmp.Or(cmp.Compare(a.SSRC, b.SSRC), cmp.Compare(a.Ktime, b.Ktime), cmp.Compare(int16(a.Seq-b.Seq), 0))
	})
	return found
}
