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
	now       bool    // what stalled said
	waiting   bool    // the viewer waits at this moment
	waited    bool    // has waited since the last prediction
	told      float64 // when a stall was told last
	holes     int     // those before were shown
	threat    threat  // the worst at this step
}

const (
	// keepAt is the probability down to which a stall that was predicted stays so,
	// unless it takes less to predict one.
	keepAt = 0.35
	// repeat is how often a prediction that stands is told again.
	repeat = 4.0
	// tellFrom is the probability from which on a hole is told as a stall.
	tellFrom = 0.45
	// holePassed is how long after a hole was shown it may still be told, in seconds.
	holePassed = 1.0
	// waitSlack is how exact the time between two pictures is, in seconds.
	waitSlack = 0.003
	// littleQueue is how long what waits in the socket may be, in seconds, for what is
	// known of arrival to be true of reading.
	littleQueue = 0.03
	// retell is how long after a stall the next one is told of.
	retell = 0.8
	// goesOn is how often a stall is told again while pictures come, but broken or
	// late: it may be another one.
	goesOn = 1.5
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
	x.now = stalled
	t := d.forecast(x)
	if p.warming() {
		t = threat{eta: math.Inf(1)}
	}
	x.threat = t
	*f = Forecast{Buffer: x.buffer, Left: sample.Of(d.left(x.buffer)), Confidence: t.probability, Stalled: stalled}
	keep := min(keepAt, d.options.Confidence)
	if t.probability >= keep {
		f.ETA = sample.Of(t.eta)
	}
	switch {
	case stalled:
		x.safe = p.now
		// Each gap is told, but not more than one a second.
		if !x.waiting && (!x.stalled || p.now-x.told >= retell) || x.waiting && p.quiet() <= 0 && p.now-x.told >= goesOn {
			x.stalled, x.told = true, p.now
			d.past.stalls, d.past.stalledAt = d.past.stalls+1/float64(len(d.depths)), p.now
			d.raise(Stalled, x, threat{probability: 1, what: d.mainSymptom(t)})
		}
		x.waiting, x.waited = true, true
		return
	case x.stalled && p.now-x.told < again:
		x.safe = max(x.safe, p.now-calm/2)
	case t.certain:
		x.safe = p.now
		if !x.predicted || p.now-x.raised >= repeat || x.waited {
			x.waited = false
			x.predicted, x.raised = true, p.now
			d.raise(StallPredicted, x, d.looks(t))
		}
	case t.probability >= keep && x.predicted:
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
	if !d.replaced && p.now-shown >= gap {
		return true
	}
	exact := p.queue <= littleQueue && d.last.Media.Told // each picture is read as it comes
	if exact && p.waited(x.buffer) >= gap-waitSlack {
		return true
	}
	if !exact && p.read > wasRead && p.count > 1 {
		was := max(p.base+x.buffer+wasRead, wasReadAt)
		next := max(p.base+x.buffer+wasRead+nominal, p.now-sample.Interval.Seconds()/4)
		if next-was >= gap && p.now-sample.Interval.Seconds() > was {
			return true
		}
	}
	if p.queue > 0.1 && p.late(x.buffer) > gap-nominal {
		return true
	}
	for i := max(x.holes, p.holeCount-holes); i < p.holeCount; i++ {
		h := p.holes[i%holes]
		if p.now > p.base+max(x.buffer, p.lag)+h.to+holePassed {
			x.holes = i + 1 // what was no stall then is none now, whatever nominal is
			continue
		}
		if h.to-h.from < gap-nominal*holeSlack || h.probability < tellFrom {
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
