package warn

import (
	"math"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// threat is what may make a viewer's buffer run out.
type threat struct {
	// probability that a stall comes of it, eta in seconds until it begins.
	probability, eta float64
	what             symptom
	// certain says that it is to be told of.
	certain bool
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
	horizon = 15.0
	// slopes below this are a clock that drifts.
	leastSlope = 0.03
	// mostSlope is that of an outage, which silent judges.
	mostSlope = 0.85
)

// threats are what may make one depth's buffer run out, each by itself.
type threats struct{ hole, silent, drains, slows, breaks threat }

// worst returns the most likely one, and of those the first to come.
func (t *threats) worst() threat {
	worst := threat{eta: math.Inf(1)}
	for _, t := range [...]threat{t.hole, t.silent, t.drains, t.slows, t.breaks} {
		if t.probability > worst.probability || t.probability == worst.probability && t.eta < worst.eta {
			worst = t
		}
	}
	return worst
}

// forecast returns the worst threat to a depth's buffer. How likely it is is the
// model's word; what it is, and when, the threat's own.
func (d *Detector) forecast(x *depth) threat {
	if d.replaced {
		t := d.holeAhead(x.buffer)
		t.certain = t.probability >= d.options.Confidence
		return t
	}
	all := threats{d.holeAhead(x.buffer), d.silent(x.buffer), d.drains(x.buffer), d.slows(x.buffer), d.breaks(x.buffer)}
	worst := all.worst()
	if d.playout.warming() || d.calm && worst.probability < faint {
		return worst
	}
	if !d.described {
		d.streamFeatures(&d.features)
		d.described = true
	}
	d.depthFeatures(&d.features, x, &all)
	if o := d.options.Observe; o != nil {
		o(Observation{At: d.last.At, Stream: d.stream, Buffer: x.buffer, ETA: worst.eta, Features: d.features[:]})
	}
	return d.weigh(x, worst)
}

// faint is the probability below which a threat to a calm stream is none.
const faint = 0.05

// left is what a buffer still has, in seconds.
func (d *Detector) left(buffer float64) float64 { return buffer - d.playout.lag }

// holeAhead is a gap in the media that is on its way to the viewer: certain.
func (d *Detector) holeAhead(buffer float64) (worst threat) {
	p := &d.playout
	nominal := p.frame.nominal()
	for i := max(0, p.holeCount-holes); i < p.holeCount; i++ {
		h := p.holes[i%holes]
		begins := p.base + buffer + h.from + nominal
		if h.to-h.from >= stallGap(nominal)-nominal*holeSlack && p.now <= begins && h.probability > worst.probability {
			worst = threat{probability: h.probability, eta: begins - p.now, what: missing}
		}
	}
	return worst
}

// silent is that nothing comes, or nothing is read.
func (d *Detector) silent(buffer float64) threat {
	p := &d.playout
	nominal := p.frame.nominal()
	quiet := p.quiet()
	if quiet < max(0.1, 2*nominal) {
		return threat{}
	}
	if p.lag < d.excursion.usual(p.now)*1.1+0.03 {
		return threat{}
	}
	enough := buffer + stallGap(nominal) - nominal
	kind := p.silence()
	chance := d.options.History.beyond(kind, quiet, quiet+max(enough-p.lag, 0))
	if kind == sudden && quiet > stallGap(nominal)-nominal {
		// It may be the camera, or all that was sent may be lost: then no buffer
		// helps.
		h := d.options.History.lostShare()
		chance = h + (1-h)*chance
	}
	if kind == sudden {
		chance = min(1, chance*silenceScale) * min(1, blipFloor+blipRise*quiet/min(buffer, 1))
	}
	return threat{probability: chance, eta: max(d.left(buffer), 0), what: silence}
}

// drains is that less comes than is shown.
//
// A buffer that runs out slowly is no stall by itself: pictures are late, and
// shown when they come. It takes a jump: a large picture on a narrow way. Where
// the way only became longer, none comes.
func (d *Detector) drains(buffer float64) threat {
	p := &d.playout
	now, before, first := p.peak(0, 10), p.peak(10, 10), p.peak(20, 10)
	slope := max((now-first)/2, 0.8*(now-before))
	if p.count < 60 || slope < leastSlope || slope > mostSlope || now < before+leastSlope || before < first+max(leastSlope, (now-before)/4) ||
		now-p.floor(trail) < 0.12 || p.lag < now-0.05 || p.quiet() > 0.25 {
		return threat{}
	}
	nominal := p.frame.nominal()
	enough := stallGap(nominal) - nominal
	jumpy := d.jumpy(slope, enough)
	if jumpy <= 0 {
		return threat{}
	}
	eta := max(buffer+enough-now, 0) / slope
	if eta > horizon || now < d.excursion.usual(p.now)*1.15+0.03 {
		return threat{}
	}
	// A blip is over within a moment; what has outlasted it stays for a while.
	lasted := p.now - d.excursion.began
	chance := min(1, lasted/outlasted) * math.Exp(-max(0, lasted+eta-max(lasted, staying))/fading)
	if now > buffer+enough+alreadyLate {
		chance *= 0.6 // pictures are late for a while, and it was no stall
	}
	return threat{probability: drainTrust * chance * jumpy, eta: eta, what: draining}
}

// jumpy returns how likely a picture comes so much later than the one before that
// it is a stall, once the buffer is empty.
func (d *Detector) jumpy(slope, enough float64) float64 {
	p := &d.playout
	if p.queue > 0.15 && p.queue > p.lag/2 {
		// What is read slowly is read evenly: a large picture takes its time.
		took := p.large / max(p.readRate(10), 1)
		return min(1, max(0, (took/enough-0.6)/0.6))
	}
	// What single pictures are late by all the time is no narrow way.
	jump := p.jump(0, 40) - slope*3*sample.Interval.Seconds() - d.excursion.jump
	jumpy := min(1, jump/enough/mostJump)
	if even := p.uneven(8) / max(d.excursion.uneven, 0.05); even < evenly {
		jumpy = max(jumpy, min(1, 2-2*even/evenly))
	}
	// No way becomes longer as fast as a queue does.
	return max(jumpy, min(1, (slope-longerWay)/longerWay))
}

// How faults last that build up: they are blips unless they outlasted so much,
// they stay for so long, and then fade.
const (
	outlasted = 1.0
	staying   = 3.0
	fading    = 9.0
	// mostJump is the share of a stall that a jump has to have for it to come.
	mostJump = 0.6
	// longerWay is the slope up to which a way may well become longer.
	longerWay = 0.18
	// evenly is how much less than else the bytes of samples differ where a way is
	// full: it gives as many as it can, whatever the pictures' sizes.
	evenly = 0.6
	// drainTrust is how much a forecast from the lag's growth is worth at most.
	drainTrust = 0.92
	// alreadyLate is how much later than the buffer's end pictures may be.
	alreadyLate = 0.3
)

// slows is a camera that takes ever longer for a picture.
func (d *Detector) slows(buffer float64) threat {
	p := &d.playout
	nominal := p.frame.nominal()
	ratio, growth := d.pace.slowing(nominal)
	// If pictures are late as well, they were taken in time.
	if growth < 0.06 || ratio < 1.3 || p.order.grown() < 2+p.order.depth || p.lateness(10) > 0.06 || d.seen.lost+d.seen.dropped > 0.3 {
		return threat{}
	}
	wait := max(0, stallGap(nominal)/nominal-ratio) / growth * paceEvery
	return threat{probability: min(0.95, 0.5+0.2*ratio), eta: min(wait, horizon) + max(d.left(buffer), 0), what: slowing}
}

// breaks is loss that goes on: so many pictures in a row may be broken.
func (d *Detector) breaks(buffer float64) threat {
	chance := d.brokenChance
	nominal := d.playout.frame.nominal()
	wait := 0.0
	if d.runs.sustained() {
		q := d.runs.broken
		if d.playout.lag-d.playout.floor(trail) < excursionFrom {
			// A full queue loses as much as it has to; other loss may grow.
			q = min(q*worsening, 0.95)
		}
		each := math.Pow(q, float64(runOf(nominal))) * (1 - min(q, 0.9))
		if ahead := lossTrust * (1 - math.Pow(1-each, lossAhead/nominal)); ahead > chance {
			chance, wait = ahead, min(nominal/each, horizon)
		}
	}
	if chance < 0.05 {
		return threat{}
	}
	return threat{probability: chance, eta: max(d.left(buffer), 0) + wait, what: broken}
}

const (
	// silenceScale is how much more a silence is than what was learned makes of
	// it: the blips that were remembered are mostly shorter than what is asked
	// about.
	silenceScale = 1.6
	// A silence that began just now is mostly a blip: blipFloor is what its
	// probability counts at first, blipRise how that grows in a second; for buffers
	// of less than that, sooner.
	blipFloor = 0.3
	blipRise  = 1.75
)

// lossTrust is how much a forecast from lasting loss is worth at most.
const lossTrust = 0.9

// worsening is by how much loss that goes on is taken to grow.
const worsening = 1.35

// lossAhead is for how long loss is taken to go on, in seconds, once it has for a
// while.
const lossAhead = 4.0
