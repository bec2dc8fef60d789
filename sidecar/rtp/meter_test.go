package rtp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// play sends a source's frames at a pace and returns the samples.
func play(s *source, frames, packetsPerFrame int, every time.Duration, ticks uint32, lateness func(time.Duration) time.Duration) (all []sample.Media) {
	table, meter := NewTable(), Meter{}
	next := sample.Interval
	for i := range frames {
		at := time.Duration(i) * every
		if lateness != nil {
			at += lateness(at)
		}
		for at >= next {
			all = append(all, snapshot(table, &meter, next)...)
			next += sample.Interval
		}
		for j := range packetsPerFrame {
			table.Add(packet(at, s.next(j == packetsPerFrame-1)))
		}
		s.timestamp += ticks
	}
	return all
}

func snapshot(t *Table, m *Meter, at time.Duration) (media []sample.Media) {
	for _, f := range t.Flows(nil, packet(at, nil).At) {
		media = append(media, m.Next(&f))
	}
	return media
}

func TestTimestampsAreUnwrapped(t *testing.T) {
	all := play(&source{ssrc: 1, payloadType: 96, timestamp: 4_294_000_000}, 3000, 4, time.Second/30, 3000, nil)
	last := all[len(all)-1]
	if off := last.Newest - 100*time.Second; off < -300*time.Millisecond || off > 300*time.Millisecond {
		t.Errorf("after 100 s the media's time is %v", last.Newest)
	}
}

func TestClockRateIsFoundByThePace(t *testing.T) {
	for _, c := range []struct {
		name    string
		packets int
		every   time.Duration
		ticks   uint32
		audio   bool
	}{
		{"video", 4, time.Second / 25, 3600, false},
		{"video of one packet a frame", 1, time.Second / 30, 3000, false},
		{"video at 1 kHz", 4, 40 * time.Millisecond, 40, false},
		{"Opus", 1, 20 * time.Millisecond, 960, true},
		{"16 kHz", 1, 20 * time.Millisecond, 320, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := play(&source{ssrc: 1, payloadType: 111, timestamp: 5}, int(20*time.Second/c.every), c.packets, c.every, c.ticks, nil)
			last, before := all[len(all)-1], all[len(all)-101]
			if off := last.Newest - before.Newest - 10*time.Second; off < -time.Second/10 || off > time.Second/10 {
				t.Errorf("in 10 s the media's time went %v", last.Newest-before.Newest)
			}
			if last.Audio != c.audio {
				t.Errorf("audio: %v", last.Audio)
			}
		})
	}
}

// Pictures that are sent before those they depend on jump ahead in the stream's
// time and back, so a short span says little.
func TestClockRateIsFoundInPicturesOutOfOrder(t *testing.T) {
	for _, c := range []struct {
		ahead int
		every time.Duration
		ticks int
	}{{1, time.Second / 30, 1600}, {2, time.Second / 30, 1600}, {3, time.Second / 30, 1600}, {3, time.Second / 25, 1000}, {2, time.Second / 25, 960}} {
		ahead, every, ticks := c.ahead, c.every, c.ticks
		table, meter, s := NewTable(), Meter{}, &source{ssrc: 1, payloadType: 98}
		var all []sample.Media
		next := sample.Interval
		for i := range 900 {
			at := time.Duration(i) * every
			for ; at >= next; next += sample.Interval {
				all = append(all, snapshot(table, &meter, next)...)
			}
			// A group of pictures: the last one first.
			shown := i + ahead
			if place := i % (ahead + 1); place > 0 {
				shown = i - 1
			}
			s.timestamp = uint32(shown * ticks)
			for j := range 4 {
				table.Add(packet(at, s.next(j == 3)))
			}
		}
		last, before := all[len(all)-1], all[len(all)-101]
		if off := last.Newest - before.Newest - 10*time.Second; off < -time.Second/5 || off > time.Second/5 {
			t.Errorf("%+v: in 10 s the media's time went %v", c, last.Newest-before.Newest)
		}
	}
}

