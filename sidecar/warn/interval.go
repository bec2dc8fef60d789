package warn

// interval knows the nominal time between frames: that of the last good period,
// since on a bad one frames are missing and a gap would hide itself.
type interval struct {
	value float64
	// frames and span are of the period at hand, which began at.
	frames, span, begun float64
	// other is a time that differs from the nominal one, same how many periods in
	// a row had it.
	other float64
	same  int
}

const (
	intervalPeriod = 2.0 // seconds
	fewestFrames   = 8
	// samePeriods of another time make it the nominal one: a camera at night.
	samePeriods = 8
	firstGuess  = 1.0 / 30
	// near is how far a good period may differ from the nominal: pictures that
	// come out of order blur its ends.
	near = 0.12
)

func (i *interval) nominal() float64 {
	if i.value == 0 {
		return firstGuess
	}
	return i.value
}

// add takes frames that together took span seconds of the media's time.
func (i *interval) add(now, span, frames float64) {
	if i.frames == 0 && i.span == 0 {
		i.begun = now
	}
	i.frames += frames
	i.span += span
	if i.value == 0 && now-i.begun > intervalPeriod/4 && i.frames >= fewestFrames {
		i.value = i.span / i.frames
	}
	if now-i.begun < intervalPeriod || i.frames < fewestFrames {
		return
	}
	mean := i.span / i.frames
	i.frames, i.span = 0, 0
	switch off := mean/i.value - 1; {
	case i.other == 0 && i.same < samePeriods:
		// The first periods: nothing is known yet.
		i.value = mean
		i.other = mean
	case off < near && off > -near:
		i.value += (mean - i.value) / 8
		i.same = 0
	default:
		if off = mean/i.other - 1; off > near || off < -near {
			i.other, i.same = mean, 0
		}
		i.other += (mean - i.other) / 4
		// More frames than thought are no fault's doing.
		if i.same++; i.same >= samePeriods || i.other < i.value && i.same >= samePeriods/2 {
			i.value, i.same = i.other, 0
		}
	}
}
