package warn

import "github.com/debugsidecar/debugsidecar/sidecar/sample"

// past is what features need of what was before.
type past struct {
	losses, peaks recurrence
	// lossNow is the share of the latest sample's packets that are missing,
	// socketLimit the receive queue at which datagrams were dropped.
	lossNow, socketLimit float64
	// roomAt is when the receive queue was far from there last.
	roomAt float64
	// stalls counts those told, of all depths as one, decaying; stalledAt is when
	// the last one was.
	stalls, stalledAt float64
}

// latelyFade is by how much what was counts less at each sample: half in a minute.
const latelyFade = 0.9988

// roomy is the share of its limit below which a receive queue has room for any
// picture, fills how long it takes one picture to fill it, in seconds.
const (
	roomy = 0.3
	fills = 0.35
)

// filling says whether the receive queue had room just now: then what it drops is
// of one picture, which is too large for it.
func (m *past) filling(now float64) bool { return now-m.roomAt <= fills }

// add takes a step of the playout and its losses.
func (m *past) add(p *playout, socket *sample.Socket, lost, total float64) {
	m.stalls *= latelyFade
	m.losses.add(p.now, lost >= 2)
	m.peaks.add(p.now, p.lag-p.floor(trail) > excursionFrom)
	m.lossNow = lost / max(total, lost, 1)
	if socket.Known && socket.Drops > 0 {
		m.socketLimit = max(m.socketLimit, float64(socket.Queue))
	}
	if socket.Known && float64(socket.Queue) < roomy*m.socketLimit {
		m.roomAt = p.now
	}
}

// recurrence knows when something happened last, and how long after the time
// before.
type recurrence struct {
	last, period float64
	lately       float64 // how often, decaying
}

// onceWithin is how far apart two are that are one, in seconds.
const onceWithin = 1.0

// add takes whether it happens now.
func (r *recurrence) add(now float64, happens bool) {
	r.lately *= latelyFade
	if !happens {
		return
	}
	if now-r.last > onceWithin {
		r.period = now - r.last
		r.lately++
	}
	r.last = now
}
