package probe

import (
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/answer"
	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/serve"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

const (
	keptAnswers = 20
	// breakFor is how long the own session stays closed for the node's sake.
	breakFor = 2 * time.Minute
)

// answer asks for each stream what is to be done, does it, and records it.
func (p *Probe) answer(now clock.Ktime) {
	if p.own != nil {
		if a, back := p.answers.Session(p.own.id, p.ownSession(now)); back && p.act(a) {
			p.record(a)
		}
	}
	for _, s := range p.watch.streams {
		if s.ended || s.verdict.Health != warn.Poor && s.verdict.Health != warn.Unusable {
			continue
		}
		rate := s.current.BitsPerSecond
		if bits, known := rate.Get(); known {
			rate = sample.Of(bits / 8)
		}
		for _, a := range p.answers.Step(s.id, p.own != nil && s.id == p.own.id, &s.sample, &s.verdict, rate) {
			if a.Advice || p.act(a) {
				p.record(a)
			}
		}
	}
}

// ownSession is what the way between the two sources is found by.
func (p *Probe) ownSession(now clock.Ktime) answer.Session {
	s := answer.Session{At: now, Lower: p.playsLower(), Health: warn.Unknown}
	switch p.own.before.State {
	case capture.Closed:
		return s
	case capture.Absent: // its address is not allowed, which shows only now
		s.Health = warn.Unusable
	}
	s.Open = true
	if own := p.watch.streams[p.own.id]; own != nil && !own.ended {
		s.Health = own.verdict.Health
	}
	return s
}

func (p *Probe) playsLower() bool {
	return p.options.LowerSource != "" && p.own.source == p.options.LowerSource
}

// act does what is to be done, and says whether it could.
func (p *Probe) act(a answer.Answer) bool {
	if p.own == nil {
		return false
	}
	o := order{source: p.own.source}
	switch a.Kind {
	case answer.LowerSource:
		if p.own.source == p.options.LowerSource {
			return false // it plays already
		}
		o.source = p.options.LowerSource
	case answer.MainSource:
		o.source = p.options.Source
	case answer.Break:
		o.after = breakFor
	}
	if !p.own.player.ask(o) {
		return false
	}
	p.own.source = o.source
	return true
}

func (p *Probe) record(a answer.Answer) {
	p.log.Warn(a.Text, "answer", string(a.Kind), "stream", a.Stream, "advice", a.Advice)
	if len(p.advice) == keptAnswers {
		p.advice = append(p.advice[:0], p.advice[1:]...)
	}
	p.advice = append(p.advice, a)
}

// raised are the alerts that are on: by stream and depth, the kind that came
// last.
type raised map[alertKey]warn.Kind

type alertKey struct {
	stream sample.Stream
	buffer time.Duration
}

// take remembers an alert and says whether it is news: each stall of an episode
// has a line, and only the first one has.
func (r raised) take(a warn.Alert) bool {
	key := alertKey{a.Stream, a.Buffer}
	if a.Kind == warn.Clear {
		delete(r, key)
		return true
	}
	news := r[key] != a.Kind
	r[key] = a.Kind
	return news
}

// forget drops what is on for streams that are gone.
func (r raised) forget(streams map[sample.Stream]*stream) {
	for key := range r {
		if s := streams[key.stream]; s == nil || s.ended {
			delete(r, key)
		}
	}
}

// tellPlayer opens the own session while an alert is on, and draws the verdict.
func (p *Probe) tellPlayer() {
	if p.own == nil {
		return
	}
	p.raised.forget(p.watch.streams)
	worst := warn.Verdict{Health: warn.Unknown}
	for _, s := range p.watch.streams {
		if !s.ended && ranks[s.verdict.Health] > ranks[worst.Health] {
			worst = s.verdict
		}
	}
	text := string(worst.Health)
	if worst.Cause != "" {
		text += ": " + string(worst.Cause)
	}
	marks := capture.Marks{Verdict: text}
	if box := p.damage(); box != (capture.Box{}) {
		marks.Boxes = []capture.Box{box}
	}
	p.own.player.tell(len(p.raised) > 0, marks)
}

// damage is where the own session's picture is damaged now. What is new is marked,
// and the marks of the session's alerts are there.
func (p *Probe) damage() capture.Box {
	s := &p.own.before
	box := s.Damage
	if s.State != capture.Playing && s.State != capture.Stalled {
		box = capture.Box{}
	}
	if box != p.own.damage {
		p.own.damage = box
		place := [4]float64{box.X, box.Y, box.Width, box.Height}
		p.server.Place(p.own.id.Key(), place)
		if box != (capture.Box{}) {
			p.server.Mark(serve.Mark{At: p.wallTime(s.NewestAt), Box: place, Label: box.Label})
		}
	}
	return box
}
