package replay

import (
	"net/netip"
	"sort"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// A capture does not say which packets a socket had no room for, but how many,
// how much waited before and after, and when each packet came. So a socket is
// filled with them whose reader takes as many bytes a second as it takes for so
// many to be dropped: those that find no room are the ones.

// arrivals are the latest packets of all sockets.
type arrivals struct {
	all  []arrival  // by time
	now  []*arrival // of the overflow at hand
	idle bool       // the socket was empty meanwhile
}

type arrival struct {
	at              clock.Ktime
	src, dst        netip.AddrPort
	ssrc, timestamp uint32
	length          int     // from IP's header on
	size            float64 // as the socket counts it
	dropped         bool
}

// remembered is for how long: a reading is of the interval before it.
const remembered = 3 * clock.Ktime(sample.Interval)

// mostArrivals bounds what is remembered, for a capture may have any number of
// packets at one time: 40 Gbit/s for that long.
const mostArrivals = 1 << 20

func (a *arrivals) add(p *rtp.Packet) {
	if len(a.all) >= mostArrivals {
		return
	}
	if ssrc, timestamp, ok := p.RTP(); ok {
		a.all = append(a.all, arrival{at: p.At, src: p.Src, dst: p.Dst, ssrc: ssrc, timestamp: timestamp, length: p.Length})
	}
}

// forget drops what is older than a moment needs.
func (a *arrivals) forget(now clock.Ktime) {
	n := 0
	for n < len(a.all) && a.all[n].at+remembered < now {
		n++
	}
	if n > 0 {
		a.all = append(a.all[:0], a.all[n:]...)
	}
}

// overflow is drops between two readings of a socket.
type overflow struct {
	socket   netip.AddrPort
	from, to clock.Ktime
	before   float64 // bytes that waited at from
	after    float64 // and at to
	drops    int
	buffer   *buffer
}

// buffer is what is known of how much a socket takes; 0 where nothing is.
type buffer struct {
	// read is the most that was seen to wait. fits is what makes sense of drops while
	// the socket never was empty, smoothed; where it was, most is no less than it is.
	read, fits, most float64
	// plain is set when readings are no multiple of what the kernel counts packets in:
	// then they are the packets' bytes.
	plain bool
}

// kernelUnit divides all that Linux counts a packet as.
const kernelUnit = 64

// take takes a reading.
func (b *buffer) take(queue uint64) {
	b.read = max(b.read, float64(queue))
	if queue%kernelUnit != 0 && !b.plain {
		*b = buffer{read: b.read, plain: true}
	}
}

// count is what a packet counts as.
func (b *buffer) count(length int) float64 {
	if b.plain {
		return float64(length)
	}
	return float64(sample.Truesize(length))
}

const (
	// otherUnit is how much more than fits is read where the kernel counts packets by
	// more than we do: in pages.
	otherUnit = 1.3
	// fitsPart is how much one overflow counts for fits.
	fitsPart = .1
)

// size is what is to be believed, and how many of our bytes one that was read is.
func (b *buffer) size() (size, unit float64) {
	limit := max(b.fits, b.most)
	if b.most > 0 && b.fits > 0 {
		limit = min(b.fits, b.most)
	}
	switch {
	case limit == 0:
		return b.read, 1
	case b.read > limit*otherUnit:
		return limit, limit / b.read
	case b.fits > b.read:
		return limit, 1
	case b.read > limit/2:
		return b.read, 1 // what waits is seldom read when it is the most, but not far from it
	}
	return limit, 1
}

// dropped calls each for every packet that found no room.
func (a *arrivals) dropped(o *overflow, each func(*arrival)) {
	a.now = a.now[:0]
	first := sort.Search(len(a.all), func(i int) bool { return a.all[i].at > o.from })
	for i := first; i < len(a.all) && a.all[i].at <= o.to; i++ {
		if p := &a.all[i]; p.dst == o.socket && !p.dropped {
			a.now = append(a.now, p)
		}
	}
	if len(a.now) == 0 {
		return
	}
	if o.drops >= len(a.now) {
		for _, p := range a.now {
			p.dropped = true
			each(p)
		}
		return
	}
	more := a.fill(o) - o.drops // seldom any: what the socket can't tell apart
	for _, p := range a.now {
		if p.dropped && more > 0 {
			p.dropped = false
			more--
		}
		if p.dropped {
			each(p)
		}
	}
}

// fill finds the packets that are dropped, and returns how many.
func (a *arrivals) fill(o *overflow) int {
	came := 0.0
	for _, p := range a.now {
		p.size = o.buffer.count(p.length)
		came += p.size
	}
	kept := came * (1 - float64(o.drops)/float64(len(a.now)))
	// If the reader never had to wait for packets, this is what it reads in a second;
	// else it is more.
	read := max(0, o.before+kept-o.after) / (float64(o.to-o.from) / 1e9)
	size := a.middle(o.drops, mostBuffer, func(size float64) int { return a.run(o, size, 1, read) })
	a.run(o, size, 1, read)
	switch b := o.buffer; {
	case a.idle && (b.most == 0 || size < b.most):
		b.most = size
	case a.idle:
	case b.fits == 0:
		b.fits = size
	default:
		b.fits += (size - b.fits) * fitsPart
	}
	size, unit := o.buffer.size()
	return a.run(o, size, unit, a.middle(o.drops, size*mostRate, func(rate float64) int { return a.run(o, size, unit, rate) }))
}

const (
	mostBuffer = 64 << 20 // bytes
	// mostRate is how often a second a reader can read all of a buffer.
	mostRate = 1000
)

// middle returns a value, of those up to most, at which so many are dropped, as far
// as there is one; the larger it is, the fewer are.
func (a *arrivals) middle(drops int, most float64, run func(float64) int) float64 {
	few := bisect(most, func(v float64) bool { return run(v) >= drops })
	many := bisect(few, func(v float64) bool { return run(v) > drops })
	if middle := (few + many) / 2; run(middle) == drops {
		return middle
	}
	return few
}

// bisect returns the largest value up to most for which it holds, or 0.
func bisect(most float64, holds func(float64) bool) float64 {
	low, high := 0.0, most
	for range 40 {
		if middle := (low + high) / 2; holds(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// run fills a socket of a size, with a reader of so many bytes a second, and
// returns how many packets are dropped.
func (a *arrivals) run(o *overflow, size, unit, rate float64) (drops int) {
	queue, at := o.before*unit, o.from
	a.idle = false
	for _, p := range a.now {
		if queue -= rate * float64(p.at-at) / 1e9; queue <= 0 {
			queue, a.idle = 0, true
		}
		at = p.at
		if p.dropped = queue+p.size > size; p.dropped {
			drops++
			continue
		}
		queue += p.size
	}
	return drops
}
