// Package baseline has two plain rules that predict stalls, to hold figures
// against. Both look at frames' arrivals every 100 ms and know no depth: what
// they raise they raise for each.
package baseline

import (
	"fmt"
	"io"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/test/stalls/score"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// rule says at each sample whether it warns.
type rule interface {
	// frame is told of each new frame.
	frame(at time.Duration)
	// warns is asked every 100 ms once there was a frame.
	warns(at time.Duration) bool
}

// rules has what makes each rule.
var rules = map[string]func() rule{
	Freeze: func() rule { return &freeze{} },
	EWMA:   func() rule { return &ewma{} },
}

// Freeze and EWMA are the names of the rules.
const (
	Freeze = "freeze"
	EWMA   = "ewma"
)

// Alerts returns what a rule raises over a capture of the laboratory.
func Alerts(name string, capture io.Reader, start int64) ([]score.Alert, error) {
	newRule := rules[name]
	if newRule == nil {
		return nil, fmt.Errorf("no rule %q: there are %s and %s", name, Freeze, EWMA)
	}
	type state struct {
		rule
		timestamp uint32
		warned    bool
	}
	var (
		alerts []score.Alert
		states = map[flow]*state{}
		order  []flow
		next   = sample.Interval
	)
	tick := func(at time.Duration) {
		for _, f := range order {
			s := states[f]
			warns := s.warns(at)
			if warns && !s.warned {
				for _, depth := range viewer.Depths {
					alerts = append(alerts, score.Alert{At: at.Seconds(), Stream: f.dst.String(), Src: f.src.String(), SSRC: f.ssrc, Kind: score.Predicted, Buffer: depth.Seconds()})
				}
			}
			s.warned = warns
		}
	}
	err := read(capture, time.Unix(start, 0), func(p packet) {
		for ; next <= p.at; next += sample.Interval {
			tick(next)
		}
		s := states[p.flow]
		if s == nil {
			s = &state{rule: newRule(), timestamp: p.timestamp + 1}
			states[p.flow] = s
			order = append(order, p.flow)
		}
		if p.timestamp != s.timestamp {
			s.timestamp = p.timestamp
			s.frame(p.at)
		}
	})
	return alerts, err
}

// freeze is W3C's: no frame for max(3d, d + 150 ms), d being the mean interval of
// the last 30 frames.
type freeze struct {
	times []time.Duration // of the last 31
}

func (f *freeze) frame(at time.Duration) {
	if len(f.times) == 31 {
		copy(f.times, f.times[1:])
		f.times = f.times[:30]
	}
	f.times = append(f.times, at)
}

func (f *freeze) warns(at time.Duration) bool {
	n := len(f.times)
	if n < 2 {
		return false
	}
	mean := (f.times[n-1] - f.times[0]) / time.Duration(n-1)
	return at-f.times[n-1] >= viewer.Threshold(mean)
}

// ewma is the plain rule on frame intervals: a moving average (alpha 0.2) of at
// least 1.8 times the mean of the last 5 s, in two samples that follow each other.
type ewma struct {
	last     time.Duration
	frames   int
	sum      time.Duration // of the intervals in this sample
	count    int
	average  float64
	window   []float64
	exceeded int
}

func (e *ewma) frame(at time.Duration) {
	if e.frames > 0 {
		e.sum += at - e.last
		e.count++
	}
	e.frames++
	e.last = at
}

func (e *ewma) warns(at time.Duration) bool {
	const (
		alpha     = .2
		threshold = 1.8
		length    = 50 // samples: 5 s
	)
	interval := (at - e.last).Seconds()
	if e.count > 0 {
		interval = max(interval, e.sum.Seconds()/float64(e.count))
	}
	e.sum, e.count = 0, 0
	if e.average == 0 {
		e.average = interval
	}
	e.average += alpha * (interval - e.average)
	if len(e.window) == length {
		sum := 0.0
		for _, v := range e.window {
			sum += v
		}
		if e.average >= threshold*sum/length {
			e.exceeded++
		} else {
			e.exceeded = 0
		}
		copy(e.window, e.window[1:])
		e.window = e.window[:length-1]
	}
	e.window = append(e.window, interval)
	return e.exceeded >= 2
}
