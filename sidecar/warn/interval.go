package warn

// interval knows the nominal time between frames: that of the last good period,
// since on a bad one frames are missing and a gap would hide itself.
type interval struct {
	value float64
	// frames and span of the period at hand; candidate is the last period's.
	frames, span, begun float64
	candidate           float64
	steady              int
}

const (
	intervalPeriod = 1.0 // seconds
	// steadyPeriods of the same longer interval are a new nominal one: a camera
	// at night.
	steadyPeriods = 15
	firstGuess    = 1.0 / 30
)

func (i *interval) nominal() float64 {
	if i.value == 0 {
		return firstGuess
	}
	return i.value
}

// add takes frames that together took span seconds of the media's time.
func (i *interval) add(now, span, frames float64) {
	if i.frames == 0 {
		i.begun = now
	}
	i.frames += frames
	i.span += span
	if now-i.begun < intervalPeriod || i.frames < 5 {
		return
	}
	mean := i.span / i.frames
	i.frames, i.span = 0, 0
	switch {
	case i.value == 0 || mean < i.value && mean > i.value*0.6:
		if i.value == 0 {
			i.value = mean
		}
		i.value += (mean - i.value) / 2
	case mean < i.value*1.05:
		i.value += (mean - i.value) / 8
	}
	if r := mean / i.candidate; i.candidate > 0 && r > 0.9 && r < 1.1 {
		if i.steady++; i.steady >= steadyPeriods {
			i.value = mean
		}
	} else {
		i.candidate, i.steady = mean, 0
	}
}
