package relay

import (
	"reflect"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

const minutes = 3 * time.Minute

// groups returns those of a few seeds.
func groups(t testing.TB, seeds uint64) []scenario.Group {
	t.Helper()
	var all []scenario.Group
	for seed := range seeds {
		s, err := scenario.Draw(seed, minutes, 6)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s.Groups...)
	}
	return all
}

func TestSameGroupRunsTheSame(t *testing.T) {
	for _, g := range groups(t, 2) {
		if !reflect.DeepEqual(Run(g, minutes), Run(g, minutes)) {
			t.Error("two runs differ")
		}
	}
}

func TestWithoutFaultsEverythingComesAsExpected(t *testing.T) {
	for _, g := range groups(t, 3) {
		g.Faults = nil
		for _, s := range Run(g, minutes).Streams {
			for i, f := range s.Frames {
				if f.Expected != Never && f.Expected != f.ArrivedAt || f.Expected == Never && f.Arrived == f.Packets {
					t.Fatalf("%s frame %d: %+v", s.Dst, i, f)
				}
			}
			if !reflect.DeepEqual(s.Readings, s.Calm) {
				t.Errorf("%s: the socket's readings differ from the calm ones", s.Dst)
			}
		}
	}
}

func TestEachPacketIsReadOrLost(t *testing.T) {
	for _, g := range groups(t, 3) {
		r := Run(g, minutes)
		for _, s := range r.Streams {
			sent, read, arrived := 0, 0, 0
			for _, f := range s.Frames {
				sent += int(f.Packets)
				read += int(f.Read)
				arrived += int(f.Arrived)
			}
			wire, socket := 0, 0
			for _, l := range s.Losses {
				if l.Socket {
					socket++
				} else {
					wire++
				}
			}
			if sent != arrived+wire || arrived != read+socket {
				t.Errorf("%s: %d sent, %d lost on the wire, %d arrived, %d lost at the socket, %d read", s.Dst, sent, wire, arrived, socket, read)
			}
		}
	}
}

func TestTimesFollowEachOther(t *testing.T) {
	for _, g := range groups(t, 3) {
		r := Run(g, minutes)
		last := time.Duration(-1 << 62)
		for _, p := range r.Packets {
			if p.Arrived < last {
				t.Fatal("arrivals are not sorted")
			}
			last = p.Arrived
			if p.Arrived < p.Sent+g.Link.Delay {
				t.Fatalf("arrived %v after it was sent, the way takes %v", p.Arrived-p.Sent, g.Link.Delay)
			}
			if p.Control == 0 && p.Read != Never && p.Read < p.Arrived {
				t.Fatal("read before it arrived")
			}
		}
	}
}

func TestSocketHoldsNoMoreThanItsBuffer(t *testing.T) {
	for _, g := range groups(t, 4) {
		for _, s := range Run(g, minutes).Streams {
			drops := 0
			for i, reading := range s.Readings {
				if reading.At != time.Duration(i)*100*time.Millisecond {
					t.Fatalf("reading %d at %v", i, reading.At)
				}
				if reading.Queue < 0 || reading.Queue > g.App.Buffer || reading.Drops < drops {
					t.Fatalf("%+v, the buffer is %d", reading, g.App.Buffer)
				}
				drops = reading.Drops
			}
		}
	}
}

// one returns a group of one plain stream.
func one(t *testing.T, faults ...scenario.Fault) scenario.Group {
	t.Helper()
	g := groups(t, 1)[0]
	s := g.Streams[0]
	s.Interval, s.Start, s.Drift, s.Wobble, s.Counted = 40*time.Millisecond, 0, 0, 0, false
	g.Streams = []scenario.Stream{s}
	g.Link = scenario.Link{BitsPerSecond: 50 * s.Bitrate, QueueBytes: 1e9, Delay: 5 * time.Millisecond}
	g.App = scenario.App{Buffer: 1 << 30, Load: .01}
	g.Faults = faults
	return g
}

