package rtp

import (
	"math"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// holes follows which pictures a flow's gaps broke: those that the packets
// around a gap belong to, and all between them.
type holes struct {
	pending []gap
	// dropped are the timestamps of packets that came and were dropped then.
	dropped []uint32
	// from and to are the first and the last picture of the present run of broken
	// ones, as unwrapped timestamps.
	from, to int64
	chance   float64
	open     bool
	// step is the ticks from picture to picture, size the packets of a usual one,
	// both smoothed: large pictures are few.
	step, size float64
}

// gap waits for a sample, in which what is missing may still come.
type gap struct {
	tap.Gap
	span   int // Count, before any of them came
	waited bool
}

// maxPending bounds the gaps of one sample: beyond, the flow is in pieces anyway.
const maxPending = 64

// add takes a gap, or numbers of one that came after all.
func (h *holes) add(g *tap.Gap) {
	if !g.Filled {
		if len(h.pending) < maxPending {
			h.pending = append(h.pending, gap{Gap: *g, span: g.Count})
		}
		return
	}
	for i := range h.pending {
		p := &h.pending[i]
		if int(g.First-p.First) < p.span && p.Count > 0 {
			p.Count -= g.Count // how they lie within it does not matter
			return
		}
	}
}

// drop takes the timestamp of a packet that the tap saw and its receiver did not.
func (h *holes) drop(timestamp uint32) {
	if n := len(h.dropped); n < maxPending && (n == 0 || h.dropped[n-1] != timestamp) {
		h.dropped = append(h.dropped, timestamp)
	}
}

// pictures takes how far the newest picture went ahead, by how many of them and
// of how many packets.
func (h *holes) pictures(ticks, frames, packets float64) {
	if ticks <= 0 || frames <= 0 {
		return
	}
	if each := packets / frames; h.size == 0 || each < h.size {
		h.size += (each - h.size) / 16
		if h.size < each/2 {
			h.size = each
		}
	} else {
		h.size += (each - h.size) / 128
	}
	if each := ticks / frames; h.step == 0 || each < h.step {
		h.step += (each - h.step) / 4
		if h.step < each/2 {
			h.step = each
		}
	} else {
		h.step += (each - h.step) / 64 // what is lost makes steps longer, not shorter
	}
}

// takeHole returns the longest hole in what a viewer sees that the gaps of the
// sample before made, or made longer.
func (m *Meter) takeHole() (hole sample.Hole) {
	h := &m.holes
	take := func() {
		run := sample.Hole{
			From: m.rate.duration(h.from - int64(h.step) - m.anchor), To: m.rate.duration(h.to + int64(h.step) - m.anchor),
			Probability: h.chance,
		}
		if run.To-run.From > hole.To-hole.From {
			hole = run
		}
	}
	kept := h.pending[:0]
	for _, g := range h.pending {
		if !g.waited {
			g.waited = true
			kept = append(kept, g)
			continue
		}
		if g.Count <= 0 || h.step <= 0 {
			continue
		}
		m.breakPictures(&g)
		take()
	}
	h.pending = kept
	for _, timestamp := range h.dropped {
		if h.step > 0 {
			m.breakRun(m.unwrap(timestamp), m.unwrap(timestamp), 1)
			take()
		}
	}
	h.dropped = h.dropped[:0]
	return hole
}

// breakPictures extends the present run by what a gap broke, or begins another.
func (m *Meter) breakPictures(g *gap) {
	h := &m.holes
	from, to := m.unwrap(g.Before), m.unwrap(g.After)
	if to < from {
		from, to = to, from // pictures out of order
	}
	// The first picture is whole if the gap begins behind it, and the last one if
	// the gap ends before it. Of the packets that are left for these two, each way
	// to part them is as likely as another.
	chance := 1.0
	if to > from {
		between := math.Round(float64(to-from)/h.step) - 1
		left := max(float64(g.span)-between*h.size, 0)
		if chance = max(left-1, 0) / (left + 1); chance < 0.5 {
			from, chance = from+int64(h.step), left/(left+1)
		}
		if left < 0.5 {
			to, chance = to-int64(h.step), 1
		}
		if to < from {
			return
		}
	}
	m.breakRun(from, to, chance)
}

// breakRun adds pictures to the present run if they follow it.
func (m *Meter) breakRun(from, to int64, chance float64) {
	h := &m.holes
	if h.open && from <= h.to+int64(h.step*1.2) {
		h.to, h.chance = max(h.to, to), min(h.chance, chance)
		return
	}
	h.open, h.from, h.to, h.chance = true, from, to, chance
}

func (m *Meter) unwrap(timestamp uint32) int64 {
	return m.extended + int64(int32(timestamp-uint32(m.extended)))
}
