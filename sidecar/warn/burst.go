package warn

import "github.com/debugsidecar/debugsidecar/sidecar/sample"

// burst decides when to say that a stream is degraded: three packets lost within
// a sample. What the kernel drops before the tap is a gap at the tap, too, and so
// is counted once.
type burst struct {
	on         bool
	last, told float64 // when packets were lost last, and when that was told
	raised     [burstsPerHour]float64
	count      int
	pending    float64 // lost in the sample before
}

const (
	burstDrops = 3
	// burstsPerHour bounds the lines about bursts of fewer than manyDrops: on a
	// way that is well, too, three may fall together by chance.
	burstsPerHour = 6
	manyDrops     = 5
	hour          = 3600.0
	// burstQuiet is how long nothing is lost until it is over, and how often one
	// that goes on is told again.
	burstQuiet = 10.0
	// burstApart is how long nothing is lost until the next burst is another one.
	burstApart = 4.0
)

// lost returns how many packets a viewer will miss of this sample's.
func lost(s *sample.Sample) float64 {
	n := 0.0
	if s.Media.Known && !s.Media.Reliable {
		n = max(float64(s.Media.Lost), 0)
	}
	drops := dropped(s)
	if s.Kernel.Known && s.Kernel.Reason != receiveBuffer {
		return max(n, drops)
	}
	return n + drops // the socket drops after the tap
}

// dropped returns how many of them this node did.
func dropped(s *sample.Sample) float64 {
	drops := 0.0
	if s.Socket.Known {
		drops = float64(s.Socket.Drops)
	}
	if s.Kernel.Known {
		drops = max(drops, float64(s.Kernel.Drops))
	}
	return drops
}

// receiveBuffer is the kernel's reason for a datagram that its socket had no
// room for.
const receiveBuffer = "SOCKET_RCVBUFF"

// add takes a sample's losses and says whether a line is due.
func (b *burst) add(now, lost float64) bool {
	// Samples do not begin with a burst: one may lie across two.
	both := lost + b.pending
	b.pending = lost
	if lost > 0 && both >= burstDrops {
		due := !b.on || now-b.told > burstQuiet || now-b.last > burstApart
		b.on, b.last = true, now
		if due && (both >= manyDrops || b.allowed(now)) {
			b.raised[b.count%burstsPerHour], b.told = now, now
			b.count++
			return true
		}
	}
	return false
}

func (b *burst) allowed(now float64) bool {
	return b.count < burstsPerHour || now-b.raised[b.count%burstsPerHour] > hour
}

// over says once that nothing was lost for a while.
func (b *burst) over(now float64) bool {
	if b.on && now-b.last > burstQuiet {
		b.on = false
		return true
	}
	return false
}

// held keeps losses back where many pictures came at once, after a silence, or a
// lone packet: packets may have overtaken each other, and what is missing may be
// there a sample later.
type held struct{ lost, gaps float64 }

// flood is how many times the nominal pictures are many.
const flood = 2.5

// take returns the packets that are missing for good, and in how many gaps of the
// sequence; 0 if that is not known.
func (h *held) take(lost float64, m *sample.Media, nominal float64, lone bool) (missing, gaps float64) {
	due := sample.Interval.Seconds() / nominal
	before := *h
	*h = held{}
	if m.Lost < 0 {
		before.lost = max(before.lost+float64(m.Lost), 0)
	}
	if m.Lost > 0 {
		gaps = min(float64(m.Gaps), lost)
		if float64(m.Frames) > flood*due+2 || lone {
			*h = held{lost, gaps}
			lost, gaps = 0, 0
		}
	}
	if before.lost > 0 {
		gaps = max(min(gaps+before.gaps, lost+before.lost), 1)
	}
	return lost + before.lost, gaps
}
