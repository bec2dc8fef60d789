package warn

// pace is how the media's own time between pictures develops: a camera that dies
// takes ever longer for each.
type pace struct {
	// gap is the largest between two pictures of each of the last samples that had
	// any, in seconds of the media.
	gaps  [paceSamples]float64
	at    [paceSamples]float64
	count int
}

const paceSamples = 60

func (p *pace) add(now, gap float64) {
	p.gaps[p.count%paceSamples], p.at[p.count%paceSamples] = gap, now
	p.count++
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
