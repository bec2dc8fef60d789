package warn

import "math"

// threat is what may make a viewer's buffer run out.
type threat struct {
	// probability that a stall comes of it, eta in seconds until it begins.
	probability, eta float64
	what             symptom
}

// symptom is what a threat was seen by.
type symptom int

const (
	none symptom = iota
	silence
	draining
	missing // a hole in the media's time
	broken  // pictures that miss packets
	slowing // the camera's pace
)

const (
	// horizon is how far ahead a stall is spoken of.
	horizon = 10.0
	// slopes below this are a clock that drifts.
	leastSlope = 0.03
)

// forecast returns the worst threat to a buffer.
func (d *Detector) forecast(buffer float64) threat {
	worst := threat{eta: math.Inf(1)}
	for _, t := range [...]threat{d.holeAhead(buffer), d.silent(buffer), d.drains(buffer), d.slows(buffer), d.breaks(buffer)} {
		if t.probability > worst.probability || t.probability == worst.probability && t.eta < worst.eta {
			worst = t
		}
	}
	return worst
}

// left is what a buffer still has, in seconds.
func (d *Detector) left(buffer float64) float64 { return buffer - d.playout.lag }

// holeAhead is a gap in the media that is on its way to the viewer: certain.
func (d *Detector) holeAhead(buffer float64) threat {
	p := &d.playout
	nominal := p.frame.nominal()
	for i := max(0, p.holeCount-holes); i < p.holeCount; i++ {
		h := p.holes[i%holes]
		begins := p.base + buffer + h.from + nominal
		if h.to-h.from >= stallGap(nominal)-nominal/4 && p.now <= begins {
			return threat{probability: 0.97, eta: begins - p.now, what: missing}
		}
	}
	return threat{}
}

// silent is that nothing comes, or nothing is read.
func (d *Detector) silent(buffer float64) threat {
	p := &d.playout
	nominal := p.frame.nominal()
	quiet := p.quiet()
	if quiet < max(0.1, 2*nominal) {
		return threat{}
	}
	enough := buffer + stallGap(nominal) - nominal
	chance := d.options.History.beyond(sudden, p.lag, enough)
	if quiet > stallGap(nominal)-nominal {
		// It may be the camera, or all that was sent may be lost: then no buffer
		// helps.
		h := d.options.History.lostShare()
		chance = h + (1-h)*chance
	}
	return threat{probability: chance, eta: max(d.left(buffer), 0), what: silence}
}

// drains is that less comes than is shown.
func (d *Detector) drains(buffer float64) threat {
	p := &d.playout
	left := d.left(buffer)
	slow, fast := p.slope(20), p.slope(8)
	slope := min(slow, max(fast, slow/2))
	height := p.lag - p.floor(trail)
	if slope < leastSlope || height < 0.1 {
		return threat{}
	}
	eta := max(left, 0) / slope
	if eta > horizon {
		return threat{}
	}
	chance := d.options.History.beyond(gradual, p.lag, buffer+0.1)
	return threat{probability: chance, eta: eta, what: draining}
}

// slows is a camera that takes ever longer for a picture.
func (d *Detector) slows(buffer float64) threat {
	p := &d.playout
	nominal := p.frame.nominal()
	gap, growth, n := d.pace.trend(p.now, 4)
	if n < 6 || gap < 1.5*nominal || growth <= 0.002 {
		return threat{}
	}
	wait := max(0, stallGap(nominal)-gap) / growth
	if wait > horizon {
		return threat{}
	}
	ratio := gap / stallGap(nominal)
	return threat{probability: min(0.95, 0.3+0.7*ratio), eta: wait + max(d.left(buffer), 0), what: slowing}
}

// breaks is loss that goes on: so many pictures in a row may be broken.
func (d *Detector) breaks(buffer float64) threat {
	if d.brokenChance < 0.05 {
		return threat{}
	}
	return threat{probability: d.brokenChance, eta: max(d.left(buffer), 0), what: broken}
}
