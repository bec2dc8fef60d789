package main

import "time"

// player is a viewer whose playout is fixed at the first picture plus a depth. A
// picture that comes late is shown when it comes; a gap between two shown
// pictures of three intervals or an interval and 150 ms, whichever is longer, is
// a stall. It conceals what is missing of a picture.
type player struct {
	depth time.Duration

	playing  bool
	first    time.Time
	firstRTP uint32
	lastRTP  uint32
	interval time.Duration
	shown    time.Time // when the last picture was
	stalls   []stall
}

// stall is a gap: from when the next picture should have been shown until one was.
type stall struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// packet takes a packet; last is its marker, which ends a picture.
func (p *player) packet(rtp uint32, last bool, now time.Time) {
	if !last {
		return
	}
	if !p.playing {
		p.playing, p.first, p.firstRTP, p.lastRTP, p.shown = true, now, rtp, rtp, now.Add(p.depth)
		return
	}
	step := int32(rtp - p.lastRTP)
	if step <= 0 {
		return
	}
	if d := media(uint32(step)); p.interval == 0 || d < p.interval {
		p.interval = d
	}
	p.lastRTP = rtp
	shown := later(now, p.first.Add(p.depth+media(rtp-p.firstRTP)))
	if gap := shown.Sub(p.shown); gap >= max(3*p.interval, p.interval+150*time.Millisecond) {
		p.stalls = append(p.stalls, stall{p.shown.Add(p.interval), shown})
	}
	p.shown = shown
}

func media(ticks uint32) time.Duration {
	return time.Duration(ticks) * time.Second / clockRate
}
