package warn

// pace is how the media's own time between pictures develops: a camera that dies
// takes ever longer for each.
type pace struct {
	// gaps are the mean times between pictures, by the media's own clock, of
	// periods that ended at.
	gaps  [paceSamples]float64
	at    [paceSamples]float64
	count int
	// span and frames are those of the period at hand.
	span, frames, begun float64
}

const (
	paceSamples = 32
	paceEvery   = 0.4 // seconds
)

// add takes how far the media went in a sample, and its pictures.
func (p *pace) add(now, ahead, frames float64) {
	p.span, p.frames = p.span+ahead, p.frames+frames
	if p.begun == 0 {
		p.begun = now
	}
	if now-p.begun < paceEvery || p.frames < 1 {
		return
	}
	p.gaps[p.count%paceSamples], p.at[p.count%paceSamples] = p.span/p.frames, now
	p.count++
	p.span, p.frames, p.begun = 0, 0, now
}

// trend returns the gap that is to be expected now and its growth in seconds a
// second, by least squares over the last span seconds.
func (p *pace) trend(now, span float64) (gap, growth float64, n int) {
	var sx, sy, sxx, sxy, k float64
	for i := range min(p.count, paceSamples) {
		j := (p.count - 1 - i) % paceSamples
		x := p.at[j] - now
		if x < -span {
			break
		}
		y := p.gaps[j]
		sx, sy, sxx, sxy, k = sx+x, sy+y, sxx+x*x, sxy+x*y, k+1
	}
	if det := k*sxx - sx*sx; k >= 4 && det > 0 {
		growth = (k*sxy - sx*sy) / det
		return (sy - growth*sx) / k, growth, int(k)
	}
	return 0, 0, int(k)
}
