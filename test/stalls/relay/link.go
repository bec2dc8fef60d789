package relay

import (
	"math"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// link is a queue, then a way that takes time and may lose.
type link struct {
	scenario.Link
	seed    uint64
	bitrate float64
	faults  []scenario.Fault
	first   int // faults before it are over for good

	free    time.Duration // when the wire has sent all that waits
	last    time.Duration // when the latest packet arrived that kept its order
	waiting []sending     // what is in the queue
	bytes   float64       // of these
}

type sending struct {
	done  time.Duration
	bytes float64
}

func newLink(g scenario.Group, clean bool) *link {
	l := &link{Link: g.Link, seed: g.Seed, bitrate: g.Bitrate(), last: math.MinInt64, free: math.MinInt64}
	if clean {
		return l
	}
	for _, f := range g.Faults {
		if f.Kind.Side() == scenario.Network {
			l.faults = append(l.faults, f)
		}
	}
	return l
}

// now is what the faults make of the link at a moment.
type now struct {
	bitsPerSecond float64
	closed        time.Duration // until when nothing is sent
	loss          float64
	delay         time.Duration
	jitter        time.Duration
}

func (l *link) at(t time.Duration) now {
	n := now{bitsPerSecond: l.BitsPerSecond, loss: l.Loss, jitter: l.Jitter, closed: math.MinInt64}
	for l.first < len(l.faults) && t > l.faults[l.first].End()+time.Minute {
		l.first++
	}
	for _, f := range l.faults[l.first:] {
		if t < f.Start {
			// A later one may be under way already only if this one is.
			break
		}
		s := f.Strength(t)
		if s == 0 {
			continue
		}
		switch f.Kind {
		case scenario.OutageLoss:
			n.loss = 1
		case scenario.OutageQueue:
			n.closed = max(n.closed, f.End())
		case scenario.SqueezeStep, scenario.SqueezeRamp:
			n.bitsPerSecond = min(n.bitsPerSecond, l.BitsPerSecond+(f.Level*l.bitrate-l.BitsPerSecond)*s)
		case scenario.LossBurst, scenario.LossRamp:
			n.loss = max(n.loss, s*f.Level)
		case scenario.DelayStep, scenario.DelayRamp:
			n.delay += time.Duration(s * f.Level * float64(time.Second))
		case scenario.JitterStorm:
			n.jitter += time.Duration(s * f.Level * float64(time.Second))
		case scenario.Flapping:
			// Every 2.5 s it fails for up to Level seconds, with what waits kept.
			const period = 2500 * time.Millisecond
			into := (t - f.Start) % period
			if out := time.Duration(s * min(f.Level, 2.4) * float64(time.Second)); into < out {
				n.closed = max(n.closed, t-into+out)
			}
		}
	}
	return n
}

// pass returns when a packet arrives; Never if it is lost, and then when it
// would have. Packets come in the order of sending.
func (l *link) pass(p *Packet) (arrived, wouldHave time.Duration) {
	bytes := float64(p.Size) + 42
	drained := 0
	for drained < len(l.waiting) && l.waiting[drained].done <= p.Sent {
		l.bytes -= l.waiting[drained].bytes
		drained++
	}
	l.waiting = l.waiting[drained:]
	begin := max(p.Sent, l.free)
	n := l.at(begin)
	if n.closed > begin {
		begin = n.closed
		n.bitsPerSecond = l.at(begin).bitsPerSecond
	}
	done := begin + time.Duration(bytes*8/n.bitsPerSecond*float64(time.Second))
	if l.bytes+bytes > l.QueueBytes {
		// It would have come behind all that waits.
		return Never, max(done+l.Delay+n.delay, l.last)
	}
	l.free = done
	l.waiting = append(l.waiting, sending{done, bytes})
	l.bytes += bytes

	id := []uint64{l.seed, 0, uint64(p.Stream), uint64(p.Frame + 1), uint64(p.Index)<<8 | uint64(p.Control)}
	fate := func(purpose uint64) float64 { id[1] = purpose; return uniform(id...) }
	n = l.at(done)
	jitter := float64(n.jitter) * (wander(l.seed, forJitter, int64(done), 8e6) + wander(l.seed, forJitter+100, int64(done), 12e7)) / 2
	arrived = done + l.Delay + n.delay + time.Duration(jitter)
	wouldHave = max(arrived, l.last)
	if n.loss > 0 {
		// Half of it is in bursts of about 15 ms.
		burst := uniform(l.seed, forBurst, uint64(done/(15*time.Millisecond))) < n.loss/2
		if n.loss >= 1 || burst || fate(forLoss) < n.loss/2/(1-n.loss/2) {
			return Never, wouldHave
		}
	}
	if fate(forReorder) < l.Reorder {
		// It takes a way of its own.
		return arrived + time.Duration(1e6+5e6*fate(forReorder+100)), wouldHave
	}
	l.last = wouldHave
	return wouldHave, wouldHave
}
