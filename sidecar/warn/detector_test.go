package warn_test

import (
	"slices"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func TestNothingIsRaisedOnHoursOfCleanStreams(t *testing.T) {
	for seed, fps := range []int{10, 15, 25, 30, 60} {
		all := samples(film(2*time.Hour, fps, 3*time.Millisecond, uint64(seed)), 2*time.Hour)
		if alerts, last := run(all, warn.Options{}); len(alerts) > 0 || last.Health != warn.Excellent {
			t.Errorf("%d fps: %v, health %s", fps, alerts, last.Health)
		}
	}
}

func TestOutageIsPredictedAndThenIsAStall(t *testing.T) {
	const at, length = 30 * time.Second, 6 * time.Second
	alerts, _ := run(samples(hold(film(time.Minute, 30, 0, 1), at, length), time.Minute), warn.Options{})
	for _, depth := range warn.DefaultBuffers() {
		begins := at + depth
		stalls := of(alerts, warn.Stalled, depth)
		if len(stalls) == 0 || since(stalls[0]) < begins || since(stalls[0]) > begins+500*time.Millisecond {
			t.Errorf("%v: a stall that begins at %v is told of by %v", depth, begins, stalls)
		}
		predicted := of(alerts, warn.StallPredicted, depth)
		if depth >= time.Second && (len(predicted) == 0 || begins-since(predicted[0]) < depth/2) {
			t.Errorf("%v: predicted %v", depth, predicted)
		}
		if cleared := of(alerts, warn.Clear, depth); len(cleared) == 0 || since(cleared[len(cleared)-1]) < at+length {
			t.Errorf("%v: cleared by %v", depth, cleared)
		}
	}
}

func TestBlipLeavesDeepBuffersAlone(t *testing.T) {
	shots := film(5*time.Minute, 30, 0, 1)
	for at := 20 * time.Second; at < 280*time.Second; at += 17 * time.Second {
		hold(shots, at, 150*time.Millisecond)
	}
	alerts, _ := run(samples(shots, 5*time.Minute), warn.Options{})
	for _, depth := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if wrong := of(alerts, warn.StallPredicted, depth); len(wrong) > 0 {
			t.Errorf("%v: %v", depth, wrong)
		}
	}
}

// What a camera did not take is missing however deep the buffer is, and is known
// a buffer's depth ahead.
func TestCamerasGapIsCertainForEveryDepth(t *testing.T) {
	const at = 20 * time.Second
	shots := slices.DeleteFunc(film(40*time.Second, 30, 0, 1), func(s shot) bool { return s.taken >= at && s.taken < at+time.Second })
	alerts, _ := run(samples(shots, 40*time.Second), warn.Options{})
	for _, depth := range warn.DefaultBuffers() {
		if len(of(alerts, warn.Stalled, depth)) == 0 {
			t.Errorf("%v: no stall", depth)
		}
	}
	predicted := of(alerts, warn.StallPredicted, 4*time.Second)
	if len(predicted) == 0 || at+4*time.Second-since(predicted[0]) < 2500*time.Millisecond {
		t.Fatalf("predicted %v", predicted)
	}
	last := predicted[len(predicted)-1]
	if eta, known := last.ETA.Get(); !known || last.Cause != warn.Camera && last.Cause != warn.Unclear {
		t.Errorf("eta %v, cause %s", eta, last.Cause)
	}
}

func TestDyingCameraIsSeenBeforeItsGapsAreStalls(t *testing.T) {
	const dies = 20 * time.Second
	var shots []shot
	taken, gap := time.Duration(0), time.Second/30
	for taken < 40*time.Second {
		shots = append(shots, shot{taken: taken, arrives: taken + 20*time.Millisecond, packets: usual})
		if taken > dies {
			gap += gap / 40
		}
		taken += gap
	}
	first := slices.IndexFunc(shots, func(s shot) bool { return s.taken > dies })
	stalls := time.Duration(0)
	for i := first; i < len(shots); i++ {
		if shots[i].taken-shots[i-1].taken >= 183*time.Millisecond {
			stalls = shots[i-1].taken
			break
		}
	}
	alerts, _ := run(samples(shots, 40*time.Second), warn.Options{})
	predicted := of(alerts, warn.StallPredicted, 2*time.Second)
	if len(predicted) == 0 || since(predicted[0]) > stalls-time.Second || predicted[0].Cause != warn.Camera {
		t.Errorf("gaps are stalls from %v on; predicted %v", stalls, predicted)
	}
}

func TestLossThatLastsIsPredicted(t *testing.T) {
	const at = 20 * time.Second
	alerts, _ := run(samples(lose(film(40*time.Second, 30, 0, 1), at, 5*time.Second, 1), 40*time.Second), warn.Options{})
	for _, depth := range warn.DefaultBuffers() {
		if len(of(alerts, warn.Stalled, depth)) == 0 {
			t.Errorf("%v: no stall", depth)
		}
	}
	if degraded := of(alerts, warn.Degraded, 0); len(degraded) != 1 || degraded[0].Cause != warn.Network {
		t.Errorf("%v", degraded)
	}
}

