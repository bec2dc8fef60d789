package rtp

import (
	"math"
	"slices"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// holes follows which pictures a flow's gaps broke: those that the packets
// around a gap belong to, and all between them.
type holes struct {
	pending []gap
	full    bool // there were more
	// dropped are the timestamps of packets that came and were dropped then, placed
	// how many packets that is.
	dropped []uint32
	placed  uint64
	// runs are the latest of broken pictures: out of order, they may grow together.
	runs []run
	last run // the one that grew last
	// step is the ticks from picture to picture, size the packets of a usual one,
	// both smoothed: large pictures are few.
	step, size float64
	// ticks and frames are of the measurement at hand, settled says that there was
	// one.
	ticks, frames float64
	settled       bool
	// swings is how often a snapshot ends with a picture that is not the newest,
	// smoothed.
	swings float64
}

// swinging is how often it has to, where pictures come out of order.
const swinging = 0.1

// stepFrames is over how many pictures a step is measured: those that come out of
// order swing by a few.
const stepFrames = 40

// run is pictures in a row that are broken: the first and the last one, as
// unwrapped timestamps.
type run struct {
	from, to int64
	chance   float64
	sure     bool // none of its packets can come
}

// maxRuns is how many runs are remembered: as many as pictures may be out of
// order, and more.
const maxRuns = 8

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
		} else {
			h.full = true
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
	n := len(h.dropped)
	switch {
	case n > 0 && h.dropped[n-1] == timestamp:
	case n < maxPending:
		h.dropped = append(h.dropped, timestamp)
	default:
		return
	}
	h.placed++
}

// pictures takes how far the newest picture went ahead, by how many of them and
// of how many packets.
func (h *holes) pictures(ticks, frames, packets float64) {
	h.ticks, h.frames = h.ticks+ticks, h.frames+frames
	if frames <= 0 {
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
	each := h.ticks / h.frames
	if !h.settled {
		h.step = each
	}
	if h.frames < stepFrames {
		return
	}
	h.ticks, h.frames = 0, 0
	switch {
	case !h.settled:
		h.settled = true
	case each < h.step:
		h.step += (each - h.step) / 4
	default:
		h.step += (each - h.step) / 16 // what the camera left out makes steps longer
	}
}

// swing notes whether a snapshot ends with a picture before the newest.
func (h *holes) swing(back bool) {
	h.swings *= 1 - 1.0/32
	if back {
		h.swings += 1.0 / 32
	}
}

// takeHole returns the longest hole in what a viewer sees that the gaps of the
// sample before made, or made longer, and how many dropped packets are in it.
func (m *Meter) takeHole() (hole sample.Hole, placed uint64) {
	h := &m.holes
	take := func() {
		run := sample.Hole{
			From: m.rate.duration(h.last.from - int64(h.step) - m.anchor), To: m.rate.duration(h.last.to + int64(h.step) - m.anchor),
			Probability: h.last.chance, Sure: h.last.sure,
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
	h.pending, h.full = kept, false
	for _, timestamp := range h.dropped {
		if h.step > 0 {
			m.breakRun(run{m.unwrap(timestamp), m.unwrap(timestamp), 1, true})
			take()
		}
	}
	if h.step > 0 {
		placed = h.placed
	}
	h.dropped, h.placed = h.dropped[:0], 0
	return hole, placed
}

// breakPictures extends the present run by what a gap broke, or begins another.
func (m *Meter) breakPictures(g *gap) {
	h := &m.holes
	from, to := m.unwrap(g.Before), m.unwrap(g.After)
	// The first picture is whole if the gap begins behind it, and the last one if
	// the gap ends before it. Of the packets that are left for these two, each way
	// to part them is as likely as another.
	ends, begins := g.Ends, g.Begins
	between := math.Round(float64(to-from)/h.step) - 1
	fewest := 1.0 // packets of a picture
	if h.swings > swinging {
		fewest = max(h.size, 1)
	}
	if to < from || between*fewest > float64(g.span) {
		// Pictures out of order, of which more lie between the two than packets are
		// missing: these two are broken, unless they are whole.
		if !ends {
			m.breakRun(run{from, from, 1, false})
		}
		if !begins {
			m.breakRun(run{to, to, 1, false})
		}
		return
	}
	chance := 1.0
	switch {
	case to == from:
	case g.Legible:
		if ends {
			from += int64(h.step)
		}
		if begins {
			to -= int64(h.step)
		}
	default:
		left := max(float64(g.span)-between*h.size, 0)
		if chance = max(left-1, 0) / (left + 1); chance < 0.5 {
			from, chance = from+int64(h.step), left/(left+1)
		}
		if left < 0.5 {
			to, chance = to-int64(h.step), 1
		}
	}
	if to < from-int64(h.step/2) {
		return
	}
	m.breakRun(run{from, to, chance, false})
}

// breakRun adds pictures to the runs that they are next to, which become one.
func (m *Meter) breakRun(broken run) {
	h := &m.holes
	near := int64(h.step * 1.2)
	h.last = broken
	for i := 0; i < len(h.runs); i++ {
		r := h.runs[i]
		if h.last.from > r.to+near || h.last.to < r.from-near {
			continue
		}
		h.last = run{min(h.last.from, r.from), max(h.last.to, r.to), min(h.last.chance, r.chance), h.last.sure && r.sure}
		h.runs = slices.Delete(h.runs, i, i+1)
		i = -1 // what is longer may be next to those before
	}
	if len(h.runs) == maxRuns {
		h.runs = slices.Delete(h.runs, 0, 1)
	}
	h.runs = append(h.runs, h.last)
}

func (m *Meter) unwrap(timestamp uint32) int64 {
	return m.extended + int64(int32(timestamp-uint32(m.extended)))
}