func TestFaultsDoWhatTheySay(t *testing.T) {
	const start = 30 * time.Second
	fault := func(kind scenario.Kind, level float64) scenario.Fault {
		return scenario.Fault{Kind: kind, Start: start, Hold: 2 * time.Second, Level: level}
	}
	for _, c := range []struct {
		fault scenario.Fault
		want  func(s Stream) bool
	}{
		{fault(scenario.OutageLoss, 0), func(s Stream) bool { return len(s.Losses) > 0 && !s.Losses[0].Socket }},
		{fault(scenario.OutageQueue, 0), func(s Stream) bool { return len(s.Losses) == 0 && latest(s) > 1900*time.Millisecond }},
		{fault(scenario.SqueezeStep, .5), func(s Stream) bool { return len(s.Losses) == 0 && latest(s) > 500*time.Millisecond }},
		{fault(scenario.LossBurst, .5), func(s Stream) bool { return len(s.Losses) > 0 }},
		{fault(scenario.DelayStep, .7), func(s Stream) bool { return latest(s) == 700*time.Millisecond }},
		{fault(scenario.JitterStorm, .2), func(s Stream) bool { return latest(s) > 100*time.Millisecond }},
		{fault(scenario.Flapping, 1), func(s Stream) bool { return latest(s) > 900*time.Millisecond }},
		{fault(scenario.CameraStop, 0), func(s Stream) bool { return longestGap(s) == 2040*time.Millisecond }},
		{fault(scenario.EncoderStall, 0), func(s Stream) bool {
			return longestGap(s) == 40*time.Millisecond && heldBack(s) > 1900*time.Millisecond
		}},
		{fault(scenario.CameraRestart, 0), func(s Stream) bool { return len(s.Sessions) == 2 && s.Sessions[0].Farewell == 0 }},
		{fault(scenario.Pause, 0), func(s Stream) bool { return len(s.Sessions) == 2 && s.Sessions[0].Farewell != 0 }},
		{fault(scenario.CameraEnd, 0), func(s Stream) bool { return s.Frames[len(s.Frames)-1].Taken < start }},
		{fault(scenario.ReaderStop, 0), func(s Stream) bool { return fullest(s) > 10*LargestPacket && latest(s) == 0 }},
		{fault(scenario.ReaderSlow, .3), func(s Stream) bool { return fullest(s) > 10*LargestPacket && latest(s) == 0 }},
		{fault(scenario.ReaderThrottled, .995), func(s Stream) bool { return fullest(s) > 10*LargestPacket && latest(s) == 0 }},
		{scenario.Fault{Kind: scenario.CameraDying, Start: start, Rise: 8 * time.Second, Hold: time.Second, Level: .5}, func(s Stream) bool { return longestGap(s) > time.Second }},
		{scenario.Fault{Kind: scenario.CameraGaps, Start: start, Rise: 20 * time.Second, Level: 1}, func(s Stream) bool { return longestGap(s) > 300*time.Millisecond }},
	} {
		s := Run(one(t, c.fault), minutes).Streams[0]
		if !c.want(s) {
			t.Errorf("%s: %d losses, latest frame %v late, longest gap %v, held %v, fullest queue %d, %d sessions", c.fault.Kind, len(s.Losses), latest(s), longestGap(s), heldBack(s), fullest(s), len(s.Sessions))
		}
		for _, f := range s.Frames {
			if f.Taken < start-time.Second && !f.Complete() {
				t.Errorf("%s: a frame is lost before it starts", c.fault.Kind)
				break
			}
		}
	}
}

func latest(s Stream) (late time.Duration) {
	for _, f := range s.Frames {
		if f.Expected != Never && f.Arrived == f.Packets {
			late = max(late, f.ArrivedAt-f.Expected)
		}
	}
	return late
}

func longestGap(s Stream) (gap time.Duration) {
	for i := 1; i < len(s.Frames); i++ {
		gap = max(gap, s.Frames[i].Taken-s.Frames[i-1].Taken)
	}
	return gap
}

func heldBack(s Stream) (longest time.Duration) {
	for _, f := range s.Frames {
		longest = max(longest, f.Sent-f.Taken)
	}
	return longest
}

func fullest(s Stream) (queue int) {
	for _, reading := range s.Readings {
		queue = max(queue, reading.Queue)
	}
	return queue
}
