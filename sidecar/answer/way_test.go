package answer

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// world is a camera with two sources behind a network, in virtual time: what is
// played is in trouble two seconds after the network stops carrying it.
type world struct {
	a   *Answerer
	now clock.Ktime
	// carries says whether the network carries the source, lives whether the lower
	// one shows anything. open says whether anybody needs the session.
	carries, lives, open bool

	lower   bool
	bad     time.Duration // how long the present source has been in trouble
	lowered []clock.Ktime
	back    []clock.Ktime
}

func newWorld(after time.Duration) *world {
	return &world{a: New(Policy{LowerSource: true, ReturnAfter: after}), lives: true, open: true, now: clock.Ktime(time.Hour)}
}

func (w *world) tick() {
	w.now += clock.Ktime(sample.Interval)
	good := w.carries
	if w.lower {
		good = w.lives
	}
	if w.bad += sample.Interval; good || !w.open {
		w.bad = 0
	}
	v := warn.Verdict{Health: warn.Excellent}
	if w.bad > 2*time.Second {
		v = warn.Verdict{Health: warn.Unusable, Cause: warn.Network}
	}
	if _, back := w.a.Session(session, Session{At: w.now, Lower: w.lower, Open: w.open, Health: v.Health}); back {
		w.lower, w.bad = false, 0
		w.back = append(w.back, w.now)
		return
	}
	if !w.open {
		return
	}
	for _, answer := range w.a.Step(session, true, &sample.Sample{At: w.now}, &v, sample.Figure{}) {
		if answer.Kind == LowerSource {
			w.lower, w.bad = true, 0
			w.lowered = append(w.lowered, w.now)
		}
	}
}

func (w *world) pass(d time.Duration) {
	for range d / sample.Interval {
		w.tick()
	}
}

const after = 2 * time.Minute

func TestTheSourceIsPlayedAgainOnceTheNetworkCarriesIt(t *testing.T) {
	w := newWorld(after)
	w.pass(10 * time.Second)
	if !w.lower || len(w.lowered) != 1 {
		t.Fatalf("it was not turned to the lower source: %+v", w)
	}
	if way := w.a.Way(); !way.Lower || way.Since == 0 || time.Duration(way.Back-w.now) > 5*after/4 {
		t.Errorf("the way back is %+v at %v", way, w.now)
	}
	w.carries = true
	w.pass(5 * after / 4)
	if w.lower || len(w.back) != 1 {
		t.Fatalf("it is not back: %+v", w)
	}
	if stayed := time.Duration(w.back[0] - w.lowered[0]); stayed < 3*after/4 {
		t.Errorf("back after %v", stayed)
	}
	w.pass(24 * time.Hour)
	if w.lower || len(w.lowered) != 1 {
		t.Errorf("it does not stay: %+v", w)
	}
}

func TestTriesThatFailBecomeRareButNeverEnd(t *testing.T) {
	w := newWorld(after)
	w.pass(24 * time.Hour)
	var last time.Duration
	for i, at := range w.back {
		stayed := time.Duration(at - w.lowered[i])
		if wait := min(after<<i, mostHold*after); i < 10 && (stayed < wait*8/10 || stayed > wait*12/10+time.Second) {
			t.Errorf("try %d came after %v, want about %v", i+1, stayed, wait)
		}
		last = stayed
	}
	// Half an hour each, at last: 45 in a day with what the first ones save.
	if n := len(w.back); n < 40 || n > 62 || last > 37*time.Minute {
		t.Errorf("%d tries in a day, the last one after %v", n, last)
	}
	w.carries = true
	w.pass(mostHold*after*5/4 + time.Second)
	if w.lower {
		t.Error("the source that works again is not played")
	}
}

func TestASourceThatProvedItselfIsWaitedForBrieflyAgain(t *testing.T) {
	w := newWorld(after)
	w.pass(time.Hour) // the holds have grown
	w.carries = true
	w.pass(2 * time.Hour)
	if w.lower {
		t.Fatal("it is not back")
	}
	w.carries = false
	w.pass(10 * time.Second)
	w.carries = true
	w.pass(5 * after / 4)
	if w.lower {
		t.Error("after a trouble of seconds, much later, it is waited for as long as in the bad times")
	}
}

func TestTroubleWithTheLowerSourceTooIsNoCalm(t *testing.T) {
	w := newWorld(after)
	w.pass(10 * time.Second)
	w.carries = true
	for range 10 { // 20 s of trouble each minute
		w.lives = false
		w.pass(20 * time.Second)
		w.lives = true
		w.pass(40 * time.Second)
	}
	if !w.lower {
		t.Error("it went back without any calm")
	}
}

func TestALowerSourceThatShowsNothingIsLeftAndShunned(t *testing.T) {
	w := newWorld(after)
	w.lives = false
	w.pass(deadAfter + 10*time.Second)
	if w.lower || len(w.back) != 1 {
		t.Fatalf("it stays where nothing is shown: %+v", w)
	}
	w.pass(24 * time.Hour)
	// Neither of them plays: to and fro is no help.
	if n := len(w.lowered); n < 30 || n > 62 {
		t.Errorf("turned to it %d times in a day", n)
	}
}

func TestASessionThatNobodyNeedsGoesBackUnseenAndProvesNothing(t *testing.T) {
	w := newWorld(after)
	w.pass(10 * time.Second)
	w.open = false
	w.pass(5 * after / 4)
	if w.lower {
		t.Error("it waits for somebody who looks")
	}
	w.pass(24 * time.Hour)
	w.open = true
	w.pass(10 * time.Second)
	w.pass(7 * after / 4) // twice as long, less a fifth at most: not yet
	if !w.lower {
		t.Error("a source that was never played has proved itself")
	}
}

func TestThereIsNoWayBackIfNoneIsWanted(t *testing.T) {
	w := newWorld(0)
	w.pass(10 * time.Second)
	w.carries = true
	w.pass(24 * time.Hour)
	if !w.lower || w.a.Way().Back != 0 {
		t.Errorf("%+v", w.a.Way())
	}
}

// Whatever the network does: turns are rare, each way back comes after calm or
// from where nothing is shown, and in the end the source is played.
func TestTurnsAreBoundedWhateverTheNetworkDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := time.Duration(rapid.IntRange(60, 300).Draw(t, "after")) * time.Second
		w := newWorld(after)
		for range rapid.IntRange(1, 12).Draw(t, "phases") {
			w.carries = rapid.Bool().Draw(t, "carries")
			w.lives = rapid.IntRange(0, 3).Draw(t, "lives") > 0
			w.open = rapid.IntRange(0, 3).Draw(t, "open") > 0
			w.pass(time.Duration(rapid.IntRange(1, 1200).Draw(t, "seconds")) * time.Second)
		}
		for i := 1; i < len(w.lowered); i++ {
			if between := time.Duration(w.lowered[i] - w.lowered[i-1]); between < time.Minute {
				t.Fatalf("turned to the lower source twice within %v", between)
			}
		}
		for i, at := range w.back {
			if stayed := time.Duration(at - w.lowered[i]); stayed < min(after*8/10, deadAfter) {
				t.Fatalf("back after %v", stayed)
			}
		}
		w.carries, w.lives, w.open = true, true, true
		w.pass(mostHold*after*5/4 + time.Minute)
		if w.lower {
			t.Fatal("the source is not played in the end")
		}
	})
}
