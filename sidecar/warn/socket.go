package warn

import (
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// socket turns what the kernel says of a receive queue into bytes of the stream.
//
// The kernel counts the memory that packets take, several times their length. How
// much that is depends on their sizes and on the driver; most take a power of two
// for the data, and struct sk_buff. While nothing is read, the queue grows by just
// what arrives, counted in that way: then the factor is known.
type socket struct {
	known  bool
	queue  float64 // as the kernel says
	length float64 // of a packet, on average
	// learned is the factor once nothing was read for a while, 0 before.
	learned float64
	// plain is set when readings are no multiple of what memory is given in: they
	// count bytes of packets.
	plain bool
	// ratio is that of growth to arrival in the last sample, same how often in a
	// row it was that.
	ratio float64
	same  int
}

const (
	// skbAlign is what Linux rounds the data of a packet up to.
	skbAlign = 64
	// sameRatio is how close ratios are that are one, ratioSamples how many.
	sameRatio    = 0.03
	ratioSamples = 3
	largestRatio = 20
	leastShare   = 0.7
)

// bytes returns how many of the stream's bytes wait.
func (q *socket) bytes(s *sample.Sample) float64 {
	if m := &s.Media; m.Packets > 0 {
		each := float64(m.Bytes) / float64(m.Packets)
		if q.length == 0 {
			q.length = each
		}
		q.length += (each - q.length) / 32
	}
	if !s.Socket.Known {
		q.known = false
		return 0
	}
	q.plain = q.plain || s.Socket.Queue%skbAlign != 0
	now := float64(s.Socket.Queue)
	if q.known && now > q.queue && s.Media.Bytes > 0 && s.Socket.Drops == 0 {
		q.grew((now - q.queue) / float64(s.Media.Bytes))
	} else {
		q.same = 0
	}
	q.known, q.queue = true, now
	return now / q.factor()
}

func (q *socket) grew(ratio float64) {
	if ratio < 0.5 || ratio > largestRatio {
		q.same = 0
		return
	}
	if off := ratio/max(q.ratio, 0.01) - 1; off > -sameRatio && off < sameRatio {
		q.same++
	} else {
		q.same = 0
	}
	q.ratio = ratio
	// A reader that is slow, but steady, makes it the same, too, and less.
	if q.same >= ratioSamples && ratio > leastShare*q.assumed() {
		q.learned = ratio
	}
}

// factor is how much the kernel counts for a byte of a packet.
func (q *socket) factor() float64 {
	if q.learned > 0 {
		return q.learned
	}
	return q.assumed()
}

func (q *socket) assumed() float64 {
	if q.plain || q.length == 0 {
		return 1
	}
	return float64(sample.Truesize(int(q.length))) / q.length
}
