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
		p = t.Add(pts+d, clock.Ktime(at+d+lag))
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
		if line.Add(time.Duration(300+i)*frame, clock.Ktime(at)).Late {
			late++
		}
	}
	p, after, anchored := play(&line, 318*frame, at, 0, 30)
	if late != 15 || after != 0 || p.Lag > frame || anchored != 0 {
		t.Errorf("%d of the backlog late, %d after it, last %+v, %d anchored", late, after, p, anchored)
	}
}

func TestDiscontinuityAnchorsAnewAndTimeGoesOn(t *testing.T) {
	for name, to := range map[string]time.Duration{"back to 0": 0, "ahead by a day": 24 * time.Hour} {
		line := timeline.Timeline{Tolerance: 100 * time.Millisecond}
		before, _, _ := play(&line, time.Minute, time.Hour, 0, 300)
		p := line.Add(to, clock.Ktime(time.Hour+300*frame))
		if !p.Anchored || p.Late || p.PTS != before.PTS+frame {
			t.Errorf("%s: %+v after %+v", name, p, before)
		}
	}
}

func TestSourceWithoutTimesIsNeverAhead(t *testing.T) {
	line := timeline.Timeline{}
	for i := range 100 {
		if p := line.Add(0, clock.Ktime(i)*clock.Ktime(frame)); p.Late || p.PTS != 0 {
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
			p := line.Add(pts, at)
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
