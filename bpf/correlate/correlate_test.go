package correlate_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/correlate"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
)

const ms = clock.Ktime(time.Millisecond)

func dropped(at clock.Ktime, seq uint16, timestamp uint32, reason string) drop.Event {
	return drop.Event{Ktime: at, Reason: reason, RTP: &drop.RTP{SSRC: 7, Seq: seq, Timestamp: timestamp}}
}

// Whatever befalls packets, and in whatever order it is told: each lost packet
// has its cause, and none that came is called lost.
func TestEachLostPacketHasItsCause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tracer := correlate.New(correlate.Options{})
		base := rapid.Uint16().Draw(t, "base")
		want := map[uint16]correlate.Cause{}
		type told struct {
			at  clock.Ktime
			say func()
		}
		var all []told
		n := rapid.IntRange(1, 60).Draw(t, "packets")
		for i := range n {
			at, seq, timestamp := clock.Ktime(i+1)*4*ms, base+uint16(i), uint32(i/8*3000)
			delay := func(what string) clock.Ktime { return at + clock.Ktime(rapid.IntRange(0, 100).Draw(t, what))*ms }
			gap := func() {
				g := correlate.Gap{Ktime: at + 4*ms, SSRC: 7, First: seq, Count: 1, Before: timestamp, After: timestamp}
				all = append(all, told{delay("gap"), func() { tracer.Gap(g) }})
			}
			event := func(reason string) {
				all = append(all, told{delay("drop"), func() { tracer.Drop(dropped(at, seq, timestamp, reason)) }})
			}
			switch rapid.IntRange(0, 6).Draw(t, "fate") {
			case 0:
				gap()
				want[seq] = correlate.Upstream
			case 1: // before the tap
				gap()
				event("QDISC_DROP")
				want[seq] = correlate.Kernel
			case 2: // after it
				event("SOCKET_RCVBUFF")
				want[seq] = correlate.Kernel
			case 3: // twice
				event("TC_INGRESS")
				event("TC_INGRESS")
				want[seq] = correlate.Kernel
			case 4: // overtaken
				g := correlate.Gap{Ktime: at + 4*ms, SSRC: 7, First: seq, Count: 1}
				late := delay("late")
				all = append(all, told{at, func() { tracer.Gap(g) }}, told{late, func() { g.Filled = true; tracer.Gap(g) }})
			case 5:
				event("QUEUE_PURGE")
			}
		}
		end := clock.Ktime(n+1) * 4 * ms
		for now := clock.Ktime(0); now < end+400*ms; now += ms {
			for _, x := range all {
				if x.at == now {
					x.say()
				}
			}
			if now%(10*ms) == 0 {
				tracer.Advance(now)
			}
		}
		got := tracer.Between(0, end+ms)
		if len(got) != len(want) {
			t.Fatalf("%d packets are lost, %d were: %+v", len(got), len(want), got)
		}
		for _, p := range got {
			if p.Cause != want[p.Seq] || (p.Cause == correlate.Kernel) != (p.Drop != nil) {
				t.Fatalf("%+v, its cause was %v", p, want[p.Seq])
			}
			if found := tracer.Frame(7, p.From); len(found) == 0 {
				t.Fatalf("%+v is in no frame", p)
			}
		}
	})
}

// A gap is never blamed on others while events of drops were lost.
func TestLostEventsMakeGapsUnknown(t *testing.T) {
	tracer := correlate.New(correlate.Options{})
	gap := func(at clock.Ktime, seq uint16) {
		tracer.Gap(correlate.Gap{Ktime: at, SSRC: 7, First: seq, Count: 1})
	}
	tracer.LostEvents(0, 0)
	gap(100*ms, 1)
	tracer.Advance(400 * ms)
	tracer.LostEvents(0, 500*ms)
	gap(600*ms, 2)
	tracer.Advance(900 * ms) // settled before anybody knew
	gap(950*ms, 3)
	tracer.LostEvents(5, 1000*ms)
	gap(1100*ms, 4)
	tracer.LostEvents(5, 1500*ms)
	tracer.Advance(2000 * ms)
	var causes []correlate.Cause
	for _, p := range tracer.Between(0, 2000*ms) {
		causes = append(causes, p.Cause)
	}
	if got := fmt.Sprint(causes); got != "[upstream unknown unknown upstream]" {
		t.Errorf("got %s", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	tracer := correlate.New(correlate.Options{Max: 10, Keep: time.Second})
	tracer.Gap(correlate.Gap{Ktime: ms, SSRC: 7, First: 65_530, Count: 25})
	if got := tracer.Between(0, ms); len(got) != 10 || tracer.Evicted() != 15 {
		t.Errorf("%d are remembered, %d were evicted", len(got), tracer.Evicted())
	}
	tracer.Advance(2000 * ms)
	if got := tracer.Between(0, 2000*ms); len(got) != 0 {
		t.Errorf("still there: %+v", got)
	}
	// A number that is used again is another packet.
	tracer.Drop(dropped(3000*ms, 1, 9, "SOCKET_RCVBUFF"))
	tracer.Drop(dropped(9000*ms, 1, 99, "QDISC_DROP"))
	if got := tracer.Between(0, 9000*ms); len(got) != 1 || got[0].Drop.Reason != "QDISC_DROP" {
		t.Errorf("%+v", got)
	}
}

func Example() {
	tracer := correlate.New(correlate.Options{})
	// The kernel drops the second packet of the frame with timestamp 3000, since
	// the player's buffer is full; the first of the next one never came.
	tracer.Drop(drop.Event{Ktime: 10 * ms, Reason: "SOCKET_RCVBUFF", RTP: &drop.RTP{SSRC: 0xcafe, Seq: 101, Timestamp: 3000}})
	tracer.Gap(correlate.Gap{Ktime: 44 * ms, SSRC: 0xcafe, First: 108, Count: 1, Before: 3000, After: 6000})
	tracer.Advance(300 * ms)

	// The viewer missed the frame that the source's clock showed 33 ms after
	// that of packet 100, in nanoseconds.
	source := clock.RTP{Ktime: 9 * ms, Timestamp: 0, Rate: 90000}
	for _, p := range tracer.Frame(0xcafe, source.At(9*ms+33_333_334)) {
		fmt.Printf("packet %d: %v", p.Seq, p.Cause)
		if p.Drop != nil {
			fmt.Printf(", %s", p.Drop.Reason)
		}
		fmt.Println()
	}
	// Output:
	// packet 101: kernel, SOCKET_RCVBUFF
	// packet 108: upstream
}
