package relay

import (
	"math"
	"math/bits"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// Reading is what /proc/net/udp says of a stream's socket.
type Reading struct {
	At    time.Duration
	Queue int // bytes, as the kernel accounts them
	Drops int // since the socket was opened
}

// Reader is the thread that reads a socket.
type Reader struct {
	load   float64
	faults []scenario.Fault
	rate   float64 // packets per second, nominal
}

// socket is a receive buffer and its reader.
type socket struct {
	scenario.App
	Reader
	seed uint64

	free    time.Duration // when the thread has read all it was given
	waiting []held
	queue   int
	drops   int
	next    time.Duration // of the next reading
}

type held struct {
	read time.Duration
	size int
}

// NewReader returns the reader of a stream of the group, with its faults or
// without.
func NewReader(g scenario.Group, number int, clean bool) Reader {
	s := g.Streams[number]
	perFrame := math.Ceil(s.Bitrate / 8 * s.Interval.Seconds() / float64(s.Payload))
	r := Reader{load: g.App.Load, rate: perFrame / s.Interval.Seconds()}
	if clean {
		return r
	}
	for _, f := range g.Faults {
		if f.Kind.Side() == scenario.Receiver && f.Hits(number) {
			r.faults = append(r.faults, f)
		}
	}
	return r
}

func newSocket(g scenario.Group, number int, clean bool) *socket {
	return &socket{App: g.App, Reader: NewReader(g, number, clean), seed: mix(g.Seed, forWake, uint64(number)), free: math.MinInt64}
}

// LargestPacket is the truesize of a packet of full length.
const LargestPacket = 2304

// truesize is what a packet of so many bytes of UDP payload takes of a receive
// buffer: struct sk_buff, and its data with headers and skb_shared_info in a slab
// of a power of two.
func truesize(payload uint16) int {
	data := int(payload) + 42 + 64 + 320
	return 256 + 1<<bits.Len(uint(data-1))
}

// Runs returns when the thread gets to run, at or after a time, and how long it
// takes for a packet then.
func (r Reader) Runs(t time.Duration) (at, service time.Duration) {
	service = time.Duration(r.load / r.rate * float64(time.Second))
	for _, f := range r.faults {
		s := f.Strength(t)
		if s == 0 {
			continue
		}
		switch f.Kind {
		case scenario.ReaderStop:
			t = f.End()
		case scenario.ReaderSlow:
			// From five times the packets' rate down to Level of it.
			rate := r.rate * math.Pow(5, 1-s) * math.Pow(f.Level, s)
			service = max(service, time.Duration(float64(time.Second)/rate))
		case scenario.ReaderThrottled:
			// The control group's period is 100 ms; then it may run again.
			const period = 100 * time.Millisecond
			into := (t - f.Start) % period
			if allowed := time.Duration((1 - s*f.Level) * float64(period)); into >= allowed {
				t += period - into
			}
		}
	}
	return t, service
}

// readings appends those up to a time.
func (k *socket) readings(to []Reading, until time.Duration) []Reading {
	for ; k.next < until; k.next += sample.Interval {
		k.drain(k.next)
		to = append(to, Reading{At: k.next, Queue: k.queue, Drops: k.drops})
	}
	return to
}

func (k *socket) drain(t time.Duration) {
	n := 0
	for n < len(k.waiting) && k.waiting[n].read <= t {
		k.queue -= k.waiting[n].size
		n++
	}
	k.waiting = k.waiting[n:]
}

// receive returns when a packet that arrived is read, or Never. Packets come in
// the order of arrival.
func (k *socket) receive(p *Packet) time.Duration {
	k.drain(p.Arrived)
	size := truesize(p.Size)
	if k.queue+size > k.Buffer {
		k.drops++
		return Never
	}
	wake := p.Arrived + time.Duration(2e4+2e5*exponential(k.seed, uint64(p.Arrived)))
	if k.Poll > 0 {
		wake = p.Arrived + k.Poll - (p.Arrived+time.Duration(k.seed%uint64(k.Poll)))%k.Poll
	}
	read, service := k.Runs(max(wake, k.free))
	read += service
	k.free = read
	k.waiting = append(k.waiting, held{read, size})
	k.queue += size
	return read
}
