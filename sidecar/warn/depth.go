package warn

import (
	"math"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// depth is what was told about one depth of buffer.
type depth struct {
	buffer    float64
	predicted bool
	stalled   bool
	raised    float64 // when last
	safe      float64 // since when nothing threatens
	waiting   bool    // the viewer waits at this moment
	waited    bool    // has waited since the last prediction
	told      float64 // when a stall was told last
	holes     int     // those before were shown
}

const (
	// raiseAt is the probability from which on a stall is predicted, keepAt that
	// down to which it stays so.
	raiseAt = 0.72
	keepAt  = 0.35
	// repeat is how often a prediction that stands is told again.
	repeat = 4.0
	// retell is how long after a stall the next one is told of.
	retell = 0.8
	// again is how long after a stall another one is predicted: those before are
	// the same trouble.
	again = 3.0
	// calm is how long nothing may threaten until all is clear.
	calm = 2.0
	// warmUp is how long a stream is watched before anything is predicted.
	warmUp       = 2.5
	warmUpFrames = 30
)

func (x *depth) restart() { x.holes = 0 }

// watch judges one depth at this step, and tells what is new.
func (d *Detector) watch(x *depth, f *Forecast, wasRead, wasReadAt float64) {
	p := &d.playout
	stalled := d.stalled(x, wasRead, wasReadAt)
	t := d.forecast(x.buffer)
	if p.warming() {
		t = threat{eta: math.Inf(1)}
	}
	*f = Forecast{Buffer: x.buffer, Left: sample.Of(d.left(x.buffer)), Confidence: t.probability, Stalled: stalled}
	if t.probability >= keepAt {
		f.ETA = sample.Of(t.eta)
	}
	switch {
	case stalled:
		x.safe = p.now
		// Each gap is told, but not more than one a second.
		if !x.waiting && (!x.stalled || p.now-x.told >= retell) {
			x.stalled, x.told = true, p.now
			d.raise(Stalled, x, threat{probability: 1, what: d.mainSymptom(t)})
		}
		x.waiting, x.waited = true, true
		return
	case x.stalled && p.now-x.told < again:
		x.safe = max(x.safe, p.now-calm/2)
	case t.probability >= raiseAt:
		x.safe = p.now
		if !x.predicted || p.now-x.raised >= repeat || x.waited {
			x.waited = false
			x.predicted, x.raised = true, p.now
			d.raise(StallPredicted, x, t)
		}
	case t.probability >= keepAt && x.predicted:
		x.safe = p.now
	case (x.predicted || x.stalled) && p.now-x.safe >= calm:
		x.predicted, x.stalled = false, false
		d.clear(x)
	}
	x.waiting = false
}

// stalled says whether a viewer with the buffer waits now, or waited since the
// last step.
func (d *Detector) stalled(x *depth, wasRead, wasReadAt float64) bool {
	p := &d.playout
	nominal := p.frame.nominal()
	gap := stallGap(nominal)
	// The application's last picture was shown in its time, or when it came.
	shown := max(p.base+x.buffer+p.read, p.readAt)
	if p.now-shown >= gap {
		return true
	}
	if p.read > wasRead && p.count > 1 {
		was := max(p.base+x.buffer+wasRead, wasReadAt)
		next := max(p.base+x.buffer+wasRead+nominal, p.now-sample.Interval.Seconds()/2)
		if next-was >= gap && p.now-sample.Interval.Seconds() > was {
			return true
		}
	}
	for i := max(x.holes, p.holeCount-holes); i < p.holeCount; i++ {
		h := p.holes[i%holes]
		if h.to-h.from < gap-nominal*holeSlack || h.probability < 0.35 {
			continue
		}
		if p.now >= p.base+x.buffer+h.to {
			x.holes = i + 1
			return true
		}
		return p.now >= p.base+x.buffer+h.from+gap
	}
	return false
}

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
		e.jump = max(e.jump*jumpFade, p.jump(10))
		if even := p.uneven(8); even < 10 {
			e.uneven += unevenFade * (even - e.uneven)
		}
	}
	switch {
	case !e.on && height > excursionFrom:
		e.on, e.began, e.peak, e.kind = true, p.now, p.lag, gradual
	case e.on && height < excursionTo:
		e.on = false
		d.options.History.add(e.kind, e.peak)
		e.peaks[e.count%habit], e.ends[e.count%habit] = e.peak, p.now
		e.count++
	case e.on:
		e.peak = max(e.peak, p.lag)
		if quiet > 0.25 && e.kind == gradual && p.now-e.began < 1 {
			e.kind = p.silence()
		}
	}
}