func TestNarrowWayIsPredictedForShallowBuffersFirst(t *testing.T) {
	// 194 packets a second are sent.
	shots := narrow(film(time.Minute, 30, 0, 1), 20*time.Second, 20*time.Second, 110)
	alerts, _ := run(samples(shots, time.Minute), warn.Options{})
	var first []time.Duration
	for _, depth := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
		predicted := of(alerts, warn.StallPredicted, depth)
		if len(predicted) == 0 || predicted[0].Cause != warn.Network && predicted[0].Cause != warn.Unclear {
			t.Fatalf("%v: %v", depth, predicted)
		}
		first = append(first, since(predicted[0]))
	}
	if !slices.IsSorted(first) {
		t.Errorf("predicted at %v", first)
	}
}

// What waits in the receiver's socket is late, too, though the tap saw it in time.
func TestReaderThatStopsIsSeenByItsQueue(t *testing.T) {
	const at, length = 20 * time.Second, 5 * time.Second
	all := samples(film(time.Minute, 30, 0, 1), time.Minute)
	waiting := 0.0
	for i := range all {
		s := &all[i]
		switch now := time.Duration(s.At - start); {
		case now > at && now <= at+length:
			waiting += 2.1 * float64(s.Media.Bytes) // as the kernel counts it
		default:
			waiting = 0
		}
		s.Socket = sample.Socket{Known: true, Queue: uint64(waiting)}
	}
	alerts, _ := run(all, warn.Options{})
	for _, depth := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		stalls, predicted := of(alerts, warn.Stalled, depth), of(alerts, warn.StallPredicted, depth)
		if len(stalls) == 0 || since(stalls[0]) < at+depth-200*time.Millisecond || since(stalls[0]) > at+depth+700*time.Millisecond || stalls[0].Cause != warn.Node {
			t.Errorf("%v: %v", depth, stalls)
		}
		if len(predicted) == 0 || since(predicted[0]) >= at+depth {
			t.Errorf("%v: predicted %v", depth, predicted)
		}
	}
}

func TestFarewellIsNoStall(t *testing.T) {
	all := samples(film(20*time.Second, 30, 0, 1), 40*time.Second)
	for i := range all {
		if time.Duration(all[i].At-start) > 20100*time.Millisecond {
			all[i].Media.Ended = i == 201
			all[i].Media.Packets, all[i].Media.Frames = 0, 0
		}
	}
	if alerts, last := run(all, warn.Options{}); len(of(alerts, warn.Stalled, time.Second)) > 0 || last.Health == warn.Unusable {
		t.Errorf("%v, health %s", alerts, last.Health)
	}
}

func TestAudioRaisesNoStall(t *testing.T) {
	all := samples(hold(film(40*time.Second, 50, 0, 1), 20*time.Second, 5*time.Second), 40*time.Second)
	for i := range all {
		all[i].Media.Audio = true
	}
	if alerts, _ := run(all, warn.Options{}); len(alerts) > 0 {
		t.Errorf("%v", alerts)
	}
}

func TestStreamThatSomebodyTookOverStallsOnlyForAsLongAsNobodySent(t *testing.T) {
	all := samples(film(20*time.Second, 30, 0, 1), 40*time.Second)
	for i := range all {
		all[i].Media.Replaced = time.Duration(all[i].At-start) > 22*time.Second
	}
	alerts, last := run(all, warn.Options{})
	if n := len(of(alerts, warn.Stalled, 4*time.Second)); n != 1 {
		t.Errorf("%d stalls at 4 s: %v", n, alerts)
	}
	if last.Health == warn.Unusable || last.Health == warn.Poor {
		t.Errorf("health %s long after", last.Health)
	}
}

// The heir sends to the same socket: what waits in it is the heir's.
func TestWhatWaitsForTheHeirIsNoStallOfTheOneBefore(t *testing.T) {
	all := samples(film(20*time.Second, 30, 0, 1), 40*time.Second)
	for i := range all {
		s := &all[i]
		s.Media.Replaced = time.Duration(s.At-start) > 22*time.Second
		s.Socket = sample.Socket{Known: true, Queue: uint64(i%5) * 2304}
	}
	alerts, _ := run(all, warn.Options{})
	for _, depth := range warn.DefaultBuffers() {
		for _, a := range of(alerts, warn.Stalled, depth) {
			if at := since(a); at > 23*time.Second+depth {
				t.Errorf("%v: a stall is told of at %v, long after another source sent", depth, at)
			}
		}
	}
}

func TestVerdictIsUnknownBeforeAnythingWasSeen(t *testing.T) {
	if v, _ := warn.New(warn.Options{}, stream).Step(sample.Sample{At: start, Media: sample.Media{Known: true}}); v.Health != warn.Unknown {
		t.Errorf("%s", v.Health)
	}
}
