package relay

import (
	"math"
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// Session is one life of a stream: a restart or a pause begins another.
type Session struct {
	SSRC uint32
	// First is the number of its first frame.
	First int
	// Farewell is when a BYE was sent; 0 if none was.
	Farewell time.Duration
}

// Frame is a picture, in decoding order.
type Frame struct {
	Session int
	Key     bool
	// Taken is when the camera was due to give it, in true time; Sent is when its
	// first packet left.
	Taken, Sent time.Duration
	// Media is when it is to be shown, on the source's clock, which begins at 0
	// with the session.
	Media time.Duration
	// Late is set where the camera was later with it than its rate allows: then
	// Due is when it would have been sent.
	Late bool
	Due  time.Duration

	Packets int32
	// Arrived and Read count packets that did, at the tap and in the application;
	// the times are those of the last one.
	Arrived, Read     int32
	ArrivedAt, ReadAt time.Duration
	// Expected is ArrivedAt had there been no fault; Never if a packet would have
	// been lost even so.
	Expected time.Duration
}

// Never is the time of what does not happen.
const Never = time.Duration(math.MaxInt64)

// Complete reports whether the application read all of the frame.
func (f Frame) Complete() bool { return f.Read == f.Packets }

// Packet is one datagram.
type Packet struct {
	Sent, Arrived, Read time.Duration
	Stream, Frame       int32 // Frame is -1 for RTCP
	Timestamp           uint32
	Index               int32 // within the frame
	Sequence            uint16
	Size                uint16 // UDP's payload
	Session             uint16
	Control             Control
	Marker, Duplicate   bool
}

// Control is a kind of RTCP packet; 0 is RTP.
type Control uint8

const (
	Report Control = iota + 1
	Bye
)

const (
	rtpHeader  = 12
	lineRateNs = 12_000 // a packet of 1200 bytes at 1 Gbit/s, with a NIC's overhead
)

// tail is how long streams are followed beyond the capture's end, so that what a
// viewer sees at its end is known.
const tail = 12 * time.Second

// send returns a stream's frames, sessions and packets, in the order of sending.
func send(g scenario.Group, number int, until time.Duration) ([]Frame, []Session, []Packet) {
	s := g.Streams[number]
	var (
		all      []Frame
		packets  []Packet
		sessions = []Session{{SSRC: s.SSRC}}
		sequence = s.Sequence
		base     = s.Timestamp
		clip     = s.First
		taken    = s.Start
		media    time.Duration
		report   = s.Start + 200*time.Millisecond
		seed     = g.Seed ^ uint64(number)<<32
		cam      = newCamera(g, number)
	)
	for n := 0; taken < until+tail; n++ {
		f := Frame{Session: len(sessions) - 1, Taken: taken, Media: media, Key: true}
		size := int(s.Bitrate / 8 * s.Interval.Seconds())
		if s.Media == scenario.Video {
			from := s.Clip.Frames[clip%len(s.Clip.Frames)]
			clip++
			f.Key = from.Key
			f.Media += time.Duration(from.Shift) * s.Interval
			scale := s.Scale
			if from.Key {
				scale *= s.KeyScale
			}
			size = max(int(float64(from.Size)*scale), 24)
		}
		wobble := time.Duration(float64(s.Wobble) * exponential(seed, forWobble, uint64(n)))
		if s.Stamped {
			f.Media += wobble
		}
		f.Sent = max(taken+wobble, cam.held(taken))
		if f.Sent > taken+wobble {
			f.Late, f.Due = true, taken+wobble
		}
		f.Packets = int32((size + s.Payload - 1) / s.Payload)
		step := time.Duration(lineRateNs)
		if s.Spread > 0 && !f.Late {
			step = max(step, time.Duration(s.Spread*float64(s.Interval))/time.Duration(f.Packets))
		}
		session := &sessions[len(sessions)-1]
		timestamp := base + uint32(int64(math.Round(f.Media.Seconds()*float64(s.ClockRate))))
		for i := range f.Packets {
			bytes := min(size, s.Payload)
			size -= bytes
			packets = append(packets, Packet{
				Sent: f.Sent + time.Duration(i)*step, Stream: int32(number), Frame: int32(len(all)), Index: i,
				Timestamp: timestamp, Sequence: sequence, Size: uint16(bytes + rtpHeader), Session: uint16(len(sessions) - 1),
				Marker: i == f.Packets-1 && s.Media == scenario.Video || s.Media == scenario.Audio && n == 0,
			})
			sequence++
		}
		if s.ReportPort != 0 && taken > report {
			packets = append(packets, Packet{Sent: f.Sent, Stream: int32(number), Frame: -1, Timestamp: timestamp, Size: 28, Session: uint16(len(sessions) - 1), Control: Report})
			report = taken + 5*time.Second
		}
		all = append(all, f)

		next := cam.next(taken, s.Interval)
		if next.over {
			break
		}
		step = next.after - taken
		if next.restart {
			if next.farewell {
				session.Farewell = f.Sent + s.Interval
				packets = append(packets, Packet{Sent: session.Farewell, Stream: int32(number), Frame: -1, Size: 8, Session: uint16(len(sessions) - 1), Control: Bye})
			}
			h := mix(seed, forStart, uint64(n))
			sessions = append(sessions, Session{SSRC: uint32(h), First: len(all)})
			sequence, base, media = uint16(h>>32), uint32(h>>20), 0
			for clip%len(s.Clip.Frames) != 0 && !s.Clip.Frames[clip%len(s.Clip.Frames)].Key {
				clip++
			}
			taken = next.after
			continue
		}
		if s.Counted {
			media += s.Interval
		} else {
			media += step
		}
		// Drift is the source's clock running slow: it needs more of the true time.
		taken += step + time.Duration(float64(step)*s.Drift)
	}
	slices.SortStableFunc(packets, func(a, b Packet) int { return int(a.Sent - b.Sent) })
	return all, sessions, packets
}
