package warn

import (
	"math"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// userTier predicts without packets: from the receiver's queue and drops, and
// from the probe's own session.
//
// How fast bytes arrive is not known. While the queue grows it grows by no more
// than that; so its growth says how soon it is full, and what is full drops.
type userTier struct {
	queue  [20]float64
	drops  [20]float64
	count  int
	limit  float64 // the queue at which drops were seen
	danger bool
}

func (u *userTier) add(d *Detector, s *sample.Sample, lost float64) {
	p := &d.playout
	p.now = p.seconds(s.At)
	if s.Session.Open {
		d.session(s)
	}
	if !s.Socket.Known {
		u.danger = false
		return
	}
	i := u.count % len(u.queue)
	oldest := u.queue[i]
	u.queue[i], u.drops[i] = float64(s.Socket.Queue), lost
	u.count++
	if s.Socket.Drops > 0 {
		u.limit = max(u.limit, float64(s.Socket.Queue))
	}
	growth := (float64(s.Socket.Queue) - oldest) / (float64(len(u.queue)) * sample.Interval.Seconds())
	limit := u.limit
	if limit == 0 {
		limit = defaultReceiveBuffer
	}
	full := math.Inf(1)
	if u.count > len(u.queue) && growth > 0 {
		full = max(limit-float64(s.Socket.Queue), 0) / growth
	}
	dropping := 0.0
	for _, n := range u.drops {
		dropping += n
	}
	u.danger = full < horizon && float64(s.Socket.Queue) > 0.25*limit || dropping >= burstDrops*3
	t := threat{what: draining, probability: 0.6, eta: min(full, horizon)}
	if dropping >= burstDrops*3 {
		t = threat{what: broken, probability: 0.7}
	}
	for i := range d.depths {
		x := &d.depths[i]
		if u.danger {
			x.safe = p.now
			if !x.predicted || p.now-x.raised >= repeat {
				x.predicted, x.raised = true, p.now
				t := t
				t.eta += x.buffer
				d.raise(StallPredicted, x, t)
			}
		} else if x.predicted && p.now-x.safe >= calm {
			x.predicted = false
			d.clear(x)
		}
	}
}

// defaultReceiveBuffer is Linux's net.core.rmem_default.
const defaultReceiveBuffer = 212992

// sessionLate is how old a session's last picture is before it counts as a
// stall for viewers.
const sessionLate = 1.0

// session judges by the probe's own capture of the stream.
func (d *Detector) session(s *sample.Sample) {
	age, known := s.Session.Age.Get()
	if !known || s.Session.Frames == 0 && !d.seen.any {
		return
	}
	for i := range d.depths {
		x := &d.depths[i]
		switch late := age - x.buffer; {
		case late > sessionLate && !x.stalled:
			x.stalled, x.raised, x.safe = true, d.playout.now, d.playout.now
			d.raise(Stalled, x, threat{probability: 0.8, what: silence})
		case late > sessionLate:
			x.safe = d.playout.now
		case x.stalled && d.playout.now-x.safe >= calm:
			x.stalled = false
			d.clear(x)
		case age > 0.4*x.buffer+sessionLate/2 && !x.predicted && !x.stalled:
			x.predicted, x.raised, x.safe = true, d.playout.now, d.playout.now
			d.raise(StallPredicted, x, threat{probability: 0.6, eta: max(x.buffer-age, 0), what: silence})
		}
	}
}
