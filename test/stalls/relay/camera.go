package relay

import (
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// camera gives pictures, as its faults allow.
type camera struct {
	faults []scenario.Fault
	seed   uint64
}

func newCamera(g scenario.Group, stream int) camera {
	c := camera{seed: mix(g.Seed, forGap, uint64(stream))}
	for _, f := range g.Faults {
		if f.Kind.Side() == scenario.Camera && f.Hits(stream) {
			c.faults = append(c.faults, f)
		}
	}
	return c
}

// held returns when a picture taken at a time is sent at the earliest.
func (c camera) held(taken time.Duration) time.Duration {
	for _, f := range c.faults {
		if f.Kind == scenario.EncoderStall && taken >= f.Start && taken < f.End() {
			return f.End()
		}
	}
	return taken
}

type nextFrame struct {
	after             time.Duration // when the next picture is taken
	over              bool          // there is none
	restart, farewell bool
}

// next returns when the picture after the one taken at a time is taken.
func (c camera) next(taken, interval time.Duration) nextFrame {
	n := nextFrame{after: taken + interval}
	for _, f := range c.faults {
		begins := n.after >= f.Start && taken < f.Start
		during := n.after >= f.Start && n.after < f.End()
		switch f.Kind {
		case scenario.CameraEnd:
			n.over = n.over || n.after >= f.Start
		case scenario.CameraStop:
			// Pictures are as before, but those of the fault are missing.
			for during && n.after < f.End() {
				n.after += interval
			}
		case scenario.CameraRestart, scenario.Pause:
			if begins {
				n.after, n.restart, n.farewell = f.End(), true, f.Kind == scenario.Pause
			}
		case scenario.CameraDying:
			// The interval grows to Level seconds, then nothing comes at all.
			if !during {
				continue
			}
			if n.after < f.Start+f.Rise {
				n.after += time.Duration(f.Strength(n.after) * f.Level * float64(time.Second))
			} else {
				n.after = f.End()
			}
		case scenario.CameraGaps:
			// About once in two seconds, a gap that grows to Level seconds.
			if during && uniform(c.seed, uint64(taken)) < interval.Seconds()/2 {
				n.after += time.Duration(f.Strength(n.after) * f.Level * float64(time.Second))
			}
		}
	}
	return n
}
