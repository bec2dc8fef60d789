package record

import (
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// Truth is what happened in a capture. Times are seconds since its start.
type Truth struct {
	Seed     uint64    `json:"seed"`
	Start    int64     `json:"start"` // unix seconds
	Duration float64   `json:"duration_s"`
	Depths   []float64 `json:"depths_s"`
	Streams  []Stream  `json:"streams"`
}

// Stream is one source; a restart changes its SSRC.
type Stream struct {
	Stream  string         `json:"stream"` // the receiver's ip:port
	Src     string         `json:"src"`
	SSRCs   []uint32       `json:"ssrcs"`
	Media   scenario.Media `json:"media"`
	Nominal float64        `json:"nominal_s"` // the frame interval
	Bitrate float64        `json:"bitrate"`
	// From and To bound what the capture has of it.
	From     float64   `json:"from_s"`
	To       float64   `json:"to_s"`
	Faults   []Fault   `json:"faults"`
	Episodes []Episode `json:"episodes"`
	Bursts   []Burst   `json:"bursts"`
}

// Fault is one that concerned the stream.
type Fault struct {
	Kind  scenario.Kind `json:"kind"`
	Side  scenario.Side `json:"side"`
	Start float64       `json:"start_s"`
	End   float64       `json:"end_s"`
	Level float64       `json:"level,omitempty"`
	Blip  bool          `json:"blip,omitempty"`
}

// Episode is what viewers with one depth of buffer saw.
type Episode struct {
	Buffer  float64 `json:"buffer_s"`
	Start   float64 `json:"start_s"`
	End     float64 `json:"end_s"`
	Stalls  int     `json:"stalls"`
	Stalled float64 `json:"stalled_s"`
	// Fault is what is to blame: its kind, "blip", or "none" if nothing is but the
	// way's usual jitter and loss.
	Fault string `json:"fault"`
	// FirstAnomaly is when anyone at the tap could have seen the fault; Limit is
	// from there to Start.
	FirstAnomaly float64 `json:"first_anomaly_s"`
	Limit        float64 `json:"limit_s"`
}

// Burst is three packets or more lost within 100 ms.
type Burst struct {
	// First is when the first was lost, Known when the third could be known of:
	// by the next packet that arrived, or by the socket's next reading.
	First  float64 `json:"first_s"`
	Known  float64 `json:"known_s"`
	Socket bool    `json:"socket,omitempty"`
}

// Kinds of blame that are no kind of fault.
const (
	BlameBlip = "blip"
	BlameNone = "none"
)

func truthOf(r relay.Result, s relay.Stream, loss viewer.Loss, duration time.Duration) Stream {
	t := Stream{
		Stream: s.Dst.String(), Src: s.Src.String(), Media: s.Media,
		Nominal: s.Interval.Seconds(), Bitrate: s.Bitrate,
		Faults: []Fault{}, Episodes: []Episode{}, Bursts: bursts(r, s, duration),
	}
	for _, session := range s.Sessions {
		t.SSRCs = append(t.SSRCs, session.SSRC)
	}
	if len(s.Frames) > 0 {
		t.From = max(0, s.Frames[0].Sent.Seconds())
		t.To = min(duration, s.Frames[len(s.Frames)-1].Sent).Seconds()
	}
	for _, f := range r.Faults {
		if f.Hits(s.Number) {
			t.Faults = append(t.Faults, Fault{f.Kind, f.Kind.Side(), f.Start.Seconds(), min(f.End(), duration).Seconds(), f.Level, f.Blip})
		}
	}
	if s.Media != scenario.Video {
		return t
	}
	anomalies := viewer.Anomalies(r, s, duration)
	for _, depth := range viewer.Depths {
		for _, e := range viewer.Episodes(s, loss, depth, duration) {
			t.Episodes = append(t.Episodes, episodeOf(r, s, anomalies, depth, e))
		}
	}
	return t
}

func episodeOf(r relay.Result, s relay.Stream, anomalies []time.Duration, depth time.Duration, e viewer.Episode) Episode {
	found := Episode{
		Buffer: depth.Seconds(), Start: e.Start.Seconds(), End: e.End.Seconds(), Stalls: e.Stalls, Stalled: e.Stalled.Seconds(),
		Fault: BlameNone, FirstAnomaly: (e.Start - depth).Seconds(), Limit: depth.Seconds(),
	}
	if f, anomaly, ok := viewer.Blame(r.Faults, s.Number, anomalies, e.Start, depth); ok {
		found.Fault = string(f.Kind)
		if f.Blip {
			found.Fault = BlameBlip
		}
		found.FirstAnomaly, found.Limit = anomaly.Seconds(), (e.Start - anomaly).Seconds()
	}
	return found
}

// bursts returns the bursts of loss, a new one only after 100 ms without any.
func bursts(r relay.Result, s relay.Stream, duration time.Duration) []Burst {
	const within = 100 * time.Millisecond
	found := []Burst{}
	var arrivals []time.Duration
	for _, p := range r.Packets {
		if int(p.Stream) == s.Number && p.Control == 0 {
			arrivals = append(arrivals, p.Arrived)
		}
	}
	for i := 0; i+2 < len(s.Losses); i++ {
		first, third := s.Losses[i], s.Losses[i+2]
		if third.At-first.At > within {
			continue
		}
		known := nextAfter(arrivals, third.At)
		if third.Socket {
			known = third.At.Truncate(within) + within
		}
		if first.At >= 0 && known < duration {
			found = append(found, Burst{first.At.Seconds(), known.Seconds(), first.Socket})
		}
		// The burst lasts until 100 ms without a loss.
		for i+1 < len(s.Losses) && s.Losses[i+1].At-s.Losses[i].At <= within {
			i++
		}
	}
	return found
}

func nextAfter(times []time.Duration, t time.Duration) time.Duration {
	for low, high := 0, len(times); ; {
		if low == high {
			if low == len(times) {
				return relay.Never
			}
			return times[low]
		}
		if mid := (low + high) / 2; times[mid] > t {
			high = mid
		} else {
			low = mid + 1
		}
	}
}