// A way that narrows makes a stream slower, too; that is no other clock rate.
func TestSlowWayIsNoClockRate(t *testing.T) {
	late := func(at time.Duration) time.Duration { return at * 9 / 10 } // as if it were 47,368 Hz
	all := play(&source{ssrc: 1, payloadType: 96}, 600, 4, time.Second/30, 3000, func(at time.Duration) time.Duration {
		if at < 4*time.Second {
			return 0
		}
		return late(at - 4*time.Second)
	})
	if last := all[len(all)-1]; last.Newest < 18*time.Second || last.Newest > 20*time.Second {
		t.Errorf("%v of the media came", last.Newest)
	}
}

// A stream that is first seen when an outage is over: all that had waited comes at
// once, which says nothing of its clock.
func TestWhatHadWaitedIsNoClockRate(t *testing.T) {
	for _, waited := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 6 * time.Second} {
		all := play(&source{ssrc: 1, payloadType: 96}, 600, 4, time.Second/30, 3000, func(at time.Duration) time.Duration {
			return max(0, waited+at/20-at) // twenty times as fast as it was sent
		})
		first := -1
		for i, m := range all {
			switch {
			case first < 0:
				first = i
			case m.Restarted:
				t.Fatalf("after %v of waiting: the source began anew in sample %d", waited, i-first)
			}
		}
		const n = 50 // samples
		if went := all[len(all)-1].Newest - all[len(all)-1-n].Newest; went < n*sample.Interval-100*time.Millisecond || went > n*sample.Interval+100*time.Millisecond {
			t.Errorf("after %v of waiting the media's time went %v in 5 s", waited, went)
		}
	}
}

func TestSourceThatBeginsAnewRestarts(t *testing.T) {
	table, meter, s := NewTable(), Meter{}, &source{ssrc: 1, payloadType: 96, timestamp: 1000}
	restarts := 0
	for i := range 200 {
		at := time.Duration(i) * time.Second / 30
		if i == 100 {
			s.seq, s.timestamp = 9000, 3_000_000_000
		}
		for j := range 4 {
			table.Add(packet(at, s.next(j == 3)))
		}
		s.timestamp += 3000
		for _, m := range snapshot(table, &meter, at+1) {
			if m.Restarted {
				restarts++
				if m.Newest != 0 {
					t.Errorf("the media's time is %v at a new beginning", m.Newest)
				}
			}
		}
	}
	if restarts != 1 {
		t.Errorf("%d restarts", restarts)
	}
}

func TestFarewellEndsOnceAndRequestsAreCounted(t *testing.T) {
	table, meter, s := NewTable(), Meter{}, &source{ssrc: 9, payloadType: 96}
	for i := range 10 {
		table.Add(packet(time.Duration(i)*time.Millisecond, s.next(true)))
	}
	first := snapshot(table, &meter, time.Second)
	if len(first) != 1 || first[0].Control || first[0].Ended {
		t.Fatalf("%+v", first)
	}
	say := func(from bool, packets ...rtcp.Packet) {
		b, err := rtcp.Marshal(packets)
		if err != nil {
			t.Fatal(err)
		}
		p := packet(2*time.Second, b)
		if !from {
			p.Src, p.Dst = p.Dst, p.Src
		}
		table.Add(p)
	}
	say(false, &rtcp.PictureLossIndication{MediaSSRC: 9}, &rtcp.TransportLayerNack{MediaSSRC: 9, Nacks: []rtcp.NackPair{{PacketID: 1}}})
	if m := snapshot(table, &meter, 2*time.Second)[0]; !m.Control || m.PLI != 1 || m.NACK != 1 {
		t.Errorf("%+v", m)
	}
	say(true, &rtcp.ReceiverReport{SSRC: 9}, &rtcp.Goodbye{Sources: []uint32{9}})
	ended := 0
	for range 5 {
		for _, m := range snapshot(table, &meter, 3*time.Second) {
			if m.Ended {
				ended++
			}
		}
	}
	if ended != 1 {
		t.Errorf("ended %d times", ended)
	}
}

