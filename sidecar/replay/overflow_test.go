package replay

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

var (
	testCamera = netip.MustParseAddrPort("10.1.0.1:30000")
	testPod    = netip.MustParseAddrPort("10.2.0.1:20000")
)

const (
	ms         = clock.Ktime(1e6)
	testLength = 1228
)

// receiver is a socket with a reader, packet by packet: what is to be guessed.
type receiver struct {
	buffer  float64
	each    float64                          // bytes of a packet, as it counts them
	service func(at clock.Ktime) clock.Ktime // how long the next packet takes to be read
	waiting []clock.Ktime                    // when each is read
	free    clock.Ktime
	drops   int
}

func (r *receiver) queue(at clock.Ktime) float64 {
	for len(r.waiting) > 0 && r.waiting[0] <= at {
		r.waiting = r.waiting[1:]
	}
	return float64(len(r.waiting)) * r.each
}

func (r *receiver) takes(at clock.Ktime) bool {
	if r.queue(at)+r.each > r.buffer {
		r.drops++
		return false
	}
	r.free = max(r.free, at) + r.service(max(r.free, at))
	r.waiting = append(r.waiting, r.free)
	return true
}

// guess plays a minute of a stream to a receiver and returns which pictures are
// broken, and which are taken for that.
func guess(t *testing.T, r *receiver, picture func(n int) (packets int)) (true_, guessed map[uint32]bool) {
	t.Helper()
	true_, guessed = map[uint32]bool{}, map[uint32]bool{}
	var lines strings.Builder
	var a arrivals
	type packet struct {
		at        clock.Ktime
		timestamp uint32
	}
	var all []packet
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 60 * 25 {
		at := clock.Ktime(n)*40*ms + clock.Ktime(random.IntN(2e6))
		for range picture(n) {
			at += 100e3 + clock.Ktime(random.IntN(50e3))
			all = append(all, packet{at, uint32(n)})
		}
	}
	next, before := 0, 0
	for tick := clock.Ktime(0); tick <= 61e9; tick += clock.Ktime(sample.Interval) {
		for ; next < len(all) && all[next].at <= tick; next++ {
			if !r.takes(all[next].at) {
				true_[all[next].timestamp] = true
			}
		}
		if q := r.queue(tick); q > 0 || r.drops > before {
			fmt.Fprintf(&lines, `{"ts":%.1f,"stream":"%s","rx_queue":%.0f,"drops":%d}`+"\n", float64(tick)/1e9, testPod, q, r.drops)
			before = r.drops
		}
	}
	k, err := newReadings(strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	next = 0
	for tick := clock.Ktime(0); tick <= 61e9; tick += clock.Ktime(sample.Interval) {
		for ; next < len(all) && all[next].at <= tick; next++ {
			a.all = append(a.all, arrival{at: all[next].at, src: testCamera, dst: testPod, ssrc: 1, timestamp: all[next].timestamp, length: testLength})
		}
		if err := k.advance(tick); err != nil {
			t.Fatal(err)
		}
		for i := range k.overflows {
			a.dropped(&k.overflows[i], func(p *arrival) { guessed[p.timestamp] = true })
		}
		k.taken()
		a.forget(tick)
	}
	return true_, guessed
}

func TestPicturesThatASocketHadNoRoomForAreFound(t *testing.T) {
	usual := func(n int) int {
		if n%50 == 0 {
			return 60
		}
		return 6 + n%3
	}
	for _, c := range []struct {
		name    string
		buffer  float64
		service func(clock.Ktime) clock.Ktime
		picture func(int) int
		right   float64 // the least share of pictures that are found, and of those found that are right
	}{
		{"key frames are larger than the buffer", 80000, func(clock.Ktime) clock.Ktime { return 300e3 }, usual, .97},
		{"the reader is a little too slow", 212992, func(clock.Ktime) clock.Ktime { return 55e5 }, usual, .85},
		{"the reader is much too slow", 212992, func(clock.Ktime) clock.Ktime { return 15e6 }, usual, .97},
		{"the reader stops now and then", 212992, func(at clock.Ktime) clock.Ktime {
			if into := at % 10e9; into < 2e9 {
				return 2e9 - into
			}
			return 200e3
		}, usual, .97},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, each := range []float64{float64(sample.Truesize(testLength)), testLength - 28} {
				broken, found := guess(t, &receiver{buffer: c.buffer * each / float64(sample.Truesize(testLength)), each: each, service: c.service}, c.picture)
				if len(broken) < 20 {
					t.Fatalf("only %d pictures are broken", len(broken))
				}
				both := 0
				for n := range found {
					if broken[n] {
						both++
					}
				}
				if got := float64(both) / float64(max(len(broken), len(found))); got < c.right {
					t.Errorf("of %d broken pictures %d are among the %d found: %.3f (%v bytes a packet)", len(broken), both, len(found), got, each)
				}
			}
		})
	}
}

// Whatever a file says of a socket, there are no more drops than it says, and no
// packet is dropped twice.
func TestNoMoreIsDroppedThanIsSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a arrivals
		var b buffer
		at := clock.Ktime(0)
		for range rapid.IntRange(0, 60).Draw(t, "packets") {
			at += clock.Ktime(rapid.IntRange(0, 5e6).Draw(t, "apart"))
			a.all = append(a.all, arrival{at: at, dst: testPod, timestamp: uint32(len(a.all)), length: rapid.IntRange(40, 9000).Draw(t, "length")})
		}
		said, found := 0, map[uint32]bool{}
		for range rapid.IntRange(1, 3).Draw(t, "readings") {
			from := clock.Ktime(rapid.Uint64Range(0, uint64(at)+1).Draw(t, "from"))
			o := overflow{
				socket: testPod, from: from, to: from + clock.Ktime(rapid.IntRange(0, 2e8).Draw(t, "long")),
				before: rapid.Float64Range(0, math.MaxUint64).Draw(t, "before"), after: rapid.Float64Range(0, math.MaxUint64).Draw(t, "after"),
				drops: rapid.IntRange(1, 100).Draw(t, "drops"), buffer: &b,
			}
			b.take(rapid.Uint64().Draw(t, "read"))
			said += o.drops
			a.dropped(&o, func(p *arrival) {
				if found[p.timestamp] {
					t.Fatal("dropped twice")
				}
				found[p.timestamp] = true
			})
		}
		if len(found) > said {
			t.Fatalf("%d were dropped, and %d are found", said, len(found))
		}
	})
}
