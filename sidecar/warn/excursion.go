package warn

// excursion is a rise of the lag above where it was: what History learns from.
type excursion struct {
	on        bool
	began     float64
	peak      float64
	kind      int
	silence   float64 // since when, 0 if pictures come
	holeCount int
	// jump is how far the lag jumps while all is well.
	jump float64
	// uneven is how much the bytes of samples differ then.
	uneven float64
	// peaks are those of the last excursions, which ended at.
	peaks, ends [habit]float64
	count       int
}

// habit is how many excursions are looked at to know what is usual: a large
// picture that takes long, again and again, threatens nobody.
const (
	habit     = 6
	habitSpan = 90.0 // seconds
	habitual  = 3    // of them are one
)

// usual returns how high the lag rises here all the time: the second highest of
// the last peaks, 0 if they are few.
func (e *excursion) usual(now float64) float64 {
	var first, second float64
	n := 0
	for i := range min(e.count, habit) {
		if now-e.ends[i] > habitSpan {
			continue
		}
		n++
		if v := e.peaks[i]; v > first {
			first, second = v, first
		} else {
			second = max(second, v)
		}
	}
	if n < habitual {
		return 0
	}
	return second
}

const (
	jumpFade      = 0.995
	unevenFade    = 0.01
	excursionFrom = 0.12 // seconds of lag above the floor
	excursionTo   = 0.06
)

// follow takes a step of the playout.
func (e *excursion) follow(d *Detector) {
	p := &d.playout
	nominal := p.frame.nominal()
	quiet := p.quiet()
	if quiet > stallGap(nominal)-nominal && p.silence() == sudden {
		if e.silence == 0 {
			e.silence, e.holeCount = p.readAt, p.holeCount
		}
	} else if e.silence != 0 && p.readAt > e.silence {
		e.silence = 0
		d.options.History.silenceOver(p.holeCount > e.holeCount)
	}
	height := p.lag - p.floor(trail)
	if !e.on {
		// What was in the last second may be the beginning of one.
		e.jump = max(e.jump*jumpFade, p.jump(10, 10))
		if even := p.uneven(8); even < 10 {
			e.uneven += unevenFade * (even - e.uneven)
		}
	}
	switch {
	case !e.on && height > excursionFrom:
		e.on, e.began, e.peak, e.kind = true, p.now, p.lag, gradual
	case e.on && height < excursionTo:
		e.on = false
		if e.kind != gradual {
			d.options.History.add(e.kind, e.peak)
		}
		e.peaks[e.count%habit], e.ends[e.count%habit] = e.peak, p.now
		e.count++
	case e.on:
		e.peak = max(e.peak, p.lag)
		if quiet > 0.25 && e.kind == gradual && p.now-e.began < 1 {
			e.kind = p.silence()
		}
	}
}
