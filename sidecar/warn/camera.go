package warn

// pace is how fast pictures come: a camera that dies takes ever longer for each.
// It counts pictures as they arrive, which those out of order do not blur.
type pace struct {
	gaps  [paceSamples]float64 // mean times between pictures, of the last periods
	count int
	// frames are those of the period at hand, which began at.
	frames, begun float64
}

const (
	paceSamples = 8
	// A period is at least so long and has so many pictures, or is the longest.
	paceEvery   = 0.35 // seconds
	paceFrames  = 3
	paceLongest = 1.0
)

func (p *pace) add(now, frames float64) {
	if p.begun == 0 {
		p.begun = now
		return
	}
	p.frames += frames
	span := now - p.begun
	if span < paceEvery-0.01 || p.frames < paceFrames && span < paceLongest {
		return
	}
	p.gaps[p.count%paceSamples] = span / max(p.frames, 1)
	p.count++
	p.frames, p.begun = 0, now
}

// ago returns the mean time between pictures n periods back.
func (p *pace) ago(n int) float64 { return p.gaps[(p.count-1-n+paceSamples)%paceSamples] }

// slowing returns how much longer than nominal pictures take, and by how much of
// a nominal interval that grows each period; 0 if it does not grow.
func (p *pace) slowing(nominal float64) (ratio, growth float64) {
	if p.count < 5 {
		return 0, 0
	}
	now, before, first := p.ago(0)/nominal, p.ago(1)/nominal, p.ago(2)/nominal
	if now < before*0.97 || before < first*0.97 || p.ago(3)/nominal > before {
		return now, 0
	}
	return now, (now - first) / 2
}
