// Package timeline puts the frames of one session on one clock that only goes
// forward, and says which come too late.
//
// A frame's transit is when it came minus its PTS. The least transit in the
// window stands for a stream that is on time; how much more a frame has is its
// lag. The window begins at a key frame: it is this group of pictures and the one
// before. So a source whose clock is slower than ours is not late one day, and a
// key frame that comes late itself does not hide that. At a discontinuity, where
// PTS and arrival part for another reason than lag, the timeline anchors anew,
// and goes on from where it was.
//
// Late frames are dropped after they were decoded, when it can do the decoder no
// harm; key frames are not.
package timeline

import (
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

const (
	// jump is how far PTS may go ahead of arrival, or back, before it counts as
	// a discontinuity: more than any reordering or buffer of a sender.
	jump = 2 * time.Second
	// patience is how long all frames may be late. Then the delay is there to
	// stay, and dropping more wins nothing.
	patience = time.Second
	// leastGroup is how long a group of pictures is at least. Key frames that come
	// sooner are as other frames: some sources have nothing else.
	leastGroup = time.Second
)

// Timeline is the clock of one session. The zero value drops nothing but works;
// it is not safe for concurrent use.
type Timeline struct {
	// Tolerance is how much lag a frame may have; 0 means any.
	Tolerance time.Duration

	started bool
	// out = in + shift, for frames since the anchor.
	shift  time.Duration
	best   time.Duration // least transit in this group, on the outgoing clock
	before time.Duration // and in the one before
	keyAt  clock.Ktime   // when this one began
	lastIn time.Duration
	last   time.Duration // outgoing
	lastAt clock.Ktime
	onTime clock.Ktime // when the last frame came that was not late
}

// Place is where a frame is on the timeline.
type Place struct {
	// PTS never goes back; the first frame's is 0.
	PTS  time.Duration
	Lag  time.Duration
	Late bool
	// Anchored is set on the first frame and after each discontinuity, not where
	// only the window begins anew.
	Anchored bool
}

// Add takes the next frame: its PTS as the source gave it, when it came, and
// whether it is a key frame, as far as that is known.
func (t *Timeline) Add(pts time.Duration, at clock.Ktime, key bool) Place {
	if !t.started {
		t.started = true
		t.anchor(pts, 0, at)
		return Place{Anchored: true}
	}
	at = max(at, t.lastAt)
	passed := time.Duration(at - t.lastAt)
	step := pts - t.lastIn
	switch {
	case step > passed+jump, step < -jump:
		// Time goes on by what really passed.
		t.anchor(pts, t.last+passed, at)
		return Place{PTS: t.last, Anchored: true}
	case step <= 0:
		// Overtaken, or a source without times: next to the frame before it.
		pts = t.lastIn
	}
	t.lastIn, t.lastAt, t.last = pts, at, pts+t.shift
	transit := time.Duration(at) - t.last
	key = key && time.Duration(at-t.keyAt) >= leastGroup
	if key {
		t.before, t.best, t.keyAt = t.best, transit, at
	}
	t.best = min(t.best, transit)
	p := Place{PTS: t.last, Lag: transit - min(t.best, t.before)}
	if t.Tolerance <= 0 || p.Lag <= t.Tolerance {
		t.onTime = at
		return p
	}
	if time.Duration(at-t.onTime) >= patience {
		t.anchor(pts, t.last, at)
		p.Anchored = true
		return p
	}
	p.Late = !key
	return p
}

func (t *Timeline) anchor(in, out time.Duration, at clock.Ktime) {
	t.shift, t.lastIn, t.last = out-in, in, out
	t.best = time.Duration(at) - out
	t.before = t.best
	t.lastAt, t.onTime, t.keyAt = at, at, at
}

// Ticker picks frames at an even pace without delaying any: the first frame of
// each tick of the timeline. The zero value picks all.
type Ticker struct {
	Every time.Duration

	started bool
	tick    time.Duration
}

// Due says whether the frame at pts is the first of its tick.
func (t *Ticker) Due(pts time.Duration) bool {
	if t.Every <= 0 {
		return true
	}
	// Frame times are rounded by container formats, to 1 ms in FLV, so a frame
	// that is early by less than that is on the tick.
	tick := (pts + time.Millisecond) / t.Every
	if t.started && tick == t.tick {
		return false
	}
	t.started, t.tick = true, tick
	return true
}
