package warn

// plain is the detector that everyone writes first: the time a picture takes,
// smoothed, against what it took over the last 5 s. By itself it is right by
// chance; here it only says that a stream is not as it was.
type plain struct {
	smooth  float64
	window  [50]float64
	sum     float64
	count   int
	above   int
	anomaly bool
}

const (
	smoothing    = 0.2
	plainRatio   = 1.8
	plainPeriods = 2
)

// add takes a sample's mean time between pictures in seconds: its length over its
// pictures, or how long there has been none.
func (p *plain) add(interval float64) {
	if p.count == 0 {
		p.smooth = interval
	}
	p.smooth += smoothing * (interval - p.smooth)
	baseline := p.sum / float64(max(min(p.count, len(p.window)), 1))
	if p.count >= len(p.window) && p.smooth >= plainRatio*baseline {
		p.above++
	} else {
		p.above = 0
	}
	p.anomaly = p.above >= plainPeriods
	i := p.count % len(p.window)
	p.sum += interval - p.window[i]
	p.window[i] = interval
	p.count++
}