func TestSourceThatGoesOnWithAnotherSSRCIsReplaced(t *testing.T) {
	table, tracker := NewTable(), Tracker{}
	replaced := map[uint32]bool{}
	update := func(at time.Duration) {
		tracker.Update(table.Flows(nil, packet(at, nil).At), packet(at, nil).At, func(s sample.Stream, _ *tap.Flow, m sample.Media) {
			replaced[s.SSRC] = m.Replaced
		})
	}
	send := func(s *source, from, to time.Duration) {
		for at := from; at < to; at += 10 * time.Millisecond {
			table.Add(packet(at, s.next(true)))
			s.timestamp += 900
		}
	}
	send(&source{ssrc: 1, payloadType: 96}, 0, time.Second)
	update(time.Second)
	send(&source{ssrc: 2, payloadType: 96}, 2*time.Second, 3*time.Second)
	send(&source{ssrc: 3, payloadType: 97}, 2*time.Second, 3*time.Second)
	update(3 * time.Second)
	update(3100 * time.Millisecond) // what came before it is looked at in its turn
	if !replaced[1] || replaced[2] || replaced[3] || len(replaced) != 3 {
		t.Errorf("%v", replaced)
	}
}

func TestWhatDoesNotAgreeIsNoFlow(t *testing.T) {
	table, s := NewTable(), &source{ssrc: 1, payloadType: 96}
	for i := range 4 {
		table.Add(packet(time.Duration(i), s.next(false)))
	}
	jumping := &source{ssrc: 2, payloadType: 96}
	for i := range 50 {
		table.Add(packet(time.Duration(i), jumping.next(false)))
		jumping.seq += 1000
	}
	low := &source{ssrc: 3, payloadType: 96}
	for i := range 50 {
		p := packet(time.Duration(i), low.next(false))
		p.Src = camera
		p.Dst = viewer
		binary.BigEndian.PutUint16(p.Payload, 0x4060) // not RTP's version
		table.Add(p)
	}
	if flows := table.Flows(nil, packet(time.Second, nil).At); len(flows) != 0 {
		t.Errorf("%+v", flows)
	}
	table.Add(packet(9, s.next(false)))
	if flows := table.Flows(nil, packet(time.Second, nil).At); len(flows) != 1 || flows[0].Packets != 5 {
		t.Errorf("five packets agree: %+v", flows)
	}
}

func TestSilentFlowIsToldOfALastTime(t *testing.T) {
	table, s := NewTable(), &source{ssrc: 1, payloadType: 96}
	for i := range 6 {
		table.Add(packet(time.Duration(i), s.next(false)))
	}
	later := packet(IdleTimeout+time.Second, nil).At
	if flows := table.Flows(nil, later); len(flows) != 1 || !flows[0].Ended {
		t.Errorf("%+v", flows)
	}
	if flows := table.Flows(nil, later); len(flows) != 0 {
		t.Errorf("%+v", flows)
	}
}

func FuzzAnyPayloadIsCounted(f *testing.F) {
	s := &source{ssrc: 1, payloadType: 96}
	f.Add(s.next(true), 100)
	bye, _ := (&rtcp.Goodbye{Sources: []uint32{1, 2}}).Marshal()
	f.Add(bye, 0)
	f.Add(append(bye, bye[:5]...), 40)
	for _, c := range carried {
		f.Add(append(s.next(true)[:headerSize], c.media...), 0)
	}
	f.Fuzz(func(t *testing.T, payload []byte, more int) {
		table, meter := NewTable(), Meter{}
		good := &source{ssrc: 1, payloadType: 96}
		for i := range 20 {
			table.Add(packet(time.Duration(i)*time.Millisecond, good.next(true)))
			p := packet(time.Duration(i)*time.Millisecond, payload)
			p.Size += min(max(more, 0), 1<<16)
			table.Add(p)
			snapshot(table, &meter, time.Duration(i)*time.Millisecond)
		}
		for _, fl := range table.Flows(nil, packet(time.Second, nil).At) {
			if fl.Lost > fl.Packets+1<<17 || fl.Frames > fl.Packets {
				t.Errorf("%+v", fl)
			}
		}
	})
}
