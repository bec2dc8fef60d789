package warn

import (
	"math"
	"math/bits"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// Observation is what a forecast for one depth of buffer was made from, for
// whoever fits a model.
type Observation struct {
	At       clock.Ktime
	Stream   sample.Stream
	Buffer   float64 // seconds
	ETA      float64 // of the worst threat, in seconds; +Inf if there is none
	Features []float32
}

// FeatureNames are those of an observation's features, in their order.
var FeatureNames = [...]string{
	// Of the stream.
	"nominal", "age", "lag", "height", "queue", "quiet", "unheard", "unread",
	"peak0", "peak10", "peak20", "slope5", "slope10", "slope20", "jump", "calm_jump", "uneven", "calm_uneven",
	"lasted", "usual", "lost_share", "pace", "pace_growth", "owed", "lateness", "lost", "dropped", "loss_share",
	"broken_chance", "broken_sum", "broken", "sustained", "anomaly", "arrival", "arrival_long", "reading",
	"frames_short", "frames_long", "jitter", "socket", "stalls", "since_stall", "slowest", "gap_worst", "gap_again", "factor",
	"since_loss", "loss_period", "since_peak", "peak_period", "peaks", "queue_share", "queue_growth", "loss_now", "heard_share",
	// Of the depth.
	"buffer", "left", "left_share", "hole", "hole_eta", "silent", "drains", "drains_eta", "slows", "breaks", "breaks_eta", "beyond", "beyond_unread", "told", "worst",
	"stalled", "late", "waiting", "since_shown", "passing",
}

const depthFeatures = 20

// features are a stream's at a step, those of a depth at their end.
type features [len(FeatureNames)]float32

// streamFeatures writes those of the stream.
func (d *Detector) streamFeatures(f *features) {
	p, r, m := &d.playout, &d.seen, &d.last.Media
	nominal := p.frame.nominal()
	floor := p.floor(trail)
	ratio, growth := d.pace.slowing(nominal)
	lasted := 0.0
	if d.excursion.on {
		lasted = p.now - d.excursion.began
	}
	sustained := 0.0
	if d.runs.active {
		sustained = float64(bits.OnesCount32(d.runs.lossy))
	}
	worst, again := 0.0, 0.0
	for i := range min(d.pace.count, paceSamples) {
		g := d.pace.ago(i) / nominal
		if g > worst {
			worst, again = g, worst
		} else {
			again = max(again, g)
		}
	}
	queueGrowth := 0.0
	if n := min(10, p.count-1); n > 0 {
		queueGrowth = p.ago(0).queue - p.ago(n).queue
	}
	// The types say that there are as many as names.
	var values [len(f) - depthFeatures]float64 = [...]float64{
		nominal, min(p.now-p.since, 600), p.lag, p.lag - floor, p.queue, p.quiet(), p.now - p.heardAt, number(p.silence() == unread),
		p.peak(0, 10), p.peak(10, 10), p.peak(20, 10), p.slope(5), p.slope(10), p.slope(20), p.jump(0, 40), d.excursion.jump,
		min(p.uneven(8), 20), d.excursion.uneven,
		lasted, d.excursion.usual(p.now), d.options.History.lostShare(), ratio, growth, p.order.grown(), p.lateness(10),
		r.lost, r.dropped, r.lost / max(r.packets, 1),
		d.brokenChance, d.brokenSum, d.runs.broken, sustained, number(d.plain.anomaly), p.arrival(5), p.arrival(20), p.readRate(10) / max(p.mean*10, 1),
		d.rate(3), d.rate(10), m.Jitter.Seconds(), number(d.last.Socket.Known), d.past.stalls, min(p.now-d.past.stalledAt, 120), p.large / max(p.mean, 1), worst, again, d.socket.factor(),
		min(p.now-d.past.losses.last, 120), min(d.past.losses.period, 120), min(p.now-d.past.peaks.last, 120), min(d.past.peaks.period, 120), d.past.peaks.lately,
		d.socket.queue / max(d.past.socketLimit, 1), queueGrowth, d.past.lossNow, p.arrival(2),
	}
	for i, v := range values {
		f[i] = float32(v)
	}
}

// arrival returns how many bytes came in the last n samples, as a share of what
// usually does.
func (p *playout) arrival(n int) float64 {
	n = min(n, p.count-1)
	if n < 1 {
		return 1
	}
	return (p.ago(0).bytes - p.ago(n).bytes) / max(p.mean*float64(n), 1)
}

// rate returns how far the media went in the last n samples, as a share of the
// time.
func (d *Detector) rate(n int) float64 {
	p := &d.playout
	n = min(n, p.count-1)
	if n < 1 {
		return 1
	}
	return (p.ago(0).newest - p.ago(n).newest) / (float64(n) * sample.Interval.Seconds())
}

// depthFeatures writes those of a depth.
func (d *Detector) depthFeatures(f *features, x *depth, t *threats) {
	p := &d.playout
	b := x.buffer
	left := d.left(b)
	enough := b + stallGap(p.frame.nominal()) - p.frame.nominal()
	quiet := max(p.quiet(), 0)
	told := 60.0
	if x.stalled || x.told > 0 {
		told = min(p.now-x.told, 60)
	}
	eta := func(t threat) float64 {
		if t.probability == 0 {
			return 30
		}
		return min(t.eta, 30)
	}
	var values [depthFeatures]float64 = [...]float64{
		b, left, left / b, t.hole.probability, eta(t.hole), t.silent.probability, t.drains.probability, eta(t.drains), t.slows.probability, t.breaks.probability, eta(t.breaks),
		d.options.History.beyond(sudden, quiet, quiet+max(enough-p.lag, 0)), d.options.History.beyond(unread, quiet, quiet+max(enough-p.lag, 0)), told, t.worst().probability,
		number(x.now), p.late(b), number(x.waiting), p.now - max(p.base+b+p.read, p.readAt), d.passing(b),
	}
	for i, v := range values {
		f[len(f)-depthFeatures+i] = float32(v)
	}
}

// calmNow says whether nothing at all is wrong, so that no forecast is needed.
func (d *Detector) calmNow() bool {
	p, r := &d.playout, &d.seen
	nominal := p.frame.nominal()
	ratio := 0.0
	if d.pace.count > 0 {
		ratio = d.pace.ago(0) / nominal
	}
	return p.lag-p.floor(trail) < 0.06 && p.quiet() < max(0.08, 1.5*nominal) && r.lost+r.dropped < 0.3 && ratio < 1.15 && p.queue < 0.06 && !d.excursion.on && math.Abs(p.slope(10)) < 0.05
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// passing returns the probability of a hole that viewers with the buffer meet
// about now.
func (d *Detector) passing(buffer float64) float64 {
	p := &d.playout
	nominal := p.frame.nominal()
	worst := 0.0
	for i := max(0, p.holeCount-holes); i < p.holeCount; i++ {
		h := p.holes[i%holes]
		if from, to := p.base+buffer+h.from, p.base+buffer+h.to; p.now >= from && p.now <= to+0.5 && h.to-h.from >= stallGap(nominal)-nominal*holeSlack {
			worst = max(worst, h.probability)
		}
	}
	return worst
}
