package answer

import (
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Session is the probe's own session at one moment.
type Session struct {
	At clock.Ktime
	// Lower says whether it is the lower source that is played.
	Lower bool
	// Open says whether it plays or tries to. One that is closed is nobody's
	// trouble, and proves nothing.
	Open   bool
	Health warn.Health
}

// Way is how things stand between the source and the lower one.
type Way struct {
	Lower bool
	// Since is when the present source was turned to.
	Since clock.Ktime
	// Back is when the source is tried again if there is no trouble until then; 0
	// where that is never done.
	Back clock.Ktime
}

// way leads back from the lower source. That this one plays well says nothing of
// whether the network carries the other, so there is only one way to know: to try,
// after a time of calm, which doubles with each try that failed.
type way struct {
	after time.Duration // 0: there is no way back
	pause *backoff.ExponentialBackOff

	known bool
	Way
	last  clock.Ktime
	hold  time.Duration // how long it has to be calm, this time
	calm  clock.Ktime   // since when there is no trouble
	dead  clock.Ktime   // since when the lower source shows nothing; 0 while it does
	fine  time.Duration // how long the source has played well since it was returned to
	shuns clock.Ktime   // until when the lower source is not turned to
}

const (
	// mostHold is how many times the first hold the longest is.
	mostHold = 15
	// holdSpread keeps the probes behind one link from all trying at once.
	holdSpread = 0.2
	// deadAfter is how long the lower source may show nothing.
	deadAfter = 30 * time.Second
	// longestStep keeps a pause of the whole machine from counting as play.
	longestStep = time.Second
)

func newWay(after time.Duration) *way {
	w := &way{after: after, pause: &backoff.ExponentialBackOff{
		InitialInterval: after, MaxInterval: mostHold * after, Multiplier: 2, RandomizationFactor: holdSpread,
	}}
	w.pause.Reset()
	return w
}

// step says, with words, that it is time to try the source again; mostly "".
func (w *way) step(s Session) string {
	if w.after <= 0 {
		w.Way = Way{Lower: s.Lower}
		return ""
	}
	if !w.known || s.Lower != w.Lower {
		w.turned(s)
	}
	passed := min(time.Duration(s.At-w.last), longestStep)
	w.last = s.At
	trouble := s.Open && (s.Health == warn.Poor || s.Health == warn.Unusable)
	if !s.Lower {
		if s.Open && !trouble && s.Health != warn.Unknown {
			w.fine += passed
		}
		return ""
	}
	if trouble {
		w.calm = s.At
	}
	if !s.Open || s.Health != warn.Unusable {
		w.dead = 0
	} else if w.dead == 0 {
		w.dead = s.At
	}
	w.Back = w.calm + clock.Ktime(w.hold)
	switch {
	case s.At >= w.Back:
		return fmt.Sprintf("no trouble for %v with the source of lower resolution: trying the source again", w.hold.Round(time.Second))
	case w.dead != 0 && time.Duration(s.At-w.dead) >= deadAfter:
		// Whoever's fault that is: the source is no worse. To and fro would be.
		w.shuns = s.At + clock.Ktime(w.hold)
		return fmt.Sprintf("the source of lower resolution has shown nothing for %v: back to the source", deadAfter)
	}
	return ""
}

// turned notes that another source is played. One that was fine for as long as
// was waited for it has proved itself: then the next wait is as short as the first.
func (w *way) turned(s Session) {
	if s.Lower {
		if w.fine >= w.hold {
			w.pause.Reset()
		}
		w.hold = w.pause.NextBackOff()
	}
	w.known, w.last = true, s.At
	w.Way = Way{Lower: s.Lower, Since: s.At}
	w.calm, w.dead, w.fine = s.At, 0, 0
}

// mayLower says whether the lower source may be turned to.
func (w *way) mayLower(now clock.Ktime) bool { return !w.Lower && now >= w.shuns }
