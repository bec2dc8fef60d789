package scenario

import (
	"time"
)

// kinds has what a group may meet, repeated by how common it is.
var kinds = []Kind{
	OutageLoss, OutageLoss, OutageLoss, OutageQueue, OutageQueue,
	SqueezeStep, SqueezeStep, SqueezeRamp, SqueezeRamp, SqueezeRamp,
	LossBurst, LossRamp, DelayStep, DelayRamp, JitterStorm, Flapping,
	CameraStop, CameraStop, CameraDying, CameraDying, CameraDying, CameraGaps, EncoderStall, CameraRestart, Pause,
	ReaderStop, ReaderStop, ReaderSlow, ReaderSlow, ReaderSlow, ReaderThrottled, ReaderThrottled,
}

func drawFaults(d die, g Group, duration time.Duration, blips bool) []Fault {
	var videos []int
	for i, s := range g.Streams {
		if s.Media == Video {
			videos = append(videos, i)
		}
	}
	var faults []Fault
	ended := map[int]bool{}
	at := d.seconds(15, 120)
	for at < duration-10*time.Second {
		stream := pick(d, videos...)
		var f Fault
		if blips || d.chance(.35) {
			f = drawBlip(d, g)
		} else {
			f = drawFault(d, g, pick(d, kinds...))
		}
		if f.Kind.Side() == Camera || f.Kind.Side() == Receiver && d.chance(.4) {
			f.Stream = stream
		}
		f.Start = at
		if f.Kind.Side() == Camera && (ended[stream] || g.Streams[stream].Start > at-15*time.Second) {
			at += d.seconds(5, 30)
			continue
		}
		if f.Kind == CameraStop && !f.Blip && duration-at > time.Minute && d.chance(.04) {
			f.Kind = CameraEnd
			ended[stream] = true
		}
		faults = append(faults, f)
		if d.chance(.05) {
			// The next one comes before this one is over.
			at += d.seconds(.2, .9) * (f.End() - f.Start) / time.Second
		} else {
			at = f.End() + d.logSeconds(12, 200)
		}
	}
	return faults
}

func drawFault(d die, g Group, kind Kind) Fault {
	f := Fault{Kind: kind, Stream: All, Curve: pick(d, 0, 0, .5, 1.5, 2, 3)}
	switch kind {
	case OutageLoss, OutageQueue:
		f.Hold = d.logSeconds(.5, 9)
	case SqueezeStep:
		f.Hold, f.Level = d.logSeconds(4, 40), d.between(.2, .88)
		f.Fall = d.seconds(0, 3)
	case SqueezeRamp:
		f.Rise, f.Hold, f.Fall = d.logSeconds(5, 30), d.seconds(4, 25), d.seconds(0, 5)
		f.Level = d.between(.2, .85)
	case LossBurst:
		f.Hold, f.Level = d.logSeconds(.5, 10), d.between(.1, .8)
	case LossRamp:
		f.Rise, f.Hold, f.Fall = d.logSeconds(4, 20), d.seconds(1, 8), d.seconds(0, 3)
		f.Level = d.between(.15, .7)
	case DelayStep:
		f.Hold, f.Level = d.logSeconds(5, 40), d.log(.1, 3)
	case DelayRamp:
		f.Rise, f.Hold, f.Fall = d.logSeconds(4, 25), d.seconds(2, 15), d.seconds(0, 5)
		f.Level = d.log(.3, 6)
	case JitterStorm:
		f.Rise, f.Hold, f.Fall = d.seconds(0, 5), d.logSeconds(4, 25), d.seconds(0, 2)
		f.Level = d.log(.02, .5)
	case Flapping:
		f.Rise, f.Hold, f.Level = d.logSeconds(6, 25), d.seconds(0, 6), d.between(.3, 3)
	case CameraStop:
		f.Hold = d.logSeconds(.4, 10)
	case CameraDying:
		f.Rise, f.Hold, f.Level = d.logSeconds(6, 18), d.seconds(0, 8), d.between(.25, 1.2)
	case CameraGaps:
		f.Rise, f.Hold, f.Level = d.logSeconds(6, 20), d.seconds(0, 5), d.between(.3, 2.5)
	case EncoderStall:
		f.Hold = d.logSeconds(.5, 9)
	case CameraRestart:
		f.Hold = d.logSeconds(.8, 12)
	case Pause:
		f.Hold = d.logSeconds(3, 40)
	case ReaderStop:
		f.Hold = d.logSeconds(.5, 9)
	case ReaderSlow:
		f.Rise, f.Hold, f.Fall = d.logSeconds(3, 20), d.seconds(4, 20), d.seconds(0, 2)
		f.Level = d.between(.1, .88)
	case ReaderThrottled:
		f.Rise, f.Hold, f.Fall = d.logSeconds(2, 20), d.seconds(4, 20), d.seconds(0, 2)
		// Around what the application needs.
		f.Level = 1 - g.App.Load*d.between(.1, 1.1)
	}
	return f
}

// drawBlip returns what a buffer of a second or more never notices; those of
// 0.2 s may.
func drawBlip(d die, g Group) Fault {
	f := Fault{Blip: true, Stream: All}
	f.Kind = pick(d, OutageLoss, OutageQueue, OutageQueue, SqueezeStep, LossBurst, DelayStep, DelayRamp, JitterStorm, CameraStop, EncoderStall, EncoderStall, ReaderStop, ReaderStop, ReaderThrottled)
	// Two frames may be lost without a stall.
	shortest := time.Duration(1 << 62)
	for _, s := range g.Streams {
		if s.Media == Video {
			shortest = min(shortest, s.Interval)
		}
	}
	switch f.Kind {
	case OutageLoss, LossBurst:
		f.Hold, f.Level = time.Duration(d.between(.1, 1.2)*float64(shortest)), d.between(.2, 1)
	case OutageQueue, EncoderStall, ReaderStop:
		f.Hold = d.logSeconds(.05, .5)
	case SqueezeStep:
		f.Hold, f.Level = d.seconds(.2, .8), d.between(.5, .95)
	case DelayStep:
		f.Hold, f.Level = d.logSeconds(.1, 20), d.log(.01, .4)
	case DelayRamp:
		f.Rise, f.Hold, f.Fall, f.Level = d.seconds(1, 8), d.seconds(0, 4), d.seconds(1, 5), d.log(.02, .4)
	case JitterStorm:
		f.Rise, f.Hold, f.Fall, f.Level = d.seconds(0, 1), d.seconds(.3, 4), d.seconds(0, 1), d.log(.01, .08)
	case CameraStop:
		f.Hold = time.Duration(d.between(.8, 1.9) * float64(shortest))
	case ReaderThrottled:
		f.Hold, f.Level = d.seconds(.2, 4), 1-g.App.Load*d.between(1.3, 2.4)
	}
	return f
}
