package warn_test

import (
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// A socket that drops half of each key frame breaks one picture every two seconds.
// Where it is known that it is one, nobody sees a stall.
func TestKeyFramesThatOverflowTheSocketAreNoStall(t *testing.T) {
	all := with(samples(film(2*time.Minute, 12, 0, 1), 2*time.Minute), 10*time.Second, 100*time.Second, func(s *sample.Sample) {
		s.Socket.Known, s.Media.Told = true, true
		if int64(s.At-start)/1e8%20 == 0 {
			s.Media.Packets, s.Media.Bytes = s.Media.Packets+20, s.Media.Bytes+20*1200
			s.Socket.Drops, s.Media.Dropped = 12, 12
			s.Media.Hole = sample.Hole{From: s.Media.Newest - time.Second/12, To: s.Media.Newest + time.Second/12, Probability: 1, Sure: true}
		}
	})
	alerts, _ := run(all, warn.Options{})
	for _, a := range alerts {
		if a.Kind == warn.Stalled || a.Kind == warn.StallPredicted {
			t.Errorf("%v at %v", a, since(a))
		}
	}
	if len(of(alerts, warn.Degraded, 0)) == 0 {
		t.Error("nobody is told that pictures are broken")
	}
}

// What a socket dropped will not come: a deep buffer's stall is known as long before
// as the buffer is deep.
func TestDroppedPicturesAreAStallThatIsKnownAtOnce(t *testing.T) {
	const at = 30 * time.Second
	for _, depth := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		all := with(samples(film(time.Minute, 25, 0, 1), time.Minute), 10*time.Second, 50*time.Second, func(s *sample.Sample) {
			s.Socket.Known, s.Media.Told = true, true
			if s.At > start+clock.Ktime(at) && s.At <= start+clock.Ktime(at+sample.Interval) {
				s.Socket.Drops, s.Media.Dropped = 120, 120
				s.Media.Hole = sample.Hole{From: s.Media.Newest - 400*time.Millisecond, To: s.Media.Newest, Probability: 1, Sure: true}
			}
		})
		alerts, _ := run(all, warn.Options{Buffers: []time.Duration{depth}})
		predicted, stalled := of(alerts, warn.StallPredicted, depth), of(alerts, warn.Stalled, depth)
		if len(predicted) == 0 || len(stalled) == 0 {
			t.Fatalf("%v: %v", depth, alerts)
		}
		if lead := since(stalled[0]) - since(predicted[0]); lead < depth-500*time.Millisecond {
			t.Errorf("%v: told %v before", depth, lead)
		}
		if predicted[0].Cause != warn.Node {
			t.Errorf("%v: the cause is %v", depth, predicted[0].Cause)
		}
	}
}

// A gap that was no stall when it was shown is none when the camera sends
// faster later, and so the shortest stall is shorter.
func TestGapThatWasShownIsNoStallLater(t *testing.T) {
	const at, faster = 300 * time.Millisecond, 30 * time.Second
	shots := film(90*time.Second, 10, 0, 1)
	for i := range shots {
		if s := &shots[i]; s.taken > faster {
			later := (s.taken - faster) * 4 / 5 // 12.5 pictures a second
			s.arrives += faster + later - s.taken
			s.taken = faster + later
		}
	}
	all := with(samples(shots, 70*time.Second), at, sample.Interval, func(s *sample.Sample) {
		s.Media.Hole = sample.Hole{From: s.Media.Newest - 245*time.Millisecond, To: s.Media.Newest, Probability: 1}
	})
	all = with(all, 0, 70*time.Second, func(s *sample.Sample) { s.Media.Told = true })
	alerts, _ := run(all, warn.Options{})
	for _, a := range alerts {
		if since(a) > faster { // before, what is nominal was not known
			t.Errorf("%v at %v", a, since(a))
		}
	}
}
