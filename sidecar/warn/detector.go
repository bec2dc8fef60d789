package warn

import (
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// Detector watches one stream. It is not safe for concurrent use.
type Detector struct {
	options Options
	stream  sample.Stream

	playout playout
	socket  socket
	held    held
	burst   burst
	plain   plain
	runs    runs
	pace    pace
	tier    userTier
	seen    recent
	// brokenChance is the probability that broken pictures make a stall, decaying.
	brokenChance float64
	// brokenSum is how many stalls that would be by now, if none was noted.
	brokenSum float64
	// placed says that of each packet that was dropped last it is known of which
	// picture it was.
	placed    bool
	excursion excursion
	features  features
	// calm says that nothing at all is wrong, described that the stream's features
	// are those of this step.
	calm, described bool
	past            past
	depths          []depth

	last      sample.Sample
	ended     bool
	replaced  bool
	forecasts []Forecast
	alerts    []Alert
}

const (
	// holeFrom is the probability from which on broken pictures are noted as a
	// hole, brokenFade how their sum fades where loss ends.
	holeFrom   = 0.2
	brokenFade = 0.97
	// likely is how much the tap's word for a hole counts: its packets may still
	// come, where they were overtaken.
	likely = 0.7
	// certainly is the same where they can't.
	certainly = 0.97
	// sure is the probability from which on its word is taken.
	sure = 0.4
	// aDrop is how much is left of a packet that was dropped in the last seconds.
	aDrop = 0.3
)

// New returns a detector for a stream of which nothing is known.
func New(o Options, stream sample.Stream) *Detector {
	o.defaults()
	d := &Detector{options: o, stream: stream, depths: make([]depth, len(o.Buffers)), forecasts: make([]Forecast, len(o.Buffers))}
	for i, b := range o.Buffers {
		d.depths[i].buffer = b.Seconds()
	}
	return d
}

// Step takes the next sample and returns what is thought of the stream, and what
// is to be told now. The alerts and the verdict's forecasts are the detector's
// own, and valid until the next step: who keeps them copies them.
func (d *Detector) Step(s sample.Sample) (Verdict, []Alert) {
	d.alerts = d.alerts[:0]
	if d.playout.origin == 0 {
		d.playout.origin = s.At
	}
	d.last = s
	now := d.playout.seconds(s.At)
	d.playout.now = now
	if s.Media.Ended {
		return d.end()
	}
	lost, gaps := d.held.take(lost(&s), &s.Media, d.playout.frame.nominal(), d.playout.lone(&s.Media))
	d.seen.add(now, &s, lost)
	if d.burst.add(now, lost) {
		d.raise(Degraded, nil, threat{probability: 1, what: broken})
	}
	if d.burst.over(now) {
		d.clear(nil)
	}
	switch {
	case s.Media.Audio: // no picture could stall
	case s.Media.Known:
		d.media(&s, lost, gaps)
	default:
		d.tier.add(d, &s, lost)
	}
	return d.verdict(), d.alerts
}

// end clears what was raised: a source that said farewell, or was replaced,
// leaves nobody waiting.
func (d *Detector) end() (Verdict, []Alert) {
	for i := range d.depths {
		if x := &d.depths[i]; x.predicted || x.stalled {
			x.predicted, x.stalled = false, false
			d.clear(x)
		}
	}
	d.playout.count = 0
	d.playout.begun = false
	d.ended = true
	return Verdict{Health: Unknown}, d.alerts
}

// media is a sample of a stream whose packets are seen.
func (d *Detector) media(s *sample.Sample, lost, gaps float64) {
	m := &s.Media
	p := &d.playout
	if m.Restarted || !p.begun || d.ended {
		if m.Packets == 0 && (d.ended || !p.begun) {
			return // nothing came yet
		}
		p.restart()
		d.pace, d.runs, d.ended = pace{}, runs{}, false
		for i := range d.depths {
			d.depths[i].restart()
		}
	}
	wasRead, wasReadAt := p.read, p.readAt
	waits := d.socket.bytes(s)
	if m.Replaced {
		waits = 0 // they are the other source's, on the same socket
	}
	p.advance(s, waits)
	interval := sample.Interval.Seconds() / max(float64(m.Frames), 1)
	if m.Frames == 0 {
		interval = p.now - p.newestAt
	}
	d.plain.add(interval)
	nominal := p.frame.nominal()
	if m.Replaced && !d.replaced {
		// Its viewers wait for as long as nobody sent.
		d.replaced = true
		p.addHole(hole{p.newest, p.newest + p.now - p.newestAt, 0.97})
	} else if m.Packets > 0 {
		d.replaced = false
	}
	d.pace.add(p.now, float64(m.Frames))
	total := float64(m.Packets) + max(float64(m.Lost), 0)
	reached := d.runs.add(float64(m.Frames), sample.Interval.Seconds()/nominal, float64(m.Packets), max(total, lost), gaps, lost, runOf(nominal), d.past.filling(p.now))
	if drops := dropped(s); drops > 0 {
		d.placed = float64(m.Dropped) >= drops
	}
	told := m.Told && (d.placed || d.seen.dropped < aDrop)
	if told && m.Dropped > 0 {
		reached = number((m.Hole.To - m.Hole.From).Seconds() >= stallGap(nominal)-nominal*holeSlack)
	}
	d.brokenChance = max(reached, d.brokenChance*0.9)
	// Where loss goes on, each sample by itself is hardly a stall, but some are.
	d.brokenSum = d.brokenSum*brokenFade + reached
	if told {
		d.brokenSum = 0 // Hole has all
	} else if reached > holeFrom || d.brokenSum > 1 {
		p.addHole(hole{p.newest - stallGap(nominal), p.newest, min(max(reached, min(d.brokenSum, 0.7)), 0.97)})
		d.brokenSum = 0
	}
	if h := &m.Hole; h.Probability >= sure && (h.To-h.From).Seconds() >= stallGap(nominal)-nominal*holeSlack {
		trust := likely
		if h.Sure {
			trust = certainly
		}
		p.addHole(hole{h.From.Seconds(), h.To.Seconds(), max(h.Probability*trust, tellFrom)})
	}
	d.excursion.follow(d)
	d.past.add(p, &s.Socket, lost, total)
	d.calm, d.described = d.calmNow(), false
	for i := range d.depths {
		d.watch(&d.depths[i], &d.forecasts[i], wasRead, wasReadAt)
	}
}

// raise appends an alert about a depth, or about all.
func (d *Detector) raise(kind Kind, x *depth, t threat) {
	a := Alert{
		At: d.options.Time(d.last.At), Stream: d.stream, Kind: kind, Confidence: t.probability,
		Cause: d.cause(t.what), Evidence: d.evidence(t.what),
	}
	if x != nil {
		a.Buffer = time.Duration(x.buffer * float64(time.Second))
	}
	if kind == StallPredicted {
		a.ETA = sample.Of(t.eta)
	}
	d.alerts = append(d.alerts, a)
}

func (d *Detector) clear(x *depth) {
	a := Alert{At: d.options.Time(d.last.At), Stream: d.stream, Kind: Clear}
	if x != nil {
		a.Buffer = time.Duration(x.buffer * float64(time.Second))
	}
	d.alerts = append(d.alerts, a)
}
