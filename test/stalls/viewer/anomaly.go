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
// its socket dropped something, or holds more than it would but for a fault and
// than it mostly does in calm times.
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
	usual := usualQueue(s.Calm)
	drops, calmDrops := 0, 0
	for i, reading := range s.Readings {
		calm := s.Calm[i]
		if reading.Drops-drops > calm.Drops-calmDrops || reading.Queue > max(usual, calm.Queue) {
			seen = append(seen, reading.At)
		}
		drops, calmDrops = reading.Drops, calm.Drops
	}
	slices.Sort(seen)
	end, _ := slices.BinarySearch(seen, until)
	return seen[:end]
}

// Blame returns the fault that an episode is due to, and its first anomaly. A
// fault is to blame from its start until its last anomaly, plus the depth: of
// several, the first that is no blip. ok is false if none is.
func Blame(faults []scenario.Fault, stream int, anomalies []time.Duration, start, depth time.Duration) (fault scenario.Fault, anomaly time.Duration, ok bool) {
	blame := func(f scenario.Fault, at time.Duration) {
		if !ok || fault.Blip && !f.Blip {
			fault, anomaly, ok = f, at, true
		}
	}
	for i, f := range faults {
		if !f.Hits(stream) || f.Start > start {
			continue
		}
		at, _ := slices.BinarySearch(anomalies, f.Start)
		if at == len(anomalies) {
			continue
		}
		if anomalies[at] > start {
			// A viewer whose buffer is empty for good suffers before it can be seen.
			if start <= f.End() {
				blame(f, start)
			}
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
			blame(f, anomalies[at])
		}
	}
	return fault, anomaly, ok
}

func startsBetween(faults []scenario.Fault, stream int, from, to time.Duration) bool {
	return slices.ContainsFunc(faults, func(f scenario.Fault) bool {
		return f.Hits(stream) && f.Start >= from && f.Start <= to
	})
}

// usualQueue returns what 98 of 100 readings do not exceed, plus a packet.
func usualQueue(calm []relay.Reading) int {
	queues := make([]int, len(calm))
	for i, reading := range calm {
		queues[i] = reading.Queue
	}
	slices.Sort(queues)
	if len(queues) == 0 {
		return 0
	}
	return queues[len(queues)*98/100] + relay.LargestPacket
}
