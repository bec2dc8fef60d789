package timeline_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/timeline"
)

const frame = time.Second / 30

// play feeds n frames of 30 a second, each late by lag, and returns the last
// place, how many were late, and how many began anew.
func play(t *timeline.Timeline, pts, at, lag time.Duration, n int) (p timeline.Place, late, anchored int) {
	for i := range n {
		d := time.Duration(i) * frame
		p = t.Add(pts+d, clock.Ktime(at+d+lag), false)
		if p.Late {
			late++
		}
		if p.Anchored {
			anchored++
		}
	}
	return p, late, anchored
}

func TestSteadyStreamHasNoLateFrame(t *testing.T) {
	line := timeline.Timeline{Tolerance: 100 * time.Millisecond}
	p, late, anchored := play(&line, 7*time.Second, time.Hour, 0, 3000)
	if late != 0 || p.Lag != 0 || p.PTS != 2999*frame || anchored != 1 {
		t.Errorf("%d late, last %+v, %d anchored", late, p, anchored)
	}
}

func TestLateFramesAreDroppedUntilTheDelayIsThereToStay(t *testing.T) {
	line := timeline.Timeline{Tolerance: 100 * time.Millisecond}
	play(&line, 0, time.Hour, 0, 300)
	p, late, anchored := play(&line, 300*frame, time.Hour+300*frame, 500*time.Millisecond, 300)
	// What comes within a second after the last frame on time, half a
	// second of which nothing comes at all.
	if late < 10 || late > 20 {
		t.Errorf("%d frames late, want about half a second's", late)
	}
	if p.Late || p.Lag != 0 || anchored != 1 || p.PTS != 599*frame {
		t.Errorf("last %+v, %d anchored", p, anchored)
	}
}

func TestBacklogIsCaughtUpByDropping(t *testing.T) {
	line := timeline.Timeline{Tolerance: 100 * time.Millisecond}
	play(&line, 0, time.Hour, 0, 300)
	// Nothing for 590 ms, then all of it at once.
	at := time.Hour + 300*frame + 590*time.Millisecond
	late := 0
	for i := range 18 {
		if line.Add(time.Duration(300+i)*frame, clock.Ktime(at), false).Late {
			late++
		}
	}
	p, after, anchored := play(&line, 318*frame, at, 0, 30)
	if late != 15 || after != 0 || p.Lag > frame || anchored != 0 {
		t.Errorf("%d of the backlog late, %d after it, last %+v, %d anchored", late, after, p, anchored)
	}
}

// A key frame in a backlog is shown, and does not make the others punctual.
func TestKeyFrameOfABacklogIsKept(t *testing.T) {
	line := timeline.Timeline{Tolerance: 100 * time.Millisecond}
	play(&line, 0, time.Hour, 0, 300)
	at := clock.Ktime(time.Hour + 300*frame + 590*time.Millisecond)
	late := 0
	for i := range 18 {
		p := line.Add(time.Duration(300+i)*frame, at, i == 3)
		if p.Late {
			late++
		}
		if i == 3 && (p.Late || p.Lag < 400*time.Millisecond) {
			t.Errorf("the key frame: %+v", p)
		}
	}
	if late != 14 {
		t.Errorf("%d of the backlog late, want all but the key frame and what is on time", late)
	}
}

// A camera's clock that is slower than ours by 200 parts of a million falls
// behind by 100 ms in 500 s.
func TestDriftIsNoLagWhereThereAreKeyFrames(t *testing.T) {
	for _, every := range []int{0, 1, 60, 300} {
		line := timeline.Timeline{Tolerance: 100 * time.Millisecond}
		late := 0
		for i := range 100_000 {
			pts := time.Duration(i) * frame
			if line.Add(pts, clock.Ktime(time.Hour+pts+pts/5000), every > 0 && i%every == 0).Late {
				late++
			}
		}
		if (late > 0) != (every == 0) {
			t.Errorf("%d of 100000 frames late with a key frame every %d", late, every)
		}
	}
}

// Where all frames are key frames, late ones are dropped all the same.
func TestSourceOfKeyFramesAloneIsCaughtUp(t *testing.T) {
	line := timeline.Timeline{Tolerance: 100 * time.Millisecond}
	for i := range 300 {
		line.Add(time.Duration(i)*frame, clock.Ktime(time.Hour+time.Duration(i)*frame), true)
	}
	at := clock.Ktime(time.Hour + 300*frame + 590*time.Millisecond)
	late := 0
	for i := range 18 {
		if line.Add(time.Duration(300+i)*frame, at, true).Late {
			late++
		}
	}
	if late < 14 {
		t.Errorf("%d of the backlog late", late)
	}
}

func TestDiscontinuityAnchorsAnewAndTimeGoesOn(t *testing.T) {
	for name, to := range map[string]time.Duration{"back to 0": 0, "ahead by a day": 24 * time.Hour} {
		line := timeline.Timeline{Tolerance: 100 * time.Millisecond}
		before, _, _ := play(&line, time.Minute, time.Hour, 0, 300)
		p := line.Add(to, clock.Ktime(time.Hour+300*frame), false)
		if !p.Anchored || p.Late || p.PTS != before.PTS+frame {
			t.Errorf("%s: %+v after %+v", name, p, before)
		}
	}
}

func TestSourceWithoutTimesIsNeverAhead(t *testing.T) {
	line := timeline.Timeline{}
	for i := range 100 {
		if p := line.Add(0, clock.Ktime(i)*clock.Ktime(frame), i%30 == 0); p.Late || p.PTS != 0 {
			t.Fatalf("frame %d is at %+v", i, p)
		}
	}
}

// Whatever a source says, time goes forward only, and lag is never negative.
func TestTimeNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := timeline.Timeline{Tolerance: time.Duration(rapid.IntRange(0, 1000).Draw(t, "tolerance")) * time.Millisecond}
		at, last := clock.Ktime(time.Hour), time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "frames") {
			at += clock.Ktime(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "passed"))
			pts := time.Duration(rapid.Int64Range(int64(-48*time.Hour), int64(48*time.Hour)).Draw(t, "pts"))
			p := line.Add(pts, at, rapid.Bool().Draw(t, "key"))
			if p.PTS < last || p.Lag < 0 {
				t.Fatalf("%+v after %v", p, last)
			}
			if ahead := p.PTS - time.Duration(at-clock.Ktime(time.Hour)); ahead > 200*2*time.Second {
				t.Fatalf("%v ahead of arrival", ahead)
			}
			last = p.PTS
		}
	})
}

func TestTickerPicksEvenlyWhateverTheJitterOfTimes(t *testing.T) {
	ticker := timeline.Ticker{Every: 100 * time.Millisecond}
	picked := 0
	for i := range 300 {
		pts := (time.Duration(i) * frame).Truncate(time.Millisecond) // as in FLV
		if ticker.Due(pts) {
			picked++
			if over := pts % ticker.Every; over > 0 && over < ticker.Every-2*time.Millisecond {
				t.Errorf("frame %d at %v is picked", i, pts)
			}
		}
	}
	if picked != 100 {
		t.Errorf("%d of 300 frames picked, want each third", picked)
	}
}
