package viewer

import (
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// Anomalies returns the moments, sorted, at which anyone at the tap could have
// seen that something is wrong with the stream: a frame is not there although it
// would be, but for a fault, and for longer than the way's jitter explains; or
// its socket holds more, or dropped more, than it ever did in calm times.
func Anomalies(r relay.Result, s relay.Stream, until time.Duration) []time.Duration {
	var seen []time.Duration
	visible := r.Visible()
	for i, f := range s.Frames {
		if f.Expected != relay.Never {
			late := f.Expected + visible
			if f.Arrived < f.Packets || f.ArrivedAt > late {
				seen = append(seen, late)
			}
		}
		// The camera's own lateness is in Expected, too: it is held against its rate.
		if f.Late {
			seen = append(seen, f.Due+r.Link.Delay+visible)
		}
		if i > 0 && f.Taken-s.Frames[i-1].Taken > s.Interval+visible {
			before := s.Frames[i-1]
			seen = append(seen, before.Sent+r.Link.Delay+s.Interval+visible)
		}
	}
	if n := len(s.Frames); n > 0 {
		// If no frame follows, that is seen as well.
		if last := s.Frames[n-1]; last.Sent < until {
			seen = append(seen, last.Sent+r.Link.Delay+s.Interval+visible)
		}
	}
	drops := 0
	for _, reading := range s.Readings {
		if reading.Drops > drops || reading.Queue > s.CalmQueue {
			seen = append(seen, reading.At)
		}
		drops = reading.Drops
	}
	slices.Sort(seen)
	end, _ := slices.BinarySearch(seen, until)
	return seen[:end]
}

// Blame returns the fault that an episode is due to, and its first anomaly. A
// fault is to blame from its start until its last anomaly, plus the depth: of
// several, the first. ok is false if none is.
func Blame(faults []scenario.Fault, stream int, anomalies []time.Duration, start, depth time.Duration) (fault scenario.Fault, anomaly time.Duration, ok bool) {
	for i, f := range faults {
		if !f.Hits(stream) || f.Start > start {
			continue
		}
		at, _ := slices.BinarySearch(anomalies, f.Start)
		if at == len(anomalies) || anomalies[at] > start {
			continue
		}
		// Its anomalies follow each other within two seconds, or lie within it, and
		// those after the next fault's start are not its own.
		last := anomalies[at]
		for _, a := range anomalies[at:] {
			if a > f.End() && (a-max(last, f.End()) > 2*time.Second || startsBetween(faults[i+1:], stream, f.End(), a)) {
				break
			}
			last = a
		}
		if start <= max(last, f.End())+depth+time.Second {
			return f, anomalies[at], true
		}
	}
	return scenario.Fault{}, 0, false
}

func startsBetween(faults []scenario.Fault, stream int, from, to time.Duration) bool {
	return slices.ContainsFunc(faults, func(f scenario.Fault) bool {
		return f.Hits(stream) && f.Start >= from && f.Start <= to
	})
}
